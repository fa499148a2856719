package oplog_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// besides is a node that folds beside its writer: anew from so many ops on, with a store
// that waits in the middle of that until it is let go.
type besides struct {
	*oplog.Log
	t     *testing.T
	o     oplog.Options
	clock *clock.Fake
	store *hooked
	at    atomic.Pointer[gate]
}

// gate is where the making anew waits.
type gate struct {
	began, open chan struct{}
	begin, let  func()
}

func besidesNode(t *testing.T, a *oplogtest.Authority, anew uint64) *besides {
	t.Helper()
	b := &besides{t: t, store: &hooked{BulkStore: oplogtest.MemStore().(oplog.BulkStore)}}
	b.store.before = func(int) { g := b.at.Load(); g.begin(); <-g.open }
	b.Log, b.o, b.clock = lateLog(t, a.Peer(t), func(o *oplog.Options) { o.Store = b.store })
	b.FoldBesides(anew)
	b.wait()
	t.Cleanup(b.letGo)
	return b
}

// wait has the next making anew wait.
func (b *besides) wait() {
	g := &gate{began: make(chan struct{}), open: make(chan struct{})}
	g.begin, g.let = sync.OnceFunc(func() { close(g.began) }), sync.OnceFunc(func() { close(g.open) })
	b.at.Store(g)
}

func (b *besides) letGo() { b.at.Load().let() }

// silence lets time go by until something is done about what is late.
func (b *besides) silence(until func() bool) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); !until(); runtime.Gosched() {
		if time.Now().After(end) {
			b.t.Fatal("nothing is done about what is late")
		}
		b.clock.Advance(100 * time.Millisecond)
	}
}

func (b *besides) waits() bool {
	select {
	case <-b.at.Load().began:
		return true
	default:
		return false
	}
}

// people is how many are shown.
func people(t testing.TB, l *oplog.Log) int {
	t.Helper()
	return len(keysOf(t, l, lateView, "p"))
}

// image is what a power cut at this moment leaves, opened again.
func image(t *testing.T, l *oplog.Log, o oplog.Options) *oplog.Log {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "journal")
	store := oplogtest.MemStore()
	tx, err := store.Begin()
	must(t, err)
	must(t, o.Store.View(func(r oplog.StoreReader) error {
		return r.Scan(nil, nil, func(k, v []byte) error { return tx.Put(append([]byte{}, k...), append([]byte{}, v...)) })
	}))
	must(t, tx.Commit())
	must(t, os.CopyFS(dir, os.DirFS(o.Dir)))
	o.Dir, o.Store = dir, store
	again, err := oplog.Open(context.Background(), o)
	must(t, err)
	t.Cleanup(func() { _ = again.Close() })
	return again
}

// TestNobodyWaitsWhileMuchIsLate: while all views are made anew a family is registered and
// found at once, facts of others go on arriving, and a power cut loses nothing. In the end
// everything is shown, once.
func TestNobodyWaitsWhileMuchIsLate(t *testing.T) {
	one := oplogtest.NewAuthority(t)
	batches, _ := cutBatches(t, one, 3000)
	second := one.Peer(t)
	more, _ := cutBatches(t, second, 500)
	b := besidesNode(t, one, 100)
	mergeAll(t, b.Log, batches[:8])
	wantLate(t, b.Log)
	before := people(t, b.Log)
	b.silence(b.waits)

	must(t, add(b.Log, oplog.SamplePeople(2, 9)...))
	if n := people(t, b.Log); n != before+2 {
		t.Fatalf("%d people after two were registered, %d before", n, before)
	}
	mergeAll(t, b.Log, more[:1])      // a fact of the open compartment: goes ahead
	mergeAll(t, b.Log, batches[8:10]) // put off behind what is read just now
	ahead := people(t, b.Log)
	if !b.Late() {
		t.Fatal("somebody waited for everything")
	}
	cut := image(t, b.Log, b.o)
	if n := people(t, cut); n < ahead+2000 {
		t.Errorf("%d people of at least %d after a power cut", n, ahead+2000)
	}
	sound(t, cut)

	b.letGo()
	b.silence(func() bool { return people(t, b.Log) > ahead })
	must(t, add(b.Log, oplog.SamplePeople(1, 8)...))
	mergeAll(t, b.Log, batches[10:])
	mergeAll(t, b.Log, more[1:])
	b.silence(func() bool { return !b.Late() })
	r := sound(t, b.Log)
	want := oplogtest.Node(t, one.Peer(t), nil, []*oplog.View{lateView})
	mergeAll(t, want, batches)
	mergeAll(t, want, more)
	copyLog(t, b.Log, want)
	if shown(t, b.Log) != shown(t, want) {
		t.Error("the views differ from those of a node that put nothing off")
	}
	if w := sound(t, want); w.Ops != r.Ops+1 { // its own birth
		t.Errorf("%d ops are counted, %d where nothing was put off", r.Ops, w.Ops-1)
	}
	if again := image(t, b.Log, b.o); shown(t, again) != shown(t, want) {
		t.Error("the views differ after a power cut")
	}
}

