//go:build linux && (amd64 || arm64)

package badgerstore

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// The kernel's own SIGBUS, in a goroutine that recovers nothing: the process goes on,
// the page is empty memory, and it is counted.
func TestAPageThatCannotBeHad(t *testing.T) {
	if !installBus() {
		t.Fatal("the handler is not in its place")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "mapped"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page := os.Getpagesize()
	if err := f.Truncate(int64(4 * page)); err != nil {
		t.Fatal(err)
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, 4*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(int64(page)); err != nil {
		t.Fatal(err)
	}
	data[0] = 7
	before := pagesLost()
	done := make(chan byte)
	go func() {
		data[2*page+5] = 9                      // a write
		done <- data[3*page+1] + data[2*page+5] // a read
	}()
	if got := <-done; got != 9 {
		t.Errorf("read %d, wrote 9", got)
	}
	if n := pagesLost() - before; n != 2 {
		t.Errorf("%d pages counted of 2", n)
	}
	if data[0] != 7 {
		t.Error("a page that was there is not what it was")
	}
	if err := syscall.Munmap(data); err != nil {
		t.Error(err)
	}
}

// The program's own pages are left to Go: zeros in their place would be run and believed.
func TestAPageOfTheProgramItselfEndsIt(t *testing.T) {
	const child = "WAYPOST_TEST_OWN_PAGE"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAPageOfTheProgramItselfEndsIt$", "-test.v")
		cmd.Env = append(os.Environ(), child+"="+filepath.Join(t.TempDir(), "mapped"))
		out, err := cmd.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("outside is mended: 0")) || !bytes.Contains(out, []byte("SIGBUS")) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if from, to, ok := ownPages(); !ok || busHandlerPC() < from || busHandlerPC() >= to || !installBus() {
		t.Fatalf("the program lies between %x and %x", from, to)
	}
	f, err := os.Create(os.Getenv(child))
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	if err := f.Truncate(int64(2 * page)); err != nil {
		t.Fatal(err)
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, 2*page, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	fmt.Println("outside is mended:", data[0])
	busFrom = uintptr(unsafe.Pointer(&data[page])) // as if it were the program's
	busTo = busFrom + uintptr(page)
	fmt.Println("and this must not be reached:", data[page])
}

// A table cut short under the running store: reading it is the kernel's SIGBUS. The
// reader gets a fault and no zeros for an answer, the process lives, and the store can be
// made anew at once.
func TestATableCutShortUnderTheStore(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, key)
	for i := range 400 { // 20 MB: more than Badger keeps in its cache
		tx, err := s.Begin()
		if err != nil {
			t.Fatal(err)
		}
		for k := range 10 {
			if err := tx.Put(fmt.Appendf(nil, "k-%d-%d", i, k), make([]byte, 5000)); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, key)
	defer s.Close()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	for _, name := range tables {
		if err := os.Truncate(name, 4096); err != nil {
			t.Fatal(err)
		}
	}
	zeros := 0
	err = s.View(func(r oplog.StoreReader) error {
		_ = r.Scan(nil, nil, func(k, _ []byte) error {
			if len(k) == 0 || k[0] != 'k' {
				zeros++
			}
			return nil
		})
		return nil // a reader that swallows what Scan said
	})
	if fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("reading what is not there: %v", err)
	}
	if zeros > 0 {
		t.Errorf("%d rows made of nothing were shown", zeros)
	}
	if _, err := s.Begin(); fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("a transaction on what is not there: %v", err)
	}
	if !s.Lost() {
		t.Error("the store does not know that it is lost")
	}
	if err := s.DropAll(); err != nil {
		t.Fatal(err)
	}
	fillStore(t, s)
	if n := count(t, s); n != 6000 || s.Lost() {
		t.Errorf("%d of 6000 keys after it was made anew; lost: %v", n, s.Lost())
	}
}

// Another program takes the last byte of the disk while Badger writes: Badger's own
// goroutines meet SIGBUS. The process lives and the next start finds an empty store or a
// sound one, never half a one.
func TestTheDiskFillsUpUnderBadger(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m,mode=0700"); err != nil {
		t.Skip("a disk small enough to fill needs root and the right to mount:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	views := filepath.Join(dir, "views")
	noRoom = func(string, uint64) bool { return false } // nobody looks: the worst case
	t.Cleanup(func() { noRoom = full })
	s := mustOpen(t, views, key)
	before := pagesLost()
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	f.Close()
	for range 40 {
		tx, err := s.Begin()
		if err != nil {
			break
		}
		for k := range 100 {
			if err := tx.Put([]byte{byte(k)}, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			break
		}
	}
	if pagesLost() == before {
		t.Fatal("the disk was not full: this proves nothing")
	}
	if err := s.View(func(oplog.StoreReader) error { return nil }); fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("a store with lost pages is read: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, views, key)
	defer s.Close()
	if n := count(t, s); n != 0 {
		t.Errorf("%d keys of a store that was lost are shown", n)
	}
}
