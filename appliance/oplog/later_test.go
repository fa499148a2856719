package oplog_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/badgerstore"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// lateView is the one view of these tests.
var lateView = register()

// lateNode opens a node that may fold later, on a disk.
func lateNode(t testing.TB, a *oplogtest.Authority, dir string) *oplog.Log {
	t.Helper()
	store, err := badgerstore.Open(filepath.Join(dir, "views"), [32]byte{2}, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := oplogtest.Options(t, a, nil, []*oplog.View{lateView})
	o.Dir, o.Store, o.Clock, o.FreeSpace, o.Later = filepath.Join(dir, "journal"), store, clock.System(), nil, true
	l, err := oplog.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// manyBatches is a journal of n people as batches of a thousand, and what it shows.
func manyBatches(t testing.TB, a *oplogtest.Authority, n int) (batches [][]byte, views string) {
	t.Helper()
	from := oplogtest.Node(t, a, nil, []*oplog.View{lateView})
	people := oplog.SamplePeople(1000, 1)
	for i := range n / 250 {
		if err := add(from, people[i%4*250:i%4*250+250]...); err != nil {
			t.Fatal(err)
		}
	}
	for after := uint64(0); ; {
		raw, last, err := from.Range(from.Own(), after, 1000, 0)
		if err != nil {
			t.Fatal(err)
		}
		if raw == nil {
			break
		}
		batches, after = append(batches, raw), last
	}
	return batches, shown(t, from)
}

// shown is every row of the register, in order.
func shown(t testing.TB, l *oplog.Log) string {
	t.Helper()
	var rows strings.Builder
	if err := l.View(func(r oplog.Reader) error {
		return r.Rows(lateView, nil, nil, func(k []byte, s oplog.ID, v []byte) error {
			fmt.Fprintf(&rows, "%x %s %s\n", k, s, v)
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return rows.String()
}

// mergeAll merges batches and says how many ops they brought.
func mergeAll(t testing.TB, l *oplog.Log, batches [][]byte) (n int) {
	t.Helper()
	for _, raw := range batches {
		r, err := l.Merge(context.Background(), raw)
		if err != nil {
			t.Fatal(err)
		}
		n += r.Ops
	}
	return n
}

func closeLog(t testing.TB, l *oplog.Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// waitFolded waits until nothing is late any more.
func waitFolded(t testing.TB, l *oplog.Log) {
	t.Helper()
	changed, stop := l.Watch()
	defer stop()
	for l.Late() {
		select {
		case <-changed:
		case <-time.After(time.Minute):
			t.Fatal("what arrived is not folded")
		}
	}
}

// TestWhatArrivesIsFoldedLater: durable when Merge returns, in the views by itself soon
// after, the same as on the node it came from, and hooks hear of everybody.
func TestWhatArrivesIsFoldedLater(t *testing.T) {
	a := oplogtest.NewAuthority(t)
	batches, want := manyBatches(t, a, 4000)
	l := lateNode(t, a.Peer(t), t.TempDir())
	defer closeLog(t, l)
	heard := map[oplog.ID]bool{}
	l.OnCommit(func(subjects []oplog.ID) error {
		for _, id := range subjects {
			heard[id] = true
		}
		return nil
	})
	mergeAll(t, l, batches[:2])
	late := l.Late()
	mergeAll(t, l, batches[2:])
	if !late && !l.Late() {
		t.Error("nothing was put off: this tests nothing")
	}
	waitFolded(t, l)
	if shown(t, l) != want {
		t.Error("the views differ from those of the node it came from")
	}
	r, err := l.Check(context.Background())
	if err != nil || !r.Sound {
		t.Errorf("%+v %v", r, err)
	}
	if err := l.Do(context.Background(), oplog.By{}, func(*oplog.Tx) error { return nil }); err != nil { // hooks are over
		t.Fatal(err)
	}
	if len(heard) < 4000 {
		t.Errorf("hooks heard of %d", len(heard))
	}
}

// TestACommandSeesWhatArrived: whoever writes sees everybody who is durable here, unless
// that would take long.
func TestACommandSeesWhatArrived(t *testing.T) {
	a := oplogtest.NewAuthority(t)
	batches, want := manyBatches(t, a, 3000)
	l := lateNode(t, a.Peer(t), t.TempDir())
	defer closeLog(t, l)
	ops := mergeAll(t, l, batches[:3])
	n := 0
	err := l.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
		return tx.Rows(lateView, []byte("p"), nil, func([]byte, oplog.ID, []byte) error { n++; return nil })
	})
	if err != nil || n != ops-1 { // the birth of the log is nobody
		t.Fatalf("a command sees %d people of %d: %v", n, ops-1, err)
	}
	mergeAll(t, l, batches[3:])
	if err := command(l); err != nil || l.Late() || shown(t, l) != want {
		t.Error("late though somebody came", err)
	}
}

// TestWhatIsLateOutlivesAnEnd: a node that ends in between shows everything after its
// next start, whether most of it is new or little.
func TestWhatIsLateOutlivesAnEnd(t *testing.T) {
	a := oplogtest.NewAuthority(t)
	batches, want := manyBatches(t, a, 4000)
	peer, dir := a.Peer(t), t.TempDir()
	for at := 0; at < len(batches); {
		l := lateNode(t, peer, dir)
		n := min(at+2, len(batches))
		mergeAll(t, l, batches[at:n])
		at = n
		closeLog(t, l)
	}
	l := lateNode(t, peer, dir)
	defer closeLog(t, l)
	if shown(t, l) != want {
		t.Error("the views differ")
	}
	if r, err := l.Check(context.Background()); err != nil || !r.Sound {
		t.Errorf("%+v %v", r, err)
	}
}
