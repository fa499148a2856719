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
	"github.com/waypost/waypost/appliance/registration"
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
	t.Run("idle", figureIdle)
	for _, loss := range []float64{0, 0.2} {
		t.Run("live", func(t *testing.T) { figureLive(t, loss) })
	}
	for _, n := range []int{2, 10, 50} {
		t.Run("heal", func(t *testing.T) { figureHeal(t, n) })
	}
}

func figureIdle(t *testing.T) {
	c := NewCamp(1, oplogtest.Noon(), nil)
	posts := found(t, c, 50)
	c.Until(10*time.Minute, time.Second, func() bool { return same(posts, nil) })
	c.Run(30 * time.Minute)
	bytes, frames, links := c.Sent(), c.frames, 0
	c.Run(10 * time.Minute)
	for _, p := range posts {
		links += len(p.lines)
	}
	node := float64(c.Sent()-bytes+frameCost*(c.frames-frames)) / 50 / 10
	t.Logf("idle, 50 nodes: %.0f bytes a node and minute over exchange links, %.1f links a node; memberlist comes on top", node, float64(links)/50)
}

func figureLive(t *testing.T, loss float64) {
	c := NewCamp(2, oplogtest.Noon(), nil)
	posts := found(t, c, 50)
	c.Until(10*time.Minute, time.Second, func() bool { return same(posts, nil) })
	c.Run(5 * time.Minute)
	c.Loss = loss
	var took []time.Duration
	for range 40 {
		o := posts[c.Rand().IntN(50)]
		id, _ := o.add()
		d, ok := c.Until(time.Minute, 10*time.Millisecond, func() bool {
			return !slices.ContainsFunc(posts, func(x *post) bool { return !x.has(id) })
		})
		if !ok {
			t.Error("it never came")
		}
		took = append(took, d)
		c.Run(c.between(time.Second, 5*time.Second))
	}
	slices.Sort(took)
	t.Logf("a live write on all of 50 nodes, loss %v: p50 %v, p95 %v, worst %v", loss, took[20], took[37], took[39])
}

func figureHeal(t *testing.T, n int) {
	var took []time.Duration
	var once, twice uint64
	for seed := range uint64(5) {
		c := NewCamp(10+seed, oplogtest.Noon(), nil)
		posts := found(t, c, n)
		c.Until(10*time.Minute, time.Second, func() bool { return same(posts, nil) })
		var halves [2][]*Place
		for i, p := range posts {
			p.bent = func(r mesh.Records) mesh.Records { return counting{r, &once, &twice} }
			p.down()
			p.open(false)
			halves[i%2] = append(halves[i%2], p.Place)
		}
		c.Run(2 * time.Minute)
		c.Cut(halves[0], halves[1])
		for i := range 100 {
			for side := range 2 {
				o := posts[(2*i+side)%n]
				for range 10 {
					a, err := o.Registration.Add(ctx, operator, registration.Person{GivenName: "Amal", FamilyName: "Haddad"}, registration.Request{})
					o.must(err)
					_ = a
				}
				o.Mesh.Changed()
			}
			c.Run(2 * time.Second)
		}
		c.Run(time.Duration(seed*seed) * 10 * time.Minute) // after any length of cut
		once, twice = 0, 0
		c.Heal()
		d, ok := c.Until(5*time.Minute, 50*time.Millisecond, func() bool { return same(posts, nil) })
		if !ok {
			t.Error("it never healed")
		}
		took = append(took, d)
		c.Run(time.Minute)
		for _, p := range posts {
			p.end()
		}
	}
	slices.Sort(took)
	t.Logf("healed cut, 1,000 ops a side, %d nodes: %v; twice %.1f %% of the payload", n, took, 100*float64(twice)/float64(once+twice))
}
