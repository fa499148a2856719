package sealed

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"slices"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Access is who reads what is passed on to a compartment.
type Access struct {
	Narrow  staff.Narrow
	Epoch   uint32
	Holders []staff.Worker // they were given the current keys; some may be off
	Others  []staff.Worker // they could be given them
	Mine    bool           // whoever asks holds the current keys
}

// Access lists it for the compartments of the person. Faults: those of Actor.Must and the
// log's own.
func (d *Desk) Access(_ context.Context, s staff.Session) (out []Access, err error) {
	if err := s.Actor.Must(staff.WorkSealed); err != nil {
		return nil, err
	}
	who, err := d.people()
	if err != nil {
		return nil, err
	}
	err = d.holding(s, func(_ *ecdh.PrivateKey, h held) error {
		return d.log.View(func(r oplog.Reader) error {
			for _, n := range staff.Narrows() {
				if !s.Actor.Opens(n) {
					continue
				}
				c, err := d.compartment(r, n, who)
				if err != nil {
					return err
				}
				if c.current == nil {
					continue
				}
				a := Access{Narrow: n, Epoch: c.current.Epoch}
				if a.Holders, err = d.holders(r, c.current, who); err != nil {
					return err
				}
				_, a.Mine = h[c.current.name]
				for _, w := range who {
					if w.Opens(n) && !w.Off && !slices.ContainsFunc(a.Holders, func(x staff.Worker) bool { return x.ID == w.ID }) {
						a.Others = append(a.Others, w)
					}
				}
				slices.SortFunc(a.Others, byPlace)
				out = append(out, a)
			}
			return nil
		})
	})
	return out, err
}

// mine is the current epoch of a compartment with its seed. Fault: Denied
// "fault.sealed.no_key" for somebody who was not given it.
func (d *Desk) mine(s staff.Session, n staff.Narrow, fn func(e *epoch, seed key, c compartment, who people) error) error {
	if err := may(s, n); err != nil {
		return err
	}
	who, err := d.people()
	if err != nil {
		return err
	}
	c, err := d.opened(n, who)
	if err != nil {
		return err
	}
	return d.holding(s, func(_ *ecdh.PrivateKey, h held) error {
		seed, ok := h[c.current.name]
		if !ok {
			return fault.New(fault.Denied, "fault.sealed.no_key")
		}
		return fn(c.current, seed.seed, c, who)
	})
}

// Give lets somebody read what is passed on to a compartment, and what waits there. Only
// who holds the keys can. Faults: those of Actor.Must; Conflict "fault.sealed.not_open";
// Denied "fault.sealed.no_key"; NotFound "fault.sealed.no_worker"; the log's own.
func (d *Desk) Give(ctx context.Context, s staff.Session, n staff.Narrow, to staff.ID) error {
	return d.mine(s, n, func(e *epoch, seed key, _ compartment, who people) error {
		w, known := who[to]
		if !known || w.Off || !w.Opens(n) {
			return fault.New(fault.NotFound, "fault.sealed.no_worker")
		}
		g, err := d.give(e.epochBegun, seed, w)
		if err != nil {
			return err
		}
		return d.log.Do(ctx, s.Actor.ID, func(tx *oplog.Tx) error {
			_, err := tx.Append(seedGivenKind, w.Subject, g)
			return err
		})
	})
}

// Rotate begins new keys of a compartment, for everybody who has the current ones but those
// in without and those whose accounts ended. What waits is sealed anew and listed as having
// been readable by them; files they work in get new keys as well, by whoever works in them
// when they sign in. Faults as Give.
func (d *Desk) Rotate(ctx context.Context, s staff.Session, n staff.Narrow, without []staff.ID) error {
	return d.mine(s, n, func(e *epoch, old key, _ compartment, who people) error {
		var stay []staff.Worker
		err := d.log.View(func(r oplog.Reader) (err error) {
			stay, err = d.holders(r, e, who)
			return err
		})
		if err != nil {
			return err
		}
		stay = slices.DeleteFunc(stay, func(w staff.Worker) bool {
			return w.Off || !w.Opens(n) || w.ID != s.Actor.ID && slices.Contains(without, w.ID)
		})
		seed := newKey()
		defer clear(seed[:])
		next := epochBegun{Narrow: n, Epoch: e.Epoch + 1, Officers: e.Officers, Staff: e.Staff, Before: e.name, By: s.Actor.ID}
		if err := d.fill(&next, seed); err != nil {
			return err
		}
		msg := next.message(d.o.Deployment)
		next.Word = ed25519.Sign(pairOf(old).sign, msg)
		hand, ok := s.Sign(msg)
		if !ok {
			return fault.New(fault.Unauthenticated, "fault.staff.sign_in")
		}
		next.Hand = hand
		return d.log.Do(ctx, s.Actor.ID, func(tx *oplog.Tx) error {
			if _, err := tx.Append(epochBegunKind, subjectOf(n), next); err != nil {
				return err
			}
			for _, w := range stay {
				g, err := d.give(next, seed, w)
				if err != nil {
					return err
				}
				if _, err := tx.Append(seedGivenKind, w.Subject, g); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
