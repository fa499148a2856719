package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
)

// What stands in a certificate can be read by everybody who connects, and on every phone
// that installed it. So there is no name of a site, an organisation or a person in it, and
// none of what the box is for: both are a "Local box", the CA with a number, and the host name, which an administrator may have made of a place, is
// left out unless it is one of those that say nothing (see localNames). What remains is the
// address people type, waypost.internal, in the leaf and in the CA's constraints: a
// constraint on something wider would let a thief of the key pretend to be more.

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

// accessPoint is what a box calls itself in a network of its own (NetworkManager's shared
// connections; hostapd as most guides set it up). They are in every leaf, because a box may
// be carried away while it is locked.
var accessPoint = []netip.Addr{netip.MustParseAddr("10.42.0.1"), netip.MustParseAddr("192.168.4.1")}

// mayVouch reports whether the CA's constraints allow the address.
func mayVouch(a netip.Addr) bool {
	return a.IsValid() && slices.ContainsFunc(webRanges, func(r string) bool { return netip.MustParsePrefix(r).Contains(a) })
}

// makeCA makes the CA anew and keeps it: sealed where the box is open, otherwise in the
// clear. The key goes first; without its certificate it counts for nothing.
func (w *Web) makeCA() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fault.Of(err)
	}
	base := dated(w.clock.Now())
	t := &x509.Certificate{
		SerialNumber: serial(), NotBefore: base.Add(-webBackdate), NotAfter: base.Add(caLife),
		// The number tells one box's CA from another's in a phone's list.
		Subject:  pkix.Name{CommonName: "Local box " + hex.EncodeToString(random(3))},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: webNames,
	}
	for _, r := range webRanges {
		_, n, err := net.ParseCIDR(r)
		if err != nil {
			return fault.Of(err)
		}
		t.PermittedIPRanges = append(t.PermittedIPRanges, n)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return fault.Of(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return fault.Of(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fault.Of(err)
	}
	defer clear(pkcs8)
	if err := w.keepCA(ca, pkcs8); err != nil {
		return err
	}
	w.ca, w.leaf = ca, nil
	w.key = w.keys.hold(pkcs8)
	return nil
}

func (w *Web) keepCA(ca *x509.Certificate, pkcs8 []byte) error {
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	defer clear(keyPEM)
	if w.sealed != nil {
		content := append(certPEM(ca.Raw), keyPEM...)
		defer clear(content)
		if err := w.sealed.Write(content); err != nil {
			return err
		}
	} else if err := replaceFile(filepath.Join(w.dir, caKeyFile), keyPEM, 0o600); err != nil {
		return fault.New(fault.Unavailable, "fault.identity.cannot_write").Wrap(err)
	}
	return writeTwice(w.dir, caFile, certPEM(ca.Raw))
}

// makeLeaf makes a leaf under the CA and keeps it. When only the writing fails the leaf is
// returned with the error.
func (w *Web) makeLeaf(local netip.Addr) (*tls.Certificate, error) {
	signer, err := w.signer()
	if err != nil {
		return nil, err
	}
	leaf, text, err := w.sign(local, w.ca, signer)
	if err != nil {
		return nil, err
	}
	if err := writeTwice(w.dir, leafFile, text); err != nil {
		return leaf, err
	}
	return leaf, remove(filepath.Join(w.dir, leafKeyFile))
}

// makeStopgap makes a leaf that nothing vouches for and that is not kept: every browser
// warns of it.
func (w *Web) makeStopgap(local netip.Addr) (*tls.Certificate, error) {
	leaf, _, err := w.sign(local, nil, nil)
	return leaf, err
}

// sign makes a leaf; without a parent it signs itself.
func (w *Web) sign(local netip.Addr, parent *x509.Certificate, signer crypto.Signer) (leaf *tls.Certificate, text []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fault.Of(err)
	}
	base := dated(w.clock.Now())
	t := &x509.Certificate{
		SerialNumber: serial(), NotBefore: base.Add(-webBackdate), NotAfter: base.Add(leafLife),
		Subject:  pkix.Name{CommonName: "Local box"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
		DNSNames: localNames(), IPAddresses: w.addresses(local),
	}
	if parent == nil {
		parent, signer = t, key
	} else if t.NotAfter.After(parent.NotAfter) {
		t.NotAfter = parent.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, nil, fault.Of(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fault.Of(err)
	}
	text = append(certPEM(der), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	if leaf, err = pairOf(text); err != nil {
		return nil, nil, fault.Of(err)
	}
	return leaf, text, nil
}

// addresses are what the leaf vouches for: what the machine has now, what it has in a
// network of its own, what the last leaf had (a phone may come back to the other network),
// and local. The list stays short however often addresses change.
func (w *Web) addresses(local netip.Addr) []net.IP {
	var out []net.IP
	add := func(a netip.Addr) {
		ip := net.IP(a.AsSlice())
		if mayVouch(a) && len(out) < mostAddresses && !slices.ContainsFunc(out, ip.Equal) {
			out = append(out, ip)
		}
	}
	add(local)
	for _, a := range slices.Concat(present(), accessPoint) {
		add(a)
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

// mostAddresses bounds the leaf; mostPresent leaves some of them for where phones came
// from before.
const (
	mostAddresses = 32
	mostPresent   = 24
)

// present are the addresses that the machine has now and the CA may vouch for.
func present() []netip.Addr {
	out := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return out
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && mayVouch(p.Addr().Unmap()) && len(out) < mostPresent {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out
}

// plainHost are host names that say nothing of where a machine stands and whose it is: the
// image's own, with a number, and those that systems come with.
var plainHost = regexp.MustCompile(`^(waypost(-?[0-9]{1,4})?|raspberrypi|debian|ubuntu)$`)

// localNames are the DNS names the leaf vouches for.
func localNames() []string {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	return namesOf(host)
}

func namesOf(host string) []string {
	names := []string{"localhost", "waypost.internal", "waypost.local"}
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	if name := host + ".local"; plainHost.MatchString(host) && !slices.Contains(names, name) {
		names = append(names, name)
	}
	return names
}

// serial is 127 random bits, positive and not zero (RFC 5280, 4.1.2.2).
func serial() *big.Int {
	b := random(16)
	b[0] = b[0]&0x7f | 1
	return new(big.Int).SetBytes(b)
}

// cannotWrite joins errors of writing into one fault; nil for none.
func cannotWrite(errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return fault.New(fault.Unavailable, "fault.identity.cannot_write").Wrap(err)
	}
	return nil
}
