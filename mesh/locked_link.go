package mesh

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// How a locked node asks.
const (
	lockedTick = 500 * time.Millisecond
	lockedRest = time.Second // between questions for a few ops: each answer is a file of its own
	lockedFew  = 100
)

// lockedLink is a connection of a locked node: it asks, and serves nothing.
type lockedLink struct {
	k      *Locked
	write  func(frame []byte) error
	node   identity.NodeID
	ctx    context.Context
	cancel context.CancelFunc

	writing sync.Mutex // a frame at a time

	// The rest is guarded by Locked.mu.
	told   map[oplog.LogID]uint64
	sent   map[oplog.LogID]uint64
	shun   map[oplog.LogID]*shunned
	asks   []ask // the question under way
	since  time.Time
	begun  bool // its answer has begun to arrive, or is being stored
	id     uint32
	restTo time.Time
	bytes  uint32
}

// run keeps one connection until it ends.
func (k *Locked) run(conn *tls.Conn, dialled string) {
	defer conn.Close()
	cert, err := k.peerOf(conn.ConnectionState())
	if err != nil {
		return
	}
	l := k.newLink(cert, func(b []byte) error {
		if err := conn.SetWriteDeadline(k.c.Clock.Now().Add(usual.silence)); err != nil {
			return err
		}
		_, err := conn.Write(b)
		return err
	})
	defer l.cancel()
	stop := context.AfterFunc(l.ctx, func() { _ = conn.Close() })
	defer stop()
	r := bufio.NewReaderSize(readPatiently{conn, k}, 16<<10)
	if err := l.greet(r); err != nil || !k.attach(l, dialled) {
		return
	}
	ended := make(chan struct{})
	go func() { defer close(ended); l.tick() }()
	err = l.read(r)
	l.cancel()
	<-ended
	k.detach(l)
	k.log.Debug("locked: link ended", "node", l.node, "err", err)
}

func (k *Locked) newLink(cert identity.NodeCert, write func([]byte) error) *lockedLink {
	l := &lockedLink{
		k: k, write: write, node: cert.ID(), told: map[oplog.LogID]uint64{}, sent: map[oplog.LogID]uint64{}, shun: map[oplog.LogID]*shunned{}, bytes: batchBytes,
	}
	l.ctx, l.cancel = context.WithCancel(k.ctx)
	return l
}

// readPatiently reads with a deadline that every byte renews.
type readPatiently struct {
	conn net.Conn
	k    *Locked
}

func (p readPatiently) Read(b []byte) (int, error) {
	if err := p.conn.SetReadDeadline(p.k.c.Clock.Now().Add(usual.silence)); err != nil {
		return 0, err
	}
	return p.conn.Read(b)
}

func (l *lockedLink) greet(r *bufio.Reader) error {
	if err := l.send(l.k.hello()); err != nil {
		return err
	}
	kind, b, err := readFrame(r)
	if err != nil {
		return err
	}
	return l.greeted(kind, b)
}

func (k *Locked) hello() hello { return hello{proto: protocol, incarnation: k.me, port: k.port} }

// greeted takes the first frame.
func (l *lockedLink) greeted(kind kind, b []byte) error {
	msg, err := parse(kind, b)
	if err != nil {
		return err
	}
	h, ok := msg.(hello)
	switch {
	case !ok:
		return errFrame
	case h.proto != protocol:
		return errBye
	}
	l.k.learn([][]byte{slices.Clone(h.card)})
	return nil
}

// attach makes l one of the links, and tells what is held.
func (k *Locked) attach(l *lockedLink, dialled string) bool {
	k.mu.Lock()
	p := k.peers[l.node]
	if p == nil && len(k.peers) < maxPeers {
		p = &lockedAddr{peer: peer{node: l.node}}
		k.peers[l.node] = p
	}
	if k.closed || p == nil || len(k.links) >= maxLinks || p.links >= maxLinksAPeer {
		k.mu.Unlock()
		return false
	}
	p.links++
	if dialled != "" {
		p.good = dialled
		delete(k.seeds, dialled)
	}
	p.dial.connected(k.c.Clock.Now())
	k.links = append(k.links, l)
	var marks []mark
	for _, h := range k.heads {
		marks = append(marks, markOf(h))
		l.sent[h.Log] = h.Seq
	}
	k.mu.Unlock()
	slices.SortFunc(marks, func(a, b mark) int { return cmp.Compare(string(a.log[:]), string(b.log[:])) })
	for more := true; more; {
		n := min(len(marks), marksAFrame)
		more = n < len(marks)
		if l.send(vector{more: more, marks: marks[:n]}) != nil {
			break // reading will find out
		}
		marks = marks[n:]
	}
	return true
}

