package filestest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/waypost/waypost/appliance/files"
)

// Fault is how operations fail.
type Fault struct {
	// Err is what the operation returns, usually a syscall number.
	Err error
	// Short lets a write store the first half of its bytes before it fails.
	// Other operations fail as without it.
	Short bool
	// Lasting lets every later operation fail too, until the next Arm or Disarm.
	Lasting bool
	// Reads counts reading operations as well, and lets them fail.
	Reads bool
}

// Failing is a file system whose k-th operation fails. A failed operation changes
// nothing, but for the half of a short write; a failed flush flushed nothing.
type Failing struct {
	base files.FS

	mu    sync.Mutex
	fault Fault
	at    int // which operation fails; 0 = none
	count int
	hits  int
	hit   string
}

// NewFailing is a file system over base in which nothing fails until Arm.
func NewFailing(base files.FS) *Failing { return &Failing{base: base} }

// Arm counts from now on and lets operation k fail, the first being 1.
func (f *Failing) Arm(k int, how Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.at, f.count, f.hits, f.hit = how, k, 0, 0, ""
}

// Disarm ends the fault and keeps counting.
func (f *Failing) Disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = 0
}

// Count is the number of operations since the last Arm, failed ones included.
func (f *Failing) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// Hit names the first operation that failed since the last Arm, and says how many
// did. It is empty when none did.
func (f *Failing) Hit() (what string, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit, f.hits
}

// step counts one operation and says whether it fails, and whether half of its
// bytes are written nevertheless.
func (f *Failing) step(what, name string, reads bool) (short bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if reads && !f.fault.Reads {
		return false, nil
	}
	f.count++
	if f.at == 0 || f.count < f.at || (f.count > f.at && !f.fault.Lasting) {
		return false, nil
	}
	if f.hits++; f.hits == 1 {
		f.hit = fmt.Sprintf("%s %s", what, filepath.Base(name))
	}
	return f.fault.Short, &fs.PathError{Op: what, Path: name, Err: f.fault.Err}
}

const changes = os.O_CREATE | os.O_TRUNC

// OpenFile is a reading operation unless it may make or empty the file.
func (f *Failing) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	if _, err := f.step("open", name, flag&changes == 0); err != nil {
		return nil, err
	}
	file, err := f.base.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &failingFile{File: file, fs: f, name: name}, nil
}

// Rename is files.FS.
func (f *Failing) Rename(from, to string) error {
	if _, err := f.step("rename", to, false); err != nil {
		return err
	}
	return f.base.Rename(from, to)
}

// Remove is files.FS.
func (f *Failing) Remove(name string) error {
	if _, err := f.step("remove", name, false); err != nil {
		return err
	}
	return f.base.Remove(name)
}

// Truncate is files.FS.
func (f *Failing) Truncate(name string, size int64) error {
	if _, err := f.step("truncate", name, false); err != nil {
		return err
	}
	return f.base.Truncate(name, size)
}

// Stat is files.FS.
func (f *Failing) Stat(name string) (fs.FileInfo, error) {
	if _, err := f.step("stat", name, true); err != nil {
		return nil, err
	}
	return f.base.Stat(name)
}

// ReadDir is files.FS.
func (f *Failing) ReadDir(name string) ([]fs.DirEntry, error) {
	if _, err := f.step("list", name, true); err != nil {
		return nil, err
	}
	return f.base.ReadDir(name)
}

// MkdirAll is files.FS.
func (f *Failing) MkdirAll(name string, perm fs.FileMode) error {
	if _, err := f.step("mkdir", name, false); err != nil {
		return err
	}
	return f.base.MkdirAll(name, perm)
}

// SyncDir is files.FS.
func (f *Failing) SyncDir(name string) error {
	if _, err := f.step("flush folder", name, false); err != nil {
		return err
	}
	return f.base.SyncDir(name)
}

// failingFile counts what is done to an open file. Closing never fails: it changes
// nothing, and a test that skipped it would leak the file.
type failingFile struct {
	files.File
	fs   *Failing
	name string
}

func (f *failingFile) Read(b []byte) (int, error) {
	if _, err := f.fs.step("read", f.name, true); err != nil {
		return 0, err
	}
	return f.File.Read(b)
}

func (f *failingFile) ReadAt(b []byte, off int64) (int, error) {
	if _, err := f.fs.step("read", f.name, true); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, off)
}

func (f *failingFile) Write(b []byte) (int, error) {
	short, err := f.fs.step("write", f.name, false)
	if err == nil {
		return f.File.Write(b)
	}
	n := 0
	if short {
		n, _ = f.File.Write(b[:len(b)/2])
	}
	return n, err
}

func (f *failingFile) WriteAt(b []byte, off int64) (int, error) {
	short, err := f.fs.step("write", f.name, false)
	if err == nil {
		return f.File.WriteAt(b, off)
	}
	n := 0
	if short {
		n, _ = f.File.WriteAt(b[:len(b)/2], off)
	}
	return n, err
}

func (f *failingFile) Sync() error {
	if _, err := f.fs.step("flush", f.name, false); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *failingFile) Truncate(size int64) error {
	if _, err := f.fs.step("truncate", f.name, false); err != nil {
		return err
	}
	return f.File.Truncate(size)
}
