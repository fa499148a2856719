package oplog

import "errors"

// Row is one line of a view. The engine stores it under Key ‖ subject, so rows
// of two subjects never meet and a fold cannot touch another subject's rows.
// Rows with a key over MaxRowKey or a value over MaxRowValue are left out, on
// every node alike.
type Row struct{ Key, Value []byte }

// Longest key and value of a Row, in bytes.
const (
	MaxRowKey   = 1024
	MaxRowValue = 256 << 10
)

// View is one shared keyspace: a pure function of the ops of one subject. Fold
// gets the subject's ops of the view's kinds, sorted by (clock, log, sequence),
// and returns all rows of that subject; rows it no longer returns are deleted.
// It must not look at the time, at other subjects or at the order of arrival,
// and must not keep or change what it is given. Raising Version makes every
// node rebuild. A Fold that panics leaves its subject without rows in this
// view, and the node reports it.
type View struct {
	Name    string
	Version uint
	Kinds   []Kind
	Fold    func(subject ID, ops []Op) []Row
	// Erases is set on the one view that knows erasures; all its kinds lie open. It
	// tells from them (sorted, those of the subject) how the subject stands. Like
	// Fold it is pure; the deployment is what signatures are bound to.
	Erases func(deployment [16]byte, subject ID, ops []Op) Standing
}

// Reader asks questions of the views. Faults come from the store only.
type Reader interface {
	// Row is one row's value; a copy.
	Row(v *View, subject ID, key []byte) (value []byte, ok bool, err error)
	// Rows walks the rows whose key starts with prefix, in the order of key ‖
	// subject, strictly after `after` (such a joined key, nil for the start). A key
	// that is the beginning of another one sorts among its continuations; end
	// keys with a zero byte where that matters.
	// key and value are valid only inside fn. fn ends the walk with ErrStop.
	// Inside a Tx, fn must not append.
	Rows(v *View, prefix, after []byte, fn func(key []byte, subject ID, value []byte) error) error
	// Ops are the known ops of a subject, sorted by (clock, log, sequence).
	Ops(subject ID) ([]Op, error)
	// Once tells what an idempotency key wrote.
	Once(hash [16]byte) (Written, bool, error)
}

// Written is what an idempotency key wrote: the first op that carried it, and
// the hash of the request body, to tell a repeat from a different request.
type Written struct {
	Ref      Ref
	Subject  ID
	BodyHash [8]byte
}

// ErrStop ends a walk early without an error.
var ErrStop = errors.New("oplog: stop")

// ErrNoKey is how a StoreReader says that a key is absent.
var ErrNoKey = errors.New("oplog: no such key")

// Store is the ordered key-value store the views live in. It may lose its last
// transactions in a crash, but only as a suffix; the journal brings them back.
// One goroutine at a time calls Begin; View may run beside it.
type Store interface {
	// View runs fn on a consistent snapshot.
	View(fn func(StoreReader) error) error
	// Begin opens the one writing transaction.
	Begin() (StoreTx, error)
	// DropAll deletes everything.
	DropAll() error
	// Close releases the store; it is called last.
	Close() error
}

// StoreReader reads a snapshot.
type StoreReader interface {
	// Get returns a copy of the value, or ErrNoKey.
	Get(key []byte) ([]byte, error)
	// Scan walks the keys with prefix in byte order, starting at from when it is
	// larger than the prefix. k and v are valid only inside fn; ErrStop ends it.
	Scan(prefix, from []byte, fn func(k, v []byte) error) error
}

// StoreTx reads and writes; its reads see its own writes. Keys and values are
// not changed by the caller after Put. Commit and Discard end it; Discard after
// either is allowed.
type StoreTx interface {
	StoreReader
	Put(key, value []byte) error
	Delete(key []byte) error
	Commit() error
	Discard()
}

// ErrTxTooBig is what Put, Delete or Commit of a StoreTx return, wrapped, when
// the transaction holds more than the store can commit at once. The writer then
// continues in a further transaction.
var ErrTxTooBig = errors.New("oplog: store transaction too big")
