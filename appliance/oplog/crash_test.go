package oplog_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/waypost/waypost/appliance/badgerstore"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// reopen opens the journal folder of o with a fresh or given store.
func reopen(t testing.TB, o oplog.Options, store oplog.Store) *oplog.Log {
	t.Helper()
	o.Store = store
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// cloneDir copies a journal folder.
func cloneDir(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "journal")
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

// journalOf writes n notes of their own groups and stops without a closing record.
func journalOf(t testing.TB, n int) (oplog.Options, *oplog.View) {
	t.Helper()
	v := notebook()
	o := oplogtest.Options(t, oplogtest.NewAuthority(t), nil, []*oplog.View{v})
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	for i := range n {
		must(t, note(l, oplog.NewID(), fmt.Sprintf("n%03d", i)))
	}
	l.Kill()
	return o, v
}

func lastSegment(t testing.TB, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.wpj"))
	must(t, err)
	slices.Sort(names)
	return names[len(names)-1]
}

func names(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("n%03d", i))
	}
	return strings.Join(out, " ")
}

func TestEveryTornLengthOfTheLastFrameCostsOnlyThatFrame(t *testing.T) {
	o, v := journalOf(t, 5)
	raw, err := os.ReadFile(lastSegment(t, o.Dir))
	must(t, err)
	frames := oplog.Frames(raw)
	last := frames[len(frames)-1]
	for cut := last; cut < len(raw); cut++ {
		c := o
		c.Dir = cloneDir(t, o.Dir)
		must(t, os.Truncate(lastSegment(t, c.Dir), int64(cut)))
		l := reopen(t, c, oplogtest.MemStore())
		if got := strings.Join(keysOf(t, l, v, ""), " "); got != names(4) {
			t.Fatalf("cut at %d of %d: %s", cut, len(raw), got)
		}
		s := l.Stats()
		if !s.OpenUnclean || len(s.Problems) > 0 {
			t.Fatalf("cut at %d: %+v", cut, s)
		}
		// It goes on with the number that was never acknowledged, and stays sound.
		must(t, note(l, oplog.NewID(), "after"))
		sound(t, l)
		must(t, l.Close())
		if cut%16 != 0 {
			continue
		}
		again := reopen(t, c, oplogtest.MemStore())
		if r := sound(t, again); again.Stats().OpenUnclean || len(r.Logs) != 1 {
			t.Fatalf("cut at %d: second opening %+v", cut, again.Stats())
		}
		must(t, again.Close())
	}
}

// A tail of zeros is what some file systems leave of a write the power cut.
func TestATailOfZerosIsTorn(t *testing.T) {
	o, v := journalOf(t, 3)
	f, err := os.OpenFile(lastSegment(t, o.Dir), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.Write(make([]byte, 300))
	must(t, errors.Join(err, f.Close()))
	l := reopen(t, o, oplogtest.MemStore())
	if got := strings.Join(keysOf(t, l, v, ""), " "); got != names(3) || len(l.Stats().Problems) > 0 {
		t.Fatalf("%s %+v", got, l.Stats())
	}
}

func TestAFlippedByteAnywhereIsReportedAndTheRestServed(t *testing.T) {
	o, v := journalOf(t, 6)
	raw, err := os.ReadFile(lastSegment(t, o.Dir))
	must(t, err)
	frames := oplog.Frames(raw) // birth, n000 ... n005
	for at := frames[3]; at < frames[4]; at++ {
		if at > frames[3]+oplog.FrameHeader+8 && at < frames[4]-20 && at%7 != 0 {
			continue // the middle is all alike
		}
		c := o
		c.Dir = cloneDir(t, o.Dir)
		bad := slices.Clone(raw)
		bad[at] ^= 0x10
		must(t, os.WriteFile(lastSegment(t, c.Dir), bad, 0o600))
		l := reopen(t, c, oplogtest.MemStore())
		if got := strings.Join(keysOf(t, l, v, ""), " "); got != "n000 n001 n003 n004 n005" {
			t.Fatalf("byte %d: %s", at, got)
		}
		if s := l.Stats(); len(s.Problems) == 0 {
			t.Fatalf("byte %d: nothing was reported", at)
		}
		if r, err := l.Check(context.Background()); err != nil || r.Sound {
			t.Fatalf("byte %d: check calls it sound: %v", at, err)
		}
		must(t, l.Close())
	}
}

// What one node lost it gets back from another, numbers are not used again, and
// the ops that survived behind the hole join their log.
func TestDamageIsFetchedBackFromAPeer(t *testing.T) {
	v := notebook()
	a := oplogtest.NewAuthority(t)
	o := oplogtest.Options(t, a, nil, []*oplog.View{v})
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	for i := range 6 {
		must(t, note(l, oplog.NewID(), fmt.Sprintf("n%03d", i)))
	}
	peer := oplogtest.Node(t, a.Peer(t), nil, []*oplog.View{v})
	oplogtest.Exchange(t, l, peer)
	must(t, note(l, oplog.NewID(), "only here"))
	old := l.Own()
	l.Kill()
	path := lastSegment(t, o.Dir)
	raw, err := os.ReadFile(path)
	must(t, err)
	raw[oplog.Frames(raw)[3]+oplog.FrameHeader+5] ^= 1
	must(t, os.WriteFile(path, raw, 0o600))

	l = reopen(t, o, oplogtest.MemStore())
	if l.Own() == old {
		t.Fatal("the damaged log is still written to")
	}
	if h := l.Heads(); !slices.ContainsFunc(h, func(h oplog.Head) bool { return h.Log == old && h.Seq == 3 }) {
		t.Errorf("the old log should end before the hole: %v", h)
	}
	must(t, note(l, oplog.NewID(), "later"))
	oplogtest.Exchange(t, l, peer)
	want := names(6) + " later only here"
	got := keysOf(t, l, v, "")
	slices.Sort(got)
	wanted := strings.Split(names(6), " ")
	wanted = append(wanted, "later", "only here")
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		t.Errorf("got %v instead of %s", got, want)
	}
	gotPeer := keysOf(t, peer, v, "")
	slices.Sort(gotPeer)
	if !slices.Equal(gotPeer, wanted) {
		t.Errorf("the peer has %v", gotPeer)
	}
	must(t, l.Close())
	// A further start finds the old damage again but needs no third log.
	own := l.Own()
	again := reopen(t, o, oplogtest.MemStore())
	if again.Own() != own {
		t.Error("every start opens another log")
	}
	if fmt.Sprint(again.Heads()) != fmt.Sprint(peer.Heads()) {
		t.Errorf("heads differ: %v and %v", again.Heads(), peer.Heads())
	}
}

