package oplog_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// prove gives to what from holds of a log, the last batches first, until the place is found
// where the two part.
func prove(t *testing.T, to, from *oplog.Log, log oplog.LogID) uint64 {
	t.Helper()
	head := headIn(from, log)
	for after := min(head, headIn(to, log)) - 1; ; after-- {
		raw, _, err := from.Range(log, after, 2, 0)
		must(t, err)
		r, err := to.Prove(context.Background(), raw, oplog.Branch{})
		must(t, err)
		if r.Seq > 0 {
			return r.Seq
		}
		if after == 0 {
			t.Fatal("the parting was not found")
		}
	}
}

func headIn(l *oplog.Log, log oplog.LogID) uint64 {
	for _, h := range l.Heads() {
		if h.Log == log {
			return h.Seq
		}
	}
	return 0
}

func testify(t *testing.T, l *oplog.Log, log oplog.LogID) int {
	t.Helper()
	n, left, err := l.Testify(context.Background(), log)
	must(t, err)
	if left > 0 {
		t.Errorf("%d ops were left", left)
	}
	return n
}

// bereft is a log whose two boxes are both gone: only bystanders hold a history each.
func bereft(t *testing.T) *parted {
	t.Helper()
	p := part(t)
	must(t, p.one.Close())
	must(t, p.two.Close())
	return p
}

// The node that parted its log writes nothing again. Those who hold a history each do, and
// every node shows what both say, each op once, whoever hears of what in which order.
func TestWitnessesBringTwoHistoriesEverywhere(t *testing.T) {
	p := bereft(t)
	late := oplogtest.Node(t, p.auth.Peer(t), nil, []*oplog.View{p.v})
	third := oplogtest.Node(t, p.auth.Peer(t), nil, []*oplog.View{p.v}) // has one's history too
	oplogtest.Exchange(t, p.withOne, third)
	if n := testify(t, p.withOne, p.log); n != 0 {
		t.Fatalf("%d ops written again on nobody's word", n)
	}
	for _, n := range []struct{ to, from *oplog.Log }{{p.withOne, p.withTwo}, {p.withTwo, p.withOne}, {third, p.withTwo}} {
		if seq := prove(t, n.to, n.from, p.log); seq != 4 {
			t.Fatalf("they part at %d, not 4", seq)
		}
		if len(n.to.Forks()) == 0 {
			t.Error("no evidence is kept")
		}
	}
	if n := testify(t, p.withOne, p.log); n != 3 {
		t.Errorf("%d ops of one history, not 3", n)
	}
	if n := testify(t, third, p.log); n != 3 { // on the other side of a cut: it has not heard of the first
		t.Errorf("%d ops by another witness, not 3", n)
	}
	if n := testify(t, p.withTwo, p.log); n != 8 {
		t.Errorf("%d ops of the other history, not 8", n)
	}
	trade(t, p.log, p.withOne, late) // it hears the copies first
	p.agree(t, p.withOne, p.withTwo, third)
	for _, l := range []*oplog.Log{p.withOne, p.withTwo, third} {
		if n := testify(t, l, p.log); n > 0 {
			t.Errorf("%d ops are written again each time", n)
		}
	}
	raw, _ := rangeOf(t, p.withOne, p.log, 0, 0)
	_, err := late.Merge(context.Background(), raw) // then the log itself
	must(t, err)
	p.agree(t, p.withOne, p.withTwo, late, third)
}

// One witness who hears what another one wrote has nothing to do.
func TestAWitnessIsEnough(t *testing.T) {
	p := bereft(t)
	third := oplogtest.Node(t, p.auth.Peer(t), nil, []*oplog.View{p.v})
	oplogtest.Exchange(t, p.withOne, third)
	prove(t, p.withOne, p.withTwo, p.log)
	prove(t, third, p.withTwo, p.log)
	testify(t, p.withOne, p.log)
	trade(t, p.log, p.withOne, third)
	if n := testify(t, third, p.log); n > 0 {
		t.Errorf("%d ops are written by both", n)
	}
	// That one's copies do not count any more: the other one speaks.
	writer, _ := p.withOne, third
	must(t, third.Hold(context.Background(), cutOff{author: authorOf(t, writer), last: 1}))
	if n := testify(t, third, p.log); n != 3 {
		t.Errorf("%d ops after the first witness was shut out, not 3", n)
	}
}

