package ui

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

func operatorCeremony(v *visit) error {
	desks, err := v.opened()
	if err != nil {
		return err
	}
	c, err := ceremonyWire(desks.Identity)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, c)
}

func ceremonyWire(d *identity.Desk) (control.Ceremony, error) {
	c, err := d.Ceremony()
	return control.Ceremony{
		Step: c.Step, Variant: c.Variant, Root: c.Root, Issuer: c.Enrols, Issuers: len(c.Held.Issuers), Read: c.Read, Shut: c.Shut,
	}, err
}

// operatorCeremonyStep takes one step and answers with what it made and how far it is now.
func operatorCeremonyStep(v *visit) error {
	var in control.CeremonyStep
	if err := v.decode(&in); err != nil {
		return err
	}
	desks, err := v.opened()
	if err != nil {
		return err
	}
	made, err := v.ceremonyStep(desks.Identity, in)
	if err != nil {
		return err
	}
	out, err := ceremonyWire(desks.Identity)
	if err != nil {
		return err
	}
	out.Number, out.Words, out.Name, out.File, out.Papers = made.Number, made.Words, made.Name, made.File, made.Papers
	return v.json(fiber.StatusOK, out)
}

func (v *visit) ceremonyStep(d *identity.Desk, in control.CeremonyStep) (out control.Ceremony, err error) {
	switch in.Step {
	case "begin":
		err = d.BeginCeremony(in.Variant)
	case "issuer":
		made, err := d.MakeIssuer()
		return control.Ceremony{Number: made.Number, Words: strings.Join(made.Words, " "), Name: made.Name(), File: made.File}, err
	case "words":
		err = d.ReadBackIssuer(v.s.ctx, []byte(in.Text))
	case "shares":
		shares, err := d.Shares()
		for _, s := range shares {
			out.Papers = append(out.Papers, control.Paper{Number: s.Number, Text: string(s.File())})
		}
		return out, err
	case "read":
		out.Number, err = d.ReadBackShare(in.Text)
	case "sheet":
		sheet, err := d.Sheet()
		if err != nil {
			return out, err
		}
		return control.Ceremony{File: sheet.Text(), Words: strings.Join(sheet.CheckWords(), " ")}, nil
	case "sheet-words":
		err = d.ReadBackSheet(in.Text)
	case "finish":
		err = d.FinishCeremony(v.s.ctx, v.actor.ID)
	case "root":
		var sheet identity.RootSheet
		if sheet, err = identity.ParseRootSheet(in.File); err == nil {
			err = d.TakeRoot(sheet)
		}
	case "install":
		var cert identity.NodeCert
		cert, err = d.InstallIssuer(v.s.ctx, in.File, []byte(in.Text))
		out.Number = int(cert.Number)
	default:
		err = fault.New(fault.Invalid, "fault.ui.ceremony_step").With("step", "fault.ui.ceremony_step")
	}
	return out, err
}
