package oplog

import (
	"crypto/ed25519"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/files"
)

// Authority is what the journal needs to know about keys. identity implements
// it. All methods are safe for concurrent use.
type Authority interface {
	// Deployment is the id of the operation; it is bound into every signature,
	// payload and frame.
	Deployment() [16]byte
	// LogKey checks the raw body of a log's first op (kind identity.log_born)
	// against the deployment's root and returns the key its heads are signed
	// with. It faults when the log is not ours.
	LogKey(log LogID, birth []byte) (ed25519.PublicKey, error)
	// Birth makes the body (one CBOR item) of the first op of an own new log.
	Birth(nonce [16]byte) (log LogID, body []byte)
	// CompartmentKey is the key payloads of an epoch are sealed with; false when
	// this node does not hold it.
	CompartmentKey(c Compartment, area uint16, epoch uint32) (key [32]byte, ok bool)
	// CurrentEpoch is what own payloads are sealed under now.
	CurrentEpoch(c Compartment) (area uint16, epoch uint32)
	// SignHead signs with the node's key (Ed25519).
	SignHead(msg []byte) []byte
}

// Options says where a journal lies and what it is made of.
type Options struct {
	Dir        string                 // journal folder; made with mode 0700 when absent
	Files      files.FS               // the file system Dir lies on; nil = files.OS()
	Store      Store                  // where the views live; Close closes it
	Authority  Authority              // keys
	StorageKey [32]byte               // seals the file of segment keys
	Clock      clock.Clock            // nil = clock.System()
	Logger     *slog.Logger           // nil = silent
	Kinds      []Kind                 // every kind this node knows, besides those the views name
	Views      []*View                // every shared view
	FreeSpace  func() (uint64, error) // bytes left for the journal and the views; nil = statfs of Dir
	MinFree    uint64                 // writing stops below this many bytes; 0 = 48 MB
	Ballast    uint64                 // bytes of a file kept in reserve and deleted when writing stops; 0 = none
	Rebuild    bool                   // throw the views away and rebuild them now
	Later      bool                   // batches of many ops may be folded a moment after Merge has made them durable: see Late
	NewLog     bool                   // open a new own log: this folder was restored or copied
	Strain     func() (ease func())   // called when all views are made anew, and what it gives when they are; nil = nothing
	Progress   func(Progress)         // told how far reading the journal again is, while Open does and later; quick, and safe from any goroutine
}