func authorOf(t *testing.T, l *oplog.Log) oplog.ID {
	t.Helper()
	id, ok := l.Author(l.Own())
	if !ok {
		t.Fatal("whose log it is")
	}
	return id
}

// The owner comes back after witnesses have spoken and writes both again as well: still one
// op each.
func TestTheOwnerComesAfterTheWitnesses(t *testing.T) {
	p := part(t)
	prove(t, p.withOne, p.withTwo, p.log)
	prove(t, p.withTwo, p.withOne, p.log)
	testify(t, p.withOne, p.log)
	testify(t, p.withTwo, p.log)
	p.agree(t, p.withOne, p.withTwo)
	rejoin(t, p.one, p.two, p.log)
	p.agree(t, p.one, p.withOne, p.withTwo)
	rejoin(t, p.two, p.one, p.log)
	p.agree(t, p.one, p.two, p.withOne, p.withTwo)
}

// What its writer wrote does not count: nor do the copies, on any node, in any order, until
// they are released by the place where they were.
func TestCopiesByWitnessesAreHeldBackWithTheirOp(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 5))
		p := bereft(t)
		author, ok := p.withOne.Author(p.log)
		if !ok {
			t.Fatal("whose log it is")
		}
		cut := cutOff{author: author, last: 3}
		prove(t, p.withOne, p.withTwo, p.log)
		prove(t, p.withTwo, p.withOne, p.log)
		late := oplogtest.Node(t, p.auth.Peer(t), nil, []*oplog.View{p.v}) // holds neither history
		nodes := []*oplog.Log{p.withOne, p.withTwo, late}
		steps := []func(){
			func() { testify(t, p.withOne, p.log) }, func() { testify(t, p.withTwo, p.log) },
			func() { trade(t, p.log, nodes...) }, func() { trade(t, p.log, p.withOne, late) },
		}
		for _, i := range r.Perm(len(steps)) {
			steps[i]()
		}
		for _, i := range r.Perm(len(nodes)) {
			must(t, nodes[i].Hold(context.Background(), cut))
			if r.IntN(2) == 0 {
				trade(t, p.log, nodes...)
			}
		}
		trade(t, p.log, nodes...)
		want := p.want
		p.want = []string{"another", "first"}
		for _, n := range []*oplog.Log{p.withOne, p.withTwo} {
			p.agree(t, n)
		}
		if got := standingTexts(t, late, p.v); len(got) != 0 {
			t.Errorf("seed %d: without the log: %q", seed, got)
		}
		for i, n := range nodes {
			held, err := n.HeldBack(author)
			must(t, err)
			seen := map[oplog.HeldOp]bool{}
			for _, o := range held {
				if o.Log != p.log || seen[o] {
					t.Errorf("seed %d, node %d: held back %+v", seed, i, o)
				}
				seen[o] = true
			}
			if len(held) != 10 { // at one place each history has one about the same person
				t.Errorf("seed %d, node %d: %d ops are held back, not 10", seed, i, len(held))
			}
		}
		free := cut
		free.free = 6 // "a person of one", and "two edits again"
		for _, n := range nodes {
			must(t, n.Hold(context.Background(), free))
		}
		p.want = []string{"a person of one", "another", "two edits again", "first"}
		slices.Sort(p.want)
		p.agree(t, p.withOne, p.withTwo)
		for _, n := range nodes {
			must(t, n.Hold(context.Background(), nil))
		}
		p.want = want
		p.agree(t, p.withOne, p.withTwo)
	}
}

// A thief's copies do not outlive it, and what it says of ops that are not parted changes
// nothing that stays.
func TestWhatAThiefCarriesGoesWithIt(t *testing.T) {
	p := bereft(t)
	prove(t, p.withTwo, p.withOne, p.log)
	prove(t, p.withOne, p.withTwo, p.log)
	testify(t, p.withTwo, p.log)
	before := standingTexts(t, p.withOne, p.v)
	trade(t, p.log, p.withOne, p.withTwo)
	if slices.Equal(before, standingTexts(t, p.withOne, p.v)) {
		t.Fatal("nothing was carried")
	}
	must(t, p.withOne.Hold(context.Background(), cutOff{author: authorOf(t, p.withTwo), last: 1}))
	if got := standingTexts(t, p.withOne, p.v); !slices.Equal(got, before) {
		t.Errorf("%q, and before %q", got, before)
	}
	must(t, p.withOne.Rebuild(context.Background()))
	if got := standingTexts(t, p.withOne, p.v); !slices.Equal(got, before) {
		t.Errorf("made anew: %q, and before %q", got, before)
	}
}

