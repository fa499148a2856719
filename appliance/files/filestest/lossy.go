package filestest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/waypost/waypost/appliance/files"
)

// Lossy is a file system that knows what a power cut would take. It works on a real
// folder, where everything is seen at once as on any system, and remembers beside it
// what was flushed: the bytes of a file at its last Sync, the names in a folder at its
// last SyncDir. A flush of a file does not flush its name. Crash makes a folder as a
// cut may leave it. Flushes do not reach the real disk, so tests run fast.
type Lossy struct {
	root string
	base files.FS

	mu    sync.Mutex
	names map[string]*inode // as seen, by path below root
	saved map[string]*inode // as flushed
	moves []move            // changes of names since, oldest first
	left  int               // changing operations until the power goes; < 0 = never
	count int
	lies  bool
}

// inode is one file or folder, whatever its names are.
type inode struct {
	dir   bool
	perm  fs.FileMode
	size  int64  // as seen
	saved []byte // as flushed
	edits []edit // since, oldest first
}

// edit is a write at off, or a cut to that size when data is nil.
type edit struct {
	off  int64
	data []byte
}

// move is a change of names: to becomes node, from goes. Either may be empty.
type move struct {
	from, to string
	node     *inode
}

// ErrPower is what every operation returns once the power is gone.
var ErrPower = errors.New("the power is gone")

// NewLossy works on the folder root, whose present content counts as flushed.
func NewLossy(root string) (*Lossy, error) {
	l := &Lossy{root: filepath.Clean(root), base: files.OS(), names: map[string]*inode{}, saved: map[string]*inode{}, left: -1}
	err := filepath.WalkDir(l.root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == l.root {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		n := &inode{dir: d.IsDir(), perm: st.Mode().Perm()}
		if !n.dir {
			if n.saved, err = os.ReadFile(p); err != nil {
				return err
			}
			n.size = int64(len(n.saved))
		}
		l.names[l.rel(p)], l.saved[l.rel(p)] = n, n
		return nil
	})
	return l, err
}

// CutAfter lets n more changing operations happen; from then on everything returns
// ErrPower and changes nothing, until Crash. A negative n is never.
func (l *Lossy) CutAfter(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = n
}

// Count is how many changing operations there have been.
func (l *Lossy) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// Lie makes every flush answer yes and flush nothing, as bad cards do: what a test of
// durability must not survive.
func (l *Lossy) Lie(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lies = yes
}

func (l *Lossy) rel(name string) string {
	rel, err := filepath.Rel(l.root, filepath.Clean(name))
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		panic("filestest: " + name + " lies outside " + l.root) // a mistake of the test
	}
	return rel
}

// change counts a changing operation; it faults when the power is gone. l.mu is held.
func (l *Lossy) change() error {
	if l.left == 0 {
		return ErrPower
	}
	if l.left > 0 {
		l.left--
	}
	l.count++
	return nil
}

func (l *Lossy) gone() error {
	if l.left == 0 {
		return ErrPower
	}
	return nil
}

// OpenFile is files.FS.
func (l *Lossy) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.gone(); err != nil {
		return nil, err
	}
	rel := l.rel(name)
	n := l.names[rel]
	makes := n == nil && flag&os.O_CREATE != 0
	cuts := n != nil && !n.dir && flag&os.O_TRUNC != 0
	if makes || cuts {
		if err := l.change(); err != nil {
			return nil, err
		}
	}
	f, err := l.base.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	if makes {
		n = &inode{perm: perm}
		l.names[rel] = n
		l.moves = append(l.moves, move{to: rel, node: n})
	}
	if n == nil {
		return nil, errors.Join(errors.New("filestest: "+name+" was made behind the file system's back"), f.Close())
	}
	if cuts {
		n.cut(0)
	}
	return &lossyFile{File: f, fs: l, node: n, appends: flag&os.O_APPEND != 0}, nil
}

// Rename is files.FS.
func (l *Lossy) Rename(from, to string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.change(); err != nil {
		return err
	}
	if err := l.base.Rename(from, to); err != nil {
		return err
	}
	f, t := l.rel(from), l.rel(to)
	n := l.names[f]
	for name, below := range l.names { // a folder takes its content along
		if rest, ok := strings.CutPrefix(name, f+string(filepath.Separator)); ok {
			delete(l.names, name)
			l.names[filepath.Join(t, rest)] = below
			l.moves = append(l.moves, move{from: name, to: filepath.Join(t, rest), node: below})
		}
	}
	delete(l.names, f)
	l.names[t] = n
	l.moves = append(l.moves, move{from: f, to: t, node: n})
	return nil
}

