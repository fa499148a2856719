package sealed_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
)

// Somebody leaves: what is passed on from then on, also where nobody heard of it yet, and
// what their colleagues write in the files they shared, is not theirs to read.
func TestWhoLeftReadsNothingNew(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n, s := c.north, c.south
	mina, bilal := n.as(t, "mina"), s.as(t, "bilal")
	must(t, n.Sealed.Give(ctx, mina, staff.NarrowProtection, n.ids["noor"]))
	noor := n.as(t, "noor")
	id := n.open(t, mina, "shared")
	must(t, n.Sealed.Assign(ctx, mina, id, n.ids["noor"]))
	c.meet(t)
	s.pass(t, "rami", staff.NarrowProtection, "before she left")
	c.meet(t)
	if got := n.Sealed.TextsOfAll(t, noor); !strings.Contains(got, "before she left") || !strings.Contains(got, "shared") {
		t.Fatalf("noor reads %q", got)
	}
	sealed.KeepKeyOf(t, noor)
	// She goes; her program keeps her keys. The south has not heard of it.
	must(t, n.Staff.Disable(ctx, n.as(t, "amal").Actor, "noor"))
	must(t, n.Sealed.Rotate(ctx, mina, staff.NarrowProtection, nil))
	s.pass(t, "rami", staff.NarrowProtection, "late, under the old keys")
	n.pass(t, "rana", staff.NarrowProtection, "under the new keys")
	must(t, n.Sealed.Note(ctx, mina, id, "after she left", time.Time{}))
	c.meet(t)
	s.pass(t, "rami", staff.NarrowProtection, "new ones in the south")
	c.meet(t)
	l := n.list(t, mina) // seals anew what is late
	exposed := 0
	for _, x := range l.Items {
		if x.Exposed {
			exposed++
		}
	}
	if exposed != 2 || len(l.Items) != 5 {
		t.Errorf("%d of %d are listed as exposed", exposed, len(l.Items))
	}
	for _, x := range l.Items {
		if x.Waiting && x.Exposed {
			must(t, n.Sealed.Note(ctx, mina, x.ID, "what we do about it", time.Time{}))
		}
	}
	c.meet(t)
	for _, x := range s.list(t, bilal).Items {
		if x.Waiting {
			s.texts(t, bilal, x.ID)
		}
	}
	c.meet(t)
	got := n.Sealed.TextsWithEveryKeyOf(t, noor, mina)
	for _, text := range []string{"under the new keys", "after she left", "new ones in the south", "what we do about it"} {
		if strings.Contains(got, text) {
			t.Errorf("who left reads %q", text)
		}
	}
	if !strings.Contains(got, "late, under the old keys") {
		t.Error("the test opens nothing with her keys")
	}
	all := s.Sealed.TextsOfAll(t, bilal)
	for _, text := range []string{"before she left", "late, under the old keys", "under the new keys", "new ones in the south", "what we do about it"} {
		if !strings.Contains(all, text) {
			t.Errorf("bilal does not read %q", text)
		}
	}
	a, err := n.Sealed.Access(ctx, mina)
	must(t, err)
	if a[0].Epoch != 2 || len(a[0].Holders) != 2 || !a[0].Mine || len(a[0].Others) != 0 {
		t.Errorf("%+v", a[0])
	}
}

// Two holders change the keys at once, apart: every node seals to the same ones then, and
// somebody is told.
func TestKeysChangedApart(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n, s := c.north, c.south
	mina, bilal := n.as(t, "mina"), s.as(t, "bilal")
	must(t, n.Sealed.Rotate(ctx, mina, staff.NarrowChild, nil))
	must(t, s.Sealed.Rotate(ctx, bilal, staff.NarrowChild, nil))
	c.meet(t)
	if !n.list(t, mina).Contested || !s.list(t, bilal).Contested {
		t.Error("nobody is told")
	}
	if n.Sealed.CurrentOf(t, staff.NarrowChild) != s.Sealed.CurrentOf(t, staff.NarrowChild) {
		t.Error("two nodes seal to two keys")
	}
	n.pass(t, "rana", staff.NarrowChild, "from the north")
	s.pass(t, "rami", staff.NarrowChild, "from the south")
	c.meet(t)
	if len(n.list(t, mina).Items) != 2 || len(s.list(t, bilal).Items) != 2 {
		t.Error("somebody cannot read it")
	}
	must(t, n.Sealed.Rotate(ctx, mina, staff.NarrowChild, nil))
	c.meet(t)
	if l := s.list(t, bilal); !l.Narrows[1].Mine {
		t.Errorf("%+v", l.Narrows)
	}
}

