package identity

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

// request is what a node that wants to join sends, a CBOR array. Sig proves
// that it holds the node key, Proof that it was given the code.
type request struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	ID      [8]byte // of the invitation
	Public  [32]byte
	Seal    [32]byte
	Sig     [64]byte
	Proof   [32]byte
}

const (
	enrolVersion = 1
	maxRequest   = 512
	maxReply     = 16 << 10
)

// signed is what the node key signs: the inviter is in it, so that a request
// cannot be carried to another node.
func (r request) signed(inviter [16]byte) []byte {
	return slices.Concat([]byte("waypost/join-request/1"), inviter[:], r.ID[:], r.Public[:], r.Seal[:])
}

// proven is what the invitation's key authenticates: everything else.
func (r request) proven(inviter [16]byte) []byte {
	return slices.Concat([]byte("waypost/join-proof/1"), inviter[:], r.ID[:], r.Public[:], r.Seal[:], r.Sig[:])
}

func (r request) mac(key [32]byte, inviter [16]byte) [32]byte {
	h := hmac.New(sha256.New, key[:])
	h.Write(r.proven(inviter))
	return [32]byte(h.Sum(nil))
}

// parseRequest reads a request, which may be anything, and checks the node's
// own signature.
func parseRequest(b []byte, inviter [16]byte) (request, error) {
	bad := fault.New(fault.Invalid, "fault.identity.bad_request")
	var r request
	if len(b) > maxRequest || decode(b, &r) != nil || r.Version != enrolVersion || !bytes.Equal(encode(r), b) ||
		!ed25519.Verify(r.Public[:], r.signed(inviter), r.Sig[:]) {
		return request{}, bad
	}
	return r, nil
}

// reply is what lets a node in, a CBOR array: certificates and keys. It may
// only travel inside the channel pinned to the inviter's key.
type reply struct {
	_         struct{} `cbor:",toarray"`
	Version   uint8
	Cert      []byte
	Root      [32]byte
	Name      string
	Gossip    [][]byte
	Registers []registerKey
	Inviter   []byte
	Sig       [64]byte // by the inviter's node key
}

func (r reply) signed() []byte {
	r.Sig = [64]byte{}
	return append([]byte("waypost/join-reply/1"), encode(r)...)
}

// Applicant is a node that wants to join: its new keys and the code it was
// given. Nothing is on disk before Accept.
type Applicant struct {
	Cost Cost // of the first unlock slot; zero = StrongCost

	code InvitationCode
	node ed25519.PrivateKey
	seal []byte
	req  []byte
}

// NewApplicant draws the node's keys.
func NewApplicant(code InvitationCode) (*Applicant, error) {
	private, public, err := newSealPair()
	if err != nil {
		return nil, fault.Of(err)
	}
	a := &Applicant{code: code, node: ed25519.NewKeyFromSeed(random(ed25519.SeedSize)), seal: private}
	r := request{Version: enrolVersion, ID: code.id(), Public: [32]byte(a.node.Public().(ed25519.PublicKey)), Seal: public}
	r.Sig = [64]byte(ed25519.Sign(a.node, r.signed(code.Fingerprint)))
	r.Proof = r.mac(code.proof(), code.Fingerprint)
	a.req = encode(r)
	return a, nil
}

// Request is what to send to the inviter. It is the same every time: when the
// answer was lost on the way, sending it again gets the same answer.
func (a *Applicant) Request() []byte { return bytes.Clone(a.req) }

// Signer is the new node key, for TLS.
func (a *Applicant) Signer() crypto.Signer { return a.node }

