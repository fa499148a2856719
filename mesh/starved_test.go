package mesh

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/waypost/waypost/appliance/clock"
)

// A board whose one core is busy answers late. Nobody may be taken for gone for that:
// each false leave costs every node a suspicion, a refutation and a new name. Busy loops
// hold the only processor of all nodes; what counts is who was said to have left.
func TestStarvedNodeIsNotTakenForDead(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 30 s")
	}
	w := newWorld(t)
	nodes := []*node{w.start(t)}
	for len(nodes) < 5 {
		nodes = append(nodes, w.start(t, seeded(nodes[0].addr)))
	}
	wait(t, "all are members", func() bool {
		for _, n := range nodes {
			if n.mesh.member.(*gossip).list.NumMembers() != len(nodes) {
				return false
			}
		}
		return true
	})
	born := make([]uint64, len(nodes))
	for i, n := range nodes {
		n.mesh.mu.Lock()
		born[i] = n.mesh.born
		n.mesh.mu.Unlock()
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var over atomic.Bool
	var sum atomic.Uint64
	for range 8 {
		go func() {
			for n := uint64(0); !over.Load(); n++ {
				sum.Add(n * n)
			}
		}()
	}
	// The first probe that fails begins a suspicion of four rounds at least: so long it takes to be wrong.
	<-clock.System().After((2 + suspicion) * usual.probeInterval)
	over.Store(true)
	for i, n := range nodes {
		if got := n.left(); got != 0 {
			t.Errorf("node %d was told that %d others left", i, got)
		}
		n.mesh.mu.Lock()
		if len(n.mesh.links) < len(nodes)-1 || n.mesh.born > born[i]+2 { // doubles of the beginning
			t.Errorf("node %d has %d links and made %d", i, len(n.mesh.links), n.mesh.born-born[i])
		}
		n.mesh.mu.Unlock()
	}
}

// left counts the members that memberlist said were gone.
func (n *node) left() (count int) {
	g := n.mesh.member.(*gossip)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, names := range g.names {
		for _, t := range names {
			if !t.alive {
				count++
			}
		}
	}
	return count
}
