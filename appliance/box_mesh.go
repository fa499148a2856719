package main

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/mesh"
)

// meshStatus is what the network has to say.
func (b *box) meshStatus(s *control.Status, n *node, m *mesh.Mesh) error {
	s.Members, s.Twins = m.Members(), m.Twins()
	doubled := m.Doubled()
	for _, p := range m.Peers() {
		out := peerOf(p)
		out.Doubled = slices.Contains(doubled, p.Node)
		if p.Standing == identity.StandingRevoked {
			held, err := b.heldBack.of(p.Node, s.Ops, b.clock.Now(), n.desks.Identity.HeldBack)
			if err != nil {
				return err
			}
			out.HeldBack = held
		}
		s.Peers = append(s.Peers, out)
	}
	return n.forks(s, m)
}

// peerOf is one other node as programs read it.
func peerOf(p mesh.Peer) control.Peer {
	out := control.Peer{
		Node: p.Node.String(), Number: p.Number, Site: p.Site, State: p.State, LastContact: p.LastContact,
		Behind: p.Behind, Ahead: p.Ahead, Confirmed: p.Confirmed, Words: p.Words, Addresses: p.Addrs,
		BytesIn: p.BytesIn, BytesOut: p.BytesOut, Standing: standingName(p.Standing),
		Locked: p.Locked, Waiting: p.Waiting, Carries: p.Carries, Connections: []control.Connection{}, Neighbours: []string{},
	}
	if !p.Via.IsZero() {
		out.Via = p.Via.String()
	}
	if p.RTT > 0 {
		ms := float64(p.RTT.Round(10*time.Microsecond)) / float64(time.Millisecond)
		out.RoundTrip = &ms
	}
	if p.Clock.Known {
		out.Clock = &control.PeerClock{Off: p.Clock.Off.Round(time.Millisecond).Seconds(), Sure: p.Clock.Sure}
	}
	for _, l := range p.Links {
		out.Connections = append(out.Connections, control.Connection{
			Address: l.Addr, Dialled: l.Dialled, Since: l.Since, BytesIn: l.BytesIn, BytesOut: l.BytesOut, Queue: l.Queue,
		})
	}
	for _, id := range p.Neighbours {
		out.Neighbours = append(out.Neighbours, id.String())
	}
	return out
}

// forks are the logs with two histories, with whose they are.
func (n *node) forks(s *control.Status, m *mesh.Mesh) error {
	found := m.Forked(n.journal.Forks())
	if len(found) == 0 {
		return nil
	}
	nodes, err := n.desks.Identity.Nodes()
	if err != nil {
		return err
	}
	writer := map[oplog.LogID]string{}
	for _, node := range nodes {
		for _, l := range node.Logs {
			writer[l] = node.ID.String()
		}
	}
	for _, f := range found {
		out := control.ForkedLog{Log: f.Log.String(), Node: writer[f.Log], Seq: f.Seq, Own: f.Own, Joined: f.Joined, Proved: f.Proved, SaidBy: []string{}}
		for _, id := range f.Sayers {
			out.SaidBy = append(out.SaidBy, id.String())
		}
		if !f.Found.IsZero() {
			at := f.Found.UTC()
			out.Found = &at
		}
		s.Forks = append(s.Forks, out)
	}
	slices.SortStableFunc(s.Forks, func(a, b control.ForkedLog) int { return cmp.Compare(a.Log, b.Log) })
	return nil
}

// heldFor is how long a count of held-back facts is good while the journal goes on: every
// open page and terminal asks for the status each second, and counting reads the journal.
const heldFor = 15 * time.Second

// heldCounts remembers how many facts of each revoked node are held back. Safe for
// concurrent use; the zero value knows nothing.
type heldCounts struct {
	mu    sync.Mutex
	known map[oplog.ID]heldCount
}

type heldCount struct {
	n, ops uint64
	at     time.Time
}

// of is the count for one node. It is made anew when the journal has changed, at most once
// in heldFor.
func (h *heldCounts) of(node oplog.ID, ops uint64, now time.Time, count func(oplog.ID) ([]oplog.HeldOp, error)) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k, ok := h.known[node]
	if age := now.Sub(k.at); ok && (k.ops == ops || age >= 0 && age < heldFor) {
		return k.n, nil
	}
	held, err := count(node)
	if err != nil {
		return 0, err
	}
	if h.known == nil {
		h.known = map[oplog.ID]heldCount{}
	}
	h.known[node] = heldCount{n: uint64(len(held)), ops: ops, at: now}
	return uint64(len(held)), nil
}
