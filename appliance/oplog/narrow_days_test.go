package oplog_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"slices"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// envelopes is a view over sealed ops: a row for each.
func envelopes() *oplog.View {
	return &oplog.View{Name: "Envelopes", Version: 1, Kinds: []oplog.Kind{oplog.Sealed}, Fold: func(_ oplog.ID, ops []oplog.Op) []oplog.Row {
		var rows []oplog.Row
		for _, op := range ops {
			rows = append(rows, oplog.Row{Key: []byte(op.Ref.String()), Value: (*oplog.Body[[]byte](op))[:8]})
		}
		return rows
	}}
}

func envelope(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b)
	return b
}

func sealInto(t *testing.T, l *oplog.Log, who oplog.ID, payload []byte) oplog.Ref {
	t.Helper()
	var ref oplog.Ref
	must(t, l.Do(context.Background(), oplog.By{7}, func(tx *oplog.Tx) (err error) {
		tx.SetOnce([16]byte{1}, [8]byte{}) // not taken along
		ref, err = tx.AppendSealed(who, payload)
		return err
	}))
	return ref
}

// insides are the ciphertexts about a subject, each once, sorted.
func insides(t *testing.T, l *oplog.Log, who oplog.ID) (out [][]byte) {
	t.Helper()
	must(t, l.View(func(r oplog.Reader) error {
		ops, err := r.Ops(who)
		for _, op := range ops {
			if op.By != (oplog.By{}) || op.At.Unix() != 0 || !op.Unsure || len(op.Supersedes) > 0 {
				t.Errorf("it says who or when: %+v", op)
			}
			out = append(out, *oplog.Body[[]byte](op))
		}
		return err
	}))
	slices.SortFunc(out, bytes.Compare)
	return slices.CompactFunc(out, bytes.Equal)
}

func TestNarrowOpsGoEverywhereAndStayAsTheyAre(t *testing.T) {
	views := []*oplog.View{envelopes(), standing()}
	auth := oplogtest.NewAuthority(t)
	one, two := oplogtest.Node(t, auth, nil, views), oplogtest.Node(t, auth.Peer(t), nil, views)
	carrier, old := oplogtest.Node(t, auth.Carrier(t), nil, nil), oplogtest.Node(t, auth.Peer(t), nil, nil)
	who := oplog.NewID()
	var want [][]byte
	for _, n := range oplog.SealedSizes() {
		want = append(want, envelope(n))
		sealInto(t, one, who, want[len(want)-1])
	}
	slices.SortFunc(want, bytes.Compare)
	err := one.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.AppendSealed(who, make([]byte, 1000))
		return err
	})
	if fault.ClassOf(err) != fault.Internal {
		t.Errorf("another size: %v", err)
	}
	err = one.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(oplog.Sealed, who, []byte("in the clear"))
		return err
	})
	if fault.ClassOf(err) != fault.Internal {
		t.Errorf("the kind by itself: %v", err)
	}
	// From a node without the register's key and one that has no views of it, to the second.
	oplogtest.Exchange(t, one, carrier)
	oplogtest.Exchange(t, carrier, old)
	oplogtest.Exchange(t, old, two)
	for i, l := range []*oplog.Log{one, two} {
		if got := insides(t, l, who); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("node %d has %d ops", i, len(got))
		}
		must(t, l.Rebuild(context.Background()))
		if got := insides(t, l, who); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("node %d after a rebuild: %d ops", i, len(got))
		}
	}
	oplogtest.Exchange(t, one, two)
	oplogtest.Same(t, one, two)
}

func TestNarrowOpsDoNotDependOnOrder(t *testing.T) {
	a, b := oplog.NewID(), oplog.NewID()
	fact := func(node int, who oplog.ID) oplogtest.Fact {
		return oplogtest.Fact{Node: node, Kind: oplog.Sealed, Subject: who, Body: envelope(1024)}
	}
	oplogtest.CheckOrder(t, []*oplog.View{envelopes()}, fact(0, a), fact(1, a), fact(2, b), fact(0, b), fact(1, a))
}

// A folder was copied and both wrote: whoever opens them has both histories' entries.
func TestNarrowOpsOfBothHistoriesAreEverywhere(t *testing.T) {
	v := []*oplog.View{envelopes(), standing()}
	auth := oplogtest.NewAuthority(t)
	o := oplogtest.Options(t, auth, nil, v)
	l, err := oplog.Open(context.Background(), o)
	must(t, err)
	who := oplog.NewID()
	want := [][]byte{envelope(1024), envelope(4096), envelope(1024)}
	sealInto(t, l, who, want[0])
	must(t, l.Close())
	c := o
	c.Dir = cloneDir(t, o.Dir)
	one, two := reopen(t, o, oplogtest.MemStore()), reopen(t, c, oplogtest.MemStore())
	log := one.Own()
	sealInto(t, one, who, want[1])
	sealInto(t, two, who, want[2])
	slices.SortFunc(want, bytes.Compare)
	withOne := oplogtest.Node(t, auth.Peer(t), nil, v)
	oplogtest.Exchange(t, one, withOne)
	rejoin(t, one, two, log)
	rejoin(t, two, one, log)
	trade(t, log, one, two, withOne)
	for i, l := range []*oplog.Log{one, two, withOne} {
		if got := insides(t, l, who); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("node %d has %d of 3", i, len(got))
		}
	}
	if n := rejoin(t, one, two, log) + rejoin(t, two, one, log); n > 0 {
		t.Errorf("%d written again once more", n)
	}
}

// What lay behind a hole, and what only the views had, reaches whoever joins later.
func TestNarrowOpsOfADamagedLogAreWrittenAgain(t *testing.T) {
	v := []*oplog.View{envelopes(), standing()}
	auth := oplogtest.NewAuthority(t)
	o := oplogtest.Options(t, auth, nil, v)
	store := &lossy{Store: oplogtest.MemStore()}
	who := oplog.NewID()
	var want [][]byte
	for range 4 {
		l := opened(t, o, store)
		want = append(want, envelope(1024))
		sealInto(t, l, who, want[len(want)-1])
		must(t, l.Close())
	}
	slices.SortFunc(want, bytes.Compare)
	must(t, os.Remove(oplog.SegmentPath(o.Dir, 2)))
	l := opened(t, o, store)
	if s := l.Stats(); s.Lost == 0 {
		t.Fatalf("nothing is damaged: %+v", s)
	}
	_, err := l.Rescue(context.Background())
	must(t, err)
	late := oplogtest.Node(t, auth.Peer(t), nil, v)
	oplogtest.Exchange(t, l, late)
	if got := insides(t, late, who); !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%d of %d", len(got), len(want))
	}
	if n, err := l.Rescue(context.Background()); n > 0 || err != nil {
		t.Errorf("written again once more: %d %v", n, err)
	}
}
