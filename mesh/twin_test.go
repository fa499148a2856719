package mesh

import (
	"fmt"
	"maps"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
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
	c.log.owned = map[oplog.LogID]bool{}
	maps.Copy(c.log.owned, n.log.owned)
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

// Two boxes that both wrote the log before they met, far apart and by different numbers:
// what both wrote is at both, and at those who hold either history.
func TestTwinsThatWroteApart(t *testing.T) {
	w := newWorld(t)
	a := w.start(t)
	c := w.start(t, seeded(a.addr)) // knows a
	a.log.writeN(700)
	b := copyOf(a)
	want := a.log.bodies()
	for i := range 900 {
		if i < 300 {
			a.log.write(fmt.Append(nil, "a wrote ", i))
			want[fmt.Sprint("a wrote ", i)] = true
		}
		b.log.write(fmt.Append(nil, "b wrote ", i))
		want[fmt.Sprint("b wrote ", i)] = true
	}
	wait(t, "c holds what a wrote", func() bool { return same(a.log, c.log) })
	b.again(seeded(c.addr))
	all := func(n *node) func() bool { return func() bool { return maps.Equal(n.log.bodies(), want) } }
	wait(t, "everything at a", all(a))
	wait(t, "everything at b", all(b))
	wait(t, "everything at c", all(c))
	wait(t, "nothing is only here", func() bool { return a.mesh.OnlyHere() == 0 && b.mesh.OnlyHere() == 0 })
	wait(t, "nobody is behind", func() bool {
		for _, p := range append(c.mesh.Peers(), a.mesh.Peers()...) {
			if p.Behind+p.Ahead > 0 {
				return false
			}
		}
		return true
	})
	if n := b.log.rejoins; n > 30 {
		t.Errorf("asked %d times", n)
	}
}

// An old card was put back: the box writes on before anybody tells it that it wrote more.
// The other nodes have what it forgot, and get what it wrote.
func TestAnOldCardPutBack(t *testing.T) {
	w := newWorld(t)
	a := w.start(t)
	c := w.start(t, seeded(a.addr))
	a.log.writeN(20)
	old := copyOf(a)
	a.log.write([]byte("forgotten"), []byte("forgotten too"))
	wait(t, "c holds it", func() bool { return same(a.log, c.log) })
	a.close()
	want := a.log.bodies()
	old.log.write([]byte("anew"))
	want["anew"] = true
	old.again(seeded(c.addr))
	wait(t, "everything at both", func() bool { return maps.Equal(old.log.bodies(), want) && maps.Equal(c.log.bodies(), want) })
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

// Two boxes that came out of backups do not open each other: neither knows who was
// erased since. One that others opened counts again.
func TestTwoThatWaitDoNotOpenEachOther(t *testing.T) {
	w := newWorld(t)
	waiting := func(c *Config, _ *node) { c.Closed = true }
	a := w.start(t, waiting)
	b := w.start(t, waiting, seeded(a.addr))
	a.log.writeN(3)
	b.log.writeN(3)
	wait(t, "they hold the same", func() bool { return same(a.log, b.log) && a.linked(b) && b.linked(a) })
	if a.mesh.Complete() || b.mesh.Complete() {
		t.Fatal("two that wait opened each other")
	}
	a.mesh.Opened()
	wait(t, "b believes a", b.mesh.Complete)
	if a.mesh.Complete() {
		t.Fatal("a believes b, which still waits")
	}
	c := w.start(t, seeded(a.addr))
	wait(t, "a believes c", a.mesh.Complete)
	_ = c
}
