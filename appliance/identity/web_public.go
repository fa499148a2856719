package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

// A public certificate lets every phone trust a box without installing anything. It is for
// an organisation that owns a domain: the box makes a key and a request, a stick carries the
// request to headquarters, and brings back what a public CA signed there.
//
// While the request is out its key lies under the storage key. Afterwards it lies in the
// clear beside the certificate, as the leaf's key does and for the same reason: whoever has
// the card can pretend to be that name until the certificate is revoked or ends. So it
// should be a name of this one box, and of nothing else.
const (
	requestSealed = "request.sealed" // PEM: the request, and its key
	publicFile    = "public.pem"     // PEM: the certificate, its chain, and its key; twice
)

// Bounds of what is taken from a stick.
const (
	mostPublicNames = 8
	mostChain       = 64 << 10 // bytes
	mostCerts       = 8
)

// PublicCert says what the public certificate is.
type PublicCert struct {
	Names               []string
	Issuer              string // who signed it, as it says of itself
	NotBefore, NotAfter time.Time
}

// Public is the installed public certificate, if there is one.
func (w *Web) Public() (PublicCert, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.public == nil {
		return PublicCert{}, false
	}
	return publicOf(w.public.Leaf), true
}

func publicOf(c *x509.Certificate) PublicCert {
	return PublicCert{Names: slices.Clone(c.DNSNames), Issuer: c.Issuer.String(), NotBefore: c.NotBefore, NotAfter: c.NotAfter}
}

// PublicNames are the names of the public certificate; none without one.
func (w *Web) PublicNames() []string {
	c, _ := w.Public()
	return c.Names
}

// publicFor is the public certificate where it is good for a name.
func (w *Web) publicFor(name string) *tls.Certificate {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.public != nil && w.public.Leaf.VerifyHostname(name) == nil {
		return w.public
	}
	return nil
}

func (w *Web) readPublic() error {
	raw, err := w.read(publicFile, func(b []byte) error {
		_, err := pairOf(b)
		return err
	})
	w.public = nil
	if raw != nil && err == nil {
		w.public, err = pairOf(raw)
	}
	return err
}

// Request makes a key and a certificate signing request (PKCS #10, PEM) for the names. The
// key is sealed; an earlier request is forgotten. The request has no subject but the names.
// Faults: Invalid "fault.identity.webcert_names", Locked "fault.identity.closed" unless the
// box is open, Unavailable "fault.identity.cannot_write".
func (w *Web) Request(names []string) ([]byte, error) {
	names, err := CheckPublicNames(names)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.request == nil {
		return nil, errEnded()
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fault.Of(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key)
	if err != nil {
		return nil, fault.Of(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fault.Of(err)
	}
	defer clear(pkcs8)
	csr := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	content := append(bytes.Clone(csr), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	defer clear(content)
	return csr, w.request.Write(content)
}

// Requested are the names a request is out for, and the request itself as PEM, should the
// stick be lost; none without one, or unless the box is open.
func (w *Web) Requested() (names []string, csr []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, _, err := w.waiting()
	if err != nil {
		return nil, nil
	}
	return r.DNSNames, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: r.Raw})
}

// waiting is the request that is out, with its key.
func (w *Web) waiting() (*x509.CertificateRequest, *ecdsa.PrivateKey, error) {
	if w.request == nil {
		return nil, nil, errEnded()
	}
	content, err := w.request.Read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fault.New(fault.NotFound, "fault.identity.webcert_none")
	}
	if err != nil {
		return nil, nil, err
	}
	defer clear(content)
	block, rest := pem.Decode(content)
	if block == nil {
		return nil, nil, fault.New(fault.Internal, "fault.identity.damaged").Wrap(errUnsound)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, nil, fault.New(fault.Internal, "fault.identity.damaged").Wrap(err)
	}
	block, _ = pem.Decode(rest)
	if block == nil {
		return nil, nil, fault.New(fault.Internal, "fault.identity.damaged").Wrap(errUnsound)
	}
	defer clear(block.Bytes)
	key, err := keyOf(block.Bytes)
	if err != nil {
		return nil, nil, fault.New(fault.Internal, "fault.identity.damaged").Wrap(err)
	}
	return csr, key, nil
}

