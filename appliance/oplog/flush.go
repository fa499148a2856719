package oplog

import (
	"crypto/rand"
	"encoding/binary"
)

// tightOps a command and more are packed as small as may be: an import, not a family.
const tightOps = 50

// sealAll seals and chains the group's own ops and puts a signature at the end
// of each batch: usually one for the whole group, more when commands together
// exceed what one batch may hold.
func (g *group) sealAll() ([]*batch, error) {
	l := g.l
	if err := l.freshSalt(); err != nil {
		return nil, err
	}
	tight := len(g.ops) >= tightOps*max(len(g.jobs), 1)
	for _, d := range g.ops {
		if d.comp != Deployment {
			if d.comp != Narrow { // which key it takes is inside
				d.area, d.epoch = l.auth.CurrentEpoch(d.comp)
			}
			d.salt = l.salt
		}
		if err := sealPayload(l.auth, &d.record, d.plain, tight); err != nil {
			return nil, errInternal("sealing: " + err.Error())
		}
	}
	l.mu.RLock()
	prev := l.chains[l.own].head.Hash
	l.mu.RUnlock()
	var out []*batch
	for start := 0; start < len(g.ops); {
		end := g.batchEnd(start)
		b := &batch{log: l.own, first: g.ops[start].ref.Seq, prev: prev, ops: make([]record, 0, end-start)}
		for _, d := range g.ops[start:end] {
			b.ops = append(b.ops, d.record)
		}
		b.link()
		prev = b.ops[len(b.ops)-1].hash
		copy(b.sig[:], l.auth.SignHead(b.message(l.auth.Deployment())))
		out = append(out, b)
		start = end
	}
	return out, nil
}

// batchEnd is where the batch beginning at op start ends: a command is never cut.
func (g *group) batchEnd(start int) int {
	if len(g.cuts) == 0 {
		return len(g.ops)
	}
	end, size := 0, 0
	from := start
	for _, cut := range g.cuts {
		if cut <= start {
			continue
		}
		for _, d := range g.ops[from:cut] {
			size += len(d.payload) + opOverhead + 25*len(d.supersedes)
		}
		if end > 0 && (cut-start > MaxBatchOps || size > commandBytes+opOverhead*MaxBatchOps/2) {
			break
		}
		end, from = cut, cut
	}
	return end
}

// freshSalt draws a new salt for each segment: a write that failed leaves its
// segment, so no salt and sequence meet twice.
func (l *Log) freshSalt() error {
	if l.journal.out == nil {
		if err := l.journal.openSegment(); err != nil {
			return err
		}
	}
	if n := l.journal.cur.number; l.saltSeg != n {
		_, _ = rand.Read(l.salt[:])
		l.saltSeg = n
	}
	return nil
}

// store1 appends batches as one frame, flushes, takes them into the index and
// commits the views.
func (l *Log) store1(g *group, batches []*batch) error {
	pos, tag, err := l.append(batches)
	if err != nil {
		return err
	}
	// From here on the ops are saved, whatever happens to the views.
	g.at = l.position(pos, tag)
	if l.later.Load() > 0 {
		g.ahead = true
		l.aheads.Add(1)
		l.putLate(batches, true)
	}
	l.publish(g)
	return nil
}

// append writes batches as one frame, flushes, and takes them into the index.
func (l *Log) append(batches []*batch) (pos framePos, tag [16]byte, err error) {
	size := 1
	for _, b := range batches {
		size += b.bytes()
	}
	body := append(make([]byte, 0, size), frameOps)
	raw := make([]byte, 0, size)
	for _, b := range batches {
		raw = b.encode(raw[:0])
		if len(raw) > MaxBatchBytes {
			return pos, tag, errInternal("batch over its limit")
		}
		body = append(binary.AppendUvarint(body, uint64(len(raw))), raw...)
	}
	if pos, tag, err = l.journal.append(body); err == nil {
		err = l.journal.flush()
	}
	if err != nil {
		l.stopFor(err) // whoever asked for it: a command, or another node
		return pos, tag, err
	}
	l.take(batches, pos)
	return pos, tag, nil
}

// take puts flushed batches into the index.
func (l *Log) take(batches []*batch, pos framePos) {
	l.mu.Lock()
	frame := uint32(len(l.frames))
	l.frames = append(l.frames, pos)
	var mend []LogID
	for _, b := range batches {
		c := l.chains[b.log]
		c.add(run{first: b.first, last: b.last(), frame: frame, bare: b.bare()})
		end := &b.ops[len(b.ops)-1]
		if b.last() > c.head.Seq { // otherwise it filled what was bare
			c.head, c.clock = Head{Log: b.log, Seq: b.last(), Hash: end.hash}, end.clock
		}
		if c.hole {
			mend = append(mend, b.log)
		}
		for i := range b.ops {
			l.follow(b.ops[i].clock)
		}
	}
	l.settleExpected()
	l.mu.Unlock()
	for _, log := range mend {
		l.extend(log)
	}
}

// publish commits the views of a flushed group, then tells everybody. When the
// store fails the ops are safe in the journal, so the command succeeded; the
// views are mended at once (keeper.go), so that whoever is answered finds what they
// wrote, or the node stops writing and a restart does it.
func (l *Log) publish(g *group) {
	if err := l.saveState(g); err != nil {
		g.tx.Discard()
		l.viewsFailed(err)
		l.miss(g.events)
		l.logFault("mending the views", l.mendViews())
	} else {
		l.tellHooks(g.events)
	}
	l.wake()
}

// saveState writes the group's overlay with heads and counters to the store.
func (l *Log) saveState(g *group) error {
	l.mu.RLock()
	s := l.state
	s.Ops = 0
	for _, c := range l.chains {
		s.Ops += c.covered
	}
	s.Ops -= min(s.Ops, l.lateBehind(g.upTo))
	heads := g.heads
	if len(g.ops) > 0 {
		heads[l.own] = l.chains[l.own].head
	}
	l.mu.RUnlock()
	for _, h := range heads {
		// A row keeps what is expected of a log that lost its end.
		// What was fetched back may have joined what lay behind a hole: the head is
		// then further than the batch.
		l.mu.RLock()
		if c := l.chains[h.Log]; c != nil && c.head.Seq > h.Seq {
			h = c.head
		}
		if top := l.expected[h.Log]; top.Seq > h.Seq {
			h = top
		}
		l.mu.RUnlock()
		if err := putHead(&g.space, h); err != nil {
			return err
		}
	}
	if !g.ahead { // else all of it comes again, with what is late
		s.At = g.at
		for _, o := range g.records {
			s.note(o)
		}
	}
	if err := l.save(g.tx, g.space.over, &s); err != nil {
		return err
	}
	l.mu.Lock()
	l.state = s
	l.noteGone(g.space.over)
	l.mu.Unlock()
	if g.upTo > 0 {
		l.foldedUpTo(g.upTo)
	}
	return nil
}

func (l *Log) wake() {
	l.watchMu.Lock()
	defer l.watchMu.Unlock()
	for ch := range l.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
