package oplog

import (
	"bytes"
	"cmp"
	"context"
	"slices"
)

// Holding says which ops do not count for now: they are stored and passed on, and no fold
// sees them. It never changes; who wants another one gives it to Log.Hold.
type Holding interface {
	// From is the first op of a log that may be held back, when any is.
	From(author ID, log LogID) (seq uint64, any bool)
	// Held reports whether an op is held back. author is the node that writes its log.
	Held(author ID, op Ref) bool
	// Digest tells one Holding from another; zero for one that holds nothing back.
	Digest() [8]byte
}

// HereHolding is a Holding that holds back more of what lies in its own log here than of
// copies of it that others carry: a log with two histories is held here with the one that
// does not count.
type HereHolding interface {
	Holding
	HeldHere(author ID, op Ref) bool
}

// Warden is an Authority that knows from the start what is held back.
type Warden interface {
	Holding() Holding // nil: nothing
}

// nothingHeld is the Holding of a journal nobody told of any.
type nothingHeld struct{}

func (nothingHeld) From(ID, LogID) (uint64, bool) { return 0, false }
func (nothingHeld) Held(ID, Ref) bool             { return false }
func (nothingHeld) Digest() [8]byte               { return [8]byte{} }

// holdFirst takes what the authority says at open.
func (l *Log) holdFirst() {
	var h Holding = nothingHeld{}
	if w, ok := l.auth.(Warden); ok && w.Holding() != nil {
		h = w.Holding()
	}
	l.engine.hold.Store(&h)
	l.engine.author = l.authorOf
}

// schema is the engine's together with what is held back: views made under another one
// are made anew.
func (e *engine) viewsSchema() [8]byte { return schemaUnder(e.schema, *e.hold.Load()) }

func schemaUnder(schema [8]byte, h Holding) [8]byte {
	d := h.Digest()
	for i := range schema {
		schema[i] ^= d[i]
	}
	return schema
}

// authorOf is the node that writes a log.
func (l *Log) authorOf(log LogID) (ID, bool) {
	if id, known := l.engine.met.Load(log); known {
		return id.(ID), true
	}
	key := l.keyOf(log)
	if key == nil {
		return ID{}, false
	}
	l.engine.meet(log, key)
	return nodeID(key), true
}

// meet remembers who writes a log: its first ops are applied before it is in the index.
func (e *engine) meet(log LogID, key []byte) { e.met.Store(log, nodeID(key)) }

// isHeld reports whether h holds an op back. The birth of a log always counts: it says no
// more than whose the log is.
func (e *engine) isHeld(h Holding, op Ref) bool {
	if op.Seq == 1 || h.Digest() == [8]byte{} {
		return false
	}
	author, known := e.author(op.Log)
	return known && heldPlain(h, author, op)
}

// heldPlain reports whether an op is held back in its own log.
func heldPlain(h Holding, author ID, op Ref) bool {
	if h.Held(author, op) {
		return true
	}
	here, ok := h.(HereHolding)
	return ok && here.HeldHere(author, op)
}

// counting leaves out what is held back.
func (e *engine) counting(h Holding, ops []*stored) []*stored {
	if h.Digest() == [8]byte{} {
		return ops
	}
	again := sealedAgainOf(ops)
	held := func(o *stored) bool {
		return e.isHeld(h, o.ref) || e.heldAsCopy(h, o) || e.heldAsSealed(h, o, again)
	}
	if !slices.ContainsFunc(ops, held) {
		return ops
	}
	return slices.DeleteFunc(slices.Clone(ops), held)
}

// Hold makes h what is held back from now on. Views follow at once: what is held back goes
// out of them, what is released comes back. It returns at once when h says what is said
// already. Faults: those of the store and the files, "fault.oplog.cancelled",
// "fault.oplog.closed".
func (l *Log) Hold(ctx context.Context, h Holding) error {
	if h == nil {
		h = nothingHeld{}
	}
	if (*l.engine.hold.Load()).Digest() == h.Digest() {
		return nil
	}
	return l.submit(ctx, &job{answer: make(chan error, 1), exclusive: func() error { return l.rehold(h) }})
}

// heldPart is how many subjects are folded in one transaction.
const heldPart = 500

// rehold folds every subject again of which an op is held back that was not, or the other
// way round. The state says which Holding the views are of with the last part, so a cut on
// the way makes the next start make them anew.
func (l *Log) rehold(h Holding) error {
	if err := l.mendViews(); err != nil {
		return err
	}
	was := *l.engine.hold.Load()
	subjects, err := l.changedBy(was, h)
	if err != nil {
		return err
	}
	for first := true; first || len(subjects) > 0; first = false {
		part := subjects[:min(len(subjects), heldPart)]
		subjects = subjects[len(part):]
		if err := l.reholdPart(was, h, part, len(subjects) == 0); err != nil {
			return err
		}
	}
	l.wake()
	return nil
}

