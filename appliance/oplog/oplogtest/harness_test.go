package oplogtest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

type noted struct {
	Text string `cbor:"1,keyasint"`
}

var notedKind = oplog.NewKind[noted]("test.noted", 1, oplog.Register)

func notes() *oplog.View {
	return &oplog.View{Name: "Notes", Version: 1, Kinds: []oplog.Kind{notedKind}, Fold: func(_ oplog.ID, ops []oplog.Op) []oplog.Row {
		last := oplog.Body[noted](ops[len(ops)-1])
		return []oplog.Row{{Key: []byte(last.Text), Value: []byte{byte(len(ops))}}}
	}}
}

func TestHarnessWritesAndReads(t *testing.T) {
	v := notes()
	log := oplogtest.Harness(t, nil, []*oplog.View{v})
	who := oplog.NewID()
	ctx := context.Background()
	refused := errors.New("no")
	if err := log.Do(ctx, oplog.By{1}, func(tx *oplog.Tx) error {
		_, err := tx.Append(notedKind, who, noted{"gone"})
		if err != nil {
			return err
		}
		if _, ok, _ := tx.Row(v, who, []byte("gone")); !ok {
			t.Error("a command does not see what it wrote")
		}
		return refused
	}); !errors.Is(err, refused) {
		t.Fatal(err)
	}
	if err := log.Do(ctx, oplog.By{1}, func(tx *oplog.Tx) error {
		_, err := tx.Append(notedKind, who, noted{"here"})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var keys []string
	if err := log.View(func(r oplog.Reader) error {
		return r.Rows(v, nil, nil, func(key []byte, subject oplog.ID, value []byte) error {
			keys = append(keys, string(key))
			return nil
		})
	}); err != nil || len(keys) != 1 || keys[0] != "here" {
		t.Fatalf("%v %v", keys, err)
	}
	r, err := log.Check(ctx)
	if err != nil || !r.Sound || r.Ops != 2 {
		t.Fatalf("%+v %v", r, err)
	}
}
