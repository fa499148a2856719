package ui

import (
	"time"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
)

// ownFresh is how long somebody sees whom they registered themselves without a look
// being recorded or counted: that they did it says as much.
const ownFresh = time.Hour

// others are the people of a list whom this visitor has not registered just now.
func (v *visit) others(records []registration.Record) []oplog.ID {
	now := v.s.config.Clock.Now()
	ids := make([]oplog.ID, 0, len(records))
	for _, r := range records {
		if since := now.Sub(r.RegisteredAt); r.RegisteredID != v.actor.ID || since >= ownFresh || since < -ownFresh {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// look records that people are about to be shown in full. Every handler that does so
// asks first; it refuses only whom the limits of reading stop.
func (v *visit) look(what staff.Looked, records ...registration.Record) error {
	return v.looking(staff.Look{What: what, People: v.others(records)})
}

// lookThrough records that names are about to be shown in a list; full says that the
// list is of whole records.
func (v *visit) lookThrough(records []registration.Record, full bool) error {
	l := staff.Look{What: staff.LookedThrough, Named: v.others(records)}
	if full {
		l.What, l.People = staff.LookedAt, l.Named
	}
	return v.looking(l)
}

// lookAtCard records that the name of whoever holds out a card is about to be shown.
func (v *visit) lookAtCard(r registration.Record) error {
	return v.looking(staff.Look{What: staff.LookedThrough, Named: v.others([]registration.Record{r}), Cards: true})
}

func (v *visit) looking(l staff.Look) error {
	if len(l.People)+len(l.Named) == 0 {
		return nil
	}
	l.API = v.isCall()
	unwritten, err := v.desks().Staff.Looking(v.s.ctx, v.actor, l)
	if unwritten != nil {
		v.s.config.Logger.Warn("a look is not in the journal yet", "by", v.actor.ID.String(), "err", unwritten)
	}
	return err
}
