package oplog_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// lateLog opens a node that may fold later, in memory but for its journal, on a clock that
// stands: nothing is folded by itself.
func lateLog(t testing.TB, a *oplogtest.Authority, change ...func(*oplog.Options)) (*oplog.Log, oplog.Options, *clock.Fake) {
	t.Helper()
	o := oplogtest.Options(t, a, nil, []*oplog.View{lateView})
	o.Later = true
	for _, c := range change {
		c(&o)
	}
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l, o, o.Clock.(*clock.Fake)
}

// cutBatches is manyBatches in pieces of 250 ops, the first of which nobody may put off.
func cutBatches(t testing.TB, a *oplogtest.Authority, n int) (batches [][]byte, want string) {
	t.Helper()
	from := oplogtest.Node(t, a, nil, []*oplog.View{lateView})
	people := oplog.SamplePeople(250, 1)
	for range n / 250 {
		must(t, add(from, people...))
	}
	for after := uint64(0); ; {
		raw, last, err := from.Range(from.Own(), after, 250, 0)
		must(t, err)
		if raw == nil {
			return batches, shown(t, from)
		}
		batches, after = append(batches, raw), last
	}
}

// command is somebody's command that changes nothing.
func command(l *oplog.Log) error {
	return l.Do(context.Background(), oplog.By{1}, func(*oplog.Tx) error { return nil })
}

func wantLate(t testing.TB, l *oplog.Log) {
	t.Helper()
	if !l.Late() {
		t.Fatal("nothing is late: this tests nothing")
	}
}

// TestASlowLinkIsFoldedAllTheSame: batches that come five a second, for ever, with never so
// much silence as is waited for, are in the views soon after they came.
func TestASlowLinkIsFoldedAllTheSame(t *testing.T) {
	a := oplogtest.NewAuthority(t)
	batches, _ := cutBatches(t, a, 20_500)
	l, _, c := lateLog(t, a.Peer(t))
	mergeAll(t, l, batches[:2])
	wantLate(t, l)
	rows := func() (n int) {
		must(t, l.View(func(r oplog.Reader) error {
			return r.Rows(lateView, []byte("p"), nil, func([]byte, oplog.ID, []byte) error { n++; return nil })
		}))
		return n
	}
	before, folded := rows(), 0
	for i, raw := range batches[2:] {
		mergeAll(t, l, [][]byte{raw})
		if now := rows(); now > before {
			before = now
			if folded++; i < 60 {
				t.Errorf("folded after %d batches already", i+1)
			}
		}
		c.Advance(200 * time.Millisecond)
	}
	if folded == 0 {
		t.Error("what came in 16 s is not shown yet")
	}
}

// TestAFlushThatFailsStopsWhatArrivesToo: not only who writes here learns that the disk
// takes nothing any more; a flush that succeeds afterwards proves nothing.
func TestAFlushThatFailsStopsWhatArrivesToo(t *testing.T) {
	for _, later := range []bool{false, true} {
		a := oplogtest.NewAuthority(t)
		batches, _ := cutBatches(t, a, 1000)
		l, o, _ := lateLog(t, a.Peer(t), func(o *oplog.Options) { o.Later = later })
		closeLog(t, l)
		o.Store = oplogtest.MemStore()
		l, err := oplog.Open(context.Background(), o) // its next segment is not open yet
		must(t, err)
		var syncErr, writeErr error
		l.WrapFiles(func(f oplog.File) oplog.File { return failing{f, new(sync.Mutex), &syncErr, &writeErr, 0} })
		mergeAll(t, l, batches[:2])
		syncErr = syscall.EIO
		res, err := l.Merge(context.Background(), batches[2])
		is(t, err, fault.ReadOnly, "fault.oplog.read_only")
		if res.Ops != 0 {
			t.Errorf("later %v: %d ops are said to be durable that are not", later, res.Ops)
		}
		syncErr = nil
		_, err = l.Merge(context.Background(), batches[2])
		is(t, err, fault.ReadOnly, "fault.oplog.read_only")
		is(t, command(l), fault.ReadOnly, "fault.oplog.read_only")
		if !l.Stats().ReadOnly {
			t.Errorf("later %v: it goes on writing", later)
		}
		_ = l.Close()
	}
}

// TestRotBeforeTheFolding: what is put off is read from the disk again. When it has rotted
// by then the piece is set aside and asked for again, and the node goes on writing.
func TestRotBeforeTheFolding(t *testing.T) {
	a := oplogtest.NewAuthority(t)
	batches, want := cutBatches(t, a, 3000)
	l, o, _ := lateLog(t, a.Peer(t))
	mergeAll(t, l, batches)
	wantLate(t, l)
	segments, err := filepath.Glob(filepath.Join(o.Dir, "*.wpj"))
	must(t, err)
	newest := slices.Max(segments)
	raw, err := os.ReadFile(newest)
	must(t, err)
	raw[len(raw)/2] ^= 1
	must(t, os.WriteFile(newest, raw, 0o600))
	for try := 0; ; try++ {
		if err = command(l); err == nil || try == 100_000 {
			break
		}
		runtime.Gosched()
	}
	must(t, err)
	if s := l.Stats(); s.ReadOnly || s.Lost == 0 {
		t.Fatalf("read-only %v, lost %d", s.ReadOnly, s.Lost)
	}
	mergeAll(t, l, batches)
	must(t, command(l))
	if shown(t, l) != want || l.Stats().Lost > 0 {
		t.Errorf("it is not as on the other node: %d lost", l.Stats().Lost)
	}
	if r, err := l.Check(context.Background()); err != nil || len(r.Problems) > 0 {
		t.Errorf("%+v %v", r, err)
	}
}

