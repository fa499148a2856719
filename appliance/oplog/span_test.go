package oplog_test

import (
	"context"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

func TestSpan(t *testing.T) {
	kind := oplog.NewKind[struct{}]("spantest.noted", 1, oplog.Register)
	log := oplogtest.Harness(t, []oplog.Kind{kind}, nil)
	for range 3 {
		if err := log.Do(context.Background(), oplog.By{1}, func(tx *oplog.Tx) error {
			_, err := tx.Append(kind, oplog.NewID(), struct{}{})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	raw, _, err := log.Range(log.Own(), 1, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	id, first, last, err := oplog.Span(raw)
	if err != nil || id != log.Own() || first != 2 || last != 4 {
		t.Fatalf("%s %d-%d %v", id, first, last, err)
	}
	for n := range raw {
		if _, _, _, err := oplog.Span(raw[:n]); fault.ClassOf(err) != fault.Invalid {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}
