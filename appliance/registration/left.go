package registration

import (
	"context"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// A letter of a locked box that could not be filed is kept whole, and tried again when
// somebody has seen to the reason. What of it is in the journal already must not be written
// twice, and what is not must not be lost with the letter.

// TryLeft tells why TakeIn would refuse a household now, or nil. narrow tells that something
// in it is not for the register, so nobody here may be shown what it says. Faults as TakeIn.
func (d *Desk) TryLeft(l Left, h NewHousehold) (narrow bool, err error) {
	h, narrow = h.divert()
	if narrow && !d.TakesIn() {
		return narrow, fault.New(fault.Invalid, "fault.registration.no_intake")
	}
	_, _, err = d.checkHousehold(h, staff.Letterbox(), l.moment())
	return narrow, err
}

// TakeInAgain is TakeIn for a letter that was set aside. Where the people were registered
// without what is not for the register, that is passed on now, about them; of somebody who
// was erased since, nothing is. Faults as TakeIn; NotFound "fault.registration.no_person"
// when nobody of the letter is registered any more.
func (d *Desk) TakeInAgain(ctx context.Context, actor staff.Actor, l Left, h NewHousehold) error {
	if err := actor.Must(staff.RegisterPeople); err != nil {
		return err
	}
	done, err := d.written(l.once())
	if err != nil {
		return err
	}
	if !done {
		return d.TakeIn(ctx, actor, l, h)
	}
	if !d.TakesIn() {
		_, err := d.TryLeft(l, h)
		return err
	}
	h, narrow := h.divert()
	if !narrow {
		return nil
	}
	_, asides, err := d.checkHousehold(h, actor, l.moment())
	if err != nil {
		return err
	}
	ids, err := d.registeredFrom(l)
	if err != nil {
		return err
	}
	if len(ids) != len(asides) {
		return fault.New(fault.NotFound, "fault.registration.no_person")
	}
	for i, all := range asides {
		there, err := d.Exists(ids[i])
		if err != nil {
			return err
		}
		if !there { // erased
			continue
		}
		if _, err := d.passOn(ctx, actor, ids[i], all, once{used: true, hash: l.once()}); err != nil {
			return err
		}
	}
	return nil
}

// registeredFrom are the people of a letter in its order; nil when they are not found.
func (d *Desk) registeredFrom(l Left) (ids []oplog.ID, err error) {
	err = d.log.View(func(r oplog.Reader) error {
		var subject oplog.ID
		err := r.Rows(gateView, []byte{'t'}, nil, func(_ []byte, s oplog.ID, value []byte) error {
			var row takenRow
			if err := decodeRow(value, &row); err != nil {
				return err
			}
			if row.Fact.Number == l.Number && time.Unix(row.Fact.At, 0).Equal(l.At) && row.Stamp.By == staff.Letterbox().ID {
				subject = s
				return oplog.ErrStop
			}
			return nil
		})
		if err != nil || subject.IsZero() {
			return err
		}
		h, there, err := readHousehold(r, subject)
		if err != nil {
			return err
		}
		if there {
			ids = h.Members
			return nil
		}
		ids = []oplog.ID{subject}
		return nil
	})
	return ids, err
}
