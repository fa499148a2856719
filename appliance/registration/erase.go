package registration

import (
	"context"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Erasing is what the desk asks of the people who work here and of the cards.
type Erasing struct {
	Ask   func(ctx context.Context, s staff.Session, r staff.ErasureRequest) (approval oplog.ID, err error)
	Cards func(subject oplog.ID) ([][10]byte, error) // holder numbers of a person's or household's cards
}

// SetErasing gives the desk what erasing needs; call it before the desk is used.
// Without it nobody is erased.
func (d *Desk) SetErasing(e Erasing) { d.erasing = e }

// Erase is the first half of erasing a person: it writes down that the person of the
// session wants it, and gives the approval that somebody else confirms (see
// staff.Desk.ConfirmErasure). Nothing changes for the person until then. What
// describes somebody lies under their own id alone, so that one goes; the household
// goes with its last person, because nothing of it would be left but who was in it.
// Faults: those of staff.Desk.AskErasure, NotFound "fault.registration.no_person".
func (d *Desk) Erase(ctx context.Context, s staff.Session, person oplog.ID, reason, text string) (approval oplog.ID, err error) {
	if err := s.Actor.Must(staff.ErasePeople); err != nil {
		return oplog.ID{}, err
	}
	if d.erasing.Ask == nil {
		return oplog.ID{}, fault.New(fault.Internal, "fault.internal")
	}
	r := staff.ErasureRequest{Reason: reason, Text: text}
	if r.Subjects, err = d.leaving(person); err != nil {
		return oplog.ID{}, err
	}
	for _, id := range r.Subjects {
		cards, err := d.erasing.Cards(id)
		if err != nil {
			return oplog.ID{}, err
		}
		r.Cards = append(r.Cards, cards...)
	}
	return d.erasing.Ask(ctx, s, r)
}

// leaving is the person, and their household when nobody else is in it.
func (d *Desk) leaving(person oplog.ID) (subjects []oplog.ID, err error) {
	err = d.log.View(func(r oplog.Reader) error {
		row, ok, err := readPerson(r, person)
		if err != nil {
			return err
		}
		if !ok {
			return errNoPerson()
		}
		subjects = []oplog.ID{person}
		if row.Household.IsZero() {
			return nil
		}
		if _, there, err := readHousehold(r, row.Household); err != nil || !there {
			return err
		}
		members, _, err := readMembers(r, row.Household, nil)
		if err == nil && len(members) == 1 {
			subjects = append(subjects, row.Household)
		}
		return err
	})
	return subjects, err
}
