package staff

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

var (
	leader = Actor{ID: ID{1}, Role: Lead}
	second = Actor{ID: ID{2}, Role: Lead}
	clerk  = Actor{ID: ID{3}, Role: Registrar}
	helper = Actor{ID: ID{4}, Role: Registrar}
)

func person(n int) (id oplog.ID) {
	binary.BigEndian.PutUint32(id[:], uint32(n)+1)
	return id
}

func people(from, n int) (ids []oplog.ID) {
	for i := range n {
		ids = append(ids, person(from+i))
	}
	return ids
}

// openTimed is a place whose journal goes by the same clock.
func openTimed(t testing.TB) *place {
	t.Helper()
	p := &place{dir: t.TempDir(), key: [32]byte{1}, clock: clock.NewFake(oplogtest.Noon()), node: oplog.ID{1}}
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), Kinds(), Views())
	o.Clock = p.clock
	log, err := oplog.Open(ctx, o)
	must(t, err)
	t.Cleanup(func() { must(t, log.Close()) })
	p.log = log
	p.reopen(t)
	return p
}

// look records one and wants it written.
func (p *place) look(t testing.TB, a Actor, l Look) {
	t.Helper()
	unwritten, err := p.Looking(ctx, a, l)
	must(t, unwritten)
	must(t, err)
}

func (p *place) at(t testing.TB, id oplog.ID) []Seen {
	t.Helper()
	seen, _, err := p.LooksAt(ctx, leader, id, 100, nil)
	must(t, err)
	return seen
}

func (p *place) by(t testing.TB, a Actor) []Seen {
	t.Helper()
	seen, _, err := p.LooksBy(ctx, leader, a.ID, 1000, nil)
	must(t, err)
	return seen
}

func TestLooksAreFactsOnceAnHour(t *testing.T) {
	p := openTimed(t)
	open := Look{What: LookedAt, People: people(0, 1)}
	for range 5 {
		p.look(t, clerk, open)
	}
	if seen := p.at(t, person(0)); len(seen) != 1 || seen[0].By != clerk.ID || seen[0].What != LookedAt || seen[0].API || seen[0].Log != p.log.Own() || !seen[0].At.Equal(oplogtest.Noon()) {
		t.Fatalf("%+v", seen)
	}
	p.reopen(t) // memory is gone, the row is there
	p.look(t, clerk, open)
	if seen := p.at(t, person(0)); len(seen) != 1 {
		t.Fatalf("%+v", seen)
	}
	p.look(t, helper, Look{What: LookedAt, API: true, People: people(0, 1)})
	p.look(t, clerk, Look{What: LookedToPrint, People: people(0, 1)})
	if seen := p.at(t, person(0)); len(seen) != 3 {
		t.Fatalf("%+v", seen)
	}
	p.clock.Advance(lookAgain)
	p.look(t, clerk, open)
	if seen := p.at(t, person(0)); len(seen) != 4 || !seen[0].At.After(seen[1].At) {
		t.Fatalf("%+v", seen)
	}
	if seen := p.by(t, clerk); len(seen) != 3 || seen[0].Person != person(0) {
		t.Fatalf("%+v", seen)
	}
	// The person's own facts did not grow, and no two looks share a subject.
	must(t, p.log.View(func(r oplog.Reader) error {
		ops, err := r.Ops(person(0))
		if len(ops) > 0 {
			t.Errorf("%d facts about the person", len(ops))
		}
		subjects := map[oplog.ID]bool{}
		return errors.Join(err, r.Rows(looks, []byte{'p'}, nil, func(_ []byte, s oplog.ID, _ []byte) error {
			if subjects[s] || s == person(0) {
				t.Error("a subject says who looked or at whom")
			}
			subjects[s] = true
			return nil
		}))
	}))
}

func TestListsAreCountedNotNamed(t *testing.T) {
	p := openTimed(t)
	for i := range 30 { // 30 pages of 30, with 15 new names each
		p.look(t, clerk, Look{What: LookedThrough, Named: people(i*15, 30)})
	}
	p.clock.Advance(lookAgain)
	p.look(t, clerk, Look{What: LookedThrough, Named: people(0, 1)})
	named := 0
	seen := p.by(t, clerk)
	for _, s := range seen {
		if !s.Person.IsZero() || s.What != LookedThrough {
			t.Errorf("%+v", s)
		}
		named += s.Names
	}
	if named != 29*15+30+1 || len(seen) > 5 {
		t.Errorf("%d names in %d facts", named, len(seen))
	}
	// A call's list gives full records: all of them are named.
	p.look(t, helper, Look{What: LookedAt, API: true, People: people(0, 350), Named: people(0, 350)})
	if seen := p.by(t, helper); len(seen) != 350 {
		t.Errorf("%d", len(seen))
	}
	readers, whole, err := p.Readers(ctx, leader)
	if err != nil || !whole || len(readers) != 2 || readers[0].By != helper.ID || readers[0].Opened != 350 || readers[1].Listed != named {
		t.Errorf("%+v %v %v", readers, whole, err)
	}
}

