package identity

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

// Vault is this node's open secrets. It implements oplog.Authority. All methods
// are safe for concurrent use; those that change something return only when both
// copies of the file are on the card.
type Vault struct {
	dir     string
	clock   clock.Clock
	cost    Cost      // of the slot that was made or used
	keys    *arena    // where every key lies that can
	storage *[32]byte // the storage key
	sealed  *SealedFile
	way     string    // the kind of the slot that opened it
	wrapped *[32]byte // what the keys are wrapped under in that slot

	// What never changes while the vault is open.
	deployment DeploymentID
	root       ed25519.PublicKey
	node       ed25519.PrivateKey
	cert       NodeCert // as it was when the vault was opened; Cert is the present one
	inviter    *NodeCert
	wrong      []string // see Mended

	using sync.RWMutex // held by whoever signs; closing waits for it. After mu
	ended bool         // Close was called; written under mu and using

	office atomic.Pointer[NodeCert] // the certificate, when an issuer was installed since

	mu        sync.Mutex // guards what follows, and writing the files
	s         *secrets
	inner     []byte                // the inner key; nil where the way it was opened does not reach that far
	deadlines map[[8]byte]time.Time // of invitations, by the running clock
	taken     uint32                // highest node number seen in the register
	register  func()                // reads it again and calls reserve; nil without a desk
	areas     map[uint16]bool       // areas apart that the register knows; the desk says so
	writing   map[uint16]uint32     // the epoch to write under, by area; the desk says so
}

// StartOptions is what a new deployment is made of.
type StartOptions struct {
	Deployment string // name of the operation, 1-64 characters
	Site       string // name of the first site, 1-64 characters
	Passphrase []byte // first unlock slot
	KeepRoot   bool   // keep the root seed under the storage key until ForgetRoot
	Cost       Cost   // zero = StrongCost; others for small boards and tests
}

// Exists reports whether dir holds a node's secrets, open or not.
func Exists(dir string) bool { return anyCopy(dir, secretsName) }

// Start founds a deployment in dir: root, one issuer, node number 1. What it
// returns beside the vault is the root sheet; it is the only copy of the root
// seed unless KeepRoot is set. Faults: Invalid for names, Conflict
// "fault.identity.exists" when dir already is a node, Unavailable
// "fault.identity.cannot_write".
func Start(dir string, c clock.Clock, o StartOptions) (*Vault, RootSheet, error) {
	if err := errors.Join(CheckDeployment(o.Deployment), CheckSite(o.Site), o.Cost.Check()); err != nil {
		return nil, RootSheet{}, fault.Of(err)
	}
	rootSeed := random(ed25519.SeedSize)
	root := ed25519.NewKeyFromSeed(rootSeed)
	public := root.Public().(ed25519.PublicKey)
	d := DeploymentOf(public)
	issuerSeed := random(ed25519.SeedSize)
	issuer := newIssuer(d, root, issuerSeed, c.Now())

	s := &secrets{Version: secretsVersion, Root: public, IssuerSeed: issuerSeed, NodeSeed: random(ed25519.SeedSize), NextNumber: 2}
	s.Name, _ = cleanName(o.Deployment)
	s.Site, _ = cleanName(o.Site)
	s.Gossip = [][]byte{random(32)}
	s.Registers = []registerKey{{Area: 0, Epoch: 1, Key: random(32)}}
	if o.KeepRoot {
		s.RootSeed = bytes.Clone(rootSeed) // the sheet keeps its own
	}
	private, seal, err := newSealPair()
	if err != nil {
		return nil, RootSheet{}, fault.Of(err)
	}
	s.SealKey = private
	cert := NodeCert{
		Number: 1, Public: [32]byte(ed25519.NewKeyFromSeed(s.NodeSeed).Public().(ed25519.PublicKey)), Seal: seal,
		Areas: []uint16{0}, Caps: CapTokens | CapEnrol, NotBefore: issuer.NotBefore, NotAfter: issuer.NotAfter, Issuer: issuer,
	}
	cert.sign(d, ed25519.NewKeyFromSeed(issuerSeed))
	s.Cert = cert.Marshal()
	v, err := create(dir, c, s, o.Passphrase, o.Cost)
	if err != nil {
		return nil, RootSheet{}, err
	}
	return v, RootSheet{Name: s.Name, Root: public, Seed: rootSeed, Nodes: []NodeCert{cert}}, nil
}

