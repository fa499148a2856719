package mesh

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// How long silence is believed, and how a link is kept from falling silent.
const (
	pingEvery  = 2 * time.Second
	silence    = 6 * time.Second // without one byte either way: the connection is dead
	writePiece = 32 << 10        // a deadline a piece, so that a slow link is no dead link
	helloTime  = 5 * time.Second
	answerTime = 20 * time.Second // a peer that answers pings but not a WANT
)

// link is one exchange connection. It is symmetric: whoever dialled, both ends
// ask and both ends serve.
type link struct {
	m       *Mesh
	conn    *tls.Conn
	raw     *counted
	ctx     context.Context
	cancel  context.CancelFunc
	cert    identity.NodeCert
	node    identity.NodeID
	dialled string // the address we dialled, empty when they dialled us
	low     bool   // dialled by the node with the lower id: this direction is kept when there are two
	born    uint64 // order of arrival at this node
	hello   hello

	out    *outbox
	wants  chan want     // what they ask, at most one at a time
	got    chan opsFrame // what they answered, at most one at a time
	lastIn atomic.Int64  // when the last frame came, as Mesh.elapsed

	// The rest is guarded by Mesh.mu.
	peer     *peer
	attached bool
	told     map[oplog.LogID]mark // what they said on this connection that they hold durably
	forked   map[oplog.LogID]bool // of these, what is another history than ours
	whole    bool                 // their vector has arrived
	waits    bool                 // they came out of a backup and wait themselves
	sent     map[oplog.LogID]uint64
	pending  *pending
	busyTo   time.Time
	shun     map[oplog.LogID]*shunned
	bare     map[oplog.LogID]*shunned // its copy lacks the payloads that are gone here
	rejoin   map[oplog.LogID]*rejoining
	tags     bool // it is asked for batches with their tags (forms.go)
	bytes    int  // batch size that suits the link
	nextID   uint32
	pieces   pieceTraffic
}

// pending is the question under way on a link.
type pending struct {
	id     uint32
	asks   []ask
	since  time.Time
	begun  bool                 // the answer has begun to arrive, or is being merged
	parted map[oplog.LogID]bool // asked for as another history of a log of ours
}

// shunned is a log this peer could not deliver.
type shunned struct {
	until time.Time
	fails int
}

// runLink greets, attaches the link to its peer and works it until it ends. It
// closes conn.
func (m *Mesh) runLink(conn *tls.Conn, raw *counted, cert identity.NodeCert, dialled string) {
	defer conn.Close()
	l := &link{
		m: m, conn: conn, raw: raw, cert: cert, node: cert.ID(), dialled: dialled,
		out: newOutbox(), wants: make(chan want, 1), got: make(chan opsFrame, 1),
		told: map[oplog.LogID]mark{}, sent: map[oplog.LogID]uint64{}, shun: map[oplog.LogID]*shunned{}, bare: map[oplog.LogID]*shunned{}, bytes: batchBytes,
		rejoin: map[oplog.LogID]*rejoining{},
		pieces: newPieceTraffic(),
	}
	l.low = (dialled != "") == lower(m.self, l.node)
	l.ctx, l.cancel = context.WithCancel(m.ctx)
	defer l.cancel()
	stop := context.AfterFunc(l.ctx, func() { _ = conn.Close() })
	defer stop()
	r := bufio.NewReaderSize(&patient{conn: conn, m: m}, 16<<10)
	if err := l.greet(r); err != nil {
		m.quiet.debug("mesh greeting failed", "node", l.node, "err", err)
		return
	}
	if l.node == m.self && !m.metTwin(l) {
		return
	}
	if !m.attach(l) {
		return
	}
	defer m.detach(l)
	m.offerPieces(l)
	work := []func(){l.write, l.serve, l.merge, l.servePieces, l.storePieces}
	ended := make(chan struct{}, len(work))
	for _, f := range work {
		go func() { defer func() { ended <- struct{}{} }(); f() }()
	}
	err := l.read(r)
	l.cancel()
	for range work {
		<-ended
	}
	m.log.Debug("mesh link ended", "node", l.node, "err", err)
}

// lower says which of two nodes' dialling wins.
func lower(a, b identity.NodeID) bool { return string(a[:]) < string(b[:]) }

