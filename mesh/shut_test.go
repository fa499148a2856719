package mesh

import (
	"slices"
	"testing"
)

// A node that was shut out is refused by whoever knows of it, both ways and at once, and
// those who do not know yet deal with it as before. Lifted, it is let in again.
func TestANodeThatIsShutOut(t *testing.T) {
	w := newWorld(t)
	a := w.start(t)
	b := w.start(t, seeded(a.addr))
	c := w.start(t, seeded(a.addr, b.addr))
	wait(t, "all linked", func() bool { return a.linked(b, c) && b.linked(a, c) && c.linked(a, b) })
	gone := c.keys.NodeID()
	a.book.shutOut(gone)
	wait(t, "a's link to c is closed", func() bool { return !a.linked(c) && !c.linked(a) })
	if conn, _, _, err := c.mesh.dialExchange(t.Context(), a.addr); err == nil { // its side of TLS 1.3 ends first
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a lets c in")
		}
		_ = conn.Close()
	}
	if _, _, _, err := a.mesh.dialExchange(t.Context(), c.addr); err == nil {
		t.Error("a talks to c")
	}
	c.log.write([]byte("by way of b"))
	wait(t, "b passes it on", func() bool { return same(a.log, c.log) })
	b.book.shutOut(gone)
	wait(t, "nobody talks to c", func() bool { return !b.linked(c) && !c.linked(b) })
	a.log.write([]byte("not for c"))
	wait(t, "b has it", func() bool { return same(a.log, b.log) })
	if c.log.bodies()["not for c"] {
		t.Error("c has it")
	}
	wait(t, "c is no member", func() bool { return len(a.mesh.member.(*gossip).list.Members()) <= 3 })
	a.mesh.mu.Lock()
	before := a.mesh.peers[gone].card.stamp
	a.mesh.mu.Unlock()
	if err := c.mesh.readvertise(); err != nil {
		t.Fatal(err)
	}
	c.mesh.mu.Lock()
	card := c.mesh.card
	c.mesh.mu.Unlock()
	a.mesh.learnCards([][]byte{card.raw}, nil)
	a.mesh.mu.Lock()
	if a.mesh.peers[gone].card.stamp != before {
		t.Error("a keeps the card of a node that was shut out")
	}
	a.mesh.mu.Unlock()

	a.book.shutOut()
	a.mesh.Ask()
	c.mesh.Ask()
	wait(t, "a and c again", func() bool { return a.linked(c) && same(a.log, c.log) })
}

// The key of the membership traffic changes while everybody runs, not everywhere at the
// same moment; a node that was away longer gets records all the same, and is a member
// again as soon as it has the key.
func TestTheGossipKeyChanges(t *testing.T) {
	w := newWorld(t)
	a := w.start(t)
	b := w.start(t, seeded(a.addr))
	members := func(n *node, want int) func() bool {
		return func() bool { return len(n.mesh.member.(*gossip).list.Members()) == want }
	}
	wait(t, "two members", func() bool { return members(a, 2)() && members(b, 2)() })
	old, first, second := a.keys.gossip, [32]byte{1}, [32]byte{2}
	rekey := func(n *node, keys ...[32]byte) {
		n.keys.next.Store(&keys)
		wait(t, "the key is used", func() bool {
			return slices.Equal(n.mesh.member.(*gossip).ring.GetPrimaryKey(), keys[0][:]) && len(n.mesh.member.(*gossip).ring.GetKeys()) == len(keys)
		})
	}
	rekey(a, first, old)
	b.log.write([]byte("under the old key"))
	wait(t, "records move", func() bool { return same(a.log, b.log) })
	rekey(b, first, old)
	rekey(a, second, first)
	rekey(b, second, first)
	wait(t, "two members again", func() bool { return members(a, 2)() && members(b, 2)() })
	if _, err := a.mesh.transport.sieve.open(nil, seal(t, old, gossipVersion, []byte("x"), nil), nil); err == nil {
		t.Error("the oldest key still opens packets")
	}
	for _, k := range [][32]byte{first, second} {
		if _, err := a.mesh.transport.sieve.open(nil, seal(t, k, gossipVersion, []byte("x"), nil), nil); err != nil {
			t.Error(err)
		}
	}
	a.log.write([]byte("under the new key"))
	wait(t, "records move again", func() bool { return same(a.log, b.log) })
}
