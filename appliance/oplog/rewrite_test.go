package oplog_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// manySegments writes n notes, two a segment, and a peer that has them all.
func manySegments(t *testing.T, n int) (oplog.Options, *oplog.View, *oplog.Log) {
	t.Helper()
	v := notebook()
	a := oplogtest.NewAuthority(t)
	o := oplogtest.Options(t, a, nil, []*oplog.View{v})
	peer := oplogtest.Node(t, a.Peer(t), nil, []*oplog.View{v})
	for i := 0; i < n; i += 2 {
		l := reopen(t, o, oplogtest.MemStore())
		must(t, note(l, oplog.NewID(), fmt.Sprintf("n%03d", i)))
		must(t, note(l, oplog.NewID(), fmt.Sprintf("n%03d", i+1)))
		if i+2 >= n {
			oplogtest.Exchange(t, l, peer)
		}
		must(t, l.Close())
	}
	return o, v, peer
}

func TestARewriteKeepsEveryOpAndItsSignatures(t *testing.T) {
	o, v, peer := manySegments(t, 8)
	store := oplogtest.MemStore()
	l := reopen(t, o, store)
	must(t, note(l, oplog.NewID(), "n008"))
	before := sound(t, l)
	must(t, l.Rewrite(l.SegmentNumbers(), false))
	if after := sound(t, l); after.Views != before.Views || fmt.Sprint(after.Logs) != fmt.Sprint(before.Logs) {
		t.Errorf("%+v became %+v", before, after)
	}
	must(t, note(l, oplog.NewID(), "n009"))
	oplogtest.Exchange(t, l, peer)
	if got := strings.Join(keysOf(t, peer, v, ""), " "); got != names(10) {
		t.Error("the peer has", got)
	}
	must(t, l.Close())
	again := reopen(t, o, oplogtest.MemStore())
	if got := strings.Join(keysOf(t, again, v, ""), " "); got != names(10) {
		t.Error("after opening:", got)
	}
	if s := again.Stats(); s.OpenUnclean || len(s.Problems)+len(s.Notes) > 0 {
		t.Errorf("%+v", s)
	}
	if again.Own() != l.Own() {
		t.Error("a rewrite is no reason for a new log")
	}
	sound(t, again)
}

// The old keys are nowhere after a rewrite: none of them is in any copy of the ring,
// and no file can be opened with one.
func TestARewriteDestroysTheOldKeys(t *testing.T) {
	o, _, _ := manySegments(t, 6)
	l := reopen(t, o, oplogtest.MemStore())
	old := oplog.RingKeys(t, o, "keys")
	must(t, l.Rewrite(l.SegmentNumbers(), false))
	for _, name := range []string{"keys", "keys.2", "keys.3"} {
		now := oplog.RingKeys(t, o, name)
		if len(now) == 0 {
			t.Error(name, "is empty")
		}
		for _, k := range old {
			if slices.Contains(now, k) {
				t.Error(name, "still has an old key")
			}
		}
	}
}

func TestARewriteDropsWhatItIsTold(t *testing.T) {
	o, _, _ := manySegments(t, 6)
	l := reopen(t, o, oplogtest.MemStore())
	own := l.Own()
	must(t, l.RewriteDropping(l.SegmentNumbers(), own, 4))
	if x := l.Losses(); len(x) != 1 || x[0] != (oplog.Loss{Log: own, From: 4, To: 4}) {
		t.Errorf("%v", x)
	}
	if h := l.Heads(); !slices.ContainsFunc(h, func(h oplog.Head) bool { return h.Log == own && h.Seq == 3 }) {
		t.Errorf("%v", h)
	}
}

// crashing counts what it does to the disk and ends everything at the k-th step.
type crashing struct {
	files.FS
	left *int
}

var errCrash = fmt.Errorf("power cut")

func (c crashing) step() error {
	if *c.left <= 0 {
		return errCrash
	}
	*c.left--
	return nil
}

