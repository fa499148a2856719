package mesh

import (
	"cmp"
	"encoding/hex"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// States of a Peer.
const (
	Connected = "connected" // records can be exchanged right now
	Away      = "away"
)

// Peer is another node as seen from here.
type Peer struct {
	Node        oplog.ID
	Number      uint16
	Site        string    // from the register of nodes; empty until it was named
	State       string    // Connected, Relayed or Away
	LastContact time.Time // zero when there never was one
	Behind      uint64    // ops here that it is not known to hold
	Ahead       uint64    // ops it announced that are not here yet
	Addrs       []string  // where it is looked for, the likeliest first
	Confirmed   bool      // somebody compared the five words
	BytesIn     uint64    // received on exchange connections since Start, TLS included
	BytesOut    uint64
	Words       []string // the five words both screens show
	Standing    identity.Standing
	RTT         time.Duration // from a PING to its PONG; 0 for unknown
	Clock       Clock
	Links       []LinkView // connections right now, the newest first
	Locked      bool       // it is locked, or was when it was last heard of: it takes records in and serves none
	Waiting     uint64     // ops that it took in so, which nobody can read there before it is opened; not in Behind
	Carries     bool       // its certificate names no area: it can read nothing of the register
	Via         oplog.ID   // the node over which news of it comes; zero when that is a link of our own, or unknown
	Neighbours  []oplog.ID // with which it says it is linked
}

// held is what a peer last said of one log.
type held struct {
	seq    uint64
	hash   [16]byte
	forked bool // contradicts what is held here, so it counts as nothing
}

// peer is what is known of one node. Guarded by Mesh.mu.
type peer struct {
	node     identity.NodeID
	cert     *identity.NodeCert
	card     *card
	good     string   // the address that answered last
	seen     []string // addresses its connections came from, with its port
	held     map[oplog.LogID]held
	points   map[oplog.LogID][]point // since when: see since.go
	sealed   map[oplog.LogID]mark    // what it said while it was locked; nil when it is open
	last     time.Time
	in, out  uint64 // of links that ended
	links    []*link
	dial     dial
	report   *report   // the newest
	unplaced bool      // what it says was not known here yet
	heard    time.Time // when it came
	via      identity.NodeID
	told     [16]byte                   // the start of the node that held is of
	gave     map[identity.NodeID]uint64 // stamps of the cards that this start of it was given
	shut     bool                       // nobody deals with it, as of the last look
	floor    uint64                     // stamp of its card when a link was last made: older reports say less
	lost     bool                       // the last try or the last link failed
	parted   time.Time                  // from the last link, by agreement
	later    bool                       // not yet looked for: there are many, and it may turn out to be there
	sought   bool                       // it may know what nobody near does
	lot      [8]byte
	drew     bool
	gone     [][16]byte // incarnations that others took the place of
	doubled  bool       // the node runs twice: see twin.go
}

// addrs lists where to look for the node, the likeliest first.
func (p *peer) addrs() []string {
	var out []string
	add := func(a string) {
		if a != "" && !slices.Contains(out, a) && len(out) < maxAddresses {
			out = append(out, a)
		}
	}
	add(p.good)
	if p.card != nil {
		for _, a := range p.card.addrs {
			add(a)
		}
	}
	for _, a := range p.seen {
		add(a)
	}
	return out
}

// saw remembers an address, the newest first, four at most.
func (p *peer) saw(addr string) bool {
	if addr == "" || slices.Contains(p.seen, addr) {
		return false
	}
	p.seen = append([]string{addr}, p.seen...)
	if len(p.seen) > 4 {
		p.seen = p.seen[:4]
	}
	return true
}

// gaps counts what the peer lacks and what it has that is missing here. A log with two
// histories counts as nothing: neither can come, and what its owner writes again counts
// where it is.
func (p *peer) gaps(mine map[oplog.LogID]oplog.Head) (behind, ahead uint64) {
	for log, h := range mine {
		if k := p.held[log]; !k.forked && k.seq < h.Seq {
			behind += h.Seq - k.seq
		}
	}
	for log, k := range p.held {
		if s := mine[log].Seq; !k.forked && k.seq > s {
			ahead += k.seq - s
		}
	}
	return behind, ahead
}

// Peers lists every other node known, by number: those of the register of nodes
// and those met on the network. Safe for concurrent use; the result is the
// caller's.
func (m *Mesh) Peers() []Peer {
	nodes, err := m.book.Nodes()
	if err != nil {
		m.quiet.warn("mesh cannot read the register of nodes", "err", err)
	}
	out := map[identity.NodeID]*Peer{}
	keys := map[identity.NodeID][32]byte{}
	for _, n := range nodes {
		if n.ID == m.self {
			continue
		}
		out[n.ID] = &Peer{Node: n.ID, Number: n.Number, Site: n.Site, State: Away, Confirmed: n.Confirmed, Standing: n.Standing, Carries: n.Carries()}
		keys[n.ID] = n.Cert.Public
	}
	m.mu.Lock()
	for id, p := range m.peers {
		if id == m.self {
			continue // a twin: it is told of by Twins
		}
		e := out[id]
		if e == nil {
			e = &Peer{Node: id, State: Away}
			out[id] = e
		}
		if p.cert != nil {
			e.Number, keys[id] = p.cert.Number, p.cert.Public
		}
		m.describe(e, p)
	}
	for id, e := range out {
		if m.peers[id] == nil {
			for _, h := range m.mine {
				e.Behind += h.Seq
			}
		}
	}
	m.mu.Unlock()
	list := make([]Peer, 0, len(out))
	for id, e := range out {
		e.Words = m.words(id, keys[id])
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b Peer) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(string(a.Node[:]), string(b.Node[:])))
	})
	return list
}

