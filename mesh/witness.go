package mesh

import (
	"context"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// A log of another node that has two histories. Its owner writes both again under a new
// log (rejoin.go), if it can and wants to. A node that hears of a history that is not its
// own does two things besides:
//
//   - It looks for the place where the two part, with whoever holds the other one, backwards
//     in doubling steps, and keeps the signed batch that differs. Until then all there is is
//     somebody's word: who said so is kept, and the log's writer is not blamed.
//   - When its own half lies nowhere else in ten minutes it writes that again as a witness
//     (oplog.Log.Testify). Those who hold the other half do the same for theirs, so nothing
//     of it has to be fetched here. Not all at once: the lowest node id among those that can
//     be reached and hold this half begins, the others wait a turn longer each, and find it
//     done. On two sides of a cut two may do it, which costs bytes and nothing else.

// Witness is Records that know the logs of others with two histories; *oplog.Log is one.
type Witness interface {
	Prove(ctx context.Context, batch []byte, at oplog.Branch) (oplog.Rejoined, error)
	Parting(log oplog.LogID) (seq uint64, known bool)
	Testify(ctx context.Context, log oplog.LogID) (ops, left int, err error)
}

const (
	witnessWait  = 10 * time.Minute // the owner's time
	witnessTurn  = 30 * time.Second
	witnessTurns = 20 // beyond that all begin together: they have heard of each other for long
	maxSayers    = 64
)

// doubt is what is known of a log with two histories. Guarded by Mesh.mu.
type doubt struct {
	since  time.Duration            // it was heard of, or something about it changed
	seq    uint64                   // where they part, proved; 0 = only said so far
	sayers map[identity.NodeID]bool // whose word it is
	upTo   uint64                   // so much of the half held here is written again
	shut   identity.NodeID          // who was shut out then, as one sum
	done   bool
}

// doubted is what is known of a log with two histories. Called with the lock held.
func (m *Mesh) doubted(log oplog.LogID) *doubt {
	d := m.doubts[log]
	if d == nil {
		if m.doubts == nil {
			m.doubts = map[oplog.LogID]*doubt{}
		}
		d = &doubt{since: m.elapsed(), sayers: map[identity.NodeID]bool{}}
		m.doubts[log] = d
	}
	return d
}

// said notes that a node's word contradicts what is held here. Called with the lock held.
func (m *Mesh) said(by identity.NodeID, f oplog.Fork) {
	if m.noteFork(f); m.forked(f.Log) {
		if d := m.doubted(f.Log); len(d.sayers) < maxSayers {
			d.sayers[by] = true
		}
	}
}

// another notes that what l holds of a log did not go on from what is held here: it holds
// the other history, and no copy of this one. Called with the lock held.
func (m *Mesh) another(l *link, f oplog.Fork) {
	m.said(l.node, f)
	if m.records.Ours(f.Log) {
		return
	}
	l.parts(f.Log, true)
	if !l.outdated(f.Log) {
		l.note(f.Log)
		m.trace(l.peer, f.Log)
	}
}

// still reports whether a mark beyond what is held here is of the history that l told of
// before: on one connection a journal only grows. Called with the lock held.
func (m *Mesh) still(l *link, k mark) bool {
	return l.forked[k.log] && k.seq > m.mine[k.log].Seq && !m.records.Ours(k.log)
}

// unproved reports whether l is to be asked at once where its history of a log of another
// node parts from the one here. Called with the lock held.
func (m *Mesh) unproved(l *link, log oplog.LogID) bool {
	_, ok := m.records.(Witness)
	return ok && l.forked[log] && m.doubted(log).seq == 0
}

// recallParting asks the journal whether it has proof from before.
func (m *Mesh) recallParting(log oplog.LogID) {
	w, ok := m.records.(Witness)
	if !ok {
		return
	}
	m.stage.Work(func() {
		if seq, known := w.Parting(log); known {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.doubted(log).seq = seq
		}
	})
}

// proves is what to ask l for of another node's log with two histories, while it is not
// known where they part: nil when there is nothing. parted says that l holds the other one,
// so that it is not asked to go on with it. Called with the lock held.
func (m *Mesh) proves(l *link, log oplog.LogID, t mark) (r *rejoining, parted bool) {
	if _, ok := m.records.(Witness); !ok || !l.forked[log] {
		return nil, false
	}
	mine := m.mine[log].Seq
	if m.doubted(log).seq > 0 || mine == 0 {
		return nil, true
	}
	if r = l.rejoin[log]; r == nil {
		end := min(mine, t.seq)
		r = &rejoining{after: end - min(end, rejoinStep), step: rejoinStep}
		l.rejoin[log] = r
	}
	return r, true
}

// takeProof hands one answer to the journal and works out what to ask for next.
func (m *Mesh) takeProof(w Witness, l *link, log oplog.LogID, data []byte, r *rejoining) error {
	res, err := w.Prove(m.ctx, data, r.at)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err != nil:
		return err
	case res.Seq > 0:
		delete(l.rejoin, log)
		d := m.doubted(log)
		if d.seq == 0 || res.Seq < d.seq {
			d.seq, d.done = res.Seq, false
		}
		m.news = true
		m.log.Warn("mesh has proof that a log has two histories", "log", log, "seq", d.seq)
		return nil
	case !res.Joins:
		if r.joins || r.after == 0 {
			return errElsewhere
		}
		r.step *= 2
		r.after -= min(r.after, r.step)
		return nil
	case res.Last <= r.after:
		return errElsewhere
	}
	r.after, r.joins = res.Last, true
	if r.after >= l.told[log].seq {
		delete(l.rejoin, log)
		return errElsewhere // it has no other history than ours, whatever it says
	}
	return nil
}

