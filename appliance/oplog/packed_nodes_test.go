package oplog_test

import (
	"context"
	"errors"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// TestNodesOfEveryKindGetPackedBatches: a full node takes them without tags, a carrier
// refuses those and takes them with, and what either hands on is what was written.
func TestNodesOfEveryKindGetPackedBatches(t *testing.T) {
	a := oplogtest.NewAuthority(t)
	from := oplogtest.Node(t, a, nil, []*oplog.View{register()})
	people := oplog.SamplePeople(300, 1)
	for i := range 3 {
		if err := add(from, people[i*100:i*100+100]...); err != nil {
			t.Fatal(err)
		}
	}
	plain, last, err := from.Range(from.Own(), 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	full := oplogtest.Node(t, a.Peer(t), nil, []*oplog.View{register()})
	carrier := oplogtest.Node(t, a.Carrier(t), nil, []*oplog.View{register()})
	if !full.Opens() || carrier.Opens() {
		t.Error("who opens payloads is not told right")
	}
	for _, form := range []oplog.Form{oplog.FormBare, oplog.FormPacked} {
		raw, to, err := from.RangeIn(form, from.Own(), 0, 0, 0)
		if err != nil || to != last {
			t.Fatal(to, err)
		}
		t.Logf("form %d: %d bytes of %d", form, len(raw), len(plain))
		for _, l := range []*oplog.Log{full, carrier} {
			_, err := l.Merge(context.Background(), raw)
			if refused := errors.Is(err, oplog.ErrNeedsTags); refused != (l == carrier && form == oplog.FormBare) || !refused && err != nil {
				t.Fatal(form, err)
			}
		}
	}
	for _, l := range []*oplog.Log{full, carrier} {
		got, _, err := l.Range(from.Own(), 0, 0, 0)
		if err != nil || string(got) != string(plain) {
			t.Error("it hands on something else", err)
		}
	}
}
