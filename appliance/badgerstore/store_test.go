package badgerstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

var key = [32]byte{7}

func mustOpen(t testing.TB, dir string, key [32]byte) *Store {
	t.Helper()
	s, err := Open(dir, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuite(t *testing.T) {
	oplogtest.StoreSuite(t, func() oplog.Store { return mustOpen(t, t.TempDir(), key) })
}

func fillStore(t testing.TB, s *Store) {
	t.Helper()
	for i := range 30 {
		tx, err := s.Begin()
		if err != nil {
			t.Fatal(err)
		}
		for k := range 200 {
			if err := tx.Put(fmt.Appendf(nil, "key-%d-%d", i, k), make([]byte, 500)); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

func count(t testing.TB, s *Store) (n int) {
	t.Helper()
	if err := s.View(func(r oplog.StoreReader) error {
		return r.Scan(nil, nil, func(_, _ []byte) error { n++; return nil })
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestContentSurvivesAReopen(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, key)
	fillStore(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, key)
	defer s.Close()
	if n := count(t, s); n != 6000 {
		t.Fatalf("%d of 6000 keys", n)
	}
	if why := s.Remade(); why != "" {
		t.Error(why)
	}
}

// What Badger would open as empty, or not at all, comes back empty and usable:
// the journal fills it again.
func TestDamagedStoresAreMadeAnew(t *testing.T) {
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	rewrite := func(pattern string, change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			names, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil || len(names) == 0 {
				t.Fatalf("no %s: %v", pattern, err)
			}
			raw, err := os.ReadFile(names[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(names[0], change(raw), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	sector := func(at int) func([]byte) []byte { // the sector that holds the byte, counted from the end below zero
		return func(b []byte) []byte {
			if at < 0 {
				at += len(b)
			}
			at = at / 512 * 512
			for i := at; i < min(at+512, len(b)); i++ {
				b[i] = byte(i*37 + 11)
			}
			return b
		}
	}
	for name, damage := range map[string]func(*testing.T, string){
		"no manifest":          remove("MANIFEST"),
		"manifest header only": rewrite("MANIFEST", func(b []byte) []byte { return b[:16] }),
		"manifest bit":         rewrite("MANIFEST", flip),
		"manifest cut":         rewrite("MANIFEST", func(b []byte) []byte { return b[:len(b)-3] }),
		"manifest an entry short": rewrite("MANIFEST", func(b []byte) []byte {
			at := 8 // length ‖ checksum ‖ entry
			for {
				next := at + 8 + int(binary.BigEndian.Uint32(b[at:]))
				if next >= len(b) {
					return b[:at]
				}
				at = next
			}
		}),
		"no key registry":  remove("KEYREGISTRY"),
		"key registry bit": rewrite("KEYREGISTRY", flip),
		"table bit":        rewrite("*.sst", flip),
		// Each of these ends a process that lets Badger open the table (sound.go).
		"table cut":            rewrite("*.sst", func(b []byte) []byte { return b[:len(b)/3] }),
		"table's end":          rewrite("*.sst", sector(-1)),
		"table's index":        rewrite("*.sst", sector(-600)),
		"table's first sector": rewrite("*.sst", sector(0)),
		"table empty":          rewrite("*.sst", func([]byte) []byte { return nil }),
		"end of a block": rewrite("*.sst", func(b []byte) []byte {
			for at := 3584; at < len(b)/2; at += 4096 { // blocks of a bit more than 4 KB: some have their end there
				b = sector(at)(b)
			}
			return b
		}),
		"died twice while opening": func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, openingMark), []byte(".."), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := mustOpen(t, dir, key)
			fillStore(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			damage(t, dir)
			s = mustOpen(t, dir, key)
			defer s.Close()
			if n := count(t, s); n != 0 {
				t.Errorf("%d keys of a damaged store are still shown", n)
			}
			if s.Remade() == "" {
				t.Error("nobody is told that the store was damaged")
			}
			fillStore(t, s)
			if n := count(t, s); n != 6000 {
				t.Errorf("%d of 6000 keys after refilling", n)
			}
		})
	}
}

func TestAnotherKeyOpensAnEmptyStore(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, key)
	fillStore(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, [32]byte{8})
	defer s.Close()
	if n := count(t, s); n != 0 {
		t.Fatalf("%d keys under the wrong key", n)
	}
}

func TestAStoreInUseIsSaid(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, key)
	defer s.Close()
	fillStore(t, s)
	if _, err := Open(dir, key, nil); !errors.Is(err, fault.New(fault.Conflict, "fault.oplog.in_use")) {
		t.Fatalf("got %v", err)
	}
	if n := count(t, s); n != 6000 {
		t.Fatalf("the second opening cost the first its content: %d keys", n)
	}
}

func TestTooBigIsSaid(t *testing.T) {
	s := mustOpen(t, t.TempDir(), key)
	defer s.Close()
	tx, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Discard()
	for i := 0; err == nil && i < 100; i++ {
		err = tx.Put(fmt.Append(nil, i), make([]byte, 100<<10))
	}
	if !errors.Is(err, oplog.ErrTxTooBig) {
		t.Fatalf("got %v", err)
	}
}

// A box whose power goes while it opens has nothing to rebuild; what did not come up
// twice is made anew.
func TestOneDeathWhileOpeningCostsNothing(t *testing.T) {
	dir, key := t.TempDir(), [32]byte{1}
	s := mustOpen(t, dir, key)
	fillStore(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, openingMark), []byte("."), 0o600); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, key)
	defer s.Close()
	if count(t, s) == 0 {
		t.Error("the views were thrown away")
	}
	if _, err := os.Stat(filepath.Join(dir, openingMark)); err == nil {
		t.Error("the mark stays though it opened")
	}
}
