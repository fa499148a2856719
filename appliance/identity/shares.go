package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"slices"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/fault"
)

// How many papers the root is kept on, and how many of them bring it back.
const (
	ShareCount  = 5
	SharesToUse = 3
)

// Share is one of five papers on which the root is kept; any three bring it back and two
// say nothing about it. It is secret.
type Share struct {
	Number     int     // 1 to 5
	deployment [6]byte // the beginning of the deployment's id
	set        [2]byte // random: which printing it belongs to
	sealed     [ed25519.SeedSize + chacha20poly1305.Overhead]byte
	value      [32]byte // a scalar of ristretto255
}

const (
	shareVersion = 1
	shareLines   = 9
	shareLength  = shareLines * paperBytes
)

// content is the version, the number, deployment and set, the sealed seed and the value:
// 90 bytes.
func (s Share) content() []byte {
	return slices.Concat(s.head(), s.sealed[:], s.value[:])
}

func (s Share) head() []byte {
	return slices.Concat([]byte{shareVersion, byte(s.Number)}, s.deployment[:], s.set[:])
}

// bound is what the sealed seed is bound to: all of the head but the number.
func (s Share) bound() []byte {
	s.Number = 0
	return append([]byte("waypost/root-shares/1"), s.head()...)
}

// Lines are the nine lines that are printed, in groups of four.
func (s Share) Lines() []string {
	lines := paperLines(markShare, s.content())
	for i := range lines {
		lines[i] = paperGroups(lines[i])
	}
	return lines
}

// Code is the share as its QR code has it.
func (s Share) Code() string {
	code := markShare
	for _, l := range paperLines(markShare, s.content()) {
		code += l
	}
	return code
}

// File is the share as a text file.
func (s Share) File() []byte { return paperFile(markShare, paperLines(markShare, s.content())) }

// String keeps the share out of logs.
func (s Share) String() string { return "share" }

// GoString does the same for %#v.
func (s Share) GoString() string { return s.String() }

// sum names the share without giving anything of it away: the value alone has 252 bits.
func (s Share) sum() [32]byte { return [32]byte(hashed("waypost/share-sum/1", s.content())) }

// ParseShare reads a share as it was typed, scanned or written to a file. Faults: those
// of readPaper, Invalid "fault.identity.share_version".
func ParseShare(text string) (Share, error) {
	b, err := readPaper(markShare, shareLines, text)
	if err != nil {
		return Share{}, err
	}
	defer clear(b)
	s := Share{Number: int(b[1])}
	if b[0] != shareVersion || s.Number < 1 || s.Number > ShareCount {
		return Share{}, fault.New(fault.Invalid, "fault.identity.share_version")
	}
	copy(s.deployment[:], b[2:8])
	copy(s.set[:], b[8:10])
	copy(s.sealed[:], b[10:])
	copy(s.value[:], b[10+len(s.sealed):])
	if _, err := s.scalar(); err != nil {
		return Share{}, fault.New(fault.Invalid, "fault.identity.share_version").Wrap(err)
	}
	return s, nil
}

// scalar is the value, which must be spelt in the one right way.
func (s Share) scalar() (group.Scalar, error) {
	x := group.Ristretto255.NewScalar()
	if err := x.UnmarshalBinary(s.value[:]); err != nil {
		return nil, err
	}
	again, err := x.MarshalBinary()
	if err == nil && !bytes.Equal(again, s.value[:]) {
		err = errSecrets
	}
	return x, err
}

