package oplog_test

import (
	"context"
	"fmt"
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

// flip changes one byte in the k-th frame of a segment, counted from its end.
func flip(t testing.TB, path string, fromEnd int) {
	t.Helper()
	raw, err := os.ReadFile(path)
	must(t, err)
	frames := oplog.Frames(raw)
	at := frames[len(frames)-fromEnd] + oplog.FrameHeader + 5
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte{raw[at] ^ 1}, int64(at))
	must(t, err)
	must(t, f.Close())
}

// until waits for a condition of a running journal.
func until(t testing.TB, l *oplog.Log, what string, fn func(oplog.Stats) bool) {
	t.Helper()
	changed, stop := l.Watch()
	defer stop()
	end := time.After(30 * time.Second)
	for !fn(l.Stats()) {
		select {
		case <-changed:
		case <-time.After(10 * time.Millisecond):
		case <-end:
			t.Fatalf("%s did not happen: %+v", what, l.Stats())
		}
	}
}

// healed checks that l holds all notes again and is sound without a restart.
func healed(t testing.TB, l, peer *oplog.Log, v *oplog.View, want string) {
	t.Helper()
	oplogtest.Exchange(t, l, peer)
	if x := l.Losses(); len(x) > 0 {
		t.Errorf("still lost: %v", x)
	}
	if got := strings.Join(keysOf(t, l, v, ""), " "); got != want {
		t.Error("got", got)
	}
	until(t, l, "forgetting what was salvaged", func(s oplog.Stats) bool { return s.Salvaged == 0 })
	r := sound(t, l)
	if p := sound(t, peer); p.Views != r.Views || fmt.Sprint(p.Logs) != fmt.Sprint(r.Logs) {
		t.Error("the nodes differ")
	}
}

func TestRotInARunningJournalIsFoundSetAsideAndFetchedBack(t *testing.T) {
	for _, how := range []string{"scrub", "check", "range", "rebuild", "repair"} {
		for _, frame := range []int{1, 2} { // the last has no hole behind it
			t.Run(fmt.Sprint(how, frame), func(t *testing.T) {
				o, v, peer := manySegments(t, 8)
				l := reopen(t, o, oplogtest.MemStore())
				must(t, note(l, oplog.NewID(), "n008"))
				oplogtest.Exchange(t, l, peer)
				old := l.Own()
				flip(t, lastSegment(t, o.Dir), frame)
				flip(t, oplog.SegmentPath(o.Dir, 2), 2) // before its closing record
				switch how {
				case "scrub":
					must(t, l.Scrub(context.Background()))
				case "check":
					r, err := l.Check(context.Background())
					must(t, err)
					if r.Sound || len(r.Problems) < 2 {
						t.Errorf("%+v", r)
					}
				case "range":
					for after := uint64(0); after < 10; after++ {
						_, _, _ = l.Range(old, after, 1, 1)
					}
				case "rebuild":
					must(t, l.Rebuild(context.Background()))
					if got := strings.Join(keysOf(t, l, v, ""), " "); got != names(9) {
						t.Error("the rebuild lost what only the views had:", got)
					}
				case "repair":
					must(t, l.Repair(context.Background()))
				}
				until(t, l, "setting aside", func(s oplog.Stats) bool { return (s.SetAside == 2 || how == "range") && l.Own() != old })
				s := l.Stats()
				if s.Lost == 0 || len(s.Problems) == 0 || len(s.Notes) == 0 {
					t.Errorf("%+v", s)
				}
				if l.Own() == old {
					t.Error("the damaged log is still written to")
				}
				for after := uint64(0); after < 10; after++ {
					if raw, _, err := l.Range(old, after, 1, 1); err == nil && len(raw) > 0 {
						if _, err := oplog.ParseBatch(raw); err != nil {
							t.Error("something rotten was served")
						}
					}
				}
				must(t, note(l, oplog.NewID(), "n009")) // work goes on
				healed(t, l, peer, v, names(10))
				must(t, l.Close())
				again := reopen(t, o, oplogtest.MemStore())
				if x := again.Stats(); x.Lost > 0 || len(x.Problems)+len(x.Notes) > 0 {
					t.Errorf("after opening: %+v", x)
				}
				sound(t, again)
			})
		}
	}
}

