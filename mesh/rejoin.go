package mesh

import (
	"errors"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
)

// A log of this node that another node holds with a second history: this folder was
// copied, or an old card was put back, and both went on. Its ops are asked for all the
// same, and Records.Rejoin writes what both histories have again under the new own log.
// Everybody else asks for proof only, and writes its own half again where the owner does
// not (witness.go): what is written again reaches all like any record. The parting is
// looked for backwards from the end, in steps that double: most are met soon after.

// rejoining is how far the history that a peer holds has been taken.
type rejoining struct {
	after uint64 // asked for behind it
	step  uint64
	joins bool // what came began where the history held here was
	left  bool // some of what is held here could not be written again
	at    oplog.Branch
}

// A peer that sends something else than it was asked for is left alone for a while.
var errElsewhere = errors.New("a batch from elsewhere in the log")

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
	if !m.forked(log) {
		return nil, false
	}
	if !m.records.Ours(log) {
		return m.proves(l, log, t)
	}
	mine := m.mine[log].Seq
	if !l.peer.held[log].forked && t.seq <= mine {
		return nil, true // it holds what we do
	}
	r = l.rejoin[log]
	if m.rejoined[branch{log, t.hash}] || r != nil && r.at.Seq > 0 && r.after >= t.seq {
		return nil, true
	}
	if r == nil {
		end := min(mine, t.seq)
		r = &rejoining{after: end - min(end, rejoinStep), step: rejoinStep}
		l.rejoin[log] = r
	}
	return r, true
}

// rejoining reports whether an answer of l about a log is another history of ours.
func (m *Mesh) rejoining(l *link, id uint32, log oplog.LogID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return l.pending != nil && l.pending.id == id && l.pending.parted[log]
}

// takeBranch hands one answer to the journal and works out what to ask for next.
func (m *Mesh) takeBranch(l *link, log oplog.LogID, data []byte) error {
	m.mu.Lock()
	r := l.rejoin[log]
	m.mu.Unlock()
	if r == nil || len(data) == 0 {
		return nil // it has less than it said: left alone for a while
	}
	if w, ok := m.records.(Witness); ok && !m.records.Ours(log) {
		return m.takeProof(w, l, log, data, r)
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
	if !res.Joins {
		if r.joins || r.after == 0 {
			return errElsewhere
		}
		r.step *= 2
		r.after -= min(r.after, r.step)
		return nil
	}
	if res.Last <= r.after {
		return errElsewhere
	}
	r.at, r.after, r.joins, r.left = res.Branch, res.Last, true, r.left || res.Left > 0
	if r.at.Seq == 0 && res.Ops > 0 {
		m.forgetBranches(log) // the history held here is longer now: the others lack the rest
	}
	if r.after < l.told[log].seq {
		return nil
	}
	if r.at.Seq == 0 {
		delete(l.rejoin, log)
		if l.peer.held[log].forked {
			return errElsewhere // it has no other history than ours
		}
		return nil
	}
	end := branch{log: log, hash: [16]byte(r.at.End.Hash[:16])}
	m.rejoined[end] = true
	if old, known := m.carried[log]; !r.left && (!known || r.at.Seq < old) {
		m.carried[log] = r.at.Seq
	}
	return nil
}

// forgetBranches has the other histories of a log gone through again. Called with the
// lock held.
func (m *Mesh) forgetBranches(log oplog.LogID) {
	delete(m.carried, log)
	for b := range m.rejoined {
		if b.log == log {
			delete(m.rejoined, b)
		}
	}
	for _, l := range m.links {
		if r := l.rejoin[log]; r != nil && r.at.Seq > 0 {
			delete(l.rejoin, log)
		}
	}
}

// onlyHere counts the ops of one log that nobody else is known to hold. Those behind the
// parting of a log that was written again are counted where they are now; those before it
// lie also with whoever of peers has a history that was taken. Called with the lock held.
func (m *Mesh) onlyHere(log oplog.LogID, h oplog.Head, peers []*peer) uint64 {
	end := h.Seq
	if at, carried := m.carried[log]; carried {
		end = min(end, at-1)
	}
	var best uint64
	for _, p := range peers {
		if k := p.held[log]; !k.forked || m.rejoined[branch{log, k.hash}] {
			best = max(best, min(k.seq, end))
		}
	}
	return end - best
}

// settleBranch ends the question about one log. Called with the lock held.
func (m *Mesh) settleBranch(l *link, log oplog.LogID, got bool, now time.Time) {
	if got {
		delete(l.shun, log)
	} else {
		m.shun(l, log, now)
	}
}