// Admit lets the node that made the request in, if it proves an invitation that
// is neither used nor too old. The invitation counts as used, and the number as
// given, before the reply exists: of two requests with one secret exactly one
// wins, also across a power cut. The same node asking again gets its certificate
// again. Faults: Invalid "fault.identity.bad_request", Denied
// "fault.identity.invitation_unknown", "fault.identity.cannot_enrol" and
// "fault.identity.issuer_over", Conflict "fault.identity.invitation_used", Gone
// "fault.identity.invitation_expired", Full "fault.identity.numbers_spent",
// Unavailable "fault.identity.cannot_write". The used and expired ones carry the
// invitation's id for Desk.Refused.
func (v *Vault) Admit(raw []byte) (answer []byte, cert NodeCert, err error) {
	own := Fingerprint(v.cert.Public)
	r, err := parseRequest(raw, own)
	if err != nil {
		return nil, NodeCert{}, err
	}
	v.lookUp(r.ID)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return nil, NodeCert{}, errEnded()
	}
	now := v.clock.Now()
	i := slices.IndexFunc(v.s.Invitations, func(o outstanding) bool { return o.ID == r.ID })
	if i < 0 {
		return nil, NodeCert{}, fault.New(fault.Denied, "fault.identity.invitation_unknown")
	}
	o := v.s.Invitations[i]
	if want := r.mac(o.Proof, own); !hmac.Equal(want[:], r.Proof[:]) {
		return nil, NodeCert{}, fault.New(fault.Denied, "fault.identity.invitation_unknown")
	}
	id := hex.EncodeToString(o.ID[:])
	if len(o.UsedFor) > 0 {
		if cert, err = ParseNodeCert(o.UsedFor); err == nil && cert.Public == r.Public && cert.Seal == r.Seal {
			return v.welcome(cert), cert, nil
		}
		return nil, NodeCert{}, fault.New(fault.Conflict, "fault.identity.invitation_used", refusedArg, id)
	}
	if v.over(o) {
		return nil, NodeCert{}, fault.New(fault.Gone, "fault.identity.invitation_expired", refusedArg, id)
	}
	if err := v.mayEnrol(now); err != nil {
		return nil, NodeCert{}, err
	}
	err = v.updateLocked(func(s *secrets) error {
		first, last := numbersOf(s.Block)
		number := max(first, s.NextNumber, v.taken+1)
		if number > last {
			return fault.New(fault.Full, "fault.identity.numbers_spent")
		}
		s.NextNumber = number + 1
		cert = v.certify(uint16(number), r, s, o)
		s.Invitations[i].UsedFor = cert.Marshal()
		return nil
	})
	if err != nil {
		return nil, NodeCert{}, err
	}
	return v.welcome(cert), cert, nil
}

// certify signs a new node's certificate, as long as the issuer's own.
func (v *Vault) certify(number uint16, r request, s *secrets, o outstanding) NodeCert {
	area := o.Area
	switch {
	case o.Apart:
		area = number // no two nodes have one number, so no two areas have
	case area == 0:
		area = v.area()
	}
	issuer := v.Cert().Issuer
	c := NodeCert{
		Number: number, Public: r.Public, Seal: r.Seal, Areas: []uint16{area}, Caps: CapTokens,
		NotBefore: dated(v.clock.Now()).Add(-backdate).Unix(), NotAfter: issuer.NotAfter, Issuer: issuer,
	}
	if o.Carrier {
		c.Areas, c.Caps = []uint16{}, 0
	}
	c.sign(v.deployment, ed25519.NewKeyFromSeed(s.IssuerSeed))
	return c
}

// welcome is the reply to an admitted node.
func (v *Vault) welcome(cert NodeCert) []byte {
	r := reply{
		Version: enrolVersion, Cert: cert.Marshal(), Root: [32]byte(v.root), Name: v.s.Name,
		Gossip: v.s.Gossip, Registers: v.keysFor(cert), Inviter: v.Cert().Marshal(),
	}
	r.Sig = [64]byte(v.sign(r.signed()))
	return encode(r)
}

// keysFor are the keys of the register a new node is given with the reply: of the common
// area all that are here, of an area apart none. Those it makes itself, so that the inviter
// never has them, and the ones of its neighbours come to it sealed, when its words were
// compared.
func (v *Vault) keysFor(cert NodeCert) []registerKey {
	out := []registerKey{}
	for _, k := range v.s.Registers {
		if k.Area == 0 && slices.Contains(cert.Areas, k.Area) {
			out = append(out, k)
		}
	}
	return out
}

