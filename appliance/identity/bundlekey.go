package identity

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"slices"
)

// A bundle (package bundle) is opened by the key in a node's certificate or by a key that
// follows from one of the membership traffic.

// bundleKeyPurpose derives the second kind; bundlePurpose binds what is sealed to either.
const (
	bundleKeyPurpose = "waypost/bundle-key/1"
	bundlePurpose    = "waypost/bundle-slot/1"
)

// BundleInfo is the HPKE info of what a bundle seals to its readers. The id is drawn for
// each bundle.
func BundleInfo(d DeploymentID, id [16]byte) []byte {
	return slices.Concat([]byte(bundlePurpose), d[:], id[:])
}

// BundleSecrets are secrets that follow from the keys of the membership traffic this node
// holds, the one in use first: a bundle for any post is sealed under the first, and
// whoever reads tries all. Nil when the vault is closed. The caller overwrites them.
func (v *Vault) BundleSecrets() [][32]byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return nil
	}
	out := make([][32]byte, 0, len(v.s.Gossip))
	for _, k := range v.s.Gossip {
		secret, err := hkdf.Key(sha256.New, bytes.Clone(k), nil, bundleKeyPurpose+string(v.deployment[:]), 32)
		if err != nil {
			return nil // 32 bytes of SHA-256 cannot be too many
		}
		out = append(out, [32]byte(secret))
		clear(secret)
	}
	return out
}

// UnsealBundle opens what a bundle with that id sealed to this node's certificate. It
// opens nothing that was sealed for another purpose.
func (v *Vault) UnsealBundle(id [16]byte, sealed []byte) ([]byte, error) {
	return v.unseal(BundleInfo(v.deployment, id), sealed)
}

// CommonKeySafe reports whether nobody who was shut out may hold the key of the membership
// traffic that this node uses, as far as is known here. Between learning of a lost node and
// the new keys it is not.
func (d *Desk) CommonKeySafe() (bool, error) {
	l, err := d.ledger()
	if err != nil {
		return false, err
	}
	if l.stale(forGossip, 0) {
		return false, nil
	}
	e, begun := l.newest(forGossip, 0)
	if !begun {
		return true, nil
	}
	d.vault.mu.Lock()
	defer d.vault.mu.Unlock()
	return !d.vault.ended && d.vault.gossipAt(e.epochID, e.check) == 0, nil
}
