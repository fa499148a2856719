package identity

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

func openWeb(t testing.TB, dir string, c clock.Clock) *Web {
	t.Helper()
	w, err := OpenWeb(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func leafOf(t testing.TB, w *Web, local string) *x509.Certificate {
	t.Helper()
	var a netip.Addr
	if local != "" {
		a = netip.MustParseAddr(local)
	}
	c, err := w.current(a)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

// check is what a phone that trusts the CA does.
func check(w *Web, leaf *x509.Certificate, name string, at time.Time) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.CA())
	_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: at})
	return err
}

func TestThePagesHaveACertificateFromTheFirstMoment(t *testing.T) {
	c := clock.NewFake(noon())
	dir := filepath.Join(t.TempDir(), "data", "web")
	w := openWeb(t, dir, c)
	leaf := leafOf(t, w, "192.168.4.1")
	for _, name := range []string{"localhost", "waypost.internal", "waypost.local", "127.0.0.1", "192.168.4.1", "::1"} {
		if err := check(w, leaf, name, noon()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d := leaf.NotAfter.Sub(noon()); d > leafLife || leaf.NotBefore.After(noon().AddDate(0, 0, -364)) || leaf.NotAfter.Sub(leaf.NotBefore) > 825*24*time.Hour {
		t.Errorf("from %v to %v", leaf.NotBefore, leaf.NotAfter)
	}
	for _, name := range []string{"ca.pem", "ca.pem.2", "ca.key", "leaf.pem", "leaf.pem.2"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if len(w.Words()) != 5 || len(strings.Split(w.Fingerprint(), ":")) != 32 {
		t.Error(w.Words(), w.Fingerprint())
	}
	again := openWeb(t, dir, c)
	if again.Fingerprint() != w.Fingerprint() || !bytes.Equal(leafOf(t, again, "192.168.4.1").Raw, leaf.Raw) {
		t.Error("a restart made new ones")
	}
}

// A thief of the CA's key can pretend to be no site on the internet.
func TestTheCAVouchesForNothingElse(t *testing.T) {
	w := openWeb(t, t.TempDir(), clock.NewFake(noon()))
	if w.ca.MaxPathLen != 0 || !w.ca.MaxPathLenZero || !w.ca.PermittedDNSDomainsCritical {
		t.Error("the CA may make CAs")
	}
	for _, forged := range []struct {
		name string
		ip   net.IP
	}{{"bank.example", nil}, {"example.com", nil}, {"", net.ParseIP("203.0.113.7")}, {"", net.ParseIP("2001:db8::7")}, {"internal", nil}} {
		tmpl := &x509.Certificate{SerialNumber: serial(), NotBefore: noon(), NotAfter: noon().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		name := forged.name
		if forged.ip != nil {
			tmpl.IPAddresses, name = []net.IP{forged.ip}, forged.ip.String()
		} else {
			tmpl.DNSNames = []string{forged.name}
		}
		key, err := w.signer()
		must(t, err)
		der, err := x509.CreateCertificate(zeroes{}, tmpl, w.ca, key.Public(), key)
		must(t, err)
		leaf, err := x509.ParseCertificate(der)
		must(t, err)
		if check(w, leaf, name, noon()) == nil {
			t.Errorf("the CA vouches for %s", name)
		}
	}
	if leaf := leafOf(t, w, "203.0.113.7"); check(w, leaf, "127.0.0.1", noon()) != nil {
		t.Error("a public address spoils the leaf")
	}
}

type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestTheLeafFollowsAddressesAndTime(t *testing.T) {
	c := clock.NewFake(noon())
	dir := t.TempDir()
	w := openWeb(t, dir, c)
	first := leafOf(t, w, "10.1.2.3")
	if !bytes.Equal(first.Raw, leafOf(t, w, "10.1.2.3").Raw) || !bytes.Equal(first.Raw, leafOf(t, w, "").Raw) {
		t.Fatal("a new leaf without need")
	}
	second := leafOf(t, w, "10.9.9.9")
	if check(w, second, "10.9.9.9", noon()) != nil || check(w, second, "10.1.2.3", noon()) != nil {
		t.Fatal("the new address, and the old one too")
	}
	c.Advance(216 * 24 * time.Hour)
	if !bytes.Equal(second.Raw, leafOf(t, w, "").Raw) {
		t.Fatal("renewed too early")
	}
	c.Advance(2 * 24 * time.Hour)
	third := leafOf(t, w, "")
	if bytes.Equal(third.Raw, second.Raw) || check(w, third, "10.1.2.3", c.Now()) != nil {
		t.Fatal("not renewed in time")
	}
	fp := w.Fingerprint()
	if openWeb(t, dir, c).Fingerprint() != fp {
		t.Fatal("the CA changed")
	}
	for i := range 100 {
		leafOf(t, w, netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}).String())
	}
	if n := len(leafOf(t, w, "").IPAddresses); n > 32 {
		t.Fatalf("%d addresses", n)
	}
}

func TestClocksThatWereWrong(t *testing.T) {
	c := clock.NewFake(time.Unix(0, 0))
	c.SetSure(false)
	dir := t.TempDir()
	w := openWeb(t, dir, c)
	if err := check(w, leafOf(t, w, ""), "localhost", noon()); err != nil {
		t.Fatalf("made in 1970: %v", err)
	}
	fp := w.Fingerprint()
	c.Set(noon())
	c.SetSure(true)
	if openWeb(t, dir, c).Fingerprint() != fp {
		t.Fatal("the CA of a board that woke in 1970 stays")
	}
	ahead := clock.NewFake(noon().AddDate(20, 0, 0))
	dir = t.TempDir()
	openWeb(t, dir, ahead)
	w = openWeb(t, dir, c) // the right time at last
	if err := check(w, leafOf(t, w, ""), "localhost", noon()); err != nil {
		t.Fatalf("made in 2046: %v", err)
	}
}

func TestDamagedWebFilesAreMadeAnew(t *testing.T) {
	c := clock.NewFake(noon())
	for _, damage := range [][]string{{"ca.pem"}, {"ca.pem", "ca.pem.2"}, {"ca.key"}, {"leaf.pem"}, {"leaf.pem", "leaf.pem.2"}} {
		dir := t.TempDir()
		fp := openWeb(t, dir, c).Fingerprint()
		for _, name := range damage {
			must(t, os.WriteFile(filepath.Join(dir, name), []byte("rot"), 0o600))
		}
		w := openWeb(t, dir, c)
		if err := check(w, leafOf(t, w, ""), "localhost", noon()); err != nil {
			t.Errorf("%s: %v", damage, err)
		}
		if (len(damage) == 1 && damage[0] != "ca.key" || damage[0] == "leaf.pem") && w.Fingerprint() != fp {
			t.Errorf("%s cost the CA", damage)
		}
	}
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "ca.pem"), 0o700))
	_, err := OpenWeb(dir, c)
	wantFault(t, err, fault.Unavailable, "fault.identity.cannot_read")
}

func TestAHandshake(t *testing.T) {
	w := openWeb(t, t.TempDir(), clock.System())
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: w.Certificate})
	must(t, err)
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err == nil {
			_, _ = c.Write([]byte("ok"))
			_ = c.Close()
		}
	}()
	pool := x509.NewCertPool()
	block, _ := pem.Decode(w.CA())
	ca, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	pool.AddCert(ca)
	conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13})
	must(t, err)
	defer conn.Close()
	b := make([]byte, 2)
	if _, err := conn.Read(b); err != nil || string(b) != "ok" {
		t.Fatal(string(b), err)
	}
}
