package backup_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/backup"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

var passphrase = []byte("five words nobody would guess")

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t testing.TB, err error, key string) {
	t.Helper()
	if fault.Of(err).Key != key {
		t.Fatalf("got %v, want %s", err, key)
	}
}

// box is a data folder with real secrets and a made-up journal.
type box struct {
	t     testing.TB
	dir   string
	vault *identity.Vault
	snap  oplog.Snapshot
}

func (b *box) Snapshot(context.Context) (oplog.Snapshot, error) {
	s := b.snap
	s.Segments = slices.Clone(s.Segments)
	return s, nil
}

func noise(seed uint64, n int) []byte {
	out := make([]byte, n)
	c := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = c.Read(out)
	return out
}

func newBox(t testing.TB, segments ...int) *box {
	t.Helper()
	b := &box{t: t, dir: filepath.Join(t.TempDir(), "data")}
	var err error
	b.vault, _, err = identity.Start(b.dir, clock.System(), identity.StartOptions{
		Deployment: "Relief", Site: "North", Passphrase: passphrase, KeepRoot: true, Cost: identity.TestCost(),
	})
	must(t, err)
	b.put("peers.json", []byte("{}"))
	b.put("accounts", noise(1, 300))
	b.put("web/ca.pem", noise(2, 100))
	b.put("chunks/ab/cdef", noise(3, 5000))
	b.put("something-new", []byte("nobody thought of this one"))
	b.put("empty", nil)
	for _, name := range []string{"views/000001.sst", "lock", "control.sock", "half.new", ".tmp-1", "old.part", "backup.json", "ballast"} {
		b.put(name, []byte("left out"))
	}
	for i, n := range segments {
		b.segment(i+1, n)
	}
	b.keys(noise(9, 64))
	return b
}

func (b *box) put(name string, content []byte) {
	b.t.Helper()
	p := filepath.Join(b.dir, filepath.FromSlash(name))
	must(b.t, os.MkdirAll(filepath.Dir(p), 0o700))
	must(b.t, os.WriteFile(p, content, 0o600))
}

// segment makes a journal file of which the last bytes are not flushed yet.
func (b *box) segment(i, n int) {
	name := "0000000" + string(rune('0'+i)) + ".wpj"
	b.put("journal/"+name, append(noise(uint64(20+i), n), "unflushed"...))
	b.snap.Segments = append(b.snap.Segments[:i-1], oplog.SegmentFile{Name: name, Size: int64(n), ID: [8]byte{byte(i), byte(n)}})
	b.snap.Ops += 7
}

func (b *box) keys(content []byte) {
	b.snap.Keys = content
	for _, name := range oplog.KeyFiles() {
		b.put("journal/"+name, content)
	}
}

// want is what a restored folder has to hold, by path.
func (b *box) want() map[string][]byte {
	out := map[string][]byte{}
	for p, content := range tree(b.t, b.dir) {
		if !backup.Left(p) {
			out[p] = content
		}
	}
	for _, s := range b.snap.Segments {
		out["journal/"+s.Name] = out["journal/"+s.Name][:s.Size]
	}
	return out
}

func tree(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		out[filepath.ToSlash(rel)] = content
		return err
	}))
	return out
}

func sameTree(t testing.TB, got, want map[string][]byte) {
	t.Helper()
	for p, content := range want {
		if mine, ok := got[p]; !ok || !bytes.Equal(mine, content) {
			t.Errorf("%s: %d bytes instead of %d (there: %v)", p, len(mine), len(content), ok)
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok && p != "restored" {
			t.Errorf("%s should not be there", p)
		}
	}
}

var made = time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)

func (b *box) options(file string) backup.Options {
	return backup.Options{Dir: b.dir, File: file, Journal: b, Keys: b.vault, Made: made, Sure: true}
}

func (b *box) write(file string) backup.Info {
	b.t.Helper()
	info, err := backup.Write(context.Background(), b.options(file))
	must(b.t, err)
	return info
}

// shaky is a file system whose k-th operation that changes something fails, and, when
// it is dead, every one after it too: a process that was killed there, as the disk sees
// it. What was written before stays; forgetting it is not what these tests are about.
type shaky struct {
	files.FS
	mu    sync.Mutex
	ops   int
	at    int // fails at this operation; 0 = never
	err   error
	once  bool // it works again afterwards
	short bool // a write that fails has written half
	room  int  // bytes that can be written; 0 = without end
}

var errKilled = errors.New("killed")

func (s *shaky) step() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops++
	if s.at > 0 && (s.ops == s.at || s.ops > s.at && !s.once) {
		return s.err
	}
	return nil
}

func (s *shaky) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	if flag&(os.O_WRONLY|os.O_RDWR) != 0 {
		if err := s.step(); err != nil {
			return nil, err
		}
	}
	f, err := s.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &shakyFile{File: f, s: s}, nil
}

func (s *shaky) Rename(from, to string) error {
	return errors.Join(s.step(), s.alive(func() error { return s.FS.Rename(from, to) }))
}
func (s *shaky) Remove(name string) error {
	return errors.Join(s.step(), s.alive(func() error { return s.FS.Remove(name) }))
}
func (s *shaky) MkdirAll(name string, perm fs.FileMode) error {
	return errors.Join(s.step(), s.alive(func() error { return s.FS.MkdirAll(name, perm) }))
}
func (s *shaky) SyncDir(name string) error {
	return errors.Join(s.step(), s.alive(func() error { return s.FS.SyncDir(name) }))
}

// alive does what was asked for unless the step before it failed.
func (s *shaky) alive(do func() error) error {
	s.mu.Lock()
	dead := s.at > 0 && (s.ops == s.at || s.ops > s.at && !s.once)
	s.mu.Unlock()
	if dead {
		return nil
	}
	return do()
}

type shakyFile struct {
	files.File
	s *shaky
}

func (f *shakyFile) Write(b []byte) (int, error) {
	if err := f.s.step(); err != nil {
		return 0, err
	}
	return f.File.Write(b)
}

func (f *shakyFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.s.step(); err != nil {
		if f.s.short {
			n, _ := f.File.WriteAt(b[:len(b)/2], off)
			return n, err
		}
		return 0, err
	}
	if f.s.room > 0 && off+int64(len(b)) > int64(f.s.room) {
		return 0, &fs.PathError{Op: "write", Err: syscall.ENOSPC}
	}
	return f.File.WriteAt(b, off)
}

func (f *shakyFile) Sync() error {
	if err := f.s.step(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *shakyFile) Truncate(n int64) error {
	if err := f.s.step(); err != nil {
		return err
	}
	return f.File.Truncate(n)
}

func segmentsOf(m map[string][]byte) (n int) {
	for p := range m {
		if strings.HasSuffix(p, ".wpj") {
			n++
		}
	}
	return n
}

// memory is a file system with one file, whatever it is called.
type memory struct {
	files.FS
	content []byte
}

func (m memory) OpenFile(string, int, fs.FileMode) (files.File, error) {
	return memoryFile{Reader: bytes.NewReader(m.content)}, nil
}

type memoryFile struct {
	*bytes.Reader
	files.File
}

func (f memoryFile) Read(b []byte) (int, error)              { return f.Reader.Read(b) }
func (f memoryFile) ReadAt(b []byte, off int64) (int, error) { return f.Reader.ReadAt(b, off) }
func (f memoryFile) Stat() (fs.FileInfo, error)              { return nil, fs.ErrInvalid }
func (f memoryFile) Close() error                            { return nil }