func TestReadsAreForThoseWhoMay(t *testing.T) {
	p := openPlace(t)
	for _, a := range []Actor{{}, clerk, {ID: ID{9}, Role: Medical}} {
		_, _, err1 := p.LooksAt(ctx, a, person(0), 10, nil)
		_, _, err2 := p.LooksBy(ctx, a, clerk.ID, 10, nil)
		_, _, err3 := p.Readers(ctx, a)
		_, err4 := p.Alarms(a)
		for i, err := range []error{err1, err2, err3, err4, p.LetGoOn(ctx, a, clerk.ID), p.SawAlarm(ctx, a, clerk.ID)} {
			if c := fault.ClassOf(err); c != fault.Denied && c != fault.Unauthenticated {
				t.Errorf("%d: %v", i, err)
			}
		}
	}
}

func TestReadsCanBePagedThrough(t *testing.T) {
	p := openTimed(t)
	for i := range 25 {
		p.clock.Advance(time.Second)
		p.look(t, leader, Look{What: LookedAt, People: people(i, 1)})
	}
	var all []oplog.ID
	var after []byte
	for parts := 0; ; parts++ {
		seen, next, err := p.LooksBy(ctx, leader, leader.ID, 10, after)
		must(t, err)
		for _, s := range seen {
			all = append(all, s.Person)
		}
		if after = next; next == nil || parts > 5 {
			break
		}
	}
	want := people(0, 25)
	slices.Reverse(want)
	if !slices.Equal(all, want) {
		t.Errorf("%d of 25: %v", len(all), all)
	}
	p.clock.Advance(readsKept + time.Second)
	if seen := p.by(t, leader); len(seen) != 0 {
		t.Errorf("%d after thirty days", len(seen))
	}
	p.clock.SetSure(false)
	if seen := p.by(t, leader); len(seen) != 25 {
		t.Errorf("a clock that was never set forgot: %d", len(seen))
	}
}

// A journal that takes no writes keeps nobody from reading; what was seen is written
// as soon as it can be.
func TestReadingGoesOnWithoutAJournal(t *testing.T) {
	p := openPlace(t)
	facts := p.pace.unseen(clerk.ID, Look{What: LookedAt, People: people(0, 2)}, p.clock.Now())
	p.pace.wait(clerk.ID, facts) // as after a write that failed
	if seen := p.by(t, clerk); len(seen) != 0 {
		t.Fatal(seen)
	}
	p.look(t, clerk, Look{What: LookedAt, People: people(0, 1)}) // nothing new to write
	if seen := p.by(t, clerk); len(seen) != 2 || p.pace.waits(clerk.ID) {
		t.Fatalf("%+v", seen)
	}
	closed := openPlace(t)
	must(t, closed.log.Close())
	unwritten, err := closed.Looking(ctx, clerk, Look{What: LookedAt, People: people(0, 1)})
	if unwritten == nil || err != nil || !closed.pace.waits(clerk.ID) {
		t.Error(unwritten, err)
	}
}

func TestLooksDoNotDependOnOrder(t *testing.T) {
	s := oplog.NewID()
	both := []oplog.ID{person(1), person(2)}
	oplogtest.CheckOrder(t, Views(),
		oplogtest.Fact{Node: 0, Kind: lookedKind, Subject: oplog.NewID(), Body: looked{What: LookedAt, People: both}},
		oplogtest.Fact{Node: 1, Kind: lookedKind, Subject: s, Body: looked{What: LookedAt, People: both, API: true}},
		oplogtest.Fact{Node: 2, Kind: lookedKind, Subject: s, Body: looked{What: LookedAt, People: both[:1]}}, // one subject, two writers
		oplogtest.Fact{Node: 1, Kind: lookedKind, Subject: s, Body: looked{What: LookedThrough, Names: 30}},
		oplogtest.Fact{Node: 1, Kind: lookedKind, Subject: s, Body: looked{What: LookedThrough, Names: 7}, Seen: true},
		oplogtest.Fact{Node: 2, Kind: lookedKind, Subject: oplog.NewID(), Body: looked{What: "x", People: both}},
		oplogtest.Fact{Node: 2, Kind: lookedKind, Subject: oplog.NewID(), Body: looked{}},
	)
}

