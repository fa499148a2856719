package sealed_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
)

func TestWhatIsPassedOnIsReadByThoseWhoHoldTheKeysAlone(t *testing.T) {
	c := newCamp(t)
	n, s := c.north, c.south
	refused(t, s.Sealed.TakeIn(ctx, s.as(t, "rami").Actor, staff.NarrowProtection, oplog.ID{}, nil, "too early"), "fault.sealed.not_open")
	if open, err := n.Sealed.Opened(); open || err != nil {
		t.Fatal(open, err)
	}
	c.begin(t)
	refused(t, n.Sealed.Begin(ctx, n.as(t, "amal").Actor, sealed.Setup{}), "fault.sealed.already")
	refused(t, s.Sealed.Begin(ctx, s.as(t, "bea").Actor, sealed.Setup{}), "fault.sealed.no_issuer")
	refused(t, n.Sealed.Begin(ctx, n.as(t, "mina").Actor, sealed.Setup{}), "fault.staff.not_allowed")

	s.pass(t, "rami", staff.NarrowProtection, "sold at the border")
	c.meet(t)
	mina := n.as(t, "mina")
	l := n.list(t, mina)
	if len(l.Items) != 1 || !l.Items[0].Waiting || l.Items[0].Narrow != staff.NarrowProtection || l.Contested {
		t.Fatalf("%+v", l)
	}
	id := l.Items[0].ID
	f, err := n.Sealed.Read(ctx, mina, id)
	must(t, err)
	if !f.Waiting || !f.Intake || f.Lines[0].Text != "sold at the border" || f.Lines[0].ByName != "rami" || f.Lines[0].Hand || f.Codes[0] != "threatened" {
		t.Fatalf("%+v", f)
	}
	// Nobody else: not who has no key, not another compartment, not who wrote it, not the lead.
	for _, who := range []struct {
		at   *post
		user string
	}{{n, "noor"}, {n, "sami"}, {s, "rami"}, {n, "amal"}, {n, "cora"}} {
		session := who.at.as(t, who.user)
		if _, err := who.at.Sealed.Read(ctx, session, id); err == nil {
			t.Errorf("%s reads it", who.user)
		}
		if l, err := who.at.Sealed.List(ctx, session); err == nil && len(l.Items) > 0 {
			t.Errorf("%s has it in a list", who.user)
		}
	}
	if l := s.list(t, s.as(t, "bilal")); len(l.Items) != 1 {
		t.Errorf("bilal at the other node: %+v", l)
	}
	// Mina takes it: now it is hers and nobody else's.
	must(t, n.Sealed.Assign(ctx, mina, id, n.ids["mina"]))
	must(t, n.Sealed.Note(ctx, mina, id, "she is safe tonight", oplogNoon().Add(48*time.Hour)))
	c.meet(t)
	if got := n.texts(t, mina, id); got != "sold at the border|she is safe tonight" {
		t.Error(got)
	}
	bilal := s.as(t, "bilal")
	if got := s.texts(t, bilal, id); got != "" {
		t.Errorf("bilal reads %q", got)
	}
	if l := s.list(t, bilal); len(l.Items) != 0 {
		t.Errorf("bilal has %+v", l)
	}
	if l := n.list(t, mina); len(l.Items) != 1 || l.Items[0].Waiting || l.Items[0].Due.IsZero() {
		t.Errorf("%+v", l)
	}
	// Noor is asked in, though she never had the compartment's keys.
	must(t, n.Sealed.Assign(ctx, mina, id, n.ids["noor"]))
	if got := n.texts(t, n.as(t, "noor"), id); !strings.Contains(got, "safe tonight") {
		t.Error(got)
	}
	must(t, n.Sealed.Close(ctx, mina, id, "moved to the safe house"))
	if l := n.list(t, mina); len(l.Items) != 1 || !l.Items[0].Closed {
		t.Errorf("%+v", l)
	}
}

