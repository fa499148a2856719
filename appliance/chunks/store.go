package chunks

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
)

// minFree is below how many free bytes no photo is taken in: five times what the
// journal keeps for records.
const minFree = 256 << 20

// Options says where pieces lie.
type Options struct {
	Dir        string                 // made with mode 0700 when absent
	Files      files.FS               // the file system Dir lies on; nil = files.OS()
	Clock      clock.Clock            // nil = clock.System()
	Logger     *slog.Logger           // nil = silent
	StorageKey [32]byte               // seals uploads that no op names yet
	FreeSpace  func() (uint64, error) // bytes left on Dir's file system, the same as the journal's; nil or an error = not known
	MinFree    uint64                 // nothing is taken in below this many bytes; 0 = 256 MB
}

// Store is the pieces of one node. All methods are safe for concurrent use. It keeps
// about 100 bytes of memory for every piece.
type Store struct {
	dir     string
	fs      files.FS
	clock   clock.Clock
	log     *slog.Logger
	key     [32]byte
	free    func() (uint64, error)
	minFree uint64

	mu      sync.Mutex // guards the rest; never held while waiting for the disk
	held    map[ID]struct{}
	lacking map[ID]uint64 // wanted, with how new the op is that names it
	order   []ID          // of lacking, the oldest first; nil when to be made anew
	named   func(ID) (bool, error)
	idle    map[string]idle // what nobody names, by file name; guarded by put
	folders map[string]bool // durable
	rotten  int             // set aside since the start
	put     sync.Mutex      // one writer at a time, so that two writes of a piece do not meet
}

// Stats is the state of the store, for status pages.
type Stats struct {
	Held    int // pieces
	Lacking int // pieces that records name and that are not here yet
	Rotten  int // pieces found damaged since the start
}

const (
	pieceEnd  = ".wpc"
	badEnd    = ".bad"
	uploadEnd = ".wpu"
)

