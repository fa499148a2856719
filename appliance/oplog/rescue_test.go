package oplog_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// alone is a folder whose log lies in four segments: an edit, its edit and something else
// in each, so that references cross every hole.
type alone struct {
	o     oplog.Options
	v     *oplog.View
	store *lossy // keeps the views between two opens
	texts []string
	peer  *oplog.Log // has everything, and is not asked
}

func newAlone(t *testing.T) *alone {
	t.Helper()
	v := standing()
	auth := oplogtest.NewAuthority(t)
	a := &alone{o: oplogtest.Options(t, auth, nil, []*oplog.View{v}), v: v, store: &lossy{Store: oplogtest.MemStore()}}
	a.peer = oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{v})
	who, last := oplog.NewID(), oplog.Ref{}
	for i := range 4 {
		l := opened(t, a.o, a.store)
		var over []oplog.Ref
		if i > 0 {
			over = []oplog.Ref{last}
		}
		last = remarkOn(t, l, who, fmt.Sprintf("edit %d", i), over...)
		last = remarkOn(t, l, who, fmt.Sprintf("edit %d of %d", i, i), last)
		other := fmt.Sprintf("other %d", i)
		remarkOn(t, l, oplog.NewID(), other)
		a.texts = append(a.texts, other)
		if i == 3 {
			for _, h := range l.Heads() { // and gives nothing
				raw, _, err := l.Range(h.Log, 0, 0, 0)
				must(t, err)
				_, err = a.peer.Merge(context.Background(), raw)
				must(t, err)
			}
		}
		must(t, l.Close())
	}
	a.texts = append(a.texts, "edit 3 of 3")
	slices.Sort(a.texts)
	return a
}

