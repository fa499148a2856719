package filestest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/files"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func lossy(t testing.TB) (*Lossy, string) {
	t.Helper()
	dir := t.TempDir()
	l, err := NewLossy(dir)
	must(t, err)
	return l, dir
}

// after lists what may be in a file of the folder after a cut: its contents over
// many seeds, "none" where it is missing.
func after(t testing.TB, l *Lossy, name string) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for seed := range uint64(200) {
		to := filepath.Join(t.TempDir(), "cut")
		must(t, l.Crash(seed, to))
		raw, err := os.ReadFile(filepath.Join(to, name))
		switch {
		case errors.Is(err, os.ErrNotExist):
			seen["none"]++
		case err != nil:
			t.Fatal(err)
		default:
			seen[string(raw)]++
		}
	}
	return seen
}

func TestWriteAtomicSurvivesAPowerCutAtEveryOperation(t *testing.T) {
	for cut := 0; ; cut++ {
		l, dir := lossy(t)
		name := filepath.Join(dir, "a")
		must(t, files.WriteAtomic(l, name, []byte("old"), 0o600))
		l.CutAfter(cut)
		err := files.WriteAtomic(l, name, []byte("new"), 0o600)
		seen := after(t, l, "a")
		if err == nil {
			if len(seen) != 1 || seen["new"] == 0 {
				t.Fatalf("answered and not there: %v", seen)
			}
			if cut < 4 {
				t.Fatalf("only %d operations", cut)
			}
			return
		}
		delete(seen, "old")
		delete(seen, "new")
		if len(seen) > 0 {
			t.Errorf("cut after %d operations: %v", cut, seen)
		}
	}
}

// What a careless writer does must be visible, or the tests above it prove nothing.
func TestLossyCatchesWhatWasNotFlushed(t *testing.T) {
	put := func(l *Lossy, name, content string, sync bool) {
		f, err := l.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		must(t, err)
		_, err = f.Write([]byte(content))
		must(t, err)
		if sync {
			must(t, f.Sync())
		}
		must(t, f.Close())
	}
	t.Run("no flush", func(t *testing.T) {
		l, dir := lossy(t)
		put(l, filepath.Join(dir, "a"), "x", false)
		must(t, l.SyncDir(dir))
		if seen := after(t, l, "a"); seen[""] == 0 || seen["x"] == 0 || seen["none"] > 0 {
			t.Error(seen)
		}
	})
	t.Run("no flush of the name", func(t *testing.T) {
		l, dir := lossy(t)
		put(l, filepath.Join(dir, "a"), "x", true)
		if seen := after(t, l, "a"); seen["none"] == 0 || seen["x"] == 0 || len(seen) != 2 {
			t.Error(seen)
		}
	})
	t.Run("rename without flush of the bytes", func(t *testing.T) {
		l, dir := lossy(t)
		put(l, filepath.Join(dir, "a"), "old", true)
		must(t, l.SyncDir(dir))
		put(l, filepath.Join(dir, "b"), "new", false)
		must(t, l.Rename(filepath.Join(dir, "b"), filepath.Join(dir, "a")))
		must(t, l.SyncDir(dir))
		if seen := after(t, l, "a"); seen[""] == 0 {
			t.Error(seen)
		}
	})
	t.Run("a flush that lies", func(t *testing.T) {
		l, dir := lossy(t)
		l.Lie(true)
		must(t, files.WriteAtomic(l, filepath.Join(dir, "a"), []byte("x"), 0o600))
		if seen := after(t, l, "a"); seen["none"] == 0 {
			t.Error(seen)
		}
	})
	t.Run("a folder whose name was not flushed", func(t *testing.T) {
		l, dir := lossy(t)
		must(t, l.MkdirAll(filepath.Join(dir, "d"), 0o700))
		must(t, files.WriteAtomic(l, filepath.Join(dir, "d", "a"), []byte("x"), 0o600))
		if seen := after(t, l, "d/a"); seen["none"] == 0 || seen["x"] == 0 {
			t.Error(seen)
		}
	})
	t.Run("a removed name may come back", func(t *testing.T) {
		l, dir := lossy(t)
		put(l, filepath.Join(dir, "a"), "x", true)
		must(t, l.SyncDir(dir))
		must(t, l.Remove(filepath.Join(dir, "a")))
		if seen := after(t, l, "a"); seen["none"] == 0 || seen["x"] == 0 {
			t.Error(seen)
		}
	})
}

