package letterbox

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
)

// How much waits at most.
const (
	MaxLetters  = 4000
	MaxBytes    = 64 << 20
	keptForHere = 500 // of the letters, for somebody at the box itself
)

// Box is the letterbox of a locked box: one puts letters in and cannot look inside. Safe
// for concurrent use; there is one for a folder at a time.
type Box struct {
	fsys  files.FS
	dir   string
	clock clock.Clock
	to    Address

	mu      sync.Mutex
	numbers map[ID]uint64 // of what waits
	last    uint64        // highest number that was used
	bytes   int64
}

// Open readies the letterbox of a data folder. What an interrupted write left is removed;
// nobody was told that it is kept. Faults: those of reading the key: NotFound
// "fault.letterbox.none", Internal "fault.letterbox.damaged".
func Open(fsys files.FS, data string, c clock.Clock) (*Box, error) {
	b := &Box{fsys: fsys, dir: filepath.Join(data, Folder), clock: c, numbers: map[ID]uint64{}}
	var err error
	if b.to, err = readAddress(fsys, b.dir); err != nil {
		return nil, err
	}
	entries, err := fsys.ReadDir(b.dir)
	if err != nil {
		return nil, cannotWrite(err)
	}
	for _, e := range entries {
		number, id, ok := parseFileName(e.Name())
		if !ok {
			if half, cut := strings.CutSuffix(e.Name(), ".new"); cut {
				if _, _, ours := parseFileName(half); ours {
					_ = fsys.Remove(filepath.Join(b.dir, e.Name())) // it takes room and nothing else
				}
			}
			continue
		}
		b.numbers[id], b.last = number, max(b.last, number)
		if i, err := e.Info(); err == nil {
			b.bytes += i.Size()
		}
	}
	return b, nil
}

// Waiting is how many letters wait to be read.
func (b *Box) Waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.numbers)
}

// Put seals a body and returns when it is on the card, with its number. once is the key of
// the form it came by: the same form and body is one letter. here is somebody at the box
// itself. again tells that the letter was there. Faults: TooLarge "fault.letterbox.too_long", Full
// "fault.letterbox.full" and "fault.letterbox.disk_full", Unavailable
// "fault.letterbox.cannot_write".
func (b *Box) Put(kind Kind, once string, body []byte, here bool) (number uint64, again bool, err error) {
	if len(body) > MaxBody {
		return 0, false, fault.New(fault.TooLarge, "fault.letterbox.too_long")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	l := Letter{ID: idOf(once, kind, body), Number: b.last + 1, Kind: kind, At: b.clock.Now(), Unsure: !b.clock.Sure(), Body: body}
	if number, there := b.numbers[l.ID]; there {
		return number, true, nil
	}
	most := MaxLetters
	if !here {
		most -= keptForHere
	}
	sealed, err := seal(b.to, l)
	if err != nil {
		return 0, false, fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	if len(b.numbers) >= most || b.bytes+int64(len(sealed)) > MaxBytes {
		return 0, false, fault.New(fault.Full, "fault.letterbox.full")
	}
	if err := files.WriteAtomic(b.fsys, filepath.Join(b.dir, fileName(l.Number, l.ID)), sealed, 0o600); err != nil {
		// It may lie there all the same: the next one must not take its number.
		b.last = l.Number
		return 0, false, cannotWrite(err)
	}
	b.numbers[l.ID], b.last = l.Number, l.Number
	b.bytes += int64(len(sealed))
	return l.Number, false, nil
}

// Pile is what waits in the letterbox of an opened box. It belongs to one goroutine.
type Pile struct {
	fsys files.FS
	dir  string
	key  Key
}

const asideName = "aside"

// Empty readies the reading of what waits. The letters stay until Done.
func Empty(fsys files.FS, data string, k Key) *Pile {
	return &Pile{fsys: fsys, dir: filepath.Join(data, Folder), key: k}
}

// Names are the letters that wait, in their order.
func (p *Pile) Names() ([]string, error) { return names(p.fsys, p.dir) }

func names(fsys files.FS, dir string) (out []string, err error) {
	entries, err := fsys.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, cannotWrite(err)
	}
	for _, e := range entries {
		if _, _, ok := parseFileName(e.Name()); ok {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out)
	return out, nil
}

// Read opens one letter. Fault: Invalid "fault.letterbox.broken" for one that does not
// open, or that is called something else than it is.
func (p *Pile) Read(name string) (Letter, error) {
	raw, err := files.Read(p.fsys, filepath.Join(p.dir, name), int64(maxLetter))
	if err != nil {
		return Letter{}, fault.New(fault.Invalid, "fault.letterbox.broken").Wrap(err)
	}
	l, err := open(p.key, raw)
	if err != nil || fileName(l.Number, l.ID) != name {
		return Letter{}, fault.New(fault.Invalid, "fault.letterbox.broken").Wrap(errors.Join(err, errLetter))
	}
	return l, nil
}

// Done destroys a letter whose facts are in the journal: it is overwritten, flushed and
// removed. A power cut before that only means that it is read once more.
func (p *Pile) Done(name string) error {
	path := filepath.Join(p.dir, name)
	if err := overwrite(p.fsys, path, int64(maxLetter)); err != nil {
		return cannotWrite(err)
	}
	if err := p.fsys.Remove(path); err != nil {
		return cannotWrite(err)
	}
	return cannotWrite(p.fsys.SyncDir(p.dir))
}

func overwrite(fsys files.FS, path string, limit int64) (err error) {
	f, err := fsys.OpenFile(path, writeOnly, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(make([]byte, min(info.Size(), limit)), 0); err != nil {
		return err
	}
	return f.Sync()
}

// SetAside keeps a letter that could not be read, whole, and out of the way.
func (p *Pile) SetAside(name string) error { return setAside(p.fsys, p.dir, name) }

func setAside(fsys files.FS, dir, name string) error {
	to := filepath.Join(dir, asideName)
	if err := fsys.MkdirAll(to, 0o700); err != nil {
		return cannotWrite(err)
	}
	if err := fsys.Rename(filepath.Join(dir, name), filepath.Join(to, name)); err != nil {
		return cannotWrite(err)
	}
	return cannotWrite(errors.Join(fsys.SyncDir(to), fsys.SyncDir(dir)))
}

// AsidePile is what was set aside, to be read again or destroyed when its facts are in the
// journal. A letter of it is not set aside once more.
func AsidePile(fsys files.FS, data string, k Key) *Pile {
	return &Pile{fsys: fsys, dir: filepath.Join(data, Folder, asideName), key: k}
}

// Lies says when a letter was written, as the card says, and whether it lies there at all.
func (p *Pile) Lies(name string) (at time.Time, there bool) {
	if _, _, ok := parseFileName(name); !ok {
		return time.Time{}, false
	}
	entries, err := p.fsys.ReadDir(p.dir)
	if err != nil {
		return time.Time{}, false
	}
	for _, e := range entries {
		if e.Name() != name {
			continue
		}
		i, err := e.Info()
		if err != nil {
			return time.Time{}, true
		}
		return i.ModTime(), true
	}
	return time.Time{}, false
}

// NumberOf is the number in a letter's name: what the person at the gate was told.
func NumberOf(name string) uint64 {
	n, _, _ := parseFileName(name)
	return n
}

// Aside names the letters that were set aside.
func Aside(fsys files.FS, data string) []string {
	out, err := names(fsys, filepath.Join(data, Folder, asideName))
	if err != nil {
		return nil // it is asked for again
	}
	return out
}
