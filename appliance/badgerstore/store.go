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

	memory bool // not on the disk, which is full
	use    use  // entered by every use of db; locked while it is replaced
	db     *badger.DB
}

// Open opens or makes the view store in dir (mode 0700), encrypted under key. A
// store that cannot be opened is deleted and made anew, empty. On a full disk it is
// made in memory, empty too. Faults: Conflict "fault.oplog.in_use" when another
// process holds it, Unavailable "fault.oplog.store" when no store can be made there.
func Open(dir string, key [32]byte, logger *slog.Logger) (*Store, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{dir: dir, key: key, logger: logger}
	s.use.init()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errStore(err)
	}
	beheaded, err := s.beheaded()
	if err != nil {
		return nil, errStore(err)
	}
	if !beheaded {
		if s.db, err = s.open(); err == nil {
			return s, nil
		}
		if s.inUse() {
			return nil, fault.New(fault.Conflict, "fault.oplog.in_use").Wrap(err)
		}
		if hopeless(err) {
			return nil, errStore(err)
		}
	}
	logger.Warn("the view store cannot be used and is made anew", "beheaded", beheaded, "err", err)
	if err := s.wipe(); err != nil {
		return nil, errStore(err)
	}
	if s.db, err = s.open(); err != nil {
		return nil, errStore(err)
	}
	return s, nil
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
		WithChecksumVerificationMode(options.OnTableRead).
		WithVerifyValueChecksum(true).
		WithMemTableSize(memTable).WithNumMemtables(2).
		WithNumLevelZeroTables(2).WithNumLevelZeroTablesStall(6).
		WithBlockCacheSize(8 << 20).WithIndexCacheSize(16 << 20).
		WithValueLogFileSize(16 << 20).WithValueThreshold(512 << 10).
		WithNumCompactors(2).WithMetricsEnabled(false).WithDetectConflicts(false). // one writer: nothing can conflict
		WithEncryptionKey(s.key[:]).WithEncryptionKeyRotationDuration(10 * 24 * time.Hour).
		WithExternalMagic(formatMagic).WithLogger(quiet{s.logger})
}

// memTable is the size at which Badger writes a table out. 15% of it is what
// one transaction may hold.
const memTable = 8 << 20

// openingMark exists while Badger opens. Some damage makes it panic in a
// goroutine of its own, which ends the process; the mark makes the next start
// begin with an empty store instead of dying again.
const openingMark = "opening"

// roomToOpen is what Badger needs to go on where it was: its tables in memory, which
// are mapped files. On a full disk the system answers a write to them with SIGBUS,
// and that ends the process.
const roomToOpen = 2 * memTable

// noRoom is full, for tests to fill a disk.
var noRoom = full

// open opens Badger; a panic in this goroutine is an error like others. Without room
// on the disk the store is made in memory, empty: the journal fills it, and the records
// can be read until there is room again. What is on the disk stays for the next start.
func (s *Store) open() (db *badger.DB, err error) {
	if s.memory = noRoom(s.dir); s.memory {
		s.logger.Warn("the disk is full, so the views are kept in memory")
		return badger.Open(s.options().WithDir("").WithValueDir("").WithInMemory(true).WithValueThreshold(1 << 20))
	}
	mark := filepath.Join(s.dir, openingMark)
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("badger panicked: %T", r)
		}
		if rerr := os.Remove(mark); err == nil && rerr != nil {
			db.Close()
			db, err = nil, rerr
		}
	}()
	return badger.Open(s.options())
}

// beheaded reports what Badger must not be shown: tables without the MANIFEST
// that lists them (its header alone is 16 bytes) or without the registry of
// their keys, and a store whose last opening ended the process.
func (s *Store) beheaded() (bool, error) {
	tables, err := filepath.Glob(filepath.Join(s.dir, "*.sst"))
	if err != nil {
		return false, err
	}
	if _, err := os.Stat(filepath.Join(s.dir, openingMark)); err == nil {
		return !s.inUse(), nil
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
	if !s.memory {
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
	return errStore(s.db.Close())
}

// View runs fn on a snapshot. It may be called inside fn.
func (s *Store) View(fn func(oplog.StoreReader) error) error {
	s.use.enter()
	defer s.use.leave()
	if s.db.IsClosed() {
		return fault.New(fault.Unavailable, "fault.oplog.closed")
	}
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	return fn(reader{txn})
}

// Begin opens the writing transaction. It must not overlap a DropAll, which
// the journal's single writer sees to.
func (s *Store) Begin() (oplog.StoreTx, error) {
	s.use.enter()
	defer s.use.leave()
	if s.db.IsClosed() {
		return nil, fault.New(fault.Unavailable, "fault.oplog.closed")
	}
	txn := s.db.NewTransaction(true)
	return &tx{reader{txn}}, nil
}

type reader struct{ txn *badger.Txn }

func (r reader) Get(key []byte) ([]byte, error) {
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

func (r reader) Scan(prefix, from []byte, fn func(k, v []byte) error) error {
	opt := badger.DefaultIteratorOptions
	opt.Prefix = prefix
	opt.PrefetchSize = 32
	it := r.txn.NewIterator(opt)
	defer it.Close()
	if bytes.Compare(from, prefix) <= 0 {
		from = prefix
	}
	for it.Seek(from); it.ValidForPrefix(prefix); it.Next() {
		item := it.Item()
		err := item.Value(func(v []byte) error { return fn(item.Key(), v) })
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

func (t *tx) Put(key, value []byte) error { return tooBig(t.txn.Set(key, value)) }
func (t *tx) Delete(key []byte) error     { return tooBig(t.txn.Delete(key)) }
func (t *tx) Commit() error               { return tooBig(t.txn.Commit()) }
func (t *tx) Discard()                    { t.txn.Discard() }

func tooBig(err error) error {
	if errors.Is(err, badger.ErrTxnTooBig) {
		return fmt.Errorf("%w: %w", oplog.ErrTxTooBig, err)
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
