package mesh

import (
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
)

// Both ends of a link learn how long a PING takes, also the one that hears so much that
// it would never send one for its own sake.
func TestLinksAreShownWithTheirRoundTrip(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	b := w.start(t, seeded(a.addr))
	wait(t, "they are linked", func() bool { return a.linked(b) && b.linked(a) })
	for _, pair := range [][2]*node{{a, b}, {b, a}} {
		wait(t, "the round trip is known", func() bool {
			p := pair[0].peer(pair[1])
			return p.RTT > 0 && len(p.Links) == 1
		})
		p := pair[0].peer(pair[1])
		l := p.Links[0]
		if p.RTT > 5*time.Second || l.Since.IsZero() || l.BytesIn == 0 || l.BytesOut == 0 || l.Addr == "" {
			t.Errorf("round trip %v, link %+v", p.RTT, l)
		}
	}
	if a.peer(b).Links[0].Dialled == b.peer(a).Links[0].Dialled {
		t.Error("both ends say the same about who dialled")
	}
	if m := a.mesh.Members(); m < 1 {
		t.Errorf("%d members", m)
	}
}

func TestPongThatNobodyAskedForMeasuresNothing(t *testing.T) {
	t.Parallel()
	var s linkSight
	second, every := int64(time.Second), int64(time.Minute)
	if !s.pingDue(second, every) {
		t.Error("nothing is due before anything was measured")
	}
	s.ponged(7, second)
	s.ponged(0, second)
	s.ponged(isClosed, second)
	if s.trip.Load() != 0 {
		t.Fatal("an unasked answer was believed")
	}
	nonce := s.pinged(second)
	s.ponged(nonce+1, 2*second)
	if s.trip.Load() != 0 {
		t.Fatal("another nonce was believed")
	}
	s.ponged(nonce, second+int64(30*time.Millisecond))
	if got := time.Duration(s.trip.Load()); got != 30*time.Millisecond {
		t.Fatalf("round trip %v", got)
	}
	s.ponged(nonce, 9*second)
	if got := time.Duration(s.trip.Load()); got != 30*time.Millisecond {
		t.Fatalf("a second answer made it %v", got)
	}
	if s.pingDue(2*second, every) || !s.pingDue(second+int64(30*time.Millisecond)+every, every) {
		t.Error("it is measured again at the wrong time")
	}
}

func TestForkedNamesEachLogOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.start(t)
	met, kept := oplog.Fork{Log: oplog.LogID{1}, Seq: 4}, oplog.Fork{Log: oplog.LogID{2}, Seq: 9}
	n.mesh.mu.Lock()
	n.mesh.noteFork(met)
	n.mesh.mu.Unlock()
	got := n.mesh.Forked([]oplog.Fork{kept, {Log: met.Log, Seq: 5}, kept})
	if len(got) != 2 || got[0].Fork != met || got[0].Found.IsZero() || got[1].Fork != kept || !got[1].Found.IsZero() || got[0].Own {
		t.Errorf("%+v", got)
	}
}
