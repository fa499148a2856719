package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

// Web is the certificate of this node's own pages: a CA that lives and dies with
// the data folder, and a leaf for the addresses the machine has now. Its keys
// lie in the clear, because a locked box has pages too; the CA can vouch for
// nothing but private addresses and local names. Safe for concurrent use.
type Web struct {
	dir   string
	clock clock.Clock
	ca    *x509.Certificate
	key   crypto.Signer

	mu   sync.Mutex
	leaf *tls.Certificate // Leaf is always set
}

// Files in the folder.
const (
	caFile      = "ca.pem"
	caKeyFile   = "ca.key"
	leafFile    = "leaf.pem"
	leafKeyFile = "leaf.key"
)

// Lives of the certificates. Both begin a year back, because clocks lie. 397
// days ahead stays below the 398 some browsers allow (CA/Browser Forum Baseline
// Requirements 6.3.2) and, with the year back, below the 825 that iOS allows
// under a root a person installed.
const (
	webBackdate = 365 * 24 * time.Hour
	caLife      = 10 * 365 * 24 * time.Hour
	leafLife    = 397 * 24 * time.Hour
	leafRenew   = 30 * 24 * time.Hour
)

// webNames is the DNS tree the CA may vouch for: names that only ever mean
// something on a local network (ICANN reserved .internal in 2024; RFC 6761
// localhost; RFC 6762 .local).
var webNames = []string{"waypost.internal", "localhost", "local"}

// webRanges are the addresses it may vouch for: loopback (RFC 1122, 4291), link
// local (RFC 3927, 4291), private (RFC 1918), shared (RFC 6598) and unique local
// (RFC 4193).
var webRanges = []string{
	"127.0.0.0/8", "169.254.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
	"::1/128", "fe80::/10", "fc00::/7",
}

// OpenWeb reads the CA and the leaf in dir, and makes what is missing or
// damaged. It works before anything else of the node exists. Fault: Unavailable
// "fault.identity.cannot_write".
func OpenWeb(dir string, c clock.Clock) (*Web, error) {
	if err := ownFolder(dir); err != nil {
		return nil, err
	}
	w := &Web{dir: dir, clock: c}
	ca, err := w.load(caFile, caKeyFile)
	if err != nil {
		return nil, err
	}
	if ca == nil || !ca.Leaf.IsCA || w.outOfDate(ca.Leaf) {
		if ca, err = w.makeCA(); err != nil {
			return nil, err
		}
	}
	w.ca, w.key = ca.Leaf, ca.PrivateKey.(crypto.Signer)
	leaf, err := w.load(leafFile, leafKeyFile)
	if err != nil {
		return nil, err
	}
	if leaf != nil && leaf.Leaf.CheckSignatureFrom(w.ca) == nil {
		w.leaf = leaf
	}
	_, err = w.current(netip.Addr{})
	return w, err
}

// outOfDate reports a CA that no phone with the right time would take: one made
// while the clock was years ahead, or an old one. Only a clock that was set by
// something sure may say so.
func (w *Web) outOfDate(ca *x509.Certificate) bool {
	now := w.clock.Now()
	return w.clock.Sure() && (now.Before(ca.NotBefore) || now.After(ca.NotAfter))
}

// load reads one certificate with its key; nil when it is not there or does not
// parse. A file that cannot be read is an error: a new CA would make every phone
// ask again.
func (w *Web) load(cert, key string) (*tls.Certificate, error) {
	c, err := os.ReadFile(filepath.Join(w.dir, cert))
	if err == nil {
		var k []byte
		if k, err = os.ReadFile(filepath.Join(w.dir, key)); err == nil {
			pair, parse := tls.X509KeyPair(c, k)
			if parse != nil || pair.Leaf == nil {
				return nil, nil
			}
			return &pair, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return nil, fault.New(fault.Unavailable, "fault.identity.cannot_read").Wrap(err)
}

// CA is the CA's certificate as PEM, for phones to install.
func (w *Web) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.ca.Raw})
}

// Fingerprint is the SHA-256 of the CA's certificate in pairs of digits, as
// browsers show it.
func (w *Web) Fingerprint() string {
	sum := sha256.Sum256(w.ca.Raw)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = strings.ToUpper(hex.EncodeToString([]byte{b}))
	}
	return strings.Join(pairs, ":")
}

// Words is the fingerprint in five words, to compare with the box's label.
func (w *Web) Words() []string {
	sum := sha256.Sum256(w.ca.Raw)
	return wordsOf(sum[:], compareLength)
}

// Certificate is the leaf for a connection, for tls.Config.GetCertificate. A
// connection to an address the leaf lacks, and a leaf that ends within 30 days,
// get a new one.
func (w *Web) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	var local netip.Addr
	if hello != nil && hello.Conn != nil {
		if a, err := netip.ParseAddrPort(hello.Conn.LocalAddr().String()); err == nil {
			local = a.Addr().WithZone("").Unmap()
		}
	}
	return w.current(local)
}

