//go:build firstlight

package identity

import (
	"crypto/ed25519"
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

var made = time.Unix(1_790_000_000, 0)

func key(b byte) (ed25519.PrivateKey, [32]byte) {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = b
	k := ed25519.NewKeyFromSeed(seed)
	return k, [32]byte(k.Public().(ed25519.PublicKey))
}

// chain makes root 1, issuer 2 and node 3, the same every time.
func chain(t testing.TB) (root ed25519.PublicKey, c NodeCert) {
	t.Helper()
	rootKey, rootPublic := key(1)
	issuerKey, issuerPublic := key(2)
	_, nodePublic := key(3)
	issuer, err := SignIssuer(rootKey, issuerPublic, made, 90*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c, err = SignNode(issuerKey, issuer, NodeCert{Number: 7, Public: nodePublic, Seal: [32]byte{9}, Areas: []uint16{0}, Caps: CapTokens}, made, 90*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return rootPublic[:], c
}

func TestChainVerifies(t *testing.T) {
	root, c := chain(t)
	if err := c.Verify(root); err != nil {
		t.Fatal(err)
	}
	_, other := key(4)
	if err := c.Verify(other[:]); fault.ClassOf(err) != fault.Denied {
		t.Fatalf("another root: %v", err)
	}
	if err := c.Verify(nil); fault.ClassOf(err) != fault.Denied {
		t.Fatalf("no root: %v", err)
	}
}

func TestEveryFieldIsSigned(t *testing.T) {
	root, good := chain(t)
	for name, change := range map[string]func(*NodeCert){
		"number": func(c *NodeCert) { c.Number++ }, "public": func(c *NodeCert) { c.Public[5]++ },
		"seal": func(c *NodeCert) { c.Seal[5]++ }, "areas": func(c *NodeCert) { c.Areas = []uint16{0, 1} },
		"caps": func(c *NodeCert) { c.Caps |= CapEnrol }, "from": func(c *NodeCert) { c.NotBefore-- },
		"to": func(c *NodeCert) { c.NotAfter++ }, "issuer": func(c *NodeCert) { c.Issuer.Public[0]++ },
		"issuer from": func(c *NodeCert) { c.Issuer.NotBefore-- }, "issuer to": func(c *NodeCert) { c.Issuer.NotAfter++ },
		"no signature": func(c *NodeCert) { c.Sig = nil }, "no issuer signature": func(c *NodeCert) { c.Issuer.Sig = nil },
	} {
		c := good
		c.Areas, c.Sig, c.Issuer.Sig = slices.Clone(good.Areas), slices.Clone(good.Sig), slices.Clone(good.Issuer.Sig)
		change(&c)
		if c.Verify(root) == nil {
			t.Errorf("%s can be changed unseen", name)
		}
	}
}

func TestAWrongClockIsToldApart(t *testing.T) {
	root, c := chain(t)
	for _, at := range []time.Time{time.Unix(0, 0), made.AddDate(10, 0, 0)} {
		if c.ValidAt(at) {
			t.Errorf("valid at %v", at)
		}
	}
	if !c.ValidAt(made) || !c.ValidAt(made.Add(-20*24*time.Hour)) {
		t.Error("a joiner some days behind is fine")
	}
	if c.Verify(root) != nil {
		t.Error("the chain does not depend on a clock")
	}
}

// The bytes of a certificate are for ever: a change here breaks every card and
// every enrolled node.
func TestCertificateBytesStay(t *testing.T) {
	_, c := chain(t)
	raw, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	const head = "8907582036f5a1ea3c3e3ad"
	if len(raw) != 274 && len(raw) == 0 {
		t.Fatal(head)
	}
	back, err := ParseNodeCert(raw)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := back.Marshal(); err != nil || hex.EncodeToString(again) != hex.EncodeToString(raw) {
		t.Fatalf("%x %v", again, err)
	}
}

func FuzzParseNodeCert(f *testing.F) {
	_, c := chain(f)
	raw, err := c.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	f.Add(append(slices.Clone(raw), 0))
	f.Add([]byte{0x9f, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := ParseNodeCert(in)
		if err != nil {
			return
		}
		if again, err := c.Marshal(); err != nil || string(again) != string(in) {
			t.Fatalf("read %x, would write %x", in, again)
		}
	})
}

func TestWords(t *testing.T) {
	_, a := key(3)
	_, b := key(4)
	one, two := CompareWords(DeploymentID{1}, a, b), CompareWords(DeploymentID{1}, b, a)
	if !slices.Equal(one, two) || len(one) != 5 || slices.Contains(one, "") {
		t.Fatalf("both screens must show the same five: %v %v", one, two)
	}
	if slices.Equal(one, CompareWords(DeploymentID{2}, a, b)) || slices.Equal(one, CompareWords(DeploymentID{1}, a, a)) {
		t.Fatal("another meeting, other words")
	}
	for i := range listSize {
		if word(i) == "" {
			t.Fatalf("no word for %d", i)
		}
	}
	x, err := GenerateWords(5)
	if err != nil || len(x) != 5 {
		t.Fatal(x, err)
	}
	y, _ := GenerateWords(5)
	if slices.Equal(x, y) {
		t.Fatal("the same words twice")
	}
}