// describe fills in what the network knows. Called with the lock held.
func (m *Mesh) describe(e *Peer, p *peer) {
	e.LastContact, e.Addrs = p.last, p.addrs()
	e.Behind, e.Ahead = p.gaps(m.mine)
	e.Locked, e.Waiting = p.sealed != nil, p.waiting(m.mine)
	e.Behind -= min(e.Behind, e.Waiting)
	e.BytesIn, e.BytesOut = p.in, p.out
	now := m.clock.Now()
	if p.heard.After(e.LastContact) {
		e.LastContact = p.heard
	}
	if here := m.member.Here(p.node); here || !p.lost && now.Sub(p.parted) < metFor {
		e.State = Relayed
		if here {
			e.LastContact = now
		}
	}
	for _, l := range p.links {
		if !l.suspect {
			e.State, e.LastContact = Connected, now
		}
		in, out := l.line.Bytes()
		e.BytesIn += in
		e.BytesOut += out
	}
	m.sight(e, p)
}

// words are the five words for one peer; they never change, so they are worked
// out once.
func (m *Mesh) words(id identity.NodeID, key [32]byte) []string {
	if key == [32]byte{} {
		return nil
	}
	m.wordsMu.Lock()
	defer m.wordsMu.Unlock()
	w, ok := m.wordsOf[id]
	if !ok {
		w = identity.CompareWords(identity.DeploymentID(m.keys.Deployment()), m.keys.Cert().Public, key)
		m.wordsOf[id] = w
	}
	return slices.Clone(w)
}

// OnlyHere counts the ops held here, of all logs, that no other node is known to
// hold durably. Absent nodes count with what they last said, those that were shut out
// and boxes with this node's own keys not at all.
func (m *Mesh) OnlyHere() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var n uint64
	peers := m.safePeers()
	for log, h := range m.mine {
		n += m.onlyHere(log, h, peers)
	}
	return n
}

// Holders says for every log held here which nodes, this one included, are known
// to hold all of it that is held here. One that was shut out is not among them.
func (m *Mesh) Holders() map[oplog.LogID][]oplog.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[oplog.LogID][]oplog.ID, len(m.mine))
	for log, h := range m.mine {
		ids := []oplog.ID{m.self}
		for id, p := range m.peers {
			if k := p.held[log]; !k.forked && k.seq >= h.Seq && !m.shutOrTwin(id) {
				ids = append(ids, id)
			}
		}
		slices.SortFunc(ids, func(a, b oplog.ID) int { return cmp.Compare(string(a[:]), string(b[:])) })
		out[log] = ids
	}
	return out
}

// Forks are the logs found with two histories since Start; HashB is the first 16
// bytes of the other side's hash when only its head is known.
func (m *Mesh) Forks() []oplog.Fork {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.forks)
}

