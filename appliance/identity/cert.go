package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// DeploymentID names one operation: the first 16 bytes of
// SHA-256("waypost/deployment/1" ‖ root public key).
type DeploymentID [16]byte

// String is 32 hexadecimal digits.
func (d DeploymentID) String() string { return hex.EncodeToString(d[:]) }

// DeploymentOf is the deployment a root public key stands for.
func DeploymentOf(root ed25519.PublicKey) DeploymentID {
	return DeploymentID(hashed("waypost/deployment/1", root)[:16])
}

// NodeID names one appliance: the first 10 bytes of SHA-256("waypost/node/1" ‖
// node public key).
type NodeID = oplog.ID

// NodeOf is the id of the node with that public key.
func NodeOf(public [32]byte) NodeID { return NodeID(hashed("waypost/node/1", public[:])[:10]) }

// Fingerprint is what an invitation says about its maker's node key: the first
// 16 bytes of the hash whose first ten are the node's id.
func Fingerprint(public [32]byte) [16]byte {
	return [16]byte(hashed("waypost/node/1", public[:])[:16])
}

// hashed is SHA-256 over a purpose and what follows it. Purposes differ from each
// other within their own length, so no two uses can meet in one input.
func hashed(purpose string, parts ...[]byte) []byte {
	h := sha256.New()
	h.Write([]byte(purpose))
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// Caps is what a node may do beyond keeping records, as bits.
type Caps uint8

// The capabilities. A bit this version does not know is kept and grants nothing.
const (
	CapTokens Caps = 1 << 0 // its signature makes tokens genuine
	CapEnrol  Caps = 1 << 1 // the issuer lives here: it may admit nodes
)

// IssuerCert is the root's word for an issuer: it may sign node certificates.
type IssuerCert struct {
	Public    [32]byte // Ed25519
	NotBefore int64    // Unix seconds, set back by 30 days because clocks lie
	NotAfter  int64    // Unix seconds; past it nothing stops but enrolling
	Sig       [64]byte // by the root
}

// NodeCert is an issuer's word for a node. It names nobody: what a site is
// called is a fact of the register.
type NodeCert struct {
	Number    uint16   // short number printed in tokens; unique in the deployment
	Public    [32]byte // Ed25519: signs heads, tokens and handshakes
	Seal      [32]byte // X25519: keys are sealed to it
	Areas     []uint16 // register areas it opens, ascending
	Caps      Caps
	NotBefore int64 // Unix seconds
	NotAfter  int64 // Unix seconds
	Issuer    IssuerCert
	Sig       [64]byte // by the issuer
}

// Limits of a certificate.
const (
	maxAreas     = 16
	maxCertBytes = 400 // so that it fits into a memberlist card with its signature
)

// ErrExpired and ErrNotYet are what VerifyAt wraps when everything but the time
// is right. A caller that only wants to know whose certificate it is goes on.
var (
	ErrExpired = errors.New("identity: certificate is past its date")
	ErrNotYet  = errors.New("identity: certificate is dated in the future")
)

// The wire forms, deterministic CBOR arrays (RFC 8949 section 4.2.1).
type issuerWire struct {
	_         struct{} `cbor:",toarray"`
	Version   uint8
	Public    [32]byte
	NotBefore int64
	NotAfter  int64
	Sig       [64]byte
}

type nodeWire struct {
	_         struct{} `cbor:",toarray"`
	Version   uint8
	Number    uint16
	Public    [32]byte
	Seal      [32]byte
	Areas     []uint16
	Caps      uint8
	NotBefore int64
	NotAfter  int64
	Issuer    issuerWire
	Sig       [64]byte
}

const certVersion = 1

// ID is the node's id.
func (c NodeCert) ID() NodeID { return NodeOf(c.Public) }

// Has reports whether the certificate grants all of want.
func (c NodeCert) Has(want Caps) bool { return c.Caps&want == want }

func (c NodeCert) wire() nodeWire {
	areas := c.Areas
	if areas == nil {
		areas = []uint16{} // an array, never null: one certificate has one spelling
	}
	i := c.Issuer
	return nodeWire{
		Version: certVersion, Number: c.Number, Public: c.Public, Seal: c.Seal, Areas: areas, Caps: uint8(c.Caps),
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, Sig: c.Sig,
		Issuer: issuerWire{Version: certVersion, Public: i.Public, NotBefore: i.NotBefore, NotAfter: i.NotAfter, Sig: i.Sig},
	}
}

// Marshal is the certificate as it travels, about 280 bytes.
func (c NodeCert) Marshal() []byte { return encode(c.wire()) }

// ParseNodeCert reads what Marshal wrote and nothing else: every certificate has
// exactly one spelling. It checks form, not signatures; Verify does. Fault:
// Invalid "fault.identity.bad_certificate".
func ParseNodeCert(b []byte) (NodeCert, error) {
	bad := fault.New(fault.Invalid, "fault.identity.bad_certificate")
	if len(b) > maxCertBytes {
		return NodeCert{}, bad
	}
	var w nodeWire
	if err := decode(b, &w); err != nil {
		return NodeCert{}, bad.Wrap(err)
	}
	if w.Version != certVersion || w.Issuer.Version != certVersion || len(w.Areas) > maxAreas || !ascending(w.Areas) || !bytes.Equal(encode(w), b) {
		return NodeCert{}, bad
	}
	i := w.Issuer
	return NodeCert{
		Number: w.Number, Public: w.Public, Seal: w.Seal, Areas: w.Areas, Caps: Caps(w.Caps),
		NotBefore: w.NotBefore, NotAfter: w.NotAfter, Sig: w.Sig,
		Issuer: IssuerCert{Public: i.Public, NotBefore: i.NotBefore, NotAfter: i.NotAfter, Sig: i.Sig},
	}, nil
}

func ascending(areas []uint16) bool {
	for i := 1; i < len(areas); i++ {
		if areas[i-1] >= areas[i] {
			return false
		}
	}
	return true
}

// message is what the root signs.
func (c IssuerCert) message(d DeploymentID) []byte {
	c.Sig = [64]byte{}
	w := issuerWire{Version: certVersion, Public: c.Public, NotBefore: c.NotBefore, NotAfter: c.NotAfter}
	return slices.Concat([]byte("waypost/issuer/1"), d[:], encode(w))
}

// message is what the issuer signs: everything but its own signature, the
// issuer's certificate included.
func (c NodeCert) message(d DeploymentID) []byte {
	c.Sig = [64]byte{}
	return slices.Concat([]byte("waypost/node-cert/1"), d[:], encode(c.wire()))
}

// Verify checks both signatures against root. Time plays no part: a box without
// a battery boots in 1970, and only a revocation closes a link. Fault: Denied
// "fault.identity.not_ours".
func (c NodeCert) Verify(root ed25519.PublicKey) error {
	d := DeploymentOf(root)
	if len(root) != ed25519.PublicKeySize ||
		!ed25519.Verify(root, c.Issuer.message(d), c.Issuer.Sig[:]) ||
		!ed25519.Verify(c.Issuer.Public[:], c.message(d), c.Sig[:]) {
		return fault.New(fault.Denied, "fault.identity.not_ours")
	}
	return nil
}

// VerifyAt is Verify and then a look at the dates of both certificates: the
// fault Denied "fault.identity.certificate_time" wraps ErrExpired or ErrNotYet
// when nothing else is wrong, so that the caller decides what a date is worth.
func (c NodeCert) VerifyAt(root ed25519.PublicKey, now time.Time) error {
	if err := c.Verify(root); err != nil {
		return err
	}
	t := now.Unix()
	late := fault.New(fault.Denied, "fault.identity.certificate_time")
	switch {
	case t > c.NotAfter || t > c.Issuer.NotAfter:
		return late.Wrap(ErrExpired)
	case t < c.NotBefore || t < c.Issuer.NotBefore:
		return late.Wrap(ErrNotYet)
	}
	return nil
}

// sign fills in the issuer's signature.
func (c *NodeCert) sign(d DeploymentID, issuer ed25519.PrivateKey) {
	c.Sig = [64]byte(ed25519.Sign(issuer, c.message(d)))
}

// sign fills in the root's signature.
func (c *IssuerCert) sign(d DeploymentID, root ed25519.PrivateKey) {
	c.Sig = [64]byte(ed25519.Sign(root, c.message(d)))
}
