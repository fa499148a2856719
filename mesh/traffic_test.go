package mesh

import (
	"os"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
)

// sums are the bytes of all nodes so far.
type sums struct{ packets, packetBytes, streams, streamBytes, exchange, links uint64 }

func sumOf(nodes []*node) (s sums) {
	for _, n := range nodes {
		t := &n.mesh.transport.traffic
		s.packets += t.packets.Load()
		s.packetBytes += t.packetBytes.Load()
		s.streams += t.streams.Load()
		s.streamBytes += t.streamBytes.Load()
		n.mesh.mu.Lock()
		for _, l := range n.mesh.links {
			_, out := l.line.Bytes()
			s.exchange += out
			s.links++
		}
		n.mesh.mu.Unlock()
	}
	return s
}

// What nodes say while nothing happens, per node and minute and by part. Run it with
// WAYPOST_FIGURES=traffic; it takes eleven minutes. Real sockets on loopback, every node
// linked to every other.
func TestTrafficFigures(t *testing.T) {
	if os.Getenv("WAYPOST_FIGURES") != "traffic" {
		t.Skip("set WAYPOST_FIGURES=traffic")
	}
	for _, c := range []struct {
		name  string
		nodes int
		p     LinkProfile
		takes time.Duration
	}{
		{"usual", 2, LinkProfile{}, 2 * time.Minute}, {"usual", 10, LinkProfile{}, 2 * time.Minute},
		{"low", 2, LinkProfile{Low: true}, 3 * time.Minute}, {"low", 10, LinkProfile{Low: true}, 3 * time.Minute},
	} {
		w := newWorld(t)
		nodes := []*node{w.start(t, linkedAs(c.p))}
		nodes[0].log.writeN(100)
		for len(nodes) < c.nodes {
			nodes = append(nodes, w.start(t, seeded(nodes[0].addr), linkedAs(c.p)))
		}
		wait(t, "all linked", func() bool {
			for i, n := range nodes {
				others := append(append([]*node{}, nodes[:i]...), nodes[i+1:]...)
				if !n.linked(others...) || !same(nodes[0].log, n.log) {
					return false
				}
			}
			return true
		})
		<-clock.System().After(15 * time.Second) // greetings and doubles are over
		before := sumOf(nodes)
		<-clock.System().After(c.takes)
		after := sumOf(nodes)
		per := func(a, b uint64) float64 { return float64(b-a) / float64(c.nodes) / c.takes.Minutes() }
		packets, streams := per(before.packets, after.packets), per(before.streams, after.streams)
		udp, tcp, exchange := per(before.packetBytes, after.packetBytes)+28*packets, per(before.streamBytes, after.streamBytes), per(before.exchange, after.exchange)
		links := float64(after.links) / float64(c.nodes)
		t.Logf("%-5s %2d nodes, %.0f links each: memberlist UDP %.0f B in %.1f packets (28 B headers counted), streams %.0f B in %.2f connections, exchange %.0f B (%.0f a link); all %.0f B a node and minute",
			c.name, c.nodes, links, udp, packets, tcp, streams, exchange, exchange/max(links, 1), udp+tcp+exchange)
		for _, n := range nodes {
			n.close()
		}
	}
}
