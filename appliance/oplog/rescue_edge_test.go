package oplog_test

import (
	"context"
	"io/fs"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// reading is a file system that tells before a file is read.
type reading struct {
	files.FS
	before func()
}

func (r *reading) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	if r.before != nil && flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		r.before()
	}
	return r.FS.OpenFile(name, flag, perm)
}

// Whenever in a rescue another own log is opened, because the disk shows more damage or a
// copy of the folder is met, what was rescued is understood everywhere.
func TestARescueGoesOnUnderANewerLog(t *testing.T) {
	for n := 1; ; n++ {
		a := newAlone(t)
		flip(t, oplog.SegmentPath(a.o.Dir, 2), 3)
		disk := &reading{FS: files.OS()}
		a.o.Files = disk
		l := opened(t, a.o, a.store)
		reads := 0
		disk.before = func() {
			if reads++; reads == n {
				must(t, l.Succeed(context.Background(), l.Own()))
			}
		}
		_, err := l.Rescue(context.Background())
		disk.before = nil
		must(t, err)
		_, err = l.Rescue(context.Background())
		must(t, err)
		late := a.fresh(t, l)
		oplogtest.Exchange(t, l, late)
		a.has(t, l)
		a.has(t, late)
		sound(t, late)
		must(t, l.Close())
		if reads < n {
			return
		}
		if t.Failed() {
			t.Fatalf("at read %d", n)
		}
	}
}

// What this program does not understand is written again once, however often the lists
// are made anew.
func TestWhatIsNotUnderstoodIsRescuedOnce(t *testing.T) {
	a := newAlone(t)
	flip(t, oplog.SegmentPath(a.o.Dir, 2), 3)
	a.o.Views, a.o.Kinds = []*oplog.View{notebook()}, nil
	for i := range 3 {
		l := opened(t, a.o, oplogtest.MemStore())
		n, err := l.Rescue(context.Background())
		must(t, err)
		if (n > 0) != (i == 0) {
			t.Errorf("start %d: %d written again", i, n)
		}
		must(t, l.Close())
	}
}

// Who was erased is no loss after the next start either.
func TestWhoWasErasedIsNoLossLater(t *testing.T) {
	views := eraseViews()
	for _, early := range []bool{true, false} {
		o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, views)
		store := &lossy{Store: oplogtest.MemStore()}
		var ids []oplog.ID
		for _, text := range []string{"Rosa", "Zulaikha", "Omar"} {
			l := opened(t, o, store)
			ids = append(ids, oplog.NewID())
			must(t, note(l, ids[len(ids)-1], text))
			must(t, l.Close())
		}
		erase := func(l *oplog.Log) {
			must(t, strike(l, ids[1], struck{Signed: true, Final: true}))
			must(t, l.Erase(context.Background(), ids[1:2]))
		}
		if early {
			l := opened(t, o, store)
			erase(l)
			must(t, l.Close())
		}
		flip(t, oplog.SegmentPath(o.Dir, 2), 2)
		l := opened(t, o, store)
		if !early {
			erase(l)
		}
		for i := range 3 {
			_, err := l.Rescue(context.Background())
			must(t, err)
			if x := l.Losses(); len(x) > 0 {
				t.Errorf("erased first: %v, start %d: lost %v", early, i, x)
			}
			sound(t, l)
			must(t, l.Close())
			l = opened(t, o, []oplog.Store{store, oplogtest.MemStore(), oplogtest.MemStore()}[i])
		}
		must(t, l.Close())
	}
}

// Other nodes have their time whenever a hole is found, and what is all written again is
// not read every ten minutes from then on.
func TestARescueWaitsAndIsDoneOnce(t *testing.T) {
	a := newAlone(t)
	fake, disk := clock.NewFake(oplogtest.Noon()), &reading{FS: files.OS()}
	a.o.Clock, a.o.Files = fake, disk
	l := opened(t, a.o, a.store)
	defer l.Close()
	pass := func(d time.Duration) {
		time.Sleep(20 * time.Millisecond) // who waits for the clock has come to it
		fake.Advance(d)
		time.Sleep(50 * time.Millisecond)
	}
	pass(9 * time.Minute)
	flip(t, oplog.SegmentPath(a.o.Dir, 2), 3)
	must(t, l.Scrub(context.Background()))
	lost := l.Stats().Lost
	pass(time.Minute)
	if lost == 0 || l.Stats().Lost != lost {
		t.Fatalf("%d lost, and %d a minute later", lost, l.Stats().Lost)
	}
	until(t, l, "the rescue", func(s oplog.Stats) bool {
		fake.Advance(time.Minute)
		return s.Lost == 0
	})
	var reads atomic.Int32
	time.Sleep(50 * time.Millisecond) // the rescue comes to its end
	disk.before = func() { reads.Add(1) }
	for range 3 {
		pass(10 * time.Minute)
	}
	if n := reads.Load(); n > 0 {
		t.Errorf("%d reads, and all is written again", n)
	}
}
