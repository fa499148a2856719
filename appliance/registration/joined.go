package registration

import (
	"context"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Joined is the fact that a person belongs to another household than before, or to
// none. Its subject is the person. Like a correction it names the ops whose answer
// its writer saw, so two moves apart from each other show as a conflict.
type Joined struct {
	Household oplog.ID `cbor:"1,keyasint,omitzero"`
	Relation  string   `cbor:"2,keyasint,omitempty"`
}

func joinedKind() oplog.Kind {
	return oplog.NewKind[Joined]("registration.joined", 1, oplog.Register)
}

// Move puts a person into another household, with the relation to its head; the zero
// household takes them out. Nothing is written when it changes nothing. Faults: as
// Correct, and NotFound "fault.registration.no_household".
func (d *Desk) Move(ctx context.Context, actor staff.Actor, person, household oplog.ID, relation string, req Request) (Record, error) {
	if err := actor.Must(staff.CorrectPeople); err != nil {
		return Record{}, err
	}
	var said Person
	divert(&said, &relation, false)
	if len(said.Aside) > 0 {
		req.Body = nil // see register
	}
	key, err := req.once(actor, "move "+person.String(), []string{household.String(), relation})
	if err != nil {
		return Record{}, err
	}
	c := checker{}
	if err := d.mayPass(&c, actor, said.Aside); err != nil {
		return Record{}, err
	}
	fact := Joined{Household: household, Relation: c.relation("relation", relation)}
	asides := c.asides(said.Aside)
	if err := c.err(); err != nil {
		return Record{}, err
	}
	if len(asides) > 0 {
		if _, err := d.read(person); err != nil {
			return Record{}, err
		}
		if _, err := d.passOn(ctx, actor, person, asides, key); err != nil {
			return Record{}, err
		}
	}
	err = d.write(ctx, actor, func(tx *oplog.Tx) error {
		if _, done, err := key.done(tx); err != nil || done {
			return err
		}
		if err := householdIsThere(tx, household); err != nil {
			return err
		}
		ops, err := tx.Ops(person)
		if err != nil {
			return err
		}
		now := foldPerson(ops)
		if !now.there {
			return errNoPerson()
		}
		if now.membership == fact && !now.inConflict(regHousehold) {
			return nil
		}
		key.mark(tx)
		_, err = tx.Append(joinedKind(), person, &fact, now.refs(regHousehold)...)
		return err
	})
	if err != nil {
		return Record{}, err
	}
	return d.read(person)
}
