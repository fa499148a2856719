package mesh

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

func TestNewerHintReplacesOlder(t *testing.T) {
	o := newOutbox(func() {})
	for i := range 10000 {
		o.tell(mark{log: oplog.LogID{1}, seq: uint64(i)})
	}
	o.sendBulk([]byte("bulk"), nil)
	if !o.send(ping{1}) {
		t.Fatal("no room")
	}
	var got []kind
	for {
		b, _ := o.next()
		if b == nil {
			break
		}
		got = append(got, kind(b[0]))
		if got[len(got)-1] == kindHint {
			k, p, _ := readFrame(bytes.NewReader(b))
			m, err := parse(k, p)
			if err != nil || len(m.(hint).marks) != 1 || m.(hint).marks[0].seq != 9999 {
				t.Errorf("%+v %v", m, err)
			}
		}
	}
	if len(got) != 3 || got[0] != kindPing || got[1] != kindHint || got[2] != 'b' {
		t.Errorf("order %v", got)
	}
}

func TestOutboxIsBounded(t *testing.T) {
	o := newOutbox(func() {})
	n := 0
	for o.send(cards{[][]byte{make([]byte, 1000)}}) {
		if n++; n > maxQueued/1000 {
			t.Fatal("no limit")
		}
	}
}

func TestGossipQueueKeepsTheNewestHead(t *testing.T) {
	q := hintQueue{heads: map[oplog.LogID]*queuedHint{}}
	for i := range 1000 {
		q.put(oplog.LogID{1}, appendHint([]byte{hintVersion}, mark{log: oplog.LogID{1}, seq: uint64(i)}), 5)
	}
	q.put(oplog.LogID{2}, appendHint([]byte{hintVersion}, mark{log: oplog.LogID{2}, seq: 3}), 5)
	if got := q.take(2, 30); len(got) != 1 {
		t.Errorf("%d hints in room for one", len(got))
	}
	sent := map[uint64]int{}
	for range 50 {
		for _, b := range q.take(2, 1000) {
			marks, ok := parseHints(b)
			if !ok {
				t.Fatal("malformed")
			}
			sent[marks[0].seq]++
		}
	}
	if len(sent) != 2 || sent[999]+sent[3] != 2*hintRepeats*3-1 {
		t.Errorf("sent %v", sent)
	}
}

func TestQuietLogger(t *testing.T) {
	var out strings.Builder
	c := clock.NewFake(time.Unix(1000, 0))
	q := newQuiet(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), c)
	for i := range 500 {
		fmt.Fprintf(q, "[ERR] memberlist: Failed to send UDP ping: write udp 10.0.0.%d: unreachable\n", i%250)
		fmt.Fprintf(q, "[DEBUG] memberlist: chatter %d\n", i)
		q.warn("mesh cannot accept")
	}
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
	c.Advance(quietFor)
	q.warn("mesh cannot accept")
	if n := strings.Count(out.String(), "\n"); n != 3 {
		t.Errorf("%d lines after a minute", n)
	}
}

func TestBackoff(t *testing.T) {
	now, rnd := time.Unix(1000, 0), rand.New(rand.NewPCG(1, 2))
	var d dial
	for i := range 20 {
		d.later(now, usual.mostWait, rnd)
		left := d.next.Sub(now)
		if left < firstWait/2 || left > usual.mostWait*3/2 {
			t.Fatalf("try %d after %v", i, left)
		}
	}
	if d.wait != usual.mostWait {
		t.Errorf("settled at %v", d.wait)
	}
	d.connected(now)
	d.lost(now.Add(time.Second), usual.mostWait, rnd) // a link that breaks at once must not be redialled hot
	if d.wait != usual.mostWait {
		t.Errorf("a short link reset the wait to %v", d.wait)
	}
	d.connected(now)
	d.lost(now.Add(time.Hour), usual.mostWait, rnd)
	if d.wait != firstWait {
		t.Errorf("a long link left the wait at %v", d.wait)
	}
}

func TestWhatIsAdvertised(t *testing.T) {
	any4 := &net.TCPAddr{IP: net.IPv4zero, Port: 7946}
	if got := advertised("box.example", any4); len(got) != 1 || got[0] != "box.example:7946" {
		t.Error(got)
	}
	if got := advertised("10.1.1.1:99", any4); got[0] != "10.1.1.1:99" {
		t.Error(got)
	}
	if got := advertised("", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5}); len(got) != 1 || got[0] != "127.0.0.1:5" {
		t.Error(got)
	}
	for _, a := range advertised("", any4) {
		if !validAddress(a) {
			t.Error(a)
		}
	}
}

