package mesh

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"math/big"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/identity"
)

// A locked node has none of its keys. So that records can flow to it all the same it makes,
// while it is open, a key pair for nothing else, and signs with the node key that whoever
// has that pair is this node, locked. Others give it records and ask it for nothing: such a
// key signs no log, no card and no token, enrols nobody and holds no membership key. It lies
// readable on the card, so a thief has it too and receives what he cannot read, until the
// node is shut out, or has been opened once more: see sessionOf.

// A stamp of a card counts the starts of its node in the bits above these; below are
// milliseconds by its clock. A locked certificate holds until the first stamp of the next
// start: whoever has seen a card of a later start takes it no more.
const stampBits = 42

// nextSession is the first stamp of the start after the one that a stamp belongs to.
func nextSession(stamp uint64) uint64 { return (stamp>>stampBits + 1) << stampBits }

// stampAt is the stamp for a card made now by a node whose newest stamp is last.
func stampAt(last uint64, now time.Time) uint64 {
	ms := uint64(max(now.UnixMilli(), 0)) & (1<<stampBits - 1)
	return max(last+1, last>>stampBits<<stampBits|ms)
}

// LockedCert is a node's word that a key speaks for it while it is locked.
type LockedCert struct {
	Node  identity.NodeCert
	Key   [32]byte // Ed25519
	Until uint64   // the first stamp of a card of the node that ends it
}

const lockedPurpose = "waypost/locked/1"

var errLockedCert = errors.New("mesh: bad certificate of a locked node")

// makeLocked signs one.
func makeLocked(k Keys, key [32]byte, until uint64) ([]byte, error) {
	b := appendCert([]byte{1}, k.Cert())
	b = append(b, key[:]...)
	b = binary.BigEndian.AppendUint64(b, until)
	sig, err := signWith(k, signed(lockedPurpose, k.Deployment(), b))
	return append(b, sig...), err
}

// parseLocked reads and verifies one: the node's certificate against root, the signature
// against the node's key.
func parseLocked(raw []byte, root ed25519.PublicKey) (LockedCert, error) {
	if len(raw) > maxCard || len(raw) < ed25519.SignatureSize {
		return LockedCert{}, errLockedCert
	}
	body, sig := raw[:len(raw)-ed25519.SignatureSize], raw[len(raw)-ed25519.SignatureSize:]
	c := cursor{b: body}
	version := c.u8()
	der := c.take(int(c.u16()))
	var out LockedCert
	c.copy(out.Key[:])
	out.Until = c.u64()
	if c.bad || len(c.b) > 0 || version != 1 {
		return LockedCert{}, errLockedCert
	}
	var err error
	if out.Node, err = verifiedCert(der, root); err != nil {
		return LockedCert{}, err
	}
	// A node key that is named here would let a link be open and locked at once.
	if out.Key == out.Node.Public || !ed25519.Verify(out.Node.Public[:], signed(lockedPurpose, identity.DeploymentOf(root), body), sig) {
		return LockedCert{}, errLockedCert
	}
	return out, nil
}

// LockedNode is whose a locked certificate is. Fault: an error for what is none.
func LockedNode(raw []byte, root ed25519.PublicKey) (identity.NodeCert, error) {
	c, err := parseLocked(raw, root)
	return c.Node, err
}

// NextLocked is the certificate for key that holds until the start after the next: it is
// made before Start, so that a box that loses its power in between is not without. dir is
// Config.Dir.
func NextLocked(k Keys, dir string, key [32]byte) ([]byte, error) {
	r, err := readPeers(dir)
	if err != nil {
		r = remembered{} // Start puts it aside and begins anew, too
	}
	return makeLocked(k, key, nextSession(nextSession(r.Stamp)))
}

// RenewLocked is a new certificate for key where raw, the one at hand, holds no more because
// this node had to raise its stamps: its folder came from a backup, or it runs twice. ok is
// false where raw is as good as any. Safe for concurrent use.
func (m *Mesh) RenewLocked(raw []byte, key [32]byte) (anew []byte, ok bool, err error) {
	m.mu.Lock()
	stamp := m.stamp
	m.mu.Unlock()
	if old, err := parseLocked(raw, m.root); err == nil && old.Until == nextSession(stamp) && old.Key == key && bytes.Equal(old.Node.Marshal(), m.keys.Cert().Marshal()) {
		return nil, false, nil
	}
	anew, err = makeLocked(m.keys, key, nextSession(stamp))
	return anew, err == nil, err
}

// lockedOID marks the X.509 extension of a locked node, as nodeCertOID that of an open one;
// the number is from SHA-256("waypost/locked-cert/1").
func lockedOID() asn1.ObjectIdentifier {
	h := sha256.Sum256([]byte("waypost/locked-cert/1"))
	return asn1.ObjectIdentifier{2, 25, int(h[0]&0x7f)<<24 | int(h[1])<<16 | int(h[2])<<8 | int(h[3])}
}

// lockedTLS wraps a locked certificate as tlsCertificate wraps that of a node.
func lockedTLS(seed [32]byte, raw []byte) (tls.Certificate, error) {
	s := ed25519.NewKeyFromSeed(seed[:])
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{},
		NotBefore: time.Unix(0, 0).UTC(), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		ExtraExtensions: []pkix.Extension{{Id: lockedOID(), Value: raw}},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, s.Public(), s)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: s}, nil
}

// lockedPeer is the locked node at the other side: its certificate is for the very key the
// handshake proved, and it came for records and nothing else.
func lockedPeer(cs tls.ConnectionState, root ed25519.PublicKey) (LockedCert, error) {
	key, leaf, err := peerKey(cs)
	if err != nil {
		return LockedCert{}, err
	}
	oid := lockedOID()
	i := slices.IndexFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oid) })
	if i < 0 || cs.NegotiatedProtocol != protoExchange {
		return LockedCert{}, errPeer
	}
	cert, err := parseLocked(leaf.Extensions[i].Value, root)
	if err != nil {
		return LockedCert{}, err
	}
	if subtle.ConstantTimeCompare(cert.Key[:], key) != 1 {
		return LockedCert{}, errPeer
	}
	return cert, nil
}
