package oplog

import (
	"bytes"
	"context"
	"errors"
	"slices"
)

// A log with two histories is brought together by the node that has its key (rejoin.go).
// Where that one does not, because it parted its log on purpose, was shut out, or is no
// more, nodes that hold one history would never see what only the other has. So those who
// hold a history write it again in their own logs, as witnesses: each its own half, from
// the place on where the two part, so nobody has to fetch the other half for it. To folds
// a copy by a witness is what one by the owner is: the op that was, once, whoever else
// carries it.
//
// What a witness says it could have made up, and that gives it nothing: it may write any
// op of the register anyway, under any actor. So only ops of the register and sealed ones
// are carried, never what rests on who wrote it (Kind.Bound), and a copy counts as long as both count:
// the place where it is, and the place where it was (heldAsCopy). Nobody gets an op past
// its own cut by having it carried.

// Prove takes a batch of a log of another node that a peer holds with another history, and
// looks for the place where the two part, as Rejoin does and with the same at. When it is
// found (Seq is not 0) the batch is kept as evidence and Parting knows the place. Nothing is
// written again. What only goes on where this node's own history ends is merged.
//
// Faults: those of Rejoin, but that a log of this node's own key is the stranger.
func (l *Log) Prove(ctx context.Context, raw []byte, at Branch) (out Rejoined, err error) {
	in, err := l.verify(raw, nil)
	if err != nil {
		return out, err
	}
	if l.Ours(in.log) {
		return out, errStranger(errors.New("of a log of its own this node does not ask others"))
	}
	out = Rejoined{Branch: at, Last: in.last()}
	out.Log = in.log
	if out.Joins, err = l.joins(in); err != nil || !out.Joins {
		return out, err
	}
	f, found, err := l.differs(in)
	if err != nil {
		return out, err
	}
	if !found { // one history as far as this goes
		r, err := l.Merge(ctx, raw)
		out.Ops = r.Ops
		return out, err
	}
	err = l.submit(ctx, &job{answer: make(chan error, 1), exclusive: func() error {
		if err := l.writable(); err != nil {
			return err
		}
		return l.keepFork(in, f, l.own)
	}})
	if err != nil {
		return out, err
	}
	l.parts(f.Log, f.Seq)
	out.Seq, out.Name = f.Seq, [8]byte(f.HashB[:8])
	out.End = Head{Log: in.log, Seq: in.last(), Hash: in.batch.ops[len(in.batch.ops)-1].hash}
	return out, nil
}

// differs finds the first op of a batch that joins which is another one here.
func (l *Log) differs(in *incoming) (f Fork, found bool, err error) {
	head := l.headOf(in.log)
	for seq := in.first; seq <= min(in.last(), head.Seq); seq++ {
		ours, ok := l.hashAt(in.log, seq)
		if !ok {
			return f, false, errFiles(errors.New("what is held cannot be read"))
		}
		if theirs := in.batch.ops[seq-in.first].hash; ours != theirs {
			return Fork{Log: in.log, Seq: seq, HashA: ours, HashB: theirs}, true, nil
		}
	}
	return f, false, nil
}

// Testify writes the history that is held here of another node's log again in the own one,
// from the place on where it parts from another (Parting), as a witness: the ops of the
// register that are of this node's area and not Bound, and the sealed ones, none that is held back,
// each unless some node has written it again already where it counts. left are those that
// cannot be. It does nothing while that place is not known. Faults: those of Do.
func (l *Log) Testify(ctx context.Context, log LogID) (ops, left int, err error) {
	seq, known := l.Parting(log)
	if !known || l.Ours(log) {
		return 0, 0, nil
	}
	head := l.headOf(log)
	ours, ok := l.hashAt(log, seq)
	if head.Seq < seq || !ok {
		return 0, 0, nil // only what both have
	}
	return l.carryHeld(ctx, head, Branch{Log: log, Seq: seq, Name: [8]byte(ours[:8])}, true)
}

// evidence is what a batch of another history says of where it parts, from an earlier start.
type evidence struct {
	first  uint64
	prev   [32]byte
	hashes [][32]byte
}

// parts notes the place where two histories of a log part.
func (l *Log) parts(log LogID, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.partings == nil {
		l.partings = map[LogID]uint64{}
	}
	if old, known := l.partings[log]; !known || seq < old {
		l.partings[log] = seq
	}
}

