package mesh

import (
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
)

// A node that was suspended or revoked is refused in both directions: its handshakes fail,
// it is not dialled, its card is neither kept nor passed on, and links that work are
// closed as soon as this node learns of it. It is told nothing, so it learns nothing; what
// it holds of others stays as it was. Whoever meets one that has not heard of it tells it
// by the facts themselves, as everything else.

// followEvery is how soon this node acts on what the journal brought about nodes and keys.
const followEvery = time.Second

// followLoop does so until the mesh closes.
func (m *Mesh) followLoop() {
	keys := m.keys.GossipKeys()
	for m.sleep(followEvery) {
		if err := m.book.Follow(m.ctx); err != nil && m.ctx.Err() == nil {
			m.quiet.warn("mesh cannot follow what is said about nodes", "err", err)
		}
		m.shutOut()
		if now := m.keys.GossipKeys(); len(now) > 0 && !slices.Equal(now, keys) {
			if err := m.rekey(now); err != nil {
				m.quiet.warn("mesh cannot use the new gossip key", "err", err)
				continue
			}
			keys = now
		}
	}
}

// shutOut closes the links to nodes that were shut out.
func (m *Mesh) shutOut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.links {
		if m.book.Outcast(l.cert) {
			m.log.Info("mesh closes the link to a node that was shut out", "node", l.node)
			l.cancel()
		}
	}
}

// newKeyring holds the keys, the first of them in use.
func newKeyring(keys [][32]byte) (*memberlist.Keyring, error) {
	var all [][]byte
	for _, k := range keys {
		all = append(all, slices.Clone(k[:]))
	}
	return memberlist.NewKeyring(all, all[0])
}

// rekey makes the membership traffic go under the first of keys and accept the others. For
// a moment some nodes have it and some do not; that costs them hints, and no records: the
// exchange does not need this key.
func (m *Mesh) rekey(keys [][32]byte) error {
	if err := m.transport.sieve.rekey(keys); err != nil {
		return err
	}
	m.mu.Lock()
	g := m.gossip
	m.mu.Unlock()
	if g == nil {
		return nil
	}
	for _, k := range keys {
		if err := g.ring.AddKey(slices.Clone(k[:])); err != nil {
			return err
		}
	}
	if err := g.ring.UseKey(keys[0][:]); err != nil {
		return err
	}
	for _, old := range g.ring.GetKeys() {
		if !slices.ContainsFunc(keys, func(k [32]byte) bool { return slices.Equal(k[:], old) }) {
			if err := g.ring.RemoveKey(old); err != nil {
				return err
			}
		}
	}
	m.goDo(g.rejoin) // those whose packets this node could not read meanwhile
	return nil
}
