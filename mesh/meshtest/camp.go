package meshtest

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/mesh"
)

// How the played network behaves; the real one's figures are no promise of it.
const (
	leastDelay = 500 * time.Microsecond
	mostDelay  = 5 * time.Millisecond
	handshake  = 3 // round trips until records can flow
	resend     = 200 * time.Millisecond
	bandwidth  = 2 << 20 // bytes a second of one line
	dialTime   = 3 * time.Second
	diskLeast  = 200 * time.Microsecond
	diskMost   = 20 * time.Millisecond
	forgetting = 30 * time.Second // memberlist purges the dead after that, and never meets them again by itself
)

// Camp is many nodes in one goroutine, on lines and a clock of its own. Everything that
// happens follows from the seed. Not safe for concurrent use.
type Camp struct {
	Loss  float64 // of datagrams; on lines it is a delay, as under TCP
	Twice float64 // datagrams that arrive twice

	rnd     *rand.Rand
	began   time.Time
	now     time.Time
	queue   events
	count   uint64
	places  []*Place
	blocked map[[2]int]bool // from, to
	trace   hash.Hash64
	steps   int
	sent    uint64     // bytes over all lines
	kinds   [32]uint64 // of these, by kind of frame
	frames  uint64
	harm    map[string]int       // what was done, how often
	torn    bool                 // power cuts take what was not flushed
	wrong   []string             // what no node may do and one did
	parted  map[oplog.LogID]bool // logs with two histories: each holds either
	tell    func(format string, args ...any)
}

// NewCamp begins at start; tell gets every step when it is not nil.
func NewCamp(seed uint64, start time.Time, tell func(format string, args ...any)) *Camp {
	return &Camp{rnd: rand.New(rand.NewPCG(seed, 0x5ca1ab1e)), began: start, now: start, blocked: map[[2]int]bool{}, harm: map[string]int{}, parted: map[oplog.LogID]bool{}, trace: fnv.New64a(), tell: tell}
}

// Rand draws for whoever plays.
func (c *Camp) Rand() *rand.Rand { return c.rnd }

// Now is the camp's true time.
func (c *Camp) Now() time.Time { return c.now }

// Trace is a sum over everything that has happened: equal for two runs of one seed.
func (c *Camp) Trace() uint64 { return c.trace.Sum64() }

// Steps and Sent count what has happened: events, and bytes over all lines.
func (c *Camp) Steps() int   { return c.steps }
func (c *Camp) Sent() uint64 { return c.sent }

// SentAs are the bytes of one kind of frame (see mesh/doc.go).
func (c *Camp) SentAs(kind byte) uint64 { return c.kinds[kind%32] }

func (c *Camp) note(what string, at, to, n int) {
	var b [24]byte
	binary.BigEndian.PutUint64(b[:], uint64(c.now.UnixNano()))
	binary.BigEndian.PutUint32(b[8:], uint32(at))
	binary.BigEndian.PutUint32(b[12:], uint32(to))
	binary.BigEndian.PutUint64(b[16:], uint64(n))
	_, _ = c.trace.Write(b[:])
	_, _ = c.trace.Write([]byte(what))
	if c.tell != nil {
		c.tell("%s %s %d>%d %d", c.now.Format("15:04:05.000"), what, at, to, n)
	}
}

// event is something that happens at a time.
type event struct {
	at  time.Time
	n   uint64 // of two at one time the first planned comes first
	run func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].n < e[j].n
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	old[len(old)-1] = event{}
	*e = old[:len(old)-1]
	return x
}

// In plans run for d from now.
func (c *Camp) In(d time.Duration, run func()) {
	c.count++
	heap.Push(&c.queue, event{c.now.Add(max(d, 0)), c.count, run})
}

// Run plays for d.
func (c *Camp) Run(d time.Duration) {
	end := c.now.Add(d)
	for len(c.queue) > 0 && !c.queue[0].at.After(end) {
		e := heap.Pop(&c.queue).(event)
		c.now = e.at
		c.steps++
		e.run()
	}
	c.now = end
}