func TestAMissingSegmentAndALostKeyFile(t *testing.T) {
	o, v := journalOf(t, 2)
	l := reopen(t, o, oplogtest.MemStore())
	must(t, note(l, oplog.NewID(), "second segment"))
	must(t, l.Close())

	t.Run("one key file", func(t *testing.T) {
		for _, name := range []string{"keys", "keys.2", "keys.3"} {
			c := o
			c.Dir = cloneDir(t, o.Dir)
			must(t, os.WriteFile(filepath.Join(c.Dir, name), []byte("rot"), 0o600))
			l := reopen(t, c, oplogtest.MemStore())
			if len(keysOf(t, l, v, "")) != 3 || len(l.Stats().Notes) != 1 || len(l.Stats().Problems) != 0 {
				t.Errorf("%s: %+v", name, l.Stats())
			}
			must(t, l.Close())
			if l := reopen(t, c, oplogtest.MemStore()); len(l.Stats().Notes) != 0 {
				t.Errorf("%s was not mended: %+v", name, l.Stats())
			}
		}
	})
	t.Run("all key files", func(t *testing.T) {
		c := o
		c.Dir = cloneDir(t, o.Dir)
		must(t, os.Remove(filepath.Join(c.Dir, "keys")))
		must(t, os.Remove(filepath.Join(c.Dir, "keys.2")))
		must(t, os.Remove(filepath.Join(c.Dir, "keys.3")))
		c.Store = oplogtest.MemStore()
		_, err := oplog.Open(context.Background(), c)
		is(t, err, fault.Internal, "fault.oplog.keys")
	})
	t.Run("wrong storage key", func(t *testing.T) {
		c := o
		c.Dir, c.StorageKey, c.Store = cloneDir(t, o.Dir), [32]byte{9}, oplogtest.MemStore()
		_, err := oplog.Open(context.Background(), c)
		is(t, err, fault.Internal, "fault.oplog.keys")
	})
	t.Run("first segment", func(t *testing.T) {
		c := o
		c.Dir = cloneDir(t, o.Dir)
		must(t, os.Remove(oplog.SegmentPath(c.Dir, 1)))
		l := reopen(t, c, oplogtest.MemStore())
		if len(l.Stats().Problems) == 0 || !slices.Equal(keysOf(t, l, v, ""), []string{"second segment"}) {
			t.Errorf("%v %+v", keysOf(t, l, v, ""), l.Stats())
		}
	})
	t.Run("shortened older segment", func(t *testing.T) {
		c := o
		c.Dir = cloneDir(t, o.Dir)
		st, err := os.Stat(oplog.SegmentPath(c.Dir, 1))
		must(t, err)
		must(t, os.Truncate(oplog.SegmentPath(c.Dir, 1), st.Size()-3))
		if l := reopen(t, c, oplogtest.MemStore()); len(l.Stats().Problems) == 0 {
			t.Error("not reported")
		}
	})
	t.Run("another deployment", func(t *testing.T) {
		c := o
		c.Dir, c.Authority, c.Store = cloneDir(t, o.Dir), oplogtest.NewAuthority(t), oplogtest.MemStore()
		if _, err := oplog.Open(context.Background(), c); err == nil {
			t.Error("opened a foreign folder")
		}
	})
}

// failing is a segment file whose flush or write fails when told to.
type failing struct {
	oplog.File
	mu           *sync.Mutex
	sync, write  *error
	partialBytes int
}

func (f failing) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *f.sync != nil {
		return *f.sync
	}
	return f.File.Sync()
}

