package ui

import (
	"context"

	"github.com/waypost/waypost/appliance/control"
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
	// Wipe destroys the keys of the folder in every state; the box is new after it.
	// Faults: Denied for all but the lead, Unavailable when something could not be
	// removed.
	Wipe(ctx context.Context, a staff.Actor) error
}