// What a closed folder may look like when somebody or something was at it.
func TestAClosedFolderIsMendedAndRefilled(t *testing.T) {
	cases := map[string]func(t *testing.T, dir string){
		"a flipped frame": func(t *testing.T, dir string) { flip(t, oplog.SegmentPath(dir, 2), 2) },
		"a flipped heads record": func(t *testing.T, dir string) {
			raw := read(t, oplog.SegmentPath(dir, 3))
			flip(t, oplog.SegmentPath(dir, 3), len(oplog.Frames(raw)))
		},
		"the end of the journal": func(t *testing.T, dir string) { flip(t, lastSegment(t, dir), 2) },
		"a flipped file header":  func(t *testing.T, dir string) { poke(t, oplog.SegmentPath(dir, 2), 12) },
		"a flipped frame header": func(t *testing.T, dir string) { poke(t, oplog.SegmentPath(dir, 2), oplog.SegmentHeader+6) },
		"a segment deleted":      func(t *testing.T, dir string) { must(t, os.Remove(oplog.SegmentPath(dir, 2))) },
		"the first one deleted":  func(t *testing.T, dir string) { must(t, os.Remove(oplog.SegmentPath(dir, 1))) },
		"the last one deleted":   func(t *testing.T, dir string) { must(t, os.Remove(lastSegment(t, dir))) },
		"a segment emptied":      func(t *testing.T, dir string) { must(t, os.Truncate(oplog.SegmentPath(dir, 3), 0)) },
		"the last one shortened": func(t *testing.T, dir string) { cutFrame(t, lastSegment(t, dir)) },
		"a segment longer":       func(t *testing.T, dir string) { lengthen(t, oplog.SegmentPath(dir, 2)) },
		"segments exchanged":     exchangeSegments,
		"a key file deleted":     func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "keys"))) },
		"two key files flipped": func(t *testing.T, dir string) {
			poke(t, filepath.Join(dir, "keys"), 50)
			poke(t, filepath.Join(dir, "keys.3"), 50)
		},
		"nothing at all": func(*testing.T, string) {},
	}
	o, v, peer := manySegments(t, 8)
	for name, hurt := range cases {
		t.Run(name, func(t *testing.T) {
			c := o
			c.Dir = cloneDir(t, o.Dir)
			hurt(t, c.Dir)
			problems, err := oplog.CheckSealed(c.Dir)
			must(t, err)
			if (len(problems) > 0) != (name != "nothing at all") {
				t.Errorf("from outside: %q", problems)
			}
			l := reopen(t, c, oplogtest.MemStore())
			s := l.Stats()
			if (len(s.Problems)+len(s.Notes) > 0) != (name != "nothing at all") {
				t.Errorf("%+v", s)
			}
			healed(t, l, peer, v, names(8))
			must(t, l.Close())
			again := reopen(t, c, oplogtest.MemStore())
			if s := again.Stats(); len(s.Problems)+len(s.Notes) > 0 || s.OpenUnclean {
				t.Errorf("the second opening: %+v", s)
			}
			sound(t, again)
			must(t, again.Close())
		})
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	must(t, err)
	return raw
}

// poke changes one byte of a file.
func poke(t testing.TB, path string, at int) {
	t.Helper()
	raw := read(t, path)
	raw[at] ^= 0x20
	must(t, os.WriteFile(path, raw, 0o600))
}

// cutFrame takes the last two frames away, at their very beginning.
func cutFrame(t testing.TB, path string) {
	t.Helper()
	frames := oplog.Frames(read(t, path))
	must(t, os.Truncate(path, int64(frames[len(frames)-2])))
}

func lengthen(t testing.TB, path string) {
	t.Helper()
	must(t, os.WriteFile(path, append(read(t, path), "more than there was"...), 0o600))
}

