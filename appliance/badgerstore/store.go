package badgerstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// formatMagic is written into the MANIFEST; a store of another layout is not opened.
const formatMagic = 0x5750

// Store is an open view store. It implements oplog.Store.
type Store struct {
	dir    string
	key    [32]byte
	logger *slog.Logger

	sizes  Sizes
	mended bool // pages that cannot be had are put there by the handler

	use     use // entered by every use of what follows; locked while it is replaced
	db      *badger.DB
	place   place
	pages   uint64      // pagesLost when it was opened
	faulted atomic.Bool // one was met that only a panic told of

	squeezed bool // the writer's: there was no room for a transaction
	fresh    bool // the writer's: what is opened was written this moment

	remade string // why it was made anew when it was opened last
}

// Open opens or makes the view store in dir (mode 0700), encrypted under key. A
// store that cannot be opened is deleted and made anew, empty. On a full disk it is
// made in memory, empty too. Faults: Conflict "fault.oplog.in_use" when another
// process holds it, Unavailable "fault.oplog.store" when no store can be made there.
func Open(dir string, key [32]byte, logger *slog.Logger) (*Store, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{dir: dir, key: key, logger: logger, mended: installBus()}
	s.use.init()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errStore(err)
	}
	s.sizes = SizesFor(dir)
	var err error
	if s.db, err = s.openOrAnew(); err != nil {
		return nil, errStore(err)
	}
	return s, nil
}

// Remade tells why the store was empty when it was opened last, though something lay
// there; "" when it was opened as it lay. See oplog.Remaker.
func (s *Store) Remade() string {
	s.use.enter()
	defer s.use.leave()
	return s.remade
}

// whyAnew names what was wrong, by file where one is known. What Badger says may hold
// keys, so it is not repeated.
func whyAnew(beheaded bool, err error) string {
	switch {
	case beheaded:
		return "its list of tables or keys is missing, or it was never opened or filled to the end"
	case errors.Is(err, errUnsound):
		return err.Error()
	case errors.Is(err, fs.ErrNotExist):
		return "a file of it is missing"
	}
	return "Badger does not open it"
}

// openOrAnew opens what is there; what cannot be opened is deleted and made anew.
func (s *Store) openOrAnew() (*badger.DB, error) {
	s.remade = ""
	beheaded, err := s.beheaded()
	if err != nil {
		return nil, err
	}
	if !beheaded {
		var db *badger.DB
		if db, err = s.open(); err == nil {
			return db, nil
		}
		if s.inUse() {
			return nil, fault.New(fault.Conflict, "fault.oplog.in_use").Wrap(err)
		}
		if hopeless(err) {
			return nil, err
		}
	}
	s.remade = whyAnew(beheaded, err)
	s.logger.Warn("the view store cannot be used and is made anew", "beheaded", beheaded, "err", err)
	if err := s.wipe(); err != nil {
		return nil, err
	}
	return s.open()
}

// hopeless failures would hit a fresh store as well, so nothing is deleted for
// them. Badger keeps only the text of what the system said.
func hopeless(err error) bool {
	return slices.ContainsFunc([]syscall.Errno{
		syscall.ENOSPC, syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM,
	}, func(e syscall.Errno) bool { return errors.Is(err, e) || strings.Contains(err.Error(), e.Error()) })
}

func errStore(err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		return err
	}
	return fault.New(fault.Unavailable, "fault.oplog.store").Wrap(err)
}

func (s *Store) options() badger.Options {
	return badger.DefaultOptions(s.dir).
		WithSyncWrites(false).
		WithCompression(options.None).
		WithChecksumVerificationMode(options.NoVerification). // sound has read every block (sound.go)
		WithVerifyValueChecksum(true).
		WithMemTableSize(s.sizes.MemTable).WithNumMemtables(2).
		WithNumLevelZeroTables(2).WithNumLevelZeroTablesStall(6).
		WithBlockCacheSize(8 << 20).WithIndexCacheSize(16 << 20).
		WithValueLogFileSize(2 * s.sizes.MemTable).WithValueThreshold(min(512<<10, s.sizes.MemTable/8)).
		WithNumCompactors(2).WithMetricsEnabled(false).WithDetectConflicts(false). // one writer: nothing can conflict
		WithEncryptionKey(s.key[:]).WithEncryptionKeyRotationDuration(10 * 24 * time.Hour).
		WithExternalMagic(formatMagic).WithLogger(quiet{s.logger})
}

