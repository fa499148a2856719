package identity

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/fault"
)

// Numbers of nodes come in blocks of 4,096, one block for each issuer, so that two of them
// that cannot hear each other never give one number twice.
const (
	blocks    = 16
	blockSize = 1 << 12
)

// numbersOf is the first and the last node number of a block. Zero is no number.
func numbersOf(block uint8) (first, last uint32) {
	first = uint32(block) * blockSize
	return max(1, first), first + blockSize - 1
}

// issuerWords is how many words an issuer file is sealed under: 129 bits, for a file that
// lies in a drawer for years.
const issuerWords = 10

// NewIssuer is an issuer on its way to the box it will live on.
type NewIssuer struct {
	Number int      // which issuer of the deployment it is: the first is the founder's
	Words  []string // that open the file; shown once
	File   []byte   // sealed under them
	Cert   IssuerCert
}

// Name is what its file is called: neither site nor operation.
func (n NewIssuer) Name() string { return issuerFileName(n.Number) }

func issuerFileName(number int) string { return "waypost-issuer-" + strconv.Itoa(number) + ".wpissuer" }

// String keeps the words out of logs.
func (n NewIssuer) String() string { return "issuer " + strconv.Itoa(n.Number) }

// GoString does the same for %#v.
func (n NewIssuer) GoString() string { return n.String() }

// issuerFile is the file: a CBOR array. Sealed is XChaCha20-Poly1305 of an issuerSecret
// under Argon2id of the words, one lane, everything before it as associated data.
type issuerFile struct {
	_          struct{} `cbor:",toarray"`
	Magic      string
	Deployment [16]byte
	Number     uint8
	Salt       [SaltSize]byte
	Passes     uint8
	KiB        uint32
	Nonce      [chacha20poly1305.NonceSizeX]byte
	Sealed     []byte
}

// issuerSecret is what is sealed in it.
type issuerSecret struct {
	_    struct{} `cbor:",toarray"`
	Seed [32]byte
	Cert issuerWire
}

const (
	issuerMagic   = "waypost/issuer/1"
	maxIssuerFile = 1 << 10
)

func (f issuerFile) bound() []byte {
	f.Sealed = nil
	return encode(f)
}

// NewIssuerFrom signs an issuer with a root sheet. number is which issuer of the
// deployment it is, 2 to 16, and must never have been used before: it decides which
// numbers its nodes get. Faults: Invalid "fault.identity.issuer_number" and
// "fault.identity.sheet_verifies" for a sheet without a seed, those of Cost.Check.
func NewIssuerFrom(sheet RootSheet, number int, now time.Time, cost Cost) (NewIssuer, error) {
	if number < 2 || number > blocks {
		return NewIssuer{}, fault.New(fault.Invalid, "fault.identity.issuer_number").With("number", "fault.identity.issuer_number")
	}
	if len(sheet.Seed) != ed25519.SeedSize {
		return NewIssuer{}, fault.New(fault.Invalid, "fault.identity.sheet_verifies")
	}
	if err := cost.Check(); err != nil {
		return NewIssuer{}, err
	}
	cost = cost.or()
	words, err := GenerateWords(issuerWords)
	if err != nil {
		return NewIssuer{}, fault.Of(err)
	}
	d := sheet.Deployment()
	secret := issuerSecret{Seed: [32]byte(random(32))}
	defer clear(secret.Seed[:])
	cert := newIssuer(d, ed25519.NewKeyFromSeed(sheet.Seed), secret.Seed[:], now)
	secret.Cert = cert.wire()
	f := issuerFile{
		Magic: issuerMagic, Deployment: d, Number: uint8(number), //nolint:gosec // 2 to 16
		Salt: [SaltSize]byte(random(SaltSize)), Passes: cost.Passes, KiB: cost.MemoryKiB,
		Nonce: [chacha20poly1305.NonceSizeX]byte(random(chacha20poly1305.NonceSizeX)),
	}
	key, err := Stretch(context.Background(), []byte(strings.Join(words, " ")), f.Salt[:], cost)
	if err != nil {
		return NewIssuer{}, err
	}
	defer clear(key[:])
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return NewIssuer{}, err
	}
	plain := encode(secret)
	defer clear(plain)
	f.Sealed = aead.Seal(nil, f.Nonce[:], plain, f.bound())
	return NewIssuer{Number: number, Words: words, File: encode(f), Cert: cert}, nil
}