// Until plays until ok, which is asked every step of time, or for d at most.
func (c *Camp) Until(d, step time.Duration, ok func() bool) (took time.Duration, done bool) {
	start := c.now
	for c.now.Sub(start) < d {
		if ok() {
			return c.now.Sub(start), true
		}
		c.Run(step)
	}
	return c.now.Sub(start), ok()
}

func (c *Camp) between(least, most time.Duration) time.Duration {
	return least + time.Duration(c.rnd.Int64N(int64(most-least)+1))
}

// Place is where one node stands. It keeps what survives a node: its file of peers and its
// place in the network.
type Place struct {
	Mesh   *mesh.Mesh   // nil while the node is off, or locked
	Asleep *mesh.Locked // while it is locked

	camp    *Camp
	n       int
	id      identity.NodeID
	cert    identity.NodeCert
	outcast func(identity.NodeCert) bool
	locked  []byte // certificate of the locked node
	life    int    // grows at every start and stop
	peers   []byte
	saves   int // of peers
	clock   faces
	lines   []*line
	cluster int                    // of those that see each other as members
	latest  uint64                 // of the hints that came
	ring    [][32]byte             // keys of the membership traffic
	said    map[oplog.LogID]uint64 // how far it has told others that it holds each log, durably
	sealed  map[oplog.LogID]uint64 // likewise while it was locked, until that is merged
	after   func()                 // called after each of its turns
}

// Add makes a place for one more node.
func (c *Camp) Add() *Place {
	p := &Place{camp: c, n: len(c.places), said: map[oplog.LogID]uint64{}}
	p.cluster = p.n
	c.places = append(c.places, p)
	return p
}

// Addr is where the node is found.
func (p *Place) Addr() string {
	return fmt.Sprintf("10.%d.%d.%d:7946", p.n>>16&255, p.n>>8&255, p.n&255)
}

// Start lets a node go on here; outcast says whom it refuses.
func (p *Place) Start(c mesh.Config, outcast func(identity.NodeCert) bool) error {
	p.life++
	p.id, p.cert, p.outcast = c.Vault.NodeID(), c.Vault.Cert(), outcast
	p.ring = c.Vault.GossipKeys()
	c.Clock = p.Clock()
	m, err := mesh.Play(c, stage{p, p.life}, members{p, p.life}, p.Addr())
	if err != nil {
		return err
	}
	p.Mesh = m
	p.camp.note("start", p.n, p.n, 0)
	return nil
}

// Sleep lets a locked node go on here, whose node is cert.
func (p *Place) Sleep(c mesh.LockedConfig, cert identity.NodeCert) error {
	p.life++
	p.id, p.cert, p.locked = cert.ID(), cert, c.Cert
	p.outcast = func(o identity.NodeCert) bool { return c.Shut(o.ID()) }
	c.Clock, c.Advertise = p.Clock(), p.Addr()
	k, err := mesh.PlayLocked(c, stage{p, p.life})
	if err != nil {
		return err
	}
	p.Asleep = k
	p.camp.note("sleep", p.n, p.n, 0)
	return nil
}

// Up says whether anything runs here.
func (p *Place) Up() bool { return p.Mesh != nil || p.Asleep != nil }

// Stop ends it without a word.
func (p *Place) Stop() {
	if !p.Up() {
		return
	}
	p.life++
	if p.Mesh != nil {
		_ = p.Mesh.Close()
	} else {
		_ = p.Asleep.Close()
	}
	p.Mesh, p.Asleep = nil, nil
	for _, l := range p.lines {
		l.dead = true
		l.camp.In(p.camp.delay(), l.far.reset) // the machine is there and knows no such connection; if not, silence tells
	}
	p.lines = nil
	p.cluster = p.n + p.life*len(p.camp.places)*1000
	p.camp.note("stop", p.n, p.n, 0)
}

// Know makes the node look for addr, as an invitation does.
func (p *Place) Know(addrs ...string) error {
	b, err := mesh.Remembered(p.peers, addrs...)
	p.peers = b
	return err
}

