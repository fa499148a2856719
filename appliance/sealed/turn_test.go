package sealed_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
)

// beginThree opens the desks with three officers, one of whom leaves later.
func (c *camp) beginThree(t testing.TB) {
	t.Helper()
	n := c.north
	n.hire(t, staff.Lead, "lena", "zoe")
	c.meet(t)
	must(t, n.Sealed.Begin(ctx, n.as(t, "amal").Actor, sealed.Setup{
		Officers: []staff.ID{n.ids["amal"], n.ids["cora"], n.ids["lena"]}, Workers: []staff.ID{n.ids["mina"], n.ids["sami"], c.south.ids["bilal"]},
	}))
	c.meet(t)
}

func (p *post) glass(t testing.TB, first, second string, e sealed.Emergency) error {
	t.Helper()
	act, err := p.Sealed.AskGlass(p.as(t, first), e)
	if err != nil {
		return err
	}
	return p.Staff.ConfirmAct(ctx, p.as(t, second), act)
}

// An officer leaves; two of those who stay put another in her place. The new one opens files
// with them, also those nobody opened since; she opens nothing new.
func TestTwoOfficersPutAnotherInThePlaceOfOneWhoLeft(t *testing.T) {
	c := newCamp(t)
	c.beginThree(t)
	n, s := c.north, c.south
	mina := n.as(t, "mina")
	still, opened := n.open(t, mina, "nobody opens it"), n.open(t, mina, "opened since")
	n.pass(t, "rana", staff.NarrowProtection, "waits since before")
	former := n.Sealed.OfficersKeyOf(t, n.as(t, "amal"), n.as(t, "lena"))
	must(t, n.Staff.Disable(ctx, n.as(t, "amal").Actor, "lena"))
	before := n.Sealed.CurrentOf(t, staff.NarrowProtection)
	next := []staff.ID{n.ids["amal"], n.ids["cora"], n.ids["zoe"]}
	_, err := n.Sealed.AskTurn(mina, next)
	refused(t, err, "fault.staff.not_allowed")
	_, err = n.Sealed.AskTurn(n.as(t, "zoe"), next)
	refused(t, err, "fault.sealed.no_share")
	_, err = n.Sealed.AskTurn(n.as(t, "amal"), next[:1])
	refused(t, err, "fault.sealed.officers")
	_, err = n.Sealed.AskTurn(n.as(t, "amal"), []staff.ID{n.ids["amal"], n.ids["lena"]})
	refused(t, err, "fault.sealed.no_worker") // she left
	act, err := n.Sealed.AskTurn(n.as(t, "amal"), next)
	must(t, err)
	refused(t, n.Staff.ConfirmAct(ctx, n.as(t, "amal"), act), "fault.staff.act_same")
	refused(t, n.Staff.ConfirmAct(ctx, n.as(t, "zoe"), act), "fault.sealed.no_share")
	must(t, n.Staff.ConfirmAct(ctx, n.as(t, "cora"), act))
	c.meet(t)
	for _, p := range []*post{n, s} {
		if p.Sealed.CurrentOf(t, staff.NarrowProtection) == before {
			t.Fatal("the same keys")
		}
	}
	if o, err := n.Sealed.Officers(n.as(t, "zoe")); err != nil || !o.Share || len(o.Officers) != 3 {
		t.Errorf("%+v %v", o, err)
	}
	// Intake goes on, under the new keys; who held the keys holds them.
	s.pass(t, "rami", staff.NarrowProtection, "passed on since")
	c.meet(t)
	if l := n.list(t, n.as(t, "mina")); l.Contested || len(l.Items) != 4 {
		t.Errorf("%+v", l)
	}
	if got := n.texts(t, mina, opened); got != "opened since" { // and is wrapped to the new officers by it
		t.Error(got)
	}
	must(t, n.Sealed.Note(ctx, mina, opened, "written since", time.Time{}))
	// What two of the officers before could still open, as the page says.
	if a, b := n.Sealed.TextsWithKey(t, former, still), n.Sealed.TextsWithKey(t, former, opened); !strings.Contains(a, "nobody opens it") || !strings.Contains(b, "opened since") || strings.Contains(b, "written since") {
		t.Errorf("the officers before open %q and %q", a, b)
	}
	now := n.Sealed.OfficersKeyOf(t, n.as(t, "zoe"), n.as(t, "cora"))
	if got := n.Sealed.TextsWithKey(t, now, opened); !strings.Contains(got, "opened since") || !strings.Contains(got, "written since") {
		t.Errorf("the new ones open %q", got)
	}
	for _, id := range []oplog.ID{still, opened} {
		must(t, n.glass(t, "zoe", "amal", sealed.Emergency{What: sealed.GlassFile, Narrow: staff.NarrowProtection, Which: id, To: n.ids["noor"], Reason: "mina is in hospital"}))
	}
	noor := n.as(t, "noor")
	if a, b := n.texts(t, noor, still), n.texts(t, noor, opened); !strings.Contains(a, "nobody opens it") || !strings.Contains(b, "written since") {
		t.Errorf("%q %q", a, b)
	}
	// Once more, from the new ones: the keys of all before are at hand.
	act, err = n.Sealed.AskTurn(n.as(t, "zoe"), []staff.ID{n.ids["zoe"], n.ids["cora"]})
	must(t, err)
	must(t, n.Staff.ConfirmAct(ctx, n.as(t, "amal"), act))
	old := n.open(t, noor, "after two turns")
	must(t, n.glass(t, "zoe", "cora", sealed.Emergency{What: sealed.GlassFile, Narrow: staff.NarrowProtection, Which: old, To: n.ids["mina"], Reason: "noor is in hospital"}))
	err = n.glass(t, "amal", "cora", sealed.Emergency{What: sealed.GlassFile, Narrow: staff.NarrowProtection, Which: old, To: n.ids["mina"], Reason: "noor is in hospital"})
	refused(t, err, "fault.sealed.no_share") // amal is none any more
	must(t, n.glass(t, "zoe", "cora", sealed.Emergency{What: sealed.GlassAccess, Narrow: staff.NarrowProtection, To: n.ids["noor"], Reason: "nobody is left to read"}))
	c.meet(t)
	oplogtest.Same(t, n.log, s.log)
}