func exchangeSegments(t *testing.T, dir string) {
	a, b := read(t, oplog.SegmentPath(dir, 2)), read(t, oplog.SegmentPath(dir, 3))
	must(t, os.WriteFile(oplog.SegmentPath(dir, 2), b, 0o600))
	must(t, os.WriteFile(oplog.SegmentPath(dir, 3), a, 0o600))
}

// An old copy of a segment, of the keys, or of both, put back into a closed folder.
func TestAnOldCopyPutBackIsNoticed(t *testing.T) {
	v := notebook()
	a := oplogtest.NewAuthority(t)
	o := oplogtest.Options(t, a, nil, []*oplog.View{v})
	peer := oplogtest.Node(t, a.Peer(t), nil, []*oplog.View{v})
	l := reopen(t, o, oplogtest.MemStore())
	must(t, note(l, oplog.NewID(), "n000"))
	past := cloneDir(t, o.Dir)
	must(t, note(l, oplog.NewID(), "n001"))
	oplogtest.Exchange(t, l, peer)
	must(t, l.Close())
	back := func(dir string, names ...string) {
		for _, n := range names {
			must(t, os.WriteFile(filepath.Join(dir, n), read(t, filepath.Join(past, n)), 0o600))
		}
	}
	for _, names := range [][]string{{"00000001.wpj"}, {"keys"}, {"keys", "keys.2"}, {"00000001.wpj", "keys.3"}} {
		c := o
		c.Dir = cloneDir(t, o.Dir)
		back(c.Dir, names...)
		l := reopen(t, c, oplogtest.MemStore())
		if s := l.Stats(); len(s.Problems)+len(s.Notes) == 0 && !slices.Equal(names, []string{"keys"}) {
			t.Errorf("%v: %+v", names, s) // one key file one generation behind is what a power cut leaves
		}
		healed(t, l, peer, v, "n000 n001")
		must(t, l.Close())
	}
}

// What only the views have outlives them, is never sent, and ends when the op is
// held again.
func TestWhatOnlyTheViewsHoldIsKept(t *testing.T) {
	o, v, peer := manySegments(t, 4)
	store := &lossy{Store: oplogtest.MemStore()}
	l := opened(t, o, store)
	must(t, l.Close())
	flip(t, oplog.SegmentPath(o.Dir, 1), 2)
	flip(t, oplog.SegmentPath(o.Dir, 2), 2)

	l = opened(t, o, store)
	if s := l.Stats(); s.Lost == 0 || s.Salvaged == 0 {
		t.Fatalf("%+v", s)
	}
	if got := strings.Join(keysOf(t, l, v, ""), " "); got != names(4) {
		t.Error("from the views:", got)
	}
	must(t, l.Rebuild(context.Background()))
	if got := strings.Join(keysOf(t, l, v, ""), " "); got != names(4) {
		t.Error("after a rebuild:", got)
	}
	must(t, l.Close())
	l = opened(t, o, oplogtest.MemStore()) // the views are gone altogether
	if got := strings.Join(keysOf(t, l, v, ""), " "); got != names(4) {
		t.Error("without the views:", got)
	}
	if s := l.Stats(); s.Lost == 0 || s.Salvaged == 0 {
		t.Errorf("%+v", s)
	}
	r, err := l.Check(context.Background())
	must(t, err)
	if r.Sound || r.Lost == 0 {
		t.Errorf("%+v", r)
	}
	stranger := oplogtest.Node(t, l.Authority().(*oplogtest.Authority).Peer(t), nil, []*oplog.View{v})
	oplogtest.Exchange(t, l, stranger)
	if got := keysOf(t, stranger, v, ""); len(got) == 4 {
		t.Error("salvaged ops travelled")
	}
	healed(t, l, peer, v, names(4))
	must(t, l.Close())
}