// ownKeys adds the key of each area apart that a new node opens: nobody else has it yet.
func ownKeys(cert NodeCert, given []registerKey) []registerKey {
	var out []registerKey
	for _, k := range given {
		if k.Area == 0 {
			out = append(out, k)
		}
	}
	for _, a := range cert.Areas {
		if a != 0 {
			out = append(out, registerKey{Area: a, Epoch: uint32(cert.Number), Key: random(32)})
		}
	}
	if carries(cert) { // whatever it was given: what it writes itself is nobody else's to read
		out = []registerKey{{Area: cert.Number, Epoch: uint32(cert.Number), Key: random(32)}}
	}
	return out
}

// reserve tells the vault which node numbers the register knows: after an
// issuer's folder was restored from a backup they must not be given twice.
func (v *Vault) reserve(number uint16) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if first, last := numbersOf(v.s.Block); uint32(number) >= first && uint32(number) <= last {
		v.taken = max(v.taken, uint32(number))
	}
}

// ask names who to ask for the numbers in the register before one is given.
func (v *Vault) ask(register func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.register = register
}

// lookUp asks, but not for a stranger who names no invitation of ours.
func (v *Vault) lookUp(invitation [8]byte) {
	v.mu.Lock()
	register := v.register
	known := slices.ContainsFunc(v.s.Invitations, func(o outstanding) bool { return o.ID == invitation })
	v.mu.Unlock()
	if known && register != nil {
		register()
	}
}

// parseReply reads the inviter's answer and checks that it comes from the key in
// the code, and that root, issuer and both certificates fit together.
func (a *Applicant) parseReply(b []byte) (*secrets, error) {
	bad := fault.New(fault.Invalid, "fault.identity.bad_reply")
	var r reply
	if len(b) > maxReply || decode(b, &r) != nil || r.Version != enrolVersion || !bytes.Equal(encode(r), b) {
		return nil, bad
	}
	cert, err := ParseNodeCert(r.Cert)
	if err != nil {
		return nil, bad.Wrap(err)
	}
	inviter, err := ParseNodeCert(r.Inviter)
	if err != nil {
		return nil, bad.Wrap(err)
	}
	public := a.node.Public().(ed25519.PublicKey)
	name, ok := cleanName(r.Name)
	if !ok || !a.code.Pins(inviter.Public[:]) || !ed25519.Verify(inviter.Public[:], r.signed(), r.Sig[:]) ||
		!bytes.Equal(cert.Public[:], public) || cert.Verify(r.Root[:]) != nil || inviter.Verify(r.Root[:]) != nil {
		return nil, bad
	}
	s := &secrets{
		Version: secretsVersion, Name: name, Root: r.Root[:], NodeSeed: a.node.Seed(), SealKey: a.seal, Cert: r.Cert,
		Inviter: r.Inviter, Gossip: r.Gossip, Registers: ownKeys(cert, r.Registers),
	}
	// The file is read with the same care after a restart; better now than then.
	if _, err := parseSecrets(encode(s)); err != nil {
		return nil, bad.Wrap(err)
	}
	return s, nil
}

// Accept reads the inviter's reply and makes the node's folder. Faults: Invalid
// "fault.identity.bad_reply" and those of CheckSite, and those of Start.
func (a *Applicant) Accept(dir string, c clock.Clock, answer []byte, site string, passphrase []byte) (*Vault, error) {
	if err := CheckSite(site); err != nil {
		return nil, err
	}
	if err := a.Cost.Check(); err != nil {
		return nil, err
	}
	s, err := a.parseReply(answer)
	if err != nil {
		return nil, err
	}
	s.Site, _ = cleanName(site)
	return create(dir, c, s, passphrase, a.Cost)
}
