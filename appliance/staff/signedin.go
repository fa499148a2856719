package staff

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

// SignedIn is one session in a list.
type SignedIn struct {
	ID      ID
	Of      ID
	User    string
	Label   string // kind of device; empty where it did not say
	Started time.Time
	Used    time.Time
	Rests   bool
	PIN     bool
	This    bool // the one that asks
}

// Sessions lists where the actor is signed in, the latest first; with all, where
// everybody at this node is, for which the actor needs ManageStaff. token is the session
// that asks, if any. Faults: those of Actor.Must.
func (d *Desk) Sessions(actor Actor, token string, all bool) ([]SignedIn, error) {
	if all {
		if err := actor.Must(ManageStaff); err != nil {
			return nil, err
		}
	}
	this := sha256.Sum256([]byte(token))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweepLocked(d.clock.Now())
	out := []SignedIn{}
	for h, s := range d.sessions {
		if !all && s.actor.ID != actor.ID {
			continue
		}
		out = append(out, SignedIn{
			ID: s.id, Of: s.actor.ID, User: s.actor.Name, Label: s.label, Started: s.started, Used: s.seen, Rests: s.rests, PIN: d.hasPINLocked(s), This: h == this,
		})
	}
	slices.SortFunc(out, func(a, b SignedIn) int {
		if c := b.Used.Compare(a.Used); c != 0 {
			return c
		}
		return slices.Compare(a.ID[:], b.ID[:])
	})
	return out, nil
}

// EndSession ends one session by its id in the list: one's own, or with ManageStaff
// anybody's at this node. The PIN and the passkeys on that device go with it. Fault: NotFound
// "fault.staff.no_session".
func (d *Desk) EndSession(actor Actor, id ID) error {
	ended := d.endOne(actor, id)
	if ended == nil {
		return fault.New(fault.NotFound, "fault.staff.no_session")
	}
	d.forgetPasskeys(ended.actor.ID, func(device [32]byte) bool { return device == ended.device })
	return nil
}

func (d *Desk) endOne(actor Actor, id ID) *session {
	d.mu.Lock()
	defer d.mu.Unlock()
	for h, s := range d.sessions {
		if s.id == id && (s.actor.ID == actor.ID || actor.Can(ManageStaff)) {
			d.forgetPINLocked(s)
			d.endLocked(h)
			return s
		}
	}
	return nil
}

// EndOthers ends every session of the actor but the one of token, and takes away the
// passkeys of other devices.
func (d *Desk) EndOthers(actor Actor, token string) {
	d.endSessionsOf(actor.ID, token)
	d.mu.Lock()
	s := d.sessionLocked(token, d.clock.Now())
	d.mu.Unlock()
	d.forgetPasskeys(actor.ID, func(device [32]byte) bool { return s == nil || device != s.device })
}