// Install takes what headquarters sent back: the certificate for the key that waits here,
// with the certificates it hangs on, as PEM or as the one certificate in DER. It checks that
// the key and the names are those that were asked for, that the chain holds, and that the
// certificate has not ended; where the clock is not sure the dates are not looked at.
// Nothing here knows the public CAs: whether phones trust it they say themselves. The key
// moves out of its seal when the certificate is on the card.
//
// Faults: NotFound "fault.identity.webcert_none" when nothing was asked for, Invalid
// "fault.identity.webcert_file", "fault.identity.webcert_key", "fault.identity.webcert_other_names",
// "fault.identity.webcert_dates", Locked "fault.identity.closed", Unavailable
// "fault.identity.cannot_write".
func (w *Web) Install(file []byte) (PublicCert, error) {
	certs, err := parseChain(file)
	if err != nil {
		return PublicCert{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	csr, key, err := w.waiting()
	if err != nil {
		return PublicCert{}, err
	}
	chain, err := chainFor(certs, key)
	if err != nil {
		return PublicCert{}, err
	}
	if err := w.checkPublic(chain[0], csr.DNSNames); err != nil {
		return PublicCert{}, err
	}
	var text []byte
	for _, c := range chain {
		text = append(text, certPEM(c.Raw)...)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return PublicCert{}, fault.Of(err)
	}
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	pair, err := pairOf(text)
	if err != nil {
		return PublicCert{}, fault.New(fault.Invalid, "fault.identity.webcert_file").Wrap(err)
	}
	if err := writeTwice(w.dir, publicFile, text); err != nil {
		return PublicCert{}, err
	}
	w.public = pair
	return publicOf(pair.Leaf), cannotWrite(destroyAll(w.dir, requestSealed), destroyAll(w.dir, requestSealed+".2"), syncDir(w.dir))
}

// checkPublic looks at what the certificate says.
func (w *Web) checkPublic(c *x509.Certificate, asked []string) error {
	server := len(c.ExtKeyUsage) == 0 || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
	if c.IsCA || !server || len(c.UnhandledCriticalExtensions) > 0 {
		return fault.New(fault.Invalid, "fault.identity.webcert_file")
	}
	var has []string
	for _, n := range c.DNSNames {
		has = append(has, strings.ToLower(n))
	}
	want := slices.Clone(asked)
	slices.Sort(has)
	slices.Sort(want)
	if !slices.Equal(slices.Compact(has), want) || len(c.IPAddresses) > 0 {
		return fault.New(fault.Invalid, "fault.identity.webcert_other_names", "Names", strings.Join(want, ", "))
	}
	now := w.clock.Now()
	if !c.NotBefore.Before(c.NotAfter) || w.clock.Sure() && (now.After(c.NotAfter) || now.Add(24*time.Hour).Before(c.NotBefore)) {
		return fault.New(fault.Invalid, "fault.identity.webcert_dates", "From", c.NotBefore.UTC().Format(time.DateOnly), "Until", c.NotAfter.UTC().Format(time.DateOnly))
	}
	return nil
}

// parseChain reads certificates from a file: PEM, in any order and with text around them,
// or one in DER.
func parseChain(file []byte) ([]*x509.Certificate, error) {
	bad := fault.New(fault.Invalid, "fault.identity.webcert_file")
	if len(file) > mostChain {
		return nil, bad
	}
	var out []*x509.Certificate
	for rest := file; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil || len(out) == mostCerts {
			return nil, bad.Wrap(err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		c, err := x509.ParseCertificate(file)
		if err != nil {
			return nil, bad.Wrap(err)
		}
		out = append(out, c)
	}
	return out, nil
}

// chainFor puts the certificate of key first and what it hangs on behind it, each signed by
// the next. A root at the end is left out: phones have it or do not trust it. What belongs to
// another chain is left out too.
func chainFor(certs []*x509.Certificate, key *ecdsa.PrivateKey) ([]*x509.Certificate, error) {
	at := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return key.PublicKey.Equal(c.PublicKey) })
	if at < 0 {
		return nil, fault.New(fault.Invalid, "fault.identity.webcert_key")
	}
	chain := []*x509.Certificate{certs[at]}
	for len(chain) <= len(certs) {
		last := chain[len(chain)-1]
		next := slices.IndexFunc(certs, func(c *x509.Certificate) bool {
			return !c.Equal(last) && bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if next < 0 {
			break
		}
		if c := certs[next]; bytes.Equal(c.RawSubject, c.RawIssuer) {
			break
		}
		chain = append(chain, certs[next])
	}
	return chain, nil
}

// RemovePublic takes the public certificate and its key away, and a request that is out.
// The box goes on with its own. Fault: Unavailable "fault.identity.cannot_write".
func (w *Web) RemovePublic() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.public = nil
	var errs []error
	for _, name := range []string{publicFile, publicFile + ".2", requestSealed, requestSealed + ".2"} {
		errs = append(errs, destroyAll(w.dir, filepath.Base(name)))
	}
	return cannotWrite(append(errs, syncDir(w.dir))...)
}

// CheckPublicNames gives the names of a box as a public CA can vouch for them: in lower
// case, each once. A name in another script is written the way the network does (xn--…).
// Fault: Invalid "fault.identity.webcert_names".
func CheckPublicNames(names []string) ([]string, error) {
	var out []string
	for _, n := range names {
		n = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(n), "."))
		if !publicName(n) {
			return nil, fault.New(fault.Invalid, "fault.identity.webcert_names").With("names", "fault.identity.webcert_names")
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	if len(out) == 0 || len(out) > mostPublicNames {
		return nil, fault.New(fault.Invalid, "fault.identity.webcert_names").With("names", "fault.identity.webcert_names")
	}
	return out, nil
}

// publicName reports whether n is a host name (RFC 1123) in a domain that somebody can own.
func publicName(n string) bool {
	labels := strings.Split(n, ".")
	top := labels[len(labels)-1]
	if len(n) > 253 || len(labels) < 2 || slices.Contains([]string{"local", "internal", "localhost", "arpa", "onion", "invalid", "test", "alt"}, top) {
		return false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return strings.Trim(top, "0123456789") != "" // or it is an address
}
