package main

import (
	"bytes"
	"context"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/letterbox"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/ui"
)

// What was taken in while the box was locked and could not be filed when it was opened lies
// aside, whole. Nobody throws it away: it is tried again, or completed as a form.

// asidePile is what lies aside at the open box, for whoever manages it.
func (b *box) asidePile(a staff.Actor) (*node, *letterbox.Pile, error) {
	n, err := b.keeper(a)
	if err != nil {
		return nil, nil, err
	}
	key, err := n.letterboxKey()
	if err != nil {
		return nil, nil, err
	}
	return n, letterbox.AsidePile(files.OS(), b.dir, key), nil
}

// AsideLetters lists it, with the reason of each. Faults: Denied for all but the lead,
// Locked, Conflict in practice.
func (b *box) AsideLetters(_ context.Context, a staff.Actor) ([]ui.AsideLetter, error) {
	n, pile, err := b.asidePile(a)
	if err != nil {
		return nil, err
	}
	names, err := pile.Names()
	if err != nil {
		return nil, err
	}
	out := []ui.AsideLetter{}
	for _, name := range names {
		out = append(out, n.asideLetter(pile, name))
	}
	return out, nil
}

// asideLetter says of a letter what a lead may know: nothing of what is in it.
func (n *node) asideLetter(pile *letterbox.Pile, name string) ui.AsideLetter {
	out := ui.AsideLetter{Name: name, Number: letterbox.NumberOf(name)}
	out.At, _ = pile.Lies(name)
	l, err := pile.Read(name)
	if err != nil {
		out.Reason = fault.Of(err)
		return out
	}
	defer clear(l.Body)
	out.At, out.Unsure = l.At, l.Unsure
	switch l.Kind {
	case letterbox.Household:
		out.Kind = "household"
		h, err := registration.DecodeHousehold(bytes.NewReader(l.Body))
		decoded := err == nil
		if decoded {
			out.Narrow, err = n.desks.Registration.TryLeft(leftOf(l), h)
		}
		if err != nil {
			out.Reason = fault.Of(err)
		}
		out.Form = decoded && !out.Narrow
	case letterbox.Count:
		out.Kind = "count"
		g, err := registration.DecodeGate(l.Body)
		if err == nil {
			err = g.Check()
		}
		if err != nil {
			out.Reason = fault.Of(err)
		}
	default:
		out.Reason = fault.New(fault.Invalid, "fault.node.letter_later")
	}
	return out
}

func leftOf(l letterbox.Letter) registration.Left {
	return registration.Left{ID: l.ID, Number: l.Number, At: l.At, Unsure: l.Unsure}
}

// lyingAside refuses a name that is none of a letter there.
func lyingAside(pile *letterbox.Pile, name string) error {
	if _, there := pile.Lies(name); !there {
		return fault.New(fault.NotFound, "fault.node.no_letter")
	}
	return nil
}

// RetryAside files one letter after all. Faults: those of AsideLetters, NotFound
// "fault.node.no_letter", and why it cannot be filed; then it lies there as before.
func (b *box) RetryAside(ctx context.Context, a staff.Actor, name string) error {
	n, pile, err := b.asidePile(a)
	if err != nil {
		return err
	}
	b.night.aside.Lock()
	defer b.night.aside.Unlock()
	if err := lyingAside(pile, name); err != nil {
		return err
	}
	if err := n.file(ctx, pile, name, n.desks.Registration.TakeInAgain); err != nil {
		return err
	}
	b.logger.Info("a letter that was set aside was filed", "letter", name, "by", a.ID)
	return nil
}

// AsideForm is what a family wrote, to be completed by somebody, and what is wrong with it.
// Faults: those of RetryAside, Denied "fault.node.letter_narrow" where something in it is not
// for the register.
func (b *box) AsideForm(_ context.Context, a staff.Actor, name string) (h registration.NewHousehold, reason, err error) {
	n, pile, err := b.asidePile(a)
	if err == nil {
		err = lyingAside(pile, name)
	}
	if err != nil {
		return h, nil, err
	}
	l, err := pile.Read(name)
	if err != nil {
		return h, nil, err
	}
	defer clear(l.Body)
	if l.Kind != letterbox.Household {
		return h, nil, fault.New(fault.Invalid, "fault.node.letter_no_form")
	}
	left, err := registration.DecodeHousehold(bytes.NewReader(l.Body))
	if err != nil {
		return h, nil, err
	}
	narrow, reason := n.desks.Registration.TryLeft(leftOf(l), left)
	if narrow {
		return h, nil, fault.New(fault.Denied, "fault.node.letter_narrow")
	}
	return left, reason, nil
}

// CompleteAside destroys a letter whose people save has registered from a form. A letter that
// has no form is kept, and save is not called. Faults: those of AsideForm and of save.
func (b *box) CompleteAside(ctx context.Context, a staff.Actor, name string, save func() error) error {
	b.night.aside.Lock()
	defer b.night.aside.Unlock()
	if _, _, err := b.AsideForm(ctx, a, name); err != nil {
		return err
	}
	if err := save(); err != nil {
		return err
	}
	_, pile, err := b.asidePile(a)
	if err != nil {
		return err
	}
	b.logger.Info("a letter that was set aside was completed as a form", "letter", name, "by", a.ID)
	return pile.Done(name)
}