func (k *Locked) detach(l *lockedLink) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l.release()
	k.links = slices.DeleteFunc(k.links, func(o *lockedLink) bool { return o == l })
	if p := k.peers[l.node]; p != nil {
		p.links--
		p.dial.lost(k.c.Clock.Now(), usual.mostWait, k.rnd)
	}
}

// send writes one frame.
func (l *lockedLink) send(m message) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	err := l.write(frame(m))
	if err != nil {
		l.cancel()
	}
	return err
}

// pulse is when a link last asked for a sign of life and told what arrived by others.
type pulse struct{ asked, told time.Time }

// tick keeps the link from falling silent, asks what is due and says what arrived by other
// links.
func (l *lockedLink) tick() {
	now := l.k.c.Clock.Now()
	last := pulse{now, now}
	for {
		select {
		case <-l.k.c.Clock.After(lockedTick):
		case <-l.ctx.Done():
			return
		}
		if !l.turn(&last) {
			return
		}
	}
}

// turn is one round of tick. It is false when the link ends.
func (l *lockedLink) turn(last *pulse) bool {
	k := l.k
	l.ask()
	now := k.c.Clock.Now()
	k.mu.Lock()
	stuck := l.asks != nil && !l.begun && now.Sub(l.since) > answerTime
	k.mu.Unlock()
	if stuck {
		l.cancel()
		return false
	}
	if now.Sub(last.told) >= usual.lazyMost {
		last.told = now
		l.hint()
	}
	if now.Sub(last.asked) < usual.pingEvery {
		return true
	}
	last.asked = now
	return l.send(ping{uint64(now.UnixMilli())}) == nil //nolint:gosec // a nonce
}

// hint tells what is held and was not told here yet.
func (l *lockedLink) hint() {
	var h hint
	l.k.mu.Lock()
	for _, log := range sortedLogs(l.k.heads) {
		if head := l.k.heads[log]; l.sent[log] < head.Seq && len(h.marks) < marksAFrame {
			l.sent[log] = head.Seq
			h.marks = append(h.marks, markOf(head))
		}
	}
	l.k.mu.Unlock()
	if len(h.marks) > 0 {
		_ = l.send(h) // reading will find out
	}
}

// read takes frames until the connection ends or the peer breaks the protocol.
func (l *lockedLink) read(r *bufio.Reader) error {
	for {
		if b, err := r.Peek(1); err == nil && kind(b[0]) == kindOps {
			l.begins()
		}
		k, b, err := readFrame(r)
		if err != nil {
			return err
		}
		msg, err := parse(k, b)
		if err != nil {
			return err
		}
		if err := l.take(msg); err != nil {
			return err
		}
	}
}

func (l *lockedLink) take(msg message) error {
	switch f := msg.(type) {
	case vector:
		return l.hears(f.marks)
	case hint:
		return l.hears(f.marks)
	case opsFrame:
		return l.store(f)
	case busy:
		l.k.mu.Lock()
		defer l.k.mu.Unlock()
		if f.id == l.id {
			l.release()
			l.restTo = l.k.c.Clock.Now().Add(time.Duration(f.retry) * time.Millisecond)
		}
	case ping:
		return l.send(pong(f))
	case pong:
	case cards:
		l.k.learn(f.cards)
	case bye:
		return errBye
	default:
		return errUnasked // a locked node serves nothing, and nobody acknowledges anything to it
	}
	return nil
}

// begins notes that records are arriving, so that a big batch on a slow link is not taken
// for silence.
func (l *lockedLink) begins() {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	l.begun = true
}

