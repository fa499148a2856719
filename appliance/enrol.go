package main

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/control"
)

// inviteVerb makes a code that lets one other box join, once.
func (a *app) inviteVerb() *cobra.Command {
	ttl, area, carrier := 10*time.Minute, "", false
	v := a.verb("invite", "invite", func(ctx context.Context, _ []string) error {
		if carrier {
			if area != "" {
				return usage("cli.usage.carrier_area")
			}
			area = "none"
		}
		invitation, err := a.node().Invite(ctx, ttl, area)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(invitation)
		}
		a.note(a.say("cli.invite.made", "Until", minute(invitation.Expires)))
		if isTerminal(a.out) {
			a.println(terminalQR(invitation.Code))
		}
		a.println(invitation.Code)
		return nil
	})
	v.dur(&ttl, "ttl", ttl)
	v.str(&area, "area", "new|N", "")
	v.bool(&carrier, "carrier")
	v.printsData()
	return v.Command
}

// maxCode is above any invitation a node makes.
const maxCode = 16 << 10

// joinVerb enrols an empty folder by an invitation code.
func (a *app) joinVerb() *cobra.Command {
	var o joinOptions
	var file string
	v := a.verb("join", "join CODE", func(ctx context.Context, args []string) error {
		code, err := a.code(args[0])
		if err != nil {
			return err
		}
		if o.Passphrase, err = a.passphrase(file); err != nil {
			return err
		}
		o.Data, o.Code = a.data, code
		ownerOnly()
		warn := a.warnGuessable(o.Passphrase)
		done, err := joinSite(ctx, o)
		if err != nil {
			return err
		}
		defer warn()
		if a.json {
			return a.printJSON(map[string]any{"node": done.Node, "words": done.Words})
		}
		a.note(a.say("cli.join.done", "Folder", o.Data, "Node", done.Node))
		a.println(strings.Join(done.Words, " "))
		a.hint(a.say("cli.join.next", "Folder", o.Data, "Node", done.Node))
		return nil
	})
	v.need(&o.Site, "site", "NAME")
	v.need(&o.Lead, "lead", "USER")
	v.need(&file, "passphrase-file", "FILE")
	v.printsData()
	return v.Command
}

// code takes an invitation from the command line or stdin; breaks and blanks that
// crept in with copying go.
func (a *app) code(arg string) (string, error) {
	if arg == "-" {
		if err := a.takeStdin("CODE"); err != nil {
			return "", err
		}
		raw, err := io.ReadAll(io.LimitReader(a.in, maxCode))
		if err != nil {
			return "", cannotRead("-", err)
		}
		arg = string(raw)
	}
	return strings.Join(strings.Fields(arg), ""), nil
}

// confirmVerb records that two people compared the five words of another node.
func (a *app) confirmVerb() *cobra.Command {
	v := a.verb("confirm", "confirm NODE", func(ctx context.Context, args []string) error {
		node, err := a.peer(ctx, args[0])
		if err != nil {
			return err
		}
		if err := a.node().Confirm(ctx, node.Node); err != nil {
			return err
		}
		if a.json {
			return a.printJSON(map[string]any{"node": node.Node, "site": node.Site, "confirmed": true})
		}
		a.println(a.say("cli.confirm.done", "Site", a.peerName(node), "Words", control.Plain(strings.Join(node.Words, " "))))
		return nil
	})
	v.printsData()
	return v.Command
}

// peer finds the node a person means: by its id, or by the number in its cards,
// which is easier to say. An id nobody here knows goes to the node as it is, which
// answers what it thinks of it.
func (a *app) peer(ctx context.Context, name string) (control.Peer, error) {
	status, err := a.node().Status(ctx)
	if err != nil {
		return control.Peer{}, err
	}
	for _, p := range status.Peers {
		if strings.EqualFold(p.Node, name) || name == number(p.Number) {
			return p, nil
		}
	}
	return control.Peer{Node: strings.ToLower(name)}, nil
}
