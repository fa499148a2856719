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
