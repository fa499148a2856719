package mesh

import (
	"crypto"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/waypost/waypost/appliance/identity"
)

// Limits of cards. Together with the certificate an address card stays below
// 2 KB and a member card below memberlist's 512 bytes.
const (
	maxCard      = 2048
	maxCardCert  = 400
	maxAddresses = 12
	maxAddress   = 100
)

// card says where a node can be reached, in the node's own words: certificate,
// addresses and a stamp that only grows, signed by the node key. So a third node
// can pass it on without being believed about anything but its age.
type card struct {
	cert  identity.NodeCert
	stamp uint64
	addrs []string
	raw   []byte
}

var errCard = errors.New("mesh: bad card")

// sign makes the bytes Ed25519 signs: a purpose, the deployment, the content.
func signed(purpose string, deployment [16]byte, content ...[]byte) []byte {
	b := append([]byte(purpose), deployment[:]...)
	for _, c := range content {
		b = append(b, c...)
	}
	return b
}

func signWith(k Keys, msg []byte) ([]byte, error) {
	return k.Signer().Sign(nil, msg, crypto.Hash(0))
}

func makeCard(k Keys, stamp uint64, addrs []string) (card, error) {
	if len(addrs) > maxAddresses {
		addrs = addrs[:maxAddresses]
	}
	b := appendCert([]byte{1}, k.Cert())
	b = binary.BigEndian.AppendUint64(b, stamp)
	b = append(b, byte(len(addrs)))
	for _, a := range addrs {
		b = append(b, byte(len(a)))
		b = append(b, a...)
	}
	sig, err := signWith(k, signed("waypost/card/1", k.Deployment(), b))
	if err != nil {
		return card{}, err
	}
	return card{cert: k.Cert(), stamp: stamp, addrs: addrs, raw: append(b, sig...)}, nil
}

// parseCard reads and verifies a card: certificate against root, signature
// against the certificate's key.
func parseCard(raw []byte, deployment [16]byte, root ed25519.PublicKey) (card, error) {
	if len(raw) > maxCard || len(raw) < ed25519.SignatureSize {
		return card{}, errCard
	}
	body, sig := raw[:len(raw)-ed25519.SignatureSize], raw[len(raw)-ed25519.SignatureSize:]
	c := cursor{b: body}
	version := c.u8()
	der := c.take(int(c.u16()))
	out := card{stamp: c.u64(), raw: append([]byte(nil), raw...)}
	n := int(c.u8())
	for i := 0; i < n && !c.bad; i++ {
		a := string(c.take(int(c.u8())))
		if !validAddress(a) {
			return card{}, errCard
		}
		out.addrs = append(out.addrs, a)
	}
	if c.bad || len(c.b) > 0 || version != 1 || n > maxAddresses {
		return card{}, errCard
	}
	var err error
	if out.cert, err = verifiedCert(der, root); err != nil {
		return card{}, err
	}
	if !ed25519.Verify(out.cert.Public[:], signed("waypost/card/1", deployment, body), sig) {
		return card{}, errCard
	}
	return out, nil
}

// appendCert adds a certificate behind its length.
func appendCert(b []byte, c identity.NodeCert) []byte {
	cert := c.Marshal()
	return append(binary.BigEndian.AppendUint16(b, uint16(len(cert))), cert...)
}

func verifiedCert(b []byte, root ed25519.PublicKey) (identity.NodeCert, error) {
	if len(b) == 0 || len(b) > maxCardCert {
		return identity.NodeCert{}, errCard
	}
	cert, err := identity.ParseNodeCert(b)
	if err != nil {
		return identity.NodeCert{}, err
	}
	return cert, cert.Verify(root)
}

// makeMember is the metadata memberlist carries for us: the certificate and a
// signature over the member's name, so that a key holder cannot speak as another
// node.
func makeMember(k Keys, name string) ([]byte, error) {
	b := appendCert([]byte{1}, k.Cert())
	sig, err := signWith(k, signed("waypost/member/1", k.Deployment(), []byte(name)))
	return append(b, sig...), err
}

func parseMember(meta []byte, name string, deployment [16]byte, root ed25519.PublicKey) (identity.NodeCert, error) {
	c := cursor{b: meta}
	version := c.u8()
	der, sig := c.take(int(c.u16())), c.take(ed25519.SignatureSize)
	if c.bad || len(c.b) > 0 || version != 1 {
		return identity.NodeCert{}, errCard
	}
	cert, err := verifiedCert(der, root)
	if err != nil {
		return identity.NodeCert{}, err
	}
	if !ed25519.Verify(cert.Public[:], signed("waypost/member/1", deployment, []byte(name)), sig) {
		return identity.NodeCert{}, errCard
	}
	return cert, nil
}

// validAddress accepts host:port with an IP address or a plain host name.
func validAddress(a string) bool {
	if len(a) > maxAddress {
		return false
	}
	host, port, err := net.SplitHostPort(a)
	if err != nil || host == "" {
		return false
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return !ip.IsUnspecified() && !ip.IsMulticast()
	}
	return strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}