// Somebody who was erased is not written again, and what was written again of somebody who
// is erased later is gone with the rest.
func TestAWitnessBringsNobodyBack(t *testing.T) {
	for _, late := range []bool{false, true} {
		views := eraseViews()
		auth := oplogtest.NewAuthority(t)
		o := oplogtest.Options(t, auth, nil, views)
		l, err := oplog.Open(context.Background(), o)
		must(t, err)
		must(t, l.Close())
		c := o
		c.Dir = cloneDir(t, o.Dir)
		one, two := reopen(t, o, oplogtest.MemStore()), reopen(t, c, oplogtest.MemStore())
		log, who := one.Own(), oplog.NewID()
		must(t, note(one, who, "Rosa"))
		must(t, note(one, oplog.NewID(), "Omar"))
		must(t, note(two, who, "Rosa at two"))
		must(t, note(two, oplog.NewID(), "Amal"))
		withOne, withTwo := oplogtest.Node(t, auth.Peer(t), nil, views), oplogtest.Node(t, auth.Peer(t), nil, views)
		oplogtest.Exchange(t, one, withOne)
		oplogtest.Exchange(t, two, withTwo)
		prove(t, withOne, withTwo, log)
		prove(t, withTwo, withOne, log)
		strikeNow := func() {
			must(t, strike(withOne, who, struck{Signed: true, Final: true}))
			trade(t, log, withOne, withTwo)
		}
		if !late {
			strikeNow()
		}
		for i, n := range []*oplog.Log{withOne, withTwo} {
			want := 1
			if late {
				want = 2
			}
			if got := testify(t, n, log); got != want {
				t.Errorf("late %v, node %d: %d ops, not %d", late, i, got, want)
			}
		}
		if late {
			strikeNow()
		}
		trade(t, log, withOne, withTwo)
		for i, n := range []*oplog.Log{withOne, withTwo} {
			for k := range texts(t, n, views[0]) {
				if strings.Contains(k, "Rosa") {
					t.Errorf("late %v, node %d shows %q", late, i, k)
				}
			}
			if got := len(texts(t, n, views[0])); got != 2 {
				t.Errorf("late %v, node %d shows %d notes", late, i, got)
			}
			if testify(t, n, log) > 0 {
				t.Errorf("late %v, node %d: written again", late, i)
			}
		}
	}
}

// Sealed ops go to both halves as well, are there once, and are held back with what they
// are copies of.
func TestWitnessesCarrySealedOps(t *testing.T) {
	views := []*oplog.View{envelopes(), standing()}
	auth := oplogtest.NewAuthority(t)
	o := oplogtest.Options(t, auth, nil, views)
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	remarkOn(t, l, oplog.NewID(), "first")
	must(t, l.Close())
	c := o
	c.Dir = cloneDir(t, o.Dir)
	one, two := reopen(t, o, oplogtest.MemStore()), reopen(t, c, oplogtest.MemStore())
	log, file := one.Own(), oplog.NewID()
	a, b := envelope(1<<10), envelope(4<<10)
	sealInto(t, one, file, a)
	sealInto(t, two, oplog.NewID(), envelope(1<<10))
	sealInto(t, two, file, b)
	withOne, withTwo := oplogtest.Node(t, auth.Peer(t), nil, views), oplogtest.Node(t, auth.Peer(t), nil, views)
	oplogtest.Exchange(t, one, withOne)
	oplogtest.Exchange(t, two, withTwo)
	must(t, one.Close())
	must(t, two.Close())
	prove(t, withOne, withTwo, log)
	prove(t, withTwo, withOne, log)
	testify(t, withOne, log)
	testify(t, withTwo, log)
	trade(t, log, withOne, withTwo)
	want := [][]byte{a, b}
	slices.SortFunc(want, bytes.Compare)
	for i, n := range []*oplog.Log{withOne, withTwo} {
		if got := insides(t, n, file); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("node %d has %d files", i, len(got))
		}
		if testify(t, n, log) > 0 {
			t.Errorf("node %d writes it again", i)
		}
	}
	author, _ := withOne.Author(log)
	for i, n := range []*oplog.Log{withOne, withTwo} {
		must(t, n.Hold(context.Background(), cutOff{author: author, last: 2}))
		for range 2 {
			if got := insides(t, n, file); len(got) != 0 {
				t.Errorf("node %d shows %d files that are held back", i, len(got))
			}
			must(t, n.Rebuild(context.Background()))
		}
		held, err := n.HeldBack(author)
		must(t, err)
		if len(held) != 3 {
			t.Errorf("node %d: %+v", i, held)
		}
	}
}

