//go:build firstlight

// Package identity says who belongs to a deployment: root, issuers and node
// certificates, and what two people compare before they trust each other's box.
//
//	deployment root (Ed25519) -> issuer certificate -> node certificate
//
// A certificate is a deterministic CBOR array (RFC 8949 section 4.2.1) whose last
// element is an Ed25519 signature over a domain word, a zero byte and the array
// without it:
//
//	issuer  [public 32, not-before, not-after, signature by the root]
//	node    [number, public 32, seal 32, [areas], capabilities, not-before, not-after, issuer, signature by the issuer]
//
// Times are seconds since 1970. Nothing in a certificate is a name: it travels
// before anything is sealed, and a carrier may read it.
//
// A certificate that is only too old or too young is reported as such and as
// nothing worse, because clocks in a camp lie and a wrong one must never cost a
// record: whoever asks decides what an expired certificate still may do.
package identity
