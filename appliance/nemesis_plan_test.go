package main

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// harm is one thing that is done to the mesh at a moment of the run.
type harm struct {
	at    time.Duration // since the run began, and never before
	what  string        // one of the words in nemesisPlan
	nodes []string      // to whom, sorted; of halves: the smaller one
	much  int           // percent lost, milliseconds late, or the last byte of the new address
}

func (h harm) String() string {
	s := fmt.Sprintf("%6.1fs %-8s %s", h.at.Seconds(), h.what, strings.Join(h.nodes, " "))
	if h.much > 0 {
		s += " " + strconv.Itoa(h.much)
	}
	return strings.TrimRight(s, " ")
}

// Moments of the plan. A node that is started or opened again needs a while on a machine
// that others use, too, and is left alone until then.
const (
	harmEvery = 2200 * time.Millisecond // on average
	backAfter = 8 * time.Second
	powerCut  = 60 * time.Second // how often the power fails for all
)

// planner draws a plan. All it looks at is its own drawing, never the run.
type planner struct {
	r     *rand.Rand
	names []string
	plan  []harm
	busy  map[string]time.Duration // node -> until when it is left alone
	slow  map[string]time.Duration
	lossy map[string]time.Duration
	apart time.Duration // until when there is a cut
	power time.Duration // when it fails next
	taken map[int]bool  // last bytes of addresses
	at    map[string]int
}

// nemesisPlan is what is done to the nodes within a time. It depends on the seed, the names
// and the time alone:
//
//	kill, stop   kill -9 and SIGTERM; start comes later
//	power        kill -9 for all at once, and all start again
//	lock         waypost lock; unlock comes later
//	cut          nobody reaches the node, and it reaches nobody
//	halves       two parts that do not reach each other
//	mute, deaf   what the node sends, or what is sent to it, is lost: a cut in one direction
//	ring         each reaches its two neighbours only
//	heal         the cut is over
//	loss         a part of all packets from and to the node; 0 ends it
//	slow         all packets from and to the node are late; 0 ends it
//	move         the node gets another address, often one that another node had before
func nemesisPlan(seed uint64, names []string, during time.Duration) []harm {
	p := &planner{r: rand.New(rand.NewPCG(seed, 0x6e656d65736973)), names: slices.Sorted(slices.Values(names)), busy: map[string]time.Duration{}, //nolint:gosec // a plan to be repeated
		slow: map[string]time.Duration{}, lossy: map[string]time.Duration{}, taken: map[int]bool{}, at: map[string]int{}}
	for i, n := range names {
		p.taken[i+1], p.at[n] = true, i+1
	}
	p.power = min(during, powerCut) / 2
	for t := time.Second; t < during; t += harmEvery/2 + p.upTo(harmEvery) {
		if t >= p.power {
			p.fail(t)
			p.power += powerCut
			continue
		}
		p.draw(t)
	}
	slices.SortStableFunc(p.plan, func(a, b harm) int { return cmp.Compare(a.at, b.at) })
	return slices.DeleteFunc(p.plan, func(h harm) bool { return h.at >= during })
}

// upTo is a length of time below d.
func (p *planner) upTo(d time.Duration) time.Duration { return time.Duration(p.r.Int64N(int64(d))) }

func (p *planner) add(at time.Duration, what string, much int, nodes ...string) {
	slices.Sort(nodes)
	p.plan = append(p.plan, harm{at: at.Truncate(100 * time.Millisecond), what: what, nodes: nodes, much: much})
}

// some is a node that nothing in until holds at the moment t.
func (p *planner) some(t time.Duration, until map[string]time.Duration) (string, bool) {
	free := slices.DeleteFunc(slices.Clone(p.names), func(n string) bool { return until[n] > t })
	if len(free) == 0 {
		return "", false
	}
	return free[p.r.IntN(len(free))], true
}

// draw adds one harm at t, with what ends it.
func (p *planner) draw(t time.Duration) {
	switch n := p.r.IntN(20); {
	case n < 7:
		p.draw1(t, []string{"kill", "kill", "kill", "stop", "stop", "lock", "lock"}[n])
	case n < 14:
		p.cutting(t)
	case n < 16:
		p.passing(t, "loss", p.lossy, 10+p.r.IntN(21))
	case n < 18:
		p.passing(t, "slow", p.slow, 50+p.r.IntN(451))
	default:
		p.move(t)
	}
}