// Several segments rot at once, and they are looked at in any order: a log's head may
// have to be read out of one that has not had its turn.
func TestSeveralDamagedSegmentsAreMendedInAnyOrder(t *testing.T) {
	for _, order := range [][]uint64{{4, 3, 2}, {2, 3, 4}, {3, 4, 2}, {4, 2, 3}} {
		o, v, peer := manySegments(t, 10)
		l := reopen(t, o, oplogtest.MemStore())
		own := l.Own()
		// The first op of 4, and the one right before it, the last of 3; and another.
		flip(t, oplog.SegmentPath(o.Dir, 4), 3)
		flip(t, oplog.SegmentPath(o.Dir, 3), 2)
		flip(t, oplog.SegmentPath(o.Dir, 2), 2)
		must(t, l.Mend(order))
		s := l.Stats()
		if s.Lost != 3 || len(s.Problems) != len(l.Losses()) {
			t.Errorf("%v: %+v", order, s)
		}
		// Segment 1 has the birth and two notes, segment 2 one of its two.
		if h := l.Heads(); !slices.ContainsFunc(h, func(h oplog.Head) bool { return h.Log == own && h.Seq == 4 }) {
			t.Errorf("%v: heads %v", order, h)
		}
		healed(t, l, peer, v, names(10))
		must(t, l.Close())
	}
}

// A full disk has no room for a new own log; none of its numbers is given out twice for
// that.
func TestADamagedOwnLogIsNotWrittenToOnAFullDisk(t *testing.T) {
	o, v, peer := manySegments(t, 4)
	var free atomic.Uint64
	free.Store(1 << 40)
	o.FreeSpace = func() (uint64, error) { return free.Load(), nil }
	l := reopen(t, o, oplogtest.MemStore())
	must(t, note(l, oplog.NewID(), "n004"))
	oplogtest.Exchange(t, l, peer)
	old := l.Own()
	flip(t, lastSegment(t, o.Dir), 1)
	free.Store(0)
	is(t, l.Scrub(context.Background()), fault.Full, "fault.oplog.disk_nearly_full")
	is(t, note(l, oplog.NewID(), "n005"), fault.Full, "fault.oplog.disk_nearly_full")
	free.Store(1 << 40)
	must(t, note(l, oplog.NewID(), "n005"))
	if l.Own() == old {
		t.Error("the damaged log is still written to")
	}
	healed(t, l, peer, v, names(6))
}

func TestTheScrubReadsEverythingOnceADay(t *testing.T) {
	o, v, peer := manySegments(t, 8)
	fake := clock.NewFake(oplogtest.Noon())
	o.Clock = fake
	l := reopen(t, o, oplogtest.MemStore())
	flip(t, oplog.SegmentPath(o.Dir, 2), 2)
	if s := l.Stats(); s.Scrubs != 0 || !s.Scrubbed.Equal(oplogtest.Noon()) {
		t.Fatalf("%+v", s)
	}
	until(t, l, "the scrub", func(s oplog.Stats) bool {
		fake.Advance(time.Hour) // pauses between pieces too
		return s.Scrubs > 0
	})
	until(t, l, "setting aside", func(s oplog.Stats) bool { return s.SetAside == 1 && s.Lost > 0 })
	healed(t, l, peer, v, names(8))
}

func TestDamagedFilesAreKeptWithinBounds(t *testing.T) {
	o, _, peer := manySegments(t, 4)
	l := reopen(t, o, oplogtest.MemStore())
	for i := range 70 {
		flip(t, oplog.SegmentPath(o.Dir, 1), 2)
		must(t, l.Scrub(context.Background()))
		oplogtest.Exchange(t, l, peer)
		if n := l.Stats().SetAside; n != min(i+1, 64) && i < 64 {
			t.Fatalf("%d files after %d", n, i+1)
		}
	}
	if n := l.Stats().SetAside; n > 64 {
		t.Errorf("%d files", n)
	}
	if keys := oplog.RingKeys(t, o, "keys"); len(keys) > 64+len(l.SegmentNumbers()) {
		t.Errorf("%d keys", len(keys))
	}
}
