package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/control"
)

// suspendVerb shuts a lost node out at once.
func (a *app) suspendVerb() *cobra.Command {
	v := a.verb("suspend", "suspend NODE", func(ctx context.Context, args []string) error {
		node, err := a.peer(ctx, args[0])
		if err != nil {
			return err
		}
		i, err := a.node().Suspend(ctx, node.Node)
		if err != nil {
			return err
		}
		return a.shutOut("cli.suspend.done", i)
	})
	v.printsData()
	return v.Command
}

// shutOut says what could be read at a box that was shut out, and who has not heard of it.
func (a *app) shutOut(key string, i control.Incident) error {
	if a.json {
		return a.printJSON(i)
	}
	a.println(a.say(key, "Site", a.postName(i.Site, i.Number, false), "Known", a.say("lost.known", "Count", len(i.Known)), "People", i.People))
	if len(i.Unheard) > 0 {
		a.note(a.say("cli.lost.unheard", "Sites", a.called(i.Unheard)))
	}
	return nil
}

// liftVerb gives a suspended node back, where an issuer lives.
func (a *app) liftVerb() *cobra.Command {
	v := a.verb("lift", "lift NODE", func(ctx context.Context, args []string) error {
		node, err := a.peer(ctx, args[0])
		if err != nil {
			return err
		}
		if err := a.node().Lift(ctx, node.Node); err != nil {
			return err
		}
		if a.json {
			return a.printJSON(map[string]string{"node": node.Node})
		}
		a.println(a.say("cli.lift.done", "Site", a.peerName(node)))
		return nil
	})
	v.printsData()
	return v.Command
}

// revokeVerb shuts a node out for good: two people say so, each with their own passphrase.
func (a *app) revokeVerb() *cobra.Command {
	var users, files [2]string
	v := a.verb("revoke", "revoke NODE", func(ctx context.Context, args []string) error {
		node, err := a.peer(ctx, args[0])
		if err != nil {
			return err
		}
		var secrets [2][]byte
		for i, file := range files {
			if secrets[i], err = a.passphrase(file); err != nil {
				return err
			}
			defer clear(secrets[i])
		}
		i, err := a.node().Revoke(ctx, node.Node, users, secrets)
		if err != nil {
			return err
		}
		return a.shutOut("cli.revoke.done", i)
	})
	v.need(&users[0], "first", "USER")
	v.need(&files[0], "first-passphrase-file", "FILE")
	v.need(&users[1], "second", "USER")
	v.need(&files[1], "second-passphrase-file", "FILE")
	v.printsData()
	return v.Command
}

// rotateVerb makes new keys by hand.
func (a *app) rotateVerb() *cobra.Command {
	v := a.verb("rotate", "rotate", func(ctx context.Context, _ []string) error {
		if err := a.node().Rotate(ctx); err != nil {
			return err
		}
		if a.json {
			return a.printJSON(map[string]string{})
		}
		a.println(a.say("cli.rotate.done"))
		return nil
	})
	v.printsData()
	return v.Command
}

// lostVerb lists the nodes that are shut out.
func (a *app) lostVerb() *cobra.Command {
	v := a.verb("lost", "lost", func(ctx context.Context, _ []string) error {
		boxes, err := a.node().Lost(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(map[string]any{"items": boxes})
		}
		for _, b := range boxes {
			a.println(a.say("cli.lost.line."+b.Standing, "Number", b.Number, "Site", a.postName(b.Site, b.Number, false), "Known", a.say("lost.known", "Count", len(b.Known))))
			if len(b.Unheard) > 0 {
				a.println("  " + a.say("cli.lost.unheard", "Sites", a.called(b.Unheard)))
			}
		}
		if len(boxes) == 0 {
			a.println(a.say("cli.lost.none"))
		}
		return nil
	})
	v.printsData()
	return v.Command
}