// hears takes in what the peer holds.
func (l *lockedLink) hears(marks []mark) error {
	l.k.mu.Lock()
	for _, m := range marks {
		if _, known := l.told[m.log]; !known && len(l.told) >= maxToldLogs {
			l.k.mu.Unlock()
			return errTooMany
		}
		l.told[m.log] = max(l.told[m.log], m.seq)
	}
	l.k.mu.Unlock()
	l.ask()
	return nil
}

// ask sends the next question when there is one: a log is asked for on one link at a time,
// the smallest gaps first.
func (l *lockedLink) ask() {
	if l.k.c.Letters.Full() {
		return
	}
	if w, ok := l.next(); ok {
		_ = l.send(w) // reading will find out
	}
}

func (l *lockedLink) next() (want, bool) {
	k := l.k
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.c.Clock.Now()
	if l.asks != nil || now.Before(l.restTo) || l.ctx.Err() != nil {
		return want{}, false
	}
	gap := func(log oplog.LogID) uint64 { return l.told[log] - k.heads[log].Seq }
	var asks []ask
	for log, seq := range l.told {
		s := l.shun[log]
		if seq > k.heads[log].Seq && k.claims[log] == nil && (s == nil || !now.Before(s.until)) {
			asks = append(asks, ask{log, k.heads[log].Seq})
		}
	}
	if len(asks) == 0 {
		return want{}, false
	}
	slices.SortFunc(asks, func(a, b ask) int {
		return cmp.Or(cmp.Compare(gap(a.log), gap(b.log)), cmp.Compare(string(a.log[:]), string(b.log[:])))
	})
	l.asks = asks[:min(len(asks), maxAsks)]
	few := uint64(0)
	for _, a := range l.asks {
		k.claims[a.log] = l
		few += gap(a.log)
	}
	l.id++
	l.since, l.begun = now, false
	if l.restTo = now; few < lockedFew {
		l.restTo = now.Add(lockedRest)
	}
	return want{id: l.id, maxOps: batchOps, maxBytes: l.bytes, asks: l.asks}, true
}

// release forgets the question under way. Called with the lock held.
func (l *lockedLink) release() {
	for _, a := range l.asks {
		if l.k.claims[a.log] == l {
			delete(l.k.claims, a.log)
		}
	}
	l.asks = nil
}

// store puts an answer into the letterbox and acknowledges what is on the card then.
func (l *lockedLink) store(f opsFrame) error {
	k := l.k
	k.mu.Lock()
	asks := l.asks
	fits := asks != nil && f.id == l.id && len(f.parts) == len(asks)
	for i := range asks {
		fits = fits && f.parts[i].log == asks[i].log
	}
	switch took := k.c.Clock.Now().Sub(l.since); {
	case took > slowFrame:
		l.bytes = max(l.bytes/2, leastBytes)
	case took < fastFrame:
		l.bytes = min(l.bytes*2, batchBytes)
	}
	k.mu.Unlock()
	if !fits {
		return errUnasked
	}
	full := false
	for _, p := range f.parts {
		if len(p.data) == 0 {
			continue
		}
		if err := k.c.Letters.Put(p.data); err != nil {
			full = full || fault.ClassOf(err) == fault.Full
			k.quiet.warn("locked: a batch was not taken in", "node", l.node, "log", p.log, "err", err)
		}
	}
	k.refresh()
	return l.send(l.settle(f, full))
}

// settle ends a question. A log that made no progress is left alone for a while.
func (l *lockedLink) settle(f opsFrame, full bool) ack {
	k := l.k
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.c.Clock.Now()
	reply := ack{id: f.id}
	earlier := full // what was asked for was used up, or the letterbox is
	for i, a := range l.asks {
		h, held := k.heads[a.log]
		if held {
			reply.marks = append(reply.marks, markOf(h))
			l.sent[a.log] = h.Seq
		}
		switch {
		case h.Seq > a.after:
			delete(l.shun, a.log)
		case earlier && len(f.parts[i].data) == 0:
		default:
			s := l.shun[a.log]
			if s == nil {
				s = &shunned{}
				l.shun[a.log] = s
			}
			s.until = now.Add(min(shunFirst<<min(s.fails, 10), shunMost))
			s.fails++
		}
		earlier = earlier || len(f.parts[i].data) > 0
	}
	l.release()
	return reply
}