// splitRoot makes the five shares of a root seed. What is shared is a random scalar; the
// seed is sealed under a key of it and goes onto every share.
func splitRoot(d DeploymentID, seed []byte) ([]Share, error) {
	secret := group.Ristretto255.RandomNonZeroScalar(rand.Reader)
	base := Share{deployment: [6]byte(d[:6]), set: [2]byte(random(2))}
	aead, nonce, err := shareCipher(secret, base)
	if err != nil {
		return nil, err
	}
	copy(base.sealed[:], aead.Seal(nil, nonce, seed, base.bound()))
	var out []Share
	for i, x := range secretsharing.New(rand.Reader, SharesToUse-1, secret).Share(ShareCount) {
		s := base
		s.Number = i + 1
		value, err := x.Value.MarshalBinary()
		if err != nil {
			return nil, err
		}
		copy(s.value[:], value)
		clear(value)
		out = append(out, s)
	}
	return out, nil
}

// shareCipher is XChaCha20-Poly1305 under a key, and with a nonce, that are used once.
func shareCipher(secret group.Scalar, s Share) (aead interface {
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
}, nonce []byte, err error) {
	raw, err := secret.MarshalBinary()
	if err != nil {
		return nil, nil, err
	}
	defer clear(raw)
	key, err := hkdf.Key(sha256.New, raw, slices.Concat(s.deployment[:], s.set[:]), "waypost/root-shares/1", chacha20poly1305.KeySize+chacha20poly1305.NonceSizeX)
	if err != nil {
		return nil, nil, err
	}
	aead, err = chacha20poly1305.NewX(key[:chacha20poly1305.KeySize])
	return aead, key[chacha20poly1305.KeySize:], err
}

// JoinShares brings the root back from three or more shares. The sheet has no name and no
// nodes. Faults: Invalid "fault.identity.shares_few" and "fault.identity.shares_same", which
// names the number, "fault.identity.shares_deployment", "fault.identity.shares_set" and
// "fault.identity.shares_wrong".
func JoinShares(shares []Share) (RootSheet, error) {
	seen := map[int]Share{}
	for _, s := range shares {
		first := shares[0]
		switch {
		case s.deployment != first.deployment:
			return RootSheet{}, fault.New(fault.Invalid, "fault.identity.shares_deployment")
		case s.set != first.set || s.sealed != first.sealed:
			return RootSheet{}, fault.New(fault.Invalid, "fault.identity.shares_set")
		case seen[s.Number] != Share{}:
			return RootSheet{}, fault.New(fault.Invalid, "fault.identity.shares_same", "Number", s.Number)
		}
		seen[s.Number] = s
	}
	if len(shares) < SharesToUse {
		return RootSheet{}, fault.New(fault.Invalid, "fault.identity.shares_few", "Count", len(shares), "Need", SharesToUse)
	}
	for i := range shares {
		for j := i + 1; j < len(shares); j++ {
			for k := j + 1; k < len(shares); k++ {
				if sheet, ok := joinThree(shares[i], shares[j], shares[k]); ok {
					return sheet, nil
				}
			}
		}
	}
	return RootSheet{}, fault.New(fault.Invalid, "fault.identity.shares_wrong")
}

func joinThree(three ...Share) (RootSheet, bool) {
	var points []secretsharing.Share
	for _, s := range three {
		x, err := s.scalar()
		if err != nil {
			return RootSheet{}, false
		}
		points = append(points, secretsharing.Share{ID: group.Ristretto255.NewScalar().SetUint64(uint64(s.Number)), Value: x}) //nolint:gosec // 1 to 5
	}
	secret, err := secretsharing.Recover(SharesToUse-1, points)
	if err != nil {
		return RootSheet{}, false
	}
	first := three[0]
	aead, nonce, err := shareCipher(secret, first)
	if err != nil {
		return RootSheet{}, false
	}
	seed, err := aead.Open(nil, nonce, first.sealed[:], first.bound())
	if err != nil {
		return RootSheet{}, false
	}
	sheet := sheetOf(seed)
	d := sheet.Deployment()
	return sheet, [6]byte(d[:6]) == first.deployment
}

// sheetOf is a sheet with nothing but the root.
func sheetOf(seed []byte) RootSheet {
	return RootSheet{Root: ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey), Seed: seed}
}