// testify has the half that is held here of logs of others written again, where it is time.
// Called with the lock held, every second.
func (m *Mesh) testify() {
	w, ok := m.records.(Witness)
	if !ok || m.testifying || len(m.doubts) == 0 || m.waits {
		return
	}
	shut := m.shutSum()
	for _, log := range sortedLogs(m.doubts) {
		d := m.doubts[log]
		mine := m.mine[log].Seq
		if d.seq == 0 || mine < d.seq || m.records.Ours(log) {
			continue
		}
		if d.shut != shut { // whose copies count is another question now
			d.shut, d.done = shut, false
			d.since = max(d.since, m.elapsed()-witnessWait)
		}
		if d.done && mine == d.upTo || m.elapsed()-d.since < witnessWait+m.turn(log, d.seq) {
			continue
		}
		d.done, d.upTo, m.testifying = true, mine, true
		m.stage.Work(func() { m.testified(w, log) })
		return
	}
}

func (m *Mesh) testified(w Witness, log oplog.LogID) {
	ops, left, err := w.Testify(m.ctx, log)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.testifying = false
	d := m.doubted(log)
	if err != nil {
		d.done, d.since = false, m.elapsed()-witnessWait/2 // in a while
		if m.ctx.Err() == nil {
			m.quiet.warn("mesh cannot write a history again", "log", log, "err", err)
		}
		return
	}
	if ops > 0 {
		m.log.Info("mesh wrote one of two histories of a log again, as a witness", "log", log, "ops", ops, "left", left)
		m.stage.Work(m.refresh)
	}
}

// turn is how long this node lets others begin: those with a lower id that can be reached
// and hold the same half. Called with the lock held.
func (m *Mesh) turn(log oplog.LogID, parting uint64) time.Duration {
	before, now := 0, m.clock.Now()
	for _, id := range m.order() {
		p := m.peers[id]
		if compareNodes(id, m.self) >= 0 || p.shut || p.sealed != nil || m.absent(p, now) {
			continue
		}
		if k := p.held[log]; !k.forked && k.seq >= parting {
			before++
		}
	}
	return time.Duration(min(before, witnessTurns)) * witnessTurn
}

// shutSum is another one when others are shut out. Called with the lock held.
func (m *Mesh) shutSum() (sum identity.NodeID) {
	for id, p := range m.peers {
		if p.shut {
			for i, b := range id {
				sum[i] ^= b
			}
		}
	}
	return sum
}

// hearsay are logs held here that other nodes say have two histories. Called with the lock
// held.
func (m *Mesh) hearsay() (out []oplog.LogID) {
	for _, id := range m.order() {
		p := m.peers[id]
		if p.report == nil || p.shut || id == m.self {
			continue
		}
		for _, log := range p.report.forked {
			if _, held := m.mine[log]; held && !slices.Contains(out, log) {
				out = append(out, log)
			}
		}
	}
	return out
}

// sayersOf are those whose word it is that a log has two histories: they hold the other one,
// or say in their reports that they know of two. Called with the lock held.
func (m *Mesh) sayersOf(log oplog.LogID) (out []oplog.ID) {
	for _, id := range m.order() {
		p := m.peers[id]
		d := m.doubts[log]
		if id != m.self && (d != nil && d.sayers[id] || p.report != nil && slices.Contains(p.report.forked, log)) {
			out = append(out, id)
		}
	}
	return out
}
