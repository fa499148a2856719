package sealed_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
)

// BenchmarkList measures a work list over 1,000 sealed subjects: made anew, and when one
// thing is new.
func BenchmarkList(b *testing.B) {
	n := newPost(b)
	must(b, n.Sealed.Begin(ctx, n.as(b, "amal").Actor, sealed.Setup{Workers: []staff.ID{n.ids["mina"]}}))
	rana, mina := n.as(b, "rana").Actor, n.as(b, "mina")
	for i := range 1000 {
		must(b, n.Sealed.TakeIn(ctx, rana, staff.NarrowProtection, oplog.ID{}, nil, fmt.Sprint("note ", i)))
	}
	start := time.Now()
	n.list(b, mina)
	first := time.Since(start)
	for b.Loop() {
		must(b, n.Sealed.TakeIn(ctx, rana, staff.NarrowProtection, oplog.ID{}, nil, "one more"))
		n.list(b, mina)
	}
	b.ReportMetric(float64(first.Milliseconds()), "ms/first")
}
