package oplog_test

import (
	"context"
	"errors"
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

// eventually moves the clock on until ok.
func eventually(t *testing.T, c *clock.Fake, what string, ok func() bool) {
	t.Helper()
	end := time.NewTimer(20 * time.Second)
	defer end.Stop()
	for !ok() {
		select {
		case <-end.C:
			t.Fatal(what)
		default:
			c.Advance(time.Second)
			runtime.Gosched()
		}
	}
}

// Below the floor the ballast goes and nothing is written; writing goes on only when the
// ballast fits again, and nobody has to ask for it.
func TestTheBallastIsLetGoAndComesBack(t *testing.T) {
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{notebook()})
	c := clock.NewFake(oplogtest.Noon())
	var free atomic.Uint64
	free.Store(100 << 20)
	o.Clock, o.MinFree, o.Ballast = c, 8<<20, 4<<20
	o.FreeSpace = func() (uint64, error) { return free.Load(), nil }
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	defer l.Close()
	ballast := filepath.Join(o.Dir, "ballast")
	held := func() bool {
		st, err := os.Stat(ballast)
		return err == nil && st.Size() == 4<<20
	}
	must(t, note(l, oplog.NewID(), "before"))
	if !held() {
		t.Fatal("there is no ballast")
	}
	free.Store(8<<20 - 1)
	eventually(t, c, "nobody said that the disk is nearly full", l.Stopped)
	if held() {
		t.Error("the ballast is still there")
	}
	err = note(l, oplog.NewID(), "too late")
	is(t, err, fault.Full, "fault.oplog.disk_nearly_full")
	if full, mb := l.Room(); !full || mb != 6 {
		t.Errorf("full %v, %d MB to free; want 6 (13 MB less 8)", full, mb)
	}
	free.Store(13<<20 - 1) // above the floor, and no room for the ballast with some to spare
	is(t, note(l, oplog.NewID(), "too late"), fault.Full, "fault.oplog.disk_nearly_full")
	free.Store(13 << 20)
	eventually(t, c, "it does not go on by itself", func() bool { return !l.Stopped() })
	if !held() {
		t.Error("there is no ballast again")
	}
	must(t, note(l, oplog.NewID(), "after"))
}

// A start between floor and ballast does not begin to write what a stop before refused.
func TestAStartWithoutBallastWaitsForIt(t *testing.T) {
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{notebook()})
	o.MinFree, o.Ballast = 8<<20, 4<<20
	o.FreeSpace = func() (uint64, error) { return 10 << 20, nil }
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	defer l.Close()
	is(t, note(l, oplog.NewID(), "x"), fault.Full, "fault.oplog.disk_nearly_full")
}

// fragile is a store whose pages can get lost and that can be away.
type fragile struct {
	oplog.Store
	lost, away, unwritable atomic.Bool
	failing                atomic.Bool // commits do
	returns                atomic.Int32
}

func (f *fragile) gone() error { return fault.New(fault.Unavailable, "fault.oplog.store") }

func (f *fragile) View(fn func(oplog.StoreReader) error) error {
	if f.lost.Load() {
		return f.gone()
	}
	return f.Store.View(fn)
}

func (f *fragile) Begin() (oplog.StoreTx, error) {
	switch {
	case f.lost.Load():
		return nil, f.gone()
	case f.unwritable.Load():
		return nil, fault.New(fault.Full, "fault.oplog.disk_full")
	}
	tx, err := f.Store.Begin()
	return fragileTx{tx, f}, err
}

type fragileTx struct {
	oplog.StoreTx
	f *fragile
}

func (t fragileTx) Commit() error {
	if t.f.failing.CompareAndSwap(true, false) {
		t.Discard()
		return fault.New(fault.Full, "fault.oplog.disk_full")
	}
	return t.StoreTx.Commit()
}

func (f *fragile) DropAll() error {
	f.lost.Store(false)
	f.unwritable.Store(false)
	return f.Store.DropAll()
}

func (f *fragile) Lost() bool                  { return f.lost.Load() }
func (f *fragile) Away() (away, writable bool) { return f.away.Load(), !f.unwritable.Load() }
func (f *fragile) Return() error {
	f.returns.Add(1)
	f.away.Store(false)
	f.unwritable.Store(false)
	return nil
}

