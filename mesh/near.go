package mesh

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/identity"
)

// With whom a node keeps links. Up to fewNodes others everybody is linked with everybody.
// Beyond that each node wants the next one after it and the one before it among those that
// answer, in the order of their ids, so that all who can reach each other form one ring,
// and some besides, drawn by a hash that both ends know, so that news takes few steps. What
// comes over one link goes on over the others.
//
// A node that is neither linked nor known to be there is looked for, wanted or not: it may
// be in a part of the camp that was cut off, and one link heals that for all. When it turns
// out that nobody needs the link, whoever dialled it parts from it, once both hold the same.
const (
	fewNodes  = 7
	drawn     = 2
	lingers   = 8 * time.Second // before a link that nobody wants is given up
	metFor    = 5 * time.Minute // so long a node that was parted from counts as there, whatever memberlist says
	lookAfter = 3 * time.Second // a hint that came true nowhere near has a few others asked
	lookAt    = 3
)

// order are the ids of all known peers, sorted. Called with the lock held.
func (m *Mesh) order() []identity.NodeID {
	if len(m.sorted) != len(m.peers) { // peers are only ever added
		m.sorted = m.sorted[:0]
		for id := range m.peers {
			m.sorted = append(m.sorted, id)
		}
		slices.SortFunc(m.sorted, compareNodes)
	}
	return m.sorted
}

func compareNodes(a, b identity.NodeID) int { return bytes.Compare(a[:], b[:]) }

// chooseNear works out whom this node wants links with, at most once a second: it costs
// something where there are many. Called with the lock held.
func (m *Mesh) chooseNear() {
	ids, now := m.order(), m.elapsed()
	if m.wants != nil && len(ids) == m.chose && now-m.choseAt < keepEvery {
		return
	}
	m.chose, m.choseAt = len(ids), now
	for _, id := range ids {
		m.peers[id].shut = id != m.self && m.book.Shut(id)
	}
	m.wants = m.near(ids)
}

// near are the nodes this one wants links with. Called with the lock held.
func (m *Mesh) near(ids []identity.NodeID) map[identity.NodeID]bool {
	var may []identity.NodeID // in the order of the ring, beginning behind this node
	at, _ := slices.BinarySearchFunc(ids, m.self, compareNodes)
	for i := range ids {
		id := ids[(at+i)%len(ids)]
		if id != m.self && !m.peers[id].shut {
			may = append(may, id)
		}
	}
	out := make(map[identity.NodeID]bool, fewNodes)
	if len(may) <= fewNodes {
		for _, id := range may {
			out[id] = true
		}
		return out
	}
	answers := func(id identity.NodeID) bool { return !m.peers[id].lost && m.peers[id].sealed == nil } // a locked one passes nothing on
	if i := slices.IndexFunc(may, answers); i >= 0 {
		out[may[i]] = true
	}
	for _, id := range slices.Backward(may) {
		if answers(id) {
			out[id] = true
			break
		}
	}
	type lot struct {
		id  identity.NodeID
		sum [8]byte
	}
	var best []lot
	for _, id := range may {
		if answers(id) && !out[id] {
			best = append(best, lot{id, m.lotOf(id)})
		}
	}
	for range min(drawn, len(best)) {
		i := 0
		for j := range best {
			if bytes.Compare(best[j].sum[:], best[i].sum[:]) > 0 {
				i = j
			}
		}
		out[best[i].id] = true
		best = slices.Delete(best, i, i+1)
	}
	return out
}

// lotOf is what two nodes draw for each other.
func (m *Mesh) lotOf(id identity.NodeID) [8]byte {
	p := m.peers[id]
	if !p.drew {
		sum := sha256.Sum256(slices.Concat([]byte("waypost/near/1"), m.self[:], id[:]))
		p.lot, p.drew = [8]byte(sum[:8]), true
	}
	return p.lot
}

// linked reports whether some link to the peer seems to work. Called with the lock held.
func (p *peer) linked() bool {
	return slices.ContainsFunc(p.links, func(l *link) bool { return !l.suspect && !l.over })
}

// absent reports whether the peer has to be looked for: it was not reached when it should
// have been, whatever memberlist says, or nothing is known of it. Called with the lock held.
func (m *Mesh) absent(p *peer, now time.Time) bool {
	return !p.linked() && (p.lost || !m.member.Here(p.node) && now.Sub(p.parted) > metFor)
}

// part gives up links that this node made and that nobody needs. Called with the lock held.
func (m *Mesh) part(now time.Time) {
	for _, l := range m.links {
		p := l.peer
		if l.dialled == "" || m.wants[l.node] || l.node == m.self || p.doubled || l.over || now.Sub(l.sight.since) < lingers || !m.even(l) {
			continue
		}
		l.out.send(bye{byeEnough})
		l.farewell = true
		m.stage.After(time.Second, func() { // so that the word gets there
			m.mu.Lock()
			defer m.mu.Unlock()
			l.end()
		})
	}
}

// even reports whether both ends of l are known to hold the same and nothing is under way.
// Called with the lock held.
func (m *Mesh) even(l *link) bool {
	if !l.whole || l.farewell || l.pending != nil || l.serving || l.pieces.pull != nil || l.pieces.serving || !m.given(l) {
		return false
	}
	for log, h := range m.mine {
		if k := l.told[log]; k.seq < h.Seq && !m.forked(log) {
			return false
		}
	}
	return true
}

// look has a few others asked when a hint came true nowhere near. Called with the lock
// held.
func (m *Mesh) look(now time.Time) {
	for log, seq := range m.rumours {
		if m.mine[log].Seq >= seq {
			delete(m.rumours, log)
		}
	}
	if len(m.rumours) == 0 {
		m.heardAt = time.Time{}
		return
	}
	if m.heardAt.IsZero() {
		m.heardAt = now
	}
	if now.Sub(m.heardAt) < lookAfter {
		return
	}
	m.heardAt = now
	var may []*peer
	for _, id := range m.order() {
		if p := m.peers[id]; !p.linked() && !p.dial.busy && id != m.self && !p.shut {
			may = append(may, p)
		}
	}
	for range min(lookAt, len(may)) {
		i := m.stage.Rand().IntN(len(may))
		may[i].sought = true
		may[i].dial.now()
		may = slices.Delete(may, i, i+1)
	}
}

// soonOrLater plans the first look for a peer: at once among a few; one of many is given
// time to be heard of over others. Called with the lock held.
func (m *Mesh) soonOrLater(p *peer) {
	p.dial.now()
	if n := len(m.order()); n > fewNodes {
		p.later = true
		p.dial.next = m.clock.Now().Add(lingers + time.Duration(m.stage.Rand().Int64N(int64(n)*int64(waitAPeer))))
	}
}
