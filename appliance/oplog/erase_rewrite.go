package oplog

import (
	"context"
	"slices"
)

// Erase destroys the payloads of subjects that were erased: every segment that holds
// one, as an op or as evidence of a fork, is written again under a fresh key without
// them and the old key is destroyed; the views are thrown away with their files and
// rebuilt, so that no table keeps what was deleted. Headers, hashes and signatures
// stay. Subjects that are not erased (any more) are left alone. Commands wait
// meanwhile. It may be repeated: when it was cut short, what is left of it is found
// again. Faults: those of Do.
func (l *Log) Erase(ctx context.Context, subjects []ID) error {
	err := l.submit(ctx, &job{answer: make(chan error, 1), exclusive: func() error { return l.erase(ctx, subjects) }})
	if err == nil {
		l.wake()
	}
	return err
}

// erase runs in the writer.
func (l *Log) erase(ctx context.Context, subjects []ID) error {
	if err := l.writable(); err != nil {
		return err
	}
	gone := map[ID]bool{}
	l.mu.RLock()
	for _, id := range subjects {
		if l.gone[id].Erased {
			gone[id] = true
		}
	}
	l.mu.RUnlock()
	if len(gone) == 0 {
		return nil
	}
	l.mu.Lock()
	l.destroying = gone
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.destroying = nil
		l.mu.Unlock()
	}()
	// The views go: what only they hold of others is written down first.
	if err := l.keepLast(ctx); err != nil {
		return err
	}
	if err := l.destroy(ctx, gone); err != nil {
		return err
	}
	whole, err := l.refill(ctx)
	if err != nil && !whole {
		l.stop(err) // half a view must not be taken for a whole one
	}
	return err // with the old views, Kept still says that there is something to destroy
}

// destroy takes the payloads out of the journal. Files aside as damaged go as well:
// nobody can tell what is in them.
func (l *Log) destroy(ctx context.Context, gone map[ID]bool) error {
	segments, err := l.holding(ctx, gone)
	if err != nil {
		return err
	}
	rw := rewriting{
		change:   func(b *batch) (*batch, error) { return b.stripped(func(id ID) bool { return gone[id] }), nil },
		salvaged: func(s *stored) bool { return !s.sealed || !gone[s.subject] },
	}
	for _, number := range segments {
		if ctx.Err() != nil {
			return errCancelled(ctx)
		}
		if err := l.rewriteSegment(number, rw); err != nil {
			return err
		}
	}
	if err := l.journal.destroyAside(); err != nil {
		return err
	}
	return l.settleViews()
}

// holding are the segments with a payload of one of these subjects. All are read:
// a payload may lie in a frame that the index does not name any more.
func (l *Log) holding(ctx context.Context, gone map[ID]bool) ([]uint64, error) {
	l.journal.mu.RLock()
	segs := slices.Clone(l.journal.segs)
	l.journal.mu.RUnlock()
	var out []uint64
	for _, s := range segs {
		if ctx.Err() != nil {
			return nil, errCancelled(ctx)
		}
		if s.aead == nil || s.gone {
			continue
		}
		raw, err := l.journal.load(s)
		if err != nil {
			return nil, errFiles(err)
		}
		held := false
		err = walkFrames(raw, func(f found) error {
			if held || f.why != "" {
				return nil
			}
			body, err := l.journal.open(s, f.index, f.cipher)
			if err != nil {
				return nil // damaged: set aside by the scrub, never served
			}
			held = holds(body, gone)
			return nil
		})
		if err != nil {
			return nil, err
		}
		if held {
			out = append(out, s.number)
		}
	}
	return out, nil
}

// holds reports whether a frame has a payload of one of these subjects.
func holds(body []byte, gone map[ID]bool) (found bool) {
	look := func(raw []byte) error {
		b, err := parseBatch(raw)
		if err != nil {
			return nil
		}
		for i := range b.ops {
			r := &b.ops[i]
			found = found || !r.bare && r.comp != Deployment && gone[r.subject]
		}
		return nil
	}
	if ops, err := parseSalvage(body); err == nil && len(ops) > 0 {
		return slices.ContainsFunc(ops, func(s *stored) bool { return s.sealed && !s.bare && gone[s.subject] })
	}
	if len(body) > 33 && body[0] == frameEvidence {
		_ = look(body[33:])
		return found
	}
	_ = eachBatch(body, look)
	return found
}
