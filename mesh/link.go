package mesh

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// How long silence is believed, and how a link is kept from falling silent.
const (
	pongTime   = 3 * time.Second  // then the node is looked for anew; the connection may still recover
	writePiece = 32 << 10         // a deadline a piece, so that a slow link is no dead link
	answerTime = 20 * time.Second // a peer that answers pings but not a WANT
)

// link is one exchange connection. It is symmetric: whoever dialled, both ends
// ask and both ends serve.
type link struct {
	m       *Mesh
	line    Line
	cert    identity.NodeCert
	node    identity.NodeID
	dialled string // the address we dialled, empty when they dialled us
	out     *outbox
	lastIn  atomic.Int64 // when the last frame came, as Mesh.elapsed

	// The rest is guarded by Mesh.mu.
	low      bool   // dialled by the node with the lower id: this direction is kept when there are two
	born     uint64 // order of arrival at this node
	greeted  bool
	locked   *LockedCert // the node at the other end is locked: locked_peer.go
	hello    hello
	peer     *peer
	attached bool
	seenIn   uint64                     // bytes that had come when keepAlive last looked
	seenOut  uint64                     // and that had left
	spoke    time.Duration              // since when something has left and nothing come; 0 = it has
	doubted  bool                       // memberlist takes the node for gone: it is asked
	pinged   time.Duration              // when it was asked for a sign of life that has not come; 0 = it was not
	suspect  bool                       // no sign came in time: the node is looked for as if there were no link
	farewell bool                       // one end has said that it parts
	knows    map[identity.NodeID]uint64 // stamps of reports they have
	reports  bool                       // they understand reports
	stamped  bool                       // they said which they have
	over     bool                       // it was given up, or has ended
	told     map[oplog.LogID]mark       // what they said on this connection that they hold durably
	forked   map[oplog.LogID]bool       // of these, what is another history than ours
	whole    bool                       // their vector has arrived
	waits    bool                       // they came out of a backup and wait themselves
	sent     map[oplog.LogID]uint64
	pending  *pending
	serving  bool   // an answer to them is being read or written
	asked    []want // what they ask meanwhile: one at most
	busyTo   time.Time
	shun     map[oplog.LogID]*shunned
	bare     map[oplog.LogID]*shunned // its copy lacks the payloads that are gone here
	rejoin   map[oplog.LogID]*rejoining
	tags     bool // it is asked for batches with their tags (forms.go)
	again    bool // for the first time: what it just sent is asked for once more
	bytes    int  // batch size that suits the link
	nextID   uint32
	pieces   pieceTraffic
	sight    linkSight // has its own way of being shared
	pace     linkPace  // guards itself
}

// pending is the question under way on a link.
type pending struct {
	id       uint32
	asks     []ask
	since    time.Time
	begun    bool                 // the answer has begun to arrive
	answered bool                 // it is being merged
	parted   map[oplog.LogID]bool // asked for as another history of a log of ours
}

// shunned is a log this peer could not deliver.
type shunned struct {
	until time.Time
	fails int
}

// newLink begins with our greeting; the link is part of the mesh when theirs has come.
func (m *Mesh) newLink(line Line, cert identity.NodeCert, dialled string) *link {
	l := &link{
		m: m, line: line, cert: cert, node: cert.ID(), dialled: dialled, out: newOutbox(line.Wake),
		told: map[oplog.LogID]mark{}, sent: map[oplog.LogID]uint64{}, shun: map[oplog.LogID]*shunned{}, bare: map[oplog.LogID]*shunned{}, bytes: batchBytes,
		rejoin: map[oplog.LogID]*rejoining{}, knows: map[identity.NodeID]uint64{},
		pieces: newPieceTraffic(),
	}
	l.low = (dialled != "") == lower(m.self, l.node)
	l.lastIn.Store(int64(m.elapsed()))
	l.out.send(m.hello())
	return l
}

// end gives the link up. Called with the lock held.
func (l *link) end() {
	l.over = true
	l.line.Close()
}

// lower says which of two nodes' dialling wins.
func lower(a, b identity.NodeID) bool { return string(a[:]) < string(b[:]) }

var (
	errUnasked  = errors.New("mesh: unexpected frame")
	errBye      = errors.New("mesh: peer said goodbye")
	errTooSlow  = errors.New("mesh: peer does not read")
	errTooMany  = errors.New("mesh: peer names too many logs")
	errNoAnswer = errors.New("mesh: peer does not answer")
	errVersion  = errors.New("mesh: peer speaks another version")
	errUnwanted = errors.New("mesh: link not wanted")
)

// greet takes their HELLO, the first frame either way.
func (l *link) greet(h hello) error {
	m := l.m
	if h.proto != protocol {
		return fmt.Errorf("%w: %d", errVersion, h.proto)
	}
	h.card = append([]byte(nil), h.card...)
	l.hello = h
	if l.node == m.self && !m.metTwin(l) {
		return errUnwanted
	}
	if !m.attach(l) {
		return errUnwanted
	}
	m.offerPieces(l)
	l.out.send(ping{speaksReports})
	m.sayLink(l)
	return nil
}