// TestAKeyIsKnownThoughItIsLate: a request that another node has carried out is not
// carried out twice, also when that was put off here.
func TestAKeyIsKnownThoughItIsLate(t *testing.T) {
	a := oplogtest.NewAuthority(t)
	from := oplogtest.Node(t, a, nil, []*oplog.View{lateView})
	key, body := [16]byte{7}, [8]byte{8}
	people := oplog.SamplePeople(300, 1)
	must(t, add(from, people[:10]...))
	must(t, from.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
		tx.SetOnce(key, body)
		for _, p := range people {
			if _, err := tx.Append(registered, oplog.NewID(), p); err != nil {
				return err
			}
		}
		return nil
	}))
	l, _, _ := lateLog(t, a.Peer(t))
	for after := uint64(0); ; {
		raw, last, err := from.Range(from.Own(), after, 300, 0)
		must(t, err)
		if raw == nil {
			break
		}
		mergeAll(t, l, [][]byte{raw})
		after = last
	}
	wantLate(t, l)
	must(t, l.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
		if w, ok, err := tx.Once(key); err != nil || !ok || w.BodyHash != body {
			t.Errorf("%+v %v %v", w, ok, err)
		}
		return nil
	}))
}

// TestAFullDiskKeepsWhatIsLate: nothing more is taken, nothing of it is lost, and with
// room it is folded.
func TestAFullDiskKeepsWhatIsLate(t *testing.T) {
	a := oplogtest.NewAuthority(t)
	batches, want := cutBatches(t, a, 2000)
	var mu sync.Mutex
	free := uint64(1 << 40)
	room := func(n uint64) { mu.Lock(); free = n; mu.Unlock() }
	l, _, _ := lateLog(t, a.Peer(t), func(o *oplog.Options) {
		o.FreeSpace = func() (uint64, error) { mu.Lock(); defer mu.Unlock(); return free, nil }
	})
	mergeAll(t, l, batches[:4])
	wantLate(t, l)
	room(1 << 20)
	_, err := l.Merge(context.Background(), batches[4])
	is(t, err, fault.Full, "fault.oplog.disk_nearly_full")
	is(t, command(l), fault.Full, "fault.oplog.disk_nearly_full")
	room(1 << 40)
	mergeAll(t, l, batches[4:])
	must(t, command(l))
	if shown(t, l) != want {
		t.Error("the views differ from those of the node it came from")
	}
}

// TestNothingLooksPastWhatIsLate: whoever wants the whole gets it: a backup, a suspension,
// a rebuild, a check.
func TestNothingLooksPastWhatIsLate(t *testing.T) {
	one := oplogtest.NewAuthority(t)
	batches, want := cutBatches(t, one, 1000)
	for name, do := range map[string]func(l *oplog.Log) (string, error){
		"a backup": func(l *oplog.Log) (string, error) {
			s, err := l.Snapshot(context.Background())
			if err == nil && s.Ops < 1001 {
				t.Errorf("a backup of %d ops", s.Ops)
			}
			return want, err
		},
		"a suspension": func(l *oplog.Log) (string, error) {
			return "", l.Hold(context.Background(), cutOff{author: one.Node(), last: 1})
		},
		"a rebuild": func(l *oplog.Log) (string, error) { return want, l.Rebuild(context.Background()) },
		"a check": func(l *oplog.Log) (string, error) {
			r, err := l.Check(context.Background())
			if err == nil && (!r.Sound || r.Ops < 1001) {
				t.Errorf("%+v", r)
			}
			return want, err
		},
		"nobody for a second": func(l *oplog.Log) (string, error) { return want, command(l) },
	} {
		l, _, _ := lateLog(t, one.Peer(t))
		mergeAll(t, l, batches)
		wantLate(t, l)
		rows, err := do(l)
		must(t, err)
		if l.Late() || shown(t, l) != rows {
			t.Errorf("%s: late %v, %d bytes of rows instead of %d", name, l.Late(), len(shown(t, l)), len(rows))
		}
		must(t, l.Close())
	}
}

// TestHooksHearOfEverybody: when so many came at once that nobody remembers whom they are
// told so, and told again when one could not follow.
func TestHooksHearOfEverybody(t *testing.T) {
	a := oplogtest.NewAuthority(t)
	batches, _ := cutBatches(t, a, 5000)
	l, _, _ := lateLog(t, a.Peer(t))
	l.MissAtMost(300)
	heard, refuse, anybody := map[oplog.ID]int{}, true, 0
	l.OnCommit(func(subjects []oplog.ID) error {
		switch {
		case subjects != nil:
		case refuse:
			refuse = false
			return fault.New(fault.Unavailable, "fault.oplog.store")
		default:
			anybody++
		}
		for _, id := range subjects {
			heard[id]++
		}
		return nil
	})
	mergeAll(t, l, batches)
	wantLate(t, l)
	if len(heard) > 1000 {
		t.Fatal("they were told already")
	}
	must(t, command(l))
	must(t, add(l, oplog.SamplePeople(1, 2)...)) // the next commit tells it again
	must(t, add(l, oplog.SamplePeople(1, 3)...)) // and from then on they are listed
	must(t, command(l))
	if known := len(heard); refuse || anybody != 1 || known > 1000 {
		t.Errorf("hooks were told %d times that it may be anybody, and of %d", anybody, known)
	}
}
