package badgerstore

import (
	"testing"

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
	noRoom = func(string) bool { return true }
	t.Cleanup(func() { noRoom = full })
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
	noRoom = full
	s = mustOpen(t, dir, key)
	defer s.Close()
	if n := rows(t, s); n == 0 {
		t.Error("what was on the disk is gone")
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