// New keys with other officers count by two of the officers before them, and by nothing less.
func TestNobodyElseChangesOfficers(t *testing.T) {
	c := newCamp(t)
	c.beginThree(t)
	n, s := c.north, c.south
	mina, amal, cora, zoe := n.as(t, "mina"), n.as(t, "amal"), n.as(t, "cora"), n.as(t, "zoe")
	seed := n.Sealed.SeedOf(t, mina, staff.NarrowProtection) // a holder has the key that signs
	want := n.Sealed.CurrentOf(t, staff.NarrowProtection)
	after := []staff.ID{zoe.Actor.ID, n.ids["mina"]}
	forge := func(p *post, by staff.Session, sign func(staff.Act) (staff.Hand, staff.Hand)) {
		t.Helper()
		e := n.Sealed.TurnedEpoch(t, staff.NarrowProtection, by, seed, after, sign)
		must(t, p.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error { return sealed.WriteEpoch(tx, staff.NarrowProtection, e) }))
	}
	by := func(a, b staff.Session) func(staff.Act) (staff.Hand, staff.Hand) {
		return func(act staff.Act) (staff.Hand, staff.Hand) { return hands(t, n, a, b, act) }
	}
	forge(n, cora, func(act staff.Act) (staff.Hand, staff.Hand) { a, _ := hands(t, n, cora, amal, act); return a, a }) // one, twice
	forge(n, zoe, by(amal, zoe))                                                                                       // one of them is none
	forge(n, mina, by(amal, cora))                                                                                     // begun by another
	forge(s, cora, by(amal, cora))                                                                                     // at another post than hers
	forge(n, cora, func(act staff.Act) (staff.Hand, staff.Hand) {
		act.Body = append([]byte{}, act.Body...)
		act.Body[len(act.Body)-1] ^= 1
		return hands(t, n, amal, cora, act)
	}) // for other shares
	c.meet(t)
	for _, p := range []*post{n, s} {
		if p.Sealed.CurrentOf(t, staff.NarrowProtection) != want {
			t.Error("other officers than two agreed to")
		}
	}
	if n.list(t, mina).Contested {
		t.Error("what does not count is called a second change")
	}
	forge(n, cora, by(amal, cora)) // with all it takes it counts
	if n.Sealed.CurrentOf(t, staff.NarrowProtection) == want {
		t.Error("the test forges nothing")
	}
}

// Somebody who holds the keys, at a box nobody meets meanwhile, changes them twice: what two
// officers decided elsewhere stands.
func TestAHolderAloneUndoesNoChangeOfOfficers(t *testing.T) {
	c := newCamp(t)
	c.beginThree(t)
	n, s := c.north, c.south
	bilal := s.as(t, "bilal")
	for range 2 {
		must(t, s.Sealed.Rotate(ctx, bilal, staff.NarrowProtection, nil))
	}
	act, err := n.Sealed.AskTurn(n.as(t, "amal"), []staff.ID{n.ids["amal"], n.ids["zoe"]})
	must(t, err)
	must(t, n.Staff.ConfirmAct(ctx, n.as(t, "cora"), act))
	want := n.Sealed.CurrentOf(t, staff.NarrowProtection)
	c.meet(t)
	for _, p := range []*post{n, s} {
		if p.Sealed.CurrentOf(t, staff.NarrowProtection) != want {
			t.Error("the officers before are officers again")
		}
	}
	if o, err := n.Sealed.Officers(n.as(t, "zoe")); err != nil || !o.Share {
		t.Errorf("%+v %v", o, err)
	}
	if !s.list(t, bilal).Contested {
		t.Error("nobody is told")
	}
	// And they can be changed once more.
	act, err = n.Sealed.AskTurn(n.as(t, "amal"), []staff.ID{n.ids["amal"], n.ids["cora"]})
	must(t, err)
	must(t, n.Staff.ConfirmAct(ctx, n.as(t, "zoe"), act))
}

// What the second officer agrees to tells people of one name apart.
func TestAnotherOfTheSameNameIsNotTakenForHer(t *testing.T) {
	c := newCamp(t)
	c.beginThree(t)
	n, s := c.north, c.south
	s.hire(t, staff.Coordinator, "cora")
	s.hire(t, staff.Caseworker, "noor")
	c.meet(t)
	_, err := n.Sealed.AskTurn(n.as(t, "amal"), []staff.ID{n.ids["amal"], n.ids["lena"], s.ids["cora"]})
	must(t, err)
	_, err = n.Sealed.AskGlass(n.as(t, "amal"), sealed.Emergency{What: sealed.GlassAccess, Narrow: staff.NarrowProtection, To: s.ids["noor"], Reason: "nobody is left to read"})
	must(t, err)
	said := ""
	for _, a := range n.Staff.Acts(n.as(t, "cora").Actor) {
		said += fmt.Sprint(a.Act.Args...)
	}
	for _, who := range []string{"cora (South gate)", "noor (South gate)"} {
		if !strings.Contains(said, who) {
			t.Errorf("%q does not say %s", said, who)
		}
	}
}