func oplogNoon() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// Whoever was taken off a file reads nothing that was written since, also of what another
// node wrote before it heard of it, once somebody writes again.
func TestSomebodyTakenOffReadsNothingNew(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n := c.north
	mina, noor := n.as(t, "mina"), n.as(t, "noor")
	id := n.open(t, mina, "first")
	must(t, n.Sealed.Assign(ctx, mina, id, n.ids["noor"]))
	must(t, n.Sealed.Assign(ctx, mina, id, c.south.ids["bilal"]))
	c.meet(t)
	bilal := c.south.as(t, "bilal")
	must(t, c.south.Sealed.Note(ctx, bilal, id, "second", time.Time{}))
	must(t, n.Sealed.Unassign(ctx, mina, id, n.ids["noor"])) // at the same time
	must(t, n.Sealed.Note(ctx, mina, id, "third", time.Time{}))
	c.meet(t)
	must(t, c.south.Sealed.Note(ctx, bilal, id, "fourth", time.Time{}))
	c.meet(t)
	if got := n.texts(t, noor, id); got != "" {
		t.Errorf("noor reads %q", got)
	}
	// With her key and a program of her own she reads what she could read before.
	got := n.Sealed.TextsWithKeyOf(t, noor, id)
	if strings.Contains(got, "third") || strings.Contains(got, "fourth") || !strings.Contains(got, "first") {
		t.Errorf("her key opens %q", got)
	}
	for at, s := range map[*post]staff.Session{n: mina, c.south: bilal} {
		if got := at.texts(t, s, id); got != "first|second|third|fourth" {
			t.Errorf("they read %q", got)
		}
	}
}

// Two who change a file at once, apart, have the same file afterwards, with all of it.
func TestEntriesWrittenApartComeTogether(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n, s := c.north, c.south
	mina, bilal := n.as(t, "mina"), s.as(t, "bilal")
	id := n.open(t, mina, "begin")
	must(t, n.Sealed.Assign(ctx, mina, id, s.ids["bilal"]))
	c.meet(t)
	for i := range 3 {
		must(t, n.Sealed.Note(ctx, mina, id, "north", oplogNoon().Add(time.Duration(i)*time.Hour)))
		must(t, s.Sealed.Note(ctx, bilal, id, "south", oplogNoon().Add(-time.Duration(i)*time.Hour)))
	}
	must(t, n.Sealed.Assign(ctx, mina, id, n.ids["noor"]))
	must(t, s.Sealed.Close(ctx, bilal, id, "done"))
	c.meet(t)
	one, err := n.Sealed.Read(ctx, mina, id)
	must(t, err)
	c.meet(t)
	two, err := s.Sealed.Read(ctx, bilal, id)
	must(t, err)
	two.Lines = two.Lines[:len(two.Lines)-1] // mina's look
	if len(one.Lines) != 11 || len(two.Lines) != len(one.Lines) || !one.Closed || !two.Closed || !one.Due.Equal(two.Due) || len(two.Members) != 3 {
		t.Fatalf("%d and %d entries", len(one.Lines), len(two.Lines))
	}
	for i := range one.Lines {
		if one.Lines[i].Text != two.Lines[i].Text || one.Lines[i].Kind != two.Lines[i].Kind {
			t.Errorf("entry %d: %+v and %+v", i, one.Lines[i], two.Lines[i])
		}
	}
	// Noor has a key of her own only for what was written since somebody who knew of her wrote.
	must(t, s.Sealed.Note(ctx, bilal, id, "for all three", time.Time{}))
	c.meet(t)
	if got := n.texts(t, n.as(t, "noor"), id); !strings.Contains(got, "for all three") || !strings.Contains(got, "begin") {
		t.Error(got)
	}
}

