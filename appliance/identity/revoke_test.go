package identity

import (
	"testing"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

func views(t testing.TB, p post) string {
	t.Helper()
	r, err := p.log.Check(ctx())
	must(t, err)
	if !r.Sound {
		t.Errorf("not sound: %v", r.Problems)
	}
	return r.Views
}

// revoke shuts a box out with the cuts as they are here.
func (p post) revoke(t testing.TB, of post, hands [2][]byte) error {
	t.Helper()
	cuts, err := p.desk.RevokeCutsFor(of.vault.NodeID())
	if err != nil {
		cuts = RevokeCuts{}
	}
	return p.desk.Revoke(ctx(), oplog.By{1}, of.vault.NodeID(), cuts, hands)
}

// TestWhatARevokedBoxWroteIsHeldBack: behind the cut nothing counts, whatever came first,
// at every node alike, after a rebuild too; what is released counts.
func TestWhatARevokedBoxWroteIsHeldBack(t *testing.T) {
	for _, early := range []bool{true, false} { // b holds what c wrote before it hears of the revocation
		a, b, c := compared(t)
		c.rename(t, "Before")
		settled(t, a, b, c)
		c.rename(t, "After")
		c.rename(t, "Later")
		if early {
			only(t, c, b, c.log.Own())
			if b.site(t, c) != "Later" {
				t.Fatal("not there")
			}
		}
		must(t, a.revoke(t, c, [2][]byte{{1}, {2}}))
		settled(t, a, b)
		if !early {
			only(t, c, b, c.log.Own())
			settled(t, a, b)
		}
		for name, p := range map[string]post{"a": a, "b": b} {
			if got := p.site(t, c); got != "Before" {
				t.Errorf("%s shows %q", name, got)
			}
			held, err := p.desk.HeldBack(c.vault.NodeID())
			must(t, err)
			if len(held) != 2 || held[0].Kind != "identity.node_named" {
				t.Errorf("%s holds back %v", name, held)
			}
		}
		oplogtest.Same(t, a.log, b.log)
		want := views(t, a)
		must(t, b.log.Rebuild(ctx()))
		if views(t, b) != want {
			t.Error("a rebuild sees more")
		}

		held, err := a.desk.HeldBack(c.vault.NodeID())
		must(t, err)
		wantFault(t, a.desk.Release(ctx(), oplog.By{1}, c.vault.NodeID(), []oplog.Ref{{Seq: 9}}, [2][]byte{{1}, {2}}), fault.NotFound, "fault.identity.not_held")
		wantFault(t, b.desk.Release(ctx(), oplog.By{1}, c.vault.NodeID(), []oplog.Ref{held[0].Ref}, [2][]byte{{1}, {2}}), fault.Denied, "fault.identity.revoke_issuer")
		ops, err := a.desk.Holds(c.vault.NodeID(), []oplog.Ref{held[0].Ref})
		must(t, err)
		for _, p := range []post{a, b} {
			p.desk.SetHands(func(_ []Node, purpose string, body, first, second []byte) bool {
				return purpose != PurposeRelease || checkSigned(nil, purpose, body, first, second)
			})
		}
		must(t, a.desk.Release(ctx(), oplog.By{1}, c.vault.NodeID(), ops, [2][]byte{{1}, {2}})) // one lead alone
		other := bothHands(PurposeRelease, ReleaseBody(c.vault.NodeID(), []oplog.Ref{held[1].Ref}))
		must(t, a.desk.Release(ctx(), oplog.By{1}, c.vault.NodeID(), ops, other)) // for another record
		settled(t, a, b)
		if got := b.site(t, c); got != "Before" {
			t.Errorf("nobody agreed, and b shows %q", got)
		}
		must(t, a.desk.Release(ctx(), oplog.By{1}, c.vault.NodeID(), ops, bothHands(PurposeRelease, ReleaseBody(c.vault.NodeID(), ops))))
		settled(t, a, b)
		for name, p := range map[string]post{"a": a, "b": b} {
			if got := p.site(t, c); got != "After" {
				t.Errorf("released, %s shows %q", name, got)
			}
		}
		oplogtest.Same(t, a.log, b.log)
		want = views(t, a)
		must(t, b.log.Rebuild(ctx()))
		if views(t, b) != want {
			t.Error("a rebuild after a release sees something else")
		}
	}
}

// TestHeldBackOutlivesARestart: the views are made under what the card says.
func TestHeldBackOutlivesARestart(t *testing.T) {
	a, b, c := compared(t)
	c.rename(t, "Before")
	settled(t, a, b, c)
	c.rename(t, "After")
	must(t, a.revoke(t, c, [2][]byte{{1}, {2}}))
	only(t, c, a, c.log.Own())
	settled(t, a, b)
	want := views(t, a)
	dir := a.vault.dir
	a.vault.Close()
	again := openPost(t, unlock(t, dir, clock.NewFake(noon())))
	oplogtest.Exchange(t, b.log, again.log) // into an empty journal: views from nothing
	if got := again.site(t, c); got != "Before" {
		t.Errorf("shows %q before anybody looked", got)
	}
	must(t, again.desk.Follow(ctx()))
	_ = want
	if got := again.site(t, c); got != "Before" {
		t.Errorf("shows %q", got)
	}
}

// TestANewLogOfARevokedBoxIsHeldBack: it cannot begin anew beside the cuts.
func TestANewLogOfARevokedBoxIsHeldBack(t *testing.T) {
	a, b, c := compared(t)
	must(t, a.revoke(t, c, [2][]byte{{1}, {2}}))
	settled(t, a, b)
	other := openPost(t, c.vault)
	other.rename(t, "From another log")
	only(t, other, b, other.log.Own())
	must(t, b.desk.Follow(ctx()))
	if got := b.site(t, c); got == "From another log" {
		t.Fatal("it counts")
	}
	held, err := b.desk.HeldBack(c.vault.NodeID())
	must(t, err)
	if len(held) != 1 {
		t.Fatalf("%d held back", len(held))
	}
}
