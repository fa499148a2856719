package mesh

import (
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// TestSpellingsAreAgreedOn: who has keys asks for batches without tags, who has none for
// packed ones, who was sent some that it could not read for those with tags; and a node
// that says nothing of it is answered plainly.
func TestSpellingsAreAgreedOn(t *testing.T) {
	d := newDesk()
	auth := oplogtest.NewAuthority(t)
	full := oplogtest.Node(t, auth, nil, []*oplog.View{d.view})
	carrier := oplogtest.Node(t, auth.Carrier(t), nil, []*oplog.View{d.view})
	d.write(t, full, 300, 100)
	for _, c := range []struct {
		records Records
		tags    bool
		asks    uint16
	}{
		{full, false, wantPacked | wantBare},
		{full, true, wantPacked},
		{carrier, false, wantPacked},
		{&memLog{}, false, 0},
	} {
		m := &Mesh{records: c.records}
		if got := m.forms(&link{tags: c.tags}); got != c.asks {
			t.Errorf("%T %v asks %x instead of %x", c.records, c.tags, got, c.asks)
		}
	}
	m := &Mesh{records: full}
	var sizes []int
	for _, bits := range []uint16{0, wantBare, wantPacked, wantPacked | wantBare} {
		raw, last, err := m.rangeFor(want{maxOps: batchOps | bits}, ask{log: full.Own()}, batchOps, batchBytes)
		if err != nil || last != 301 {
			t.Fatal(last, err)
		}
		sizes = append(sizes, len(raw))
	}
	if sizes[0] != sizes[1] || sizes[2] >= sizes[0] || sizes[3] >= sizes[2] {
		t.Errorf("plain, odd, packed, without tags: %d bytes", sizes)
	}
	if batchOps > wantOps {
		t.Error("the bits are part of the number")
	}
}

// TestACarrierIsFilledInItsSpelling: a node without keys gets everything over a real link.
// It said that it has them, so what comes first it cannot read; it asks again at once: time
// stands still for it, and nobody who is left alone for a while would be asked any more.
func TestACarrierIsFilledInItsSpelling(t *testing.T) {
	w := newWorld(t)
	d := newDesk()
	auth := oplogtest.NewAuthority(t)
	full := oplogtest.Node(t, auth, nil, []*oplog.View{d.view})
	carrier := oplogtest.Node(t, auth.Carrier(t), nil, []*oplog.View{d.view})
	d.write(t, full, 600, 200)
	a := w.with(t, full)
	w.start(t, seeded(a.mesh.Addr()), func(c *Config, _ *node) { c.Log, c.Clock = boastful{carrier}, standing{c.Clock, c.Clock.Now()} })
	wait(t, "the carrier holds everything", func() bool {
		for _, h := range carrier.Heads() {
			if h.Log == full.Own() && h.Seq == 601 {
				return true
			}
		}
		return false
	})
}

// boastful says that it opens what it does not.
type boastful struct{ *oplog.Log }

func (boastful) Opens() bool { return true }

// standing is a clock of which only waits pass.
type standing struct {
	clock.Clock
	at time.Time
}

func (s standing) Now() time.Time { return s.at }

// TestWhoKeepsSendingWithoutTagsIsLeftAlone: asked again at once is a peer once, not for ever.
func TestWhoKeepsSendingWithoutTagsIsLeftAlone(t *testing.T) {
	m, l := &Mesh{}, &link{}
	for i, again := range []bool{true, false, false} {
		m.untagged(l, oplog.ErrNeedsTags)
		if l.again != again || !l.tags {
			t.Errorf("%d: again %v, tags %v", i, l.again, l.tags)
		}
		l.again = false // as settle does
	}
}
