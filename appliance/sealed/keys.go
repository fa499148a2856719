package sealed

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"
)

// key is a secret of 32 bytes: a seed of a compartment, or the key of a file.
type key [32]byte

// newKey draws one.
func newKey() (k key) {
	_, _ = rand.Read(k[:]) // never fails: crypto/rand ends the process instead
	return k
}

// derive makes a secret for one purpose out of another (RFC 5869). The parts bind it.
func derive(secret []byte, label string, parts ...[]byte) key {
	b, err := hkdf.Key(sha256.New, secret, nil, label+string(slices.Concat(parts...)), 32)
	if err != nil {
		panic("sealed: " + err.Error()) // only for lengths beyond 255 hashes
	}
	return key(b)
}

// pair is what a seed of a compartment's epoch is for: what is passed on is sealed to one,
// the next epoch is signed by the other.
type pair struct {
	seal *ecdh.PrivateKey
	sign ed25519.PrivateKey
}

func pairOf(seed key) pair {
	s, g := derive(seed[:], "waypost/sealed-seal/1"), derive(seed[:], "waypost/sealed-sign/1")
	return pair{seal: private(s), sign: ed25519.NewKeyFromSeed(g[:])}
}

func (p pair) publicSeal() [32]byte { return [32]byte(p.seal.PublicKey().Bytes()) }
func (p pair) publicSign() [32]byte { return [32]byte(p.sign.Public().(ed25519.PublicKey)) }

// private is an X25519 key; every 32 bytes are one (RFC 7748 section 5).
func private(k key) *ecdh.PrivateKey {
	p, err := ecdh.X25519().NewPrivateKey(k[:])
	if err != nil {
		panic("sealed: " + err.Error()) // only for another length
	}
	return p
}

var errOpen = errors.New("sealed: does not open")

// wrap seals a short secret to somebody's X25519 key with HPKE (RFC 9180): base mode,
// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305.
func wrap(to [32]byte, info, secret []byte) ([]byte, error) {
	p, err := ecdh.X25519().NewPublicKey(to[:])
	if err != nil {
		return nil, err
	}
	public, err := hpke.NewDHKEMPublicKey(p)
	if err != nil {
		return nil, err
	}
	return hpke.Seal(public, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, secret)
}

// unwrap is the reverse.
func unwrap(mine *ecdh.PrivateKey, info, sealed []byte) ([]byte, error) {
	k, err := hpke.NewDHKEMPrivateKey(mine)
	if err != nil {
		return nil, err
	}
	return hpke.Open(k, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, sealed)
}

// The officers' key is made of a scalar that is split between them (Shamir, over
// ristretto255): any two shares give it back, one says nothing.
const together = 2

// share is one officer's part, as it lies sealed to them.
type share struct {
	_     struct{} `cbor:",toarray"`
	Index uint8    // from 1
	Value []byte   // a scalar of ristretto255 (32)
}

// newOfficers draws an officers' key and n shares of it.
func newOfficers(n int) (public [32]byte, shares []share, err error) {
	g := group.Ristretto255
	secret := g.RandomNonZeroScalar(rand.Reader)
	k, err := officersKey(secret)
	if err != nil {
		return public, nil, err
	}
	split := secretsharing.New(rand.Reader, together-1, secret)
	for i := range n {
		id := g.NewScalar().SetUint64(uint64(i + 1)) //nolint:gosec // at most maxOfficers
		value, err := split.ShareWithID(id).Value.MarshalBinary()
		if err != nil {
			return public, nil, err
		}
		shares = append(shares, share{Index: uint8(i + 1), Value: value}) //nolint:gosec // at most maxOfficers
	}
	return [32]byte(k.PublicKey().Bytes()), shares, nil
}

func officersKey(secret group.Scalar) (*ecdh.PrivateKey, error) {
	raw, err := secret.MarshalBinary()
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	return private(derive(raw, "waypost/sealed-officers/1")), nil
}

// join makes the officers' key of two shares; an error when they are not of the key that
// has this public half.
func join(public [32]byte, a, b share) (*ecdh.PrivateKey, error) {
	if a.Index == b.Index || a.Index == 0 || b.Index == 0 {
		return nil, errOpen
	}
	g := group.Ristretto255
	var parts []secretsharing.Share
	for _, s := range []share{a, b} {
		value := g.NewScalar()
		if err := value.UnmarshalBinary(s.Value); err != nil {
			return nil, errOpen
		}
		parts = append(parts, secretsharing.Share{ID: g.NewScalar().SetUint64(uint64(s.Index)), Value: value})
	}
	secret, err := secretsharing.Recover(together-1, parts)
	if err != nil {
		return nil, errOpen
	}
	k, err := officersKey(secret)
	if err != nil {
		return nil, err
	}
	if [32]byte(k.PublicKey().Bytes()) != public {
		return nil, errOpen
	}
	return k, nil
}
