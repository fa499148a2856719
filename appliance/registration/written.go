package registration

import (
	"context"
	"slices"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// WrittenIn counts the people who were registered in these logs, and lists who did that:
// for the day when the box that wrote them is lost. It reads the whole register. The actor
// needs staff.SuspendNodes; it names nobody who was registered.
func (d *Desk) WrittenIn(ctx context.Context, actor staff.Actor, logs []oplog.LogID) (people int, by []oplog.By, err error) {
	if err := actor.Must(staff.SuspendNodes); err != nil {
		return 0, nil, err
	}
	for after := []byte(nil); ; {
		after, err = d.fillSlice(rowPerson, after, func(_ oplog.ID, value []byte) {
			var row personRow
			if decodeRow(value, &row) != nil || !slices.Contains(logs, row.First.Log) {
				return
			}
			people++
			if !row.First.By.IsZero() && !slices.Contains(by, row.First.By) {
				by = append(by, row.First.By)
			}
		})
		if err != nil || after == nil || ctx.Err() != nil {
			return people, by, err
		}
	}
}