func TestSmallestGapsFirst(t *testing.T) {
	m := &Mesh{mine: map[oplog.LogID]oplog.Head{{1}: {Seq: 5}}, claims: map[oplog.LogID]*link{{9}: nil}}
	l := &link{told: map[oplog.LogID]mark{}, shun: map[oplog.LogID]*shunned{}}
	for i := range byte(40) {
		l.told[oplog.LogID{i}] = mark{seq: uint64(100 - i)}
	}
	l.told[oplog.LogID{1}] = mark{seq: 6} // one missing
	now := time.Unix(1000, 0)
	l.shun[oplog.LogID{39}] = &shunned{until: now.Add(time.Second)}
	m.claims[oplog.LogID{38}] = l
	asks, _ := m.missing(l, now)
	if len(asks) != maxAsks || asks[0] != (ask{oplog.LogID{1}, 5}) || asks[1].log != (oplog.LogID{37}) {
		t.Errorf("%v", asks)
	}
}

// What a peer said of a log is not taken back by an older mark that arrives later:
// on the same link, where an acknowledgement overtakes a hint, or on the second of
// two links. It stayed "behind" until somebody wrote again.
func TestMarksMayOvertakeEachOther(t *testing.T) {
	log := oplog.LogID{7}
	m := &Mesh{clock: clock.System(), mine: map[oplog.LogID]oplog.Head{}, rumours: map[oplog.LogID]uint64{}, closing: true}
	p := &peer{held: map[oplog.LogID]held{log: {seq: 50}}} // remembered from before it lost its disk
	attach := func(incarnation byte) *link {
		l := &link{m: m, peer: p, told: map[oplog.LogID]mark{}, whole: true}
		l.hello.incarnation[0] = incarnation
		p.links = append(p.links, l)
		return l
	}
	first, second := attach(1), attach(1)
	say := func(l *link, seq uint64, want uint64) {
		t.Helper()
		if err := m.holds(l, []mark{{log: log, seq: seq}}, false); err != nil {
			t.Fatal(err)
		}
		if got := p.held[log].seq; got != want {
			t.Errorf("after %d the peer is taken to hold %d, not %d", seq, got, want)
		}
	}
	say(first, 3, 3)
	say(first, 9, 9)
	say(first, 5, 9)
	say(second, 7, 9)
	say(second, 12, 12)
	say(first, 11, 12)
	late := attach(1) // what a link begins with was written down before the others said more
	late.whole = false
	if err := m.holds(late, []mark{{log: oplog.LogID{8}, seq: 1}}, true); err != nil {
		t.Fatal(err)
	}
	if got := p.held[log].seq; got != 12 {
		t.Errorf("after a vector that was overtaken the peer is taken to hold %d, not 12", got)
	}
	say(attach(2), 2, 2) // restarted, and with less than before
}

// Two running boxes with one node's keys each hold what they say: the word of one takes
// nothing away from the other, and what is left when one goes is what the other said.
// "Only here" stayed above zero for good when the second vector came late.
func TestTwinsSpeakForThemselves(t *testing.T) {
	shared, one, two := oplog.LogID{7}, oplog.LogID{1}, oplog.LogID{2}
	m := &Mesh{clock: clock.System(), log: slog.New(slog.DiscardHandler), mine: map[oplog.LogID]oplog.Head{}, rumours: map[oplog.LogID]uint64{}, closing: true}
	p := &peer{doubled: true, held: map[oplog.LogID]held{}}
	attach := func(incarnation byte, marks ...mark) *link {
		l := &link{m: m, peer: p, told: map[oplog.LogID]mark{}}
		l.hello.incarnation[0] = incarnation
		p.links = append(p.links, l)
		if err := m.holds(l, marks, true); err != nil {
			t.Fatal(err)
		}
		return l
	}
	holds := func(log oplog.LogID, want uint64) {
		t.Helper()
		if got := p.held[log].seq; got != want {
			t.Errorf("the node is taken to hold %d of %v, not %d", got, log, want)
		}
	}
	first := attach(1, mark{log: shared, seq: 9}, mark{log: one, seq: 3})
	second := attach(2, mark{log: shared, seq: 5}, mark{log: two, seq: 4})
	holds(shared, 9)
	holds(one, 3)
	holds(two, 4)
	p.links = []*link{second}
	p.recount(first)
	holds(shared, 5)
	holds(one, 0)
	holds(two, 4)
	third := attach(3) // its vector is empty: it lost its disk, and the second box's connection is a dead one
	holds(two, 4)
	p.links = []*link{third}
	p.recount(second)
	holds(two, 0)
	attach(3, mark{log: shared, seq: 20})
	attach(4, mark{log: shared, seq: 6})
	holds(shared, 20)
	m.mine[shared] = oplog.Head{Seq: 6}
	m.peers = map[identity.NodeID]*peer{{}: p}
	m.noteFork(oplog.Fork{Log: shared, Seq: 7})
	holds(shared, 6) // our own history is worth more than what may be another one
}