// current is the leaf, remade when it does not fit any more. A leaf that cannot
// be written to the card is served all the same.
func (w *Web) current(local netip.Addr) (*tls.Certificate, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock.Now()
	if w.leaf != nil && fits(w.leaf.Leaf, local, now) {
		return w.leaf, nil
	}
	leaf, err := w.makeLeaf(local)
	if leaf != nil {
		w.leaf = leaf
	}
	if err != nil && w.leaf != nil && leaf == nil {
		return w.leaf, nil
	}
	return leaf, err
}

// fits reports whether a leaf covers the address and its time is not nearly over.
func fits(leaf *x509.Certificate, local netip.Addr, now time.Time) bool {
	if at := dated(now); at.Before(leaf.NotBefore) || at.Add(leafRenew).After(leaf.NotAfter) {
		return false
	}
	return !mayVouch(local) || slices.ContainsFunc(leaf.IPAddresses, func(ip net.IP) bool { return ip.Equal(local.AsSlice()) })
}

// mayVouch reports whether the CA's constraints allow the address.
func mayVouch(a netip.Addr) bool {
	return a.IsValid() && slices.ContainsFunc(webRanges, func(r string) bool { return netip.MustParsePrefix(r).Contains(a) })
}

func (w *Web) makeCA() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fault.Of(err)
	}
	base := dated(w.clock.Now())
	t := &x509.Certificate{
		SerialNumber: serial(), NotBefore: base.Add(-webBackdate), NotAfter: base.Add(caLife),
		// The number tells one box's CA from another's in a phone's list.
		Subject:  pkix.Name{CommonName: "Waypost " + hex.EncodeToString(random(3))},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: webNames,
	}
	for _, r := range webRanges {
		_, n, err := net.ParseCIDR(r)
		if err != nil {
			return nil, fault.Of(err)
		}
		t.PermittedIPRanges = append(t.PermittedIPRanges, n)
	}
	return w.save(t, t, key, key, caFile, caKeyFile)
}

func (w *Web) makeLeaf(local netip.Addr) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fault.Of(err)
	}
	base := dated(w.clock.Now())
	t := &x509.Certificate{
		SerialNumber: serial(), NotBefore: base.Add(-webBackdate), NotAfter: base.Add(leafLife),
		Subject:  pkix.Name{CommonName: "Waypost"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
		DNSNames: localNames(), IPAddresses: w.addresses(local),
	}
	if t.NotAfter.After(w.ca.NotAfter) {
		t.NotAfter = w.ca.NotAfter
	}
	return w.save(t, w.ca, key, w.key, leafFile, leafKeyFile)
}

// save signs a certificate and writes it with its key, the key first. When only
// the writing fails the certificate is returned with the error.
func (w *Web) save(t, parent *x509.Certificate, key *ecdsa.PrivateKey, signer crypto.Signer, certName, keyName string) (*tls.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, fault.Of(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fault.Of(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k})
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fault.Of(err)
	}
	if err := errors.Join(
		replaceFile(filepath.Join(w.dir, keyName), keyPEM, 0o600),
		replaceFile(filepath.Join(w.dir, certName), certPEM, 0o600),
	); err != nil {
		return &pair, fault.New(fault.Unavailable, "fault.identity.cannot_write").Wrap(err)
	}
	return &pair, nil
}

// addresses are what the leaf vouches for: what the machine has now, what the
// last leaf had (a phone may come back to the other network), and local. The
// list stays short however often addresses change.
func (w *Web) addresses(local netip.Addr) []net.IP {
	const most = 32
	var out []net.IP
	add := func(a netip.Addr) {
		ip := net.IP(a.AsSlice())
		if mayVouch(a) && len(out) < most && !slices.ContainsFunc(out, ip.Equal) {
			out = append(out, ip)
		}
	}
	add(netip.MustParseAddr("127.0.0.1"))
	add(netip.IPv6Loopback())
	add(local)
	if all, err := net.InterfaceAddrs(); err == nil {
		for _, a := range all {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				add(p.Addr().Unmap())
			}
		}
	}
	if w.leaf != nil {
		for _, ip := range w.leaf.Leaf.IPAddresses {
			if a, ok := netip.AddrFromSlice(ip); ok {
				add(a.Unmap())
			}
		}
	}
	return out
}

// localNames are the DNS names the box answers to.
func localNames() []string {
	names := []string{"localhost", "waypost.internal", "waypost.local"}
	host, err := os.Hostname()
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	if err == nil && host != "" && host != "localhost" && host != "waypost" && bytes.Trim([]byte(host), "abcdefghijklmnopqrstuvwxyz0123456789-") == nil {
		names = append(names, host+".local")
	}
	return names
}

// serial is 127 random bits, positive and not zero (RFC 5280, 4.1.2.2).
func serial() *big.Int {
	b := random(16)
	b[0] = b[0]&0x7f | 1
	return new(big.Int).SetBytes(b)
}