// TestAPieceAtATime: what is little beside what is there is folded in pieces, and others
// come in between; a power cut between any two of them loses nothing.
func TestAPieceAtATime(t *testing.T) {
	one := oplogtest.NewAuthority(t)
	batches, _ := cutBatches(t, one, 6000)
	b := besidesNode(t, one, 1<<40)
	mergeAll(t, b.Log, batches)
	wantLate(t, b.Log)
	all, pieces := people(t, image(t, b.Log, b.o)), 0
	must(t, add(b.Log, oplog.SamplePeople(3, 7)...))
	came := make(chan error, 1)
	b.OnCommit(func(subjects []oplog.ID) error {
		if len(subjects) < 3 {
			return nil // a command
		}
		if pieces++; pieces == 1 {
			go func() { came <- add(b.Log, oplog.SamplePeople(1, 7)...) }()
		}
		if n := people(t, b.Log); (n < all) != b.Late() && pieces < 3 {
			t.Errorf("%d people of %d are shown, late: %v", n, all, b.Late())
		}
		if n := people(t, image(t, b.Log, b.o)); n < all+3 {
			t.Errorf("%d people of %d after a power cut behind piece %d", n, all+3, pieces)
		}
		return nil
	})
	b.silence(func() bool { return !b.Late() })
	must(t, <-came)
	must(t, command(b.Log)) // hooks are over
	if n := people(t, b.Log); n != all+4 || pieces < 3 {
		t.Errorf("%d people of %d in %d pieces", n, all+4, pieces)
	}
	sound(t, b.Log)
}

// TestWhoNeedsTheWholeWaitsForIt: a check, a backup and a suspension, also while all views
// are made anew.
func TestWhoNeedsTheWholeWaitsForIt(t *testing.T) {
	one := oplogtest.NewAuthority(t)
	batches, _ := cutBatches(t, one, 2000)
	plain := oplogtest.Node(t, one.Peer(t), nil, []*oplog.View{lateView})
	mergeAll(t, plain, batches)
	all := people(t, plain)
	for name, do := range map[string]func(l *oplog.Log) error{
		"a check": func(l *oplog.Log) error {
			r, err := l.Check(context.Background())
			if err == nil && (!r.Sound || r.Ops < 2001) {
				t.Errorf("%+v", r)
			}
			return err
		},
		"a backup": func(l *oplog.Log) error { _, err := l.Snapshot(context.Background()); return err },
		"a suspension": func(l *oplog.Log) error {
			return l.Hold(context.Background(), cutOff{author: one.Node(), last: 1 << 40})
		},
		"a rebuild": func(l *oplog.Log) error { return l.Rebuild(context.Background()) },
	} {
		b := besidesNode(t, one, 100)
		mergeAll(t, b.Log, batches)
		b.silence(b.waits)
		must(t, add(b.Log, oplog.SamplePeople(1, 7)...))
		done := make(chan error, 1)
		go func() { done <- do(b.Log) }()
		b.letGo()
		must(t, <-done)
		if n := people(t, b.Log); b.Late() || n != all+1 {
			t.Errorf("%s: late %v, %d people of %d", name, b.Late(), n, all+1)
		}
		must(t, b.Close())
	}
}

// TestMakingAnewMayFail: with a store that cannot be filled, and when the node is ended in
// the middle. What was written meanwhile is there all the same.
func TestMakingAnewMayFail(t *testing.T) {
	one := oplogtest.NewAuthority(t)
	batches, _ := cutBatches(t, one, 2000)
	b := besidesNode(t, one, 100)
	b.store.BulkStore = broken{b.store.BulkStore}
	mergeAll(t, b.Log, batches)
	all := people(t, image(t, b.Log, func() oplog.Options { o := b.o; o.Store = b.store; return o }()))
	b.silence(b.waits)
	must(t, add(b.Log, oplog.SamplePeople(1, 7)...))
	b.letGo()
	b.silence(func() bool { _ = command(b.Log); return !b.Late() })
	if n := people(t, b.Log); n != all+1 {
		t.Errorf("%d people of %d where the store cannot be filled", n, all+1)
	}
	sound(t, b.Log)

	b = besidesNode(t, one, 100)
	mergeAll(t, b.Log, batches)
	b.silence(b.waits)
	must(t, add(b.Log, oplog.SamplePeople(1, 7)...))
	ended := make(chan error, 1)
	go func() { ended <- b.Close() }()
	b.letGo()
	must(t, <-ended)
	is(t, command(b.Log), fault.Unavailable, "fault.oplog.closed")
	if again := image(t, b.Log, b.o); people(t, again) != all+1 {
		t.Errorf("%d people of %d after an end", people(t, again), all+1)
	}
}

