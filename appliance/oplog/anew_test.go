package oplog_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
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
	began chan struct{} // closed when the making anew waits
	letGo func()
}

func besidesNode(t *testing.T, a *oplogtest.Authority, anew uint64) *besides {
	t.Helper()
	b := &besides{t: t, store: &hooked{BulkStore: oplogtest.MemStore().(oplog.BulkStore), before: func(int) {}}}
	b.Log, b.o, b.clock = lateLog(t, a.Peer(t), func(o *oplog.Options) { o.Store = b.store })
	b.FoldBesides(anew)
	b.wait()
	t.Cleanup(func() { b.letGo() })
	return b
}

// wait has the next making anew wait.
func (b *besides) wait() {
	gate, began := make(chan struct{}), make(chan struct{})
	b.began, b.letGo = began, sync.OnceFunc(func() { close(gate) })
	begin := sync.OnceFunc(func() { close(began) })
	b.store.before = func(int) { begin(); <-gate }
}

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
	case <-b.began:
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
	for after := uint64(0); ; {
		raw, last, err := b.Range(b.Own(), after, 1000, 0)
		must(t, err)
		if raw == nil {
			break
		}
		mergeAll(t, want, [][]byte{raw})
		after = last
	}
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
	batches, want := cutBatches(t, one, 2000)
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
		done := make(chan error, 1)
		go func() { done <- do(b.Log) }()
		b.letGo()
		must(t, <-done)
		if b.Late() || shown(t, b.Log) != want {
			t.Errorf("%s: late %v", name, b.Late())
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
