package oplog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/waypost/waypost/appliance/files"
)

// sorted adds pairs to a sorter with buffers of limit bytes, round-robin over n
// buffers, and reads them back.
func sorted(t *testing.T, s *sorter, n int, keys [][]byte) [][]byte {
	t.Helper()
	buffers := make([]*sortBuffer, n)
	for i := range buffers {
		buffers[i] = s.buffer()
	}
	for i, k := range keys {
		if err := buffers[i%n].add(k, append([]byte("value of "), k...)); err != nil {
			t.Fatal(err)
		}
	}
	var out [][]byte
	if err := s.each(func(k, v []byte) error {
		if !bytes.Equal(v, append([]byte("value of "), k...)) {
			t.Fatalf("%q has the value %q", k, v)
		}
		out = append(out, bytes.Clone(k))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func roomy() error { return nil }

func randomKeys(seed uint64, n int) [][]byte {
	r := rand.New(rand.NewPCG(seed, 1))
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = make([]byte, r.IntN(20))
		for j := range keys[i] {
			keys[i][j] = byte(r.IntN(3)) // many equal beginnings, many equal keys
		}
	}
	return keys
}

// Whatever the size of the buffers, everything comes out once and in order.
func TestSorter(t *testing.T) {
	for _, limit := range []int{1, 300, 5000, 1 << 20} {
		for _, n := range []int{0, 1, 7, 5000} {
			t.Run(fmt.Sprint(limit, " ", n), func(t *testing.T) {
				keys := randomKeys(uint64(limit+n), n)
				s, err := newSorter(files.OS(), filepath.Join(t.TempDir(), "runs"), limit, roomy)
				if err != nil {
					t.Fatal(err)
				}
				got := sorted(t, s, 3, keys)
				slices.SortFunc(keys, bytes.Compare)
				if !slices.EqualFunc(got, keys, bytes.Equal) {
					t.Errorf("%d pairs in, %d out, or in another order", len(keys), len(got))
				}
				if spilled := s.file != nil; spilled != (limit < 1<<20 && n > 100) && limit > 1 {
					t.Errorf("a file was used: %v", spilled)
				}
				if err := s.close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A buffer stays within its limit, so that memory does not follow the number of pairs.
func TestSorterMemory(t *testing.T) {
	const limit = 64 << 10
	s, err := newSorter(files.OS(), filepath.Join(t.TempDir(), "runs"), limit, roomy)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.close() }()
	b, value := s.buffer(), make([]byte, 200)
	for i := range 20000 {
		if err := b.add(fmt.Append(nil, i*7919%20000), value); err != nil {
			t.Fatal(err)
		}
		if held := len(b.bytes) + 24*len(b.pairs); held > limit {
			t.Fatalf("%d bytes are held after %d pairs", held, i)
		}
	}
	if len(s.runs) < 20000*200/limit {
		t.Errorf("only %d runs", len(s.runs))
	}
}

// Nothing readable lies in the file, and the file has no name while it is in use.
func TestSorterSecrecy(t *testing.T) {
	kept := &keepNames{FS: files.OS()}
	path := filepath.Join(t.TempDir(), "runs")
	s, err := newSorter(kept, path, 1000, roomy)
	if err != nil {
		t.Fatal(err)
	}
	var keys [][]byte
	for i := range 500 {
		keys = append(keys, fmt.Append(nil, "Amina Haddad ", i))
	}
	sorted(t, s, 1, keys)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) < 500*20 || bytes.Contains(raw, []byte("Haddad")) || bytes.Contains(raw, []byte("value of")) {
		t.Errorf("a name can be read in the file of %d bytes", len(raw))
	}
	if kept.removed == 0 {
		t.Error("the name of the file was not taken away")
	}
	kept.off = true
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is still there")
	}
}

// keepNames is a system that keeps the name of an open file.
type keepNames struct {
	files.FS
	removed int
	off     bool
}

func (k *keepNames) Remove(name string) error {
	if k.removed++; k.off {
		return k.FS.Remove(name)
	}
	return errors.New("in use")
}

// A changed byte in the file is noticed.
func TestSorterDamage(t *testing.T) {
	kept := &keepNames{FS: files.OS()}
	path := filepath.Join(t.TempDir(), "runs")
	s, err := newSorter(kept, path, 1000, roomy)
	if err != nil {
		t.Fatal(err)
	}
	b := s.buffer()
	for _, k := range randomKeys(1, 500) {
		if err := b.add(k, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.file.WriteAt([]byte{1, 2, 3}, 100); err != nil {
		t.Fatal(err)
	}
	if err := s.each(func(_, _ []byte) error { return nil }); !errors.Is(err, errSpill) {
		t.Errorf("got %v", err)
	}
	kept.off = true
	_ = s.close()
}

// Without room nothing is written.
func TestSorterNoRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runs")
	s, err := newSorter(&keepNames{FS: files.OS()}, path, 100, func() error { return errors.New("full") })
	if err != nil {
		t.Fatal(err)
	}
	b := s.buffer()
	for i := 0; err == nil && i < 100; i++ {
		err = b.add([]byte{byte(i)}, make([]byte, 10))
	}
	if !errors.Is(err, errSpill) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was made")
	}
}
