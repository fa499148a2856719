package main

import (
	"context"
	"slices"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// lost is what the journal lost and nobody here has accepted yet. Views that cannot be
// read accept nothing.
func (n *node) lost() []oplog.Loss {
	lost := n.journal.Losses()
	if len(lost) == 0 {
		return nil
	}
	accepted, _ := n.desks.Identity.AcceptedLosses()
	return identity.Unaccepted(lost, accepted)
}

func count(lost []oplog.Loss) (ops uint64) {
	for _, x := range lost {
		ops += x.Ops()
	}
	return ops
}

// accept takes out of a report what somebody accepted; it becomes a note.
func (n *node) accept(c *control.Check) {
	lost := n.lost()
	for _, x := range n.journal.Losses() {
		line := x.String()
		if i := slices.Index(c.Problems, line); i >= 0 && !slices.Contains(lost, x) {
			c.Problems = slices.Delete(c.Problems, i, i+1)
			c.Notes = append(c.Notes, line+", which was accepted here")
			c.Lost -= min(c.Lost, x.Ops())
		}
	}
	c.Sound = len(c.Problems) == 0
}

// Losses lists what is lost and what was accepted as lost.
func (b *box) Losses(_ context.Context, a staff.Actor) (out control.Losses, err error) {
	n, err := b.keeper(a)
	if err != nil {
		return out, err
	}
	sites, err := n.sitesOfLogs()
	if err != nil {
		return out, err
	}
	out.Lost, out.Accepted = []control.Loss{}, []control.Loss{}
	for _, x := range n.lost() {
		out.Lost = append(out.Lost, control.Loss{Log: x.Log.String(), From: x.From, To: x.To, Ops: x.Ops(), Site: sites[x.Log]})
	}
	accepted, err := n.desks.Identity.AcceptedLosses()
	for _, x := range accepted {
		at := x.At
		out.Accepted = append(out.Accepted, control.Loss{
			Log: x.Log.String(), From: x.From, To: x.To, Ops: x.Ops(), Site: sites[x.Log], By: n.desks.Staff.NameOf(x.By), At: &at,
		})
	}
	return out, err
}

// AcceptLosses takes the warning about what is lost away, by the word of somebody who
// keeps the box. What turns up after all is stored and shown.
func (b *box) AcceptLosses(ctx context.Context, a staff.Actor) (ops uint64, err error) {
	n, err := b.keeper(a)
	if err != nil {
		return 0, err
	}
	lost := n.lost()
	return count(lost), n.desks.Identity.AcceptLosses(ctx, a.ID, lost)
}

// sitesOfLogs says where each log is written.
func (n *node) sitesOfLogs() (map[oplog.LogID]string, error) {
	nodes, err := n.desks.Identity.Nodes()
	out := map[oplog.LogID]string{}
	for _, node := range nodes {
		for _, l := range node.Logs {
			out[l] = node.Site
		}
	}
	return out, err
}
