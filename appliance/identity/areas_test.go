package identity

import (
	"bytes"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// joinedAt lets one more node in, at a place of that kind.
func joinedAt(t testing.TB, v *Vault, where Place, site string) *Vault {
	t.Helper()
	inv, err := v.InviteTo(where, 0, []string{"192.0.2.1:7946"})
	must(t, err)
	a := applicantFor(t, inv.Code)
	reply, cert, err := v.Admit(a.Request())
	must(t, err)
	again, same, err := v.Admit(a.Request()) // its answer was lost on the way
	must(t, err)
	if !bytes.Equal(cert.Marshal(), same.Marshal()) || !bytes.Equal(reply, again) {
		t.Fatal("asked again it gets something else")
	}
	n, err := a.Accept(t.TempDir(), v.clock, reply, site, words(open5))
	must(t, err)
	return n
}

// TestAProtectedAddress: what is written there travels everywhere and is read nowhere else,
// with all keys of the other nodes together, and its neighbours read it when their words
// were compared.
func TestAProtectedAddress(t *testing.T) {
	v, _ := founder(t, clock.NewFake(noon()))
	a := openPost(t, v)
	b := openPost(t, joined(t, v, "South gate"))
	_, err := v.InviteTo(Place{Area: 9}, 0, nil)
	wantFault(t, err, fault.NotFound, "fault.identity.no_such_area")
	s := openPost(t, joinedAt(t, v, Place{Apart: true}, "Planted shelter"))
	area := s.vault.Cert().Areas[0]
	if area != s.vault.Cert().Number || len(s.vault.Cert().Areas) != 1 {
		t.Fatalf("area %v", s.vault.Cert().Areas)
	}
	for _, p := range []post{b, s} {
		must(t, a.desk.Enrolled(ctx(), p.vault.Cert()))
		must(t, a.desk.Confirm(ctx(), oplog.By{1}, p.vault.NodeID()))
		must(t, p.desk.NameSelf(ctx()))
	}
	must(t, a.desk.NameSelf(ctx()))
	settled(t, a, b, s)
	readNowhere := func() {
		t.Helper()
		for _, p := range []post{a, b} {
			if got := p.site(t, s); got != "" {
				t.Errorf("the site is called %q there", got)
			}
			if _, ok := p.vault.CompartmentKey(oplog.Register, area, uint32(area)); ok {
				t.Error("it has the key")
			}
			for _, h := range p.log.Heads() {
				raw, _, err := p.log.Range(h.Log, 0, 1000, 1<<20)
				must(t, err)
				if bytes.Contains(raw, []byte("Planted")) {
					t.Error("the name lies open in what is passed on")
				}
			}
			// All keys of both, tried on everything that is held.
			for _, k := range append(p.vault.s.Registers, a.vault.s.Registers...) {
				if k.Area == area {
					t.Error("a key of the area")
				}
			}
		}
		if got := s.site(t, a); got != "" {
			t.Errorf("the protected box reads %q", got)
		}
	}
	readNowhere()
	if s.site(t, s) != "Planted shelter" || a.site(t, b) != "South gate" || a.log.Stats().Opaque == 0 {
		t.Fatal("each reads its own")
	}

	// A second box there: nobody gives it a key before its words were compared.
	n := openPost(t, joinedAt(t, v, Place{Area: area}, "Planted annex"))
	must(t, a.desk.Enrolled(ctx(), n.vault.Cert()))
	must(t, n.desk.NameSelf(ctx()))
	settled(t, a, b, s, n)
	if n.site(t, s) != "" || s.site(t, n) != "" {
		t.Fatal("keys went to a box nobody compared")
	}
	must(t, a.desk.Confirm(ctx(), oplog.By{1}, n.vault.NodeID()))
	settled(t, a, b, s, n)
	if n.site(t, s) != "Planted shelter" || s.site(t, n) != "Planted annex" {
		t.Fatalf("neighbours read %q and %q", n.site(t, s), s.site(t, n))
	}
	readNowhere()

	// Lost, it is shut out from anywhere, and its neighbour makes the new keys.
	must(t, b.desk.Suspend(ctx(), oplog.By{1}, s.vault.NodeID()))
	settled(t, a, b, n)
	n.rename(t, "Planted after")
	settled(t, a, b, n)
	oplogtest.Exchange(t, a.log, s.log)
	must(t, s.desk.Follow(ctx()))
	if s.site(t, n) != "Planted annex" {
		t.Fatalf("the lost box reads %q", s.site(t, n))
	}
	if _, epoch := n.vault.CurrentEpoch(oplog.Register); epoch>>16 == 0 {
		t.Fatal("still under an old key")
	}
}

func TestParsePlace(t *testing.T) {
	for text, want := range map[string]Place{"": {}, "new": {Apart: true}, "7": {Area: 7}} {
		if got, err := ParsePlace(text); err != nil || got != want {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
	for _, text := range []string{"-1", "65536", "New", " 7", strings.Repeat("7", 90)} {
		_, err := ParsePlace(text)
		wantFault(t, err, fault.Invalid, "fault.identity.bad_area")
	}
}
