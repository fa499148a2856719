package oplog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// A log of this node that lost ops has a successor, but two things of it stay where no
// other node can get at them: what is held behind the hole, because a chain is taken up
// to where it breaks, and what only the views had, because its signatures are gone. When
// no other node fills the hole, the node that has the key writes both again under its
// new log, as it does with a second history (rejoin.go). An op that comes back after all
// is there twice and seen once.
//
// Of other nodes' logs nothing can be written again: who wrote an op is proved by the
// log that holds it.

// rescueWait is how long other nodes have to fill a hole, at least. What they fill need
// not be written twice.
const rescueWait = 10 * time.Minute

// stranded stands in place of a history: these ops have none but their own.
var stranded = [8]byte([]byte("stranded"))

// rescueLoop looks from time to time whether something has to be written again: what
// looks as it did the last time. A hole that was found since, or is being filled, waits,
// and a log of which all is written again is not read once more.
func (l *Log) rescueLoop() {
	seen, done := l.looks(), map[LogID]look{}
	for {
		select {
		case <-l.quit:
			return
		case <-l.clk.After(rescueWait):
		}
		now := l.looks()
		for log, is := range now {
			if seen[log] != is || done[log] == is {
				continue
			}
			_, err := l.rescueAll(context.Background(), is.head)
			if l.logFault("writing again what no other node can have", err); err == nil {
				done[log] = is
			}
		}
		seen = now
	}
}

// look is what a rescue of a log depends on.
type look struct {
	head  Head
	own   LogID
	epoch uint64 // where frames are
	forks int
	gone  int // subjects
}

// looks are those of the logs that lost something.
func (l *Log) looks() map[LogID]look {
	hurt, out := l.hurt(), map[LogID]look{}
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, h := range hurt {
		out[h.Log] = look{h, l.own, l.epoch, len(l.forks), len(l.gone)}
	}
	return out
}

// Rescue writes again, under the own log, what is held of this node's earlier logs behind
// what they lost, and what only the views had of them. What was written again before is
// not written twice. It happens by itself some time after a loss; ops is how many were
// written now. Faults: those of Do.
func (l *Log) Rescue(ctx context.Context) (ops int, err error) {
	for _, h := range l.hurt() {
		n, err := l.rescueAll(ctx, h)
		ops += n
		if err != nil {
			return ops, err
		}
	}
	return ops, nil
}

// rescueAll rescues a log, and goes on when a newer own log is opened on the way.
func (l *Log) rescueAll(ctx context.Context, at Head) (ops int, err error) {
	for {
		n, err := l.rescue(ctx, at)
		if ops += n; !errors.Is(err, errNewerLog) {
			return ops, err
		}
	}
}

// hurt lists the heads of logs that lost something, the own one left out: it is whole,
// or has a successor in a moment.
func (l *Log) hurt() []Head {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var out []Head
	for _, h := range l.tops() {
		c := l.chains[h.Log]
		switch {
		case h.Log == l.own:
		case c == nil:
			out = append(out, Head{Log: h.Log})
		case c.hole || c.head.Seq < h.Seq:
			out = append(out, Head{Log: h.Log, Seq: c.head.Seq})
		}
	}
	return out
}

func (l *Log) rescue(ctx context.Context, at Head) (int, error) {
	runs := l.behindHole(at)
	if len(runs) == 0 && !l.salvagedOf(at.Log) {
		return 0, nil
	}
	under := l.Own()
	shell, ours, err := l.strandedShell(at, under)
	if err != nil || !ours {
		return 0, err
	}
	c := &carrying{l: l, shell: shell, under: under}
	defer c.tell()
	for _, r := range runs {
		b, err := l.held(r, at.Log)
		if err != nil {
			l.logger.Warn("ops behind a hole cannot be read", "log", at.Log, "first", r.first, "err", err)
			continue // it is looked at, and what the views have of it is saved
		}
		if err := c.batch(ctx, b, at.Seq+1); err != nil {
			return c.total, err
		}
	}
	err = l.eachSalvaged(at.Log, func(saved []*stored) error {
		var safe []uint64
		for _, s := range saved {
			left := c.left
			if err := c.add(ctx, s, compartmentOf(s)); err != nil {
				return err
			}
			if c.left == left {
				safe = append(safe, s.ref.Seq)
			}
		}
		if err := c.write(ctx); err != nil {
			return err
		}
		l.noteRescued(at.Log, safe)
		return nil
	})
	if err == nil {
		err = c.write(ctx)
	}
	return c.total, err
}

