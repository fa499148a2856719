package mesh

import (
	"time"

	"github.com/waypost/waypost/appliance/oplog"
)

// A log of this node that another node holds with a second history: this folder was
// copied, or an old card was put back, and both went on. Its ops are asked for all the
// same, and Records.Rejoin writes what both histories have again under the new own log.
// Everybody else leaves such a log alone: what its owner writes again reaches them like
// any record. The parting is looked for backwards from the end, in steps that double:
// most are met soon after.

// rejoining is how far the history that a peer holds has been taken.
type rejoining struct {
	after uint64 // asked for behind it
	step  uint64
	at    oplog.Branch
}

const rejoinStep = 64

// branch names a history by its end.
type branch struct {
	log  oplog.LogID
	hash [16]byte
}

// rejoins is what to ask l for of a log of ours with two histories: nil when there is
// nothing. parted says that it is one, so that it is not asked for as others are. Called
// with the lock held.
func (m *Mesh) rejoins(l *link, log oplog.LogID, t mark) (r *rejoining, parted bool) {
	if !m.forked(log) || !m.records.Ours(log) {
		return nil, false
	}
	mine := m.mine[log].Seq
	if !l.peer.held[log].forked && t.seq <= mine {
		return nil, true // it holds what we do
	}
	if m.rejoined[branch{log, t.hash}] {
		return nil, true
	}
	r = l.rejoin[log]
	if r == nil {
		end := min(mine, t.seq)
		r = &rejoining{after: end - min(end, rejoinStep), step: rejoinStep}
		l.rejoin[log] = r
	}
	return r, true
}

// rejoining reports whether what l sends of a log is another history of ours.
func (m *Mesh) rejoining(l *link, log oplog.LogID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return l.rejoin[log] != nil
}

// takeBranch hands one answer to the journal and works out what to ask for next.
func (m *Mesh) takeBranch(l *link, log oplog.LogID, data []byte) error {
	m.mu.Lock()
	r := l.rejoin[log]
	m.mu.Unlock()
	if r == nil || len(data) == 0 {
		return nil // it has less than it said: left alone for a while
	}
	res, err := m.records.Rejoin(m.ctx, data, r.at)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		return err
	}
	if res.Ops > 0 {
		m.log.Info("mesh brought two histories of a log together", "log", log, "node", l.node, "ops", res.Ops)
	}
	r.at = res.Branch
	if !res.Joins {
		r.step *= 2
		r.after -= min(r.after, r.step)
		return nil
	}
	r.after = max(r.after, res.Last)
	if t := l.told[log]; r.after >= t.seq {
		m.rejoined[branch{log, t.hash}] = true
		m.carried[log] = true
		delete(l.rejoin, log)
	}
	return nil
}

// settleBranch ends the question about one log. Called with the lock held.
func (m *Mesh) settleBranch(l *link, log oplog.LogID, got bool, now time.Time) {
	if got {
		delete(l.shun, log)
	} else {
		m.shun(l, log, now)
	}
}
