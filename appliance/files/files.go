// Package files is the line between Waypost and the disk: every operation that the
// journal, its keys, the chunks and the sealed files do on files goes through an FS.
// OS is the real one. filestest has others that fail at the k-th operation or forget
// what was not flushed, so that tests can put a fault at every one of them.
//
// What a power cut may do is the contract: bytes written and not flushed by Sync may
// be there, missing, or torn at any 512 bytes; names made, renamed or removed and not
// flushed by SyncDir of their folder may be as before. Code that answers somebody
// flushes first.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// FS is a file system. Errors are those of package os: errors.Is works with
// fs.ErrNotExist and the syscall numbers. Safe for concurrent use.
type FS interface {
	// OpenFile opens as os.OpenFile does.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Rename replaces to by from, in one step.
	Rename(from, to string) error
	// Remove deletes a file or an empty folder.
	Remove(name string) error
	// Truncate cuts the file called name, without flushing it.
	Truncate(name string, size int64) error
	// Stat says what is there.
	Stat(name string) (fs.FileInfo, error)
	// ReadDir lists a folder, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	// MkdirAll makes a folder and its parents.
	MkdirAll(name string, perm fs.FileMode) error
	// SyncDir makes the names in a folder durable. Where a file system cannot do that
	// it does nothing.
	SyncDir(name string) error
}

// File is an open file.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
}

// OS is the real file system.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err // a nil *os.File in the interface would not be nil
	}
	return f, nil
}

func (osFS) Rename(from, to string) error                 { return os.Rename(from, to) }
func (osFS) Remove(name string) error                     { return os.Remove(name) }
func (osFS) Truncate(name string, size int64) error       { return os.Truncate(name, size) }
func (osFS) Stat(name string) (fs.FileInfo, error)        { return os.Stat(name) }
func (osFS) ReadDir(name string) ([]fs.DirEntry, error)   { return os.ReadDir(name) }
func (osFS) MkdirAll(name string, perm fs.FileMode) error { return os.MkdirAll(name, perm) }

func (osFS) SyncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil // has no such call and needs none
	}
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) { // as good as it gets there
		err = nil
	}
	return errors.Join(err, d.Close())
}

// Open opens a file for reading.
func Open(fsys FS, name string) (File, error) { return fsys.OpenFile(name, os.O_RDONLY, 0) }

// Read reads a whole file of at most limit bytes.
func Read(fsys FS, name string, limit int64) (content []byte, err error) {
	f, err := Open(fsys, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	content, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", filepath.Base(name), limit)
	}
	return content, err
}

// WriteAtomic replaces the content of name so that a power cut at any moment leaves
// the old or the new, and the new once it has returned. It works over name + ".new".
func WriteAtomic(fsys FS, name string, content []byte, perm fs.FileMode) error {
	tmp := name + ".new"
	err := write(fsys, tmp, content, perm)
	if err == nil {
		err = fsys.Rename(tmp, name)
	}
	if err != nil {
		_ = fsys.Remove(tmp) // what is left of it is not missed
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// write makes a flushed file.
func write(fsys FS, name string, content []byte, perm fs.FileMode) error {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
