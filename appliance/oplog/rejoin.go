package oplog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// Branch says where a log of this node has a second history, which some other node
// holds. The zero Branch of a log is one that has not been found yet.
type Branch struct {
	Log  LogID
	Seq  uint64  // the first op that differs; 0 = not found yet
	Name [8]byte // of the other history; see carried
	End  Head    // how far that was taken
}

// Rejoined is what a batch of the other history told.
type Rejoined struct {
	Branch
	Joins bool   // the op before the batch is held here, or it was found before
	Last  uint64 // the last op of the batch
	Ops   int    // written again
	Left  int    // ops held here behind the parting that are too large for it
}

// Ours reports whether a log is of this node's own key: one it writes, or wrote before.
func (l *Log) Ours(log LogID) bool {
	key := l.keyOf(log)
	return key != nil && key.Equal(l.keyOf(l.Own()))
}

// Rejoin takes a batch of a log of this node's own key that another node holds with
// another history: this folder was copied, or put back from an old copy, and both went
// on. at is what the batch before it told. A batch that begins behind the parting tells
// only that (Joins is false): then ask for an earlier one. From the parting on both
// histories are written again under the new own log, each op as it was and once,
// however often it is given: so every node gets both, and those who hold either see
// each op once. It is reported like a fork that Merge meets.
//
// Faults: Invalid "fault.oplog.bad_batch", Denied "fault.oplog.stranger" for a log of
// another key, and those of Do.
func (l *Log) Rejoin(ctx context.Context, raw []byte, at Branch) (out Rejoined, err error) {
	in, err := l.verify(raw, nil)
	if err != nil {
		return out, err
	}
	if !l.Ours(in.log) {
		return out, errStranger(errors.New("a log of another node cannot be rejoined"))
	}
	out = Rejoined{Branch: at, Joins: at.Seq > 0, Last: in.last()}
	out.Log = in.log
	if at.Seq > 0 && (in.log != at.Log || in.first != at.End.Seq+1 || in.prev != at.End.Hash) {
		return out, errBadBatch(errors.New("this is not how that history goes on"))
	}
	if at.Seq == 0 {
		if out.Joins, err = l.joins(in); err != nil || !out.Joins {
			return out, err
		}
		if out.Ops, out.Left, err = l.part(ctx, in, &out.Branch); err != nil {
			return out, err
		}
		if out.Seq == 0 { // one history as far as this goes
			r, err := l.Merge(ctx, raw)
			out.Ops = r.Ops
			return out, err
		}
	}
	n, _, err := l.carry(ctx, in.batch, out.Branch, false)
	out.Ops += n
	out.End = Head{Log: in.log, Seq: in.last(), Hash: in.batch.ops[len(in.batch.ops)-1].hash}
	return out, err
}

// joins reports whether the op before a batch is the one that is held.
func (l *Log) joins(in *incoming) (bool, error) {
	if in.first == 1 {
		return true, nil
	}
	if in.first-1 > l.headOf(in.log).Seq {
		return false, nil
	}
	h, ok := l.hashAt(in.log, in.first-1)
	if !ok {
		return false, errFiles(errors.New("what is held cannot be read"))
	}
	return h == in.prev, nil
}

// part looks for the parting inside a batch that joins. Where it is found, the proof is
// kept, the own log is given up if it is this one, and what was written here since then
// is written again.
func (l *Log) part(ctx context.Context, in *incoming, at *Branch) (n, left int, err error) {
	f, found, err := l.differs(in)
	if err != nil || !found {
		return 0, 0, err
	}
	at.Seq, at.Name = f.Seq, [8]byte(f.HashB[:8])
	err = l.submit(ctx, &job{answer: make(chan error, 1), exclusive: func() error {
		if err := l.writable(); err != nil {
			return err
		}
		return l.keepFork(in, f, l.own)
	}})
	if err != nil {
		return 0, 0, err
	}
	l.parts(f.Log, f.Seq)
	head := l.headOf(in.log) // nothing is written there any more
	return l.carryHeld(ctx, head, Branch{Log: in.log, Seq: f.Seq, Name: [8]byte(f.HashA[:8])}, false)
}

