package mesh

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// noted is a made-up fact of about the size of a registration.
type noted struct {
	Given  string `cbor:"1,keyasint"`
	Family string `cbor:"2,keyasint"`
	Born   string `cbor:"3,keyasint"`
	From   string `cbor:"4,keyasint"`
	Phone  string `cbor:"5,keyasint"`
	Notes  string `cbor:"6,keyasint"`
}

// desk is a real journal with one kind and one view.
type desk struct {
	kind oplog.Kind
	view *oplog.View
}

func newDesk() desk {
	k := oplog.NewKind[noted]("test.noted", 1, oplog.Register)
	return desk{kind: k, view: &oplog.View{Name: "Notes", Version: 1, Kinds: []oplog.Kind{k}, Fold: func(_ oplog.ID, ops []oplog.Op) []oplog.Row {
		return []oplog.Row{{Key: []byte(oplog.Body[noted](ops[len(ops)-1]).Family), Value: []byte{byte(len(ops))}}}
	}}}
}

func (d desk) write(t testing.TB, l *oplog.Log, n, group int) {
	t.Helper()
	for i := 0; i < n; i += group {
		err := l.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
			for j := i; j < min(i+group, n); j++ {
				if _, err := tx.Append(d.kind, oplog.NewID(), noted{
					fmt.Sprintf("Given %d", j*7919%1000), fmt.Sprintf("Family %d", j), "1984-03-12", "A village by the river",
					fmt.Sprintf("+88170%07d", j*104729%10000000), "came with two children, one of them ill",
				}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// with starts a node of w on a real journal.
func (w *world) with(t testing.TB, l *oplog.Log, opts ...nodeOption) *node {
	t.Helper()
	return w.start(t, append(opts, func(c *Config, _ *node) { c.Log = l })...)
}

func views(t testing.TB, l *oplog.Log) string {
	t.Helper()
	r, err := l.Check(context.Background())
	if err != nil || !r.Sound {
		t.Fatalf("%+v %v", r, err)
	}
	return r.Views
}

func opsOf(l *oplog.Log) (n uint64) {
	for _, h := range l.Heads() {
		n += h.Seq
	}
	return n
}

// TestJournalsAfterACut is the story of the whole: 500 writes a side while apart.
func TestJournalsAfterACut(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t), newDesk()
	auth := oplogtest.NewAuthority(t)
	la := oplogtest.Node(t, auth, nil, []*oplog.View{d.view})
	lb := oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{d.view})
	ra, rb := newRelay(t), newRelay(t)
	a := w.with(t, la, advertising(ra.addr()))
	ra.to(a.mesh.Addr())
	b := w.with(t, lb, advertising(rb.addr()), seeded(ra.addr()))
	rb.to(b.mesh.Addr())
	d.write(t, la, 30, 3)
	wait(t, "equal before the cut, and acknowledged", func() bool {
		return opsOf(la) == opsOf(lb) && opsOf(lb) > 30 && a.mesh.OnlyHere() == 0 && a.peer(b).Behind == 0
	})
	ra.cut()
	rb.cut()
	d.write(t, la, 500, 5)
	d.write(t, lb, 500, 5)
	wait(t, "the cut is noticed", func() bool { return a.peer(b).State == Away && b.peer(a).State == Away })
	if views(t, la) == views(t, lb) {
		t.Fatal("apart and yet equal")
	}
	if got := a.mesh.OnlyHere(); got != 500 {
		t.Errorf("%d ops only here", got)
	}
	if p := a.peer(b); p.Behind != 500 || p.Ahead != 0 {
		t.Errorf("b is behind by %d and ahead by %d", p.Behind, p.Ahead)
	}
	ra.heal()
	rb.heal()
	c := clock.System()
	healed := c.Now()
	wait(t, "all ops on both", func() bool { return opsOf(la) == opsOf(lb) && opsOf(la) >= 1030 })
	t.Logf("equal %v after healing", c.Now().Sub(healed).Round(time.Millisecond))
	// Heads are durable a moment before the views show them.
	wait(t, "equal views", func() bool { return views(t, la) == views(t, lb) })
	wait(t, "nothing is only on one side", func() bool { return a.mesh.OnlyHere() == 0 && b.mesh.OnlyHere() == 0 })
}

// TestRestoredFolderGetsItsOwnOpsBack: a node that lost its tail learns it from a
// peer and goes on under a new log; nobody refuses anything.
func TestRestoredFolderGetsItsOwnOpsBack(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t), newDesk()
	auth := oplogtest.NewAuthority(t)
	la := oplogtest.Node(t, auth, nil, []*oplog.View{d.view})
	lb := oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{d.view})
	d.write(t, la, 10, 1)
	a := w.with(t, la)
	b := w.with(t, lb, seeded(a.addr))
	wait(t, "equal", func() bool { return opsOf(la) == opsOf(lb) })
	old := la.Own()
	// The same node, its folder lost but for the keys, begins anew.
	again := oplogtest.Node(t, auth, nil, []*oplog.View{d.view})
	a.close()
	a.again(func(c *Config, _ *node) { c.Log = again }, seeded(b.addr))
	d.write(t, again, 3, 1)
	wait(t, "both hold the old log and the new one", func() bool { return opsOf(again) == opsOf(lb) && opsOf(lb) >= 15 })
	if again.Own() == old {
		t.Error("the old log goes on")
	}
	wait(t, "equal views", func() bool { return views(t, again) == views(t, lb) })
}

// BenchmarkReplicate10k is an empty node taking 10,000 facts from a full one,
// flushed and verified; wire counts every byte of the connection, TLS included.
func BenchmarkReplicate10k(b *testing.B) {
	w, d := newWorld(b), newDesk()
	auth := oplogtest.NewAuthority(b)
	full := oplogtest.Node(b, auth, nil, []*oplog.View{d.view})
	d.write(b, full, 10000, 50)
	src := w.with(b, full)
	want := opsOf(full)
	var wire uint64
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		l := oplogtest.Node(b, auth.Peer(b), nil, []*oplog.View{d.view})
		k := opsOf(l)
		b.StartTimer()
		dst := w.with(b, l, seeded(src.addr))
		wait(b, "all there", func() bool { return opsOf(l) >= want+k })
		b.StopTimer()
		p := dst.peer(src)
		wire += p.BytesIn + p.BytesOut
		dst.close()
		b.StartTimer()
	}
	b.ReportMetric(float64(want)*float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64(wire)/float64(b.N)/float64(want), "wire-B/op")
}

// BenchmarkLiveWrite is one fact written here until it is durable there.
func BenchmarkLiveWrite(b *testing.B) {
	w, d := newWorld(b), newDesk()
	auth := oplogtest.NewAuthority(b)
	la := oplogtest.Node(b, auth, nil, []*oplog.View{d.view})
	lb := oplogtest.Node(b, auth.Peer(b), nil, []*oplog.View{d.view})
	x := w.with(b, la)
	y := w.with(b, lb, seeded(x.addr))
	wait(b, "linked", func() bool { return x.linked(y) && y.linked(x) && opsOf(la) == opsOf(lb) })
	notify, stop := lb.Watch()
	defer stop()
	b.ResetTimer()
	for range b.N {
		d.write(b, la, 1, 1)
		for opsOf(lb) < opsOf(la) {
			<-notify
		}
	}
}
