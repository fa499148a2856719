package oplog

import "slices"

// Forks lists the logs with two histories of which evidence is kept, one pair after the
// other as they were found. Of one that was found before this start Seq is the last op of
// the other history that is kept, not the first that differs. Safe for concurrent use; the
// result is the caller's.
func (l *Log) Forks() []Fork {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.forks)
}

// Author is the node that writes a log; false while no op of it is held. Safe for
// concurrent use.
func (l *Log) Author(log LogID) (ID, bool) { return l.engine.author(log) }