func fragileLog(t *testing.T) (*oplog.Log, *fragile, *oplog.View, *clock.Fake) {
	t.Helper()
	v := notebook()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	c := clock.NewFake(oplogtest.Noon())
	f := &fragile{Store: o.Store}
	o.Clock, o.Store = c, f
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	must(t, note(l, oplog.NewID(), "one"))
	must(t, note(l, oplog.NewID(), "two"))
	return l, f, v, c
}

// Views that cannot be read are folded again at once, without a restart and without
// anybody writing.
func TestLostViewsAreMadeAnewByThemselves(t *testing.T) {
	l, f, v, c := fragileLog(t)
	f.lost.Store(true)
	is(t, l.View(func(oplog.Reader) error { return nil }), fault.Unavailable, "fault.oplog.rebuilding")
	eventually(t, c, "the views stay lost", func() bool { return !f.Lost() })
	must(t, note(l, oplog.NewID(), "three")) // behind the mending, in the writer's order
	if got := keysOf(t, l, v, ""); len(got) != 3 {
		t.Errorf("got %v", got)
	}
	f.lost.Store(true) // and by whoever writes first
	must(t, note(l, oplog.NewID(), "four"))
	if got := keysOf(t, l, v, ""); len(got) != 4 {
		t.Errorf("got %v", got)
	}
	sound(t, l)
}

// Views that were opened for reading come back for writing when there is room.
func TestViewsComeBackToTheirDisk(t *testing.T) {
	l, f, v, c := fragileLog(t)
	f.unwritable.Store(true)
	f.away.Store(true)
	eventually(t, c, "the views stay away", func() bool { return f.returns.Load() == 1 })
	must(t, note(l, oplog.NewID(), "three"))
	if got := keysOf(t, l, v, ""); len(got) != 3 {
		t.Errorf("got %v", got)
	}
	sound(t, l)
}

// Somebody was registered and the disk filled up between the journal and the views: what
// follows the views hears of them when the views are mended, not only after a restart.
func TestHooksHearWhatTheViewsGotLater(t *testing.T) {
	l, f, v, c := fragileLog(t)
	var mu sync.Mutex
	heard := map[oplog.ID]int{}
	fail := false
	l.OnCommit(func(subjects []oplog.ID) error {
		mu.Lock()
		defer mu.Unlock()
		if fail {
			return errors.New("cannot be read now")
		}
		for _, id := range subjects {
			heard[id]++
		}
		return nil
	})
	times := func(id oplog.ID) int {
		mu.Lock()
		defer mu.Unlock()
		return heard[id]
	}
	a, b, d := oplog.NewID(), oplog.NewID(), oplog.NewID()
	f.failing.Store(true)
	must(t, note(l, a, "three")) // it is in the journal
	eventually(t, c, "nobody hears of it", func() bool { return times(a) == 1 })
	if got := keysOf(t, l, v, ""); len(got) != 3 {
		t.Errorf("got %v", got)
	}
	mu.Lock()
	fail = true
	mu.Unlock()
	must(t, note(l, b, "four"))
	mu.Lock()
	fail = false
	mu.Unlock()
	must(t, note(l, d, "five"))
	if times(a) != 1 || times(b) != 1 || times(d) != 1 {
		t.Errorf("heard %v", heard)
	}
	sound(t, l)
}

// slow is a store without a bulk path whose transactions wait to be let through.
type slow struct {
	oplog.Store
	held chan struct{} // nil: not held
	in   chan struct{}
}

func (s *slow) Begin() (oplog.StoreTx, error) {
	if s.held != nil {
		select {
		case s.in <- struct{}{}:
		default:
		}
		<-s.held
	}
	return s.Store.Begin()
}

// While the views are filled anew nobody is told that somebody is not here.
func TestNobodyReadsViewsThatAreBeingFilled(t *testing.T) {
	v := notebook()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	s := &slow{Store: o.Store, in: make(chan struct{}, 1)}
	o.Store = s
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	must(t, note(l, oplog.NewID(), "one"))
	s.held = make(chan struct{})
	done := make(chan error, 1)
	go func() { done <- l.Rebuild(context.Background()) }()
	<-s.in // it was emptied
	err = l.View(func(oplog.Reader) error { t.Error("an empty view is shown"); return nil })
	is(t, err, fault.Unavailable, "fault.oplog.rebuilding")
	close(s.held)
	must(t, <-done)
	if got := keysOf(t, l, v, ""); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}