// rescueFrom rescues a log of this node before a batch fills its hole with numbers of
// another history: two boxes wrote on from one folder. What lies behind the hole, and
// what only the views have, would be taken for held, and be nowhere.
func (l *Log) rescueFrom(ctx context.Context, in *incoming) error {
	head := l.headOf(in.log)
	if own := l.Own(); in.last() <= head.Seq || in.log == own || !in.key.Equal(l.keyOf(own)) {
		return nil
	}
	if differs, err := l.strandedDiffers(in); err != nil || !differs {
		return err
	}
	_, err := l.rescueAll(ctx, Head{Log: in.log, Seq: head.Seq})
	return err
}

// strandedDiffers reports whether a batch has other ops than a log has behind its hole,
// or does not join them, or than the views had.
func (l *Log) strandedDiffers(in *incoming) (bool, error) {
	var saved []*stored // as the batch has them
	l.mu.RLock()
	for _, s := range in.ops {
		if l.salvaged[s.ref] && !l.holds(s.ref) && !s.bare {
			saved = append(saved, s)
		}
	}
	l.mu.RUnlock()
	last := in.batch.ops[len(in.batch.ops)-1].hash
	for _, r := range l.behindHole(Head{Log: in.log, Seq: in.first - 1}) {
		if r.first > in.last()+1 {
			break
		}
		b, err := l.held(r, in.log)
		if err != nil {
			continue // it is looked at
		}
		seq := min(b.last(), in.last())
		if seq >= b.first && b.ops[seq-b.first].hash != in.batch.ops[seq-in.first].hash || seq < b.first && b.prev != last {
			return true, nil
		}
	}
	if len(saved) == 0 {
		return false, nil
	}
	differs := false
	err := l.snapshot(func(r StoreReader) error {
		for _, s := range saved {
			ops, _, _, err := loadOps(&space{base: r}, s.subject)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(ops, func(o *stored) bool { return o.ref == s.ref })
			differs = differs || i < 0 || ops[i].clock != s.clock || !ops[i].bare && !bytes.Equal(ops[i].plain, s.plain)
		}
		return nil
	})
	return differs, err
}

// compartmentOf is where a salvaged op belongs: only payloads of two compartments are
// ever opened by a node, and those of the narrow one are kept as they are.
func compartmentOf(s *stored) Compartment {
	switch {
	case s.narrow:
		return Narrow
	case s.sealed:
		return Register
	}
	return Deployment
}

// behindHole are the runs of a log that its head does not reach.
func (l *Log) behindHole(at Head) (out []run) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	c := l.chains[at.Log]
	if c == nil {
		return nil
	}
	for _, r := range c.runs {
		if r.last > at.Seq {
			out = append(out, r)
		}
	}
	return out
}

// salvagedOf reports whether there is something of a log that only the views had.
func (l *Log) salvagedOf(log LogID) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, refs := range l.salvagedIn {
		for _, r := range refs {
			if r.Log == log && !l.holds(r) {
				return true
			}
		}
	}
	return false
}

// eachSalvaged gives what the views had of a log and the journal lacks, one frame at a
// time: a segment that is gone leaves hundreds of megabytes of it.
func (l *Log) eachSalvaged(log LogID, fn func([]*stored) error) error {
	l.mu.RLock()
	var at []framePos
	for _, f := range l.frames {
		if slices.ContainsFunc(l.salvagedIn[l.journal.number(f.seg)], func(r Ref) bool { return r.Log == log }) {
			at = append(at, f)
		}
	}
	l.mu.RUnlock()
	for _, f := range at {
		body, err := l.journal.read(f)
		if err != nil {
			return err
		}
		ops, err := parseSalvage(body)
		if err != nil {
			return errFiles(err)
		}
		l.mu.RLock()
		ops = slices.DeleteFunc(ops, func(s *stored) bool { return s.ref.Log != log || l.holds(s.ref) })
		l.mu.RUnlock()
		if len(ops) == 0 {
			continue
		}
		if err := fn(ops); err != nil {
			return err
		}
	}
	return nil
}

