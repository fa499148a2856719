package oplog

import "context"

// keepLast makes sure that views can be thrown away: the whole journal is read, what
// is damaged is set aside, and what only the views hold is written down. It runs in
// the writer.
func (l *Log) keepLast(ctx context.Context) error {
	segments, ok := l.scrub(ctx, false)
	if !ok {
		return errCancelled(ctx)
	}
	if len(segments) > 0 {
		if _, err := l.mend(segments); err != nil {
			return err
		}
	}
	return l.salvage()
}

// Repair mends what can be mended without other nodes: it reads the whole journal,
// sets damage aside, writes the copies of the keys again and brings the views in
// line with the journal. What was lost is then asked of other nodes; Losses says what
// is still missing. It is safe beside everything else. Faults: as Scrub and Rebuild.
func (l *Log) Repair(ctx context.Context) error {
	if err := l.Scrub(ctx); err != nil {
		return err
	}
	if len(l.journal.checkKeys()) > 0 {
		err := l.exclusive(func() error {
			if err := l.stopped(); err != nil {
				return err
			}
			return l.journal.saveKeys()
		})
		if err != nil {
			return err
		}
		l.note("the copies of the segment keys have been written again")
	}
	l.tendOnce()
	r, err := l.Check(ctx)
	if err != nil || r.viewsRight {
		return err
	}
	l.note("the views did not agree with the journal and have been made again")
	return l.Rebuild(ctx)
}
