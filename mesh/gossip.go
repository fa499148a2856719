package mesh

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log"
	"math/bits"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// How memberlist is run, whatever the profile; the rest is in timing.go.
const (
	suspicion    = 4    // rounds of probes, times the logarithm of the members
	packetSize   = 1200 // fits tunnels
	leaveTime    = 200 * time.Millisecond
	maxState     = 1000 // bytes of LocalState
	hintRepeats  = 3
	maxRumours   = 1024
	maxMetaCache = 512
)

// How many members one certificate may be. A node is one; it has more while the
// others have not yet noticed that it was restarted. Without a limit a single node
// could fill everybody's memory with names, each signed properly.
const (
	maxNames    = 4               // alive
	maxOldNames = 16              // with those that left lately, which memberlist still keeps
	nameMemory  = 2 * time.Minute // about how long it does
)

// hintVersion starts every gossiped hint and state digest; layouts in doc.go.
const hintVersion = 1

// gossip is memberlist and what it asks of us. Its messages are hints: they may
// wake the healer, and nothing else is ever decided on them.
type gossip struct {
	m     *Mesh
	name  string
	meta  []byte
	list  *memberlist.Memberlist
	ring  *memberlist.Keyring
	queue hintQueue
	count atomic.Int32

	joining atomic.Bool

	mu    sync.Mutex
	good  map[string]identity.NodeCert // verified metadata by name ‖ meta
	names map[identity.NodeID]map[string]tenure
}

func startGossip(m *Mesh) (*gossip, error) {
	g := &gossip{m: m, name: hex.EncodeToString(m.incarnation[:]), queue: hintQueue{heads: map[oplog.LogID]*queuedHint{}},
		good: map[string]identity.NodeCert{}, names: map[identity.NodeID]map[string]tenure{}}
	meta, err := makeMember(m.keys, g.name)
	if err != nil {
		return nil, err
	}
	g.meta = meta
	if len(g.meta) > memberlist.MetaMaxSize {
		return nil, errors.New("mesh: member card too long")
	}
	ring, err := newKeyring(m.keys.GossipKeys())
	if err != nil {
		return nil, err
	}
	g.ring = ring
	c := memberlist.DefaultLANConfig()
	c.Name, c.Transport = g.name, m.transport
	c.Keyring = ring
	c.GossipVerifyIncoming, c.GossipVerifyOutgoing = true, true
	c.Delegate, c.Events, c.Alive, c.Merge, c.Conflict = g, g, g, g, g
	t := m.timing()
	c.ProbeTimeout, c.ProbeInterval, c.SuspicionMult = t.probeTimeout, t.probeInterval, suspicion
	c.GossipInterval, c.GossipNodes = t.gossipInterval, t.gossipNodes
	c.UDPBufferSize, c.TCPTimeout, c.PushPullInterval = packetSize, t.gossipTCP, t.pushPullEvery
	c.RequireNodeNames = true
	c.EnableCompression = false // saves little on packets of this size, and the sieve refuses it
	c.Logger = log.New(m.quiet, "", 0)
	g.list, err = memberlist.Create(c)
	return g, err
}

// NodeMeta is what memberlist tells others about this node.
func (g *gossip) NodeMeta(int) []byte { return g.meta }

// verified checks the metadata of a member and remembers the result.
func (g *gossip) verified(n *memberlist.Node) (identity.NodeCert, error) {
	key := n.Name + "\x00" + string(n.Meta)
	g.mu.Lock()
	cert, ok := g.good[key]
	g.mu.Unlock()
	if ok {
		return cert, g.admits(cert)
	}
	if raw, err := hex.DecodeString(n.Name); err != nil || len(raw) != len(g.m.incarnation) || hex.EncodeToString(raw) != n.Name {
		return identity.NodeCert{}, errCard // one node has one way to spell its name
	}
	cert, err := parseMember(n.Meta, n.Name, g.m.keys.Deployment(), g.m.root)
	if err != nil {
		return cert, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.good) >= maxMetaCache {
		clear(g.good)
	}
	g.good[key] = cert
	return cert, g.admits(cert)
}

// admits refuses the card of a node that was shut out.
func (g *gossip) admits(cert identity.NodeCert) error {
	if g.m.book.Outcast(cert) {
		return errShut
	}
	return nil
}

// NotifyAlive refuses members whose card does not verify, and one node's many
// names. memberlist calls it, NotifyJoin and NotifyLeave one at a time.
func (g *gossip) NotifyAlive(n *memberlist.Node) error {
	cert, err := g.verified(n)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	names := g.names[cert.ID()]
	alive, now := 0, g.m.elapsed()
	for name, t := range names {
		switch {
		case t.alive:
			alive++
		case now-t.left > nameMemory:
			delete(names, name)
		}
	}
	if t, known := names[n.Name]; t.alive {
		return nil
	} else if alive >= maxNames || !known && len(names) >= maxOldNames {
		return errNames
	}
	return nil
}

