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
	if g.events, err = l.engine.applyAll(&g.space, g.records); err != nil {
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
	fresh := l.freshState()
	if store, ok := l.store.(BulkStore); ok {
		made, gone, err := l.rebuildBulk(ctx, store, fresh, l.frames, func() error { return nil })
		if err == nil {
			if err = l.rebuilt(made, gone, len(l.frames)); err == nil {
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

// freshState is that of views which are made anew.
func (l *Log) freshState() state {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return state{Deployment: l.auth.Deployment(), Schema: l.engine.viewsSchema(), Tx: l.state.Tx, From: l.state.Tx + 1}
}

// rebuilt saves the state that belongs to a store which was filled in one go from so many
// frames, with what went ahead of later ones. Until it is there the store counts as empty.
func (l *Log) rebuilt(s state, gone map[ID]goneRow, frames int) (err error) {
	if l.later.Load() > 0 && len(l.hooks) > 0 {
		l.missAll()
	}
	if s.At, err = l.placeBehind(frames); err != nil {
		return err
	}
	l.mu.Lock()
	l.state, l.gone = s, gone
	l.mu.Unlock()
	g, err := l.begin()
	if err != nil {
		return err
	}
	defer func() { g.tx.Discard() }()
	g.upTo = frames
	for _, f := range l.late {
		if f.frame < frames {
			continue
		}
		if !f.shown {
			g.ahead = true
		} else if err := g.replayFrame(f.frame); err != nil {
			return err
		}
	}
	if !g.ahead {
		g.upTo = len(l.frames)
		if g.at, err = l.placeBehind(len(l.frames)); err != nil {
			return err
		}
	}
	return l.applyReplayed(g)
}

// placeBehind is the place in the journal behind so many frames.
func (l *Log) placeBehind(frames int) (position, error) {
	if frames == 0 {
		return position{}, nil
	}
	tag, err := l.journal.tag(l.frames[frames-1])
	if err != nil {
		return position{}, err
	}
	return l.position(l.frames[frames-1], tag), nil
}

// replay applies the frames from start on, many at once.
func (l *Log) replay(ctx context.Context, start int) error {
	defer l.progress.Store(nil)
	for i := start; i < len(l.frames); {
		g, err := l.replayPart(ctx, &i, replayBytes)
		if err != nil {
			return err
		}
		if len(l.hooks) > 0 {
			l.miss(g.events)
		}
		l.phase(Folding, uint64(i-start), uint64(len(l.frames)-start)) //nolint:gosec // counts
	}
	if start > 0 || len(l.frames) > 0 {
		return nil
	}
	g, err := l.begin()
	if err != nil {
		return err
	}
	defer func() { g.tx.Discard() }()
	return l.saveState(g)
}

// replayPart applies frames from one on until they opened to so many bytes, and moves it
// behind them.
func (l *Log) replayPart(ctx context.Context, at *int, most int) (*group, error) {
	g, err := l.begin()
	if err != nil {
		return nil, err
	}
	defer func() { g.tx.Discard() }()
	i := *at
	for ; i < len(l.frames) && g.replayed < most; i++ {
		if ctx.Err() != nil {
			return nil, errCancelled(ctx)
		}
		if err := g.replayFrame(i); err != nil {
			return nil, err
		}
	}
	if g.at, err = l.placeBehind(i); err != nil {
		return nil, err
	}
	g.upTo, *at = i, i
	return g, l.applyReplayed(g)
}

// replayFrame collects the ops of a frame.
func (g *group) replayFrame(i int) error {
	body, err := g.l.journal.read(g.l.frames[i])
	if err != nil {
		g.l.suspect(g.l.journal.number(g.l.frames[i].seg))
		return err
	}
	if err := eachBatch(body, g.replayBatch); err != nil {
		return err
	}
	return g.replaySalvage(body)
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
