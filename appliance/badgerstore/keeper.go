package badgerstore

import (
	"errors"
	"runtime"
	"runtime/debug"

	"github.com/dgraph-io/badger/v4"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// place is where an open store is.
type place int

const (
	onDisk   place = iota
	frozen         // on the disk, opened for reading only: nothing of it writes
	inMemory       // the disk is full and what is on it could not be opened so
)

var _ oplog.Keeper = (*Store)(nil)

// Lost reports whether a page of the store's files could not be had. From then on every
// use faults with Unavailable "fault.oplog.store" until DropAll.
func (s *Store) Lost() bool {
	s.use.enter()
	defer s.use.leave()
	return s.lost()
}

// lost is Lost for those who have entered.
func (s *Store) lost() bool {
	return s.place != inMemory && (pagesLost() != s.pages || s.faulted.Load())
}

// Away reports whether the store is not at its place because the disk was full, and
// whether it takes transactions all the same.
func (s *Store) Away() (away, writable bool) {
	s.use.enter()
	defer s.use.leave()
	return s.place != onDisk, s.place != frozen
}

// Return opens what is on the disk again, for writing. What is in memory is given up, so
// the journal has to bring the views up to date. It waits for readers.
func (s *Store) Return() error {
	s.use.lock()
	defer s.use.unlock()
	s.squeezed = false
	if err := s.db.Close(); err != nil {
		s.logger.Warn("closing the view store", "err", err)
	}
	db, err := s.openOrAnew()
	if err != nil {
		return errStore(err)
	}
	s.db = db
	return nil
}

var errPages = errors.New("pages of the view store could not be had: the disk is full or failing")

func errLost() error { return fault.New(fault.Unavailable, "fault.oplog.store").Wrap(errPages) }

// errNoRoom makes the next opening begin in memory: what is on the disk cannot be
// brought up to date.
func (s *Store) errNoRoom() error {
	s.squeezed = true
	return fault.New(fault.Full, "fault.oplog.disk_full").Wrap(errors.New("no room for the views"))
}

// guard ends every read. Bytes of a page that could not be had are zeros, which may make
// Badger panic or be taken for an answer: both become the fault. Where no handler puts
// that page there (bus_other.go) the fault itself is a panic. Other panics go on.
func (s *Store) guard(err *error) {
	r := recover()
	if _, isFault := r.(interface{ Addr() uintptr }); isFault {
		if _, ok := r.(runtime.Error); ok {
			s.faulted.Store(true)
		}
	}
	switch {
	case s.lost():
		*err = errLost()
	case r != nil:
		panic(r)
	}
}

// faultsPanic makes a page that cannot be had a panic in this goroutine, where the
// handler is not there to mend it.
func (s *Store) faultsPanic() {
	if !s.mended {
		debug.SetPanicOnFault(true)
	}
}

// iteratorOptions read values ahead only where a goroutine of Badger's survives it.
func (s *Store) iteratorOptions(prefix []byte) badger.IteratorOptions {
	opt := badger.DefaultIteratorOptions
	opt.Prefix, opt.PrefetchSize, opt.PrefetchValues = prefix, 32, s.mended
	return opt
}
