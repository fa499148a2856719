package identity

import (
	"testing"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/oplog"
)

// TestACarrierReadsNothing: it holds and passes on what the others write, has no key of
// theirs, is given none when keys change, and others cannot read what its people write.
func TestACarrierReadsNothing(t *testing.T) {
	v, _ := founder(t, clock.NewFake(noon()))
	a, b := openPost(t, v), openPost(t, joined(t, v, "South gate"))
	r := openPost(t, joinedAt(t, v, Place{Carrier: true}, "Planted partner"))
	if c := r.vault.Cert(); len(c.Areas) != 0 || c.Caps != 0 || !r.vault.Carries() || a.vault.Carries() || !r.desk.Carries() {
		t.Fatalf("%+v", c)
	}
	for _, p := range []post{b, r} {
		must(t, a.desk.Enrolled(ctx(), p.vault.Cert()))
		must(t, a.desk.Confirm(ctx(), oplog.By{1}, p.vault.NodeID()))
		must(t, p.desk.NameSelf(ctx()))
	}
	must(t, a.desk.NameSelf(ctx()))
	settled(t, a, b, r)
	readNothing := func() {
		t.Helper()
		if got := r.site(t, b); got != "" {
			t.Errorf("it reads %q", got)
		}
		for _, p := range []post{a, b} {
			if got := p.site(t, r); got != "" {
				t.Errorf("what its people write is read elsewhere: %q", got)
			}
			area, epoch := p.vault.CurrentEpoch(oplog.Register)
			if _, ok := r.vault.CompartmentKey(oplog.Register, area, epoch); ok {
				t.Error("it has a key of the register")
			}
		}
		if a.site(t, b) == "" {
			t.Error("the others do not read each other")
		}
	}
	readNothing()
	// It lies under its storage key as any node's keys do.
	dir := r.vault.dir
	r.vault.Close()
	again, err := Unlock(dir, r.vault.clock, words(open5))
	must(t, err)
	if !again.Carries() || again.Area() != again.Cert().Number {
		t.Error(again.Area())
	}
	again.Close()
}

// TestACarrierIsBelievedInNothing: it vouches for nobody, shuts nobody out, and its word
// counts as little when two are needed.
func TestACarrierIsBelievedInNothing(t *testing.T) {
	v, _ := founder(t, clock.NewFake(noon()))
	a, b := openPost(t, v), openPost(t, joined(t, v, "South gate"))
	r := openPost(t, joinedAt(t, v, Place{Carrier: true}, "Partner"))
	for _, p := range []post{b, r} {
		must(t, a.desk.Enrolled(ctx(), p.vault.Cert()))
		must(t, a.desk.Confirm(ctx(), oplog.By{1}, p.vault.NodeID()))
	}
	late := openPost(t, joined(t, v, "Nobody compared it"))
	must(t, a.desk.Enrolled(ctx(), late.vault.Cert()))
	settled(t, a, b, r, late)
	must(t, r.desk.Confirm(ctx(), oplog.By{1}, late.vault.NodeID()))
	must(t, r.desk.Suspend(ctx(), oplog.By{1}, b.vault.NodeID()))
	must(t, r.desk.Suspend(ctx(), oplog.By{1}, a.vault.NodeID()))
	settled(t, a, b, r, late)
	for name, p := range map[string]post{"a": a, "b": b, "the carrier": r} {
		n, known, err := p.desk.node(late.vault.NodeID())
		must(t, err)
		if !known || n.Confirmed {
			t.Errorf("%s: the carrier vouches for somebody", name)
		}
		for _, q := range []post{a, b} {
			if p.desk.StandingOf(q.vault.NodeID()) != StandingGood {
				t.Errorf("%s: the carrier shut somebody out", name)
			}
		}
	}
	if p := a.desk; p.mayKeep(Node{Cert: r.vault.Cert(), Confirmed: true}) {
		t.Error("it is given means to open another box")
	}
	// It is shut out like any other, and the keys change without it.
	must(t, b.desk.Suspend(ctx(), oplog.By{1}, r.vault.NodeID()))
	settled(t, a, b)
	if !a.desk.Outcast(r.vault.Cert()) {
		t.Error("a suspended carrier is let in")
	}
}
