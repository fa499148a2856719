package oplog

import "context"

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

// Rebuild throws the views away and folds the whole journal again. Readers wait
// or see a part of it meanwhile; commands wait.
func (l *Log) Rebuild(ctx context.Context) error {
	return l.submit(ctx, &job{answer: make(chan error, 1), exclusive: func() error {
		if err := l.keepLast(ctx); err != nil {
			return err
		}
		err := l.refill(ctx)
		if err != nil {
			// Half a view must not be taken for a whole one.
			l.stop(err)
			return err
		}
		l.wake()
		return nil
	}})
}
