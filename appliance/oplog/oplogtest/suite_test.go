package oplogtest_test

import (
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

func TestMemStore(t *testing.T) { oplogtest.StoreSuite(t, oplogtest.MemStore) }

func TestNotesDoNotDependOnOrder(t *testing.T) {
	a, b := oplog.NewID(), oplog.NewID()
	var facts []oplogtest.Fact
	for i := range 24 {
		f := oplogtest.Fact{Node: i % 3, Kind: notedKind, Subject: a, Body: noted{string(rune('a' + i))}, Seen: i == 12}
		if i%5 == 0 {
			f.Subject = b
		}
		if i > 13 {
			f.Supersedes = []int{i - 13}
		}
		facts = append(facts, f)
	}
	oplogtest.CheckOrder(t, []*oplog.View{notes()}, facts...)
}
