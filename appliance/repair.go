package main

import (
	"context"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/mesh"
)

// How long a repair waits for other nodes.
const (
	repairLonely = 15 * time.Second // while none is connected
	repairQuiet  = 20 * time.Second // while one is, and nothing comes
	repairLook   = 250 * time.Millisecond
)

// repair mends: on a running node with the help of the others, on a closed folder
// what can be mended alone.
func (a *app) repair(ctx context.Context, file string) (control.Check, error) {
	c, err := a.node().Repair(ctx)
	switch {
	case err == nil || !control.IsNotRunning(err):
		return c, err
	case !identity.Exists(a.data):
		return c, fault.New(fault.NotFound, "fault.node.no_folder", "Folder", a.data)
	case file == "":
		return c, fault.New(fault.Invalid, "fault.cli.repair_closed")
	}
	passphrase, err := a.passphrase(file)
	if err != nil {
		return c, err
	}
	err = withFolder(ctx, a.data, passphrase, func(n *node) error {
		c, err = n.repair(ctx)
		return err
	})
	return c, err
}

// Repair mends the open node and waits for the others.
func (b *box) Repair(ctx context.Context) (control.Check, error) {
	n := b.open()
	if n == nil {
		return control.Check{}, b.notOpen()
	}
	return n.repair(ctx)
}

// repair mends what can be mended here, asks the other nodes for what was lost, writes
// again what none of them could have, and checks everything.
func (n *node) repair(ctx context.Context) (control.Check, error) {
	if err := n.journal.Repair(ctx); err != nil {
		return control.Check{}, err
	}
	if m := n.Mesh(); m != nil {
		n.fetchLost(ctx, m)
		if _, err := n.journal.Rescue(ctx); err != nil { // the others were asked
			return control.Check{}, err
		}
	}
	return n.check(ctx)
}

// fetchLost waits while lost records come back.
func (n *node) fetchLost(ctx context.Context, m *mesh.Mesh) {
	lost, since := n.journal.Stats().Lost, n.clock.Now()
	for lost > 0 {
		m.Ask()
		select {
		case <-ctx.Done():
			return
		case <-n.clock.After(repairLook):
		}
		most := repairLonely
		for _, p := range m.Peers() {
			if p.State == mesh.Connected {
				most = repairQuiet
			}
		}
		switch now := n.journal.Stats().Lost; {
		case now != lost:
			lost, since = now, n.clock.Now()
		case n.clock.Now().Sub(since) > most:
			return
		}
	}
}
