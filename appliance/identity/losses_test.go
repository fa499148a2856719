package identity

import (
	"context"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// Each node speaks for itself: what one accepted as lost, or says that another did,
// changes nothing there.
func TestALossIsAcceptedAtItsOwnNode(t *testing.T) {
	ctx := context.Background()
	a, b, c := camp(t)
	gone := oplog.Loss{Log: oplog.LogID{7}, From: 4, To: 9}
	must(t, a.desk.AcceptLosses(ctx, oplog.By{5}, []oplog.Loss{gone, {Log: oplog.LogID{8}, From: 1, To: 1}}))
	must(t, b.log.Do(ctx, oplog.By{6}, func(tx *oplog.Tx) error {
		_, err := tx.Append(lossAccepted, c.vault.NodeID(), LossAccepted{Log: gone.Log, From: 1, To: 100})
		return err
	}))
	oplogtest.Exchange(t, a.log, b.log, c.log)
	oplogtest.Same(t, a.log, b.log, c.log)
	for i, p := range []post{a, b, c} {
		got, err := p.desk.AcceptedLosses()
		must(t, err)
		if want := []int{2, 0, 0}[i]; len(got) != want {
			t.Errorf("node %d: %+v", i, got)
		}
	}
	got, err := a.desk.AcceptedLosses()
	must(t, err)
	if got[0].Loss != gone || got[0].By != (oplog.By{5}) || got[0].At.IsZero() {
		t.Errorf("%+v", got)
	}
	for loss, left := range map[oplog.Loss]int{
		gone: 0, {Log: gone.Log, From: 5, To: 6}: 0, // some of it came back
		{Log: gone.Log, From: 4, To: 10}: 1, {Log: gone.Log, From: 3, To: 9}: 1, {Log: oplog.LogID{9}, From: 4, To: 9}: 1,
	} {
		if n := len(Unaccepted([]oplog.Loss{loss}, got)); n != left {
			t.Errorf("%v: %d left", loss, n)
		}
	}
	if err := a.desk.AcceptLosses(ctx, oplog.By{5}, nil); fault.ClassOf(err) != fault.Conflict {
		t.Error(err)
	}

	many := make([]oplog.Loss, oplog.MaxBatchOps+200) // more than one command holds
	for i := range many {
		many[i] = oplog.Loss{Log: oplog.LogID{11}, From: uint64(3 * i), To: uint64(3*i + 1)}
	}
	must(t, a.desk.AcceptLosses(ctx, oplog.By{5}, many))
	got, err = a.desk.AcceptedLosses()
	must(t, err)
	if n := len(Unaccepted(many, got)); n != 0 {
		t.Errorf("%d of %d left", n, len(many))
	}
}
