package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

// headquarters is a public CA with a root and an intermediate.
type headquarters struct {
	root, middle *x509.Certificate
	key          crypto.Signer
}

func newHeadquarters(t testing.TB) headquarters {
	t.Helper()
	make := func(name string, parent *x509.Certificate, signer crypto.Signer) (*x509.Certificate, crypto.Signer) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		c := &x509.Certificate{
			SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, NotBefore: noon().AddDate(-1, 0, 0), NotAfter: noon().AddDate(9, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		if parent == nil {
			parent, signer = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
		must(t, err)
		c, err = x509.ParseCertificate(der)
		must(t, err)
		return c, key
	}
	root, rootKey := make("Public root", nil, nil)
	middle, key := make("Public intermediate", root, rootKey)
	return headquarters{root, middle, key}
}

// signs gives the certificate for a request; change spoils it.
func (h headquarters) signs(t testing.TB, csrPEM []byte, change func(*x509.Certificate)) []byte {
	t.Helper()
	block, _ := pem.Decode(csrPEM)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	must(t, err)
	must(t, csr.CheckSignature())
	c := &x509.Certificate{
		SerialNumber: serial(), DNSNames: csr.DNSNames, NotBefore: noon().Add(-time.Hour), NotAfter: noon().AddDate(0, 0, 90),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, h.middle, csr.PublicKey, h.key)
	must(t, err)
	return certPEM(der)
}

func (h headquarters) chain(leaf []byte) []byte {
	return slices.Concat([]byte("Bag attributes\n"), certPEM(h.root.Raw), leaf, certPEM(h.middle.Raw))
}

func TestAPublicCertificateByStick(t *testing.T) {
	c, dir, hq := clock.NewFake(noon()), t.TempDir(), newHeadquarters(t)
	c.SetSure(true)
	w := openWeb(t, dir, c)
	_, err := w.Request([]string{"n1.camp.example.org"})
	wantFault(t, err, fault.Locked, "fault.identity.closed")
	must(t, w.Unlock(storageOf(1)))
	_, err = w.Install(certPEM(hq.root.Raw))
	wantFault(t, err, fault.NotFound, "fault.identity.webcert_none")
	csr, err := w.Request([]string{"N1.camp.example.org.", "n1.camp.example.org"})
	must(t, err)
	if names, again := w.Requested(); bytes.Contains(csr, []byte("PRIVATE")) || !slices.Equal(names, []string{"n1.camp.example.org"}) || !bytes.Equal(again, csr) {
		t.Fatalf("%s %v %s", csr, names, again)
	}
	w.Lock() // the stick is away for weeks
	w = openWeb(t, dir, c)
	must(t, w.Unlock(storageOf(1)))
	got, err := w.Install(hq.chain(hq.signs(t, csr, nil)))
	must(t, err)
	if !slices.Equal(got.Names, []string{"n1.camp.example.org"}) || got.Issuer != "CN=Public intermediate" {
		t.Errorf("%+v", got)
	}
	if names, _ := w.Requested(); anyCopy(dir, requestSealed) || len(names) > 0 {
		t.Error("the request is still out")
	}
	w.Lock()
	w = openWeb(t, dir, c) // a locked box serves it too
	public, err := w.Certificate(&tls.ClientHelloInfo{ServerName: "n1.camp.example.org"})
	must(t, err)
	pool, between := x509.NewCertPool(), x509.NewCertPool()
	pool.AddCert(hq.root)
	for _, der := range public.Certificate[1:] {
		i, err := x509.ParseCertificate(der)
		must(t, err)
		between.AddCert(i)
	}
	if _, err := public.Leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: between, DNSName: "n1.camp.example.org", CurrentTime: noon()}); err != nil || len(public.Certificate) != 2 {
		t.Errorf("%v, %d certificates", err, len(public.Certificate))
	}
	for _, other := range []string{"waypost.internal", "n2.camp.example.org", ""} {
		own, err := w.Certificate(&tls.ClientHelloInfo{ServerName: other})
		must(t, err)
		if own.Leaf.Equal(public.Leaf) {
			t.Errorf("%q gets the public one", other)
		}
	}
	must(t, w.RemovePublic())
	if _, there := w.Public(); there || len(openWeb(t, dir, c).PublicNames()) > 0 {
		t.Error("it is still there")
	}
}

