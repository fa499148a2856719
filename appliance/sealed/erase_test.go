package sealed_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
)

const whyErase = "opened twice for one person"

// erase lets two people erase a file of the north.
func (c *camp) erase(t testing.TB, by staff.Session, id oplog.ID, second string) {
	t.Helper()
	act, err := c.north.Sealed.AskErase(by, id, whyErase)
	must(t, err)
	must(t, c.north.Staff.ConfirmAct(ctx, c.north.as(t, second), act))
}

// shown is the item of a file in somebody's list.
func (p *post) shown(t testing.TB, user string, id oplog.ID) *sealed.Item {
	t.Helper()
	l := p.list(t, p.as(t, user))
	if i := slices.IndexFunc(l.Items, func(x sealed.Item) bool { return x.ID == id }); i >= 0 {
		return &l.Items[i]
	}
	return nil
}

// destroy runs the keeper until the payloads of a file are gone and the node says so.
func (p *post) destroy(t testing.TB, id oplog.ID) {
	t.Helper()
	run, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { p.Staff.RunErasures(run, nil); close(ended) }()
	for said := false; !said; { // gone, and written down
		p.clock.Advance(time.Minute)
		runtime.Gosched()
		e, err := p.Staff.ErasureOf(ctx, staff.Operator(), id)
		must(t, err)
		said = e.Here
	}
	stop()
	<-ended
}

func TestTwoPeopleEraseAFile(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n, s := c.north, c.south
	mina, noor, bilal := n.as(t, "mina"), n.as(t, "noor"), s.as(t, "bilal")
	id, other := n.open(t, mina, "to be gone"), n.open(t, mina, "stays")
	for _, who := range []staff.ID{n.ids["noor"], s.ids["bilal"]} {
		must(t, n.Sealed.Assign(ctx, mina, id, who))
	}
	n.pass(t, "rana", staff.NarrowProtection, "put into it")
	var intake oplog.ID
	for _, x := range n.list(t, mina).Items {
		if x.Waiting {
			intake = x.ID
		}
	}
	must(t, n.Sealed.Link(ctx, mina, intake, id))
	c.meet(t)
	must(t, s.Sealed.Note(ctx, bilal, id, "written apart", time.Time{}))
	if x := n.shown(t, "noor", id); x == nil || x.Erased {
		t.Fatalf("%+v", x)
	}
	if x := s.shown(t, "bilal", id); x == nil || x.Erased {
		t.Fatalf("%+v", x)
	}
	_, err := n.Sealed.AskErase(n.as(t, "sami"), id, whyErase)
	refused(t, err, "fault.sealed.no_file")
	_, err = n.Sealed.AskErase(mina, id, "short")
	refused(t, err, "fault.sealed.reason")
	act, err := n.Sealed.AskErase(mina, id, whyErase)
	must(t, err)
	for user, key := range map[string]string{"mina": "fault.staff.act_same", "noor": "fault.staff.no_act", "rana": "fault.staff.no_act"} {
		refused(t, n.Staff.ConfirmAct(ctx, n.as(t, user), act), key)
	}
	if got := n.texts(t, noor, id); got == "" {
		t.Error("hidden before anybody agreed")
	}
	must(t, n.Staff.ConfirmAct(ctx, n.as(t, "amal"), act))
	if x := n.shown(t, "noor", id); x == nil || !x.Erased || !x.About.IsZero() || n.texts(t, noor, id) != "" {
		t.Errorf("noor sees %+v", x)
	}
	c.meet(t) // and what bilal wrote apart comes late
	if got := s.texts(t, bilal, id); got != "" || n.texts(t, mina, id) != "" || n.texts(t, mina, intake) != "" {
		t.Errorf("still read: %q", got)
	}
	if x := s.shown(t, "bilal", id); x == nil || !x.Erased {
		t.Errorf("bilal sees %+v", x)
	}
	if got := n.texts(t, mina, other); got != "stays" {
		t.Error(got)
	}
	// A lead takes it back: all is there, with what was written apart.
	for _, x := range []oplog.ID{id} {
		must(t, n.Staff.UndoErasure(ctx, n.as(t, "amal"), x))
	}
	c.meet(t)
	if got := n.texts(t, noor, id); got != "to be gone|put into it|written apart" {
		t.Errorf("after it was taken back: %q", got)
	}
	if x := s.shown(t, "bilal", id); x == nil || x.Erased {
		t.Errorf("bilal sees %+v", x)
	}
	if got := n.texts(t, mina, intake); got == "" {
		t.Error("what was put into it is still hidden")
	}
	oplogtest.Exchange(t, n.log, s.log)
	oplogtest.Same(t, n.log, s.log)
}