// Block cuts what goes from one place to another, Heal mends everything.
func (c *Camp) Block(from, to *Place) {
	c.blocked[[2]int{from.n, to.n}] = true
	c.note("block", from.n, to.n, 0)
}

// Cut parts two groups in both directions.
func (c *Camp) Cut(one, other []*Place) {
	for _, a := range one {
		for _, b := range other {
			c.Block(a, b)
			c.Block(b, a)
		}
	}
	c.In(forgetting, c.part)
}

// Heal lets everything pass again.
func (c *Camp) Heal() {
	clear(c.blocked)
	c.note("heal", 0, 0, 0)
	for _, p := range c.places {
		for _, l := range p.lines {
			l.flow()
		}
	}
}

func (c *Camp) passes(a, b *Place) bool { return !c.blocked[[2]int{a.n, b.n}] }
func (c *Camp) delay() time.Duration    { return c.between(leastDelay, mostDelay) }

// part makes members that cannot hear each other strangers: memberlist has purged them.
func (c *Camp) part() {
	if len(c.blocked) == 0 {
		return
	}
	group := map[int]int{}
	var spread func(p *Place, g int)
	spread = func(p *Place, g int) {
		group[p.n] = g
		for _, o := range c.places {
			if _, seen := group[o.n]; !seen && o.cluster == p.cluster && c.passes(p, o) && c.passes(o, p) {
				spread(o, g)
			}
		}
	}
	for _, p := range c.places {
		if _, seen := group[p.n]; !seen {
			c.count++
			spread(p, -int(c.count))
		}
	}
	for _, p := range c.places {
		p.cluster = group[p.n]
	}
}

// stage carries out what one life of a node decides.
type stage struct {
	p    *Place
	life int
}

func (s stage) alive() bool { return s.p.life == s.life && s.p.Up() }

func (s stage) After(d time.Duration, turn func()) {
	s.p.camp.In(d, func() {
		if s.alive() {
			turn()
			s.p.turned()
		}
	})
}

// turned is called after each turn.
func (p *Place) turned() {
	if p.after != nil {
		p.after()
	}
}

func (s stage) Work(do func()) { s.After(s.p.camp.between(diskLeast, diskMost), do) }

func (s stage) Rand() *rand.Rand { return s.p.camp.rnd }

func (s stage) Load() ([]byte, error) { return s.p.peers, nil }

func (s stage) Save(b []byte) error {
	s.p.peers = b
	s.p.saves++
	return nil
}

// Dial tries one address after the other.
func (s stage) Dial(node identity.NodeID, addrs []string, news bool, done func()) {
	if len(addrs) == 0 {
		s.After(0, done)
		return
	}
	c := s.p.camp
	next := func(after time.Duration) {
		s.After(after, func() { s.Dial(node, addrs[1:], news, done) })
	}
	var to *Place
	for _, p := range c.places {
		if p.Addr() == addrs[0] {
			to = p
		}
	}
	switch {
	case to == nil, !c.passes(s.p, to), !c.passes(to, s.p):
		next(dialTime)
	case to == s.p || !to.Up() || c.rnd.Float64() < c.Loss*c.Loss:
		next(c.delay()) // refused
	default:
		life := to.life
		s.After(handshake*2*c.delay(), func() {
			if to.life != life || !to.Up() || !c.passes(s.p, to) || !c.passes(to, s.p) || !s.p.wants(to, node) {
				s.Dial(node, addrs[1:], news, done)
				return
			}
			c.connect(s.p, to, addrs[0])
			if node.IsZero() || to.id == node {
				s.After(0, done)
				return
			}
			s.Dial(node, addrs[1:], news, done)
		})
	}
}

// wants says whether a handshake of the two works, and the dialling one keeps the connection.
func (p *Place) wants(to *Place, node identity.NodeID) bool {
	switch {
	case p.outcast(to.cert), to.outcast(p.cert):
		return false
	case p.Mesh != nil:
		return p.Mesh.Useful(to.cert, node)
	}
	return to.Mesh != nil && to.id != p.id // two locked ones have nothing to give each other
}
