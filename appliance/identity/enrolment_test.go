package identity

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

// start makes a deployment in a folder of its own.
func start(t *testing.T, c clock.Clock) (*Vault, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "one")
	v, _, err := Start(dir, c, StartOptions{Deployment: "Relief", Site: "Gate", Passphrase: []byte("one two three"), KeepRoot: true, Cost: TestCost()})
	if err != nil {
		t.Fatal(err)
	}
	return v, dir
}

func TestOnlyThePassphraseOpensTheVault(t *testing.T) {
	c := clock.NewFake(time.Unix(1_790_000_000, 0))
	v, dir := start(t, c)
	if err := v.Cert().Verify(v.Root()); err != nil {
		t.Fatal(err)
	}
	if _, err := Unlock(dir, c, []byte("one two four")); fault.ClassOf(err) != fault.Denied {
		t.Fatalf("a wrong passphrase: %v", err)
	}
	again, err := Unlock(dir, c, []byte("one two three"))
	if err != nil {
		t.Fatal(err)
	}
	if again.NodeID() != v.NodeID() || again.Subkey("views") != v.Subkey("views") || again.Subkey("views") == again.Subkey("journal") {
		t.Fatal("an opened vault is not the one that was made")
	}
	// A card that loses the first copies still opens.
	for _, name := range []string{"unlock", "secrets"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Unlock(dir, c, []byte("one two three")); err != nil {
		t.Fatalf("the second copies: %v", err)
	}
}

func TestAnInvitationWorksOnce(t *testing.T) {
	c := clock.NewFake(time.Unix(1_790_000_000, 0))
	v, _ := start(t, c)
	inv, err := v.Invite(10*time.Minute, []string{"127.0.0.1:7946"})
	if err != nil {
		t.Fatal(err)
	}
	code, err := ParseInvitation(" " + inv.Code + "\n")
	if err != nil {
		t.Fatal(err)
	}
	first, err := NewApplicant(code)
	if err != nil {
		t.Fatal(err)
	}
	answer, cert, err := v.Admit(first.Request())
	if err != nil {
		t.Fatal(err)
	}
	joined, err := first.Accept(filepath.Join(t.TempDir(), "two"), c, answer, "Clinic", []byte("four five six"))
	if err != nil {
		t.Fatal(err)
	}
	if joined.NodeID() != cert.ID() || joined.Cert().Number == v.Cert().Number || joined.GossipKey() != v.GossipKey() {
		t.Fatal("the joined node is not the admitted one")
	}
	words := CompareWords(v.Deployment(), v.Cert().Public, cert.Public)
	if len(words) != 5 || !slices.Equal(words, joined.CompareWords()) {
		t.Fatalf("both screens must show the same five: %v %v", words, joined.CompareWords())
	}
	second, err := NewApplicant(code)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.Admit(second.Request()); fault.ClassOf(err) != fault.Conflict {
		t.Fatalf("a second use: %v", err)
	}
}

func TestAnOldInvitationIsRefused(t *testing.T) {
	c := clock.NewFake(time.Unix(1_790_000_000, 0))
	v, _ := start(t, c)
	inv, err := v.Invite(10*time.Minute, []string{"127.0.0.1:7946"})
	if err != nil {
		t.Fatal(err)
	}
	code, err := ParseInvitation(inv.Code)
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewApplicant(code)
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(11 * time.Minute)
	if _, _, err := v.Admit(a.Request()); fault.ClassOf(err) != fault.Gone {
		t.Fatalf("too late: %v", err)
	}
	if _, err := ParseInvitation("WPI1NONSENSE"); fault.ClassOf(err) != fault.Invalid {
		t.Fatalf("nonsense: %v", err)
	}
}

func FuzzParseNodeCert(f *testing.F) {
	f.Add([]byte{0x80})
	f.Add([]byte{0x9f, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		if c, err := ParseNodeCert(in); err == nil && string(c.Marshal()) != string(in) {
			t.Fatalf("read %x, would write %x", in, c.Marshal())
		}
	})
}
