package mesh

import (
	"context"
	"crypto/tls"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/identity"
)

// How absent nodes are looked for. Nobody is ever given up: in a disaster "gone
// for three days" is an ordinary Tuesday.
const (
	firstWait   = 250 * time.Millisecond
	waitAPeer   = 500 * time.Millisecond // many absent nodes stretch the longest wait by this each
	longestWait = time.Minute
	steady      = 5 * time.Second // a link that lived this long resets the wait
	dialTime    = 3 * time.Second
	dialStagger = 250 * time.Millisecond
	maxDials    = 24 // of those who have not answered for long: 1,000 in a cut network take two minutes
	maxFresh    = 8  // of those there is news of, who do not wait behind them
	maxPeers    = 4096
)

// dial is the state of looking for one node or one bare address.
type dial struct {
	next  time.Time
	wait  time.Duration
	since time.Time // of the connection
	busy  bool
	news  bool // somebody told of it since the last try
}

func (d *dial) connected(now time.Time) { d.since = now }

// lost plans the first try after a link ended.
func (d *dial) lost(now time.Time, most time.Duration, rnd *rand.Rand) {
	if now.Sub(d.since) >= steady {
		d.wait = 0
	}
	d.later(now, most, rnd)
}

// later plans the next try, twice as far away as the last, ±50 %.
func (d *dial) later(now time.Time, most time.Duration, rnd *rand.Rand) {
	d.news = false
	d.wait = min(max(2*d.wait, firstWait), most)
	d.next = now.Add(d.wait/2 + time.Duration(rnd.Int64N(int64(d.wait))))
}

func (d *dial) now() { d.wait, d.next, d.news = 0, time.Time{}, true }

// poke makes the healer look at its list again. Called with the lock held.
func (m *Mesh) poke() {
	if m.poked {
		return
	}
	m.poked = true
	m.stage.After(0, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.poked = false
		m.heal()
	})
}

// heal dials every known node that is due and not connected, for ever. keep looks again
// every second; what is due before that has a turn of its own. Called with the lock held.
func (m *Mesh) heal() {
	wait := m.healed()
	at := m.clock.Now().Add(wait)
	if wait >= keepEvery || m.healAt.After(m.clock.Now()) && !at.Before(m.healAt) {
		return
	}
	m.healAt = at
	m.stage.After(wait, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.heal()
	})
}

// healed starts what is due and says how long nothing else will be. Called with the lock
// held.
func (m *Mesh) healed() time.Duration {
	now := m.clock.Now()
	wait := keepEvery
	m.chooseNear()
	var tries []*peer
	absent := 0
	for _, id := range m.order() {
		p := m.peers[id]
		if p.linked() || p.shut {
			continue
		}
		if p.later && m.wants[id] {
			p.later = false
			p.dial.now()
		}
		if away := m.absent(p, now); away || m.wants[id] || p.sought || id == m.self {
			tries = append(tries, p)
			absent++
		}
	}
	most := min(max(m.timing().mostWait, time.Duration(absent)*waitAPeer), longestWait)
	try := func(d *dial, node identity.NodeID, addrs []string, ended func()) {
		if d.busy || len(addrs) == 0 {
			return
		}
		if left := d.next.Sub(now); left > 0 {
			wait = min(wait, left)
			return
		}
		d.busy = true
		m.stage.Dial(node, addrs, d.news, func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			d.busy = false
			ended()
			d.later(m.clock.Now(), most, m.stage.Rand())
			m.poke()
		})
	}
	for _, p := range tries {
		try(&p.dial, p.node, p.addrs(), func() {
			p.sought = false
			p.lost = p.lost || !p.linked()
		})
	}
	for _, addr := range slices.Sorted(maps.Keys(m.seeds)) {
		try(m.seeds[addr], identity.NodeID{}, []string{addr}, func() {})
	}
	return wait
}

// dialNode tries addrs one after the other, a little apart, until one of them is
// node; the zero node takes whoever answers. It returns when every try has ended
// or a link was made. fresh ones do not wait for a place behind those who have not
// answered for long.
func (m *Mesh) dialNode(node identity.NodeID, addrs []string, fresh bool) {
	places := m.dialling
	if fresh {
		places = m.diallingFresh
	}
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	case <-m.ctx.Done():
		return
	}
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	var wg sync.WaitGroup
	for i, a := range addrs {
		if i > 0 {
			select {
			case <-m.clock.After(dialStagger):
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			conn, raw, cert, err := m.dialExchange(ctx, a)
			if err != nil {
				return
			}
			if ctx.Err() != nil || !m.useful(cert, node) || !m.goDo(func() { m.runLine(conn, raw, cert, a) }) {
				_ = conn.Close()
				return
			}
			if node.IsZero() || cert.ID() == node {
				cancel()
			}
		})
	}
	wg.Wait()
}

