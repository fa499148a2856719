package oplog

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
)

// Defaults and sizes.
const (
	defaultMinFree = 48 << 20
	// A store transaction is trusted with this much; a store that refuses less
	// is served with smaller parts (ErrTxTooBig).
	trustedTx     = 1 << 20
	trustedTxKeys = 8000
	maxProblems   = 200
	// Replaying takes the ops of this many opened bytes at once, and the batch that
	// goes beyond them.
	replayBytes = 4 << 20
)

// Open opens the journal in o.Dir, makes it on first use (a new log with its
// birth), and brings the views up to date: behind is caught up, anything else
// is rebuilt. It takes over o.Store, also when it fails.
//
// Faults: "fault.oplog.keys" (Internal) when the segment keys cannot be opened,
// "fault.oplog.foreign" (Conflict) for another deployment's folder,
// "fault.oplog.files" and "fault.oplog.store" (Unavailable), "fault.oplog.cancelled".
// Damaged frames are no fault: they are reported in Stats and a new log is opened.
func Open(ctx context.Context, o Options) (*Log, error) {
	l, err := open(ctx, o)
	if err != nil {
		return nil, errors.Join(err, o.Store.Close())
	}
	l.scrubbed = l.clk.Now() // opening has read everything
	go l.run()
	l.tended.Go(l.tend)
	l.tended.Go(l.scrubLoop)
	l.tended.Go(l.watchRoom)
	l.tended.Go(l.rescueLoop)
	if l.mayBeLate {
		l.tended.Go(l.laterLoop)
	}
	return l, nil
}

func open(ctx context.Context, o Options) (*Log, error) {
	l, err := newLog(o)
	if err != nil {
		return nil, err
	}
	if l.journal, err = openJournal(&journal{
		dir: o.Dir, deployment: l.auth.Deployment(), storageKey: o.StorageKey, fs: cmp.Or[files.FS](o.Files, files.OS()),
		problem: l.problem, note: l.note, heads: l.headsRecord,
	}); err != nil {
		return nil, err
	}
	l.own = l.journal.ring.Own
	if err := l.scan(ctx); err != nil {
		return nil, err
	}
	if err := l.loadGone(); err != nil {
		return nil, err
	}
	l.expectViews()
	l.mendScan()
	if _, _, err := l.room.look(); err != nil {
		l.logger.Warn("asking for the room on the disk", "err", err)
	}
	l.noteRemade()
	lost, err := l.catchUp(ctx, o.Rebuild)
	if fault.ClassOf(err) == fault.Full || (err != nil && l.viewsLost()) {
		_, err = l.refill(ctx)
	}
	if err != nil {
		return nil, err
	}
	if o.NewLog || lost || l.ownNeedsSuccessor() {
		if err := l.bear(); err != nil {
			// The disk may be full or worn out; what is there can still be read.
			l.stop(err)
		}
	}
	l.findRescued()
	return l, nil
}

func newLog(o Options) (*Log, error) {
	l := &Log{
		store: o.Store, auth: o.Authority, clk: o.Clock, logger: o.Logger, room: newRoom(o),
		oneTx: trustedTx, oneTxKeys: trustedTxKeys, sortBytes: sortBytes,
		jobs: make(chan *job), quit: make(chan struct{}), done: make(chan struct{}),
		chains: map[LogID]*chain{}, gone: map[ID]goneRow{}, watchers: map[chan struct{}]struct{}{}, expected: map[LogID]Head{}, missed: map[ID]bool{},
		salvaged: map[Ref]bool{}, salvagedIn: map[uint64][]Ref{}, rescued: map[LogID][]span{}, suspects: map[uint64]bool{},
		tendNow: make(chan struct{}, 1), tell: o.Progress, strain: o.Strain,
		mayBeLate: o.Later, laterNow: make(chan struct{}, 1), missedMost: missedMost, soonOps: soonOps, anewOps: anewOps,
	}
	if l.clk == nil {
		l.clk = clock.System()
	}
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	if l.strain == nil {
		l.strain = func() func() { return func() {} }
	}
	var err error
	if l.engine, err = newEngine(o.Kinds, o.Views); err != nil {
		return nil, err
	}
	l.engine.problem, l.engine.home, l.engine.logKey = l.problem, l.auth.Deployment(), l.auth.LogKey
	l.holdFirst()
	return l, nil
}

