package badgerstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/ristretto/v2/z"

	"github.com/waypost/waypost/appliance/fault"
)

// nextFolder holds the tables that Bulk makes while the old ones are still read. A
// folder that has it was left in the middle, and is begun anew.
const nextFolder = "next"

// Badger makes the tables of the lowest level 32 times this size, and takes twice that
// in memory for each one in the making.
const bulkTable = 64 << 10

// bulkMemTable is the smallest that values of 512 KB go with. Nothing is written to it.
const bulkMemTable = 4 << 20

// bulkWrite is what is handed to Badger at once.
const bulkWrite = 256 << 10

// bulkRoom is what the tables in the making may take beside what nobody else may have.
const bulkRoom = 16 << 20

// errAway is why a store that is not at its place, or cannot be read, is filled by
// transactions.
var errAway = errors.New("the views are not on the disk, or cannot be read there")

// errRoom ends a filling before the disk is full.
var errRoom = errors.New("no room for the views beside the old ones")

// Bulk fills a fresh store beside the old one and puts it in its place; see
// oplog.BulkStore.
func (s *Store) Bulk(fill func(put func(key, value []byte) error) error) error {
	if !s.whole() {
		return errStore(errAway)
	}
	next := filepath.Join(s.dir, nextFolder)
	err := os.RemoveAll(next)
	if err == nil {
		err = os.Mkdir(next, 0o700)
	}
	if err == nil {
		err = s.fillNext(next, fill)
	}
	if err == nil && !s.whole() { // pages of either could not be had
		err = errPages
	}
	if err != nil {
		return errStore(errors.Join(err, os.RemoveAll(next)))
	}
	return errStore(s.takeNext(next))
}

// whole reports whether the store is on the disk and every page of it was there.
func (s *Store) whole() bool {
	s.use.enter()
	defer s.use.leave()
	return s.place == onDisk && !s.lost() && !s.squeezed
}

// fillNext makes the store in the folder next and closes it.
func (s *Store) fillNext(next string, fill func(put func(key, value []byte) error) error) (err error) {
	db, err := badger.Open(s.options().WithDir(next).WithValueDir(next).WithBaseTableSize(bulkTable).WithMemTableSize(min(bulkMemTable, s.sizes.MemTable)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	w := &bulkWriter{dir: next, need: s.sizes.Floor + bulkRoom, sw: db.NewStreamWriter()}
	if err := w.sw.Prepare(); err != nil {
		return err
	}
	w.buf = z.NewBuffer(bulkWrite+bulkWrite/4, "rebuild")
	defer func() { _ = w.buf.Release() }()
	err = fill(w.put)
	if err == nil {
		err = w.write()
	}
	if err != nil {
		w.sw.Cancel()
		return err
	}
	return w.sw.Flush()
}

// bulkWriter hands pairs to Badger's stream writer. Keys with another first byte are
// a stream of their own: only within one do keys have to ascend.
type bulkWriter struct {
	dir    string
	need   uint64 // bytes that stay free
	sw     *badger.StreamWriter
	buf    *z.Buffer
	kv     pb.KV
	stream uint32
}

func (w *bulkWriter) put(key, value []byte) error {
	if len(key) == 0 {
		return fault.New(fault.Internal, "fault.oplog.internal").Wrap(badger.ErrEmptyKey)
	}
	if stream := uint32(key[0]); stream != w.stream {
		if w.stream != 0 { // its last table is written, and its builder let go
			badger.KVToBuffer(&pb.KV{StreamId: w.stream, StreamDone: true}, w.buf)
		}
		if err := w.write(); err != nil {
			return err
		}
		w.stream = stream
	}
	w.kv.Key, w.kv.Value, w.kv.StreamId, w.kv.Version = key, value, w.stream, 1
	badger.KVToBuffer(&w.kv, w.buf)
	if w.buf.LenNoPadding() >= bulkWrite {
		return w.write()
	}
	return nil
}

// write stops while there is still room: a table is a mapped file, and the system ends
// a process that writes to one on a full disk.
func (w *bulkWriter) write() error {
	if noRoom(w.dir, w.need) {
		return errRoom
	}
	err := w.sw.Write(w.buf)
	w.buf.Reset()
	return err
}

// takeNext puts the files of the folder next in the place of the store's own. It waits
// for readers. While the folder is there nothing of this counts.
func (s *Store) takeNext(next string) error {
	s.use.lock()
	defer s.use.unlock()
	if err := s.db.Close(); err != nil {
		s.logger.Warn("closing the old view store", "err", err)
	}
	err := s.wipeOld()
	if err == nil {
		err = moveFiles(next, s.dir)
	}
	if err == nil {
		err = syncFolder(s.dir)
	}
	if err == nil {
		err = os.Remove(next)
	}
	if err != nil {
		s.logger.Error("the new view store cannot take its place", "err", err)
		if err := s.wipe(); err != nil {
			return err
		}
	}
	s.fresh = err == nil // what was just written would be read from memory: that proves nothing and everybody waits
	db, oerr := s.open()
	s.fresh = false
	if oerr != nil {
		return errors.Join(err, oerr)
	}
	s.db = db
	return err
}

func moveFiles(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync() // not every system can; the process, not the power, is what this is about
	return d.Close()
}

// halfFilled reports whether the last process died inside Bulk.
func (s *Store) halfFilled() (bool, error) {
	switch _, err := os.Stat(filepath.Join(s.dir, nextFolder)); {
	case err == nil:
		return !s.inUse(), nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
}