// attach makes a greeted link part of the mesh; false when it is not wanted.
func (m *Mesh) attach(l *link) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peerFor(l.node)
	if m.closing || m.book.Outcast(l.cert) || len(m.links) >= maxLinks || p.crowd(l) >= maxLinksAPeer || m.refusesLocked(l, p) {
		return false
	}
	m.born++
	l.born, l.peer = m.born, p
	p.replace(l)
	p.meetLocked(l)
	cert := l.cert
	p.cert = &cert
	p.last = m.clock.Now()
	p.links = append(p.links, l)
	m.links = append(m.links, l)
	if l.dialled != "" {
		p.good = l.dialled
	} else if a := seenAddress(l.line.Remote(), l.hello.port); a != "" {
		p.saw(a)
	}
	p.dial.connected(m.clock.Now())
	p.lost, p.sought, l.sight.since = false, false, m.clock.Now()
	delete(m.seeds, l.dialled)
	l.attached = true
	m.learnCard(l.hello.card, nil)
	if p.card != nil {
		p.floor = p.card.stamp
	}
	if p.gave == nil || p.told != l.hello.incarnation || p.doubled {
		p.gave = map[identity.NodeID]uint64{}
	}
	p.told, m.news = l.hello.incarnation, true
	if m.waits {
		l.out.send(ping{isClosed})
	}
	m.sendVector(l)
	m.sendCards(l)
	m.changed(soon)
	m.log.Debug("mesh link", "node", l.node, "dialled", l.dialled)
	if l.locked == nil {
		m.member.Linked(hex.EncodeToString(l.hello.incarnation[:]), l.remote(), l.dialled != "")
	}
	return true
}

// detach forgets a link that ended. An answer of it that is being merged is settled when
// that is done: what it brings is asked of nobody else meanwhile.
func (m *Mesh) detach(l *link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.over = true
	if l.pending != nil && !l.pending.answered {
		m.release(l)
	}
	m.dropPull(l)
	m.served(l)
	m.servedPiece(l)
	if !l.attached {
		return
	}
	p := l.peer
	drop := func(s []*link) []*link {
		return slices.DeleteFunc(slices.Clone(s), func(o *link) bool { return o == l })
	}
	p.links, m.links = drop(p.links), drop(m.links)
	m.news = true
	p.recount(l)
	in, out := l.line.Bytes()
	p.in += in
	p.out += out
	p.last = m.clock.Now()
	m.unlinked(l)
	if len(p.links) == 0 {
		if p.lost = !l.farewell; l.farewell {
			p.parted = m.clock.Now()
		}
		p.dial.lost(m.clock.Now(), m.timing().mostWait, m.stage.Rand())
		m.poke()
	}
	m.changed(slow)
	m.schedule()
}

// alive is called for every frame that arrives. Between two links to one peer the
// one dialled by the lower id is kept, then the newer, as soon as it works.
func (m *Mesh) alive(l *link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := l.peer
	p.last = m.clock.Now()
	l.pinged, l.suspect = 0, false
	if len(p.links) < 2 {
		return
	}
	for _, o := range p.links {
		if o != l && o.hello.incarnation == l.hello.incarnation && !o.suspect && (o.low && !l.low || o.low == l.low && o.born > l.born) {
			return
		}
	}
	for _, o := range p.links {
		if o != l && o.hello.incarnation == l.hello.incarnation {
			o.end()
		}
	}
}

// peerFor finds or makes a peer. Called with the lock held.
func (m *Mesh) peerFor(id identity.NodeID) *peer {
	p := m.peers[id]
	if p == nil {
		p = &peer{node: id, held: map[oplog.LogID]held{}}
		m.peers[id] = p
	}
	return p
}

// Knows lists the other nodes that are known to hold an op, in no order.
func (m *Mesh) Knows(op oplog.Ref) []oplog.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []oplog.ID
	for id, p := range m.peers {
		if k := p.held[op.Log]; !k.forked && k.seq >= op.Seq && id != m.self {
			out = append(out, id)
		}
	}
	return out
}

// unlinked tells the membership when the last link to a start of a node is gone. Called
// with the lock held, after l was taken out of its peer's links.
func (m *Mesh) unlinked(l *link) {
	for _, o := range l.peer.links {
		if o.hello.incarnation == l.hello.incarnation {
			return
		}
	}
	m.member.Unlinked(hex.EncodeToString(l.hello.incarnation[:]))
}

// remote is where the other end of the link listens.
func (l *link) remote() string {
	if l.dialled != "" {
		return l.line.Remote()
	}
	return seenAddress(l.line.Remote(), l.hello.port)
}
