package main

import (
	"context"
	"encoding/hex"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
)

// Issuers lists who can let boxes in.
func (b *box) Issuers(_ context.Context, a staff.Actor) ([]control.Issuer, error) {
	if err := a.Must(staff.SuspendNodes); err != nil {
		return nil, err
	}
	n := b.open()
	if n == nil {
		return nil, b.notOpen()
	}
	all, err := n.desks.Identity.IssuerStandings()
	if err != nil {
		return nil, err
	}
	nodes, err := n.desks.Identity.Nodes()
	if err != nil {
		return nil, err
	}
	out := []control.Issuer{}
	for _, i := range all {
		line := control.Issuer{ID: i.Cert.ID().String(), Sites: []string{}, Own: i.Own, Revoked: i.Revoked, Words: len(i.Words)}
		for _, id := range i.Nodes {
			for _, x := range nodes {
				if x.ID == id && x.Site != "" {
					line.Sites = append(line.Sites, x.Site)
				}
			}
		}
		out = append(out, line)
	}
	return out, nil
}

// RevokeIssuer is an act of two who stand at one box; root is the text of the root's sheet,
// or empty.
func (b *box) RevokeIssuer(ctx context.Context, id string, users [2]string, passphrases [2][]byte, root []byte) error {
	n, err := b.shutting()
	if err != nil {
		return err
	}
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != len(identity.IssuerID{}) {
		return fault.New(fault.NotFound, "fault.identity.no_such_issuer").Wrap(err)
	}
	issuer := identity.IssuerID(raw)
	sheet, err := rootSheet(root)
	if err != nil {
		return err
	}
	if sheet != nil {
		defer clear(sheet.Seed)
	}
	cuts, err := n.desks.Identity.IssuerCutsFor(issuer)
	if err != nil {
		return err
	}
	act := staff.Act{
		Purpose: identity.PurposeRevokeIssuer, Action: staff.RevokeNodes, Body: identity.RevokeIssuerBody(issuer, cuts),
		Key: "lost.act.issuer", Args: []any{"Issuer", id},
	}
	return n.actOfBoth(ctx, act, users, passphrases, func(ctx context.Context, by staff.ID, first, second staff.Hand) error {
		return n.desks.Identity.RevokeIssuer(ctx, by, issuer, cuts, sheet, [2][]byte{first, second})
	})
}

// rootSheet reads the root's sheet; nil for no text.
func rootSheet(text []byte) (*identity.RootSheet, error) {
	if len(text) == 0 {
		return nil, nil //nolint:nilnil // none was given
	}
	s, err := identity.ParseRootSheet(text)
	return &s, err
}

// actOfBoth asks for an act and agrees to it where both stand at one box.
func (n *node) actOfBoth(ctx context.Context, act staff.Act, users [2]string, passphrases [2][]byte, run func(context.Context, staff.ID, staff.Hand, staff.Hand) error) error {
	var both [2]staff.Session
	for i := range both {
		var err error
		if both[i], err = n.desks.Staff.SignIn(ctx, users[i], passphrases[i]); err != nil {
			return err
		}
		defer n.desks.Staff.SignOut(both[i].Token)
	}
	if both[0].Actor.ID == both[1].Actor.ID {
		return fault.New(fault.Denied, "fault.staff.act_same")
	}
	id, err := n.desks.Staff.AskAct(both[0], act, run)
	if err != nil {
		return err
	}
	err = n.desks.Staff.ConfirmAct(ctx, both[1], id)
	if err != nil {
		// Both stood there: nothing is left for somebody else to agree to.
		_ = n.desks.Staff.DeclineAct(both[0].Actor, id)
	}
	return err
}