// draw1 ends a node for a while, unless the power fails for it meanwhile.
func (p *planner) draw1(t time.Duration, what string) {
	node, ok := p.some(t, p.busy)
	back := t + 500*time.Millisecond + p.upTo(5*time.Second)
	if !ok || back+backAfter > p.power {
		return
	}
	p.busy[node] = back + backAfter
	p.add(t, what, 0, node)
	p.add(back, map[string]string{"kill": "start", "stop": "start", "lock": "unlock"}[what], 0, node)
}

// fail is the power failing for all.
func (p *planner) fail(t time.Duration) {
	p.add(t, "power", 0, p.names...)
	for _, n := range p.names {
		p.busy[n] = t + 2*backAfter
	}
}

// cutting parts nodes that were together, one cut at a time.
func (p *planner) cutting(t time.Duration) {
	if p.apart > t {
		return
	}
	what := []string{"cut", "cut", "halves", "halves", "mute", "deaf", "ring"}[p.r.IntN(7)]
	var who []string
	switch what {
	case "halves":
		for _, i := range p.r.Perm(len(p.names))[:2+p.r.IntN(len(p.names)/2-1)] {
			who = append(who, p.names[i])
		}
	case "ring":
	default:
		who = []string{p.names[p.r.IntN(len(p.names))]}
	}
	p.add(t, what, 0, who...)
	p.apart = t + 3*time.Second + p.upTo(9*time.Second)
	p.add(p.apart, "heal", 0)
}

// passing makes the cable of one node bad for a while.
func (p *planner) passing(t time.Duration, what string, until map[string]time.Duration, much int) {
	node, ok := p.some(t, until)
	if !ok {
		return
	}
	until[node] = t + 4*time.Second + p.upTo(12*time.Second)
	p.add(t, what, much, node)
	p.add(until[node], what, 0, node)
}

// move gives a node another address of a few.
func (p *planner) move(t time.Duration) {
	node := p.names[p.r.IntN(len(p.names))]
	for {
		to := 1 + p.r.IntN(2*len(p.names))
		if p.taken[to] {
			continue
		}
		delete(p.taken, p.at[node])
		p.taken[to], p.at[node] = true, to
		p.add(t, "move", to, node)
		return
	}
}

// nemesisSeed makes a number of anything: of a commit, as CI does, or of a number.
func nemesisSeed(text string) uint64 {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return n
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return h.Sum64() >> 1
}

func TestNemesisPlan(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	text := func(seed uint64, d time.Duration) (out []string) {
		for _, h := range nemesisPlan(seed, names, d) {
			out = append(out, h.String())
		}
		return out
	}
	if a, b := text(7, time.Minute), text(7, time.Minute); !slices.Equal(a, b) {
		t.Error("one seed, two plans")
	}
	if slices.Equal(text(7, time.Minute), text(8, time.Minute)) {
		t.Error("two seeds, one plan")
	}
	seen := map[string]bool{}
	for seed := range uint64(200) {
		down, at := map[string]bool{}, map[int]string{}
		plan := nemesisPlan(seed, names, 2*time.Minute)
		if len(plan) < 40 {
			t.Fatalf("seed %d: %d harms", seed, len(plan))
		}
		for i, n := range names {
			at[i+1] = n
		}
		for _, h := range plan {
			seen[h.what] = true
			for _, n := range h.nodes {
				switch h.what {
				case "kill", "stop", "lock", "power":
					if down[n] {
						t.Fatalf("seed %d: %v to a node that is down", seed, h)
					}
					down[n] = h.what != "power"
				case "start", "unlock":
					down[n] = false
				case "move":
					if at[h.much] != "" {
						t.Fatalf("seed %d: %v to the address of %s", seed, h, at[h.much])
					}
					for i, who := range at {
						if who == n {
							delete(at, i)
						}
					}
					at[h.much] = n
				}
			}
		}
	}
	for _, what := range strings.Fields("kill stop start power lock unlock cut halves mute deaf ring heal loss slow move") {
		if !seen[what] {
			t.Errorf("never: %s", what)
		}
	}
}