func parseIssuerFile(b []byte) (issuerFile, error) {
	bad := fault.New(fault.Invalid, "fault.identity.bad_issuer_file")
	var f issuerFile
	if len(b) > maxIssuerFile || decode(b, &f) != nil || !bytes.Equal(encode(f), b) {
		return f, bad
	}
	if f.Magic != issuerMagic || f.Number < 2 || f.Number > blocks || !(Cost{Passes: f.Passes, MemoryKiB: f.KiB}).bounded() {
		return f, bad
	}
	return f, nil
}

// openedIssuer is what an issuer file holds.
type openedIssuer struct {
	seed   []byte
	cert   IssuerCert
	number int
}

func (o openedIssuer) block() uint8 { return uint8(o.number - 1) } //nolint:gosec // 2 to 16

// openIssuerFile opens an issuer file of this deployment with its words. Faults: Invalid
// "fault.identity.bad_issuer_file", Denied "fault.identity.issuer_elsewhere" for another
// deployment's and "fault.identity.issuer_words", Busy "fault.identity.busy".
func openIssuerFile(ctx context.Context, file, words []byte, root ed25519.PublicKey) (openedIssuer, error) {
	f, err := parseIssuerFile(file)
	if err != nil {
		return openedIssuer{}, err
	}
	if DeploymentID(f.Deployment) != DeploymentOf(root) {
		return openedIssuer{}, fault.New(fault.Denied, "fault.identity.issuer_elsewhere")
	}
	key, err := Stretch(ctx, words, f.Salt[:], Cost{Passes: f.Passes, MemoryKiB: f.KiB})
	if err != nil {
		return openedIssuer{}, err
	}
	defer clear(key[:])
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return openedIssuer{}, err
	}
	plain, err := aead.Open(nil, f.Nonce[:], f.Sealed, f.bound())
	if err != nil {
		return openedIssuer{}, fault.New(fault.Denied, "fault.identity.issuer_words")
	}
	defer clear(plain)
	var s issuerSecret
	if decode(plain, &s) != nil {
		return openedIssuer{}, fault.New(fault.Invalid, "fault.identity.bad_issuer_file")
	}
	defer clear(s.Seed[:])
	cert := s.Cert.cert()
	public := ed25519.NewKeyFromSeed(s.Seed[:]).Public().(ed25519.PublicKey)
	if s.Cert.Version != certVersion || cert.Verify(root) != nil || !bytes.Equal(public, cert.Public[:]) {
		return openedIssuer{}, fault.New(fault.Invalid, "fault.identity.bad_issuer_file")
	}
	return openedIssuer{seed: bytes.Clone(s.Seed[:]), cert: cert, number: int(f.Number)}, nil
}

// wire is the certificate as it is encoded.
func (c IssuerCert) wire() issuerWire {
	return issuerWire{Version: certVersion, Public: c.Public, NotBefore: c.NotBefore, NotAfter: c.NotAfter, Sig: c.Sig}
}

func (w issuerWire) cert() IssuerCert {
	return IssuerCert{Public: w.Public, NotBefore: w.NotBefore, NotAfter: w.NotAfter, Sig: w.Sig}
}

// install makes an issuer live here: this node's certificate is signed by it, with the
// right to admit others. The number, the keys and the id of the node stay. Faults:
// Conflict "fault.identity.issuer_here", those of reach, Unavailable
// "fault.identity.cannot_write".
func (v *Vault) install(o openedIssuer) (NodeCert, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.canEnrol() {
		return NodeCert{}, fault.New(fault.Conflict, "fault.identity.issuer_here")
	}
	if err := v.reach(); err != nil {
		return NodeCert{}, err
	}
	c := v.Cert()
	c.Caps |= CapEnrol
	c.NotBefore, c.NotAfter, c.Issuer = dated(v.clock.Now()).Add(-backdate).Unix(), o.cert.NotAfter, o.cert
	c.Areas = slices.Clone(c.Areas)
	c.sign(v.deployment, ed25519.NewKeyFromSeed(o.seed))
	seed := v.keys.hold(o.seed)
	err := v.updateLocked(func(s *secrets) error {
		s.IssuerSeed, s.Cert, s.Block = seed, c.Marshal(), o.block()
		s.NextNumber, _ = numbersOf(s.Block)
		return nil
	})
	if err != nil {
		return NodeCert{}, err
	}
	v.taken = 0 // of the other block; asked again before a number is given
	v.office.Store(&c)
	return c, nil
}
