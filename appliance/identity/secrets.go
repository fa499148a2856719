package identity

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"slices"
	"time"
)

const secretsName = "secrets"

// secrets is everything a node must keep to itself. New fields get new numbers;
// what an older version does not know it would drop, so it does not open a file
// of a higher version.
type secrets struct {
	Version     uint          `cbor:"1,keyasint"`
	Name        string        `cbor:"2,keyasint"` // of the deployment
	Root        []byte        `cbor:"3,keyasint"` // public
	RootSeed    []byte        `cbor:"4,keyasint,omitempty"`
	IssuerSeed  []byte        `cbor:"5,keyasint,omitempty"`
	NodeSeed    []byte        `cbor:"6,keyasint"`
	SealKey     []byte        `cbor:"7,keyasint"`
	Cert        []byte        `cbor:"8,keyasint"`
	Inviter     []byte        `cbor:"9,keyasint,omitempty"` // certificate of the node that let us in
	Site        string        `cbor:"10,keyasint"`
	Gossip      [][]byte      `cbor:"11,keyasint"` // newest first
	Registers   []registerKey `cbor:"12,keyasint"`
	NextNumber  uint32        `cbor:"13,keyasint,omitempty"` // where an issuer lives
	Invitations []outstanding `cbor:"14,keyasint,omitempty"`
	Inner       []byte        `cbor:"15,keyasint,omitempty"` // the inner part, sealed; RootSeed and IssuerSeed are in it
	Holds       uint8         `cbor:"16,keyasint,omitempty"` // what the inner part has: holdsRoot, holdsIssuer
	Block       uint8         `cbor:"17,keyasint,omitempty"` // which numbers the issuer here gives

	rite *rite  // the ceremony under way; in the inner part
	Back []byte `cbor:"20,keyasint,omitempty"` // backFile: what does not count
}

// The versions of the file. In the first, root and issuer lay under the storage key.
const (
	secretsUndivided = 1
	secretsVersion   = 2
)

// registerKey opens payloads of one area and epoch.
type registerKey struct {
	_     struct{} `cbor:",toarray"`
	Area  uint16
	Epoch uint32
	Key   []byte // 32
}

// outstanding is an invitation we gave out: never its secret, only what the
// secret hashes to.
type outstanding struct {
	ID      [8]byte  `cbor:"1,keyasint"`
	Proof   [32]byte `cbor:"2,keyasint"` // the key its request is authenticated with
	Made    int64    `cbor:"3,keyasint"` // Unix milliseconds, as the clock was then
	Life    int64    `cbor:"4,keyasint"` // milliseconds
	UsedFor []byte   `cbor:"5,keyasint,omitempty"`
	Area    uint16   `cbor:"6,keyasint,omitempty"` // the area of the register it opens; 0 = the inviter's own
	Apart   bool     `cbor:"7,keyasint,omitempty"` // an area of its own
	Carrier bool     `cbor:"8,keyasint,omitempty"` // no area: the node carries for others
}

var errSecrets = errors.New("identity: secrets are malformed")

// parseSecrets reads the opened file and checks every length once, so that
// nothing later has to.
func parseSecrets(b []byte) (*secrets, error) {
	s := new(secrets)
	if err := decode(b, s); err != nil {
		return nil, err
	}
	seed := func(b []byte) bool { return len(b) == ed25519.SeedSize }
	optional := func(b []byte) bool { return len(b) == 0 || seed(b) }
	divided := s.Version == secretsVersion && len(s.RootSeed) == 0 && len(s.IssuerSeed) == 0 && s.Block < blocks
	if !divided && (s.Version != secretsUndivided || len(s.Inner) > 0 || s.Holds != 0) || !seed(s.Root) || !optional(s.RootSeed) || !optional(s.IssuerSeed) || !seed(s.NodeSeed) ||
		!seed(s.SealKey) || len(s.Gossip) == 0 || slices.ContainsFunc(s.Gossip, func(k []byte) bool { return !seed(k) }) || len(s.Registers) == 0 ||
		slices.ContainsFunc(s.Registers, func(k registerKey) bool { return !seed(k.Key) }) {
		return nil, errSecrets
	}
	cert, err := ParseNodeCert(s.Cert)
	if err != nil {
		return nil, err
	}
	if string(cert.Public[:]) != string(ed25519.NewKeyFromSeed(s.NodeSeed).Public().(ed25519.PublicKey)) {
		return nil, errSecrets
	}
	if len(s.Inviter) > 0 {
		if _, err := ParseNodeCert(s.Inviter); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// keep moves every key into the arena.
func (s *secrets) keep(a *arena) {
	for _, key := range []*[]byte{&s.RootSeed, &s.IssuerSeed, &s.NodeSeed, &s.SealKey} {
		*key = a.hold(*key)
	}
	if s.rite != nil {
		s.rite.keep(a)
	}
	s.Gossip, s.Registers = slices.Clone(s.Gossip), slices.Clone(s.Registers)
	for i := range s.Gossip {
		s.Gossip[i] = a.hold(s.Gossip[i])
	}
	for i := range s.Registers {
		s.Registers[i].Key = a.hold(s.Registers[i].Key)
	}
}

// clone shares the keys, which lie in the arena.
func (s *secrets) clone() *secrets {
	c := *s
	c.Invitations = slices.Clone(s.Invitations)
	if s.rite != nil {
		c.rite = s.rite.clone()
	}
	return &c
}

// subkey derives a key of the storage key (RFC 5869); labels keep them apart.
func subkey(storage *[32]byte, label string) [32]byte {
	b, err := hkdf.Key(sha256.New, storage[:], nil, "waypost/subkey/1/"+label, 32)
	if err != nil {
		panic("identity: " + err.Error()) // only for lengths beyond 255 hashes
	}
	return [32]byte(b)
}

// newSealPair draws an X25519 pair.
func newSealPair() (private []byte, public [32]byte, err error) {
	private = random(32)
	k, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return nil, public, err
	}
	return private, [32]byte(k.PublicKey().Bytes()), nil
}

// Certificates reach back and far ahead. The floor keeps a board that woke up in
// 1970 from making certificates that were over before it was built.
const (
	backdate   = 30 * 24 * time.Hour
	issuerLife = 730 * 24 * time.Hour
)

// notBefore2026 is a date no honest clock is before: this code did not exist.
var notBefore2026 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// dated is now, or the floor when the clock is plainly wrong.
func dated(now time.Time) time.Time {
	if now.Before(notBefore2026) {
		return notBefore2026
	}
	return now
}