// Log is an open journal with its views. All methods are safe for concurrent
// use. It keeps an index of the journal in memory: 24 bytes a batch and 24 a
// frame, so about 50 bytes an op when every op was saved alone and under one
// byte when they came in bulk.
type Log struct {
	journal *journal
	store   Store
	auth    Authority
	clk     clock.Clock
	logger  *slog.Logger
	engine  *engine
	room    *room

	oneTx, oneTxKeys int // bytes and keys a store transaction is trusted with

	jobs      chan *job     // to the writer
	quit      chan struct{} // closed by Close
	done      chan struct{} // closed when the writer has ended
	behind    atomic.Bool   // the views lack something that is saved
	mends     int           // writer only; tries in a row that failed
	closing   sync.Once
	later     atomic.Uint64 // ops behind the place the views have been brought up to: see late
	laterNow  chan struct{}
	mayBeLate bool
	late      []lateFrame   // where those ops lie, in order; writer only
	aheads    atomic.Uint64 // frames ever that went ahead of what was late
	anew      *anew         // all views are being made anew beside the writer; writer only
	lateSince time.Time     // the first of what is late came; writer only
	folding   time.Duration // what folding it took last; writer only
	closed    error

	progress  atomic.Pointer[Progress] // of the rebuild under way
	strain    func() func()
	tell      func(Progress)
	telling   sync.Mutex  // one report at a time, so that none overtakes another
	sortBytes int         // one buffer of a rebuild by sorting
	streaming atomic.Bool // a rebuild by sorting is under way
	soonOps   uint64      // so much of what is late is folded before a command
	anewOps   uint64      // so much and more is folded by sorting everything

	halves sync.RWMutex // readers wait while a commit in several parts is under way
	alone  bool         // the writer holds halves

	mu         sync.RWMutex // guards what follows; written by the writer only
	chains     map[LogID]*chain
	frames     []framePos
	own        LogID
	state      state
	epoch      uint64         // grows when frames move; odd while a file and the index do not agree
	expected   map[LogID]Head // held once: what is missing below is lost
	salvaged   map[Ref]bool   // ops kept from the views, by segment too
	salvagedIn map[uint64][]Ref
	rescued    map[LogID][]span // salvaged ops of own logs that lie in a newer one; see rescue.go
	scrubbed   time.Time        // end of the last pass, or opening
	scrubs     uint64
	gone       map[ID]goneRow // what the views hold under spaceGone
	destroying map[ID]bool    // by Erase, just now
	readOnly   error
	problems   []string
	noted      uint64 // notes ever made
	notes      []string
	forks      []Fork
	partings   map[LogID]uint64 // where the histories of a log part; see witness.go
	proofs     map[LogID][]evidence

	suspectMu sync.Mutex
	suspects  map[uint64]bool
	tendNow   chan struct{}
	tended    sync.WaitGroup
	worked    atomic.Uint64 // jobs of the writer since the scrub looked

	ownHurt    bool          // writer only; the own log lost ops and has no successor yet
	together   int           // commands of the last group; writer only
	clock      uint64        // writer only
	salt       [16]byte      // writer only; drawn anew with each segment
	saltSeg    uint64        // the segment salt belongs to
	unclean    bool          // set at open
	fills      atomic.Uint64 // odd while the views are being filled: nobody reads them; only the writer counts
	hooks      []func([]ID) error
	missed     map[ID]bool // subjects hooks were not told of; writer only
	missedMost int         // subjects in it; beyond, nobody is remembered
	unheard    bool        // they were not told of so many that it may be anybody; writer only
	watchMu    sync.Mutex
	watchers   map[chan struct{}]struct{}
}

// Head is how far a log is held, with the header hash of that op.
type Head struct {
	Log  LogID
	Seq  uint64
	Hash [32]byte
}

// MergeResult says what a Merge brought.
type MergeResult struct {
	Ops   int    // new ops, now durable and in the views (with Options.Later, soon)
	Forks []Fork // logs that were found with two histories
}

// Fork is proof that one log has two ops of the same number, both signed.
// HashA is ours.
type Fork struct {
	Log          LogID
	Seq          uint64
	HashA, HashB [32]byte
}

// Stats is the state of the journal, for status pages.
type Stats struct {
	Ops          uint64    // ops held, of all logs
	Segments     int       // journal files
	JournalBytes uint64    // their size together
	ReadOnly     bool      // a flush failed: nothing more is written until a restart
	Reason       string    // why, for the log; empty otherwise
	Late         uint64    // held besides, and not in the views yet, which are being brought up to date; what was written since is among them though it is shown
	Opaque       int       // ops kept and forwarded but not understood here
	OpenUnclean  bool      // the last run did not end with a closing record
	Problems     []string  // damage, forks and other things a person should know now; ids only
	Notes        []string  // what was found damaged since the start and has been mended; ids only
	Lost         uint64    // ops that were held here, are lost and wait for another node; Losses has them
	Salvaged     int       // of them, what is kept from the views
	SetAside     int       // damaged files kept
	Scrubs       uint64    // complete passes of the scrub since the start
	Scrubbed     time.Time // end of the last of them, or opening, which reads everything too
}

// Report is what Check found. Ops, Logs and Views are of one read transaction.
type Report struct {
	Sound    bool
	Ops      uint64
	Logs     []Head
	Views    string // hex digest of view versions and shared rows: equal wherever the same ops are held
	Problems []string
	Notes    []string // as in Stats
	Lost     uint64   // as in Stats

	viewsRight bool // they agree with what the journal holds
}
