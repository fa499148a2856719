package badgerstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
)

// fillBulk puts n keys in two streams.
func fillBulk(n int) func(put func(k, v []byte) error) error {
	return func(put func(k, v []byte) error) error {
		for _, first := range []string{"v", "o"} {
			for i := range n {
				if err := put(fmt.Appendf(nil, "%s%08d", first, i), fmt.Appendf(nil, "value %s %d", first, i)); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// What is put is there, in place of what was, also after a restart, and can be
// written over.
func TestBulk(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, key)
	fillStore(t, s)
	const n = 30000
	if err := s.Bulk(fillBulk(n)); err != nil {
		t.Fatal(err)
	}
	for _, again := range []bool{false, true} {
		if got := rows(t, s); got != 2*n {
			t.Fatalf("reopened %v: %d rows instead of %d", again, got, 2*n)
		}
		if err := s.View(func(r oplog.StoreReader) error {
			v, err := r.Get([]byte("o00000777"))
			if string(v) != "value o 777" {
				t.Errorf("reopened %v: %q", again, v)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, dir, key)
	}
	tx, err := s.Begin()
	if err == nil {
		err = errors.Join(tx.Put([]byte("o00000777"), []byte("new")), tx.Delete([]byte("v00000000")), tx.Commit())
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := rows(t, s); got != 2*n-1 {
		t.Errorf("%d rows after one was deleted", got)
	}
	if err := s.Bulk(fillBulk(3)); err != nil { // and again over that
		t.Fatal(err)
	}
	if got := rows(t, s); got != 6 {
		t.Errorf("%d rows instead of 6", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, nextFolder)); err == nil {
		t.Error("the folder of the new tables is still there")
	}
}

// A filling that fails leaves what was there; readers see that all the time.
func TestBulkFails(t *testing.T) {
	s := mustOpen(t, t.TempDir(), key)
	defer s.Close()
	fillStore(t, s)
	before := rows(t, s)
	stop := errors.New("stop")
	err := s.Bulk(func(put func(k, v []byte) error) error {
		if err := fillBulk(20000)(put); err != nil {
			return err
		}
		if n := rows(t, s); n != before {
			t.Errorf("%d rows are seen instead of %d while it is filled", n, before)
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	if n := rows(t, s); n != before {
		t.Errorf("%d rows instead of %d", n, before)
	}
}

// Short of room it stops by itself and leaves what was there.
func TestBulkWithoutRoom(t *testing.T) {
	s := mustOpen(t, t.TempDir(), key)
	defer s.Close()
	fillStore(t, s)
	before := rows(t, s)
	noRoom = func(string, uint64) bool { return true }
	t.Cleanup(func() { noRoom = full })
	if err := s.Bulk(fillBulk(100)); !errors.Is(err, errRoom) {
		t.Errorf("got %v", err)
	}
	noRoom = full
	if n := rows(t, s); n != before {
		t.Errorf("%d rows instead of %d", n, before)
	}
}

// A process that died inside Bulk finds an empty store at its next start, wherever
// it died.
func TestBulkCut(t *testing.T) {
	for _, moved := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(moved), func(t *testing.T) {
			dir := t.TempDir()
			s := mustOpen(t, dir, key)
			fillStore(t, s)
			next := filepath.Join(dir, nextFolder)
			if err := os.Mkdir(next, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := s.fillNext(next, fillBulk(1000)); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			names, err := os.ReadDir(next)
			if err != nil || len(names) < moved {
				t.Fatal(len(names), err)
			}
			for _, e := range names[:moved] {
				if err := os.Rename(filepath.Join(next, e.Name()), filepath.Join(dir, e.Name())); err != nil {
					t.Fatal(err)
				}
			}
			s = mustOpen(t, dir, key)
			defer s.Close()
			if n := rows(t, s); n != 0 {
				t.Errorf("%d rows", n)
			}
			if _, err := os.Stat(next); err == nil {
				t.Error("the folder is still there")
			}
		})
	}
}