// greet exchanges HELLOs, the first frame either way.
func (l *link) greet(r *bufio.Reader) error {
	m := l.m
	_ = l.conn.SetWriteDeadline(m.clock.Now().Add(helloTime))
	if _, err := l.conn.Write(frame(m.hello())); err != nil {
		return err
	}
	k, b, err := readFrame(r)
	if err != nil {
		return err
	}
	msg, err := parse(k, b)
	if err != nil {
		return err
	}
	h, ok := msg.(hello)
	if !ok {
		return errFrame
	}
	if h.proto != protocol {
		_, _ = l.conn.Write(frame(bye{byeUnknown}))
		return errors.New("mesh: peer speaks exchange protocol " + strconv.Itoa(int(h.proto)))
	}
	l.hello = h
	l.hello.card = append([]byte(nil), h.card...)
	return nil
}

// patient reads with a deadline that every byte renews.
type patient struct {
	conn net.Conn
	m    *Mesh
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.conn.SetReadDeadline(p.m.clock.Now().Add(silence)); err != nil {
		return 0, err
	}
	return p.conn.Read(b)
}

// read takes frames until the connection ends or the peer breaks the protocol.
func (l *link) read(r *bufio.Reader) error {
	for {
		if k, err := r.Peek(1); err == nil && kind(k[0]) == kindOps {
			l.m.answerBegins(l)
		}
		k, b, err := readFrame(r)
		if err != nil {
			return err
		}
		l.lastIn.Store(int64(l.m.elapsed()))
		msg, err := parse(k, b)
		if err != nil {
			return err
		}
		if err := l.take(msg); err != nil {
			return err
		}
		l.m.alive(l)
	}
}

var (
	errUnasked  = errors.New("mesh: unexpected frame")
	errBye      = errors.New("mesh: peer said goodbye")
	errTooSlow  = errors.New("mesh: peer does not read")
	errTooMany  = errors.New("mesh: peer names too many logs")
	errNoAnswer = errors.New("mesh: peer does not answer")
)

// take acts on one frame. It never waits for disk or peer.
func (l *link) take(msg message) error {
	switch f := msg.(type) {
	case vector:
		return l.m.holds(l, f.marks, !f.more)
	case hint:
		return l.m.holds(l, f.marks, false)
	case ack:
		return l.m.holds(l, f.marks, false)
	case want:
		select {
		case l.wants <- f:
			return nil
		default:
			return errUnasked
		}
	case opsFrame:
		if !l.m.answered(l, f) {
			return errUnasked
		}
		select {
		case l.got <- f:
			return nil
		default:
			return errUnasked
		}
	case busy:
		l.m.wasBusy(l, f)
	case ping:
		l.m.heardPing(l, f)
		if !l.out.send(pong(f)) {
			return errTooSlow
		}
	case pong:
	case cards:
		l.m.learnCards(f.cards, l)
	case fetch:
		select {
		case l.pieces.asks <- f:
			return nil
		default:
			return errUnasked
		}
	case pieceFrame:
		if !l.m.tookPart(l, f) {
			return errUnasked
		}
	case bye:
		return errBye
	default:
		return errUnasked
	}
	return nil
}

// write empties the outbox and keeps the link from falling silent.
func (l *link) write() {
	defer l.cancel()
	tick := l.m.clock.After(pingEvery)
	for {
		b, done := l.out.next()
		if b != nil {
			if err := l.writeAll(b); err != nil {
				return
			}
			if done != nil {
				done()
			}
			continue
		}
		select {
		case <-l.out.signal:
		case <-tick:
			tick = l.m.clock.After(pingEvery)
			now := int64(l.m.elapsed())
			if now-l.lastIn.Load() >= int64(pingEvery*9/10) && !l.out.send(ping{uint64(now)}) {
				return
			}
		case <-l.ctx.Done():
			return
		}
	}
}

func (l *link) writeAll(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), writePiece)
		if err := l.conn.SetWriteDeadline(l.m.clock.Now().Add(silence)); err != nil {
			return err
		}
		if _, err := l.conn.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// serve answers WANTs, one at a time.
func (l *link) serve() {
	for {
		select {
		case w := <-l.wants:
			l.answer(w)
		case <-l.ctx.Done():
			return
		}
	}
}

// answer reads what was asked for and waits until it has left, so that a link has
// at most one batch in memory.
func (l *link) answer(w want) {
	m := l.m
	select {
	case m.serving <- struct{}{}:
		defer func() { <-m.serving }()
	default:
		l.out.send(busy{id: w.id, retry: busyRetry})
		return
	}
	left, ops := min(int(w.maxBytes), batchBytes), min(int(w.maxOps&wantOps), batchOps)
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
	written := make(chan struct{})
	l.out.sendBulk(frame(f), func() { close(written) })
	select {
	case <-written:
	case <-l.ctx.Done():
	}
}
