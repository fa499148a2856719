package identity

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"flag"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

var update = flag.Bool("update", false, "write the golden files again; never after a release: the bytes are part of the format")

func noon() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

func words(s string) []byte { return []byte(s) }

const open5 = "abacus abdomen abide ability able"

// founder starts a deployment in a temporary folder.
func founder(t testing.TB, c clock.Clock) (*Vault, string) {
	t.Helper()
	dir := t.TempDir()
	v, _, err := Start(dir, c, StartOptions{Deployment: "Coast", Site: "North gate", Passphrase: words(open5), KeepRoot: true, Cost: TestCost()})
	if err != nil {
		t.Fatal(err)
	}
	return v, dir
}

func unlock(t testing.TB, dir string, c clock.Clock) *Vault {
	t.Helper()
	v, err := Unlock(dir, c, words(open5))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// applicant reads a fresh invitation of v.
func applicant(t testing.TB, v *Vault) *Applicant {
	t.Helper()
	inv, err := v.Invite(0, []string{"192.0.2.1:7946"})
	if err != nil {
		t.Fatal(err)
	}
	return applicantFor(t, inv.Code)
}

func applicantFor(t testing.TB, code string) *Applicant {
	t.Helper()
	c, err := ParseInvitation(code)
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewApplicant(c)
	if err != nil {
		t.Fatal(err)
	}
	a.Cost = TestCost()
	return a
}

// joined lets one more node in.
func joined(t testing.TB, v *Vault, site string) *Vault {
	t.Helper()
	a := applicant(t, v)
	reply, _, err := v.Admit(a.Request())
	if err != nil {
		t.Fatal(err)
	}
	n, err := a.Accept(t.TempDir(), v.clock, reply, site, words(open5))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func wantFault(t *testing.T, err error, class fault.Class, key string) {
	t.Helper()
	if !errors.Is(err, fault.New(class, key)) {
		t.Fatalf("got %v, want %s %s", err, class, key)
	}
}

func seeded(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

func public(k ed25519.PrivateKey) [32]byte { return [32]byte(k.Public().(ed25519.PublicKey)) }