// openingMark exists while Badger opens, a byte for each opening that did not come to
// its end. Some damage makes Badger panic in a goroutine of its own, which ends the
// process; the mark makes the start after enoughDeaths of them begin with an empty
// store instead of dying for ever. One is not enough: a box whose power bounces dies
// while it opens too, and would rebuild a million records each time.
const (
	openingMark  = "opening"
	enoughDeaths = 2
)

// noRoom is full, for tests to fill a disk.
var noRoom = full

// open opens Badger. Without room on the disk it is opened for reading only, when the
// last run ended cleanly and so left no log to be played; otherwise it is made in memory,
// empty: the journal fills it, and the records can be read until there is room again.
// What is on the disk then stays as it is.
func (s *Store) open() (*badger.DB, error) {
	s.pages, s.place = pagesLost(), onDisk
	s.faulted.Store(false)
	if s.squeezed || noRoom(s.dir, s.sizes.roomToOpen()) {
		if !s.squeezed && s.clean() {
			if db, err := s.openMarked(s.options().WithReadOnly(true)); err == nil {
				s.place = frozen
				return db, nil
			}
		}
		s.place = inMemory
		s.logger.Warn("the disk is full, so the views are kept in memory")
		return badger.Open(s.options().WithDir("").WithValueDir("").WithInMemory(true).WithMemTableSize(mostMemTable).WithValueThreshold(1 << 20))
	}
	return s.openMarked(s.options())
}

// clean reports whether Badger has tables and no logs.
func (s *Store) clean() bool {
	tables, terr := filepath.Glob(filepath.Join(s.dir, "*.sst"))
	logs, lerr := filepath.Glob(filepath.Join(s.dir, "*.mem"))
	return terr == nil && lerr == nil && len(tables) > 0 && len(logs) == 0
}

// openMarked opens Badger on the disk, with the mark beside it meanwhile. A panic in this
// goroutine and a page that could not be had are errors like others.
func (s *Store) openMarked(o badger.Options) (db *badger.DB, err error) {
	mark := filepath.Join(s.dir, openingMark)
	died, _ := os.ReadFile(mark)
	if err := os.WriteFile(mark, append(died[:min(len(died), enoughDeaths)], '.'), 0o600); err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("badger panicked: %T", r)
		}
		rerr := os.Remove(mark)
		if err != nil {
			db = nil // Badger hands out one that did not open
			return
		}
		if pagesLost() != s.pages {
			rerr = errPages
		}
		if rerr != nil {
			db.Close()
			db, err = nil, rerr
		}
	}()
	if !s.fresh {
		if err := s.sound(o); err != nil {
			return nil, err
		}
	}
	return badger.Open(o)
}