func (c crashing) OpenFile(name string, flag int, perm os.FileMode) (files.File, error) {
	if flag&os.O_CREATE != 0 {
		if err := c.step(); err != nil {
			return nil, err
		}
	}
	f, err := c.FS.OpenFile(name, flag, perm)
	return crashingFile{f, c}, err
}

func (c crashing) Rename(a, b string) error {
	if err := c.step(); err != nil {
		return err
	}
	return c.FS.Rename(a, b)
}

func (c crashing) Remove(a string) error {
	if err := c.step(); err != nil {
		return err
	}
	return c.FS.Remove(a)
}

func (c crashing) SyncDir(a string) error {
	if err := c.step(); err != nil {
		return err
	}
	return c.FS.SyncDir(a)
}

type crashingFile struct {
	files.File
	c crashing
}

func (f crashingFile) Write(b []byte) (int, error) {
	if err := f.c.step(); err != nil {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, err
	}
	return f.File.Write(b)
}

func (f crashingFile) Sync() error {
	if err := f.c.step(); err != nil {
		return err
	}
	return f.File.Sync()
}

func TestARewriteMayBeCutAtEveryFileOperation(t *testing.T) {
	o, v, _ := manySegments(t, 4)
	step := 1
	if testing.Short() {
		step = 3
	}
	for _, aside := range []bool{true, false} {
		for k := 0; ; k += step {
			c := o
			c.Dir = cloneDir(t, o.Dir)
			left := 1 << 30
			c.Files = crashing{files.OS(), &left}
			l := reopen(t, c, oplogtest.MemStore())
			left = k
			err := l.Rewrite(l.SegmentNumbers(), aside)
			l.Kill()
			c.Files = nil
			again := reopen(t, c, oplogtest.MemStore())
			if got := strings.Join(keysOf(t, again, v, ""), " "); got != names(4) {
				t.Fatalf("cut at operation %d: %s, %+v", k, got, again.Stats())
			}
			if r, cerr := again.Check(context.Background()); cerr != nil || !r.Sound {
				t.Fatalf("cut at operation %d: %v %v", k, cerr, r.Problems)
			}
			if again.Own() != l.Own() {
				t.Fatalf("cut at operation %d: a new log", k)
			}
			must(t, again.Close())
			if left, _ := filepath.Glob(filepath.Join(c.Dir, "*.new")); len(left) > 0 {
				t.Fatalf("cut at operation %d: %v was left", k, left)
			}
			if err == nil {
				if k < 20 {
					t.Fatalf("only %d operations", k)
				}
				break
			}
		}
	}
}

// After a rewrite that failed the node goes on, with the same folder.
func TestAfterAFailedRewriteTheNodeGoesOn(t *testing.T) {
	o, v, _ := manySegments(t, 6)
	for k := 0; k < 60; k += 7 {
		c := o
		c.Dir = cloneDir(t, o.Dir)
		left := 1 << 30
		c.Files = crashing{files.OS(), &left}
		l := reopen(t, c, oplogtest.MemStore())
		left = k
		err := l.Rewrite(l.SegmentNumbers(), false)
		left = 1 << 30
		if err == nil {
			break
		}
		readOnly := note(l, oplog.NewID(), "n006") != nil
		if readOnly != l.Stats().ReadOnly {
			t.Fatalf("operation %d: refused without being read-only", k)
		}
		if got := keysOf(t, l, v, ""); len(got) < 6 {
			t.Fatalf("operation %d: %v", k, got)
		}
		_ = l.Close()
		again := reopen(t, c, oplogtest.MemStore())
		want := names(7)
		if readOnly {
			want = names(6)
		}
		if got := strings.Join(keysOf(t, again, v, ""), " "); got != want {
			t.Fatalf("operation %d: %s, %+v", k, got, again.Stats())
		}
		sound(t, again)
		must(t, again.Close())
	}
}
