package mesh

import (
	"slices"
	"time"
)

// A node that was suspended or revoked is refused in both directions: its handshakes fail,
// it is not dialled, its card is neither kept nor passed on, and links that work are
// closed as soon as this node learns of it. It is told nothing, so it learns nothing; what
// it holds of others stays as it was. Whoever meets one that has not heard of it tells it
// by the facts themselves, as everything else.

// followEvery is how soon this node acts on what the journal brought about nodes and keys.
const followEvery = time.Second

// follow does so, and again.
func (m *Mesh) follow() {
	if err := m.book.Follow(m.ctx); err != nil && m.ctx.Err() == nil {
		m.quiet.warn("mesh cannot follow what is said about nodes", "err", err)
	}
	m.shutOut()
	if now := m.keys.GossipKeys(); len(now) > 0 && !slices.Equal(now, m.ring) {
		m.mu.Lock()
		err := m.member.Rekey(now)
		m.mu.Unlock()
		if err != nil {
			m.quiet.warn("mesh cannot use the new gossip key", "err", err)
		} else {
			m.ring = now
			m.stage.Work(m.member.Rejoin) // those whose packets this node could not read meanwhile
		}
	}
	m.stage.After(followEvery, func() { m.stage.Work(m.follow) })
}

// shutOut closes the links to nodes that were shut out.
func (m *Mesh) shutOut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.links {
		if m.book.Outcast(l.cert) {
			m.log.Info("mesh closes the link to a node that was shut out", "node", l.node)
			l.end()
		}
	}
}
