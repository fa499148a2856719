package ui

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"io"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"
)

// readPlist reads a property list as a phone does: keys and values by turns.
func readPlist(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(raw))
	next := func() xml.StartElement {
		t.Helper()
		for {
			tok, err := d.Token()
			must(t, err)
			if s, ok := tok.(xml.StartElement); ok {
				return s
			}
		}
	}
	var value func(s xml.StartElement) any
	value = func(s xml.StartElement) any {
		t.Helper()
		switch s.Name.Local {
		case "dict", "array":
			object, array := map[string]any{}, []any{}
			for key := ""; ; {
				tok, err := d.Token()
				must(t, err)
				switch x := tok.(type) {
				case xml.EndElement:
					if s.Name.Local == "array" {
						return array
					}
					return object
				case xml.StartElement:
					switch {
					case s.Name.Local == "array":
						array = append(array, value(x))
					case x.Name.Local == "key":
						must(t, d.DecodeElement(&key, &x))
					default:
						if _, twice := object[key]; twice || key == "" {
							t.Fatalf("the key %q stands twice, or nowhere", key)
						}
						object[key], key = value(x), ""
					}
				}
			}
		case "data":
			var text string
			must(t, d.DecodeElement(&text, &s))
			out, err := base64.StdEncoding.DecodeString(text)
			must(t, err)
			return out
		case "true", "false":
			must(t, d.Skip())
			return s.Name.Local == "true"
		case "string", "integer":
			var text string
			must(t, d.DecodeElement(&text, &s))
			return text
		}
		t.Fatalf("a property list has no <%s>", s.Name.Local)
		return nil
	}
	if s := next(); s.Name.Local != "plist" {
		t.Fatal(s)
	}
	out, ok := value(next()).(map[string]any)
	if !ok {
		t.Fatal("no dictionary")
	}
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		must(t, err)
		if s, ok := tok.(xml.StartElement); ok {
			t.Fatalf("<%s> after the end", s.Name.Local)
		}
	}
}

// The profile holds the certificate and nothing of the operation, is the same every time, and
// another one for another certificate; no name breaks out of it.
func TestAProfileForPhones(t *testing.T) {
	der := []byte("a certificate \x00\xff")
	for _, name := range []string{"Local box 0a1b2c", `</string><key>PayloadType</key> & "`, "صندوق"} {
		raw := profileOf(der, name)
		p := readPlist(t, raw)
		parts, _ := p["PayloadContent"].([]any)
		if len(parts) != 1 || len(p) != 7 {
			t.Fatalf("%v", p)
		}
		root := parts[0].(map[string]any)
		if !bytes.Equal(root["PayloadContent"].([]byte), der) || root["PayloadType"] != "com.apple.security.root" || p["PayloadType"] != "Configuration" ||
			p["PayloadVersion"] != "1" || root["PayloadVersion"] != "1" || p["PayloadDisplayName"] != name || root["PayloadDisplayName"] != name || p["PayloadRemovalDisallowed"] != false {
			t.Fatalf("%v", p)
		}
		uuid := regexp.MustCompile(`^[0-9A-F]{8}-[0-9A-F]{4}-8[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`)
		for _, x := range []map[string]any{p, root} {
			id, _ := x["PayloadUUID"].(string)
			if !uuid.MatchString(id) || !strings.HasPrefix(x["PayloadIdentifier"].(string), "local.box."+p["PayloadUUID"].(string)) {
				t.Errorf("%v", x)
			}
		}
		if p["PayloadUUID"] == root["PayloadUUID"] || p["PayloadIdentifier"] == root["PayloadIdentifier"] {
			t.Error("two payloads under one id")
		}
		if !bytes.Equal(raw, profileOf(der, name)) || p["PayloadUUID"] == readPlist(t, profileOf([]byte("another"), name))["PayloadUUID"] {
			t.Error("its ids do not follow from the certificate")
		}
		if strings.Contains(strings.ToLower(string(raw)), "waypost") {
			t.Error("it names the program")
		}
	}
}

// It is handed out wherever the certificate is, plain HTTP among it, and holds the same one.
func TestTheProfileIsServedAsTheCertificateIs(t *testing.T) {
	r := newRig(t)
	block, _ := pem.Decode(r.box.CA().PEM)
	if block == nil {
		t.Fatal("the box has no certificate")
	}
	if a := r.ask(Public, "GET", "/phone/ca.mobileconfig", ""); a.status != 404 {
		t.Fatalf("of something that is no certificate: %d", a.status)
	}
	ca := selfSigned(t)
	r.s.config.Box = &caBox{r.box, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})}
	for _, surface := range []Surface{Public, Network, Loopback} {
		a := r.ask(surface, "GET", "/phone/ca.mobileconfig", "", "Host", "10.42.0.1")
		if a.status != 200 || a.header.Get("Content-Type") != profileType || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Set-Cookie") != "" {
			t.Fatalf("%s: %d %v", surface, a.status, a.header)
		}
		p := readPlist(t, a.body)
		if got := p["PayloadContent"].([]any)[0].(map[string]any)["PayloadContent"].([]byte); !bytes.Equal(got, ca.Raw) {
			t.Errorf("%s: another certificate", surface)
		}
		if p["PayloadDisplayName"] != ca.Subject.CommonName {
			t.Errorf("%v", p)
		}
		page := r.ask(surface, "GET", "/phone", "", "Host", "10.42.0.1", "User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)")
		if !strings.Contains(string(page.body), "/phone/ca.mobileconfig") || !strings.Contains(string(page.body), "Certificate Trust Settings") || !strings.Contains(string(page.body), "not signed") {
			t.Errorf("%s: the guide does not tell of it", surface)
		}
	}
}

// caBox is a box with a real certificate authority.
type caBox struct {
	*apiBox
	pem []byte
}

func (b *caBox) CA() CAInfo {
	ca := b.apiBox.CA()
	ca.PEM = b.pem
	return ca
}

func selfSigned(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Local box 0a1b2c"}, NotBefore: time.Unix(1e9, 0), NotAfter: time.Unix(2e9, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	must(t, err)
	out, err := x509.ParseCertificate(der)
	must(t, err)
	return out
}
