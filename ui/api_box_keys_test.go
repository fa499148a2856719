package ui

import (
	"context"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
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

func (b *apiBox) Destroy(ctx context.Context, a staff.Actor) error {
	if b.emergency.Mode == identity.EmergencyLock {
		return fault.New(fault.Conflict, "fault.node.emergency_off")
	}
	return b.Wipe(ctx, a)
}

func (b *apiBox) Emergency(_ context.Context, a staff.Actor) (control.Emergency, error) {
	if err := a.Must(staff.ManageBox); err != nil {
		return control.Emergency{}, err
	}
	out := control.Emergency{Mode: b.emergency.Mode.String()}
	if b.emergency.Serial > 0 {
		out.By, out.Second, out.At = b.desks.Staff.NameOf(b.emergency.By), b.desks.Staff.NameOf(b.emergency.Second), &b.emergency.At
	}
	var err error
	out.Alone, err = b.desks.Staff.Alone(a, staff.RevokeNodes)
	return out, err
}

func (b *apiBox) AskEmergency(_ context.Context, s staff.Session, mode string) (act oplog.ID, err error) {
	want, err := identity.ParseEmergency(mode)
	if err != nil {
		return act, err
	}
	set := identity.EmergencySet{Mode: want, Serial: b.emergency.Serial + 1, By: s.Actor.ID, At: time.Unix(1e9, 0).UTC()}
	if alone, err := b.desks.Staff.Alone(s.Actor, staff.RevokeNodes); err != nil || alone || want <= b.emergency.Mode {
		b.emergency = set
		return act, err
	}
	body := identity.EmergencyBody(b.vault.NodeID(), want, b.emergency.Serial)
	return b.desks.Staff.AskAct(s, staff.Act{Purpose: "emergency", Action: staff.RevokeNodes, Body: body, Key: "emergency.act." + mode},
		func(_ context.Context, by staff.ID, _, _ staff.Hand) error {
			set.Second = by
			b.emergency = set
			return nil
		})
}

func (b *apiBox) EmergencyBoth(context.Context, string, [2]string, [2][]byte) (bool, error) {
	return false, nil
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