// received takes one frame. After an error the line is to be closed.
func (l *link) received(k kind, b []byte) error {
	l.lastIn.Store(int64(l.m.elapsed()))
	msg, err := parse(k, b)
	if err != nil {
		return err
	}
	if !l.greeted {
		h, ok := msg.(hello)
		if !ok {
			return errFrame
		}
		l.greeted = true
		return l.greet(h)
	}
	if err := l.take(msg); err != nil {
		return err
	}
	l.m.alive(l)
	return nil
}

// take acts on one frame. It may read the journal for a hash and waits for nothing else.
func (l *link) take(msg message) error {
	switch f := msg.(type) {
	case vector:
		return l.m.holds(l, f.marks, !f.more)
	case hint:
		return l.m.holds(l, f.marks, false)
	case ack:
		return l.m.holds(l, f.marks, false)
	case want:
		return l.m.wanted(l, f)
	case opsFrame:
		return l.m.answered(l, f)
	case busy:
		l.m.wasBusy(l, f)
	case ping:
		l.m.heardPing(l, f)
		if !l.out.send(pong(f)) {
			return errTooSlow
		}
	case pong:
		l.sight.ponged(f.nonce, int64(l.m.elapsed()))
	case cards:
		l.m.learnCards(f.cards, l)
	case fetch:
		return l.m.wantedPiece(l, f)
	case pieceFrame:
		if !l.m.tookPart(l, f) {
			return errUnasked
		}
	case reports:
		l.m.learnReports(l, f.reports)
	case stamps:
		l.m.compareStamps(l, f)
	case bye:
		l.m.mu.Lock()
		l.farewell = f.reason == byeEnough
		l.m.mu.Unlock()
		return errBye
	default:
		return errUnasked
	}
	return nil
}

// keepAlive keeps links from falling silent. Called with the lock held.
func (m *Mesh) keepAlive() {
	now := m.elapsed()
	for _, l := range m.links {
		l.lookAlive(now)
	}
}

// lookAlive looks whether a sign of life has come, asks for one, or has the node looked for
// beside the link. Called with the lock held.
func (l *link) lookAlive(now time.Duration) {
	in, out := l.line.Bytes()
	switch {
	case in != l.seenIn: // part of a long frame is a sign of life too
		l.pinged, l.suspect, l.spoke = 0, false, 0
		l.lastIn.Store(int64(now))
	case out != l.seenOut && l.spoke == 0:
		l.spoke = now
	}
	l.seenIn, l.seenOut = in, out
	switch {
	case l.serving || l.pieces.serving: // a PING would wait behind what is being written
	case l.pinged > 0:
		if !l.suspect && now-l.pinged >= pongTime {
			l.suspect = true
			l.peer.lost = true
			l.peer.dial.now()
			l.m.poke()
		}
	case l.doubted || l.askDue(now):
		l.pinged, l.doubted = now, false
		if !l.out.send(ping{l.sight.pinged(int64(now))}) {
			l.end()
		}
	}
}

// askDue reports whether a sign of life is asked for now. Who dialled asks first, so that not
// both ask at once. Called with the lock held.
func (l *link) askDue(now time.Duration) bool {
	t := l.timing()
	every := t.pingEvery
	if l.dialled == "" {
		every += pongTime
	}
	return now-time.Duration(l.lastIn.Load()) >= every || l.spoke > 0 && now-l.spoke >= t.askAfter ||
		l.sight.pingDue(int64(now), int64(t.tripEvery))
}

// wanted answers a WANT, one at a time; another may wait. What is being answered is
// bounded over all links, because it lies in memory until it has left.
func (m *Mesh) wanted(l *link, w want) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.serving {
		if len(l.asked) > 0 {
			return errUnasked
		}
		l.asked = append(l.asked, w)
		return nil
	}
	m.answer(l, w)
	return nil
}

// answer has the journal read for w. Called with the lock held.
func (m *Mesh) answer(l *link, w want) {
	if m.serving >= maxServes {
		l.out.send(busy{id: w.id, retry: busyRetry})
		return
	}
	m.serving++
	l.serving = true
	m.stage.Work(func() {
		f := m.gather(l, w)
		l.out.sendBulk(frame(f), func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.served(l)
		})
	})
}

// served is called when an answer has left, or its link has ended. Called with the lock
// held.
func (m *Mesh) served(l *link) {
	if !l.serving {
		return
	}
	m.serving--
	l.serving = false
	if len(l.asked) > 0 && !l.over {
		w := l.asked[0]
		l.asked = nil
		m.answer(l, w)
	}
}

// gather reads what was asked for.
func (m *Mesh) gather(l *link, w want) opsFrame {
	left, ops := mostAnswer(m.pace.rate(l), min(int(w.maxBytes), batchBytes)), min(int(w.maxOps&wantOps), batchOps)
	f := opsFrame{id: w.id}
	for _, a := range w.asks {
		p := part{log: a.log, last: a.after}
		if left > 0 && ops > 0 {
			data, last, err := m.rangeFor(w, a, ops, left)
			switch {
			case err != nil:
				m.quiet.warn("mesh cannot serve a range", "log", a.log, "after", a.after, "err", err)
			case len(data) > maxAnswer/2:
				m.quiet.warn("mesh cannot serve a batch of this size", "log", a.log, "after", a.after, "bytes", len(data))
			case len(data) > 0:
				p.last, p.data = last, data
				left, ops = left-len(data), ops-int(last-a.after)
			}
		}
		f.parts = append(f.parts, p)
	}
	return f
}
