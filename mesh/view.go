package mesh

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
)

// What the pages, the terminal and programs are shown of the network. Nothing here
// decides anything.

// Relayed is the state of a Peer that there is no link with now, and whose records come
// and go over other nodes. The other two are Connected and Away.
const Relayed = "relayed"

// Clock is the wall clock of another node.
type Clock struct {
	Known bool          // it has told its time
	Off   time.Duration // its time minus ours
	Sure  bool          // it was set by something better than the board it runs on
}

// LinkView is one connection with another node.
type LinkView struct {
	Addr     string // where its other end is
	Dialled  bool   // by this node
	Since    time.Time
	BytesIn  uint64 // received over it, TLS included
	BytesOut uint64
	Queue    int // bytes that wait to be written to it
}

// ForkView is a log that was found with two histories. Its Seq is where they part when that
// is proved, else where they are said to differ, at the latest; 0 when nobody said where.
type ForkView struct {
	oplog.Fork
	Proved bool       // signed batches of both histories were met here; else it is only said so
	Sayers []oplog.ID // whose word it is: they hold the other history, or say that they know of two
	Found  time.Time  // zero: before this start
	Own    bool       // the log was written with this node's key
	Joined bool       // of an own one: what the other history had more is written again in a later log
}

// linkSight is what a link remembers to be looked at.
type linkSight struct {
	since    time.Time     // guarded by Mesh.mu
	asked    atomic.Uint64 // nonce of the PING that waits for its PONG; 0 for none
	measured atomic.Int64  // when that was last answered, as Mesh.elapsed; 0 for never
	trip     atomic.Int64  // nanoseconds from PING to PONG; 0 for unknown
}

// pingDue reports whether a PING goes out now to learn how long one takes, when that is
// wanted once in every. A nonce is the time since Start, so that it says by itself when it
// left.
func (s *linkSight) pingDue(now, every int64) bool {
	last := s.measured.Load()
	return last == 0 || now-last >= every
}

// pinged remembers the PING that goes out, and gives its nonce back.
func (s *linkSight) pinged(now int64) uint64 {
	s.asked.Store(uint64(now)) //nolint:gosec // a time since Start is positive
	return uint64(now)         //nolint:gosec // likewise
}

// ponged takes an answer. What was not asked for, or is answered a second time, measures
// nothing.
func (s *linkSight) ponged(nonce uint64, now int64) {
	if nonce == 0 || !s.asked.CompareAndSwap(nonce, 0) {
		return
	}
	s.trip.Store(max(1, now-int64(nonce))) //nolint:gosec // it is one of ours
	s.measured.Store(max(1, now))
}

// sight fills in what is shown of a peer beside what describe has. Called with the lock
// held.
func (m *Mesh) sight(e *Peer, p *peer) {
	links := slices.Clone(p.links)
	slices.SortFunc(links, func(a, b *link) int { return cmp.Compare(b.born, a.born) })
	for _, l := range links {
		in, out := l.line.Bytes()
		e.Links = append(e.Links, LinkView{
			Addr: l.remote(), Dialled: l.dialled != "", Since: l.sight.since, BytesIn: in, BytesOut: out, Queue: l.out.waiting(),
		})
		if e.RTT == 0 {
			e.RTT = time.Duration(l.sight.trip.Load())
		}
	}
	if r := p.report; r != nil {
		e.Clock = Clock{Known: true, Off: time.Duration(r.wall-p.heard.UnixMilli()) * time.Millisecond, Sure: r.sure}
		e.Neighbours = slices.Clone(r.near)
		if !p.linked() {
			e.Via = p.via
		}
	}
}

// waiting is how many bytes the link has still to write.
func (o *outbox) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queued + len(o.hints)*markSize + len(o.bulk) + len(o.part)
}

// foundFork remembers when a log was first seen to have two histories. Called with the
// lock held.
func (m *Mesh) foundFork(log oplog.LogID) {
	if m.forkedAt == nil {
		m.forkedAt = map[oplog.LogID]time.Time{}
	}
	m.forkedAt[log] = m.clock.Now()
}

// Forked lists the logs with two histories, by log: those met since Start, of known, which
// is what the journal has proof of, those that were met before, and those held here that
// others say they know of. Safe for concurrent use.
func (m *Mesh) Forked(known []oplog.Fork) []ForkView {
	m.mu.Lock()
	forks := slices.Clone(m.forks)
	met := len(forks)
	seen := map[oplog.LogID]bool{}
	for _, f := range forks {
		seen[f.Log] = true
	}
	for _, f := range known {
		if !seen[f.Log] {
			seen[f.Log] = true
			forks = append(forks, f)
		}
	}
	for _, log := range m.hearsay() {
		if !seen[log] {
			forks = append(forks, oplog.Fork{Log: log})
		}
	}
	out := make([]ForkView, len(forks))
	for i, f := range forks {
		_, joined := m.carried[f.Log]
		out[i] = ForkView{Fork: f, Joined: joined, Sayers: m.sayersOf(f.Log)}
		out[i].Proved = slices.ContainsFunc(known, func(k oplog.Fork) bool { return k.Log == f.Log })
		if d := m.doubts[f.Log]; d != nil && d.seq > 0 {
			out[i].Seq, out[i].Proved = d.seq, true
		}
		if i < met {
			out[i].Found = m.forkedAt[f.Log]
		}
	}
	m.mu.Unlock()
	for i := range out { // the journal has a lock of its own
		out[i].Own = m.records.Ours(out[i].Log)
	}
	slices.SortFunc(out, func(a, b ForkView) int { return cmp.Compare(string(a.Log[:]), string(b.Log[:])) })
	return out
}

// Members counts the boxes that gossip knows to be on the air, this one among them; 0
// without gossip.
func (m *Mesh) Members() int {
	m.mu.Lock()
	g, real := m.member.(*gossip)
	m.mu.Unlock()
	if !real {
		return 0
	}
	return int(g.count.Load())
}