// useful reports whether a connection to cert's node is worth having.
func (m *Mesh) useful(cert identity.NodeCert, wanted identity.NodeID) bool {
	id := cert.ID()
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[id]
	if id == m.self { // this process, or a twin: the greeting will tell
		return p == nil || len(p.links) == 0
	}
	return p == nil || !p.linked() || (wanted.IsZero() && len(p.links) < 2)
}

// dialExchange makes an authenticated connection to whoever is at addr.
func (m *Mesh) dialExchange(ctx context.Context, addr string) (*tls.Conn, *counted, identity.NodeCert, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c, err := m.dialTCP(ctx, addr)
	if err != nil {
		return nil, nil, identity.NodeCert{}, err
	}
	raw := &counted{Conn: c}
	conn := tls.Client(raw, m.creds.client(protoExchange))
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, nil, identity.NodeCert{}, err
	}
	cert, err := peerCert(conn.ConnectionState(), m.root)
	if err != nil {
		_ = conn.Close()
		return nil, nil, identity.NodeCert{}, err
	}
	return conn, raw, cert, nil
}

// isSelf stops looking for ourselves at an address.
func (m *Mesh) isSelf(addr string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.seeds, addr)
	for _, p := range m.peers {
		if p.good == addr {
			p.good = ""
		}
		p.seen = slices.DeleteFunc(p.seen, func(a string) bool { return a == addr })
	}
	m.changed(slow)
}

// sendCards tells l where everybody known can be found, whom it was not told of since its
// node was started. Called with the lock held.
func (m *Mesh) sendCards(l *link) {
	var c cards
	size := 1
	flush := func() {
		if len(c.cards) > 0 {
			l.out.send(c)
		}
		c, size = cards{}, 1
	}
	for _, id := range m.order() {
		p := m.peers[id]
		if p.card == nil || p.node == l.node && !p.doubled || m.book.Shut(id) || l.peer.gave[id] >= p.card.stamp {
			continue
		}
		l.peer.gave[id] = p.card.stamp
		if size+2+len(p.card.raw) > maxControl || len(c.cards) == 255 {
			flush()
		}
		c.cards = append(c.cards, p.card.raw)
		size += 2 + len(p.card.raw)
	}
	flush()
}

// learnCards takes cards another node passed on.
func (m *Mesh) learnCards(raw [][]byte, from *link) {
	for _, r := range raw {
		m.mu.Lock()
		m.learnCard(r, from)
		m.mu.Unlock()
	}
}

// learnCard keeps the newest card of a node and passes it on. from is the link it
// came over, nil when it is the node's own. Called with the lock held.
func (m *Mesh) learnCard(raw []byte, from *link) {
	if m.knownCards[string(raw)] {
		return
	}
	c, err := parseCard(raw, m.keys.Deployment(), m.root)
	if err != nil {
		return
	}
	id := c.cert.ID()
	if id == m.self {
		m.lookForTwin(c)
		m.outdo(c.stamp)
		return
	}
	if m.peers[id] == nil && len(m.peers) >= maxPeers || m.book.Outcast(c.cert) {
		return
	}
	p := m.peerFor(id)
	if p.card != nil && p.card.stamp >= c.stamp {
		return
	}
	if p.card != nil {
		delete(m.knownCards, string(p.card.raw))
	}
	p.card = &c
	p.endLocked()
	m.knownCards[string(c.raw)] = true
	if p.cert == nil {
		cert := c.cert
		p.cert = &cert
	}
	if !p.linked() {
		p.lost = false // where it says it is now, nobody has looked yet
		m.soonOrLater(p)
		m.poke()
	}
	for _, l := range m.links {
		if l != from && (l.node != id || p.doubled) { // a node that runs twice must find its twin
			l.out.send(cards{[][]byte{c.raw}})
		}
	}
	m.changed(soon)
}

// seenAddress is where a connection came from, with the port its node listens on.
func seenAddress(from string, port uint16) string {
	host, _, err := net.SplitHostPort(from)
	if err != nil || port == 0 {
		return ""
	}
	host, _, _ = strings.Cut(host, "%") // a zone means nothing to anybody else
	a := net.JoinHostPort(host, strconv.Itoa(int(port)))
	if !validAddress(a) {
		return ""
	}
	return a
}