var errNames = errors.New("mesh: one node under too many names")

// tenure is one name of a node: it is a member or was one until left.
type tenure struct {
	alive bool
	left  time.Duration
}

// named notes that a member came or went.
func (g *gossip) named(n *memberlist.Node, cert identity.NodeCert, t tenure) {
	g.mu.Lock()
	defer g.mu.Unlock()
	id := cert.ID()
	if g.names[id] == nil {
		g.names[id] = map[string]tenure{}
	}
	g.names[id][n.Name] = t
}

// NotifyMerge refuses to join anybody who lists such members. A node that was shut out is
// left out one by one, in NotifyAlive: whoever lists it may just not have heard of it yet.
func (g *gossip) NotifyMerge(nodes []*memberlist.Node) error {
	for _, n := range nodes {
		if _, err := g.verified(n); err != nil && !errors.Is(err, errShut) {
			return err
		}
	}
	return nil
}

// NotifyConflict is two places claiming one incarnation: a copied card. The
// exchange decides by itself whom to believe.
func (g *gossip) NotifyConflict(existing, other *memberlist.Node) {
	g.m.quiet.warn("mesh heard one member from two places", "member", existing.Name, "at", existing.Address(), "also", other.Address())
}

// NotifyJoin lets the healer look for the member at once.
func (g *gossip) NotifyJoin(n *memberlist.Node) {
	g.count.Add(1)
	cert, err := g.verified(n)
	if err != nil {
		return
	}
	g.named(n, cert, tenure{alive: true})
	if n.Name == g.name {
		return
	}
	g.m.mu.Lock()
	defer g.m.mu.Unlock()
	if p := g.m.peers[cert.ID()]; p != nil && !p.linked() {
		p.lost = false
		p.dial.now()
		g.m.poke()
	}
}

// NotifyLeave keeps count, and has links to the member asked at once: if it is gone they
// know sooner, and if it is not nothing is lost.
func (g *gossip) NotifyLeave(n *memberlist.Node) {
	g.count.Add(-1)
	cert, err := g.verified(n)
	if err != nil && !errors.Is(err, errShut) {
		return
	}
	g.named(n, cert, tenure{left: g.m.elapsed()})
	g.m.mu.Lock()
	defer g.m.mu.Unlock()
	for _, l := range g.m.links {
		l.doubted = l.doubted || l.name() == n.Name
	}
}

// name is the memberlist name of the start at the other end.
func (l *link) name() string { return hex.EncodeToString(l.hello.incarnation[:]) }

// NotifyUpdate has nothing to tell us.
func (g *gossip) NotifyUpdate(*memberlist.Node) {}

// hintQueue is what gossip has to say: the newest head of each own log, a number
// of times that grows with the logarithm of the members. memberlist's own queue
// is not used: in 0.7.0 it restarts its ids whenever a replaced message leaves it
// empty, and a message of another log and equal length then overwrites the one
// still queued.
type hintQueue struct {
	mu    sync.Mutex
	heads map[oplog.LogID]*queuedHint
}

type queuedHint struct {
	body []byte
	left int
}

func (q *hintQueue) put(log oplog.LogID, hint []byte, members int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.heads[log] = &queuedHint{hint, hintRepeats * bits.Len(uint(members))}
}

// take gives what fits into limit bytes when each message costs overhead more.
func (q *hintQueue) take(overhead, limit int) [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out [][]byte
	for log, h := range q.heads {
		if limit -= overhead + len(h.body); limit < 0 {
			break
		}
		out = append(out, h.body)
		if h.left--; h.left <= 0 {
			delete(q.heads, log)
		}
	}
	return out
}

func appendHint(b []byte, k mark) []byte {
	b = append(b, k.log[:]...)
	b = binary.AppendUvarint(b, k.seq)
	return append(b, k.hash[:8]...)
}

// parseHints reads a gossiped message or state. The hash has 8 bytes only.
func parseHints(b []byte) ([]mark, bool) {
	c := cursor{b: b}
	if c.u8() != hintVersion {
		return nil, false
	}
	var out []mark
	for len(c.b) > 0 && !c.bad {
		var k mark
		c.copy(k.log[:])
		k.seq = c.uvarint()
		c.copy(k.hash[:8])
		out = append(out, k)
	}
	return out, !c.bad
}

// Announce is Membership's.
func (g *gossip) Announce(log oplog.LogID, hint []byte) {
	g.queue.put(log, hint, int(g.count.Load()))
}

// NotifyMsg takes a hint.
func (g *gossip) NotifyMsg(b []byte) { g.m.Heard(b) }