// carryHeld writes again what is held of a log from the parting on; as a witness where it
// is another node's.
func (l *Log) carryHeld(ctx context.Context, head Head, at Branch, witness bool) (total, left int, err error) {
	for after := at.Seq - 1; after < head.Seq; {
		raw, last, err := l.Range(at.Log, after, carriedOps, carriedBytes)
		if err != nil || len(raw) == 0 {
			return total, left, err
		}
		b, err := parseBatch(raw)
		if err != nil {
			return total, left, errFiles(err)
		}
		b.link()
		n, more, err := l.carry(ctx, b, at, witness)
		total, left = total+n, left+more
		if err != nil {
			return total, left, err
		}
		after = last
	}
	return total, left, nil
}

// What is written again with one command: with what carries it within its limits, also
// when the payloads were packed well.
const (
	carriedOps   = 200
	carriedBytes = 64 << 10
	carriedPlain = commandBytes / 2
)

// carry writes the ops of a batch from at.Seq on again, those that were not before. left are
// those that cannot be.
func (l *Log) carry(ctx context.Context, b *batch, at Branch, witness bool) (total, left int, err error) {
	for {
		shell, under, err := l.shell(at)
		if err != nil {
			return total, 0, err
		}
		if witness {
			shell.version = witnessedVersion
		}
		c := &carrying{l: l, shell: shell, under: under}
		err = c.batch(ctx, b, at.Seq)
		if err == nil {
			err = c.write(ctx)
		}
		c.tell()
		if total += c.total; !errors.Is(err, errNewerLog) {
			return total, c.left, err
		}
	}
}

// errNewerLog tells that the own log is not the one any more whose birth is in what was
// to be written: nobody would understand it. It never leaves this package.
var errNewerLog = errors.New("a newer own log was opened")

// carrying writes ops again, some with each command.
type carrying struct {
	l     *Log
	shell carried
	under LogID // whose birth the shell has
	some  []*draft
	size  int
	total int // written
	left  int // that cannot be written again
}

// witness reports whether the log is another node's.
func (c *carrying) witness() bool { return c.shell.version == witnessedVersion }

// mine reports whether an op is one that a witness writes again: not what rests on who
// wrote it, and not from an area that this node would carry it out of.
func (c *carrying) mine(r *record) bool {
	switch r.comp {
	case Narrow:
		return true
	case Register:
		area, _ := c.l.auth.CurrentEpoch(Register)
		return r.area == area
	}
	return false
}

// batch takes the ops of a batch from a sequence on.
func (c *carrying) batch(ctx context.Context, b *batch, from uint64) error {
	for i := range b.ops {
		r := &b.ops[i]
		if r.ref.Seq < from || r.bare || c.witness() && !c.mine(r) {
			continue
		}
		s, err := c.l.unseal(r)
		if err != nil {
			c.cannot(r.ref, err)
			continue
		}
		if err := c.add(ctx, s, r.comp); err != nil {
			return err
		}
	}
	return nil
}

// add takes one op, unless it must stay where it is.
func (c *carrying) add(ctx context.Context, s *stored, comp Compartment) error {
	if comp != Deployment && c.l.refuses(s.subject) || c.witness() && !c.l.engine.counts(s) {
		return nil
	}
	if c.witness() && c.l.engine.bound(s) {
		return nil
	}
	plain, err := carriedOf(s, c.shell)
	if err != nil {
		c.cannot(s.ref, err)
		return nil
	}
	if plain == nil {
		return nil
	}
	c.some = append(c.some, &draft{record: record{ref: s.ref, subject: s.subject, comp: comp}, plain: plain})
	if c.size += len(plain) + opOverhead; len(c.some) < carriedOps && c.size < carriedPlain {
		return nil
	}
	return c.write(ctx)
}

