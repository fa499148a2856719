package meshtest

import (
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/mesh"
)

// What twenty nodes were measured to say and how soon they hear, in the camp's own time, so
// that a busy machine changes nothing. A change that makes more noise than a sixth more has
// to say here why.
const (
	saidUsual = 1311.0 // bytes a node and minute over exchange links, TLS and TCP/IP counted
	saidLow   = 328.0
	heardAll  = 500 * time.Millisecond // until a registration is at all nodes, 9 of 10 times
)

// TestIdleStaysQuiet holds what nodes say over exchange links while nothing happens, under
// both profiles, to what was measured, and 15 % more.
func TestIdleStaysQuiet(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	c := NewCamp(1, oplogtest.Noon(), nil)
	posts := found(t, c, 20)
	if _, ok := c.Until(10*time.Minute, time.Second, func() bool { return same(posts, nil) }); !ok {
		t.Fatal("they never met")
	}
	for _, p := range []struct {
		name string
		low  bool
		said float64
	}{{"usual", false, saidUsual}, {"low", true, saidLow}} {
		for _, o := range posts {
			o.Mesh.SetLinks(mesh.LinkProfile{Low: p.low})
		}
		got := spoken(posts, 10*time.Minute, 10*time.Minute)
		t.Logf("%s: %.0f bytes a node and minute", p.name, got)
		if got > p.said*1.15 {
			t.Errorf("%s: %.0f bytes a node and minute, measured were %.0f", p.name, got, p.said)
		}
	}
}

// TestLowReportsSeldom: while people are registered, reports cost a third at most under the low
// profile.
func TestLowReportsSeldom(t *testing.T) {
	const says = 14 // mesh/doc.go
	cryptotest.SetGlobalRandom(t, 1)
	c := NewCamp(4, oplogtest.Noon(), nil)
	posts := found(t, c, 20)
	if _, ok := c.Until(10*time.Minute, time.Second, func() bool { return same(posts, nil) }); !ok {
		t.Fatal("they never met")
	}
	var cost [2]uint64
	for i, low := range []bool{false, true} {
		for _, o := range posts {
			o.Mesh.SetLinks(mesh.LinkProfile{Low: low})
		}
		before := c.SentAs(says)
		for range 60 {
			posts[c.Rand().IntN(len(posts))].add()
			c.Run(20 * time.Second)
		}
		cost[i] = c.SentAs(says) - before
	}
	t.Logf("usual %d bytes, low %d, of 20 posts in 20 minutes", cost[0], cost[1])
	if cost[1] == 0 || cost[1]*3 > cost[0] {
		t.Errorf("reports are %d bytes, %d under the low profile", cost[0], cost[1])
	}
}

// TestTheFileOfPeersIsWrittenSeldom: a node that is started again and again has a new card
// each time, and the others do not write all they know for each.
func TestTheFileOfPeersIsWrittenSeldom(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	c := NewCamp(3, oplogtest.Noon(), nil)
	posts := found(t, c, 20)
	if _, ok := c.Until(10*time.Minute, time.Second, func() bool { return same(posts, nil) }); !ok {
		t.Fatal("they never met")
	}
	before, starts := posts[0].saves, 60
	for range starts {
		posts[19].down()
		posts[19].open(false)
		c.Run(3 * time.Second)
	}
	wrote, most := posts[0].saves-before, starts*3/len(posts)+2 // a second for each it knows, and rounding
	t.Logf("%d times in %d starts", wrote, starts)
	if wrote > most || wrote == 0 {
		t.Errorf("the file was written %d times in 3 minutes, at most %d are enough", wrote, most)
	}
}

// TestALiveWriteIsQuick holds how soon all of twenty nodes have a registration.
func TestALiveWriteIsQuick(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	c := NewCamp(2, oplogtest.Noon(), nil)
	posts := found(t, c, 20)
	if _, ok := c.Until(10*time.Minute, time.Second, func() bool { return same(posts, nil) }); !ok {
		t.Fatal("they never met")
	}
	c.Run(2 * time.Minute)
	took := live(t, posts, 20)
	t.Logf("p50 %v, p90 %v, worst %v", atMost(took, 50), atMost(took, 90), atMost(took, 100))
	if got := atMost(took, 90); got > heardAll {
		t.Errorf("a registration is at all nodes after %v, 9 of 10 times; it has to be in %v", got, heardAll)
	}
}
