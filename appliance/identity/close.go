package identity

import (
	"crypto"
	"crypto/ed25519"
	"io"

	"github.com/waypost/waypost/appliance/fault"
)

// Close ends the vault: every key it holds is overwritten. It waits for signatures under
// way and for a file that is being written. What comes later is refused, signs nothing
// and finds no key; names and public keys stay. Close the journal and the mesh before it.
func (v *Vault) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.using.Lock()
	defer v.using.Unlock()
	if v.ended {
		return
	}
	v.ended = true
	v.sealed.Forget()
	v.keys.wipe()
	clear(v.node)
	v.node = nil
	for i := range v.s.Invitations {
		clear(v.s.Invitations[i].Proof[:])
	}
}

// KeysLocked reports whether the system keeps the keys out of the swap.
func (v *Vault) KeysLocked() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.keys.locked
}

func errEnded() error { return fault.New(fault.Locked, "fault.identity.closed") }

// sign is Ed25519 by the node key; nil when the vault is closed.
func (v *Vault) sign(msg []byte) []byte {
	v.using.RLock()
	defer v.using.RUnlock()
	if v.ended {
		return nil
	}
	return ed25519.Sign(v.node, msg)
}

// signer is the node key for TLS: it holds none of it and ends with the vault.
type signer struct{ v *Vault }

func (s signer) Public() crypto.PublicKey { return ed25519.PublicKey(s.v.cert.Public[:]) }

func (s signer) Sign(_ io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.Hash(0) {
		return nil, fault.New(fault.Internal, "fault.internal")
	}
	sig := s.v.sign(msg)
	if sig == nil {
		return nil, errEnded()
	}
	return sig, nil
}