func TestPublicCertificatesThatAreRefused(t *testing.T) {
	hq := newHeadquarters(t)
	for name, bad := range map[string]struct {
		change func(*x509.Certificate)
		key    string
	}{
		"other names":    {func(c *x509.Certificate) { c.DNSNames = []string{"n2.camp.example.org"} }, "fault.identity.webcert_other_names"},
		"more names":     {func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "www.example.org") }, "fault.identity.webcert_other_names"},
		"a wildcard":     {func(c *x509.Certificate) { c.DNSNames = []string{"*.camp.example.org"} }, "fault.identity.webcert_other_names"},
		"over":           {func(c *x509.Certificate) { c.NotAfter = noon().Add(-time.Minute) }, "fault.identity.webcert_dates"},
		"not yet":        {func(c *x509.Certificate) { c.NotBefore = noon().Add(48 * time.Hour) }, "fault.identity.webcert_dates"},
		"for mail":       {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }, "fault.identity.webcert_file"},
		"a CA":           {func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, "fault.identity.webcert_file"},
		"nothing at all": {nil, "fault.identity.webcert_file"},
		"another key":    {nil, "fault.identity.webcert_key"},
	} {
		c := clock.NewFake(noon())
		c.SetSure(true)
		w := openWeb(t, t.TempDir(), c)
		must(t, w.Unlock(storageOf(1)))
		csr, err := w.Request([]string{"n1.camp.example.org"})
		must(t, err)
		file := hq.chain(hq.signs(t, csr, bad.change))
		switch name {
		case "nothing at all":
			file = []byte("nothing")
		case "another key":
			_, err = w.Request([]string{"n1.camp.example.org"}) // asked again meanwhile
			must(t, err)
		}
		_, err = w.Install(file)
		wantFault(t, err, fault.Invalid, bad.key)
		names, _ := w.Requested()
		if _, there := w.Public(); there || len(names) == 0 {
			t.Errorf("%s: it is installed, or the request is forgotten", name)
		}
		if name == "over" || name == "not yet" {
			c.SetSure(false)
			if _, err := w.Install(file); err != nil {
				t.Errorf("%s, on a box that does not know the time: %v", name, err)
			}
		}
	}
}

func TestPublicNames(t *testing.T) {
	for name, want := range map[string]bool{
		"n1.camp.example.org": true, "N1.Example.ORG.": true, "xn--bcher-kva.example": true, "a.b": true,
		"": false, "camp": false, "*.example.org": false, "10.0.0.1": false, "n1.waypost.internal": false, "box.local": false, "-a.example.org": false,
		"a..example.org": false, "bücher.example": false, "a b.example.org": false, "a.example.org/x": false, strings.Repeat("a", 64) + ".org": false, "a.localhost": false,
	} {
		if _, err := CheckPublicNames([]string{name}); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := CheckPublicNames(nil); err == nil {
		t.Error("no name is taken")
	}
	if _, err := CheckPublicNames(slices.Repeat([]string{"a.b"}, 20)); err != nil {
		t.Error("the same name twenty times")
	}
}

// A stick's file is somebody else's bytes.
func FuzzPublicChain(f *testing.F) {
	hq := newHeadquarters(f)
	c := clock.NewFake(noon())
	dir := f.TempDir()
	w, err := OpenWeb(dir, c)
	must(f, err)
	must(f, w.Unlock(storageOf(1)))
	csr, err := w.Request([]string{"n1.camp.example.org"})
	must(f, err)
	f.Add(hq.signs(f, csr, func(c *x509.Certificate) { c.DNSNames = []string{"x.y"} }))
	f.Add(hq.root.Raw)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, err := w.Install(file); err == nil {
			t.Error("taken")
		}
		if _, err := os.Stat(filepath.Join(dir, publicFile)); err == nil {
			t.Error("written")
		}
	})
}

func FuzzPublicNames(f *testing.F) {
	f.Add("n1.camp.example.org")
	f.Fuzz(func(t *testing.T, name string) {
		got, err := CheckPublicNames([]string{name})
		if err != nil {
			return
		}
		again, err := CheckPublicNames(got)
		if err != nil || !slices.Equal(got, again) || strings.ContainsAny(got[0], " /:*@\x00\n") {
			t.Errorf("%q becomes %q", name, got)
		}
	})
}
