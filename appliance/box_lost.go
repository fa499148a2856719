package main

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// shutter is the open node, for those who may do a, and the node that they mean.
func (b *box) shutter(actor staff.Actor, a staff.Action, id string) (*node, oplog.ID, error) {
	if err := actor.Must(a); err != nil {
		return nil, oplog.ID{}, err
	}
	n, err := b.shutting()
	if err != nil {
		return nil, oplog.ID{}, err
	}
	node, err := oplog.ParseID(id)
	if err != nil {
		return nil, node, fault.New(fault.NotFound, "fault.identity.no_such_node").Wrap(err)
	}
	return n, node, nil
}

// shutting is the open node; without a mesh too: what is said goes out when there is one.
func (b *box) shutting() (*node, error) {
	n := b.open()
	switch {
	case n == nil:
		return nil, b.notOpen()
	case b.practice():
		return nil, fault.New(fault.Conflict, "fault.node.practice_alone")
	}
	return n, nil
}

// Suspend shuts another node out at once.
func (b *box) Suspend(ctx context.Context, a staff.Actor, id string) error {
	n, node, err := b.shutter(a, staff.SuspendNodes, id)
	if err != nil {
		return err
	}
	return n.desks.Identity.Suspend(ctx, a.ID, node)
}

// Lift gives it back, where an issuer lives.
func (b *box) Lift(ctx context.Context, a staff.Actor, id string) error {
	n, node, err := b.shutter(a, staff.SuspendNodes, id)
	if err != nil {
		return err
	}
	return n.desks.Identity.Lift(ctx, a.ID, node)
}

// Rotate makes new keys by hand.
func (b *box) Rotate(ctx context.Context, a staff.Actor) error {
	if err := a.Must(staff.SuspendNodes); err != nil {
		return err
	}
	n, err := b.shutting()
	if err != nil {
		return err
	}
	return n.desks.Identity.Rotate(ctx, a.ID)
}

// AskRevoke is the first half of shutting a node out for good. What counts of its logs is
// settled now: both sign for it.
func (b *box) AskRevoke(_ context.Context, s staff.Session, id string) (oplog.ID, error) {
	n, node, err := b.shutter(s.Actor, staff.RevokeNodes, id)
	if err != nil {
		return oplog.ID{}, err
	}
	site, err := n.siteOf(node)
	if err != nil {
		return oplog.ID{}, err
	}
	for _, w := range n.desks.Staff.Acts(s.Actor) { // asked again, it is what was asked
		if w.By == s.Actor.ID && isRevoke(w, node) {
			return w.ID, nil
		}
	}
	cuts, err := n.desks.Identity.RevokeCutsFor(node)
	if err != nil {
		return oplog.ID{}, err
	}
	act := staff.Act{Purpose: identity.PurposeRevoke, Action: staff.RevokeNodes, Body: identity.RevokeBody(node, cuts), Key: "lost.act.revoke", Args: []any{"Site", site}}
	return n.desks.Staff.AskAct(s, act, func(ctx context.Context, by staff.ID, first, second staff.Hand) error {
		return n.desks.Identity.Revoke(ctx, by, node, cuts, [2][]byte{first, second})
	})
}

// AgreeRevoke is the second half, and does it.
func (b *box) AgreeRevoke(ctx context.Context, s staff.Session, id string) error {
	n, node, err := b.shutter(s.Actor, staff.RevokeNodes, id)
	if err != nil {
		return err
	}
	for _, w := range n.desks.Staff.Acts(s.Actor) {
		if w.By != s.Actor.ID && isRevoke(w, node) {
			return n.desks.Staff.ConfirmAct(ctx, s, w.ID)
		}
	}
	return fault.New(fault.NotFound, "fault.staff.no_act")
}

func isRevoke(w staff.Waiting, node oplog.ID) bool {
	return w.Act.Purpose == identity.PurposeRevoke && identity.IsRevokeBody(w.Act.Body, node)
}

// RevokeBoth is both halves where two people stand at one box.
func (b *box) RevokeBoth(ctx context.Context, id string, users [2]string, passphrases [2][]byte) error {
	n, err := b.shutting()
	if err != nil {
		return err
	}
	var both [2]staff.Session
	for i := range both {
		if both[i], err = n.desks.Staff.SignIn(ctx, users[i], passphrases[i]); err != nil {
			return err
		}
		defer n.desks.Staff.SignOut(both[i].Token)
	}
	if _, err := b.AskRevoke(ctx, both[0], id); err != nil {
		return err
	}
	if users[0] == users[1] {
		return fault.New(fault.Denied, "fault.staff.act_same")
	}
	return b.AgreeRevoke(ctx, both[1], id)
}

// siteOf is what a known node's site is called; NotFound for others.
func (n *node) siteOf(id oplog.ID) (string, error) {
	nodes, err := n.desks.Identity.Nodes()
	if err != nil {
		return "", err
	}
	for _, x := range nodes {
		if x.ID == id {
			return x.Site, nil
		}
	}
	return "", fault.New(fault.NotFound, "fault.identity.no_such_node")
}

// Lost lists the nodes that were shut out, the latest last.
func (b *box) Lost(_ context.Context, a staff.Actor) ([]control.LostBox, error) {
	if err := a.Must(staff.SuspendNodes); err != nil {
		return nil, err
	}
	n := b.open()
	if n == nil {
		return nil, b.notOpen()
	}
	shut, err := n.desks.Identity.ShutOut()
	if err != nil {
		return nil, err
	}
	nodes, err := n.desks.Identity.Nodes()
	if err != nil {
		return nil, err
	}
	out := []control.LostBox{}
	for _, x := range shut {
		out = append(out, n.lostBox(a, x, nodes))
	}
	return out, nil
}

