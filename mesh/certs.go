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
	"errors"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/identity"
)

// The protocols of the one port, told apart by ALPN (RFC 7301).
const (
	protoGossip   = "waypost-gossip/1"
	protoExchange = "waypost-exchange/1"
	protoJoin     = "waypost-join/1"
)

// nodeCertOID marks the X.509 extension that carries the node certificate: an arc
// below 2.25, where ITU-T X.667 lets anyone name things without registering. The
// number is the first 31 bits of SHA-256("waypost/node-cert/1").
func nodeCertOID() asn1.ObjectIdentifier {
	h := sha256.Sum256([]byte("waypost/node-cert/1"))
	n := int(h[0]&0x7f)<<24 | int(h[1])<<16 | int(h[2])<<8 | int(h[3])
	return asn1.ObjectIdentifier{2, 25, n}
}

var (
	errPeer = errors.New("mesh: not a node of this deployment")
	errShut = errors.New("mesh: this node was shut out")
)

// tlsCertificate wraps the node certificate into a self-signed X.509 certificate
// around the node key. It is valid for ever and names nobody: clocks lie, and
// only revocation closes a link.
func tlsCertificate(k Keys) (tls.Certificate, error) {
	t := &x509.Certificate{
		SerialNumber:    big.NewInt(1),
		Subject:         pkix.Name{},
		NotBefore:       time.Unix(0, 0).UTC(),
		NotAfter:        time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280 4.1.2.5: no end date
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtKeyUsage:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		ExtraExtensions: []pkix.Extension{{Id: nodeCertOID(), Value: k.Cert().Marshal()}},
	}
	s := k.Signer()
	der, err := x509.CreateCertificate(rand.Reader, t, t, s.Public(), s)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: s}, nil
}

// peerKey is the Ed25519 key the other side proved to hold.
func peerKey(cs tls.ConnectionState) (ed25519.PublicKey, *x509.Certificate, error) {
	if len(cs.PeerCertificates) != 1 {
		return nil, nil, errPeer
	}
	leaf := cs.PeerCertificates[0]
	key, ok := leaf.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, nil, errPeer
	}
	return key, leaf, nil
}

// peerCert is the node certificate of the other side: issued under root, and for
// the very key the handshake proved.
func peerCert(cs tls.ConnectionState, root ed25519.PublicKey) (identity.NodeCert, error) {
	key, leaf, err := peerKey(cs)
	if err != nil {
		return identity.NodeCert{}, err
	}
	oid := nodeCertOID()
	i := slices.IndexFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oid) })
	if i < 0 {
		locked, err := lockedPeer(cs, root)
		return locked.Node, err
	}
	cert, err := verifiedCert(leaf.Extensions[i].Value, root)
	if err != nil {
		return identity.NodeCert{}, err
	}
	if subtle.ConstantTimeCompare(cert.Public[:], key) != 1 {
		return identity.NodeCert{}, errPeer
	}
	return cert, nil
}

// credentials are this node's TLS sides. Safe for concurrent use.
type credentials struct {
	server *tls.Config // dispatches by ALPN
	root   ed25519.PublicKey
	keys   Keys
	shut   func(identity.NodeCert) bool

	mu   sync.Mutex
	made []byte           // the node certificate that own carries
	own  *tls.Certificate // never changed once made: connections hold it
}

func newCredentials(k Keys, shut func(identity.NodeCert) bool) (*credentials, error) {
	c := &credentials{root: k.Root(), keys: k, shut: shut}
	if _, err := c.certificate(); err != nil {
		return nil, err
	}
	mutual := c.base(protoGossip, protoExchange)
	mutual.ClientAuth = tls.RequireAnyClientCert
	mutual.VerifyConnection = c.verify
	guest := c.base(protoJoin)
	none := errors.New("mesh: no protocol in common")
	c.server = &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			// Exactly one offer, so nobody is let in as a guest and served as a node.
			if len(h.SupportedProtos) != 1 {
				return nil, none
			}
			switch h.SupportedProtos[0] {
			case protoGossip, protoExchange:
				return mutual, nil
			case protoJoin:
				return guest, nil
			}
			return nil, none
		},
	}
	return c, nil
}

// certificate is what the next connection shows: made anew when the node certificate is
// another one, as when an issuer was installed here. Connections that are open go on.
func (c *credentials) certificate() (*tls.Certificate, error) {
	now := c.keys.Cert().Marshal()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own != nil && bytes.Equal(now, c.made) {
		return c.own, nil
	}
	own, err := tlsCertificate(c.keys)
	if err != nil {
		return nil, err
	}
	c.own, c.made = &own, now
	return c.own, nil
}

// base is TLS 1.3 with our certificate. Tickets are off: every connection proves
// its key anew.
func (c *credentials) base(protos ...string) *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.certificate() },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.certificate() },
		NextProtos:           protos, SessionTicketsDisabled: true,
	}
}

// verify refuses whoever is no node of ours, and whoever was shut out.
func (c *credentials) verify(cs tls.ConnectionState) error {
	cert, err := peerCert(cs, c.root)
	if err == nil && c.shut(cert) {
		err = errShut
	}
	return err
}

// client is the dialling side of one protocol between nodes. Names play no part
// in who a node is, so the standard check is replaced, never left out.
func (c *credentials) client(proto string) *tls.Config {
	t := c.base(proto)
	t.InsecureSkipVerify = true //nolint:gosec // VerifyConnection checks the node certificate instead
	t.VerifyConnection = c.verify
	return t
}