func (l *Log) reholdPart(was, now Holding, subjects []ID, last bool) error {
	g, err := l.begin()
	if err != nil {
		return err
	}
	defer func() { g.tx.Discard() }()
	e := l.engine
	for _, id := range subjects {
		ops, _, _, err := loadOps(&g.space, id)
		if err != nil {
			return err
		}
		before, after := e.seenUnder(was, id, ops), e.seenUnder(now, id, ops)
		e.refold(&g.space, id, before, after)
		if err := e.noteStanding(&g.space, id, before.standing, after.standing, ops, false); err != nil {
			return err
		}
		for _, o := range ops {
			switch held := e.isHeld(now, o.ref) || e.heldAsCopy(now, o); {
			case after.standing.Erased:
			case held:
				err = e.forgetOnce(&g.space, o)
			case e.isHeld(was, o.ref) || e.heldAsCopy(was, o):
				err = e.claimOnce(&g.space, o)
			}
			if err != nil {
				return err
			}
		}
	}
	g.events = subjects
	if last {
		l.mu.Lock()
		l.state.Schema = schemaUnder(e.schema, now)
		l.mu.Unlock()
		e.hold.Store(&now)
	}
	if err := l.saveState(g); err != nil {
		return err
	}
	l.tellHooks(g.events)
	return nil
}

// changedBy lists the subjects of the ops that one Holding holds back and the other does not.
func (l *Log) changedBy(a, b Holding) (subjects []ID, err error) {
	known := map[ID]bool{}
	err = l.eachHeld(a, b, func(r *record, author ID) {
		if heldPlain(a, author, r.ref) != heldPlain(b, author, r.ref) && !known[r.subject] {
			known[r.subject] = true
			subjects = append(subjects, r.subject)
		}
	})
	if err != nil {
		return nil, err
	}
	copies, err := l.changedCopies(a, b)
	for _, id := range copies {
		if !known[id] {
			known[id] = true
			subjects = append(subjects, id)
		}
	}
	return subjects, err
}

// eachHeld walks the ops that either may hold back.
func (l *Log) eachHeld(a, b Holding, fn func(r *record, author ID)) error {
	type piece struct {
		run
		log    LogID
		author ID
		from   uint64
	}
	var pieces []piece
	l.mu.RLock()
	for log, c := range l.chains {
		if c.key == nil {
			continue
		}
		author := nodeID(c.key)
		from, any := a.From(author, log)
		if f, also := b.From(author, log); also && (!any || f < from) {
			from, any = f, true
		}
		if !any {
			continue
		}
		for _, r := range c.runs {
			if r.last >= from {
				pieces = append(pieces, piece{r, log, author, max(from, 2)})
			}
		}
	}
	l.mu.RUnlock()
	for _, p := range pieces {
		b, err := l.held(p.run, p.log)
		if err != nil {
			return err
		}
		for i := range b.ops {
			if r := &b.ops[i]; r.ref.Seq >= p.from {
				fn(r, p.author)
			}
		}
	}
	return nil
}

// HeldOp is one op that is held back, as far as it can be read here.
type HeldOp struct {
	Ref
	Subject ID
	Kind    string // empty when it cannot be read here
	At      int64  // Unix seconds, as its writer's clock was
}

// HeldBack lists the ops of a node that are held back, by log and number. Of what a witness
// wrote again and is not held here as it was, it names the place where it was.
func (l *Log) HeldBack(author ID) ([]HeldOp, error) {
	h := *l.engine.hold.Load()
	var out []HeldOp
	err := l.eachHeld(h, nothingHeld{}, func(r *record, by ID) {
		if by != author || !heldPlain(h, by, r.ref) {
			return
		}
		o := HeldOp{Ref: r.ref, Subject: r.subject}
		if s, _ := l.openRecord(r); !s.opaque && !s.bare {
			if op, ok := l.engine.understand(s); ok {
				o.Kind, o.At = op.Kind, op.At.Unix()
			}
		}
		out = append(out, o)
	})
	if err != nil {
		return nil, err
	}
	copies, err := l.heldCopies(h, author)
	out = append(out, copies...)
	slices.SortStableFunc(out, func(a, b HeldOp) int {
		return cmp.Or(compareRefs(a.Ref, b.Ref), bytes.Compare(a.Subject[:], b.Subject[:]), cmp.Compare(a.At, b.At))
	})
	return slices.Compact(out), err
}
