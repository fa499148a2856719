package browser

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A phone that trusts a box takes no other name from whoever has the key of the box: here
// somebody read it off the card before the first run.
func TestBrowserTakesNoOtherNameFromTheBox(t *testing.T) {
	needsChromium(t)
	b := newBox(t)
	home := trustingHome(t, b.carried(t))
	for _, forged := range []struct {
		name  string
		ip    net.IP
		taken bool
	}{{"waypost.internal", nil, true}, {"bank.example", nil, false}, {"", net.IPv4(203, 0, 113, 7), false}} {
		host := forged.name
		if forged.ip != nil {
			host = forged.ip.String()
		}
		port := pretender(t, filepath.Join(b.dir, "d", "web"), forged.name, forged.ip)
		at := "https://" + net.JoinHostPort(host, port)
		ctx, _ := phone(t, []string{at}, chromedp.Env("HOME="+home), chromedp.Flag("host-resolver-rules", "MAP * 127.0.0.1"))
		step, cancel := context.WithTimeout(ctx, patience)
		err := chromedp.Run(step, chromedp.Navigate(at+"/"))
		cancel()
		if forged.taken != (err == nil) || err != nil && !strings.Contains(err.Error(), "ERR_CERT_") {
			t.Errorf("%s: %v", host, err)
		}
		t.Log(host, err)
	}
}

// pretender serves a page with a certificate for a name, signed by the key in web, and gives
// its port.
func pretender(t *testing.T, web, name string, ip net.IP) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	read := func(file string) []byte {
		raw, err := os.ReadFile(filepath.Join(web, file))
		must(err)
		block, _ := pem.Decode(raw)
		return block.Bytes
	}
	ca, err := x509.ParseCertificate(read("ca.pem"))
	must(err)
	signer, err := x509.ParsePKCS8PrivateKey(read("ca.key"))
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	c := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else {
		c.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), signer.(crypto.Signer))
	must(err)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	must(err)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }), ReadHeaderTimeout: patience, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close() })
	_, port, err := net.SplitHostPort(ln.Addr().String())
	must(err)
	return port
}
