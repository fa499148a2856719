package badgerstore

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// On a full disk the store is one in memory, and what was on the disk is there again
// at the next start.
func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, key)
	fillStore(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	noRoom = func(string, uint64) bool { return true }
	t.Cleanup(func() { noRoom = full })
	s = mustOpen(t, dir, key)
	if n := rows(t, s); n != 6000 {
		t.Errorf("%d rows of 6000 in a store opened for reading", n)
	}
	if away, writable := s.Away(); !away || writable {
		t.Errorf("away %v, writable %v", away, writable)
	}
	putOne := func() error {
		tx, err := s.Begin()
		if err != nil {
			return err
		}
		defer tx.Discard()
		return tx.Put([]byte("x"), nil)
	}
	if err := putOne(); fault.ClassOf(err) != fault.Full {
		t.Errorf("written to a store opened for reading: %v", err)
	}
	noRoom = full
	if err := s.Return(); err != nil {
		t.Fatal(err)
	}
	if n := rows(t, s); n != 6000 || putOne() != nil {
		t.Errorf("%d rows of 6000 when it is back on the disk", n)
	}
	noRoom = func(string, uint64) bool { return true }
	if err := putOne(); fault.ClassOf(err) != fault.Full {
		t.Errorf("a transaction begins with no room: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "00001.mem") // as after a kill
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	oplogtest.StoreSuite(t, func() oplog.Store { return mustOpen(t, t.TempDir(), key) })
	s = mustOpen(t, dir, key)
	if n := rows(t, s); n != 0 {
		t.Errorf("%d rows in a store that begins anew", n)
	}
	if err := s.DropAll(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	noRoom = full
	s = mustOpen(t, dir, key)
	defer s.Close()
	if n := rows(t, s); n != 6000 {
		t.Errorf("%d rows of 6000 are still on the disk", n)
	}
}

func rows(t *testing.T, s *Store) (n int) {
	t.Helper()
	if err := s.View(func(r oplog.StoreReader) error {
		return r.Scan(nil, nil, func(_, _ []byte) error { n++; return nil })
	}); err != nil {
		t.Fatal(err)
	}
	return n
}
