package mesh

import (
	"cmp"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Since when a node holds something is answered from points: at this moment, at the
// latest, it held that log up to there. Points are noted when a node says more than it
// said before, and go as soon as it says less: what came back after a loss is held since
// it came back. A point may be dropped without making any answer wrong, only later,
// so there are few of them, dense in the near past and wide apart in the far one.

// Why a node that holds something is no safe copy of it.
const (
	ApartShut = "shut" // it was suspended or revoked, or joined through a box that was
	ApartTwin = "twin" // another box with this node's own keys
)

// Holder is a node that is known to hold something durably, as it said itself on an
// exchange connection or in a signed report. What lies in a locked node's letterbox or on a stick it has not
// said, so it does not count.
type Holder struct {
	Node      oplog.ID
	Since     time.Time // it held it at this moment at the latest; zero when that was not noted
	Sure      bool      // the clock that says so had been set
	Heard     time.Time // when it was last heard of; zero when never
	Connected bool
	Apart     string // empty for a safe copy, else ApartShut or ApartTwin
}

// Copy says how much of some ops a node holds.
type Copy struct {
	Holder     // Since when it holds what it holds of them
	Holds  int // of the ops asked about
}

// point is one moment in what a node said of a log.
type point struct {
	seq  uint64
	at   int64 // Unix seconds
	sure bool
}

// How many points are kept, over all nodes and logs and of one log of one node. The
// newest two of each log are kept whatever the sum is.
const (
	maxPointsKept = 4096
	mostPoints    = 16
	leastPoints   = 2
)

// trace brings the points of a node's logs up to what it is now taken to hold. It is
// called with the lock held, after every change of p.held. A change it was not told of
// costs an answer that is later than it could be, never a wrong one.
func (m *Mesh) trace(p *peer, logs ...oplog.LogID) {
	room := 0
	for _, log := range logs {
		k, held := p.held[log]
		if !held || k.forked || k.seq == 0 {
			delete(p.points, log)
			continue
		}
		list := p.points[log]
		if n := len(list); n > 0 && list[n-1].seq == k.seq {
			continue
		} else if n > 0 && list[n-1].seq > k.seq {
			list = nil // it says less: what it still has it may have lost and got again
		}
		if p.points == nil {
			p.points = map[oplog.LogID][]point{}
		}
		if room == 0 {
			room = m.pointRoom()
		}
		now := m.clock.Now().Unix()
		p.points[log] = thin(append(list, point{k.seq, now, m.clock.Sure()}), room, now)
	}
}

// traceMarks is trace for what one frame said; all for a whole vector, which may also have
// taken logs away.
func (m *Mesh) traceMarks(p *peer, marks []mark, all bool) {
	if all {
		m.traceAll(p)
		return
	}
	for _, k := range marks {
		m.trace(p, k.log)
	}
}

// traceAll is trace for all a node was, and is, taken to hold.
func (m *Mesh) traceAll(p *peer) {
	for log := range p.points {
		m.trace(p, log)
	}
	for log := range p.held {
		m.trace(p, log)
	}
}

// pointRoom is how many points a log of a node may have now.
func (m *Mesh) pointRoom() int {
	logs := 1
	for _, p := range m.peers {
		logs += len(p.held)
	}
	return min(max(maxPointsKept/logs, leastPoints), mostPoints)
}

// thin drops points until n are left: each time the one whose loss makes the answers
// least later, measured against how long ago it was. The newest stays.
func thin(list []point, n int, now int64) []point {
	for len(list) > max(n, 1) {
		drop, least := 0, -1.0
		for i := range len(list) - 1 {
			later := max(list[i+1].at-list[i].at, 0)
			if cost := float64(later) / float64(max(now-list[i].at, 0)+1); least < 0 || cost < least {
				drop, least = i, cost
			}
		}
		list = slices.Delete(list, drop, drop+1)
	}
	return list
}

// since is the earliest moment of which the points say that an op was held, one by a
// clock that was set before others.
func since(list []point, seq uint64) (at time.Time, sure bool) {
	var best *point
	for i := range list {
		if k := &list[i]; k.seq >= seq && (best == nil || k.sure && !best.sure || k.sure == best.sure && k.at < best.at) {
			best = k
		}
	}
	if best == nil {
		return time.Time{}, false
	}
	return time.Unix(best.at, 0).UTC(), best.sure
}

// apart says why what a node holds is no safe copy; empty when it is one. Called with the
// lock held.
func (m *Mesh) apart(p *peer) string {
	switch {
	case p.node == m.self:
		return ApartTwin
	case m.book.Shut(p.node) || p.cert != nil && m.book.Outcast(*p.cert):
		return ApartShut
	}
	return ""
}

// safePeers are the nodes whose copies count. Called with the lock held.
func (m *Mesh) safePeers() []*peer {
	out := make([]*peer, 0, len(m.peers))
	for _, p := range m.peers {
		if m.apart(p) == "" {
			out = append(out, p)
		}
	}
	return out
}

// upTo is how far what a node said of a log is the history held here. Called with the
// lock held.
func (m *Mesh) upTo(log oplog.LogID, k held) uint64 {
	if !k.forked {
		return k.seq
	}
	if at, carried := m.carried[log]; carried && m.rejoined[branch{log, k.hash}] {
		return min(k.seq, at-1) // before the place where the two part they are one
	}
	return 0
}

// holder describes a node without saying since when. Called with the lock held.
func (m *Mesh) holder(p *peer) Holder {
	h := Holder{Node: p.node, Heard: p.last, Connected: len(p.links) > 0, Apart: m.apart(p)}
	if h.Connected {
		h.Heard = m.clock.Now()
	}
	return h
}

// CopiesOf says of every other node, and of boxes with this node's own keys, how many of
// some ops it is known to hold, and how many of them no safe copy is known of. Nodes that
// hold none are left out. Safe copies come first, those with the most before others, then
// by node. The time is that of the last of the ops a node came to hold. Absent nodes count
// with what they last said. Safe for concurrent use; it costs a step for each op and node.
func (m *Mesh) CopiesOf(ops []oplog.Ref) (copies []Copy, onlyHere int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	safe := make([]bool, len(ops))
	for _, id := range m.order() {
		p := m.peers[id]
		c := Copy{Holder: m.holder(p)}
		noted := true
		c.Sure = true
		for i, op := range ops {
			if op.Seq == 0 || m.upTo(op.Log, p.held[op.Log]) < op.Seq {
				continue
			}
			c.Holds++
			safe[i] = safe[i] || c.Apart == ""
			at, sure := since(p.points[op.Log], op.Seq)
			noted, c.Sure = noted && !at.IsZero(), c.Sure && sure
			if at.After(c.Since) {
				c.Since = at
			}
		}
		if !noted {
			c.Since, c.Sure = time.Time{}, false
		}
		if c.Holds > 0 {
			copies = append(copies, c)
		}
	}
	slices.SortStableFunc(copies, func(a, b Copy) int {
		return cmp.Or(cmp.Compare(len(a.Apart), len(b.Apart)), cmp.Compare(b.Holds, a.Holds))
	})
	for _, s := range safe {
		if !s {
			onlyHere++
		}
	}
	return copies, onlyHere
}

// HoldersOf lists who is known to hold an op durably, safe copies first. Safe for
// concurrent use.
func (m *Mesh) HoldersOf(op oplog.Ref) []Holder {
	var out []Holder
	copies, _ := m.CopiesOf([]oplog.Ref{op})
	for _, c := range copies {
		out = append(out, c.Holder)
	}
	return out
}

// Met says when another node was last heard of. Safe for concurrent use.
func (m *Mesh) Met(node oplog.ID) Holder {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[node]; p != nil {
		return m.holder(p)
	}
	return Holder{Node: node}
}

// Safe says of every log held here up to which op some other node is known to hold it
// safely: all behind that is only here. Safe for concurrent use.
func (m *Mesh) Safe() map[oplog.LogID]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[oplog.LogID]uint64, len(m.mine))
	peers := m.safePeers()
	for log, h := range m.mine {
		if m.onlyHere(log, h, peers) == 0 {
			out[log] = h.Seq // behind the parting of two histories it lies in a later log as well
			continue
		}
		var best uint64
		for _, p := range peers {
			best = max(best, min(m.upTo(log, p.held[log]), h.Seq))
		}
		out[log] = best
	}
	return out
}