// problem notes something a person should know, once.
func (l *Log) problem(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Contains(l.problems, what) || len(l.problems) >= maxProblems {
		return
	}
	l.problems = append(l.problems, what)
	l.logger.Error("journal problem", "what", what)
}

// stop makes the node read-only; the first reason stays.
func (l *Log) stop(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readOnly == nil {
		l.readOnly = err
		l.logger.Error("the journal can no longer be written", "err", err)
	}
}

// ownNeedsSuccessor reports whether going on with the own log could reuse a
// number: it has no birth here, a hole, or it was already running when a
// segment was damaged, so that its newest ops may be among what was lost.
func (l *Log) ownNeedsSuccessor() bool {
	c := l.chains[l.own]
	if c == nil || c.head.Seq == 0 || c.hole || c.head.Seq < l.expected[l.own].Seq {
		return true
	}
	born := l.journal.number(l.frames[c.runs[0].frame].seg)
	return slices.ContainsFunc(l.journal.damages, func(d damage) bool { return d.loss && d.segment >= born })
}

// The kind of a log's first op.
const (
	bornKind    = "identity.log_born"
	bornVersion = 1
)

// nodeID is how identity names a node: the first ten bytes of SHA-256 of a
// label and its public key. The birth of a log is about its node.
func nodeID(key ed25519.PublicKey) ID {
	sum := sha256.Sum256(append([]byte("waypost/node/1"), key...))
	return ID(sum[:10])
}

// birthKey checks the first op of a log and returns the log's key.
func birthKey(auth Authority, b *batch) (ed25519.PublicKey, error) {
	r := &b.ops[0]
	if r.comp != Deployment {
		return nil, errBatch
	}
	plain, err := openPayload(auth, r)
	if err != nil {
		return nil, err
	}
	c, err := decodeContent(plain)
	if err != nil || c.Kind != bornKind {
		return nil, errBatch
	}
	key, err := auth.LogKey(b.log, c.Body)
	if err != nil {
		return nil, errStranger(err)
	}
	if len(key) != ed25519.PublicKeySize || r.subject != nodeID(key) {
		return nil, errStranger(errors.New("a log's birth is about another node"))
	}
	return key, nil
}

// bear opens a new own log. The writer is not running yet, or calls it.
func (l *Log) bear() error {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	log, body := l.auth.Birth(nonce)
	key, err := l.auth.LogKey(log, body)
	if err != nil {
		return errStranger(err)
	}
	at, sure := l.now()
	plain, err := encMode.Marshal(content{Kind: bornKind, Version: bornVersion, At: at.Unix(), Unsure: !sure, Body: body})
	if err != nil {
		return errInternal("birth of a log")
	}
	before := l.own
	l.mu.Lock()
	l.own = log
	l.chains[log] = &chain{key: key}
	l.mu.Unlock()
	l.journal.ring.Own = log
	g, err := l.begin()
	if err == nil {
		d := g.stage(nodeID(key), Deployment, plain, nil)
		op := &stored{ref: d.ref, clock: d.clock, subject: d.subject, plain: plain}
		if g.events, err = l.engine.applyAll(&g.space, []*stored{op}); err == nil {
			err = l.commit(g)
		}
	}
	if err == nil {
		err = l.journal.saveKeys()
	}
	if err != nil {
		return err
	}
	l.ownHurt = false
	if !before.IsZero() {
		l.logger.Warn("opened a new own log", "log", log, "before", before)
	}
	return nil
}

// now is the wall time in whole milliseconds, as payloads carry it.
func (l *Log) now() (at time.Time, sure bool) {
	return time.Unix(l.clk.Now().Unix(), 0).UTC(), l.clk.Sure()
}

