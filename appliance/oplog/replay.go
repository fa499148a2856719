package oplog

import (
	"context"
	"errors"
)

// replayBatch collects the ops of a batch that lies in the journal already.
func (g *group) replayBatch(raw []byte) error {
	b, err := parseBatch(raw)
	if err != nil {
		return errFiles(err)
	}
	for i := range b.ops {
		// What Merge would refuse may lie here from when the key was not there yet:
		// it is opaque.
		s, _ := g.l.openRecord(&b.ops[i])
		g.records = append(g.records, s)
		g.replayed += s.weight()
	}
	return nil
}

// weight is what an opened op takes in memory, as a measure: its packed size
// says little about that.
func (s *stored) weight() int { return len(s.plain) + opOverhead + 25*len(s.supersedes) }

// applyReplayed folds what replayBatch collected and saves it. Heads are saved
// as the index knows them: when the last part is in, that is what was applied.
func (l *Log) applyReplayed(g *group) error {
	var err error
	if _, err = l.engine.applyAll(&g.space, g.records); err != nil {
		return err
	}
	l.mu.RLock()
	for _, h := range l.headsLocked() {
		g.heads[h.Log] = h
	}
	l.mu.RUnlock()
	return l.saveState(g)
}

// Rebuild throws the views away and folds the whole journal again. Commands wait
// meanwhile; Rebuilding says how far it is. Readers see the old views until the new
// ones are there; where the store cannot be filled in one go (BulkStore) they are
// refused, because a part of them would say of people that they are not here. When
// ctx ends first nothing has changed, in the latter case the node turns read-only until
// a restart makes the views whole.
func (l *Log) Rebuild(ctx context.Context) error {
	return l.submit(ctx, &job{answer: make(chan error, 1), exclusive: func() error {
		if err := l.keepLast(ctx); err != nil {
			return err
		}
		whole, err := l.refill(ctx)
		if err != nil && !whole {
			// Half a view must not be taken for a whole one.
			l.stop(err)
		}
		if err == nil {
			l.wake()
		}
		return err
	}})
}

// rebuild makes the views anew from the journal, by sorting where store and disk
// allow it. After an error whole says that the old views are still there.
func (l *Log) rebuild(ctx context.Context) (whole bool, err error) {
	defer l.progress.Store(nil)
	l.mu.RLock()
	tx := l.state.Tx
	l.mu.RUnlock()
	fresh := state{Deployment: l.auth.Deployment(), Schema: l.engine.viewsSchema(), Tx: tx, From: tx + 1}
	if store, ok := l.store.(BulkStore); ok {
		made, gone, err := l.rebuildBulk(ctx, store, fresh)
		if err == nil {
			if err = l.rebuilt(made, gone); err == nil {
				l.fillEnds()
			}
			return false, err
		}
		if !errors.Is(err, errAgain) {
			return true, err
		}
		l.logger.Warn("the views are rebuilt by transactions", "err", err)
	}
	l.fillBegins() // also when it fails on the way, until it succeeds
	l.halves.Lock()
	err = l.store.DropAll()
	l.halves.Unlock()
	if err != nil {
		return false, errStore(err)
	}
	l.mu.Lock()
	clear(l.gone)
	l.state = fresh
	l.mu.Unlock()
	if err := l.replay(ctx, 0); err != nil {
		return false, err
	}
	l.fillEnds()
	return false, nil
}

// rebuilt saves the state that belongs to a store which was filled in one go. Until
// it is there the store counts as empty.
func (l *Log) rebuilt(s state, gone map[ID]goneRow) error {
	l.mu.Lock()
	l.state, l.gone = s, gone
	l.mu.Unlock()
	g, err := l.begin()
	if err != nil {
		return err
	}
	defer func() { g.tx.Discard() }()
	if n := len(l.frames); n > 0 {
		tag, err := l.journal.tag(l.frames[n-1])
		if err != nil {
			return err
		}
		g.at = l.position(l.frames[n-1], tag)
	}
	return l.applyReplayed(g)
}

// replay applies the frames from start on, many at once.
func (l *Log) replay(ctx context.Context, start int) error {
	defer l.progress.Store(nil)
	g, err := l.begin()
	if err != nil {
		return err
	}
	defer func() { g.tx.Discard() }()
	for i := start; i < len(l.frames); i++ {
		if ctx.Err() != nil {
			return errCancelled(ctx)
		}
		body, err := l.journal.read(l.frames[i])
		if err != nil {
			l.suspect(l.journal.number(l.frames[i].seg))
			return err
		}
		if err := eachBatch(body, g.replayBatch); err != nil {
			return err
		}
		if err := g.replaySalvage(body); err != nil {
			return err
		}
		tag, err := l.journal.tag(l.frames[i])
		if err != nil {
			return err
		}
		g.at = l.position(l.frames[i], tag)
		if g.replayed >= replayBytes || i == len(l.frames)-1 {
			if err := l.applyReplayed(g); err != nil {
				return err
			}
			l.phase(Folding, uint64(i+1-start), uint64(len(l.frames)-start)) //nolint:gosec // counts
			if g, err = l.begin(); err != nil {
				return err
			}
		}
	}
	if start == 0 && len(l.frames) == 0 {
		return l.saveState(g)
	}
	return nil
}

// fillBegins and fillEnds stand around the time in which the views are not whole. After a
// failure in between they are not whole either.
func (l *Log) fillBegins() {
	if l.fills.Load()%2 == 0 {
		l.fills.Add(1)
	}
}

func (l *Log) fillEnds() {
	if l.fills.Load()%2 == 1 {
		l.fills.Add(1)
	}
}