func standingName(s identity.Standing) string {
	switch s {
	case identity.StandingSuspended:
		return "suspended"
	case identity.StandingRevoked:
		return "revoked"
	}
	return ""
}

func (n *node) lostBox(a staff.Actor, x identity.ShutOut, nodes []identity.Node) control.LostBox {
	out := control.LostBox{
		Node: x.Node.String(), Standing: standingName(x.Standing), Since: x.When, By: n.desks.Staff.NameOf(x.Who), MayLift: x.MayLift,
		Known: []string{}, Unheard: []string{},
	}
	var knows []oplog.ID
	if m := n.Mesh(); m != nil {
		knows = m.Knows(x.Fact)
	}
	for _, o := range nodes {
		switch {
		case o.ID == x.Node:
			out.Number, out.Site = o.Number, o.Site
		case o.ID == n.vault.NodeID() || slices.Contains(knows, o.ID):
			out.Known = append(out.Known, called(o.Site, o.Number))
		case o.Standing == identity.StandingGood:
			out.Unheard = append(out.Unheard, called(o.Site, o.Number))
		}
		if o.ID == x.At {
			out.At = o.Site
		}
	}
	for _, w := range n.desks.Staff.Acts(a) {
		if isRevoke(w, x.Node) {
			out.Asked = w.ByName
		}
	}
	return out
}

// Held lists what a revoked node wrote that does not count.
func (b *box) Held(_ context.Context, a staff.Actor, id string) ([]control.HeldOp, error) {
	n, node, err := b.shutter(a, staff.SuspendNodes, id)
	if err != nil {
		return nil, err
	}
	held, err := n.desks.Identity.HeldBack(node)
	out := []control.HeldOp{}
	for _, o := range held {
		h := control.HeldOp{Log: o.Log.String(), Seq: o.Seq, Kind: o.Kind}
		if o.Kind != "" {
			at := time.Unix(o.At, 0).UTC()
			h.At = &at
		}
		out = append(out, h)
	}
	return out, err
}

// AskRelease is the first half of letting some of them count after all, where an issuer
// lives; the second person agrees as to other acts.
func (b *box) AskRelease(_ context.Context, s staff.Session, id string, ops []control.HeldOp) (oplog.ID, error) {
	n, node, err := b.shutter(s.Actor, staff.RevokeNodes, id)
	if err != nil {
		return oplog.ID{}, err
	}
	site, err := n.siteOf(node)
	if err != nil {
		return oplog.ID{}, err
	}
	var refs []oplog.Ref
	for _, o := range ops {
		raw, err := hex.DecodeString(o.Log)
		if err != nil || len(raw) != len(oplog.LogID{}) {
			return oplog.ID{}, fault.New(fault.NotFound, "fault.identity.not_held").Wrap(err)
		}
		refs = append(refs, oplog.Ref{Log: oplog.LogID(raw), Seq: o.Seq})
	}
	if refs, err = n.desks.Identity.Holds(node, refs); err != nil {
		return oplog.ID{}, err
	}
	act := staff.Act{
		Purpose: identity.PurposeRelease, Action: staff.RevokeNodes, Body: identity.ReleaseBody(node, refs),
		Key: "lost.act.release", Args: []any{"Site", site, "Count", len(refs)},
	}
	return n.desks.Staff.AskAct(s, act, func(ctx context.Context, by staff.ID, first, second staff.Hand) error {
		return n.desks.Identity.Release(ctx, by, node, refs, [2][]byte{first, second})
	})
}

// Incident is what there is to say about a node that is lost or may be, for whoever has to
// act on it.
func (b *box) Incident(ctx context.Context, a staff.Actor, id string) (control.Incident, error) {
	n, node, err := b.shutter(a, staff.SuspendNodes, id)
	if err != nil {
		return control.Incident{}, err
	}
	nodes, err := n.desks.Identity.Nodes()
	if err != nil {
		return control.Incident{}, err
	}
	i := slices.IndexFunc(nodes, func(x identity.Node) bool { return x.ID == node })
	if i < 0 || node == n.vault.NodeID() {
		return control.Incident{}, fault.New(fault.NotFound, "fault.identity.no_such_node")
	}
	shut, err := n.desks.Identity.ShutOut()
	if err != nil {
		return control.Incident{}, err
	}
	out := control.Incident{LostBox: control.LostBox{Node: id, Number: nodes[i].Number, Site: nodes[i].Site, Known: []string{}, Unheard: []string{}}}
	for _, x := range shut {
		if x.Node == node {
			out.LostBox = n.lostBox(a, x, nodes)
		}
	}
	out.Now, out.Areas = b.clock.Now(), nodes[i].Cert.Areas
	counts, err := n.desks.Registration.Counts(ctx)
	if err != nil {
		return out, err
	}
	if out.Apart = !n.vault.SharesArea(nodes[i]); !out.Apart {
		out.People = uint64(counts.People) //nolint:gosec // a count
	}
	written, by, err := n.desks.Registration.WrittenIn(ctx, a, nodes[i].Logs)
	if err != nil {
		return out, err
	}
	out.Registered, out.Workers = uint64(written), []string{} //nolint:gosec // a count
	for _, who := range by {
		if name := n.desks.Staff.NameOf(who); name != "" {
			out.Workers = append(out.Workers, name)
		}
	}
	slices.Sort(out.Workers)
	if m := n.Mesh(); m != nil {
		for _, p := range m.Peers() {
			if p.Node == node {
				out.Contact, out.Behind = p.LastContact, p.Behind
			}
		}
	}
	held, err := n.desks.Identity.HeldBack(node)
	out.HeldBack = uint64(len(held))
	return out, err
}
