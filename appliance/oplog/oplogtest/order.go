package oplogtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
)

// Fact is one op of an order check: what, about whom, by which of the nodes,
// and which earlier facts (by index) it takes the place of. The body of a kind of the
// Narrow compartment is its payload.
type Fact struct {
	Node       int // 0, 1 or 2
	Kind       oplog.Kind
	Subject    oplog.ID
	Body       any
	Supersedes []int
	Seen       bool // all nodes exchange before it is written
}

// CheckOrder writes facts on three nodes and then lets them, a fourth that was
// never there, and a fifth that hears everything twice learn of each other in
// several random orders and portions. It fails when two nodes that hold the
// same ops have different views, when a rebuild changes them, or when Check
// finds a problem. Every desk runs it over its own kinds.
func CheckOrder(t *testing.T, views []*oplog.View, facts ...Fact) {
	t.Helper()
	for round := range uint64(4) {
		t.Run(fmt.Sprint("order ", round), func(t *testing.T) { checkOrder(t, views, facts, rand.New(rand.NewPCG(round, 11))) })
	}
}

func checkOrder(t *testing.T, views []*oplog.View, facts []Fact, rnd *rand.Rand) {
	t.Helper()
	a := NewAuthority(t)
	nodes := []*oplog.Log{Node(t, a, nil, views)}
	for len(nodes) < 5 {
		nodes = append(nodes, Node(t, a.Peer(t), nil, views))
	}
	refs := make([]oplog.Ref, len(facts))
	for i, f := range facts {
		if f.Seen {
			Exchange(t, nodes[:3]...)
		}
		var over []oplog.Ref
		for _, s := range f.Supersedes {
			over = append(over, refs[s])
		}
		err := nodes[f.Node].Do(context.Background(), oplog.By{byte(f.Node)}, func(tx *oplog.Tx) (err error) {
			if f.Kind.Compartment() == oplog.Narrow {
				refs[i], err = tx.AppendSealed(f.Subject, f.Body.([]byte))
				return err
			}
			refs[i], err = tx.Append(f.Kind, f.Subject, f.Body, over...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	spread(t, nodes, rnd)
	Same(t, nodes...)
	for _, n := range nodes {
		if err := n.Rebuild(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	Same(t, nodes...)
}

// spread hands over random small portions between random pairs until nobody
// learns anything more; the last node gets everything twice.
func spread(t *testing.T, nodes []*oplog.Log, rnd *rand.Rand) {
	t.Helper()
	for range 60 {
		from, to := nodes[rnd.IntN(len(nodes))], nodes[rnd.IntN(len(nodes))]
		heads := from.Heads()
		h := heads[rnd.IntN(len(heads))]
		handOver(t, from, to, h.Log, held(to, h.Log), 1+rnd.IntN(5))
	}
	Exchange(t, nodes...)
	for _, h := range nodes[0].Heads() {
		handOver(t, nodes[0], nodes[len(nodes)-1], h.Log, 0, 1000)
	}
}

func held(l *oplog.Log, log oplog.LogID) uint64 {
	for _, h := range l.Heads() {
		if h.Log == log {
			return h.Seq
		}
	}
	return 0
}

// handOver gives one batch; it returns how many ops were new.
func handOver(t *testing.T, from, to *oplog.Log, log oplog.LogID, after uint64, maxOps int) int {
	t.Helper()
	if after >= held(from, log) {
		return 0
	}
	raw, _, err := from.Range(log, after, maxOps, 0)
	if err != nil {
		t.Fatal(err)
	}
	if raw == nil {
		return 0
	}
	r, err := to.Merge(context.Background(), raw)
	if err != nil || len(r.Forks) > 0 {
		t.Fatalf("merge: %v, forks %v", err, r.Forks)
	}
	return r.Ops
}

// Exchange lets nodes pull from each other until all hold the same ops.
func Exchange(t testing.TB, nodes ...*oplog.Log) {
	t.Helper()
	for again := true; again; {
		again = false
		for _, from := range nodes {
			for _, to := range nodes {
				for _, h := range from.Heads() {
					for held(to, h.Log) < h.Seq {
						raw, _, err := from.Range(h.Log, held(to, h.Log), 0, 0)
						if err != nil {
							t.Fatal(err)
						}
						if _, err := to.Merge(context.Background(), raw); err != nil {
							t.Fatal(err)
						}
						again = true
					}
				}
			}
		}
	}
}

// Same fails when the nodes do not hold the same ops and views, or one is not sound.
func Same(t testing.TB, nodes ...*oplog.Log) {
	t.Helper()
	var first oplog.Report
	for i, n := range nodes {
		r, err := n.Check(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !r.Sound {
			t.Errorf("node %d is not sound: %v", i, r.Problems)
		}
		if i == 0 {
			first = r
			continue
		}
		if r.Ops != first.Ops || r.Views != first.Views || fmt.Sprint(r.Logs) != fmt.Sprint(first.Logs) {
			t.Errorf("node %d has %d ops and views %.8s, node 0 has %d and %.8s", i, r.Ops, r.Views, first.Ops, first.Views)
		}
	}
}