func newIssuer(d DeploymentID, root ed25519.PrivateKey, seed []byte, now time.Time) IssuerCert {
	base := dated(now)
	i := IssuerCert{
		Public:    [32]byte(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)),
		NotBefore: base.Add(-backdate).Unix(), NotAfter: base.Add(issuerLife).Unix(),
	}
	i.sign(d, root)
	return i
}

// create writes a new node's files: the slots first, so that secrets never lie
// there without a way to open them.
func create(dir string, c clock.Clock, s *secrets, passphrase []byte, cost Cost) (*Vault, error) {
	if Exists(dir) {
		return nil, fault.New(fault.Conflict, "fault.identity.exists")
	}
	if len(CanonicalPassphrase(passphrase)) == 0 {
		return nil, fault.New(fault.Invalid, "fault.identity.empty_passphrase").With("passphrase", "fault.identity.empty_passphrase")
	}
	o := opened{storage: [32]byte(random(32)), inner: random(32)}
	defer o.forget()
	first, err := newSlot(SlotLead, passphrase, cost, &o.storage, o.inner)
	if err != nil {
		return nil, err
	}
	o.slot = first
	if err := ownFolder(dir); err != nil {
		return nil, err
	}
	if err := writeTwice(dir, unlockName, encodeSlots([]slot{first})); err != nil {
		return nil, err
	}
	v, err := open(dir, c, &o, s)
	if err != nil {
		return nil, err
	}
	return v, errors.Join(v.write(s), unmarkWiped(dir))
}

// ownFolder makes dir ours alone.
func ownFolder(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.Chmod(dir, 0o700) //nolint:gosec // a folder needs its x bit
	}
	if err != nil {
		return fault.New(fault.Unavailable, "fault.identity.cannot_write").Wrap(err)
	}
	return nil
}

// Unlock opens the node in dir with any of its passphrases, or with what its key file
// holds. It takes a second or more for every passphrase it has to try. Faults: Denied
// "fault.identity.wrong_passphrase" and "fault.identity.wrong_key_file", Invalid
// "fault.identity.bad_key_file", NotFound "fault.identity.nothing_here", Gone
// "fault.identity.wiped", Internal "fault.identity.damaged" when both copies of a file
// are, Busy "fault.identity.busy".
func Unlock(dir string, c clock.Clock, secret []byte) (*Vault, error) {
	switch {
	case Wiped(dir):
		return nil, fault.New(fault.Gone, "fault.identity.wiped")
	case !Exists(dir):
		return nil, fault.New(fault.NotFound, "fault.identity.nothing_here")
	}
	o, wrong, err := openSlots(dir, secret)
	if err != nil {
		return nil, err
	}
	defer o.forget()
	file := NewSealedFile(dir, secretsName, subkey(&o.storage, secretsName))
	defer file.Forget()
	raw, err := file.Read()
	if errors.Is(err, fs.ErrNotExist) {
		err = fault.New(fault.Internal, "fault.identity.damaged").Wrap(err)
	}
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	s, err := parseSecrets(raw)
	if err != nil {
		return nil, fault.New(fault.Internal, "fault.identity.damaged").Wrap(err)
	}
	v, err := open(dir, c, &o, s)
	if err != nil {
		return nil, err
	}
	v.wrong = append(wrong, file.Mended()...)
	if err := v.divide(); err != nil {
		v.wrong = append(v.wrong, "the issuer's key could not be set apart: "+err.Error())
	}
	return v, nil
}

// Mended names what was wrong with a copy of the files of keys when they were opened,
// which the other copy made good.
func (v *Vault) Mended() []string { return slices.Clone(v.wrong) }