// catchUp brings the views to the end of the journal. lost is true when the
// views had seen ops that the journal no longer has.
func (l *Log) catchUp(ctx context.Context, rebuild bool) (lost bool, err error) {
	var s state
	var found, whole bool
	err = l.store.View(func(r StoreReader) error {
		var err error
		if s, found, err = readState(r); err == nil && found {
			whole, err = wholeRing(r, s)
		}
		return err
	})
	if err != nil {
		return false, errStore(err)
	}
	why := ""
	start := 0
	switch {
	case !found:
		why = "there are none"
	case rebuild:
		why = "asked for"
	case s.Deployment != l.auth.Deployment():
		why = "they belong to another deployment"
	case s.Schema != l.engine.viewsSchema():
		why = "this program reads ops differently"
	case !whole:
		why = "they have a hole"
		l.note("the views had a hole and were made anew")
	case l.keysArrived(s):
		why = "keys have arrived"
	case l.mostIsNew(s):
		why = "most of the journal is not in them"
	default:
		if start, lost = l.locate(s.At); lost {
			l.note("the journal lost ops that had been saved; a new log was opened and other nodes are asked for them")
		}
	}
	if found && s.Deployment == l.auth.Deployment() {
		if err := l.salvage(); err != nil {
			return lost, err // they would be gone with the views
		}
	}
	if why == "" {
		l.mu.Lock()
		l.state = s
		if lost {
			// They may have the last copy of something. What is held is applied once
			// more, which changes nothing where they had it.
			l.state.Opaque, l.state.Lacking = 0, nil
		}
		l.mu.Unlock()
		return lost, l.replay(ctx, start)
	}
	l.logger.Info("rebuilding the views", "why", why)
	_, err = l.rebuild(ctx)
	return lost, err
}

// keysArrived reports whether a payload that could not be read now could be.
func (l *Log) keysArrived(s state) bool {
	return slices.ContainsFunc(s.Lacking, func(k lack) bool {
		_, ok := l.auth.CompartmentKey(k.Comp, k.Area, k.Epoch)
		return ok
	})
}

// locate finds the frame behind a position; lost when the journal does not have it,
// and then everything is replayed. Where its segment was damaged or rewritten the
// frames after the segment's beginning are.
func (l *Log) locate(p position) (next int, lost bool) {
	if p == (position{}) {
		return 0, false
	}
	for i, f := range l.frames {
		n := l.journal.number(f.seg)
		switch {
		case n == p.Segment && f.index == p.Index:
			if tag, err := l.journal.tag(f); err == nil && tag == p.Tag {
				return i + 1, false
			}
		case n > p.Segment:
			return l.locateNear(p.Segment)
		}
	}
	return l.locateNear(p.Segment)
}

// locateNear is the first frame of a segment whose frames moved.
func (l *Log) locateNear(segment uint64) (next int, lost bool) {
	if !l.journal.damagedIn(segment) && !l.journal.rewritten(segment) {
		return 0, true
	}
	i, _ := slices.BinarySearchFunc(l.frames, segment, func(f framePos, n uint64) int {
		return cmp.Compare(l.journal.number(f.seg), n)
	})
	return i, false
}

// openRecord makes what the views keep of an op. What cannot be read is opaque;
// err says why, for a batch that can still be refused.
func (l *Log) openRecord(r *record) (s *stored, err error) {
	if s, err = l.unseal(r); err == nil && !s.bare {
		l.engine.judge(s)
	}
	return s, err
}

// unseal opens an op's payload, if it can, and does not look into it.
func (l *Log) unseal(r *record) (s *stored, err error) {
	s = &stored{ref: r.ref, clock: r.clock, subject: r.subject, supersedes: r.supersedes, bare: r.bare, sealed: r.comp != Deployment, narrow: r.comp == Narrow}
	if r.bare {
		return s, nil
	}
	if s.plain, err = openPayload(l.auth, r); err != nil {
		s.opaque, s.plain = true, nil
		if errors.Is(err, errNoKey) {
			s.lacking = &lack{Comp: r.comp, Area: r.area, Epoch: r.epoch}
		}
	}
	return s, err
}

// judge makes an op opaque that this program does not understand.
func (e *engine) judge(s *stored) {
	if _, ok := e.understand(s); !ok && !isBirth(s) && s.again() == nil {
		s.opaque, s.plain = true, nil
	}
}

// isBirth spares the first op of a log from being counted as not understood
// where no desk declares its kind.
func isBirth(s *stored) bool {
	c := s.content()
	return s.ref.Seq == 1 && c != nil && c.Kind == bornKind
}

// position names a frame for the state row.
func (l *Log) position(f framePos, tag [16]byte) position {
	return position{Segment: l.journal.number(f.seg), Index: f.index, Tag: tag}
}