func (f failing) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *f.write != nil {
		n, _ := f.File.Write(b[:min(f.partialBytes, len(b))])
		return n, *f.write
	}
	return f.File.Write(b)
}

func TestAFailedFlushMakesTheNodeReadOnly(t *testing.T) {
	o, v := journalOf(t, 2)
	l := reopen(t, o, oplogtest.MemStore())
	var syncErr, writeErr error
	l.WrapFiles(func(f oplog.File) oplog.File {
		return failing{f, new(sync.Mutex), &syncErr, &writeErr, 0}
	})
	must(t, note(l, oplog.NewID(), "good"))
	syncErr = syscall.EIO
	is(t, note(l, oplog.NewID(), "unsure"), fault.ReadOnly, "fault.oplog.read_only")
	syncErr = nil // a later flush proves nothing about the pages that were lost
	is(t, note(l, oplog.NewID(), "more"), fault.ReadOnly, "fault.oplog.read_only")
	if got := keysOf(t, l, v, ""); !slices.Equal(got, []string{"good", "n000", "n001"}) {
		t.Errorf("shown: %v", got)
	}
	if s := l.Stats(); !s.ReadOnly || s.Reason == "" {
		t.Errorf("%+v", s)
	}
	_ = l.Close()
	// After the restart the truth is what the disk has: acknowledged ops at least.
	again := reopen(t, o, oplogtest.MemStore())
	if got := keysOf(t, again, v, "good"); len(got) != 1 {
		t.Error("an acknowledged op is gone")
	}
	must(t, note(again, oplog.NewID(), "on"))
	sound(t, again)
}

func TestADiskFullInTheMiddleOfAWriteIsTakenBack(t *testing.T) {
	o, v := journalOf(t, 2)
	l := reopen(t, o, oplogtest.MemStore())
	var syncErr, writeErr error
	l.WrapFiles(func(f oplog.File) oplog.File {
		return failing{f, new(sync.Mutex), &syncErr, &writeErr, 33}
	})
	must(t, note(l, oplog.NewID(), "good"))
	writeErr = syscall.ENOSPC
	is(t, note(l, oplog.NewID(), "lost"), fault.Full, "fault.oplog.disk_full")
	writeErr = nil
	must(t, note(l, oplog.NewID(), "again"))
	must(t, l.Close())
	again := reopen(t, o, oplogtest.MemStore())
	if got := keysOf(t, again, v, ""); !slices.Equal(got, []string{"again", "good", "n000", "n001"}) {
		t.Errorf("got %v", got)
	}
	if s := again.Stats(); len(s.Problems) > 0 || s.OpenUnclean {
		t.Errorf("%+v", s)
	}
	sound(t, again)
}

// The child of TestNothingAcknowledgedIsLostInAKill: acknowledges numbers for ever.
func TestChildThatIsKilled(t *testing.T) {
	dir := os.Getenv("WAYPOST_TEST_KILLED_DIR")
	if dir == "" {
		t.Skip("runs as a child only")
	}
	l := killable(t, dir)
	for i := 0; ; i++ {
		if err := note(l, oplog.NewID(), fmt.Sprintf("%06d", i)); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("ACK %06d\n", i)
	}
}

var killedSeed = [32]byte{5}

func killable(t *testing.T, dir string) *oplog.Log {
	t.Helper()
	store, err := badgerstore.Open(filepath.Join(dir, "views"), [32]byte{1}, nil)
	must(t, err)
	o := oplogtest.Options(t, oplogtest.Seeded(killedSeed), nil, []*oplog.View{killedView})
	o.Dir, o.Store, o.Clock = filepath.Join(dir, "journal"), store, clock.System()
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	return l
}

var killedView = notebook()

func TestNothingAcknowledgedIsLostInAKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	acked := map[string]int{}
	for round := range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestChildThatIsKilled$")
		cmd.Env = append(os.Environ(), "WAYPOST_TEST_KILLED_DIR="+dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		n := 0
		lines := bufio.NewScanner(out)
		for n < 40+23*round && lines.Scan() {
			if ack, ok := strings.CutPrefix(lines.Text(), "ACK "); ok {
				acked[ack]++
				n++
			}
		}
		must(t, cmd.Process.Kill())
		// What it managed to say between our decision and its end counts as well.
		rest, _ := io.ReadAll(out)
		for _, line := range strings.SplitAfter(string(rest), "\n") {
			if ack, ok := strings.CutPrefix(line, "ACK "); ok && strings.HasSuffix(ack, "\n") {
				acked[strings.TrimSpace(ack)]++
			}
		}
		_ = cmd.Wait()
		if n == 0 {
			t.Fatal("the child acknowledged nothing")
		}
	}
	l := killable(t, dir)
	defer l.Close()
	held := map[string]int{}
	for _, k := range keysOf(t, l, killedView, "") {
		held[k]++
	}
	for ack, times := range acked {
		if held[ack] < times {
			t.Errorf("%s was acknowledged %d times and is held %d times", ack, times, held[ack])
		}
	}
	if r := sound(t, l); len(r.Logs) != 1 {
		t.Errorf("a kill is no reason for a new log: %v", r.Logs)
	}
}