// cannot notes an op that nobody else can write again either: it stays with those who
// hold it.
func (c *carrying) cannot(ref Ref, err error) {
	c.l.logger.Warn("an op cannot be written again", "op", ref, "err", err)
	c.left++
}

// write writes what was taken.
func (c *carrying) write(ctx context.Context) error {
	some := c.fresh()
	if c.some, c.size = nil, 0; len(some) == 0 {
		return nil
	}
	n, err := c.l.carrySome(ctx, some, c.shell, c.under)
	c.total += n
	return err
}

// tell notes what was written, once for all of it: there is room for few notes.
func (c *carrying) tell() {
	if c.total == 0 {
		return
	}
	why := fmt.Sprintf("has two histories: %d ops of history %x", c.total, c.shell.History)
	if c.shell.History == stranded {
		why = fmt.Sprintf("lost ops: %d that no other node could have had from here", c.total)
	}
	c.l.note(fmt.Sprintf("log %s %s were written again", c.shell.Log, why))
}

// fresh leaves out what was written again before, which is all of a hole that stays: the
// writer is not kept for that, and a full disk is no fault of it.
func (c *carrying) fresh() []*draft {
	if c.l.fills.Load()%2 == 1 {
		return c.some
	}
	var out []*draft
	err := c.l.snapshot(func(r StoreReader) error {
		for _, d := range c.some {
			done, err := c.l.carries(&space{base: r}, d, c.shell)
			if err != nil {
				return err
			}
			if !done {
				out = append(out, d)
			}
		}
		return nil
	})
	if err != nil {
		return c.some // the writer mends the views first
	}
	return out
}

// shell is what all ops of a branch are carried in, under the own log. That must not be
// the one that parted.
func (l *Log) shell(at Branch) (out carried, under LogID, err error) {
	out, under = carried{Log: at.Log, History: at.Name}, l.Own()
	for i, log := range []LogID{at.Log, under} {
		if out.Proof[i], err = l.birth(log); err != nil {
			return out, under, err
		}
	}
	return out, under, nil
}

// birth is the body of the first op of a log.
func (l *Log) birth(log LogID) ([]byte, error) {
	raw, _, err := l.Range(log, 0, 1, 0)
	if err != nil {
		return nil, err
	}
	b, err := parseBatch(raw)
	if err != nil {
		return nil, errFiles(err)
	}
	s, err := l.unseal(&b.ops[0])
	if err != nil || !isBirth(s) {
		return nil, errFiles(errors.New("the birth of a log cannot be read"))
	}
	return s.content().Body, nil
}

// carriedOf is the payload that carries an op; nil when the op must stay where it is.
func carriedOf(s *stored, shell carried) ([]byte, error) {
	c := s.content()
	switch {
	case c == nil:
		return nil, errPayload
	case s.narrow: // nothing can be put around what nobody here opens: it is written again as it is
		return s.plain, nil
	case c.Kind == bornKind, c.Kind == sealedAgainKind:
		return nil, nil
	case c.Kind == carriedKind: // from an earlier parting: it keeps its place, and is found by this one
		in := carriedIn(c)
		if in == nil {
			return nil, errPayload
		}
		in.Places = append(in.Places, place{Log: s.ref.Log, Seq: s.ref.Seq, History: shell.History, Birth: shell.Proof[0]})
		in.Places = in.Places[max(0, len(in.Places)-maxPlaces):]
		in.Proof[1], in.version = shell.Proof[1], max(in.version, shell.version)
		inner := *c
		inner.Kind, inner.Version, inner.Body = in.Kind, in.Version, in.Body
		return in.pack(&inner)
	}
	shell.Seq, shell.Clock, shell.Supersedes = s.ref.Seq, s.clock, s.supersedes
	return shell.pack(c)
}