// What is open rests on who says it, and stays there.
func TestWitnessesLeaveWhatIsOpen(t *testing.T) {
	kinds, views := []oplog.Kind{openRemarked, boundRemarked}, []*oplog.View{standing()}
	auth := oplogtest.NewAuthority(t)
	o := oplogtest.Options(t, auth, kinds, views)
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	must(t, l.Close())
	c := o
	c.Dir = cloneDir(t, o.Dir)
	one, two := reopen(t, o, oplogtest.MemStore()), reopen(t, c, oplogtest.MemStore())
	log := one.Own()
	remarkOn(t, two, oplog.NewID(), "two")
	must(t, one.Do(context.Background(), oplog.By{7}, func(tx *oplog.Tx) error {
		if _, err := tx.Append(openRemarked, oplog.NewID(), remark{"said in the open"}); err != nil {
			return err
		}
		_, err := tx.Append(boundRemarked, oplog.NewID(), remark{"rests on who says it"})
		return err
	}))
	remarkOn(t, one, oplog.NewID(), "one")
	with := oplogtest.Node(t, auth.Peer(t), kinds, views)
	oplogtest.Exchange(t, one, with)
	prove(t, with, two, log)
	if n := testify(t, with, log); n != 1 {
		t.Errorf("%d ops, not the one of the register", n)
	}
}

var (
	openRemarked  = oplog.NewKind[remark]("test.open_remarked", 1, oplog.Deployment)
	boundRemarked = oplog.NewKind[remark]("test.bound_remarked", 1, oplog.Register).Bound()
)

// The place is known after a start too, from the evidence that was kept.
func TestThePartingIsRemembered(t *testing.T) {
	p := bereft(t)
	o := oplogtest.Options(t, p.auth.Peer(t), nil, []*oplog.View{p.v})
	l := reopen(t, o, oplogtest.MemStore())
	oplogtest.Exchange(t, p.withOne, l)
	if _, known := l.Parting(p.log); known {
		t.Fatal("known before it was proved")
	}
	prove(t, l, p.withTwo, p.log)
	must(t, l.Close())
	l = reopen(t, o, oplogtest.MemStore())
	if seq, known := l.Parting(p.log); !known || seq != 4 {
		t.Errorf("they part at %d, %v", seq, known)
	}
	if n := testify(t, l, p.log); n != 3 {
		t.Errorf("%d ops", n)
	}
}

// Proof is what is signed; of an own log, of nobody's, and of something else it is none.
func TestWhatIsNoProof(t *testing.T) {
	p := part(t)
	raw, _ := rangeOf(t, p.two, p.log, 3, 0)
	if _, err := p.one.Prove(context.Background(), raw, oplog.Branch{}); fault.ClassOf(err) != fault.Denied {
		t.Errorf("its own log: %v", err)
	}
	bad := slices.Clone(raw)
	bad[len(bad)-1] ^= 1
	if _, err := p.withOne.Prove(context.Background(), bad, oplog.Branch{}); fault.ClassOf(err) != fault.Invalid {
		t.Errorf("a wrong signature: %v", err)
	}
	if _, known := p.withOne.Parting(p.log); known {
		t.Error("proved by nothing")
	}
	r, err := p.withTwo.Prove(context.Background(), raw, oplog.Branch{})
	if must(t, err); r.Seq > 0 || r.Ops > 0 || !r.Joins {
		t.Errorf("its own history: %+v", r)
	}
}
