package staff

import (
	"context"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// undertaken says that somebody signed the confidentiality undertaking. Proof is the
// node's own word for all of it: what another node says about it counts for nothing.
type undertaken struct {
	Version uint     `cbor:"1,keyasint"` // of the text
	At      int64    `cbor:"2,keyasint"` // Unix seconds: when it was accepted, or the date on the paper
	Paper   bool     `cbor:"3,keyasint,omitempty"`
	Proof   [16]byte `cbor:"4,keyasint"`
}

var undertakenKind = oplog.NewKind[undertaken]("staff.undertaken", 1, oplog.Register)

// undertakenRow is one such claim.
type undertakenRow struct {
	_       struct{} `cbor:",toarray"`
	Version uint
	At      int64
	Paper   bool
}

// UndertakingVersion is the text that people sign now. Whoever signed an earlier one is
// asked again.
const UndertakingVersion = 1

// Undertaking is what somebody has signed. The zero one is nothing.
type Undertaking struct {
	Version uint
	At      time.Time
	Paper   bool // on paper, as a lead says
}

// Undertaken reports whether it is the text that counts now.
func (u Undertaking) Undertaken() bool { return u.Version == UndertakingVersion }

func (d *Desk) undertakenProof(id ID, u undertaken) [16]byte {
	u.Proof = [16]byte{}
	return d.proof("waypost/staff-undertaken/1", id[:], encode(u))
}

// undertaking is the latest text an account has signed, the earliest signature of it.
func (d *Desk) undertaking(a account) (u Undertaking, err error) {
	id := idOf(a.Subject)
	prefix := rowKey('u', id)
	err = d.log.View(func(r oplog.Reader) error {
		return r.Rows(staffView, prefix, nil, func(key []byte, subject oplog.ID, value []byte) error {
			var row undertakenRow
			if subject != a.Subject || decode(value, &row) != nil || len(key) != len(prefix)+16 {
				return nil
			}
			said := undertaken{Version: row.Version, At: row.At, Paper: row.Paper}
			if d.undertakenProof(id, said) != [16]byte(key[len(prefix):]) {
				return nil
			}
			at := time.Unix(row.At, 0).UTC()
			if row.Version > u.Version || row.Version == u.Version && at.Before(u.At) {
				u = Undertaking{Version: row.Version, At: at, Paper: row.Paper}
			}
			return nil
		})
	})
	return u, err
}

// Undertake writes down that the person of a session accepts the undertaking. Doing it
// twice is fine. Faults: Denied "fault.staff.own_hand" for whoever is no person here, the
// log's own.
func (d *Desk) Undertake(ctx context.Context, s Session) error {
	for _, a := range d.snapshot() {
		if idOf(a.Subject) == s.Actor.ID && !s.Actor.Key && !s.Actor.Operator {
			return d.undertake(ctx, s.Actor, a, d.clock.Now(), false)
		}
	}
	return fault.New(fault.Denied, "fault.staff.own_hand")
}

// UndertakenOnPaper writes down that somebody signed it on paper, on a day. The actor
// needs ManageStaff and cannot do it for themselves. Faults: those of Actor.Must; Invalid
// "fault.staff.paper_date" for a day in the future or before 2000; Conflict
// "fault.staff.paper_self"; NotFound "fault.staff.no_such_user"; the log's own.
func (d *Desk) UndertakenOnPaper(ctx context.Context, actor Actor, user string, day time.Time) error {
	if err := actor.Must(ManageStaff); err != nil {
		return err
	}
	if day.Year() < 2000 || d.clock.Sure() && day.After(d.clock.Now().Add(24*time.Hour)) {
		return fault.New(fault.Invalid, "fault.staff.paper_date").With("date", "fault.staff.paper_date")
	}
	accounts := d.snapshot()
	target, _, err := d.target(accounts, user)
	if err != nil {
		return err
	}
	if idOf(accounts[target].Subject) == actor.ID {
		return fault.New(fault.Conflict, "fault.staff.paper_self")
	}
	return d.undertake(ctx, actor, accounts[target], day, true)
}

func (d *Desk) undertake(ctx context.Context, actor Actor, a account, at time.Time, paper bool) error {
	now, err := d.undertaking(a)
	if err != nil {
		return err
	}
	if !now.Undertaken() {
		fact := undertaken{Version: UndertakingVersion, At: at.Unix(), Paper: paper}
		fact.Proof = d.undertakenProof(idOf(a.Subject), fact)
		err := d.log.Do(ctx, actor.ID, func(tx *oplog.Tx) error {
			_, err := tx.Append(undertakenKind, a.Subject, fact)
			return err
		})
		if err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sessions {
		if s.actor.ID == idOf(a.Subject) {
			s.undertaken = true
		}
	}
	return nil
}
