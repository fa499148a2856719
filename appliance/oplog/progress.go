package oplog

// Phase is a part of reading the journal again.
type Phase string

// What a rebuild does, one after the other. A store that is served by transactions
// has Folding only, and so has catching up.
const (
	Reading Phase = "reading" // opening the ops and sorting them by subject
	Folding Phase = "folding" // folding each subject
	Writing Phase = "writing" // writing the rows in order
)

// Progress says how far a rebuild is. Percent covers all phases, from 0 to 100, and
// never goes back within a rebuild; Done and Total are ops, or rows while Writing.
type Progress struct {
	Phase       Phase
	Done, Total uint64
	Percent     int
}

// The share of each phase in the time it takes, as measured.
const (
	readingEnds = 30
	foldingEnds = 75
)

// phase sets where a rebuild stands and tells whoever asked, when there is news.
func (l *Log) phase(p Phase, done, total uint64) {
	l.telling.Lock()
	defer l.telling.Unlock()
	from, to := 0, 100
	switch {
	case p == Reading:
		to = readingEnds
	case p == Folding && l.streaming.Load():
		from, to = readingEnds, foldingEnds
	case p == Writing:
		from = foldingEnds
	}
	now := Progress{Phase: p, Done: min(done, total), Total: total, Percent: from}
	if total > 0 {
		now.Percent += int(uint64(to-from) * now.Done / total) //nolint:gosec // below 100
	}
	if old := l.progress.Load(); old != nil {
		if now.Percent < old.Percent || (now.Percent == old.Percent && now.Phase == old.Phase && now.Done < now.Total) {
			return
		}
	}
	l.progress.Store(&now)
	if l.tell != nil {
		l.tell(now)
	}
}

// Rebuilding says how far a rebuild is; ok is false when none is under way.
func (l *Log) Rebuilding() (p Progress, ok bool) {
	if now := l.progress.Load(); now != nil {
		return *now, true
	}
	return Progress{}, false
}