func (a *alone) has(t *testing.T, l *oplog.Log, want ...string) {
	t.Helper()
	if len(want) == 0 {
		want = a.texts
	}
	if got := standingTexts(t, l, a.v); !slices.Equal(got, want) {
		t.Errorf("%s instead of %s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

// fresh is another node of the deployment that has nothing.
func (a *alone) fresh(t *testing.T, l *oplog.Log) *oplog.Log {
	t.Helper()
	return oplogtest.Node(t, l.Authority().(*oplogtest.Authority).Peer(t), nil, []*oplog.View{a.v})
}

// Rot in the log of a box that stands alone: what lies behind the hole, and what only the
// lists had, reaches whoever joins later. Nothing is lost then, and nothing is there twice
// when a node turns up that had it all.
func TestWhatNoOtherNodeCouldHaveIsWrittenAgain(t *testing.T) {
	for _, damage := range []struct {
		name string
		do   func(*testing.T, *alone)
	}{
		{"a hole", func(t *testing.T, a *alone) { flip(t, oplog.SegmentPath(a.o.Dir, 2), 3) }},
		{"two holes", func(t *testing.T, a *alone) {
			flip(t, oplog.SegmentPath(a.o.Dir, 2), 2)
			flip(t, oplog.SegmentPath(a.o.Dir, 3), 4)
		}},
		{"the beginning", func(t *testing.T, a *alone) { must(t, os.Remove(oplog.SegmentPath(a.o.Dir, 1))) }},
		{"the end", func(t *testing.T, a *alone) { must(t, os.Remove(lastSegment(t, a.o.Dir))) }},
		{"all of it", func(t *testing.T, a *alone) {
			for n := range 4 {
				must(t, os.Remove(oplog.SegmentPath(a.o.Dir, uint64(n+1))))
			}
		}},
	} {
		t.Run(damage.name, func(t *testing.T) {
			a := newAlone(t)
			damage.do(t, a)
			l := opened(t, a.o, a.store)
			if s := l.Stats(); s.Lost == 0 || s.Salvaged == 0 {
				t.Fatalf("nothing is damaged: %+v", s)
			}
			early := a.fresh(t, l)
			oplogtest.Exchange(t, l, early)
			if got := standingTexts(t, early, a.v); slices.Equal(got, a.texts) {
				t.Fatal("nothing needs a rescue")
			}

			n, err := l.Rescue(context.Background())
			must(t, err)
			if n == 0 || len(l.Losses()) > 0 || l.Stats().Lost > 0 {
				t.Fatalf("%d written again, lost: %v", n, l.Losses())
			}
			late := a.fresh(t, l)
			for range 2 {
				oplogtest.Exchange(t, l, early)
				oplogtest.Exchange(t, l, late)
			}
			for _, node := range []*oplog.Log{l, early, late} {
				a.has(t, node)
				if r := sound(t, node); r.Views != sound(t, l).Views {
					t.Error("the lists differ")
				}
			}
			if n, err := l.Rescue(context.Background()); n != 0 || err != nil {
				t.Errorf("%d written once more, %v", n, err)
			}

			must(t, l.Close())
			for _, store := range []oplog.Store{a.store, oplogtest.MemStore()} {
				l = opened(t, a.o, store)
				sound(t, l)
				a.has(t, l)
				if n, err := l.Rescue(context.Background()); n != 0 || err != nil {
					t.Errorf("%d written again after a start, %v", n, err)
				}
				must(t, l.Close())
			}

			l = opened(t, a.o, oplogtest.MemStore())
			for range 2 {
				for _, node := range []*oplog.Log{a.peer, late, early} {
					oplogtest.Exchange(t, l, node)
				}
			}
			for _, node := range []*oplog.Log{l, a.peer, early, late} {
				a.has(t, node)
				if r := sound(t, node); r.Views != sound(t, l).Views {
					t.Error("the lists differ when the rest is back")
				}
			}
			must(t, l.Close())
		})
	}
}

// Without the lists what was in the hole is lost, and stays said; what lies behind it is
// rescued all the same.
func TestAHoleThatNothingFillsStaysSaid(t *testing.T) {
	a := newAlone(t)
	flip(t, oplog.SegmentPath(a.o.Dir, 2), 2) // "other 1"
	l := opened(t, a.o, oplogtest.MemStore())
	defer l.Close()
	n, err := l.Rescue(context.Background())
	must(t, err)
	want := slices.DeleteFunc(slices.Clone(a.texts), func(s string) bool { return s == "other 1" })
	late := a.fresh(t, l)
	oplogtest.Exchange(t, l, late)
	a.has(t, late, want...)
	sound(t, late)
	if s := l.Stats(); n == 0 || s.Lost != 1 || len(s.Problems) != 1 {
		t.Errorf("%d written again; %+v", n, s)
	}
	oplogtest.Exchange(t, l, a.peer)
	sound(t, l)
	a.has(t, l)
}

// Who was erased is not written again, and is no loss.
func TestARescueLeavesOutWhoWasErased(t *testing.T) {
	views := eraseViews()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, views)
	store := &lossy{Store: oplogtest.MemStore()}
	var ids []oplog.ID
	for _, text := range []string{"Rosa", "Zulaikha", "Omar"} {
		l := opened(t, o, store)
		ids = append(ids, oplog.NewID())
		must(t, note(l, ids[len(ids)-1], text))
		must(t, l.Close())
	}
	flip(t, oplog.SegmentPath(o.Dir, 2), 2)
	l := opened(t, o, store)
	if l.Stats().Salvaged == 0 {
		t.Fatalf("%+v", l.Stats())
	}
	must(t, strike(l, ids[1], struck{Signed: true, Final: true}))
	n, err := l.Rescue(context.Background())
	must(t, err)
	if n != 1 || len(l.Losses()) > 0 {
		t.Errorf("%d written again, lost: %v", n, l.Losses())
	}
	late := oplogtest.Node(t, l.Authority().(*oplogtest.Authority).Peer(t), nil, views)
	oplogtest.Exchange(t, l, late)
	if got := fmt.Sprint(keysOf(t, late, views[0], "")); got != "[Omar Rosa]" {
		t.Error(got)
	}
	must(t, l.Erase(context.Background(), ids[1:2]))
	sound(t, l)
	must(t, l.Close())
	if bytes.Contains(oplog.Plaintexts(t, o), []byte("Zulaikha")) {
		t.Error("the name is still there")
	}
}

// Nobody can write another node's ops again. What was lost of them waits.
func TestOnlyTheOwnLogsAreRescued(t *testing.T) {
	v := standing()
	auth := oplogtest.NewAuthority(t)
	o := oplogtest.Options(t, auth, nil, []*oplog.View{v})
	owner := oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{v})
	for i := range 3 {
		remarkOn(t, owner, oplog.NewID(), fmt.Sprintf("theirs %d", i))
		l := opened(t, o, oplogtest.MemStore())
		oplogtest.Exchange(t, owner, l)
		must(t, l.Close())
	}
	flip(t, oplog.SegmentPath(o.Dir, 2), 2)
	l := opened(t, o, oplogtest.MemStore())
	defer l.Close()
	if len(l.Losses()) == 0 {
		t.Fatal("nothing is lost")
	}
	for _, x := range l.Losses() {
		if x.Log != owner.Own() {
			t.Fatal("the own log was hit as well")
		}
	}
	if n, err := l.Rescue(context.Background()); n != 0 || err != nil || len(l.Losses()) == 0 {
		t.Errorf("%d written again, %v, lost: %v", n, err, l.Losses())
	}
	oplogtest.Exchange(t, owner, l)
	sound(t, l)
}

// Nobody has to ask for it: other nodes have ten minutes to fill the hole.
func TestARescueComesByItself(t *testing.T) {
	a := newAlone(t)
	flip(t, oplog.SegmentPath(a.o.Dir, 2), 3)
	fake := clock.NewFake(oplogtest.Noon())
	a.o.Clock = fake
	l := opened(t, a.o, a.store)
	defer l.Close()
	lost := l.Stats().Lost
	fake.Advance(9 * time.Minute)
	if lost == 0 || l.Stats().Lost != lost {
		t.Fatalf("%d lost, then %d", lost, l.Stats().Lost)
	}
	until(t, l, "the rescue", func(s oplog.Stats) bool {
		fake.Advance(time.Minute)
		return s.Lost == 0
	})
	late := a.fresh(t, l)
	oplogtest.Exchange(t, l, late)
	a.has(t, late)
}

// A disk that takes nothing puts it off.
func TestARescueOnAFullDiskComesLater(t *testing.T) {
	a := newAlone(t)
	flip(t, oplog.SegmentPath(a.o.Dir, 2), 3)
	c := clock.NewFake(oplogtest.Noon())
	var free atomic.Uint64
	free.Store(100 << 20)
	a.o.Clock, a.o.MinFree, a.o.Ballast = c, 8<<20, 4<<20
	a.o.FreeSpace = func() (uint64, error) { return free.Load(), nil }
	l := opened(t, a.o, a.store)
	defer l.Close()
	free.Store(0)
	eventually(t, c, "nobody said that the disk is nearly full", l.Stopped)
	if n, err := l.Rescue(context.Background()); n != 0 || fault.ClassOf(err) != fault.Full || l.Stats().Lost == 0 {
		t.Errorf("%d written again, %v", n, err)
	}
	free.Store(100 << 20)
	eventually(t, c, "it does not come by itself", func() bool { return l.Stats().Lost == 0 })
	late := a.fresh(t, l)
	oplogtest.Exchange(t, l, late)
	a.has(t, late)
}

// Whatever rots, and whatever was rescued before: a node that joins shows what this one
// shows, and when everything turns up again both show everything, each op once.
func TestAnyDamageIsRescued(t *testing.T) {
	seeds := uint64(30)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 11))
		v := standing()
		auth := oplogtest.NewAuthority(t)
		o := oplogtest.Options(t, auth, nil, []*oplog.View{v})
		store := &lossy{Store: oplogtest.MemStore()}
		peer := oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{v})
		var subjects []oplog.ID
		var refs []oplog.Ref // the last of each
		all := 0
		write := func(l *oplog.Log) {
			for range 1 + r.IntN(6) {
				all++
				text := fmt.Sprintf("text %d", all)
				if i := r.IntN(len(subjects) + 1); i < len(subjects) {
					refs[i] = remarkOn(t, l, subjects[i], text, refs[i])
				} else {
					subjects = append(subjects, oplog.NewID())
					refs = append(refs, remarkOn(t, l, subjects[i], text))
				}
			}
		}
		for range 2 + r.IntN(5) {
			l := opened(t, o, store)
			write(l)
			must(t, l.Close())
		}
		l := opened(t, o, store)
		for _, h := range l.Heads() {
			for after := uint64(0); after < h.Seq; {
				raw, last, err := l.Range(h.Log, after, 0, 0)
				must(t, err)
				_, err = peer.Merge(context.Background(), raw)
				must(t, err)
				after = last
			}
		}
		must(t, l.Close())
		for range 1 + r.IntN(3) { // rotting, and a rescue of what is left, again and again
			segments, err := filepath.Glob(filepath.Join(o.Dir, "*.wpj"))
			must(t, err)
			for range 1 + r.IntN(2) {
				path := segments[r.IntN(len(segments))]
				if raw, err := os.ReadFile(path); err == nil && r.IntN(4) > 0 {
					at := r.IntN(len(raw))
					raw[at] ^= byte(1 + r.IntN(255))
					must(t, os.WriteFile(path, raw, 0o600))
				} else if err == nil {
					must(t, os.Remove(path))
				}
			}
			if r.IntN(3) == 0 {
				store = &lossy{Store: oplogtest.MemStore()}
			}
			l = opened(t, o, store)
			_, err = l.Rescue(context.Background())
			must(t, err)
			late := oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{v})
			oplogtest.Exchange(t, l, late)
			// A log whose birth is lost, and not in the lists, proves nothing of itself.
			proven := !slices.ContainsFunc(l.Losses(), func(x oplog.Loss) bool { return x.From == 1 })
			if a, b := standingTexts(t, l, v), standingTexts(t, late, v); proven && !slices.Equal(a, b) {
				t.Errorf("seed %d: here %v, there %v; lost %v", seed, a, b, l.Losses())
			}
			sound(t, late)
			if n, err := l.Rescue(context.Background()); n != 0 || err != nil {
				t.Errorf("seed %d: %d written once more, %v", seed, n, err)
			}
			if r.IntN(2) == 0 {
				refs, subjects = nil, nil // what is lost is not edited
				write(l)
			}
			must(t, l.Close())
			must(t, late.Close())
		}
		l = opened(t, o, store)
		for range 2 {
			oplogtest.Exchange(t, l, peer)
		}
		if a, b := standingTexts(t, l, v), standingTexts(t, peer, v); !slices.Equal(a, b) {
			t.Errorf("seed %d: at the end here %v, there %v", seed, a, b)
		}
		must(t, l.Close())
		must(t, peer.Close())
		if t.Failed() {
			return
		}
	}
}