// open puts a vault together: it takes the keys out of o and s.
func open(dir string, c clock.Clock, o *opened, s *secrets) (*Vault, error) {
	v := &Vault{
		dir: dir, clock: c, cost: o.slot.cost().or(), way: o.slot.Kind, s: s, deadlines: map[[8]byte]time.Time{}, keys: newArena(),
		root: bytes.Clone(s.Root), node: ed25519.NewKeyFromSeed(s.NodeSeed),
	}
	v.storage = (*[32]byte)(v.keys.hold(o.storage[:]))
	v.wrapped = (*[32]byte)(v.keys.hold(o.wrapping[:]))
	if s.openInner(o.inner) {
		v.inner = v.keys.hold(o.inner)
	}
	s.keep(v.keys)
	v.sealed = NewSealedFile(dir, secretsName, subkey(v.storage, secretsName))
	v.deployment = DeploymentOf(v.root)
	var err error
	if v.cert, err = ParseNodeCert(s.Cert); err != nil {
		return nil, err
	}
	if len(s.Inviter) > 0 {
		inviter, err := ParseNodeCert(s.Inviter)
		if err != nil {
			return nil, err
		}
		v.inviter = &inviter
	}
	v.resumeDeadlines()
	return v, nil
}

// update changes the secrets: change works on a copy, which replaces them when
// it is on the card.
func (v *Vault) update(change func(*secrets) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.updateLocked(change)
}

func (v *Vault) updateLocked(change func(*secrets) error) error {
	if v.ended {
		return errEnded()
	}
	next := v.s.clone()
	if err := change(next); err != nil {
		return err
	}
	if err := v.write(next); err != nil {
		return err
	}
	v.s = next
	return nil
}

// write seals s, and overwrites what was sealed.
func (v *Vault) write(s *secrets) error {
	out, err := s.outer(v.inner)
	if err != nil {
		return err
	}
	plain := encode(out)
	defer clear(plain)
	return v.sealed.Write(plain)
}

// Subkey is a key of the storage key for one purpose: "journal", "views",
// "accounts". The same label gives the same key for ever. A closed vault gives a key
// that nothing is sealed under.
func (v *Vault) Subkey(label string) [32]byte {
	v.using.RLock()
	defer v.using.RUnlock()
	if v.ended {
		return [32]byte(random(32))
	}
	return subkey(v.storage, label)
}

// Cert is this node's certificate. Installing an issuer changes who signed it and what it
// grants; id, keys and number stay.
func (v *Vault) Cert() NodeCert {
	if c := v.office.Load(); c != nil {
		return *c
	}
	return v.cert
}

// NodeID is this node's id.
func (v *Vault) NodeID() NodeID { return v.cert.ID() }

// Root is the deployment's public key.
func (v *Vault) Root() ed25519.PublicKey { return bytes.Clone(v.root) }

// DeploymentName is what people call the operation.
func (v *Vault) DeploymentName() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.s.Name
}

// SiteName is what people call this place.
func (v *Vault) SiteName() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.s.Site
}

// GossipKey is the newest key of the membership traffic.
func (v *Vault) GossipKey() [32]byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	return [32]byte(v.s.Gossip[0])
}

// CanEnrol reports whether an issuer lives here, its certificate allows it, and the way
// the box was opened reaches it.
func (v *Vault) CanEnrol() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.canEnrol()
}

func (v *Vault) canEnrol() bool {
	return len(v.s.IssuerSeed) > 0 && !v.shut() && v.Cert().Has(CapEnrol)
}

// RootOnBox reports whether the root seed still lies here, and is open.
func (v *Vault) RootOnBox() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.rootHere()
}

// ForgetRoot removes the root seed from this node, after the root sheet is
// safe. Flash memory may keep old cells; they are sealed under the inner key. Fault:
// Denied "fault.identity.shut" where the way the box was opened does not reach it.
func (v *Vault) ForgetRoot() error {
	var seed []byte
	err := v.update(func(s *secrets) error {
		if v.shut() {
			return errShut()
		}
		seed, s.RootSeed = s.RootSeed, nil
		return nil
	})
	if err == nil {
		clear(seed)
	}
	return err
}

// SignToken is Ed25519 by the node key over a token's message; nil when the vault is
// closed.
func (v *Vault) SignToken(msg []byte) []byte { return v.sign(msg) }

// Signer is the node key, for TLS.
func (v *Vault) Signer() crypto.Signer { return signer{v} }

// CompareWords are the five words this node and the one that let it in show;
// nil on the node that founded the deployment.
func (v *Vault) CompareWords() []string {
	if v.inviter == nil {
		return nil
	}
	return CompareWords(v.deployment, v.cert.Public, v.inviter.Public)
}

// Inviter is the certificate of the node that let this one in; false on the
// founding node.
func (v *Vault) Inviter() (NodeCert, bool) {
	if v.inviter == nil {
		return NodeCert{}, false
	}
	return *v.inviter, true
}
