package oplog

import (
	"context"
	"slices"
)

// KeysChanged says that the Authority holds keys it did not hold before. What could not be
// opened for want of them is opened and applied now; what is still missing its key stays
// as it is. It returns at once when nothing was waiting. Faults: those of the store and the
// files, "fault.oplog.cancelled", "fault.oplog.closed".
func (l *Log) KeysChanged(ctx context.Context) error {
	l.mu.RLock()
	waiting := l.keysArrived(l.state)
	l.mu.RUnlock()
	if !waiting {
		return nil
	}
	return l.submit(ctx, &job{answer: make(chan error, 1), exclusive: func() error { return l.openArrived(ctx) }})
}

// openArrived goes through the journal for ops under keys that arrived. The state says
// which keys are lacking until the last of them is applied, so a cut on the way costs
// nothing: the next start makes the views anew.
func (l *Log) openArrived(ctx context.Context) error {
	if err := l.mendViews(); err != nil {
		return err
	}
	var still, now []lack
	for _, k := range l.state.Lacking {
		if _, ok := l.auth.CompartmentKey(k.Comp, k.Area, k.Epoch); ok {
			now = append(now, k)
		} else {
			still = append(still, k)
		}
	}
	g, err := l.begin()
	if err != nil {
		return err
	}
	defer func() { g.tx.Discard() }()
	opened := uint64(0)
	part := func(last bool) error {
		if g.events, err = l.engine.applyAll(&g.space, g.records); err != nil {
			return err
		}
		g.records = nil // they are counted already
		l.mu.Lock()
		l.state.Opaque -= min(l.state.Opaque, opened)
		if last {
			l.state.Lacking = still
		}
		l.mu.Unlock()
		opened = 0
		if err := l.saveState(g); err != nil {
			return err
		}
		l.tellHooks(g.events)
		if !last {
			g, err = l.begin()
		}
		return err
	}
	for _, f := range l.frames {
		if ctx.Err() != nil {
			return errCancelled(ctx)
		}
		body, err := l.journal.read(f)
		if err != nil {
			return err
		}
		err = eachBatch(body, func(raw []byte) error {
			b, err := parseBatch(raw)
			if err != nil {
				return errFiles(err)
			}
			for i := range b.ops {
				r := &b.ops[i]
				if r.bare || !slices.Contains(now, lack{Comp: r.comp, Area: r.area, Epoch: r.epoch}) {
					continue
				}
				if s, _ := l.openRecord(r); !s.opaque {
					g.records = append(g.records, s)
					g.replayed += s.weight()
					opened++
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if g.replayed >= replayBytes {
			if err := part(false); err != nil {
				return err
			}
		}
	}
	if err := part(true); err != nil {
		return err
	}
	l.wake()
	return nil
}
