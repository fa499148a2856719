package mesh

import (
	"context"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// A peer handed over records without their payloads and no erasure is known: whoever
// has them is asked, though the heads are equal.
func TestPayloadsThatAreGoneAreFetched(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t), newDesk()
	auth := oplogtest.NewAuthority(t)
	la := oplogtest.Node(t, auth, nil, []*oplog.View{d.view})
	lb := oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{d.view})
	struck := oplog.NewKind[noted]("test.struck", 1, oplog.Deployment)
	rule := &oplog.View{
		Name: "Struck", Version: 1, Kinds: []oplog.Kind{struck}, Fold: func(oplog.ID, []oplog.Op) []oplog.Row { return nil },
		Erases: func([16]byte, oplog.ID, []oplog.Op) oplog.Standing { return oplog.Standing{Erased: true} },
	}
	liar := oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{d.view, rule})
	d.write(t, la, 40, 4)
	who := oplog.NewID()
	write := func(l *oplog.Log, k oplog.Kind) {
		t.Helper()
		if err := l.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
			_, err := tx.Append(k, who, noted{Family: "Wanted"})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	write(la, d.kind)
	d.write(t, la, 4, 4)
	oplogtest.Exchange(t, la, liar)
	write(liar, struck)
	if err := liar.Erase(context.Background(), []oplog.ID{who}); err != nil {
		t.Fatal(err)
	}
	for after := uint64(0); ; {
		raw, last, err := liar.Range(la.Own(), after, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if raw == nil {
			break
		}
		if _, err := lb.Merge(context.Background(), raw); err != nil {
			t.Fatal(err)
		}
		after = last
	}
	if refs, err := lb.Wanting(); err != nil || len(refs) != 1 {
		t.Fatalf("%v %v: nothing is gone", refs, err)
	}
	ra := newRelay(t)
	a := w.with(t, la, advertising(ra.addr()))
	ra.to(a.mesh.Addr())
	w.with(t, lb, seeded(ra.addr()))
	wait(t, "the payload is back", func() bool {
		refs, err := lb.Wanting()
		return err == nil && len(refs) == 0
	})
	wait(t, "equal views", func() bool {
		r, err := lb.Check(context.Background())
		return err == nil && r.Sound && r.Views == views(t, la)
	})
}
