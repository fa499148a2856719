package mesh

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

func sampleReports() []report {
	k := []mark{{oplog.LogID{0xa1}, 412, [16]byte{1, 2, 3}}}
	r := report{
		node: identity.NodeID{1}, incarnation: [16]byte{2}, stamp: 3, wall: -4, sure: true, near: []identity.NodeID{{5}, {6}},
		forked: []oplog.LogID{{7}}, sum: sum{8},
	}
	whole := r
	whole.whole, whole.marks = true, k
	return []report{r, whole, {}}
}

func TestReportBytesStay(t *testing.T) {
	var out bytes.Buffer
	for _, r := range sampleReports() {
		out.WriteString(hex.EncodeToString(r.body()) + "\n")
	}
	golden(t, "report.golden", out.String())
}

func TestReportsReadBack(t *testing.T) {
	for _, r := range sampleReports() {
		raw := append(r.body(), make([]byte, 64)...)
		back, err := parseReport(raw)
		if err != nil || !bytes.Equal(back.body(), r.body()) {
			t.Errorf("%+v became %+v, %v", r, back, err)
		}
		for i := range raw {
			if b, err := parseReport(raw[:i]); err == nil && !bytes.Equal(b.body(), raw[:i-64]) {
				t.Errorf("%d of %d bytes accepted", i, len(raw))
			}
		}
	}
}

func FuzzReport(f *testing.F) {
	for _, r := range sampleReports() {
		f.Add(append(r.body(), make([]byte, 64)...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if r, err := parseReport(raw); err == nil && !bytes.Equal(r.body(), raw[:len(raw)-64]) {
			t.Error("one report has two spellings")
		}
	})
}

// TestSumsOfBefore: what was held when a sum was that of this node is known again.
func TestSumsOfBefore(t *testing.T) {
	mine := map[oplog.LogID]oplog.Head{}
	var p past
	p.begin(mine, func(oplog.LogID) bool { return false })
	var sums []sum
	for i := range uint64(3 * maxSteps) {
		log := oplog.LogID{byte(i % 3)}
		was := markOf(mine[log])
		was.log = log
		mine[log] = oplog.Head{Log: log, Seq: mine[log].Seq + 1, Hash: [32]byte{byte(i), byte(i >> 8)}}
		p.changed([]mark{was}, []mark{markOf(mine[log])})
		sums = append(sums, p.now)
	}
	var fresh past
	fresh.begin(mine, func(oplog.LogID) bool { return false })
	if fresh.now != p.now {
		t.Error("the sum depends on the way")
	}
	for back := range maxSteps {
		i := len(sums) - 1 - back
		then, known := p.when(sums[i], mine)
		if !known {
			t.Fatalf("%d steps back are forgotten", back)
		}
		total := uint64(0)
		for _, k := range then {
			total += k.seq
		}
		if total != uint64(i+1) {
			t.Fatalf("%d steps back %d ops were held, not %d", back, total, i+1)
		}
	}
	if _, known := p.when(sum{1}, mine); known {
		t.Error("a sum that never was is known")
	}
	if _, known := p.when(sums[0], mine); known {
		t.Error("remembers without end")
	}
}

// TestWhomANodeWants: few want all; many want a ring and two drawn ones, past those that do
// not answer.
func TestWhomANodeWants(t *testing.T) {
	camp := func(n int) []*Mesh {
		var all []*Mesh
		for i := range n {
			m := &Mesh{self: identity.NodeID{byte(i * 37), byte(i)}, book: &book{}, peers: map[identity.NodeID]*peer{}}
			for j := range n {
				if id := (identity.NodeID{byte(j * 37), byte(j)}); j != i {
					m.peers[id] = &peer{node: id}
				}
			}
			all = append(all, m)
		}
		return all
	}
	for _, m := range camp(fewNodes + 1) {
		if got := m.near(m.order()); len(got) != fewNodes {
			t.Errorf("one of %d wants %d", fewNodes+1, len(got))
		}
	}
	for _, n := range []int{fewNodes + 2, 50, 255} {
		links := map[[2]identity.NodeID]bool{}
		all := camp(n)
		for i, m := range all {
			if i > 0 { // the first is off
				m.peers[all[0].self].lost = true
				for id := range m.near(m.order()) {
					links[[2]identity.NodeID{m.self, id}], links[[2]identity.NodeID{id, m.self}] = true, true
				}
			}
		}
		reached := map[identity.NodeID]bool{}
		var walk func(identity.NodeID)
		walk = func(id identity.NodeID) {
			reached[id] = true
			for l := range links {
				if l[0] == id && !reached[l[1]] {
					walk(l[1])
				}
			}
		}
		walk(all[1].self)
		if len(reached) != n-1 || reached[all[0].self] {
			t.Errorf("of %d nodes %d hang together", n-1, len(reached))
		}
		if most := n * (2 + 2*drawn); len(links) > most {
			t.Errorf("%d nodes have %d ends of links", n, len(links))
		}
	}
}

// TestAQuietLinkIsLookedPast: a sign of life that does not come has the node looked for
// beside the link, and one that comes late ends that.
func TestAQuietLinkIsLookedPast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ra, rb := newRelay(t), newRelay(t)
	a := w.start(t, advertising(ra.addr()))
	ra.to(a.mesh.Addr())
	b := w.start(t, advertising(rb.addr()), seeded(ra.addr()))
	rb.to(b.mesh.Addr())
	wait(t, "they meet", func() bool { return a.linked(b) && b.linked(a) })
	ra.cut()
	rb.cut()
	b.mesh.mu.Lock()
	for _, l := range b.mesh.links {
		l.lastIn.Store(int64(b.mesh.elapsed() - usual.pingEvery - pongTime))
	}
	b.mesh.mu.Unlock()
	wait(t, "b looks for a", func() bool { return b.peer(a).State != Connected })
	b.mesh.mu.Lock()
	if n := len(b.mesh.links); n == 0 {
		t.Error("the link was ended")
	}
	b.mesh.mu.Unlock()
	ra.heal()
	rb.heal()
	wait(t, "it works again", func() bool { return b.peer(a).State == Connected && a.linked(b) })
}
