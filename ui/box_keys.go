package ui

import (
	"context"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Keeper is the part of a Box that is about who can open it.
type Keeper interface {
	// Lock closes an open box at once; locking a locked one is fine. Faults: NotFound
	// when nothing was started here, Conflict in practice.
	Lock(ctx context.Context) error
	// Slots lists the kinds of ways to open the box. Faults: Denied for all but the lead.
	Slots(ctx context.Context, a staff.Actor) ([]string, error)
	// AddSlot makes one more: words, recovery or stick. An earlier one of the kind stops
	// working. Faults: Denied, Invalid for other kinds, Locked, Conflict in practice.
	AddSlot(ctx context.Context, a staff.Actor, kind string) (control.Slot, error)
	// RemoveSlot takes one away. Faults: as AddSlot, Conflict for the last one.
	RemoveSlot(ctx context.Context, a staff.Actor, kind string) error
	// Wipe destroys the keys of the folder in every state; the box is new after it. It is
	// the verb's. Faults: Denied for all but the lead, Unavailable when something could not be
	// removed.
	Wipe(ctx context.Context, a staff.Actor) error
	// Destroy does the same on an open box where that was decided before. Faults: those of
	// Wipe, Conflict "fault.node.emergency_off", Locked "fault.node.emergency_locked".
	Destroy(ctx context.Context, a staff.Actor) error
	// Emergency says what was decided. Faults: Denied for all but the lead, Locked, Conflict
	// in practice.
	Emergency(ctx context.Context, a staff.Actor) (control.Emergency, error)
	// AskEmergency decides it: act is what waits for a second person, zero when it is done.
	// Faults: those of Emergency, Invalid "fault.identity.emergency_mode", those of
	// staff.Desk.AskAct.
	AskEmergency(ctx context.Context, s staff.Session, mode string) (act oplog.ID, err error)
	// EmergencyBoth is the same where people show their passphrases to the operator; users[1]
	// may be empty. waits tells that a second person has to agree.
	EmergencyBoth(ctx context.Context, mode string, users [2]string, passphrases [2][]byte) (waits bool, err error)
}
