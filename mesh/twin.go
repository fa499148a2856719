package mesh

import (
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// A twin is another box that runs with this node's own keys: somebody copied the
// folder. Both are who they say they are, so neither can be sent away; what must not
// happen is that both write one log. They know each other by the incarnation, which is
// drawn at each start. Each that writes the log of the other opens a new one, and then
// they exchange records as any two nodes do, so that what both write from then on is at
// both. What they wrote into the one log before is brought together by rejoin.go.
//
// A third node that talks with both keeps both connections instead of taking the older
// one for dead, and says that the post runs twice.

const (
	maxTwins  = 16
	maxGone   = 8                // incarnations remembered of a node that was restarted
	outdoWait = time.Minute      // two twins would outdo each other's cards for ever
	twinLook  = 10 * time.Second // between two looks at a twin's addresses
)

// metTwin is called when a connection turned out to be with this node's own keys. False:
// it is this very process, reached by another of its addresses.
func (m *Mesh) metTwin(l *link) bool {
	if l.hello.incarnation == m.incarnation {
		m.isSelf(l.dialled)
		return false
	}
	m.mu.Lock()
	l.low = (l.dialled != "") == (string(m.incarnation[:]) < string(l.hello.incarnation[:]))
	known := m.twins[l.hello.incarnation]
	if !known && len(m.twins) < maxTwins {
		m.twins[l.hello.incarnation] = true
	}
	m.mu.Unlock()
	if !known {
		m.log.Warn("mesh met another box with the keys of this node", "node", m.self, "address", l.line.Remote())
	}
	if l.hello.own == m.records.Own() && !l.hello.own.IsZero() {
		if err := m.records.Succeed(m.ctx, l.hello.own); err != nil {
			m.quiet.warn("mesh could not open a new log beside a twin", "err", err)
		}
	}
	return true
}

// Twins counts the boxes met since Start that run with a copy of this node's folder.
func (m *Mesh) Twins() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.twins)
}

// Doubled lists the other nodes that were found to run twice, in no order.
func (m *Mesh) Doubled() []oplog.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []oplog.ID
	for id, p := range m.peers {
		if p.doubled && id != m.self {
			out = append(out, id)
		}
	}
	return out
}

// replace ends the links of a node's earlier starts, unless the node runs twice: an
// incarnation that comes back after another took its place was never dead. Called with
// the lock held.
func (p *peer) replace(l *link) {
	if slices.Contains(p.gone, l.hello.incarnation) {
		p.doubled = true
	}
	for _, o := range p.links {
		if o.hello.incarnation == l.hello.incarnation {
			continue
		}
		if !slices.Contains(p.gone, o.hello.incarnation) {
			p.gone = append(p.gone, o.hello.incarnation)
			p.gone = p.gone[max(0, len(p.gone)-maxGone):]
		}
		if !p.doubled {
			o.end() // the node was restarted: its old connections are dead
		}
	}
}

// lookForTwin goes to the addresses of a card with our name that is newer than our own:
// either we forgot that we made it, or somebody else did. Called with the lock held.
func (m *Mesh) lookForTwin(c card) {
	now := m.elapsed()
	if c.stamp <= m.card.stamp || m.nextTwin > now { // m.stamp is that of reports too
		return
	}
	var addrs []string
	for _, a := range c.addrs {
		if !slices.Contains(m.card.addrs, a) {
			addrs = append(addrs, a)
		}
	}
	if p := m.peers[m.self]; len(addrs) == 0 || p != nil && len(p.links) > 0 {
		return
	}
	m.nextTwin = now + twinLook
	m.stage.Dial(identity.NodeID{}, addrs, true, func() {})
}