// beheaded reports what Badger must not be shown: tables without the MANIFEST
// that lists them (its header alone is 16 bytes) or without the registry of
// their keys, a store whose last opening ended the process, and one that was being
// filled anew.
func (s *Store) beheaded() (bool, error) {
	tables, err := filepath.Glob(filepath.Join(s.dir, "*.sst"))
	if err != nil {
		return false, err
	}
	if st, err := os.Stat(filepath.Join(s.dir, openingMark)); err == nil && st.Size() >= enoughDeaths {
		return !s.inUse(), nil
	}
	if half, err := s.halfFilled(); half || err != nil {
		return half, err
	}
	if len(tables) == 0 {
		return false, nil
	}
	for _, name := range []string{badger.ManifestFilename, badger.KeyRegistryFileName} {
		st, err := os.Stat(filepath.Join(s.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		if err != nil || st.Size() <= 16 {
			return err == nil, err
		}
	}
	return false, nil
}

// inUse reports whether a process holds Badger's lock right now; its LOCK file
// alone says nothing, it survives a kill.
func (s *Store) inUse() bool {
	d, err := os.Open(s.dir)
	if err != nil {
		return false
	}
	defer d.Close()
	return locked(d)
}

// wipe deletes Badger's files, by name, and nothing else.
func (s *Store) wipe() error {
	if err := s.wipeOld(); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(s.dir, nextFolder))
}

// wipeOld is wipe without those that Bulk made.
func (s *Store) wipeOld() error {
	for _, pattern := range []string{"*.sst", "*.mem", "*.vlog", "MANIFEST*", "KEYREGISTRY*", "DISCARD", "LOCK"} {
		names, err := filepath.Glob(filepath.Join(s.dir, pattern))
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// DropAll closes the store, deletes its files and starts an empty one, so that
// no table keeps what was dropped. It waits for readers.
func (s *Store) DropAll() error {
	s.use.lock()
	defer s.use.unlock()
	if err := s.db.Close(); err != nil {
		s.logger.Warn("closing the old view store", "err", err)
	}
	// From memory with no room for more the disk is left alone.
	if s.place != inMemory || (!s.squeezed && !noRoom(s.dir, s.sizes.roomToOpen())) {
		if err := s.wipe(); err != nil {
			return errStore(err)
		}
	}
	db, err := s.open()
	if err != nil {
		return errStore(err)
	}
	s.db = db
	return nil
}

// Close writes out what is in memory and releases the folder.
func (s *Store) Close() error {
	s.use.lock()
	defer s.use.unlock()
	err := s.db.Close()
	if s.lost() { // also by closing: what is on the disk is not what was written
		if werr := s.wipe(); werr != nil {
			return errStore(werr)
		}
		return nil
	}
	return errStore(err)
}

// View runs fn on a snapshot. It may be called inside fn. Faults: Unavailable
// "fault.oplog.store" when a page of the store could not be had.
func (s *Store) View(fn func(oplog.StoreReader) error) error {
	s.use.enter()
	defer s.use.leave()
	if s.db.IsClosed() {
		return fault.New(fault.Unavailable, "fault.oplog.closed")
	}
	if s.lost() {
		return errLost()
	}
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	err := fn(reader{s, txn})
	if s.lost() { // whatever fn made of it
		return errLost()
	}
	return err
}

// Begin opens the writing transaction. It must not overlap a DropAll, which
// the journal's single writer sees to. Faults: as View, and Full
// "fault.oplog.disk_full" when the disk has no room for it.
func (s *Store) Begin() (oplog.StoreTx, error) {
	s.use.enter()
	defer s.use.leave()
	if s.db.IsClosed() {
		return nil, fault.New(fault.Unavailable, "fault.oplog.closed")
	}
	if s.lost() {
		return nil, errLost()
	}
	if s.place == onDisk && noRoom(s.dir, s.sizes.roomToOpen()) {
		return nil, s.errNoRoom()
	}
	txn := s.db.NewTransaction(true)
	return &tx{reader{s, txn}}, nil
}

type reader struct {
	s   *Store
	txn *badger.Txn
}

func (r reader) Get(key []byte) (value []byte, err error) {
	r.s.faultsPanic()
	defer r.s.guard(&err)
	item, err := r.txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, oplog.ErrNoKey
	}
	if err != nil {
		return nil, errStore(err)
	}
	v, err := item.ValueCopy(nil)
	return v, errStore(err)
}

func (r reader) Scan(prefix, from []byte, fn func(k, v []byte) error) (err error) {
	r.s.faultsPanic()
	defer r.s.guard(&err)
	it := r.txn.NewIterator(r.s.iteratorOptions(prefix))
	defer it.Close()
	if bytes.Compare(from, prefix) <= 0 {
		from = prefix
	}
	for it.Seek(from); it.ValidForPrefix(prefix); it.Next() {
		item := it.Item()
		err := item.Value(func(v []byte) error {
			if r.s.lost() {
				return errLost()
			}
			return fn(item.Key(), v)
		})
		if errors.Is(err, oplog.ErrStop) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type tx struct{ reader }

func (t *tx) Put(key, value []byte) error { return t.sort(t.txn.Set(key, value)) }
func (t *tx) Delete(key []byte) error     { return t.sort(t.txn.Delete(key)) }
func (t *tx) Discard()                    { t.txn.Discard() }

// Commit faults when a page was lost until now. One that is lost on the way makes the
// next read fault, and the journal fold the views again.
func (t *tx) Commit() error {
	if t.s.lost() {
		return errLost()
	}
	return t.sort(t.txn.Commit())
}

func (t *tx) sort(err error) error {
	switch {
	case errors.Is(err, badger.ErrTxnTooBig):
		return fmt.Errorf("%w: %w", oplog.ErrTxTooBig, err)
	case errors.Is(err, badger.ErrReadOnlyTxn):
		return t.s.errNoRoom()
	}
	return errStore(err)
}

// quiet passes on that something happened, never the arguments: Badger's
// messages hold keys.
type quiet struct{ logger *slog.Logger }

func (q quiet) Errorf(format string, _ ...any)   { q.logger.Error("badger", "message", format) }
func (q quiet) Warningf(format string, _ ...any) { q.logger.Warn("badger", "message", format) }
func (quiet) Infof(string, ...any)               {}
func (quiet) Debugf(string, ...any)              {}
