package meshtest

import (
	"context"
	"os"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/mesh"
)

// What a frame costs on a real line beside its own bytes: TLS 1.3 (5 and 16 and 1), TCP with
// time stamps and IPv4 (52), and every second one an acknowledgement of its own (26).
const frameCost = 22 + 52 + 26

// counting is a journal that counts what came twice.
type counting struct {
	mesh.Records
	once, twice *uint64
}

func (c counting) Merge(ctx context.Context, batches ...[]byte) (oplog.MergeResult, error) {
	r, err := c.Records.Merge(ctx, batches...)
	n := uint64(0)
	for _, b := range batches {
		n += uint64(len(b))
	}
	if r.Ops == 0 {
		*c.twice += n
	} else {
		*c.once += n
	}
	return r, err
}

// TestMeshFigures measures on the made-up network (delays of 0.5 to 5 ms, 2 MB a second a
// line, disks of 0.2 to 20 ms): steps and bytes are those of the real code, times are those
// of the network that was made up. Run by make bench-sim.
func TestMeshFigures(t *testing.T) {
	if os.Getenv("WAYPOST_FIGURES_MESH") == "" {
		t.Skip("WAYPOST_FIGURES_MESH=1 measures")
	}
	cryptotest.SetGlobalRandom(t, 1)
	for _, low := range []bool{false, true} {
		t.Run("idle", func(t *testing.T) { figureIdle(t, 50, low) })
	}
	for _, loss := range []float64{0, 0.2} {
		t.Run("live", func(t *testing.T) { figureLive(t, 50, loss) })
	}
	for _, n := range []int{2, 10, 50} {
		t.Run("heal", func(t *testing.T) { figureHeal(t, n) })
	}
}

// spoken is what a node says a minute, over exchange links, while nothing happens; settled
// is how long to wait before.
func spoken(posts []*post, settled, during time.Duration) float64 {
	c := posts[0].camp
	c.Run(settled)
	bytes, frames := c.Sent(), c.frames
	c.Run(during)
	return float64(c.Sent()-bytes+frameCost*(c.frames-frames)) / float64(len(posts)) / during.Minutes()
}

func figureIdle(t *testing.T, n int, low bool) {
	c := NewCamp(1, oplogtest.Noon(), nil)
	posts := found(t, c, n)
	c.Until(10*time.Minute, time.Second, func() bool { return same(posts, nil) })
	for _, p := range posts {
		p.Mesh.SetLinks(mesh.LinkProfile{Low: low})
	}
	node, links := spoken(posts, 30*time.Minute, 10*time.Minute), 0
	for _, p := range posts {
		links += len(p.lines)
	}
	t.Logf("idle, %d nodes, low %v: %.0f bytes a node and minute over exchange links, %.1f links a node; memberlist comes on top", n, low, node, float64(links)/float64(n))
}

// live registers people one after the other at posts drawn by chance, and says how long it
// took each time until all had them, in order.
func live(t *testing.T, posts []*post, times int) []time.Duration {
	c := posts[0].camp
	var took []time.Duration
	for range times {
		o := posts[c.Rand().IntN(len(posts))]
		id, _ := o.add()
		left := slices.Clone(posts)
		d, ok := c.Until(time.Minute, 10*time.Millisecond, func() bool {
			left = slices.DeleteFunc(left, func(x *post) bool { return x.has(id) })
			return len(left) == 0
		})
		if !ok {
			t.Error("it never came")
		}
		took = append(took, d)
		c.Run(c.between(time.Second, 5*time.Second))
	}
	slices.Sort(took)
	return took
}

// atMost is the smallest that p of 100 of the sorted do not exceed.
func atMost(sorted []time.Duration, p int) time.Duration {
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

func figureLive(t *testing.T, n int, loss float64) {
	c := NewCamp(2, oplogtest.Noon(), nil)
	posts := found(t, c, n)
	c.Until(10*time.Minute, time.Second, func() bool { return same(posts, nil) })
	c.Run(5 * time.Minute)
	c.Loss = loss
	took := live(t, posts, 100)
	t.Logf("a live write on all of %d nodes, loss %v: p50 %v, p95 %v, worst %v", n, loss, atMost(took, 50), atMost(took, 95), atMost(took, 100))
}

// figureHeal cuts a camp in halves, has 1,000 people registered on either side while it is
// cut, and counts from when it is mended until every node holds every op: after 30 seconds,
// two and ten minutes and two hours of cut, with other halves each time.
func figureHeal(t *testing.T, n int) {
	lengths := []time.Duration{30 * time.Second, 2 * time.Minute, 10 * time.Minute, 2 * time.Hour}
	took := map[time.Duration][]time.Duration{}
	var all []time.Duration
	var once, twice uint64
	for seed := range uint64(3) {
		c := NewCamp(10+seed, oplogtest.Noon(), nil)
		posts := found(t, c, n)
		c.Until(10*time.Minute, time.Second, func() bool { return same(posts, nil) })
		for _, p := range posts {
			p.bent = func(r mesh.Records) mesh.Records { return counting{r, &once, &twice} }
			p.down()
			p.open(false)
		}
		c.Run(2 * time.Minute)
		once, twice = 0, 0
		for _, length := range lengths {
			d := heals(t, posts, length)
			t.Logf("%d nodes, seed %d, cut for %v: healed in %v", n, seed, length, d)
			took[length], all = append(took[length], d), append(all, d)
			c.Run(2 * time.Minute)
		}
		for _, p := range posts {
			p.end()
		}
	}
	slices.Sort(all)
	t.Logf("healed cut, 1,000 ops a side, %d nodes: p50 %v, p95 %v, worst %v over %v; twice %.1f %% of the payload", n,
		atMost(all, 50), atMost(all, 95), atMost(all, 100), took, 100*float64(twice)/float64(once+twice))
}

// heals is one cut. People are registered in its first 20 seconds.
func heals(t *testing.T, posts []*post, length time.Duration) time.Duration {
	c := posts[0].camp
	mixed := slices.Clone(posts)
	c.Rand().Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	var halves [2][]*Place
	for i, p := range mixed {
		halves[i%2] = append(halves[i%2], p.Place)
	}
	c.Cut(halves[0], halves[1])
	for i := range 100 {
		for side := range 2 {
			o := mixed[(2*i+side)%len(mixed)]
			for range 10 {
				o.add()
			}
		}
		c.Run(200 * time.Millisecond)
	}
	c.Run(length - 20*time.Second)
	if same(posts, nil) {
		t.Error("it was no cut")
	}
	c.Heal()
	d, ok := c.Until(5*time.Minute, 50*time.Millisecond, func() bool { return same(posts, nil) })
	if !ok {
		t.Error("it never healed")
	}
	return d
}