// Open reads which pieces there are; it reads no piece. Faults: Unavailable
// "fault.chunks.files".
func Open(o Options) (*Store, error) {
	s := &Store{
		dir: o.Dir, fs: o.Files, clock: o.Clock, log: o.Logger, key: o.StorageKey, free: o.FreeSpace, minFree: cmp.Or(o.MinFree, minFree),
		held: map[ID]struct{}{}, lacking: map[ID]uint64{}, folders: map[string]bool{},
	}
	if s.fs == nil {
		s.fs = files.OS()
	}
	if s.clock == nil {
		s.clock = clock.System()
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.fs.MkdirAll(s.dir, 0o700); err != nil {
		return nil, errFiles(err)
	}
	if err := s.list(); err != nil {
		return nil, errFiles(err)
	}
	s.idle = s.readIdle()
	return s, nil
}

// list finds the pieces and clears away what a write that was cut left behind.
func (s *Store) list() error {
	folders, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, f := range folders {
		if !f.IsDir() || len(f.Name()) != 2 {
			continue
		}
		in := filepath.Join(s.dir, f.Name())
		entries, err := s.fs.ReadDir(in)
		if err != nil {
			return err
		}
		s.folders[in] = true
		for _, e := range entries {
			if id, ok := idOf(e.Name()); ok {
				s.held[id] = struct{}{}
			} else if strings.HasSuffix(e.Name(), ".new") {
				_ = s.fs.Remove(filepath.Join(in, e.Name())) // tried again at the next start
			}
		}
	}
	return nil
}

func idOf(name string) (id ID, ok bool) {
	name, ok = strings.CutSuffix(name, pieceEnd)
	if !ok || len(name) != 2*len(id) {
		return id, false
	}
	n, err := hex.Decode(id[:], []byte(name))
	return id, err == nil && n == len(id) && Name(id) == name
}

func (s *Store) path(id ID) string {
	name := Name(id)
	return filepath.Join(s.dir, name[:2], name+pieceEnd)
}

func (s *Store) badPath(id ID) string { return strings.TrimSuffix(s.path(id), pieceEnd) + badEnd }

// Put stores a sealed piece. It is durable when Put returns. A piece that is held
// already is not written again. Faults: Invalid "fault.chunks.wrong_piece" when it is
// not the piece of that id, Full "fault.chunks.no_room", Unavailable
// "fault.chunks.files".
func (s *Store) Put(id ID, sealed []byte) error {
	if len(sealed) > MaxSealed || sha256.Sum256(sealed) != id {
		return fault.New(fault.Invalid, "fault.chunks.wrong_piece")
	}
	s.put.Lock()
	defer s.put.Unlock()
	if s.Has(id) {
		return nil
	}
	if err := s.room(len(sealed)); err != nil {
		return err
	}
	if err := s.write(s.path(id), sealed); err != nil {
		return errWrite(err)
	}
	_ = s.fs.Remove(s.badPath(id)) // there is a good one again
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[id] = struct{}{}
	if _, ok := s.lacking[id]; ok {
		delete(s.lacking, id)
		s.order = nil
	}
	return nil
}

// write makes a durable file in a folder of its own name's beginning.
func (s *Store) write(path string, content []byte) error {
	in := filepath.Dir(path)
	s.mu.Lock()
	made := s.folders[in]
	s.mu.Unlock()
	if !made {
		if err := s.fs.MkdirAll(in, 0o700); err != nil {
			return err
		}
		if err := s.fs.SyncDir(s.dir); err != nil {
			return err
		}
		s.mu.Lock()
		s.folders[in] = true
		s.mu.Unlock()
	}
	return files.WriteAtomic(s.fs, path, content, 0o600)
}

// room refuses what would take the room of records.
func (s *Store) room(n int) error {
	if s.free == nil {
		return nil
	}
	if free, err := s.free(); err == nil && free < s.minFree+uint64(n) {
		return errNoRoom(nil)
	}
	return nil
}

// Get reads a sealed piece and checks it. One that is no longer what it was is set
// aside, counts as lacking from then on, and is NotFound like one that was never
// here: "fault.chunks.not_here". Unavailable "fault.chunks.files" when the disk does
// not answer.
func (s *Store) Get(id ID) ([]byte, error) {
	if !s.Has(id) {
		return nil, errNotHere()
	}
	b, err := files.Read(s.fs, s.path(id), MaxSealed)
	switch {
	case err == nil && sha256.Sum256(b) == id:
		return b, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !tooLong(err) && !broken(err):
		return nil, errFiles(err) // out of file handles or the like: says nothing of the piece
	}
	s.setAside(id)
	return nil, errNotHere()
}

// broken reports whether a medium lost what it held: as good as a flipped bit.
func broken(err error) bool { return errors.Is(err, syscall.EIO) }

// tooLong is the one error of files.Read that is not the system's.
func tooLong(err error) bool {
	var path *fs.PathError
	var number syscall.Errno
	return !errors.As(err, &path) && !errors.As(err, &number)
}

// setAside takes a rotten piece out of what is held and asks for it anew, before
// everything else: somebody was looking at it.
func (s *Store) setAside(id ID) {
	s.put.Lock()
	defer s.put.Unlock()
	if !s.Has(id) {
		return
	}
	err := s.fs.Rename(s.path(id), s.badPath(id))
	s.log.Warn("a piece was damaged and is set aside", "piece", Name(id), "err", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, id)
	s.rotten++
	s.lacking[id] = ^uint64(0)
	s.order = nil
}

// Has reports whether a piece is held, as far as is known without reading it.
func (s *Store) Has(id ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.held[id]
	return ok
}

// Whole reports whether every piece of f is held.
func (s *Store) Whole(f File) bool {
	return !slices.ContainsFunc(f.Pieces, func(p Piece) bool { return !s.Has(p.ID) })
}

// Need says that a record names these pieces; what of them is not here is asked of
// other nodes, the newest first: order is the logical clock of the op.
func (s *Store) Need(order uint64, ids ...ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if _, ok := s.held[id]; !ok && s.lacking[id] < max(order, 1) {
			s.lacking[id] = max(order, 1)
			s.order = nil
		}
	}
}

