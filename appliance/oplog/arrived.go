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

// arrival is KeysChanged under way.
type arrival struct {
	l          *Log
	g          *group
	now, still []lack
	opened     uint64
}

// openArrived goes through the journal for ops under keys that arrived. The state says
// which keys are lacking until the last of them is applied, so a cut on the way costs
// nothing: the next start makes the views anew.
func (l *Log) openArrived(ctx context.Context) (err error) {
	if err := l.mendViews(); err != nil {
		return err
	}
	a := &arrival{l: l}
	for _, k := range l.state.Lacking {
		if _, ok := l.auth.CompartmentKey(k.Comp, k.Area, k.Epoch); ok {
			a.now = append(a.now, k)
		} else {
			a.still = append(a.still, k)
		}
	}
	if a.g, err = l.begin(); err != nil {
		return err
	}
	defer func() { a.g.tx.Discard() }()
	for _, f := range l.frames {
		if ctx.Err() != nil {
			return errCancelled(ctx)
		}
		body, err := l.journal.read(f)
		if err != nil {
			return err
		}
		if err := eachBatch(body, a.take); err != nil {
			return err
		}
		if a.g.replayed >= replayBytes {
			if err := a.apply(false); err != nil {
				return err
			}
		}
	}
	if err := a.apply(true); err != nil {
		return err
	}
	l.wake()
	return nil
}

// take opens what can be opened now of a batch.
func (a *arrival) take(raw []byte) error {
	b, err := parseBatch(raw)
	if err != nil {
		return errFiles(err)
	}
	for i := range b.ops {
		r := &b.ops[i]
		if r.bare || !slices.Contains(a.now, lack{Comp: r.comp, Area: r.area, Epoch: r.epoch}) {
			continue
		}
		if s, _ := a.l.openRecord(r); !s.opaque {
			a.g.records = append(a.g.records, s)
			a.g.replayed += s.weight()
			a.opened++
		}
	}
	return nil
}

// apply folds what was opened and saves it; last settles which keys are lacking.
func (a *arrival) apply(last bool) (err error) {
	l, g := a.l, a.g
	if g.events, err = l.engine.applyAll(&g.space, g.records); err != nil {
		return err
	}
	g.records = nil // they are counted already
	l.mu.Lock()
	l.state.Opaque -= min(l.state.Opaque, a.opened)
	if last {
		l.state.Lacking = a.still
	}
	l.mu.Unlock()
	a.opened = 0
	if err := l.saveState(g); err != nil {
		return err
	}
	l.tellHooks(g.events)
	if !last {
		a.g, err = l.begin()
	}
	return err
}
