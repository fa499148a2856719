package ui

import (
	"context"
	"slices"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
)

// The keys of apiBox are those of its vault; locking only changes the state.

func (b *apiBox) Lock(context.Context) error {
	b.set(stateLocked)
	return nil
}

func (b *apiBox) Slots(_ context.Context, a staff.Actor) ([]string, error) {
	if err := a.Must(staff.ManageBox); err != nil {
		return nil, err
	}
	return identity.Ways(b.dir)
}

func (b *apiBox) AddSlot(_ context.Context, a staff.Actor, kind string) (control.Slot, error) {
	if err := a.Must(staff.ManageBox); err != nil {
		return control.Slot{}, err
	}
	switch kind {
	case identity.SlotRecovery:
		words, err := b.vault.Recovery()
		return control.Slot{Kind: kind, Secret: words}, err
	case identity.SlotStick:
		k, err := b.vault.KeyStick()
		b.stick = k.Key
		return control.Slot{Kind: kind, Secret: string(k.Text()), File: k.Name()}, err
	}
	return control.Slot{}, fault.New(fault.Invalid, "fault.identity.slot_kind")
}

func (b *apiBox) RemoveSlot(_ context.Context, a staff.Actor, kind string) error {
	if err := a.Must(staff.ManageBox); err != nil {
		return err
	}
	return b.vault.RemoveSlot(kind)
}

func (b *apiBox) Wipe(_ context.Context, a staff.Actor) error {
	if err := a.Must(staff.ManageBox); err != nil {
		return err
	}
	b.set(stateNew)
	return identity.DestroyKeys(b.dir)
}

// ways are the kinds of ways to open the box, sorted.
func (b *apiBox) ways() []string {
	kinds, err := identity.Ways(b.dir)
	if err != nil {
		b.t.Error(err)
	}
	slices.Sort(kinds)
	return kinds
}
