package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
)

// unlockVerb opens a running, locked node.
func (a *app) unlockVerb() *cobra.Command {
	var k opener
	v := a.verb("unlock", "unlock", func(ctx context.Context, _ []string) error {
		secret, err := k.secret(a)
		if err != nil {
			return err
		}
		defer clear(secret)
		if err := a.node().Unlock(ctx, secret); err != nil {
			return err
		}
		if err := a.whileOpening(ctx); err != nil {
			return err
		}
		if a.json {
			s, err := a.node().Status(ctx)
			if err != nil {
				return err
			}
			return a.printJSON(map[string]string{"state": s.State})
		}
		a.println(a.say("cli.unlock.done"))
		return nil
	})
	k.flags(v)
	v.printsData()
	return v.Command
}

// whileOpening waits for a box that reads its records again, and says how far it is.
func (a *app) whileOpening(ctx context.Context) error {
	p := progressLines{a: a, last: -1}
	for {
		s, err := a.node().Status(ctx)
		switch {
		case err != nil:
			return err
		case s.State == "locked":
			return fault.New(fault.Unavailable, "fault.cli.not_opened")
		case s.State != "opening":
			return nil
		}
		if s.Rebuild != nil {
			p.show(*s.Rebuild)
		} else {
			p.show(control.Rebuild{})
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "fault.control.stopped").Wrap(ctx.Err())
		case <-clock.System().After(askEvery):
		}
	}
}