func TestWhoeverReadsTooFastIsToldAbout(t *testing.T) {
	p := openPlace(t)
	open := func(a Actor, from, n int) (stopped int) {
		for i := range n {
			if _, err := p.Looking(ctx, a, Look{What: LookedAt, People: people(from+i, 1)}); err != nil {
				if !errors.Is(err, fault.New(fault.Busy, "fault.staff.ask_lead")) {
					t.Fatal(err)
				}
				stopped++
			}
		}
		return stopped
	}
	alarms := func() []Alarm {
		t.Helper()
		a, err := p.Alarms(leader)
		must(t, err)
		return a
	}
	open(clerk, 0, alarmOpens)
	open(clerk, 0, alarmOpens) // the same people again
	if a := alarms(); len(a) != 0 {
		t.Fatalf("%+v", a)
	}
	open(clerk, 1000, 1)
	if a := alarms(); len(a) != 1 || a[0].By != clerk.ID || a[0].Opened != alarmOpens+1 || a[0].Stopped {
		t.Fatalf("%+v", a)
	}
	if n := open(clerk, 2000, stopOpens); n != alarmOpens+1 {
		t.Fatalf("stopped %d times", n)
	}
	if n := open(clerk, 0, alarmOpens); n != 0 {
		t.Error("people seen before are refused")
	}
	if _, err := p.Looking(ctx, clerk, Look{What: LookedAt, People: people(9000, 1), Cards: true}); err != nil {
		t.Error("a card that is held out is refused:", err)
	}
	if n := open(helper, 5000, 5); n != 0 {
		t.Error("somebody else is stopped")
	}
	if a := alarms(); len(a) != 1 || !a[0].Stopped || a[0].GoesOn {
		t.Fatalf("%+v", a)
	}
	must(t, p.LetGoOn(ctx, leader, clerk.ID))
	if n := open(clerk, 3000, 50); n != 0 || !alarms()[0].GoesOn {
		t.Errorf("stopped %d times though a lead let them go on", n)
	}
	must(t, p.SawAlarm(ctx, leader, clerk.ID))
	if a := alarms(); len(a) != 0 {
		t.Errorf("%+v", a)
	}
	p.clock.Advance(time.Hour)
	if n := open(clerk, 4000, 10); n != 0 || len(alarms()) != 0 {
		t.Error("the hour before still counts")
	}
	key := clerk
	key.ID, key.Key = ID{7}, true
	if n := open(key, 0, stopOpens+5); n != 5 {
		t.Errorf("a key is stopped %d times", n)
	}
	if n := open(leader, 0, 600); n != 0 {
		t.Error("a lead is stopped")
	}
	if a := alarms(); len(a) != 2 {
		t.Errorf("%+v", a)
	}
	if err := p.LetGoOn(ctx, leader, leader.ID); fault.ClassOf(err) != fault.Denied {
		t.Error(err)
	}
	if err := p.SawAlarm(ctx, leader, leader.ID); fault.ClassOf(err) != fault.Denied {
		t.Error(err)
	}
	must(t, p.SawAlarm(ctx, second, leader.ID))
	p.clock.Advance(alarmKept)
	if a := alarms(); len(a) != 0 {
		t.Errorf("%+v", a)
	}
}

func TestPagingThroughEverybodyStops(t *testing.T) {
	p := openPlace(t)
	read := func(a Actor, full bool) (seen int) {
		for i := 0; i < 20000; i += 200 {
			l := Look{What: LookedThrough, Named: people(i, 200)}
			if full {
				l = Look{What: LookedAt, API: true, Named: l.Named, People: l.Named}
			}
			if _, err := p.Looking(ctx, a, l); err != nil {
				return seen
			}
			seen += 200
		}
		return seen
	}
	if n := read(clerk, false); n != stopNames {
		t.Errorf("%d names", n)
	}
	if n := read(helper, true); n != stopNames/fullRecord/200*200 {
		t.Errorf("%d full records", n)
	}
	if n := read(leader, true); n != 20000 {
		t.Errorf("a lead stops at %d", n)
	}
	if a, err := p.Alarms(second); err != nil || len(a) != 3 {
		t.Errorf("%+v %v", a, err)
	}
	for i := range mostReaders + 10 { // memory has an end, and those who are told about stay
		a := Actor{ID: oplog.NewBy(), Role: Registrar}
		_, _ = p.Looking(ctx, a, Look{What: LookedThrough, Named: people(i, 1), Cards: true})
	}
	if a, _ := p.Alarms(second); len(a) != 3 || len(p.pace.readers) > mostReaders {
		t.Errorf("%d readers, %+v", len(p.pace.readers), a)
	}
}

func BenchmarkLooking(b *testing.B) {
	p := openPlace(b)
	before := p.log.Stats()
	for i := range b.N {
		if _, err := p.Looking(ctx, leader, Look{What: LookedAt, People: people(i, 1)}); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	after := p.log.Stats()
	b.ReportMetric(float64(after.JournalBytes-before.JournalBytes)/float64(b.N), "bytes/look")
}

// Looks travel, and outlive the person: whoever looks at somebody and has them erased
// leaves a trace at every node.
func TestLooksStayWhenThePersonGoes(t *testing.T) {
	c := newCamp(t, 2)
	p, other := c.nodes[0], c.nodes[1]
	p.add(t, "ana", Lead)
	other.add(t, "bo", Coordinator)
	who := p.person(t, "Rosa")
	ana := p.signIn(t, "ana")
	p.look(t, ana.Actor, Look{What: LookedAt, People: []oplog.ID{who}})
	approval := p.ask(t, ana, who)
	c.exchange()
	_, err := other.ConfirmErasure(ctx, other.signIn(t, "bo"), approval)
	must(t, err)
	c.exchange()
	for i, n := range c.nodes {
		if got := n.names(t); len(got) != 0 {
			t.Errorf("node %d still shows %v", i, got)
		}
		if seen := n.at(t, who); len(seen) != 1 || seen[0].By != ana.Actor.ID || seen[0].Log != p.log.Own() {
			t.Errorf("node %d: %+v", i, seen)
		}
	}
}