// A list that is gone, cut or damaged is made anew, and is on the disk as one of few sizes.
func TestTheListIsNeverNeeded(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n := c.north
	mina := n.as(t, "mina")
	for i := range 5 {
		n.pass(t, "rana", staff.NarrowChild, strings.Repeat("alone ", i+1))
	}
	n.open(t, mina, "own")
	n.list(t, n.as(t, "sami"))
	want := n.list(t, mina)
	if len(want.Items) != 6 {
		t.Fatalf("%+v", want)
	}
	files := n.files(t)
	if len(files) != 4 { // two people, each twice
		t.Fatal(files)
	}
	size := int64(0)
	for _, f := range files {
		info, err := os.Stat(f)
		must(t, err)
		if size == 0 {
			size = info.Size()
		}
		if info.Size() != size {
			t.Errorf("%d and %d bytes: the lists tell how long they are", info.Size(), size)
		}
	}
	for name, spoil := range map[string]func(string) error{
		"gone": os.Remove,
		"cut":  func(f string) error { return os.Truncate(f, 100) },
		"rot":  func(f string) error { return os.WriteFile(f, make([]byte, size), 0o600) },
	} {
		for _, f := range n.files(t) {
			must(t, spoil(f))
		}
		if got := n.list(t, mina); len(got.Items) != len(want.Items) || got.Items[0] != want.Items[0] {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// What arrives later is found without looking at everything.
	n.pass(t, "rana", staff.NarrowProtection, "one more")
	if got := n.list(t, mina); len(got.Items) != 7 {
		t.Errorf("%d", len(got.Items))
	}
}

// What somebody reads is written down first: where nothing can be written, nothing is read.
func TestALookIsWrittenBeforeAnythingIsShown(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n := c.north
	mina := n.as(t, "mina")
	id := n.open(t, mina, "secret")
	before := n.log.Stats().Ops
	f, err := n.Sealed.Read(ctx, mina, id)
	must(t, err)
	if n.log.Stats().Ops != before+1 {
		t.Error("nothing was written")
	}
	f, err = n.Sealed.Read(ctx, mina, id)
	must(t, err)
	if last := f.Lines[len(f.Lines)-1]; last.Kind != "looked" || last.ByName != "mina" {
		t.Errorf("%+v", last)
	}
	must(t, n.log.Close())
	if f, err := n.Sealed.Read(ctx, mina, id); err == nil || len(f.Lines) > 0 {
		t.Errorf("a journal that takes nothing shows %+v", f)
	}
}

// After the session ended nothing opens.
func TestNothingOpensAfterSigningOut(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n := c.north
	mina := n.as(t, "mina")
	id := n.open(t, mina, "secret")
	n.Staff.SignOut(mina.Token)
	if _, err := n.Sealed.Read(ctx, mina, id); err == nil {
		t.Error("read")
	}
	if _, err := n.Sealed.List(ctx, mina); err == nil {
		t.Error("listed")
	}
	refused(t, n.Sealed.Note(ctx, mina, id, "more", time.Time{}), "fault.staff.sign_in")
}

func TestWhatWasPassedOnIsPutIntoAFile(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n := c.north
	mina := n.as(t, "mina")
	id := n.open(t, mina, "file")
	must(t, n.Sealed.Assign(ctx, mina, id, n.ids["noor"]))
	n.pass(t, "rana", staff.NarrowProtection, "again at night")
	n.pass(t, "rana", staff.NarrowChild, "another desk")
	var intake, other oplog.ID
	for _, x := range n.list(t, mina).Items {
		switch {
		case x.Waiting && x.Narrow == staff.NarrowChild:
			other = x.ID
		case x.Waiting:
			intake = x.ID
		}
	}
	refused(t, n.Sealed.Link(ctx, mina, other, id), "fault.sealed.no_intake")
	must(t, n.Sealed.Link(ctx, mina, intake, id))
	refused(t, n.Sealed.Link(ctx, mina, intake, id), "fault.sealed.no_intake")
	if got := n.texts(t, n.as(t, "noor"), id); got != "file|again at night" {
		t.Error(got)
	}
	if f, err := n.Sealed.Read(ctx, mina, intake); err != nil || !f.Closed {
		t.Errorf("%+v %v", f, err)
	}
}

// Two take the same at once, apart: both work in it then, and each reads what the other
// wrote meanwhile.
func TestTwoTakeTheSameApart(t *testing.T) {
	c := newCamp(t)
	c.begin(t)
	n, s := c.north, c.south
	n.pass(t, "rana", staff.NarrowProtection, "passed on")
	c.meet(t)
	mina, bilal := n.as(t, "mina"), s.as(t, "bilal")
	id := n.list(t, mina).Items[0].ID
	must(t, n.Sealed.Assign(ctx, mina, id, n.ids["mina"]))
	must(t, n.Sealed.Note(ctx, mina, id, "by mina alone", time.Time{}))
	must(t, s.Sealed.Assign(ctx, bilal, id, s.ids["bilal"]))
	must(t, s.Sealed.Note(ctx, bilal, id, "by bilal alone", time.Time{}))
	c.meet(t)
	must(t, n.Sealed.Note(ctx, mina, id, "mina to both", time.Time{}))
	c.meet(t)
	must(t, s.Sealed.Note(ctx, bilal, id, "bilal to both", time.Time{}))
	c.meet(t)
	for at, session := range map[*post]staff.Session{n: mina, s: bilal} {
		got := at.texts(t, session, id)
		for _, text := range []string{"by mina alone", "by bilal alone", "mina to both", "bilal to both"} {
			if !strings.Contains(got, text) {
				t.Errorf("%s reads %q", session.Actor.Name, got)
			}
		}
	}
}