// TestRotWhileMakingAnew: a piece of the journal that rots before it is read is set aside
// and asked for again; commands succeed in the end.
func TestRotWhileMakingAnew(t *testing.T) {
	one := oplogtest.NewAuthority(t)
	batches, want := cutBatches(t, one, 3000)
	b := besidesNode(t, one, 100)
	mergeAll(t, b.Log, batches)
	segments, err := filepath.Glob(filepath.Join(b.o.Dir, "*.wpj"))
	must(t, err)
	newest := segments[len(segments)-1]
	raw, err := os.ReadFile(newest)
	must(t, err)
	raw[len(raw)/2] ^= 1
	must(t, os.WriteFile(newest, raw, 0o600))
	b.letGo()
	b.silence(func() bool { return command(b.Log) == nil && b.Stats().Lost > 0 })
	mergeAll(t, b.Log, batches)
	b.silence(func() bool { return !b.Late() })
	if shown(t, b.Log) != want || b.Stats().Lost > 0 {
		t.Errorf("it is not as on the other node: %d lost", b.Stats().Lost)
	}
	if r, err := b.Check(context.Background()); err != nil || len(r.Problems) > 0 {
		t.Errorf("%+v %v", r, err)
	}
}

// TestWhateverIsLate: merges of several logs, commands, silence, checks and power cuts in
// any order give the views of a node that puts nothing off.
func TestWhateverIsLate(t *testing.T) {
	one := oplogtest.NewAuthority(t)
	var logs [][][]byte
	for range 3 {
		batches, _ := cutBatches(t, one.Peer(t), 1500)
		logs = append(logs, batches)
	}
	seeds := uint64(12)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(seed, 7))
		b := besidesNode(t, one, []uint64{100, 800, 1 << 40}[seed%3])
		b.letGo()
		if seed%2 == 0 {
			b.wait()
		}
		next, mine, most := make([]int, len(logs)), uint64(0), 0
		for range 60 {
			n := people(t, b.Log)
			if n < most {
				t.Fatalf("seed %d: %d people are shown where %d were", seed, n, most)
			}
			most = n
			switch n := rnd.IntN(len(logs)); rnd.IntN(8) {
			case 0, 1, 2:
				if next[n] < len(logs[n]) {
					mergeAll(t, b.Log, logs[n][next[n]:next[n]+1])
					next[n]++
				}
			case 3:
				must(t, add(b.Log, oplog.SamplePeople(1+rnd.IntN(3), mine)...))
				mine++
			case 4:
				for range rnd.IntN(12) {
					b.clock.Advance(200 * time.Millisecond)
					runtime.Gosched()
				}
			case 5:
				b.letGo()
				if rnd.IntN(2) == 0 && seed%2 == 0 {
					b.wait()
				}
			case 6:
				if rnd.IntN(3) == 0 {
					b.letGo()
					sound(t, b.Log)
				}
			case 7:
				if rnd.IntN(3) == 0 {
					sound(t, image(t, b.Log, b.o))
				}
			}
		}
		b.letGo()
		for n := range logs {
			mergeAll(t, b.Log, logs[n][next[n]:])
		}
		b.silence(func() bool { return !b.Late() })
		r := sound(t, b.Log)
		want := oplogtest.Node(t, one.Peer(t), nil, []*oplog.View{lateView})
		for n := range logs {
			mergeAll(t, want, logs[n])
		}
		copyLog(t, b.Log, want)
		if w := sound(t, want); shown(t, b.Log) != shown(t, want) || w.Ops != r.Ops+1 {
			t.Errorf("seed %d: the views differ from those of a node that puts nothing off, or its %d ops are not %d", seed, r.Ops, w.Ops-1)
		}
		must(t, b.Close())
	}
}

// copyLog brings the own log of one node to another.
func copyLog(t *testing.T, from, to *oplog.Log) {
	t.Helper()
	for after := uint64(0); ; {
		raw, last, err := from.Range(from.Own(), after, 1000, 0)
		must(t, err)
		if raw == nil {
			return
		}
		mergeAll(t, to, [][]byte{raw})
		after = last
	}
}
