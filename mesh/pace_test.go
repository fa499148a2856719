package mesh

import (
	"bytes"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
)

// linkedAs sets the profile a node starts with.
func linkedAs(p LinkProfile) nodeOption { return func(c *Config, _ *node) { c.Link = p } }

func TestBucketKeepsItsRate(t *testing.T) {
	t.Parallel()
	b := bucket{rate: 2000}
	var at time.Duration
	for range 100 { // 100 parts of 500 bytes
		at += b.take(500, at)
	}
	if want := 99 * 250 * time.Millisecond; at != want {
		t.Errorf("50 kB at 2 kB/s took %v, not %v", at, want)
	}
	if wait := b.take(500, at+time.Hour); wait != 0 {
		t.Errorf("after an hour of rest it waits %v", wait)
	}
	b = bucket{rate: 2000}
	b.debit(1<<20, 0)
	if wait := b.take(1, 0); wait != mostDebt {
		t.Errorf("one big vector costs %v", wait)
	}
	var free bucket
	free.debit(1<<30, 0)
	if wait := free.take(1<<30, 0); wait != 0 {
		t.Errorf("without a limit it waits %v", wait)
	}
}

// Twelve answers at once, as many as there can be, and each part in its turn.
func TestSharedBucketLeavesNobodySilent(t *testing.T) {
	t.Parallel()
	b := bucket{rate: SlowestLink}
	part := mostWrite(SlowestLink) + tlsCost
	var now time.Duration
	ready := make([]time.Duration, maxServes+maxPieceServes)
	last := make([]time.Duration, len(ready))
	for range 2000 {
		next := 0
		for i := range ready {
			if ready[i] < ready[next] {
				next = i
			}
		}
		now = max(now, ready[next])
		if gap := now - last[next]; gap > usual.silence*2/3 {
			t.Fatalf("a link was without a byte for %v", gap)
		}
		last[next] = now
		ready[next] = now + b.take(part, now)
	}
}

func TestSizesFollowTheLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rate          uint64
		write, answer int
	}{
		{0, writePiece, batchBytes}, {SlowestLink, leastWrite, leastAnswer}, {2000, 500, 8000},
		{100_000, 25_000, 400_000}, {mostRate, writePiece, batchBytes},
	} {
		if w, a := mostWrite(c.rate), mostAnswer(c.rate, batchBytes); w != c.write || a != c.answer {
			t.Errorf("at %d B/s %d bytes a write and %d an answer, want %d and %d", c.rate, w, a, c.write, c.answer)
		}
	}
	for in, want := range map[uint64]uint64{0: 0, 1: SlowestLink, 5000: 5000, 1 << 60: mostRate} {
		if got := atLeast(in); got != want {
			t.Errorf("limit %d counts as %d, want %d", in, got, want)
		}
	}
}

// What a link may ask, bit by bit: other implementations read it.
func TestSaysLinkIsPinned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t, linkedAs(LinkProfile{Low: true, In: 0x010203}))
	l := &link{m: a.mesh, out: newOutbox(func() {})}
	a.mesh.sayLink(l)
	b, _ := l.out.next()
	if want := []byte{byte(kindPing), 0, 0, 0, 8, 'l', 'k', 0x80, 0, 0, 1, 2, 3}; !bytes.Equal(b, want) {
		t.Errorf("% x, want % x", b, want)
	}
	for nonce, low := range map[uint64]bool{saysLink | saysSlow | 9000: true, saysLink: false, saysSlow: false, speaksPieces: false, saysLink | saysSlow | 1<<41: false} {
		o := &link{m: a.mesh}
		a.mesh.heardLink(o, nonce)
		if o.pace.asksLow.Load() != low {
			t.Errorf("nonce %x: low %v", nonce, !low)
		}
	}
}

// A batch far bigger than the limit has to arrive over one connection: nobody takes the
// other for dead, and small frames pass between the answers. The first test limits what
// the sender gives, the second what the receiver takes.
func TestBulkOnASlowLink(t *testing.T) {
	t.Parallel()
	for name, as := range map[string][2]LinkProfile{
		"sender": {{Out: 40_000}, {}}, "receiver": {{}, {In: 40_000}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.start(t, linkedAs(as[0]))
			for range 300 {
				a.log.write(bytes.Repeat([]byte{7}, 1000))
			}
			began := clock.System().Now()
			b := w.start(t, seeded(a.addr), linkedAs(as[1]))
			wait(t, "b has it", func() bool { return same(a.log, b.log) })
			if took := clock.System().Now().Sub(began); took < 5*time.Second {
				t.Errorf("300 kB at 40 kB/s in %v", took)
			}
			b.mesh.mu.Lock()
			defer b.mesh.mu.Unlock()
			if len(b.mesh.links) != 1 || b.mesh.born > 2 {
				t.Errorf("%d links, %d made", len(b.mesh.links), b.mesh.born)
			}
		})
	}
}

