package oplog_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// standing shows of every subject the texts that nothing took the place of, and where
// they are: a row lost, doubled or superseded by the wrong op shows, and so do places
// that differ between nodes.
func standing() *oplog.View {
	return &oplog.View{Name: "Standing", Version: 1, Kinds: []oplog.Kind{remarked}, Fold: func(_ oplog.ID, ops []oplog.Op) []oplog.Row {
		over := map[oplog.Ref]bool{}
		for _, op := range ops {
			for _, r := range op.Supersedes {
				over[r] = true
			}
		}
		var rows []oplog.Row
		for i, op := range ops {
			if !over[op.Ref] {
				rows = append(rows, oplog.Row{Key: fmt.Append(nil, oplog.Body[remark](op).Text, "#", i), Value: []byte(op.Ref.String())})
			}
		}
		return rows
	}}
}

func remarkOn(t *testing.T, l *oplog.Log, who oplog.ID, text string, over ...oplog.Ref) (ref oplog.Ref) {
	t.Helper()
	must(t, l.Do(context.Background(), oplog.By{7}, func(tx *oplog.Tx) (err error) {
		ref, err = tx.Append(remarked, who, remark{text}, over...)
		return err
	}))
	return ref
}

// standingTexts are the rows of the view without their order.
func standingTexts(t *testing.T, l *oplog.Log, v *oplog.View) []string {
	t.Helper()
	var out []string
	for k := range texts(t, l, v) {
		for i := range k {
			if k[i] == '#' {
				k = k[:i]
				break
			}
		}
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// trade lets nodes exchange all logs but one that has two histories.
func trade(t *testing.T, but oplog.LogID, nodes ...*oplog.Log) {
	t.Helper()
	tradeBut(t, []oplog.LogID{but}, nodes...)
}

func tradeBut(t *testing.T, but []oplog.LogID, nodes ...*oplog.Log) {
	t.Helper()
	for again := true; again; {
		again = false
		for _, from := range nodes {
			for _, to := range nodes {
				mine := map[oplog.LogID]uint64{}
				for _, h := range to.Heads() {
					mine[h.Log] = h.Seq
				}
				for _, h := range from.Heads() {
					if slices.Contains(but, h.Log) || mine[h.Log] >= h.Seq {
						continue
					}
					raw, _, err := from.Range(h.Log, mine[h.Log], 3, 0)
					must(t, err)
					_, err = to.Merge(context.Background(), raw)
					must(t, err)
					again = true
				}
			}
		}
	}
}

// rejoin gives to the whole history of a log that from holds, the last batches first, as
// the mesh looks for the parting.
func rejoin(t *testing.T, to, from *oplog.Log, log oplog.LogID) (ops int) {
	t.Helper()
	var head uint64
	for _, h := range from.Heads() {
		if h.Log == log {
			head = h.Seq
		}
	}
	var at oplog.Branch
	for after := head - 1; after < head; {
		raw, _, err := from.Range(log, after, 2, 0)
		must(t, err)
		r, err := to.Rejoin(context.Background(), raw, at)
		must(t, err)
		ops += r.Ops
		if !r.Joins {
			after--
			continue
		}
		at, after = r.Branch, r.Last
	}
	if at.Seq == 0 {
		t.Fatal("the parting was not found")
	}
	return ops
}

// parted is a folder that was copied while it held three ops, and what its two boxes
// wrote then; the bystanders hold one history each.
type parted struct {
	v            *oplog.View
	one, two     *oplog.Log
	withOne      *oplog.Log
	withTwo      *oplog.Log
	log          oplog.LogID
	again        oplog.LogID // parted later
	options      [2]oplog.Options
	stores       [2]oplog.Store
	want         []string
	who, other   oplog.ID
	auth         *oplogtest.Authority
	person, last oplog.Ref // of one's history
	first        oplog.Ref
}

func part(t *testing.T) *parted {
	t.Helper()
	p := &parted{v: standing(), auth: oplogtest.NewAuthority(t), who: oplog.NewID(), other: oplog.NewID()}
	o := oplogtest.Options(t, p.auth, nil, []*oplog.View{p.v})
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	p.first = remarkOn(t, l, p.who, "first")
	remarkOn(t, l, oplog.NewID(), "another")
	must(t, l.Close())
	c := o
	c.Dir = cloneDir(t, o.Dir)
	p.options, p.stores = [2]oplog.Options{o, c}, [2]oplog.Store{oplogtest.MemStore(), oplogtest.MemStore()}
	p.one, p.two = reopen(t, o, p.stores[0]), reopen(t, c, p.stores[1])
	p.log = p.one.Own()
	edit := remarkOn(t, p.one, p.who, "one edits", p.first)
	p.last = remarkOn(t, p.one, p.who, "one edits again", edit)
	p.person = remarkOn(t, p.one, p.other, "a person of one")
	remarkOn(t, p.two, oplog.NewID(), "a person of two")
	edit = remarkOn(t, p.two, p.who, "two edits", p.first)
	remarkOn(t, p.two, p.who, "two edits again", edit)
	for i := range 5 {
		remarkOn(t, p.two, oplog.NewID(), fmt.Sprint("more of two ", i))
	}
	p.want = []string{"a person of one", "a person of two", "another", "more of two 0", "more of two 1", "more of two 2", "more of two 3", "more of two 4", "one edits again", "two edits again"}
	p.withOne, p.withTwo = oplogtest.Node(t, p.auth.Peer(t), nil, []*oplog.View{p.v}), oplogtest.Node(t, p.auth.Peer(t), nil, []*oplog.View{p.v})
	oplogtest.Exchange(t, p.one, p.withOne)
	oplogtest.Exchange(t, p.two, p.withTwo)
	return p
}

// agree fails unless all nodes show what was written, each once, under one place.
func (p *parted) agree(t *testing.T, nodes ...*oplog.Log) {
	t.Helper()
	tradeBut(t, []oplog.LogID{p.log, p.again}, nodes...)
	var digest string
	for round := range 2 {
		for i, n := range nodes {
			if got := standingTexts(t, n, p.v); !slices.Equal(got, p.want) {
				t.Errorf("round %d, node %d:\n%q\n%q", round, i, got, p.want)
			}
			r, err := n.Check(context.Background())
			must(t, err)
			if digest == "" {
				digest = r.Views
			}
			if r.Views != digest {
				t.Errorf("round %d: node %d sees other rows", round, i)
			}
			must(t, n.Rebuild(context.Background()))
		}
	}
}

// Two boxes with one folder both wrote before they met. Afterwards every node shows what
// both wrote, each op once, whichever history of the log it holds.
func TestBothHistoriesOfACopiedFolderAreEverywhere(t *testing.T) {
	p := part(t)
	if n := rejoin(t, p.one, p.two, p.log); n != 11 {
		t.Errorf("%d ops written again, of 3 and 8", n)
	}
	rejoin(t, p.two, p.one, p.log)
	if p.one.Own() == p.log || p.two.Own() == p.log || p.one.Own() == p.two.Own() {
		t.Fatal("the old log is still written")
	}
	p.agree(t, p.one, p.two, p.withOne, p.withTwo)
	if rejoin(t, p.one, p.two, p.log)+rejoin(t, p.two, p.one, p.log)+rejoin(t, p.one, p.withTwo, p.log) > 0 {
		t.Error("ops are written again each time")
	}
	must(t, p.one.Close())
	again := reopen(t, p.options[0], p.stores[0])
	if rejoin(t, again, p.two, p.log) > 0 {
		t.Error("ops are written again after a start")
	}
	p.agree(t, again, p.two, p.withOne, p.withTwo)
	if notes := again.Stats().Problems; len(notes) == 0 {
		t.Error("nobody is told that the folder was copied")
	}
}

// An old card was put back: the box that wrote the other history is no more, but other
// nodes hold it. The restored one writes both.
func TestAnOldCardPutBackGivesAndGetsWhatWasWritten(t *testing.T) {
	p := part(t)
	must(t, p.one.Close())
	rejoin(t, p.two, p.withOne, p.log)
	late := oplogtest.Node(t, p.auth.Peer(t), nil, []*oplog.View{p.v}) // hears of the new log first
	trade(t, p.log, p.two, late)
	p.agree(t, p.two, p.withOne, p.withTwo)
	raw, _ := rangeOf(t, p.withOne, p.log, 0, 0)
	_, err := late.Merge(context.Background(), raw)
	must(t, err)
	p.agree(t, p.two, p.withOne, p.withTwo, late)
}

// What others wrote about an op of either history, before they knew of the other, is
// about the same op afterwards. Where both histories have an op about the person there,
// nothing is hidden.
func TestAnEditByABystanderFindsItsOpAgain(t *testing.T) {
	p := part(t)
	remarkOn(t, p.withOne, p.other, "a bystander edits", p.person)
	remarkOn(t, p.withOne, p.who, "in doubt", p.last)
	p.want[slices.Index(p.want, "a person of one")] = "a bystander edits"
	p.want = append(p.want, "in doubt")
	slices.Sort(p.want)
	rejoin(t, p.two, p.one, p.log)
	p.agree(t, p.two, p.withOne, p.withTwo)
	rejoin(t, p.one, p.two, p.log)
	p.agree(t, p.one, p.two, p.withOne, p.withTwo)
	ref := map[string]bool{}
	must(t, p.two.View(func(r oplog.Reader) error {
		ops, err := r.Ops(p.who)
		for _, op := range ops {
			ref[op.Ref.String()] = true
		}
		return err
	}))
	if len(ref) != 6 {
		t.Errorf("%d ops of one person, not 6: %v", len(ref), slices.Collect(maps.Keys(ref)))
	}
}

// A log of another node cannot be moved, and a batch that is none is refused.
func TestOnlyTheOwnLogIsRejoined(t *testing.T) {
	p := part(t)
	raw, _ := rangeOf(t, p.two, p.log, 3, 0)
	if _, err := p.withOne.Rejoin(context.Background(), raw, oplog.Branch{}); fault.ClassOf(err) != fault.Denied {
		t.Errorf("another's log: %v", err)
	}
	if _, err := p.one.Rejoin(context.Background(), raw[:len(raw)-1], oplog.Branch{}); fault.ClassOf(err) != fault.Invalid {
		t.Errorf("a cut batch: %v", err)
	}
	raw[len(raw)-1] ^= 1
	if _, err := p.one.Rejoin(context.Background(), raw, oplog.Branch{}); fault.ClassOf(err) != fault.Invalid {
		t.Errorf("a wrong signature: %v", err)
	}
	if p.withOne.Ours(p.log) || !p.one.Ours(p.log) || !p.two.Ours(p.log) {
		t.Error("whose log it is")
	}
}

// A kill on the way leaves some ops written again; the next meeting writes the others.
func TestARejoinMayBeCut(t *testing.T) {
	p := part(t)
	raw, _ := rangeOf(t, p.two, p.log, 3, 0)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.one.Rejoin(ctx, raw, oplog.Branch{}); err == nil {
		t.Log("done before it was cancelled")
	}
	p.one.Kill()
	must(t, os.RemoveAll(p.options[0].Dir+"/LOCK"))
	p.one = reopen(t, p.options[0], oplogtest.MemStore())
	rejoin(t, p.one, p.two, p.log)
	rejoin(t, p.two, p.one, p.log)
	p.agree(t, p.one, p.two, p.withOne, p.withTwo)
}

// carriedAt is where a node sees the op with a text.
func carriedAt(t *testing.T, l *oplog.Log, who oplog.ID, text string) (at oplog.Ref) {
	t.Helper()
	must(t, l.View(func(r oplog.Reader) error {
		ops, err := r.Ops(who)
		for _, op := range ops {
			if oplog.Body[remark](op).Text == text {
				at = op.Ref
			}
		}
		return err
	}))
	return at
}

// An edit of an op that was written again names the copy its writer saw. When the other
// box's copy arrives and comes first, the edit is still one of that op.
func TestAnEditOfACopyFindsTheOneThatIsKept(t *testing.T) {
	p := part(t)
	rejoin(t, p.one, p.two, p.log)
	rejoin(t, p.two, p.one, p.log)
	late, early := p.one, p.two
	if slices.Compare(lid(p.one), lid(p.two)) < 0 {
		late, early = early, late
	}
	trade(t, p.log, late, p.withOne)
	remarkOn(t, p.withOne, p.other, "an edit of a copy", carriedAt(t, p.withOne, p.other, "a person of one"))
	p.want[slices.Index(p.want, "a person of one")] = "an edit of a copy"
	slices.Sort(p.want)
	p.agree(t, late, p.withOne, early, p.withTwo)
}

func lid(l *oplog.Log) []byte {
	own := l.Own()
	return own[:]
}

// A request that is sent again finds what it wrote where folds see it, whichever history
// of the log a node holds.
func TestAKeyFindsWhatWasWrittenAgain(t *testing.T) {
	p := part(t)
	key, who := [16]byte{1, 2, 3}, oplog.NewID()
	must(t, p.one.Do(context.Background(), oplog.By{7}, func(tx *oplog.Tx) error {
		tx.SetOnce(key, [8]byte{4})
		_, err := tx.Append(remarked, who, remark{"once"})
		return err
	}))
	oplogtest.Exchange(t, p.one, p.withOne)
	p.want = append(p.want, "once")
	slices.Sort(p.want)
	rejoin(t, p.one, p.two, p.log)
	rejoin(t, p.two, p.one, p.log)
	for range 2 {
		p.agree(t, p.one, p.two, p.withOne, p.withTwo)
		for i, n := range []*oplog.Log{p.one, p.two, p.withOne, p.withTwo} {
			must(t, n.View(func(r oplog.Reader) error {
				w, ok, err := r.Once(key)
				if !ok || w.Ref != carriedAt(t, n, who, "once") || w.Subject != who {
					t.Errorf("node %d: %v %v", i, w, ok)
				}
				return err
			}))
		}
	}
}

// A peer cannot pass off one history as another: what goes on from the parting has to be
// what was found there. References would name the wrong op.
func TestAnotherHistoryInBetweenIsRefused(t *testing.T) {
	p := part(t)
	raw, last, err := p.two.Range(p.log, 3, 2, 0)
	must(t, err)
	r, err := p.one.Rejoin(context.Background(), raw, oplog.Branch{})
	must(t, err)
	if r.Seq != 4 || r.Left != 0 {
		t.Fatalf("%+v", r)
	}
	wrong, _, err := p.withOne.Range(p.log, last, 5, 0)
	must(t, err)
	for _, raw := range [][]byte{raw, wrong} {
		if _, err := p.one.Rejoin(context.Background(), raw, r.Branch); fault.ClassOf(err) != fault.Invalid {
			t.Errorf("taken: %v", err)
		}
	}
	rejoin(t, p.one, p.two, p.log)
	p.agree(t, p.one, p.withOne, p.withTwo)
}

// What is too large to be carried is told, because it stays where it is.
func TestWhatIsTooLargeToCarryIsTold(t *testing.T) {
	p := part(t)
	remarkOn(t, p.one, oplog.NewID(), strings.Repeat("x", 65450))
	raw, _, err := p.two.Range(p.log, 3, 0, 0)
	must(t, err)
	r, err := p.one.Rejoin(context.Background(), raw, oplog.Branch{})
	must(t, err)
	if r.Left != 1 || r.Ops != 11 {
		t.Errorf("%+v", r)
	}
}

// partAgain lets the log that one carries into have two histories as well: one's with what
// it carried, and withTwo's with what a copy of one wrote that is no more.
func (p *parted) partAgain(t *testing.T) {
	t.Helper()
	must(t, p.one.Succeed(context.Background(), p.log))
	p.again = p.one.Own()
	must(t, p.one.Close())
	c := p.options[0]
	c.Dir = cloneDir(t, c.Dir)
	three := reopen(t, c, oplogtest.MemStore())
	p.one = reopen(t, p.options[0], p.stores[0])
	if three.Own() != p.again || p.one.Own() != p.again {
		t.Fatal("another log")
	}
	rejoin(t, p.one, p.two, p.log)
	must(t, p.two.Close())
	remarkOn(t, three, oplog.NewID(), "three")
	p.want = append(p.want, "three")
	slices.Sort(p.want)
	trade(t, p.log, p.one, p.withOne)
	trade(t, p.log, three, p.withTwo)
	must(t, three.Close())
}

// The log that two histories were written into parts as well, and only the box that wrote
// it is left. What it carried there is carried once more.
func TestALogOfCarriedOpsPartsAsWell(t *testing.T) {
	p := part(t)
	p.partAgain(t)
	rejoin(t, p.one, p.withTwo, p.again)
	p.agree(t, p.one, p.withOne, p.withTwo)
	if rejoin(t, p.one, p.withTwo, p.again) > 0 {
		t.Error("ops are written again each time")
	}
}

// An edit that names a copy finds it by the place it had, also where the log of that copy
// is held with another history.
func TestAnEditOfACopyInALogThatPartedFindsItsOp(t *testing.T) {
	p := part(t)
	p.partAgain(t)
	remarkOn(t, p.withOne, p.other, "an edit of a copy", carriedAt(t, p.withOne, p.other, "a person of one"))
	p.want[slices.Index(p.want, "a person of one")] = "an edit of a copy"
	slices.Sort(p.want)
	rejoin(t, p.one, p.withTwo, p.again)
	p.agree(t, p.one, p.withOne, p.withTwo)
}