// Two officers together open a file for somebody, with a reason, and everybody concerned
// sees it; one alone, or two who are no officers, do not.
func TestTwoOfficersOpenAFileInAnEmergency(t *testing.T) {
	c := newCamp(t)
	n := c.north
	n.hire(t, staff.Lead, "lena")
	c.begin(t)
	mina := n.as(t, "mina")
	person := oplog.NewID()
	id, err := n.Sealed.Open(ctx, mina, staff.NarrowProtection, person, "she hides in block 4", time.Time{})
	must(t, err)
	n.open(t, mina, "another person")
	n.pass(t, "rana", staff.NarrowProtection, "not hers")
	amal, cora, lena := n.as(t, "amal"), n.as(t, "cora"), n.as(t, "lena")
	ask := sealed.Emergency{What: sealed.GlassFile, Narrow: staff.NarrowProtection, Which: person, To: n.ids["noor"], Reason: "mina is in hospital"}
	_, err = n.Sealed.AskGlass(mina, ask)
	refused(t, err, "fault.staff.not_allowed")
	_, err = n.Sealed.AskGlass(lena, ask)
	refused(t, err, "fault.sealed.no_share")
	short := ask
	short.Reason = "because"
	_, err = n.Sealed.AskGlass(amal, short)
	refused(t, err, "fault.sealed.reason")
	wrong := ask
	wrong.To = n.ids["sami"]
	_, err = n.Sealed.AskGlass(amal, wrong)
	refused(t, err, "fault.sealed.no_worker")

	act, err := n.Sealed.AskGlass(amal, ask)
	must(t, err)
	refused(t, n.Staff.ConfirmAct(ctx, amal, act), "fault.staff.act_same")
	refused(t, n.Staff.ConfirmAct(ctx, lena, act), "fault.sealed.no_share")
	if got := n.texts(t, n.as(t, "noor"), id); got != "" {
		t.Fatalf("opened by one: %q", got)
	}
	must(t, n.Staff.ConfirmAct(ctx, cora, act))
	noor := n.as(t, "noor")
	f, err := n.Sealed.Read(ctx, noor, id)
	must(t, err)
	if !f.Marked || !f.Mine || f.Lines[1].Text != "she hides in block 4" {
		t.Errorf("%+v", f)
	}
	if l := n.list(t, noor); len(l.Items) != 1 {
		t.Errorf("noor has %d files", len(l.Items))
	}
	// Later reads say so, whoever worked in it is told until they look, officers see that
	// it happened, and everybody else nothing of what.
	f, err = n.Sealed.Read(ctx, noor, id)
	must(t, err)
	last := f.Lines[len(f.Lines)-1]
	if !last.Marked || last.Kind != "looked" {
		t.Errorf("%+v", last)
	}
	seen := func() (out bool) {
		for _, x := range n.list(t, mina).Items {
			out = out || x.Marked
		}
		return out
	}
	if !seen() {
		t.Error("mina is not told")
	}
	if got := n.texts(t, mina, id); !strings.Contains(got, "mina is in hospital") {
		t.Error(got)
	}
	if seen() {
		t.Error("mina is told for ever")
	}
	c.meet(t)
	o, err := n.Sealed.Officers(cora)
	must(t, err)
	if len(o.Broken) != 1 || o.Broken[0].First != "amal" || o.Broken[0].Second != "cora" || !o.Share || len(o.Officers) != 2 {
		t.Errorf("%+v", o)
	}
	if n, _, err := c.south.Sealed.Alerts(c.south.as(t, "bea").Actor); n != 1 || err != nil {
		t.Errorf("the lead in the south hears of %d: %v", n, err)
	}
	// The first has to be signed in as well: the key is whole for that moment only.
	act, err = n.Sealed.AskGlass(amal, sealed.Emergency{What: sealed.GlassAccess, Narrow: staff.NarrowProtection, To: n.ids["noor"], Reason: "nobody is left to read"})
	must(t, err)
	n.out("amal")
	refused(t, n.Staff.ConfirmAct(ctx, cora, act), "fault.sealed.both_here")
	n.as(t, "amal")
	must(t, n.Staff.ConfirmAct(ctx, cora, act))
	if got := n.Sealed.TextsOfAll(t, n.as(t, "noor")); !strings.Contains(got, "not hers") {
		t.Errorf("noor reads %q", got)
	}
	// Nobody takes an opening off the list by sending one of the two away.
	must(t, n.Staff.Disable(ctx, n.as(t, "lena").Actor, "cora"))
	if o, err := n.Sealed.Officers(n.as(t, "amal")); err != nil || len(o.Broken) != 2 {
		t.Errorf("%+v %v", o.Broken, err)
	}
	if f, err := n.Sealed.Read(ctx, n.as(t, "noor"), id); err != nil || !f.Marked {
		t.Errorf("not marked any more: %+v %v", f, err)
	}
}

