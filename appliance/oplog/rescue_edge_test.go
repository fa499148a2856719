package oplog_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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

// A copy of the folder wrote on as well, and its numbers fill the hole: before a rescue or
// after it, nothing of either is lost.
func TestATwinThatFillsTheHoleTakesNothingAway(t *testing.T) {
	for _, rescued := range []bool{true, false} {
		v := standing()
		auth := oplogtest.NewAuthority(t)
		o := oplogtest.Options(t, auth, nil, []*oplog.View{v})
		store, twin := &lossy{Store: oplogtest.MemStore()}, o
		twin.Dir = filepath.Join(t.TempDir(), "twin")
		write := func(o oplog.Options, s oplog.Store, text string) oplog.LogID {
			l := opened(t, o, s)
			defer l.Close()
			remarkOn(t, l, oplog.NewID(), text)
			return l.Own()
		}
		log := write(o, store, "common")
		must(t, os.CopyFS(twin.Dir, os.DirFS(o.Dir)))
		write(o, store, "ours 1")
		write(o, store, "ours 2")
		for i := range 3 {
			write(twin, oplogtest.MemStore(), fmt.Sprintf("theirs %d", i))
		}
		flip(t, oplog.SegmentPath(o.Dir, 2), 2) // "ours 1"
		l := opened(t, o, store)
		if len(l.Losses()) == 0 {
			t.Fatal("nothing is lost")
		}
		if rescued {
			_, err := l.Rescue(context.Background())
			must(t, err)
		}
		other := opened(t, twin, oplogtest.MemStore())
		raw, _, err := other.Range(log, 0, 0, 0)
		must(t, err)
		_, err = l.Merge(context.Background(), raw)
		must(t, err)
		for range 2 {
			late := oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{v})
			oplogtest.Exchange(t, l, late)
			for _, node := range []*oplog.Log{l, late} {
				want := []string{"common", "ours 1", "ours 2", "theirs 0", "theirs 1", "theirs 2"}
				if got := standingTexts(t, node, v); !slices.Equal(got, want) {
					t.Errorf("rescued before: %v: %v", rescued, got)
				}
			}
			must(t, l.Close())
			l = opened(t, o, oplogtest.MemStore())
		}
		must(t, l.Close())
		must(t, other.Close())
	}
}

// What a twin wrote under the number of what is lost is no sign that it was rescued.
func TestAnotherOpOfTheSameNumberIsNoRescue(t *testing.T) {
	v := standing()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	store, twin, who := &lossy{Store: oplogtest.MemStore()}, o, oplog.NewID()
	twin.Dir = filepath.Join(t.TempDir(), "twin")
	write := func(o oplog.Options, s oplog.Store, text string) oplog.LogID {
		l := opened(t, o, s)
		defer l.Close()
		remarkOn(t, l, who, text)
		return l.Own()
	}
	log := write(o, store, "common")
	must(t, os.CopyFS(twin.Dir, os.DirFS(o.Dir)))
	for i := range 3 {
		write(o, store, fmt.Sprintf("ours %d", i))
		write(twin, oplogtest.MemStore(), fmt.Sprintf("theirs %d", i))
	}
	flip(t, oplog.SegmentPath(o.Dir, 3), 2) // "ours 1"
	l, other := opened(t, o, store), opened(t, twin, oplogtest.MemStore())
	raw, _, err := other.Range(log, 0, 0, 0)
	must(t, err)
	_, err = l.Rejoin(context.Background(), raw, oplog.Branch{Log: log})
	must(t, err)
	must(t, l.Close())
	must(t, other.Close())
	l = opened(t, o, store)
	if len(l.Losses()) != 1 {
		t.Errorf("lost: %v", l.Losses())
	}
	_, err = l.Rescue(context.Background())
	must(t, err)
	want := []string{"common", "ours 0", "ours 1", "ours 2", "theirs 0", "theirs 1", "theirs 2"}
	if got := standingTexts(t, l, v); !slices.Equal(got, want) || len(l.Losses()) > 0 {
		t.Errorf("%v, lost: %v", got, l.Losses())
	}
	must(t, l.Close())
}

// Where all is written again there is nothing to write: a full disk is no fault then.
func TestARescueThatIsDoneNeedsNoRoom(t *testing.T) {
	a := newAlone(t)
	flip(t, oplog.SegmentPath(a.o.Dir, 2), 3)
	var free atomic.Uint64
	free.Store(100 << 20)
	a.o.MinFree, a.o.FreeSpace = 8<<20, func() (uint64, error) { return free.Load(), nil }
	l := opened(t, a.o, a.store)
	defer l.Close()
	_, err := l.Rescue(context.Background())
	must(t, err)
	free.Store(0)
	if n, err := l.Rescue(context.Background()); n != 0 || err != nil {
		t.Errorf("%d written again, %v", n, err)
	}
}

// There is room for few notes: a rescue of many ops takes one.
func TestARescueIsNotedOnce(t *testing.T) {
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{remarks()})
	for i := range 2 {
		l := opened(t, o, oplogtest.MemStore())
		must(t, l.Do(context.Background(), oplog.By{7}, func(tx *oplog.Tx) (err error) {
			for n := 0; n < 1+900*i && err == nil; n++ {
				_, err = tx.Append(remarked, oplog.NewID(), remark{"text"})
			}
			return err
		}))
		must(t, l.Close())
	}
	flip(t, oplog.SegmentPath(o.Dir, 1), 2)
	l := opened(t, o, oplogtest.MemStore())
	defer l.Close()
	before := len(l.Stats().Notes)
	n, err := l.Rescue(context.Background())
	must(t, err)
	if notes := l.Stats().Notes[before:]; n < 900 || len(notes) != 1 {
		t.Errorf("%d written again: %q", n, notes)
	}
}
