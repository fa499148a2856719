package mesh

import (
	"testing"
)

// copyOf is a second box with the same keys and the same records, as a copied card is.
func copyOf(n *node) *node {
	c := &node{t: n.t, log: newMemLog(), keys: n.keys, book: n.book, dir: n.t.TempDir()}
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	c.log.own = n.log.own
	for log, ops := range n.log.logs {
		c.log.logs[log] = append([]entry(nil), ops...)
	}
	return c
}

// Two boxes with one node's keys that meet directly: both stay, each gets a log of its
// own, and what each writes after that is at both.
func TestTwinsMeet(t *testing.T) {
	w := newWorld(t)
	a := w.start(t)
	a.log.writeN(3)
	was := a.log.Own()
	b := copyOf(a)
	b.again(seeded(a.addr))
	wait(t, "they notice each other", func() bool { return a.mesh.Twins() > 0 && b.mesh.Twins() > 0 })
	wait(t, "no log is written by both", func() bool { return a.log.Own() != b.log.Own() })
	if a.log.Own() == was && b.log.Own() == was {
		t.Fatal("both still write the old log")
	}
	a.log.write([]byte("from a"))
	b.log.write([]byte("from b"))
	wait(t, "what both wrote is at both", func() bool { return same(a.log, b.log) })
	if len(a.mesh.Peers())+len(b.mesh.Peers()) > 0 {
		t.Fatal("a twin is no other node")
	}
	if a.mesh.Complete() || b.mesh.Complete() {
		t.Fatal("a twin is no other node that could know more")
	}
}

// A third node talks with both, says so, and brings them together.
func TestAThirdKeepsBothTwins(t *testing.T) {
	w := newWorld(t)
	c := w.start(t)
	a := w.start(t, seeded(c.addr))
	wait(t, "a and c", func() bool { return a.linked(c) && c.linked(a) })
	b := copyOf(a)
	b.again(seeded(c.addr))
	wait(t, "c says that a runs twice", func() bool { d := c.mesh.Doubled(); return len(d) == 1 && d[0] == a.keys.NodeID() })
	wait(t, "the twins find each other", func() bool { return a.mesh.Twins() > 0 && b.mesh.Twins() > 0 })
	wait(t, "two logs", func() bool { return a.log.Own() != b.log.Own() })
	a.log.write([]byte("from a"))
	b.log.write([]byte("from b"))
	wait(t, "everything is everywhere", func() bool { return same(a.log, b.log, c.log) })
	if len(a.mesh.Doubled()) > 0 {
		t.Fatal("a calls itself another post")
	}
}

// A node that was merely restarted is no twin, to itself and to others, also when its
// clock was set back meanwhile.
func TestARestartIsNoTwin(t *testing.T) {
	w := newWorld(t)
	c := w.start(t)
	a := w.start(t, seeded(c.addr))
	wait(t, "a and c", func() bool { return a.linked(c) && c.linked(a) })
	for range 3 {
		a.close()
		a.again(seeded(c.addr, a.addr))
		wait(t, "a and c again", func() bool { return a.linked(c) && c.linked(a) })
	}
	if a.mesh.Twins() > 0 || len(c.mesh.Doubled()) > 0 {
		t.Fatal("a restart was taken for a copy")
	}
}

// Complete needs everything another node holds.
func TestCompleteMeansAllOfIt(t *testing.T) {
	w := newWorld(t)
	a, b := w.start(t), w.start(t)
	if a.mesh.Complete() {
		t.Fatal("complete alone")
	}
	b.log.writeN(2000)
	a.log.mu.Lock()
	a.log.fail = errTooMany // nothing can be stored for now
	a.log.mu.Unlock()
	c := w.start(t, seeded(b.addr))
	wait(t, "all of it", c.mesh.Complete)
	if !same(b.log, c.log) {
		t.Fatal("complete too early")
	}
	a.close()
	a.again(seeded(b.addr))
	wait(t, "a link", func() bool { return a.linked(b) })
	if a.mesh.Complete() {
		t.Fatal("complete without a record")
	}
}