// carrySome writes what is not carried by this node yet.
func (l *Log) carrySome(ctx context.Context, some []*draft, shell carried, under LogID) (n int, err error) {
	err = l.Do(ctx, By{}, func(t *Tx) error {
		if n = 0; t.g.l.own != under {
			return errNewerLog
		}
		seen := map[Ref]bool{} // batches may overlap; to fold after each op would take long
		for _, d := range some {
			done, err := l.carries(&t.g.space, d, shell)
			if err != nil {
				return err
			}
			if done || seen[d.ref] || d.comp != Deployment && t.g.l.refuses(d.subject) { // erased meanwhile
				continue
			}
			if d.comp == Narrow && shell.version == witnessedVersion {
				if err := t.saySealedAgain(d, shell); err != nil {
					return err
				}
			}
			if _, err := t.place(d.comp, d.subject, d.plain, nil); err != nil {
				return err
			}
			seen[d.ref] = true
			n++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// carries reports whether an op with this payload was written by this node before, in
// a log with one history: what lies in another is not everywhere. To a witness another node
// is as good, as long as its copy counts.
func (l *Log) carries(s *space, d *draft, shell carried) (bool, error) {
	witness := shell.version == witnessedVersion
	ops, _, _, err := loadOps(s, d.subject)
	if err != nil {
		return false, err
	}
	var want *carried
	for _, o := range ops {
		if o.ref.Log == shell.Log || !witness && !l.Ours(o.ref.Log) || l.parted(o.ref.Log) || witness && !l.engine.counts(o) {
			continue
		}
		if o.opaque {
			o = l.readAgain(o.ref)
		}
		if d.comp == Narrow {
			if o.narrow && bytes.Equal(o.plain, d.plain) {
				return true, nil
			}
			continue
		}
		c := o.content()
		if c == nil || c.Kind != carriedKind {
			continue
		}
		if want == nil {
			if want = wanted(d.plain); want == nil {
				return false, nil
			}
		}
		if sameCarried(c, d.plain, want) && l.engine.proves(o) {
			return true, nil
		}
	}
	return false, nil
}

// wanted opens what a draft carries; nil when it carries nothing.
func wanted(plain []byte) *carried {
	c, err := decodeContent(plain)
	if err != nil {
		return nil
	}
	return carriedIn(&c)
}

// readAgain opens an op as it lies in the journal: the views do not keep what they do not
// understand. What cannot be read is opaque.
func (l *Log) readAgain(ref Ref) *stored {
	out := &stored{ref: ref, opaque: true}
	l.mu.RLock()
	var r run
	c := l.chains[ref.Log]
	ok := c != nil
	if ok {
		var i int
		if i, ok = c.find(ref.Seq); ok {
			r = c.runs[i]
		}
	}
	l.mu.RUnlock()
	if !ok {
		return out
	}
	if b, err := l.held(r, ref.Log); err == nil {
		out, _ = l.unseal(&b.ops[ref.Seq-b.first])
	}
	return out
}

// proves reports whether other nodes understand who carries an op.
func (e *engine) proves(o *stored) bool {
	c := o.content()
	if c == nil {
		return false
	}
	in := carriedIn(c)
	return in != nil && e.proven(o, in)
}

// parted reports whether a log is known to have two histories.
func (l *Log) parted(log LogID) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.ContainsFunc(l.forks, func(f Fork) bool { return f.Log == log })
}

// sameCarried reports whether an op carries what a payload would: under whichever log of
// this node.
func sameCarried(c *content, plain []byte, want *carried) bool {
	a := carriedIn(c)
	if a == nil || a.Log != want.Log || a.Seq != want.Seq { // nearly all of them
		return false
	}
	d, err := decodeContent(plain)
	if err != nil {
		return false
	}
	b := *want
	a.Proof, b.Proof, b.version = [2][]byte{}, [2][]byte{}, a.version
	x, err := a.pack(&content{Kind: a.Kind, Version: a.Version, Body: a.Body, By: c.By, At: c.At, Unsure: c.Unsure, Once: c.Once})
	y, yerr := b.pack(&content{Kind: b.Kind, Version: b.Version, Body: b.Body, By: d.By, At: d.At, Unsure: d.Unsure, Once: d.Once})
	return err == nil && yerr == nil && bytes.Equal(x, y)
}
