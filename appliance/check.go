package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// checkVerb verifies journal, chains, signatures and views: of the running node
// through its socket, of a closed folder with a passphrase. Without one only what
// can be seen from outside is looked at: the checksums of the journal's frames.
func (a *app) checkVerb() *cobra.Command {
	var file string
	var repair, accept bool
	v := a.verb("check", "check", func(ctx context.Context, _ []string) error {
		look := a.check
		if repair {
			look = a.repair
		}
		c, err := look(ctx, file)
		if err == nil && accept {
			c, err = a.acceptLosses(ctx, c)
		}
		if err != nil {
			return err
		}
		if err := a.printCheck(c); err != nil {
			return err
		}
		if !c.Sound {
			if c.Lost > 0 {
				return fault.New(fault.Conflict, "fault.cli.records_lost", "Count", c.Lost)
			}
			return fault.New(fault.Conflict, "fault.cli.unsound", "Count", len(c.Problems))
		}
		return nil
	})
	v.str(&file, "passphrase-file", "FILE", "")
	v.bool(&repair, "repair")
	v.bool(&accept, "accept-loss")
	v.printsData()
	return v.Command
}

// acceptLosses asks the running node to take what a check found lost as lost for good,
// and checks again.
func (a *app) acceptLosses(ctx context.Context, c control.Check) (control.Check, error) {
	if c.Lost == 0 {
		return c, nil
	}
	if _, err := a.node().AcceptLosses(ctx); err != nil {
		return c, err
	}
	return a.node().Check(ctx)
}

func (a *app) check(ctx context.Context, file string) (control.Check, error) {
	c, err := a.node().Check(ctx)
	locked := fault.ClassOf(err) == fault.Locked
	switch {
	case locked && file == "":
		return checkSealed(a.data) // it runs and cannot read more than we can
	case err == nil || !control.IsNotRunning(err):
		return c, err
	case !identity.Exists(a.data):
		return c, fault.New(fault.NotFound, "fault.node.no_folder", "Folder", a.data)
	case file == "":
		return checkSealed(a.data)
	}
	passphrase, err := a.passphrase(file)
	if err != nil {
		return c, err
	}
	return checkClosed(ctx, a.data, passphrase)
}

// checkSealed looks at what can be seen without a passphrase. It changes nothing.
func checkSealed(dir string) (control.Check, error) {
	problems, notes, err := oplog.InspectSealed(filepath.Join(dir, "journal"))
	notes = append(identity.InspectCopies(dir), notes...)
	return control.Check{
		Sound: len(problems) == 0, Areas: []string{}, Problems: append([]string{}, problems...), Notes: append([]string{}, notes...),
	}, err
}

// checkClosed opens a folder no node serves and checks all of it.
func checkClosed(ctx context.Context, dir string, passphrase []byte) (c control.Check, err error) {
	err = withFolder(ctx, dir, passphrase, func(n *node) error {
		c, err = n.check(ctx)
		return err
	})
	return c, err
}

// withFolder runs fn on a folder no node serves, and closes it again.
func withFolder(ctx context.Context, dir string, passphrase []byte, fn func(*node) error) error {
	ownerOnly()
	unlock, err := lockFolder(dir)
	if err != nil {
		return err
	}
	defer unlock()
	n, err := openFolder(ctx, dir, passphrase, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return errors.Join(fn(n), n.Close())
}

func (a *app) printCheck(c control.Check) error {
	if a.json {
		return a.printJSON(c)
	}
	switch {
	case c.Sound && c.Views == nil:
		a.println(a.say("cli.check.sound_outside"))
	case c.Sound:
		a.println(a.say("cli.check.sound", "Count", c.Ops, "Logs", len(c.Logs)))
	}
	for _, l := range c.Logs {
		a.println(a.say("cli.check.log", "Log", l.Log, "Seq", l.Seq, "Head", l.Head))
	}
	if c.Views != nil {
		a.println(a.say("cli.check.views", "Views", *c.Views))
	}
	for _, p := range c.Problems {
		a.println("! " + control.Plain(p))
	}
	for _, p := range c.Notes {
		a.println("- " + control.Plain(p))
	}
	return nil
}