// rememberedPoints is how points are written down: [op, Unix seconds, 1 where the clock
// was sure].
func rememberedPoints(list []point) [][3]int64 {
	var out [][3]int64
	for _, k := range list {
		sure := int64(0)
		if k.sure {
			sure = 1
		}
		out = append(out, [3]int64{int64(k.seq), k.at, sure}) //nolint:gosec // a sequence stays far below 2^63
	}
	return out
}

// recall takes points from the file. Without a fitting one what a node held is known since
// it was last heard of, as that was when it said so at the latest.
func (p *peer) recall(log oplog.LogID, written [][3]int64, last time.Time) {
	k := p.held[log]
	var list []point
	for _, w := range written {
		seq := uint64(max(w[0], 0)) //nolint:gosec // not negative
		if seq == 0 || seq > k.seq || len(list) == mostPoints || len(list) > 0 && list[len(list)-1].seq >= seq {
			continue
		}
		list = append(list, point{seq, w[1], w[2] == 1})
	}
	if n := len(list); (n == 0 || list[n-1].seq < k.seq) && !last.IsZero() {
		list = append(list, point{k.seq, last.Unix(), false})
	}
	if len(list) == 0 {
		return
	}
	if p.points == nil {
		p.points = map[oplog.LogID][]point{}
	}
	p.points[log] = list
}

// OnlyHereOf counts, per log, the ops that no other node is known to hold safely; logs
// without any are left out. OnlyHere is their sum. Safe for concurrent use.
func (m *Mesh) OnlyHereOf() map[oplog.LogID]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[oplog.LogID]uint64{}
	peers := m.safePeers()
	for log, h := range m.mine {
		if n := m.onlyHere(log, h, peers); n > 0 {
			out[log] = n
		}
	}
	return out
}

// shutOrTwin is for lists that name safe copies only. Called with the lock held.
func (m *Mesh) shutOrTwin(id identity.NodeID) bool {
	p := m.peers[id]
	return p == nil || m.apart(p) != ""
}