// GetBroadcasts gives memberlist what to send.
func (g *gossip) GetBroadcasts(overhead, limit int) [][]byte {
	return g.queue.take(overhead, limit)
}

// LocalState is the longest logs' heads, below 1 KB.
func (g *gossip) LocalState(bool) []byte {
	g.m.mu.Lock()
	defer g.m.mu.Unlock()
	marks := make([]mark, 0, len(g.m.mine))
	for _, h := range g.m.mine {
		marks = append(marks, markOf(h))
	}
	slices.SortFunc(marks, func(a, b mark) int { return int(min(b.seq, 1<<40)) - int(min(a.seq, 1<<40)) })
	b := []byte{hintVersion}
	for _, k := range marks {
		if len(b)+16+binary.MaxVarintLen64+8 > maxState {
			break
		}
		b = appendHint(b, k)
	}
	return b
}

// MergeRemoteState takes the heads of another node.
func (g *gossip) MergeRemoteState(b []byte, _ bool) { g.NotifyMsg(b) }

// rumour remembers that somebody has more than anybody connected, and has the
// healer look around, not too often.
func (m *Mesh) rumour(marks []mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	news := false
	for _, k := range marks {
		if k.seq <= m.mine[k.log].Seq || k.seq <= m.rumours[k.log] {
			continue
		}
		if len(m.rumours) >= maxRumours {
			clear(m.rumours) // most have come true; what has not is told again
		}
		if !slices.ContainsFunc(m.links, func(l *link) bool { return l.told[k.log].seq >= k.seq }) {
			m.rumours[k.log] = k.seq
			news = true
		}
	}
	if now := m.elapsed(); news && now >= m.nextLook {
		m.nextLook = now + steady
		for _, p := range m.peers {
			if !p.linked() {
				p.dial.now()
			}
		}
		m.poke()
	}
}

// Linked is Membership's: memberlist is told about a new exchange link.
func (g *gossip) Linked(name, addr string, dialled bool) {
	g.m.transport.learn(name, addr)
	if dialled {
		g.m.goDo(func() { g.join(name, addr) })
	}
}

// Unlinked is Membership's: the route of a link that ended is forgotten.
func (g *gossip) Unlinked(name string) { g.m.transport.forget(name) }

// Here is Membership's.
func (g *gossip) Here(node identity.NodeID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.names[node] {
		if t.alive {
			return true
		}
	}
	return false
}

// Leave is Membership's.
func (g *gossip) Leave() { _ = g.list.Leave(leaveTime) } // nobody there to hear it is no failure

// Close is Membership's.
func (g *gossip) Close() error { return g.list.Shutdown() }

// Rekey is Membership's: the membership traffic goes under the first of keys and the
// others are accepted. For a moment some nodes have it and some do not; that costs them
// hints, and no records: the exchange does not need this key.
func (g *gossip) Rekey(keys [][32]byte) error {
	if err := g.m.transport.sieve.rekey(keys); err != nil {
		return err
	}
	for _, k := range keys {
		if err := g.ring.AddKey(slices.Clone(k[:])); err != nil {
			return err
		}
	}
	if err := g.ring.UseKey(keys[0][:]); err != nil {
		return err
	}
	for _, old := range g.ring.GetKeys() {
		if !slices.ContainsFunc(keys, func(k [32]byte) bool { return slices.Equal(k[:], old) }) {
			if err := g.ring.RemoveKey(old); err != nil {
				return err
			}
		}
	}
	return nil
}

// newKeyring holds the keys, the first of them in use.
func newKeyring(keys [][32]byte) (*memberlist.Keyring, error) {
	var all [][]byte
	for _, k := range keys {
		all = append(all, slices.Clone(k[:]))
	}
	return memberlist.NewKeyring(all, all[0])
}

// join makes memberlist meet a node the exchange reached: by itself it never
// comes back together after a long cut.
func (g *gossip) join(name, addr string) {
	if _, err := netip.ParseAddrPort(addr); err != nil || g.m.ctx.Err() != nil {
		return
	}
	if slices.ContainsFunc(g.list.Members(), func(n *memberlist.Node) bool { return n.Name == name }) {
		return
	}
	if _, err := g.list.Join([]string{name + "/" + addr}); err != nil {
		g.m.quiet.debug("mesh gossip could not join a node", "member", name, "err", err)
	}
}

// Rejoin is Membership's: it repeats join for every link whose member memberlist has
// lost. A second call while one is under way does nothing.
func (g *gossip) Rejoin() {
	if !g.joining.CompareAndSwap(false, true) {
		return
	}
	defer g.joining.Store(false)
	g.m.mu.Lock()
	links := slices.Clone(g.m.links)
	g.m.mu.Unlock()
	for _, l := range links {
		g.join(hex.EncodeToString(l.hello.incarnation[:]), l.remote())
	}
}