// One frame of 40 kB at 2 kB/s takes 20 s, more than three times what silence may take.
func TestOneBigFrameIsNoSilence(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s")
	}
	t.Parallel()
	w := newWorld(t)
	a := w.start(t, linkedAs(LinkProfile{Out: 2000}))
	b := w.start(t, seeded(a.addr))
	wait(t, "linked", func() bool { return a.linked(b) && b.linked(a) })
	a.log.write(bytes.Repeat([]byte{7}, 40_000))
	wait(t, "b has it", func() bool { return same(a.log, b.log) })
	b.mesh.mu.Lock()
	defer b.mesh.mu.Unlock()
	if b.mesh.born > 2 {
		t.Errorf("%d links were made", b.mesh.born)
	}
}

func TestSmallFramesPassWhileBulkWaits(t *testing.T) {
	t.Parallel()
	now := time.Duration(0)
	p := newPace(LinkProfile{Out: 1000}, func() time.Duration { return now })
	l := &link{}
	if wait := p.take(l, 5000); wait != 0 {
		t.Fatalf("the first part waits %v", wait)
	}
	if wait := p.take(l, 500); wait != 5*time.Second {
		t.Errorf("the second waits %v", wait)
	}
	p.debit(l, 200) // a hint: it does not wait, what comes after it does
	if wait := p.take(l, 500); wait < 5500*time.Millisecond {
		t.Errorf("the hint was not counted: %v", wait)
	}
	l.pace.bucket.rate = 100 // the other end is on a radio
	if r := p.rate(l); r != 100 {
		t.Errorf("rate %d, not the lower of the two", r)
	}
	p.set(LinkProfile{Out: 50_000})
	if r := p.rate(l); r != 100 {
		t.Errorf("rate %d after the own limit went up", r)
	}
}

// Both ends go by the slower one, and back again, without losing the link.
func TestLowProfileWhileRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	b := w.start(t, seeded(a.addr))
	wait(t, "linked", func() bool { return a.linked(b) && b.linked(a) })
	asks := func(n *node) (low bool, rate uint64) {
		n.mesh.mu.Lock()
		defer n.mesh.mu.Unlock()
		l := n.mesh.links[0]
		return l.pace.asksLow.Load(), n.mesh.pace.rate(l)
	}
	b.mesh.SetLinks(LinkProfile{Low: true, In: 3000})
	wait(t, "a knows", func() bool { l, r := asks(a); return l && r == 3000 })
	a.log.writeN(5)
	wait(t, "records still come", func() bool { return same(a.log, b.log) })
	b.mesh.SetLinks(LinkProfile{})
	wait(t, "a knows again", func() bool { l, r := asks(a); return !l && r == 0 })
	if p := b.mesh.Links(); p != (LinkProfile{}) {
		t.Errorf("%+v", p)
	}
	b.mesh.mu.Lock()
	defer b.mesh.mu.Unlock()
	if b.mesh.born > 2 {
		t.Errorf("%d links were made", b.mesh.born)
	}
}

// A peer that does not know the nonce answers it like any ping.
func TestOlderNodeTakesItForAPing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t, linkedAs(LinkProfile{Low: true}))
	c, err := net.Dial("tcp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(c, as(t, w.keys(), protoExchange))
	defer conn.Close()
	_ = conn.SetDeadline(inTime())
	if _, err := conn.Write(frame(hello{proto: protocol})); err != nil {
		t.Fatal(err)
	}
	for {
		k, b, err := readFrame(conn)
		if err != nil {
			t.Fatal("no such ping came:", err)
		}
		if k != kindPing {
			continue
		}
		msg, err := parse(k, b)
		if p, ok := msg.(ping); err == nil && ok && p.nonce&saysMask == saysLink {
			return
		}
	}
}

// A connection that costs money carries no photos until somebody says so, either way.
func TestPhotosWaitOnALowConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pieces, ids := somePieces(4)
	pa, pb := newMemPieces(pieces[:2]...), newMemPieces(pieces[2:]...)
	pa.want(ids[2:]...)
	pb.want(ids[:2]...)
	a := w.start(t, withPieces(pa))
	b := w.start(t, seeded(a.addr), withPieces(pb), linkedAs(LinkProfile{Low: true}))
	a.log.writeN(3)
	wait(t, "records come", func() bool { return same(a.log, b.log) && a.linked(b) && b.linked(a) })
	b.mesh.mu.Lock()
	b.mesh.schedule()
	idle := b.mesh.piecePulls == 0
	b.mesh.mu.Unlock()
	if pa.has(ids[2:]...) || pb.has(ids[:2]...) || !idle {
		t.Error("photos went over it")
	}
	b.mesh.SetLinks(LinkProfile{Low: true, Photos: true})
	wait(t, "then they come, both ways", func() bool { return pa.has(ids...) && pb.has(ids...) })
}
