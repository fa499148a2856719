package oplog

import (
	"crypto/ed25519"
	"fmt"
	"slices"
)

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

// forkLines say which logs have two histories. Of a log of this node's own key that is a
// problem of the folder: it was copied, or put back. Of another node's it is none of this
// folder's, which is as sound as it was, and keeps the proof. The caller holds l.mu.
func (l *Log) forkLines() (own, others []string) {
	var key ed25519.PublicKey
	if c := l.chains[l.own]; c != nil {
		key = c.key
	}
	for _, f := range l.forks {
		line := fmt.Sprintf("log %s has two histories from op %d on: its box was copied or restored", f.Log, f.Seq)
		if c := l.chains[f.Log]; c != nil && key != nil && key.Equal(c.key) {
			own = append(own, line)
		} else {
			others = append(others, line)
		}
	}
	return own, others
}