// Wanted are up to n pieces that are lacking and not skipped, the newest first. It
// does not wait for the disk.
func (s *Store) Wanted(n int, skip func(ID) bool) []ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.order == nil && len(s.lacking) > 0 {
		s.order = slices.Collect(maps.Keys(s.lacking))
		slices.SortFunc(s.order, func(a, b ID) int {
			return cmp.Or(cmp.Compare(s.lacking[a], s.lacking[b]), strings.Compare(string(a[:]), string(b[:])))
		})
	}
	var out []ID
	for _, id := range slices.Backward(s.order) {
		if len(out) == n {
			break
		}
		if !skip(id) {
			out = append(out, id)
		}
	}
	return out
}

// Drop deletes pieces, because the record that named them was erased. Their keys are
// gone with the record; what cannot be deleted now is deleted when nobody names it.
func (s *Store) Drop(ids ...ID) {
	s.put.Lock()
	defer s.put.Unlock()
	s.drop(ids...)
}

// drop is Drop with put held.
func (s *Store) drop(ids ...ID) {
	for _, id := range ids {
		s.mu.Lock()
		_, held := s.held[id]
		delete(s.held, id)
		if _, ok := s.lacking[id]; ok {
			delete(s.lacking, id)
			s.order = nil
		}
		s.mu.Unlock()
		if held {
			if err := s.fs.Remove(s.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				s.log.Warn("a piece could not be deleted", "piece", Name(id), "err", err)
				s.mu.Lock()
				s.held[id] = struct{}{}
				s.mu.Unlock()
			}
		}
		_ = s.fs.Remove(s.badPath(id)) // usually there is none
	}
}

// Stats counts.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Held: len(s.held), Lacking: len(s.lacking), Rotten: s.rotten}
}

// Save cuts and stores content. It is durable when Save returns, but belongs to
// nobody: an op has to name it, or it goes after a day. Faults as Cut and Put.
func (s *Store) Save(content []byte, mediaType string) (File, error) {
	f, sealed, err := Cut(content, mediaType)
	if err != nil {
		return File{}, err
	}
	for i, p := range f.Pieces {
		if err := s.Put(p.ID, sealed[i]); err != nil {
			return File{}, err // the pieces before it go as nobody's
		}
	}
	return f, nil
}

// Load opens a file. Faults: NotFound "fault.chunks.not_here" while a piece is
// missing; Unavailable "fault.chunks.files"; Internal "fault.chunks.wrong_file" when
// the pieces are right and the op that names them is not.
func (s *Store) Load(f File) ([]byte, error) {
	if !f.Sound() {
		return nil, fault.New(fault.Internal, "fault.chunks.wrong_file")
	}
	sealed := make([][]byte, len(f.Pieces))
	for i, p := range f.Pieces {
		b, err := s.Get(p.ID)
		if err != nil {
			return nil, err
		}
		sealed[i] = b
	}
	content, err := f.join(sealed)
	if err != nil {
		return nil, fault.New(fault.Internal, "fault.chunks.wrong_file").Wrap(err)
	}
	return content, nil
}

func errNotHere() error { return fault.New(fault.NotFound, "fault.chunks.not_here") }

func errFiles(err error) error { return fault.New(fault.Unavailable, "fault.chunks.files").Wrap(err) }

func errNoRoom(err error) error { return fault.New(fault.Full, "fault.chunks.no_room").Wrap(err) }

// errWrite sorts failures to write: a full disk is the person's to mend.
func errWrite(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return errNoRoom(err)
	}
	return errFiles(err)
}
