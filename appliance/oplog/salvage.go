package oplog

import (
	"encoding/binary"
	"fmt"
)

// salvageFrame bounds what one frame of salvaged ops holds.
const salvageFrame = 1 << 20

// appendSalvage writes one op as a salvage frame has it.
func appendSalvage(body []byte, s *stored) []byte {
	body = append(body, s.subject[:]...)
	one := s.append(nil)
	body = binary.AppendUvarint(body, uint64(len(one)))
	return append(body, one...)
}

// parseSalvage reads the ops of a salvage frame. They point into body.
func parseSalvage(body []byte) (ops []*stored, err error) {
	if len(body) == 0 || body[0] != frameSalvage {
		return nil, nil
	}
	c := &cursor{body[1:], true}
	for len(c.b) > 0 {
		var subject ID
		copy(subject[:], c.take(len(subject)))
		one := c.take(int(c.uvarint(3 * MaxPayload)))
		if !c.ok || len(one) == 0 {
			return nil, errBatch
		}
		n := len(ops)
		if ops, err = appendStored(ops, subject, one); err != nil || len(ops) != n+1 || ops[n].opaque || !ops[n].bare && ops[n].content() == nil {
			return nil, errBatch
		}
	}
	return ops, nil
}

// holds reports whether an op is in the journal. The caller holds l.mu.
func (l *Log) holds(r Ref) bool {
	c := l.chains[r.Log]
	if c == nil {
		return false
	}
	_, ok := c.find(r.Seq)
	return ok
}

// salvage writes down the ops that only the views hold, so that they outlive the
// views. Without their signatures no other node would take them; those of this node's
// own logs can be written again (rescue.go). It runs in the writer, or before it does.
func (l *Log) salvage() error {
	if len(l.allLosses()) == 0 {
		return nil
	}
	w := &salvager{l: l, body: []byte{frameSalvage}}
	err := l.store.View(func(r StoreReader) error {
		return r.Scan([]byte{spaceOps}, nil, func(k, v []byte) error {
			if len(k) != 1+len(ID{})+4 {
				return nil
			}
			ops, err := appendStored(nil, ID(k[1:1+len(ID{})]), v)
			if err != nil {
				return nil //nolint:nilerr // a rotten chunk gives nothing; the others may
			}
			for _, s := range ops {
				if err := w.add(s); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err == nil {
		err = w.put()
	}
	if err != nil {
		return errStore(err)
	}
	if w.n > 0 {
		l.note(fmt.Sprintf("%d ops that the journal lost were kept from the views", w.n))
	}
	return nil
}

// salvager collects ops for frames of salvageFrame bytes.
type salvager struct {
	l    *Log
	body []byte
	refs []Ref
	n    int // ops altogether
}

// add takes an op that is nowhere else. What an erasure takes away is not saved from it,
// only that there was something, or its place would be a loss for ever.
func (w *salvager) add(s *stored) error {
	w.l.mu.RLock()
	held := w.l.holds(s.ref) || w.l.salvaged[s.ref]
	erased := s.sealed && (w.l.destroying[s.subject] || w.l.gone[s.subject].refuses())
	w.l.mu.RUnlock()
	switch {
	case held:
		return nil
	case erased:
		s = s.withoutPayload()
	case s.opaque || s.content() == nil:
		return nil
	}
	w.body, w.refs = appendSalvage(w.body, s), append(w.refs, s.ref)
	w.n++
	if len(w.body) < salvageFrame {
		return nil
	}
	return w.put()
}

// put appends and flushes what was collected.
func (w *salvager) put() error {
	if len(w.refs) == 0 {
		return nil
	}
	pos, _, err := w.l.journal.append(w.body)
	if err != nil {
		return err
	}
	if err := w.l.journal.flush(); err != nil {
		return err
	}
	w.l.mu.Lock()
	w.l.frames = append(w.l.frames, pos)
	w.l.mu.Unlock()
	number := w.l.journal.cur.number
	w.l.noteSalvaged(number, append(w.l.salvagedIn[number], w.refs...))
	w.body, w.refs = []byte{frameSalvage}, nil
	return nil
}

// noteSalvaged says which salvaged ops a segment holds now.
func (l *Log) noteSalvaged(segment uint64, refs []Ref) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(refs) == 0 {
		delete(l.salvagedIn, segment)
	} else {
		l.salvagedIn[segment] = refs
	}
	clear(l.salvaged)
	for _, refs := range l.salvagedIn {
		for _, r := range refs {
			l.salvaged[r] = true
		}
	}
}

// scanSalvage takes a salvage frame into the index at open.
func (l *Log) scanSalvage(segment uint64, body []byte) error {
	ops, err := parseSalvage(body)
	if err != nil {
		return err
	}
	refs := l.salvagedIn[segment]
	for _, s := range ops {
		refs = append(refs, s.ref)
	}
	l.noteSalvaged(segment, refs)
	return nil
}

// replaySalvage collects salvaged ops that are not held otherwise.
func (g *group) replaySalvage(body []byte) error {
	ops, err := parseSalvage(body)
	if err != nil {
		return errFiles(err)
	}
	g.l.mu.RLock()
	defer g.l.mu.RUnlock()
	for _, s := range ops {
		if !g.l.holds(s.ref) {
			g.records = append(g.records, s)
			g.replayed += s.weight()
		}
	}
	return nil
}

// changedSalvage is what a rewrite leaves of a salvage frame.
func (l *Log) changedSalvage(body []byte, keep func(*stored) bool) (out []byte, refs []Ref, err error) {
	ops, err := parseSalvage(body)
	if err != nil {
		return nil, nil, err
	}
	out = []byte{frameSalvage}
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, s := range ops {
		if l.holds(s.ref) {
			continue
		}
		if keep != nil && !keep(s) {
			s = s.withoutPayload()
		}
		out, refs = appendSalvage(out, s), append(refs, s.ref)
	}
	if len(refs) == 0 {
		return nil, nil, nil
	}
	return out, refs, nil
}

// salvageDone lists the segments whose salvaged ops are all held again.
func (l *Log) salvageDone() (segments []uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for n, refs := range l.salvagedIn {
		done := true
		for _, r := range refs {
			done = done && l.holds(r)
		}
		if done {
			segments = append(segments, n)
		}
	}
	return segments
}