// Remove is files.FS.
func (l *Lossy) Remove(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.change(); err != nil {
		return err
	}
	if err := l.base.Remove(name); err != nil {
		return err
	}
	delete(l.names, l.rel(name))
	l.moves = append(l.moves, move{from: l.rel(name)})
	return nil
}

// Truncate is files.FS.
func (l *Lossy) Truncate(name string, size int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.change(); err != nil {
		return err
	}
	if err := l.base.Truncate(name, size); err != nil {
		return err
	}
	l.names[l.rel(name)].cut(size)
	return nil
}

// Stat is files.FS.
func (l *Lossy) Stat(name string) (fs.FileInfo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.gone(); err != nil {
		return nil, err
	}
	return l.base.Stat(name)
}

// ReadDir is files.FS.
func (l *Lossy) ReadDir(name string) ([]fs.DirEntry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.gone(); err != nil {
		return nil, err
	}
	return l.base.ReadDir(name)
}

// MkdirAll is files.FS. A folder's own name is flushed by SyncDir of its parent.
func (l *Lossy) MkdirAll(name string, perm fs.FileMode) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if st, err := l.base.Stat(name); err == nil && st.IsDir() {
		return l.gone()
	}
	if err := l.change(); err != nil {
		return err
	}
	if err := l.base.MkdirAll(name, perm); err != nil {
		return err
	}
	parts := strings.Split(l.rel(name), string(filepath.Separator))
	for i := range parts {
		rel := filepath.Join(parts[:i+1]...)
		if l.names[rel] == nil {
			n := &inode{dir: true, perm: perm}
			l.names[rel] = n
			l.moves = append(l.moves, move{to: rel, node: n})
		}
	}
	return nil
}

// SyncDir flushes the names in a folder.
func (l *Lossy) SyncDir(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.change(); err != nil {
		return err
	}
	if _, err := l.base.Stat(name); err != nil {
		return err
	}
	if l.lies {
		return nil
	}
	dir, rest := l.rel(name), l.moves[:0]
	for _, m := range l.moves {
		if (m.from != "" && filepath.Dir(m.from) == dir) || (m.to != "" && filepath.Dir(m.to) == dir) {
			m.apply(l.saved)
		} else {
			rest = append(rest, m)
		}
	}
	l.moves = rest
	return nil
}

// apply makes a change of names.
func (m move) apply(names map[string]*inode) {
	if m.from != "" {
		delete(names, m.from)
	}
	if m.to != "" {
		names[m.to] = m.node
	}
}

func (n *inode) cut(size int64) {
	n.size = size
	n.edits = append(n.edits, edit{off: size})
}

// lossyFile is an open file.
type lossyFile struct {
	files.File
	fs      *Lossy
	node    *inode
	appends bool
	pos     int64
}

func (f *lossyFile) Read(b []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.gone(); err != nil {
		return 0, err
	}
	n, err := f.File.Read(b)
	f.pos += int64(n)
	return n, err
}

func (f *lossyFile) ReadAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.gone(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, off)
}

func (f *lossyFile) Write(b []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.change(); err != nil {
		return 0, err
	}
	if f.appends {
		f.pos = f.node.size
	}
	n, err := f.File.Write(b)
	f.node.wrote(f.pos, b[:n])
	f.pos += int64(n)
	return n, err
}

func (f *lossyFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.appends {
		return 0, syscall.EINVAL // as package os
	}
	if err := f.fs.change(); err != nil {
		return 0, err
	}
	n, err := f.File.WriteAt(b, off)
	f.node.wrote(off, b[:n])
	return n, err
}

func (n *inode) wrote(off int64, b []byte) {
	n.edits = append(n.edits, edit{off, append(make([]byte, 0, len(b)), b...)})
	n.size = max(n.size, off+int64(len(b)))
}

func (f *lossyFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.change(); err != nil {
		return err
	}
	if err := f.File.Truncate(size); err != nil {
		return err
	}
	f.node.cut(size)
	return nil
}

// Sync makes the bytes durable, not the name.
func (f *lossyFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.change(); err != nil {
		return err
	}
	if f.fs.lies {
		return nil
	}
	for _, e := range f.node.edits {
		f.node.saved = e.apply(f.node.saved)
	}
	f.node.edits = nil
	return nil
}

// apply makes an edit of a file's content.
func (e edit) apply(b []byte) []byte {
	end := e.off + int64(len(e.data))
	if grow := end - int64(len(b)); grow > 0 {
		b = append(b, make([]byte, grow)...)
	}
	if e.data == nil {
		return b[:e.off]
	}
	copy(b[e.off:], e.data)
	return b
}