// The second officer reads what they agree to: which desk, and that it is all of it. And
// nobody is let in who went in between.
func TestASecondOfficerReadsWhatIsOpened(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n := c.north
	amal, cora := n.as(t, "amal"), n.as(t, "cora")
	ask := sealed.Emergency{What: sealed.GlassAccess, Narrow: staff.NarrowProtection, To: n.ids["noor"], Reason: "nobody is left to read"}
	act, err := n.Sealed.AskGlass(amal, ask)
	must(t, err)
	ask.What, ask.Which = sealed.GlassFile, oplog.NewID()
	_, err = n.Sealed.AskGlass(amal, ask)
	must(t, err)
	for _, w := range n.Staff.Acts(cora.Actor) {
		want := "sealed.act.glass"
		if w.ID == act {
			want = "sealed.act.glass_all"
		}
		if w.Act.Key != want || !slices.Contains(w.Act.Args, any(staff.NarrowProtection)) {
			t.Errorf("cora agrees to %s %v", w.Act.Key, w.Act.Args)
		}
	}
	must(t, n.Staff.Disable(ctx, amal.Actor, "noor"))
	refused(t, n.Staff.ConfirmAct(ctx, cora, act), "fault.sealed.no_worker")
}

// With no officers nobody opens anything for anybody.
func TestTheSmallTeam(t *testing.T) {
	n := newPost(t)
	must(t, n.Sealed.Begin(ctx, n.as(t, "amal").Actor, sealed.Setup{Workers: []staff.ID{n.ids["mina"]}}))
	n.pass(t, "rana", staff.NarrowProtection, "something")
	if got := n.Sealed.TextsOfAll(t, n.as(t, "mina")); got != "something" {
		t.Error(got)
	}
	_, err := n.Sealed.AskGlass(n.as(t, "amal"), sealed.Emergency{What: sealed.GlassAccess, Narrow: staff.NarrowProtection, To: n.ids["noor"], Reason: "nobody is left to read"})
	refused(t, err, "fault.sealed.no_share")
	for name, officers := range map[string][]staff.ID{"fault.sealed.officers": {n.ids["amal"]}, "fault.sealed.no_worker": {n.ids["amal"], n.ids["mina"]}} {
		refused(t, newSetup(t, officers, n), name)
	}
	// Where nobody is left, two people begin again; one alone does not.
	id, err := n.Sealed.AskAgain(n.as(t, "amal"), sealed.Setup{Workers: []staff.ID{n.ids["noor"]}})
	must(t, err)
	refused(t, n.Staff.ConfirmAct(ctx, n.as(t, "amal"), id), "fault.staff.act_same")
	must(t, n.Staff.ConfirmAct(ctx, n.as(t, "cora"), id))
	n.pass(t, "rana", staff.NarrowProtection, "to the new ones")
	if got := n.Sealed.TextsOfAll(t, n.as(t, "noor")); got != "to the new ones" {
		t.Error(got)
	}
	if l := n.list(t, n.as(t, "mina")); l.Narrows[0].Mine {
		t.Error("mina is not told that others hold the keys now")
	}
}

func newSetup(t *testing.T, officers []staff.ID, p *post) error {
	t.Helper()
	_, err := p.Sealed.AskAgain(p.as(t, "amal"), sealed.Setup{Officers: officers})
	return err
}

func TestOfficersWhoCannotMeet(t *testing.T) {
	c := newCamp(t)
	n := c.north
	err := n.Sealed.Begin(ctx, n.as(t, "amal").Actor, sealed.Setup{Officers: []staff.ID{n.ids["amal"], c.south.ids["bea"]}})
	refused(t, err, "fault.sealed.officers_apart")
}

// Nothing is sealed any more to people whose keys lie on a lost box, and what was given to
// them is not carried over into new keys. Given back, they can be given them again.
func TestALostBoxGetsNoNewKeys(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n, s := c.north, c.south
	mina := n.as(t, "mina")
	id := n.open(t, mina, "shared")
	must(t, n.Sealed.Assign(ctx, mina, id, s.ids["bilal"]))
	c.meet(t)
	bilal := s.as(t, "bilal")
	if got := s.texts(t, bilal, id); got != "shared" {
		t.Fatalf("bilal reads %q", got)
	}
	must(t, n.Identity.Suspend(ctx, n.ids["amal"], s.vault.NodeID()))
	refused(t, n.Sealed.Give(ctx, mina, staff.NarrowProtection, s.ids["bilal"]), "fault.sealed.no_worker")
	other := n.open(t, mina, "another")
	refused(t, n.Sealed.Assign(ctx, mina, other, s.ids["bilal"]), "fault.sealed.no_worker")
	must(t, n.Sealed.Rotate(ctx, mina, staff.NarrowProtection, nil))
	must(t, n.Sealed.Note(ctx, mina, id, "after it was lost", time.Time{}))
	n.pass(t, "rana", staff.NarrowProtection, "under the new keys")
	c.meet(t) // whoever has the box carries files to it
	if got := s.Sealed.TextsOfAll(t, bilal); strings.Contains(got, "after it was lost") || strings.Contains(got, "under the new keys") {
		t.Errorf("on the lost box: %q", got)
	}
	if got := n.texts(t, mina, id); !strings.Contains(got, "shared") {
		t.Errorf("what was said before is gone: %q", got)
	}
	must(t, n.Identity.Lift(ctx, n.ids["amal"], s.vault.NodeID()))
	must(t, n.Sealed.Give(ctx, mina, staff.NarrowProtection, s.ids["bilal"]))
}
