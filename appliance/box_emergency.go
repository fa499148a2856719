package main

import (
	"context"
	"slices"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// What may destroy the keys of a box when somebody stands at the door is decided before, in
// calm. The setting is never written to a log: logs lie readable on the card.

// emergencyPurpose is what two people sign for.
const emergencyPurpose = "emergency"

// Emergency says what this box may do to its own keys, and who decided that. Faults: Denied
// for all but the lead, Locked, Conflict "fault.node.practice_lock".
func (b *box) Emergency(_ context.Context, a staff.Actor) (control.Emergency, error) {
	n, err := b.keeper(a)
	if err != nil {
		return control.Emergency{}, err
	}
	return n.emergencySays(a)
}

func (n *node) emergencySays(a staff.Actor) (control.Emergency, error) {
	set := n.emergency.Get()
	out := control.Emergency{Mode: set.Mode.String()}
	if set.Serial > 0 {
		out.By, out.Second, out.At = n.desks.Staff.NameOf(set.By), "", &set.At
		if set.Second != (staff.ID{}) {
			out.Second = n.desks.Staff.NameOf(set.Second)
		}
	}
	for _, w := range n.desks.Staff.Acts(a) {
		if w.Act.Purpose == emergencyPurpose {
			out.Asked = w.ByName
		}
	}
	alone, err := n.desks.Staff.Alone(a, staff.RevokeNodes)
	out.Alone = alone
	return out, err
}

// AskEmergency changes the setting. Less is done at once; for more a second person has to
// agree, unless nobody else here could: then one is enough. act is what waits; zero when it
// is done. Faults: those of Emergency, of staff.Desk.AskAct and of identity.EmergencyFile,
// Invalid "fault.identity.emergency_mode".
func (b *box) AskEmergency(_ context.Context, s staff.Session, mode string) (act oplog.ID, err error) {
	n, err := b.keeper(s.Actor)
	if err != nil {
		return act, err
	}
	want, err := identity.ParseEmergency(mode)
	if err != nil {
		return act, err
	}
	if _, ok := s.Sign(nil); !ok || s.Actor.Key || s.Actor.Operator {
		return act, fault.New(fault.Denied, "fault.staff.own_hand")
	}
	before := n.emergency.Get()
	set := identity.EmergencySet{Mode: want, Serial: before.Serial + 1, By: s.Actor.ID, At: b.clock.Now().UTC()}
	if want == before.Mode {
		return act, n.emergencyStays(s.Actor, before, set)
	}
	enough := want < before.Mode
	if !enough {
		if enough, err = n.desks.Staff.Alone(s.Actor, staff.RevokeNodes); err != nil {
			return act, err
		}
	}
	if enough {
		return act, n.setEmergency(set)
	}
	return n.desks.Staff.AskAct(s, staff.Act{
		Purpose: emergencyPurpose, Action: staff.RevokeNodes, Body: identity.EmergencyBody(n.vault.NodeID(), want, before.Serial),
		Key: "emergency.act." + want.String(),
	}, func(_ context.Context, by staff.ID, _, _ staff.Hand) error {
		agreed := set
		agreed.Second, agreed.At = by, b.clock.Now().UTC()
		return n.setEmergency(agreed)
	})
}

// emergencyStays is somebody choosing what there is: who decided it stays written, and more
// that was asked for before waits no longer.
func (n *node) emergencyStays(a staff.Actor, before, set identity.EmergencySet) error {
	waits := slices.ContainsFunc(n.desks.Staff.Acts(a), func(w staff.Waiting) bool { return w.Act.Purpose == emergencyPurpose })
	if !waits {
		return nil
	}
	if before.Serial > 0 {
		set.By, set.Second, set.At = before.By, before.Second, before.At
	}
	return n.setEmergency(set)
}

func (n *node) setEmergency(s identity.EmergencySet) error {
	if err := n.emergency.Set(s); err != nil {
		return err
	}
	n.logger.Warn("what this box may do in an emergency was set", "by", s.By, "agreed", s.Second)
	return nil
}

// EmergencyBoth is both halves where two people stand at one box; users[1] may be empty
// where one is enough. waits tells that it is not done: a second person has to agree.
func (b *box) EmergencyBoth(ctx context.Context, mode string, users [2]string, passphrases [2][]byte) (waits bool, err error) {
	n := b.open()
	if n == nil {
		return false, b.notOpen()
	}
	first, err := n.desks.Staff.SignIn(ctx, users[0], passphrases[0])
	if err != nil {
		return false, err
	}
	defer n.desks.Staff.SignOut(first.Token)
	if users[1] == "" {
		act, err := b.AskEmergency(ctx, first, mode)
		return !act.IsZero(), err
	}
	second, err := n.desks.Staff.SignIn(ctx, users[1], passphrases[1])
	if err != nil {
		return false, err
	}
	defer n.desks.Staff.SignOut(second.Token)
	act, err := b.AskEmergency(ctx, first, mode)
	if err != nil || act.IsZero() {
		return false, err
	}
	return false, n.desks.Staff.ConfirmAct(ctx, second, act)
}

// Destroy destroys the keys of the open box, where that was decided before. Faults: those of
// Wipe, Conflict "fault.node.emergency_off", Locked "fault.node.emergency_locked": nobody can
// tell what was decided on a box that nobody has opened.
func (b *box) Destroy(_ context.Context, actor staff.Actor) error {
	if err := actor.Must(staff.ManageBox); err != nil {
		return err
	}
	n := b.open()
	switch {
	case b.practice():
		return fault.New(fault.Conflict, "fault.node.practice_lock")
	case n == nil && b.State() == "new":
		return fault.New(fault.NotFound, "fault.node.no_folder", "Folder", b.dir)
	case n == nil:
		return fault.New(fault.Locked, "fault.node.emergency_locked")
	case n.emergency.Get().Mode < identity.EmergencyDestroy:
		return fault.New(fault.Conflict, "fault.node.emergency_off")
	}
	b.logger.Warn("the keys of this folder are being destroyed", "by", actor.ID)
	return b.destroy()
}

// emergencyAlerts says that the setting could not be read.
func (b *box) emergencyAlerts(n *node) []control.Alert {
	if n.emergencyLost {
		return []control.Alert{{Key: "alert.emergency_lost", Level: "danger"}}
	}
	return nil
}