func TestLossyTearsAndReordersAtSectors(t *testing.T) {
	l, dir := lossy(t)
	name := filepath.Join(dir, "a")
	f, err := l.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	must(t, err)
	_, err = f.Write(bytes.Repeat([]byte("d"), 100))
	must(t, err)
	must(t, f.Sync())
	must(t, l.SyncDir(dir))
	_, err = f.Write(bytes.Repeat([]byte("n"), 1500))
	must(t, err)
	holes := false
	for content := range after(t, l, "a") {
		if !strings.HasPrefix(content, strings.Repeat("d", 100)) {
			t.Fatal("flushed bytes are gone")
		}
		holes = holes || strings.Contains(content, "\x00n")
		for i := 100; i < len(content); i++ {
			if i%sector != 0 && i > 100 && content[i] != content[i-1] {
				t.Fatalf("torn at byte %d", i)
			}
		}
	}
	if !holes {
		t.Error("nothing came out of order")
	}
	must(t, f.Truncate(100))
	must(t, f.Sync())
	if seen := after(t, l, "a"); len(seen) != 1 {
		t.Errorf("cut and flushed: %d contents", len(seen))
	}
}

func TestFailingFailsTheKthAndOnlyThat(t *testing.T) {
	dir := t.TempDir()
	f := NewFailing(files.OS())
	f.Arm(0, Fault{})
	must(t, files.WriteAtomic(f, filepath.Join(dir, "a"), []byte("1234"), 0o600))
	all := f.Count()
	if all < 5 {
		t.Fatalf("%d operations", all)
	}
	for k := 1; k <= all; k++ {
		f.Arm(k, Fault{Err: syscall.EIO})
		err := files.WriteAtomic(f, filepath.Join(dir, "a"), []byte("5678"), 0o600)
		what, times := f.Hit()
		if !errors.Is(err, syscall.EIO) || times != 1 || what == "" {
			t.Errorf("operation %d: %v, failed %d times at %q", k, err, times, what)
		}
	}
	f.Arm(1, Fault{Err: syscall.ENOSPC, Lasting: true})
	for range 3 {
		if err := f.SyncDir(dir); !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
	}
	f.Disarm()
	must(t, f.SyncDir(dir))

	w, err := f.OpenFile(filepath.Join(dir, "b"), os.O_WRONLY|os.O_CREATE, 0o600)
	must(t, err)
	f.Arm(1, Fault{Err: syscall.ENOSPC, Short: true})
	if n, err := w.Write([]byte("123456")); n != 3 || !errors.Is(err, syscall.ENOSPC) {
		t.Error(n, err)
	}
	must(t, w.Close())
	if b, err := files.Read(f, filepath.Join(dir, "b"), 10); err != nil || string(b) != "123" {
		t.Error(string(b), err)
	}
	f.Arm(1, Fault{Err: syscall.EIO, Reads: true})
	if _, err := files.Read(f, filepath.Join(dir, "b"), 10); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}

func TestSlowTakesItsTime(t *testing.T) {
	s := NewSlow(files.OS(), 10*time.Millisecond)
	start := time.Now()
	must(t, files.WriteAtomic(s, filepath.Join(t.TempDir(), "a"), nil, 0o600))
	if took := time.Since(start); took < 20*time.Millisecond {
		t.Errorf("two flushes took %v", took)
	}
}