// strandedShell is what ops of a log are rescued in, under the own log; ours is false for
// a log of another node, or when nobody can tell.
func (l *Log) strandedShell(at Head, under LogID) (out carried, ours bool, err error) {
	out = carried{Log: at.Log, History: stranded}
	body, err := l.birth(at.Log)
	if err != nil {
		body, err = l.salvagedBirth(at.Log)
	}
	if err != nil || body == nil {
		l.logger.Warn("the birth of a log that lost ops is lost as well", "log", at.Log)
		return out, false, nil //nolint:nilerr // nothing of it can be proved
	}
	was, err := l.auth.LogKey(at.Log, body)
	if err != nil {
		return out, false, nil //nolint:nilerr // not a log of this deployment
	}
	if out.Proof[0] = body; !was.Equal(l.keyOf(under)) {
		return out, false, nil
	}
	out.Proof[1], err = l.birth(under)
	return out, err == nil, err
}

// salvagedBirth looks for the body of a log's first op among what the views had; nil
// when it is not there.
func (l *Log) salvagedBirth(log LogID) (body []byte, err error) {
	err = l.eachSalvaged(log, func(saved []*stored) error {
		for _, s := range saved {
			if isBirth(s) {
				body = bytes.Clone(s.content().Body)
				return ErrStop
			}
		}
		return nil
	})
	if errors.Is(err, ErrStop) {
		err = nil
	}
	return body, err
}

// noteRescued says which salvaged ops of a log lie in a newer one.
func (l *Log) noteRescued(log LogID, seqs []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rescued[log] = joinSpans(l.rescued[log], seqs)
}

// span is from..to of a log.
type span struct{ from, to uint64 }

// joinSpans adds sequences to spans and joins those that touch: what is rescued
// is most often all of a hole.
func joinSpans(have []span, seqs []uint64) (out []span) {
	all := slices.Clone(have)
	for _, seq := range seqs {
		all = append(all, span{seq, seq})
	}
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for _, s := range all {
		if n := len(out); n > 0 && s.from <= out[n-1].to+1 {
			out[n-1].to = max(out[n-1].to, s.to)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// findRescued looks, when the log is opened, for what was rescued before. What cannot be
// read for it shows itself elsewhere.
func (l *Log) findRescued() {
	for _, h := range l.hurt() {
		if !l.salvagedOf(h.Log) {
			continue
		}
		if _, ours, err := l.strandedShell(h, l.Own()); err != nil || !ours {
			continue
		}
		err := l.eachSalvaged(h.Log, func(saved []*stored) error {
			var safe []uint64
			err := l.store.View(func(r StoreReader) error {
				for _, s := range saved {
					found, err := l.liesElsewhere(&space{base: r}, s)
					if err != nil {
						return err
					}
					if found {
						safe = append(safe, s.ref.Seq)
					}
				}
				return nil
			})
			l.noteRescued(h.Log, safe)
			return err
		})
		if err != nil {
			l.logger.Warn("looking for what was rescued", "err", err)
		}
	}
}

// liesElsewhere reports whether an op needs no rescue: a log of this node carries it, the
// proofs of those that do hold it, or it was erased.
func (l *Log) liesElsewhere(s *space, op *stored) (bool, error) {
	if isBirth(op) || op.sealed && l.refuses(op.subject) {
		return true, nil
	}
	ops, _, _, err := loadOps(s, op.subject)
	if err != nil {
		return false, err
	}
	is, known := l.engine.moved(op)
	for _, o := range ops {
		if o.ref.Log == op.ref.Log || !l.Ours(o.ref.Log) {
			continue
		}
		if op.narrow && o.narrow && bytes.Equal(o.plain, op.plain) {
			return true, nil
		}
		// Another history of the log may have had another op there.
		if m, ok := l.engine.moved(o); ok && known && m.in != nil && m.in.names(op.ref) && m.id() == is.id() {
			return true, nil
		}
	}
	return false, nil
}

// names reports whether a carried op was at a place.
func (in *carried) names(r Ref) bool {
	for _, p := range in.Places {
		if p.Log == r.Log && p.Seq == r.Seq {
			return true
		}
	}
	return in.origin() == r
}
