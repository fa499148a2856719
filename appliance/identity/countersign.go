package identity

import (
	"bytes"
	"crypto/ed25519"
	"slices"
)

// countersigned is an issuer's word on something that two people have signed: the
// root's key, the root's word for the issuer, and the issuer's signature.
type countersigned struct {
	_      struct{} `cbor:",toarray"`
	Root   [32]byte
	Issuer issuerWire
	Sig    [64]byte
}

// countersignPurpose keeps an issuer's word apart from its certificates.
const countersignPurpose = "waypost/countersigned/1"

// Countersign is the issuer's word for msg, as bytes that VerifyCountersign reads;
// false where no issuer lives.
func (v *Vault) Countersign(msg []byte) ([]byte, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.canEnrol() {
		return nil, false
	}
	key := ed25519.NewKeyFromSeed(v.s.IssuerSeed)
	i := v.Cert().Issuer
	c := countersigned{
		Root:   [32]byte(v.root),
		Issuer: issuerWire{Version: certVersion, Public: i.Public, NotBefore: i.NotBefore, NotAfter: i.NotAfter, Sig: i.Sig},
		Sig:    [64]byte(ed25519.Sign(key, append([]byte(countersignPurpose), msg...))),
	}
	if !bytes.Equal(key.Public().(ed25519.PublicKey), i.Public[:]) {
		return nil, false // the certificate is of another issuer than the one that lives here
	}
	return encode(c), true
}

// VerifyCountersign reports whether an issuer of the deployment gave its word for
// msg. It depends on nothing but its arguments: the deployment is the root's hash,
// so the root key can travel along.
func VerifyCountersign(d DeploymentID, word, msg []byte) bool {
	var c countersigned
	if len(word) > maxCertBytes || decode(word, &c) != nil || !bytes.Equal(encode(c), word) || DeploymentOf(c.Root[:]) != d {
		return false
	}
	i := IssuerCert{Public: c.Issuer.Public, NotBefore: c.Issuer.NotBefore, NotAfter: c.Issuer.NotAfter, Sig: c.Issuer.Sig}
	return c.Issuer.Version == certVersion && ed25519.Verify(c.Root[:], i.message(d), i.Sig[:]) &&
		ed25519.Verify(i.Public[:], slices.Concat([]byte(countersignPurpose), msg), c.Sig[:])
}
