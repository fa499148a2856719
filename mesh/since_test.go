package mesh

import (
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// hearsay is a mesh without a network, whose peers say what a test has them say.
type hearsay struct {
	*Mesh
	t     *testing.T
	clock *clock.Fake
	book  *book
	start time.Time
}

func newHearsay(t *testing.T) *hearsay {
	at := time.Date(2027, 3, 1, 8, 0, 0, 0, time.UTC)
	c, b := clock.NewFake(at), &book{}
	return &hearsay{t: t, clock: c, book: b, start: at, Mesh: &Mesh{
		clock: c, book: b, records: newMemLog(), log: slog.New(slog.DiscardHandler), self: identity.NodeID{99}, mine: map[oplog.LogID]oplog.Head{}, rumours: map[oplog.LogID]uint64{},
		peers: map[identity.NodeID]*peer{}, carried: map[oplog.LogID]uint64{}, rejoined: map[branch]bool{}, seeds: map[string]*dial{}, closing: true,
	}}
}

// at moves the clock to so many minutes after the start.
func (w *hearsay) at(minutes int) { w.clock.Set(w.start.Add(time.Duration(minutes) * time.Minute)) }

// link is a connection with node n; the vector of marks has arrived.
func (w *hearsay) link(n byte, incarnation byte, marks ...mark) *link {
	w.t.Helper()
	p := w.peerFor(identity.NodeID{n})
	l := &link{m: w.Mesh, peer: p, node: p.node, told: map[oplog.LogID]mark{}}
	l.hello.incarnation[0] = incarnation
	p.links = append(p.links, l)
	w.say(l, true, marks...)
	return l
}

func (w *hearsay) say(l *link, whole bool, marks ...mark) {
	w.t.Helper()
	if err := w.holds(l, marks, whole); err != nil {
		w.t.Fatal(err)
	}
}

// since checks since which minute node n holds an op; -1: it does not.
func (w *hearsay) since(n byte, log oplog.LogID, seq uint64, minute int) {
	w.t.Helper()
	for _, h := range w.HoldersOf(oplog.Ref{Log: log, Seq: seq}) {
		if h.Node != (oplog.ID{n}) {
			continue
		}
		if got := int(h.Since.Sub(w.start) / time.Minute); got != minute {
			w.t.Errorf("node %d holds %d since minute %d, not %d", n, seq, got, minute)
		}
		return
	}
	if minute >= 0 {
		w.t.Errorf("node %d is not known to hold %d", n, seq)
	}
}

// A node holds an op since it first said so, whatever it says later, and not before.
func TestSinceWhenANodeHoldsAnOp(t *testing.T) {
	w := newHearsay(t)
	log := oplog.LogID{7}
	l := w.link(1, 1, mark{log: log, seq: 5})
	w.at(10)
	w.say(l, false, mark{log: log, seq: 8})
	w.at(20)
	w.say(l, false, mark{log: log, seq: 8})
	w.at(30)
	w.say(l, false, mark{log: log, seq: 20})
	w.since(1, log, 5, 0)
	w.since(1, log, 6, 10)
	w.since(1, log, 8, 10)
	w.since(1, log, 9, 30)
	w.since(1, log, 21, -1)
	w.since(1, oplog.LogID{8}, 1, -1)
	c, only := w.CopiesOf([]oplog.Ref{{Log: log, Seq: 2}, {Log: log, Seq: 9}, {Log: log, Seq: 40}})
	if len(c) != 1 || only != 1 || c[0].Holds != 2 || !c[0].Since.Equal(w.start.Add(30*time.Minute)) || !c[0].Sure || !c[0].Connected {
		t.Errorf("%+v", c)
	}
}

// A node that says less counts no more for what it lost, at once, and what it has left is
// held since it came back.
func TestANodeThatLostItsDiskHoldsNothingAnyMore(t *testing.T) {
	w := newHearsay(t)
	log, other := oplog.LogID{7}, oplog.LogID{8}
	w.mine[log] = oplog.Head{Log: log, Seq: 8}
	w.link(1, 1, mark{log: log, seq: 8}, mark{log: other, seq: 3})
	w.at(60)
	l := w.link(1, 2, mark{log: log, seq: 5}) // another start, with less
	w.since(1, log, 8, -1)
	w.since(1, log, 4, 60)
	w.since(1, other, 1, -1)
	if n := w.OnlyHere(); n != 3 || w.OnlyHereOf()[log] != 3 || w.Safe()[log] != 5 {
		t.Errorf("%d only here, safe up to %d", n, w.Safe()[log])
	}
	w.at(70)
	w.say(l, false, mark{log: log, seq: 8})
	w.since(1, log, 4, 60)
	w.since(1, log, 7, 70)
	w.link(1, 3) // nothing at all
	w.since(1, log, 1, -1)
}

// A log with two histories: the other one is no copy of ours.
func TestAnotherHistoryIsNoCopy(t *testing.T) {
	w := newHearsay(t)
	log := oplog.LogID{7}
	w.mine[log] = oplog.Head{Log: log, Seq: 8, Hash: [32]byte{1}}
	l := w.link(1, 1, mark{log: log, seq: 8, hash: [16]byte{1}})
	w.since(1, log, 8, 0)
	w.at(5)
	l = w.link(1, 2, mark{log: log, seq: 8, hash: [16]byte{2}})
	w.since(1, log, 8, -1)
	if len(l.peer.points[log]) != 0 {
		t.Error("since when it held the other history is remembered for ours")
	}
	w.carried[log], w.rejoined[branch{log, [16]byte{2}}] = 6, true
	w.since(1, log, 6, -1) // where the two part
	if got := w.HoldersOf(oplog.Ref{Log: log, Seq: 5}); len(got) != 1 {
		t.Errorf("what both histories have in common is held by %v", got)
	}
}

// Who was shut out and boxes with our own keys are no safe copies: they are told of, and
// do not count.
func TestWhoIsNoSafeCopy(t *testing.T) {
	w := newHearsay(t)
	log := oplog.LogID{7}
	w.mine[log] = oplog.Head{Log: log, Seq: 8}
	w.link(1, 1, mark{log: log, seq: 8})
	w.link(99, 1, mark{log: log, seq: 8})
	if w.OnlyHere() != 0 {
		t.Error("held by node 1")
	}
	w.book.shutOut(identity.NodeID{1})
	if n := w.OnlyHere(); n != 8 {
		t.Errorf("%d only here", n)
	}
	if got := w.Holders()[log]; len(got) != 1 || got[0] != w.self {
		t.Errorf("holders %v", got)
	}
	got := w.HoldersOf(oplog.Ref{Log: log, Seq: 3})
	if len(got) != 2 || got[0].Apart != ApartShut || got[1].Apart != ApartTwin {
		t.Errorf("%+v", got)
	}
	if _, only := w.CopiesOf([]oplog.Ref{{Log: log, Seq: 3}}); only != 1 {
		t.Error("held by a node that was shut out and a twin alone")
	}
	w.link(2, 1, mark{log: log, seq: 4})
	if got := w.HoldersOf(oplog.Ref{Log: log, Seq: 3}); len(got) != 3 || got[0].Node != (oplog.ID{2}) || got[0].Apart != "" {
		t.Errorf("safe copies come first: %+v", got)
	}
	if w.OnlyHere() != 4 || w.Safe()[log] != 4 {
		t.Errorf("%d only here, safe up to %d", w.OnlyHere(), w.Safe()[log])
	}
}

// Since when survives a restart, with the doubt there was.
func TestSinceIsRemembered(t *testing.T) {
	w := newWorld(t)
	a := w.start(t)
	b := w.start(t, seeded(a.addr))
	a.log.writeN(12)
	wait(t, "equal", func() bool { return same(a.log, b.log) && b.mesh.OnlyHere() == 0 })
	op := oplog.Ref{Log: a.log.Own(), Seq: 7}
	before := b.mesh.HoldersOf(op)
	if len(before) != 1 || before[0].Since.IsZero() || before[0].Node != a.keys.NodeID() {
		t.Fatalf("%+v", before)
	}
	b.close()
	a.close()
	b.again()
	after := b.mesh.HoldersOf(op)
	if len(after) != 1 || !after[0].Since.Equal(before[0].Since) || after[0].Sure != before[0].Sure || after[0].Connected || after[0].Heard.IsZero() {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// A file of an older program, or one that was tampered with, gives an answer that is late
// and never one that is too good.
func TestPointsFromTheFileAreNotBelievedBlindly(t *testing.T) {
	last := time.Unix(5000, 0)
	for name, c := range map[string]struct {
		written [][3]int64
		seq     uint64
		at      int64
		sure    bool
	}{
		"an older file":        {nil, 3, 5000, false},
		"what was written":     {[][3]int64{{3, 100, 1}, {9, 200, 0}}, 3, 100, true},
		"behind the last":      {[][3]int64{{3, 100, 1}}, 9, 5000, false},
		"more than is held":    {[][3]int64{{3, 100, 1}, {1 << 40, 150, 1}}, 9, 5000, false},
		"back and forth":       {[][3]int64{{8, 300, 1}, {4, 100, 1}, {9, 400, 1}}, 4, 300, true},
		"nonsense":             {[][3]int64{{-4, -100, 7}, {0, 0, 0}}, 1, 5000, false},
		"an unsure one before": {[][3]int64{{3, 4000, 0}, {9, 4500, 1}}, 3, 4500, true},
	} {
		p := &peer{held: map[oplog.LogID]held{{7}: {seq: 9}}}
		p.recall(oplog.LogID{7}, c.written, last)
		at, sure := since(p.points[oplog.LogID{7}], c.seq)
		if at.Unix() != c.at || sure != c.sure {
			t.Errorf("%s: %v %v", name, at.Unix(), sure)
		}
	}
}

// Dropping points never makes an answer earlier than the truth, the newest stays, and the
// near past stays fine.
func TestThinnedPointsStayTrue(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var all, kept []point
		now := int64(1000)
		for seq := uint64(1); seq <= 300; seq++ {
			now += r.Int64N(600)
			if r.IntN(50) == 0 {
				now -= r.Int64N(10000) // somebody set the clock
			}
			all = append(all, point{seq, now, true})
			kept = thin(append(kept, all[len(all)-1]), 2+r.IntN(15), now)
		}
		if kept[len(kept)-1] != all[len(all)-1] {
			t.Fatal("the newest went")
		}
		for seq := uint64(1); seq <= 300; seq++ {
			truth, _ := since(all, seq)
			if got, _ := since(kept, seq); got.Before(truth) {
				t.Fatalf("op %d since %v, but it was noted at %v first", seq, got, truth)
			}
		}
	}
	var kept []point
	for i := range int64(10000) {
		kept = thin(append(kept, point{uint64(i + 1), i * 60, true}), mostPoints, i*60)
	}
	if at, _ := since(kept, 9000); at.Unix() > 9000*60+9000*60/4 {
		t.Errorf("what came at minute 9000 is known since minute %d", at.Unix()/60)
	}
}

// A hundred logs and fifty nodes: the file stays small and a word costs little.
func TestPointsAreBounded(t *testing.T) {
	w := newHearsay(t)
	w.dir = t.TempDir()
	var links []*link
	for n := range byte(50) {
		links = append(links, w.link(n+1, 1))
	}
	for round := range 30 {
		w.at(round)
		for _, l := range links {
			for k := range byte(100) {
				w.say(l, false, mark{log: oplog.LogID{k}, seq: uint64(10 * (round + 1))})
			}
		}
	}
	points := 0
	for _, p := range w.peers {
		for _, list := range p.points {
			points += len(list)
		}
	}
	if points > 50*100*leastPoints+2*maxPointsKept {
		t.Errorf("%d points", points)
	}
	if err := writePeers(w.dir, w.snapshot()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(w.dir, peersName))
	if err != nil || info.Size() > 2<<20 {
		t.Errorf("%v %v", info.Size(), err)
	}
	t.Logf("%d points, %d bytes", points, info.Size())
}

// BenchmarkCopies is what a person's page asks: five ops, fifty nodes with a hundred logs.
func BenchmarkCopies(b *testing.B) {
	w := newHearsay(&testing.T{})
	for n := range byte(50) {
		l := w.link(n+1, 1)
		for k := range byte(100) {
			w.mine[oplog.LogID{k}] = oplog.Head{Log: oplog.LogID{k}, Seq: 100}
			w.say(l, false, mark{log: oplog.LogID{k}, seq: 100})
		}
	}
	ops := []oplog.Ref{{Log: oplog.LogID{1}, Seq: 3}, {Log: oplog.LogID{1}, Seq: 4}, {Log: oplog.LogID{1}, Seq: 5}, {Log: oplog.LogID{2}, Seq: 9}, {Log: oplog.LogID{3}, Seq: 100}}
	b.Run("person", func(b *testing.B) {
		for b.Loop() {
			w.CopiesOf(ops)
		}
	})
	b.Run("only-here", func(b *testing.B) {
		for b.Loop() {
			w.OnlyHere()
		}
	})
}

// A node that runs twice: when one of its boxes goes, what only that one said goes too, and
// the rest is held since then.
func TestSinceOfANodeThatRunsTwice(t *testing.T) {
	w := newHearsay(t)
	log, own := oplog.LogID{7}, oplog.LogID{8}
	w.peerFor(identity.NodeID{1}).doubled = true
	first := w.link(1, 1, mark{log: log, seq: 9}, mark{log: own, seq: 3})
	w.at(10)
	second := w.link(1, 2, mark{log: log, seq: 5})
	w.since(1, log, 9, 0)
	w.since(1, own, 3, 0)
	w.at(20)
	first.peer.links = []*link{second}
	first.peer.recount(first)
	w.since(1, log, 9, -1)
	w.since(1, log, 4, 20)
	w.since(1, own, 3, -1)
	if len(first.peer.points[own]) > 0 {
		t.Error("points of what nobody says any more are kept")
	}
}