// With the issuer's word the payloads go, of the file and of what was put into it; what is
// written about it later brings nothing back, and no id of a person was near it.
func TestWhatIsErasedIsDestroyedAndStaysGone(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n, s := c.north, c.south
	mina, bilal := n.as(t, "mina"), s.as(t, "bilal")
	person := oplog.NewID()
	id, err := n.Sealed.Open(ctx, mina, staff.NarrowProtection, person, "to be gone", time.Time{})
	must(t, err)
	must(t, n.Sealed.Assign(ctx, mina, id, s.ids["bilal"]))
	c.meet(t)
	c.erase(t, mina, id, "cora")
	all, err := n.Staff.Erasures(ctx, n.as(t, "amal").Actor)
	must(t, err)
	if len(all) != 1 || !all[0].File || all[0].Person != id || !all[0].Trusted || all[0].Left == 0 {
		t.Fatalf("%+v", all)
	}
	must(t, n.Staff.FinishErasure(ctx, n.as(t, "amal"), id))
	must(t, s.Sealed.Note(ctx, bilal, id, "written apart, later", time.Time{}))
	c.meet(t)
	n.destroy(t, id)
	s.destroy(t, id)
	c.meet(t)
	for p, user := range map[*post]string{n: "mina", s: "bilal"} {
		if x := p.shown(t, user, id); x != nil {
			t.Errorf("%s still lists it: %+v", user, x)
		}
		if g := p.log.GoneOf(id); g.Kept != 0 || g.Bare == 0 {
			t.Errorf("%+v", g)
		}
	}
	if got := n.texts(t, n.as(t, "mina"), id); got != "" {
		t.Error(got)
	}
	if e, err := n.Staff.ErasureOf(ctx, n.as(t, "amal").Actor, id); err != nil || !e.Here || len(e.DoneAt) != 2 {
		t.Errorf("%+v %v", e, err)
	}
	must(t, n.log.View(func(r oplog.Reader) error { // what stands in the open names no person
		ops, err := r.Ops(person)
		if len(ops) > 0 {
			t.Errorf("%d facts about the person", len(ops))
		}
		return err
	}))
	oplogtest.Same(t, n.log, s.log)
}

// An entry alone does not take somebody else's file along.
func TestErasingTakesNothingElseAlong(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n := c.north
	mina, noor := n.as(t, "mina"), n.as(t, "noor")
	id, theirs := n.open(t, mina, "mine"), n.open(t, noor, "noor's")
	n.pass(t, "rana", staff.NarrowProtection, "waits for anybody")
	var intake oplog.ID
	for _, x := range n.list(t, mina).Items {
		if x.Waiting {
			intake = x.ID
		}
	}
	n.Sealed.ForgeLink(t, mina, id, theirs)
	n.Sealed.ForgeLink(t, mina, id, intake) // she reads it, and it was never put there
	c.erase(t, mina, id, "amal")
	if got := n.texts(t, noor, theirs); got != "noor's" {
		t.Errorf("it took %q along", got)
	}
	if got := n.texts(t, mina, intake); got != "waits for anybody" {
		t.Errorf("it took what waits along: %q", got)
	}
	if got := n.texts(t, mina, id); got != "" {
		t.Error(got)
	}
}

// Taken back, a file is in its list again, also where it was the only one its box ever wrote.
func TestTheOnlyFileIsListedAgain(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n := c.north
	mina := n.as(t, "mina")
	id := n.open(t, mina, "the first of all")
	if x := n.shown(t, "mina", id); x == nil || x.Erased {
		t.Fatalf("%+v", x)
	}
	c.erase(t, mina, id, "amal")
	if x := n.shown(t, "mina", id); x == nil || !x.Erased {
		t.Fatalf("%+v", x)
	}
	must(t, n.Staff.UndoErasure(ctx, n.as(t, "amal"), id))
	if x := n.shown(t, "mina", id); x == nil || x.Erased {
		t.Errorf("mina sees %+v", x)
	}
}

// Whoever was taken off a file does not hear that it was erased.
func TestWhoIsOffHearsOfNoErasure(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n := c.north
	mina := n.as(t, "mina")
	id := n.open(t, mina, "to be gone")
	must(t, n.Sealed.Assign(ctx, mina, id, n.ids["noor"]))
	if n.shown(t, "noor", id) == nil {
		t.Fatal("noor is not in it")
	}
	must(t, n.Sealed.Unassign(ctx, mina, id, n.ids["noor"]))
	if x := n.shown(t, "noor", id); x != nil {
		t.Fatalf("%+v", x)
	}
	c.erase(t, mina, id, "amal")
	if x := n.shown(t, "noor", id); x != nil {
		t.Errorf("%+v", x)
	}
}

// Nobody erases the keys of a desk: they are no file.
func TestNobodyErasesADesk(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n := c.north
	want := n.Sealed.CurrentOf(t, staff.NarrowProtection)
	act, err := n.Staff.AskFileErasure(n.as(t, "mina"), []oplog.ID{staff.NarrowProtection.Subject()}, staff.Act{Key: "x"}, func(staff.ID) error { return nil })
	must(t, err)
	must(t, n.Staff.ConfirmAct(ctx, n.as(t, "amal"), act))
	c.meet(t)
	for _, p := range []*post{n, c.south} {
		if p.Sealed.CurrentOf(t, staff.NarrowProtection) != want {
			t.Error("the desk has no keys any more")
		}
	}
}
