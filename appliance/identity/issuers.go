package identity

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/hex"
	"slices"

	"github.com/waypost/waypost/appliance/fault"
)

// IssuerID names an issuer: the first 10 bytes of SHA-256("waypost/issuer-id/1" ‖ its
// public key).
type IssuerID [10]byte

// String is 20 hexadecimal digits.
func (i IssuerID) String() string { return hex.EncodeToString(i[:]) }

// IssuerOf is the id of the issuer with that public key.
func IssuerOf(public [32]byte) IssuerID {
	return IssuerID(hashed("waypost/issuer-id/1", public[:])[:10])
}

// ID is the issuer's id.
func (c IssuerCert) ID() IssuerID { return IssuerOf(c.Public) }

// Verify checks the root's signature. Dates play no part, as in NodeCert.Verify. Fault:
// Denied "fault.identity.not_ours".
func (c IssuerCert) Verify(root ed25519.PublicKey) error {
	if len(root) != ed25519.PublicKeySize || !ed25519.Verify(root, c.message(DeploymentOf(root)), c.Sig[:]) {
		return fault.New(fault.Denied, "fault.identity.not_ours")
	}
	return nil
}

// Issuer is one issuer of the deployment as far as it is known here: the root's word for
// it, and the nodes that say that it lives with them.
type Issuer struct {
	Cert  IssuerCert
	Nodes []NodeID // sorted; usually one, none for an issuer file nobody has installed
}

// Issuers lists every issuer the root vouches for that is known here: those that signed a
// node's certificate and those the ceremony named. Sorted by id. Whether one was revoked
// is not looked at: see IssuerStandings. The result is the caller's.
func (d *Desk) Issuers() ([]Issuer, error) {
	nodes, err := d.Nodes()
	if err != nil {
		return nil, err
	}
	found := map[IssuerID]*Issuer{}
	add := func(c IssuerCert) *Issuer {
		i := found[c.ID()]
		if i == nil {
			i = &Issuer{Cert: c}
			found[c.ID()] = i
		}
		return i
	}
	for _, n := range nodes {
		i := add(n.Cert.Issuer)
		if n.Cert.Has(CapEnrol) {
			i.Nodes = append(i.Nodes, n.ID)
		}
	}
	held, ok, err := d.Held()
	if err != nil {
		return nil, err
	}
	if ok {
		for _, c := range held.Issuers {
			add(c)
		}
	}
	out := make([]Issuer, 0, len(found))
	for _, i := range found {
		slices.SortFunc(i.Nodes, func(a, b NodeID) int { return bytes.Compare(a[:], b[:]) })
		out = append(out, *i)
	}
	slices.SortFunc(out, func(a, b Issuer) int {
		x, y := a.Cert.ID(), b.Cert.ID()
		return cmp.Compare(string(x[:]), string(y[:]))
	})
	return out, nil
}

// SignAsIssuer is the word of the issuer that lives here for msg under a purpose, such as
// "waypost/revocation/1"; false where none lives or it is closed. The purpose keeps
// signatures of different uses apart; it must differ from every other within its length.
func (v *Vault) SignAsIssuer(purpose string, msg []byte) (sig [64]byte, by IssuerCert, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	by = v.Cert().Issuer
	if !v.canEnrol() {
		return sig, by, false
	}
	key := ed25519.NewKeyFromSeed(v.s.IssuerSeed)
	if !bytes.Equal(key.Public().(ed25519.PublicKey), by.Public[:]) {
		return sig, by, false // the certificate is of another issuer than the one that lives here
	}
	return [64]byte(ed25519.Sign(key, slices.Concat([]byte(purpose), msg))), by, true
}

// SignAsRoot is the root's word for msg under a purpose, while its seed is on the box and
// open; false otherwise. RootSheet.Sign is the same from paper.
func (v *Vault) SignAsRoot(purpose string, msg []byte) (sig [64]byte, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended || !v.rootHere() {
		return sig, false
	}
	return [64]byte(ed25519.Sign(ed25519.NewKeyFromSeed(v.s.RootSeed), slices.Concat([]byte(purpose), msg))), true
}

// Sign is the root's word for msg under a purpose; false when the sheet only verifies.
func (s RootSheet) Sign(purpose string, msg []byte) (sig [64]byte, ok bool) {
	if len(s.Seed) != ed25519.SeedSize {
		return sig, false
	}
	return [64]byte(ed25519.Sign(ed25519.NewKeyFromSeed(s.Seed), slices.Concat([]byte(purpose), msg))), true
}
