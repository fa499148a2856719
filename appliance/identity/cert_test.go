package identity

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

// chain makes root 1, issuer 2 and node 3, the same every time.
func chain() (root ed25519.PublicKey, c NodeCert) {
	rootKey, issuerKey := seeded(1), seeded(2)
	root = rootKey.Public().(ed25519.PublicKey)
	d := DeploymentOf(root)
	issuer := IssuerCert{Public: public(issuerKey), NotBefore: noon().Unix(), NotAfter: noon().Add(time.Hour).Unix()}
	issuer.sign(d, rootKey)
	c = NodeCert{
		Number: 7, Public: public(seeded(3)), Seal: [32]byte{9}, Areas: []uint16{0, 300}, Caps: CapTokens,
		NotBefore: noon().Unix(), NotAfter: noon().Add(time.Hour).Unix(), Issuer: issuer,
	}
	c.sign(d, issuerKey)
	return root, c
}

func TestCertificateVerifies(t *testing.T) {
	root, c := chain()
	if err := c.Verify(root); err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]ed25519.PublicKey{"another root": seeded(4).Public().(ed25519.PublicKey), "no root": nil, "short root": root[:31]} {
		if err := c.Verify(other); fault.ClassOf(err) != fault.Denied {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryFieldIsSigned(t *testing.T) {
	root, good := chain()
	for name, change := range map[string]func(*NodeCert){
		"number": func(c *NodeCert) { c.Number++ }, "public": func(c *NodeCert) { c.Public[5]++ },
		"seal": func(c *NodeCert) { c.Seal[5]++ }, "areas": func(c *NodeCert) { c.Areas = []uint16{0, 1} },
		"caps": func(c *NodeCert) { c.Caps |= CapEnrol }, "from": func(c *NodeCert) { c.NotBefore-- },
		"to": func(c *NodeCert) { c.NotAfter++ }, "issuer": func(c *NodeCert) { c.Issuer.Public[0]++ },
		"issuer from": func(c *NodeCert) { c.Issuer.NotBefore-- }, "issuer to": func(c *NodeCert) { c.Issuer.NotAfter++ },
		"signature": func(c *NodeCert) { c.Sig[0]++ }, "issuer signature": func(c *NodeCert) { c.Issuer.Sig[0]++ },
	} {
		c := good
		change(&c)
		if c.Verify(root) == nil {
			t.Errorf("%s can be changed unseen", name)
		}
	}
}

// An issuer signs nodes, never issuers: the purposes in front of the signed
// bytes keep one signature from standing for the other.
func TestSignaturesDoNotStandForEachOther(t *testing.T) {
	root, c := chain()
	d := DeploymentOf(root)
	forged := IssuerCert{Public: public(seeded(5)), NotBefore: 0, NotAfter: 1 << 40}
	forged.sign(d, seeded(2)) // by an issuer, not by the root
	c.Issuer = forged
	c.sign(d, seeded(5))
	if c.Verify(root) == nil {
		t.Fatal("an issuer made an issuer")
	}
	_, c = chain()
	c.Issuer.sign(DeploymentID{}, seeded(1)) // the same root key, another deployment
	if c.Verify(root) == nil {
		t.Fatal("a signature for another deployment counts")
	}
}

func TestTimeIsToldApartFromTrust(t *testing.T) {
	root, c := chain()
	for at, want := range map[time.Time]error{
		noon(): nil, noon().Add(time.Hour): nil, noon().Add(time.Hour + time.Second): ErrExpired,
		noon().Add(-time.Second): ErrNotYet, time.Unix(0, 0): ErrNotYet,
	} {
		err := c.VerifyAt(root, at)
		if !errors.Is(err, want) || (want == nil && err != nil) {
			t.Errorf("at %v: %v, want %v", at, err, want)
		}
		if want != nil {
			wantFault(t, err, fault.Denied, "fault.identity.certificate_time")
		}
	}
	if err := c.VerifyAt(seeded(4).Public().(ed25519.PublicKey), time.Unix(0, 0)); errors.Is(err, ErrNotYet) {
		t.Fatal("a stranger's certificate is not merely early")
	}
}

// The bytes of a certificate are for ever: a change here breaks every card and
// every enrolled node.
func TestCertificateBytesStay(t *testing.T) {
	_, c := chain()
	raw := c.Marshal()
	golden := filepath.Join("testdata", "node_cert.hex")
	if *update {
		if err := os.WriteFile(golden, []byte(hex.EncodeToString(raw)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(raw, want) {
		t.Fatalf("wrote %x", raw)
	}
	back, err := ParseNodeCert(want)
	if err != nil || back.Number != 7 || back.ID() != c.ID() || !slices.Equal(back.Areas, c.Areas) || !bytes.Equal(back.Marshal(), want) {
		t.Fatalf("%+v %v", back, err)
	}
	if len(raw) > 340 {
		t.Fatalf("%d bytes do not fit a membership card", len(raw))
	}
}

func TestOneCertificateOneSpelling(t *testing.T) {
	_, c := chain()
	raw := c.Marshal()
	long := append(slices.Clone(raw[:2]), 0x18, raw[2]) // number 7 in two bytes
	long = append(long, raw[3:]...)
	for name, b := range map[string][]byte{
		"cut": raw[:len(raw)-1], "tail": append(slices.Clone(raw), 0), "empty": {}, "long number": long,
		"indefinite": append([]byte{0x9f}, append(slices.Clone(raw[1:]), 0xff)...), "null": {0xf6}, "big": make([]byte, 5000),
	} {
		if _, err := ParseNodeCert(b); fault.ClassOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.Areas = []uint16{1, 1}
	if _, err := ParseNodeCert(c.Marshal()); err == nil {
		t.Error("areas twice")
	}
}

func FuzzParseNodeCert(f *testing.F) {
	_, c := chain()
	raw := c.Marshal()
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	f.Add([]byte{0x9f, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := ParseNodeCert(in)
		if err != nil {
			return
		}
		if again := c.Marshal(); !bytes.Equal(again, in) {
			t.Fatalf("read %x, would write %x", in, again)
		}
	})
}

func FuzzParseRootSheet(f *testing.F) {
	root, c := chain()
	f.Add(RootSheet{Name: "Coast", Root: root, Seed: seeded(1).Seed(), Nodes: []NodeCert{c}}.Text())
	f.Add([]byte(`{"format":"waypost/root/1","nodes":[""]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if s, err := ParseRootSheet(in); err == nil && len(s.Root) != ed25519.PublicKeySize {
			t.Fatal("a sheet without a root")
		}
	})
}

func TestRootSheetReadsBack(t *testing.T) {
	root, c := chain()
	s := RootSheet{Name: "Coast", Root: root, Seed: seeded(1).Seed(), Nodes: []NodeCert{c}}
	back, err := ParseRootSheet(s.Text())
	if err != nil || back.Name != "Coast" || !back.Root.Equal(root) || !bytes.Equal(back.Seed, s.Seed) || len(back.Nodes) != 1 {
		t.Fatalf("%+v %v", back, err)
	}
	s.Seed = seeded(2).Seed()
	if _, err := ParseRootSheet(s.Text()); fault.ClassOf(err) != fault.Invalid {
		t.Fatalf("a seed of another root: %v", err)
	}
	c.Number++
	if _, err := ParseRootSheet(RootSheet{Root: root, Nodes: []NodeCert{c}}.Text()); fault.ClassOf(err) != fault.Invalid {
		t.Fatalf("a forged certificate: %v", err)
	}
}