// Parting is the first op of a log that two signed histories have each in their own way,
// the lowest where there are more; false while that is not known here. Of the history held
// here and of any other all before it is the same. Safe for concurrent use.
func (l *Log) Parting(log LogID) (seq uint64, known bool) {
	l.mu.Lock()
	proofs := l.proofs[log]
	delete(l.proofs, log)
	l.mu.Unlock()
	for _, e := range proofs {
		if e.first > 1 {
			if h, ok := l.hashAt(log, e.first-1); !ok || h != e.prev {
				continue
			}
		}
		for i, theirs := range e.hashes {
			ours, ok := l.hashAt(log, e.first+uint64(i)) //nolint:gosec // an index
			if !ok {
				break
			}
			if ours != theirs {
				l.parts(log, e.first+uint64(i)) //nolint:gosec // an index
				break
			}
		}
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	seq, known = l.partings[log]
	return seq, known
}

// recallProof keeps what evidence says until somebody asks: at open what is held is not
// known yet.
func (l *Log) recallProof(b *batch) {
	e := evidence{first: b.first, prev: b.prev}
	for i := range b.ops {
		e.hashes = append(e.hashes, b.ops[i].hash)
	}
	if l.proofs == nil {
		l.proofs = map[LogID][]evidence{}
	}
	l.proofs[b.log] = append(l.proofs[b.log], e)
}

// authorOfBirth is the node that writes a log, by the log's birth.
func (e *engine) authorOfBirth(log LogID, birth []byte) (ID, bool) {
	key := e.birthOf(log, birth)
	if key == nil {
		return ID{}, false
	}
	return nodeID(key), true
}

// heldAt reports whether h holds back what was at a place of a log with that birth.
func (e *engine) heldAt(h Holding, at Ref, birth []byte) bool {
	author, ok := e.authorOfBirth(at.Log, birth)
	return ok && at.Seq > 1 && h.Held(author, at)
}

// heldAsCopy reports whether h holds back what a witness carries in o: any place where it
// was. Where it is is for isHeld.
func (e *engine) heldAsCopy(h Holding, o *stored) bool {
	if h.Digest() == [8]byte{} {
		return false
	}
	in := o.witnessed()
	if in == nil {
		return false
	}
	return e.heldAt(h, in.origin(), in.Proof[0]) || slices.ContainsFunc(in.Places, func(p place) bool {
		return e.heldAt(h, Ref{Log: p.Log, Seq: p.Seq}, p.Birth)
	})
}

// witnessed is what a witness carries in an op; nil when it is none such.
func (s *stored) witnessed() *carried {
	if !s.sealed || s.narrow {
		return nil
	}
	c := s.content()
	if c == nil || c.Kind != carriedKind || c.Version != witnessedVersion {
		return nil
	}
	return carriedIn(c)
}

// A sealed op is written again as it is, and nothing can be put around it that says where
// it was. So the witness says that beside it, in the open, about the same random subject.
// It says no more than the headers of both ops do: the old place, and the new one.
const (
	sealedAgainKind    = "oplog.sealed_again"
	sealedAgainVersion = 1
)

// sealedAgain is the body.
type sealedAgain struct {
	_     struct{} `cbor:",toarray"`
	Copy  uint64   // the number of the copy, in the same log
	Log   LogID    // where it was
	Seq   uint64
	Birth []byte // of that log
}

// again opens the fact; nil when the op is none.
func (s *stored) again() *sealedAgain {
	if s.sealed {
		return nil
	}
	c := s.content()
	if c == nil || c.Kind != sealedAgainKind || c.Version != sealedAgainVersion {
		return nil
	}
	var a sealedAgain
	if decMode.Unmarshal(c.Body, &a) != nil {
		return nil
	}
	return &a
}

// sealedAgainOf is where witnesses say that sealed ops of a subject were, by their copies.
func sealedAgainOf(ops []*stored) (out map[Ref][]*sealedAgain) {
	if !slices.ContainsFunc(ops, func(o *stored) bool { return o.narrow }) {
		return nil
	}
	for _, o := range ops {
		if a := o.again(); a != nil {
			if out == nil {
				out = map[Ref][]*sealedAgain{}
			}
			at := Ref{Log: o.ref.Log, Seq: a.Copy}
			out[at] = append(out[at], a)
		}
	}
	return out
}

// heldAsSealed is heldAsCopy for a sealed op.
func (e *engine) heldAsSealed(h Holding, o *stored, again map[Ref][]*sealedAgain) bool {
	return o.narrow && slices.ContainsFunc(again[o.ref], func(a *sealedAgain) bool {
		return e.heldAt(h, Ref{Log: a.Log, Seq: a.Seq}, a.Birth)
	})
}

// movedKeys are the rows that say of which logs witnesses carry ops in these.
func movedKeys(ops []*stored) (out [][]byte) {
	add := func(log LogID, subject ID) {
		out = append(out, slices.Concat([]byte{spaceMoved}, log[:], subject[:]))
	}
	for _, o := range ops {
		if o.opaque || o.bare {
			continue
		}
		if in := o.witnessed(); in != nil {
			add(in.Log, o.subject)
			for _, p := range in.Places {
				add(p.Log, o.subject)
			}
		} else if a := o.again(); a != nil {
			add(a.Log, o.subject)
		}
	}
	return out
}

// noteMoved writes those rows: so that what is held back or released is found without
// reading everything.
func noteMoved(s *space, ops []*stored) {
	for _, key := range movedKeys(ops) {
		s.put(key, []byte{1})
	}
}

// eachMoved walks the subjects of which witnesses carry ops that were in a log of a node
// that want names, or in one that no node here is known to write.
func (l *Log) eachMoved(want func(author ID, log LogID) bool, fn func(subject ID) error) error {
	return l.snapshot(func(r StoreReader) error {
		return r.Scan([]byte{spaceMoved}, nil, func(k, _ []byte) error {
			if len(k) != 1+len(LogID{})+len(ID{}) {
				return nil
			}
			log, subject := LogID(k[1:1+len(LogID{})]), ID(k[1+len(LogID{}):])
			if author, known := l.engine.author(log); known && !want(author, log) {
				return nil
			}
			return fn(subject)
		})
	})
}

// changedCopies lists the subjects of copies by witnesses that one of two Holdings may hold
// back.
func (l *Log) changedCopies(a, b Holding) (subjects []ID, err error) {
	err = l.eachMoved(func(author ID, log LogID) bool {
		_, was := a.From(author, log)
		_, is := b.From(author, log)
		return was || is
	}, func(subject ID) error {
		subjects = append(subjects, subject)
		return nil
	})
	return subjects, err
}

// heldCopies lists what witnesses carry of a node that is held back, under the place where
// it was, and is not held here as it was.
func (l *Log) heldCopies(h Holding, author ID) (out []HeldOp, err error) {
	var subjects []ID
	err = l.eachMoved(func(by ID, _ LogID) bool { return by == author }, func(id ID) error {
		if !slices.Contains(subjects, id) {
			subjects = append(subjects, id)
		}
		return nil
	})
	for _, id := range subjects {
		if err != nil {
			return nil, err
		}
		err = l.snapshot(func(r StoreReader) error {
			ops, _, _, err := loadOps(&space{base: r}, id)
			if err == nil {
				out = append(out, l.engine.heldCopiesIn(h, author, ops)...)
			}
			return err
		})
	}
	return out, err
}

func (e *engine) heldCopiesIn(h Holding, author ID, ops []*stored) (out []HeldOp) {
	again := sealedAgainOf(ops)
	here := func(ref Ref, same func(*stored) bool) bool {
		return slices.ContainsFunc(ops, func(o *stored) bool { return o.ref == ref && same(o) })
	}
	add := func(o HeldOp) {
		if !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	for _, o := range ops {
		if m, ok := e.moved(o); ok && m.in != nil && o.witnessed() != nil {
			by, _ := e.authorOfBirth(m.was.Log, m.in.Proof[0])
			id := m.id()
			plain := here(m.was, func(x *stored) bool { p, ok := e.moved(x); return ok && p.id() == id })
			if by == author && e.heldAsCopy(h, o) && !plain {
				add(HeldOp{Ref: m.was, Subject: o.subject, Kind: m.op.Kind, At: m.op.At.Unix()})
			}
			continue
		}
		for _, a := range again[o.ref] {
			at := Ref{Log: a.Log, Seq: a.Seq}
			by, _ := e.authorOfBirth(a.Log, a.Birth)
			plain := here(at, func(x *stored) bool { return bytes.Equal(x.plain, o.plain) })
			if o.narrow && by == author && e.heldAt(h, at, a.Birth) && !plain {
				add(HeldOp{Ref: at, Subject: o.subject, Kind: Sealed.name})
			}
		}
	}
	return out
}

// heldRecord reports whether h holds back an op as it lies in the journal.
func (l *Log) heldRecord(h Holding, r *record) bool {
	if h.Digest() == [8]byte{} {
		return false
	}
	if l.engine.isHeld(h, r.ref) {
		return true
	}
	if r.comp != Register || r.bare {
		return false
	}
	s, err := l.unseal(r)
	return err == nil && l.engine.heldAsCopy(h, s)
}

// bound reports whether an op, or what it carries, rests on who wrote it.
func (e *engine) bound(s *stored) bool {
	c := s.content()
	return c != nil && e.kinds[c.kind()].bound
}

// counts reports whether an op is not held back now, as far as it can say so itself.
func (e *engine) counts(o *stored) bool {
	h := *e.hold.Load()
	return !e.isHeld(h, o.ref) && !e.heldAsCopy(h, o)
}

// saySealedAgain says of the sealed op that comes next where it was.
func (t *Tx) saySealedAgain(d *draft, shell carried) error {
	body, err := encMode.Marshal(sealedAgain{Copy: t.g.seq + 1, Log: shell.Log, Seq: d.ref.Seq, Birth: shell.Proof[0]})
	if err != nil {
		return errInternal("payload")
	}
	plain, err := encMode.Marshal(content{Kind: sealedAgainKind, Version: sealedAgainVersion, At: t.at.Unix(), Unsure: !t.sure, Body: body})
	if err != nil {
		return errInternal("payload")
	}
	_, err = t.place(Deployment, d.subject, plain, nil)
	return err
}
