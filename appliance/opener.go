package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/control"
)

// openerVerb is about two people at another node who open a locked one: give and request
// and answer are run at the locked one, ask and confirm at the other.
func (a *app) openerVerb() *cobra.Command {
	return a.group("opener", a.openerGive(), a.openerRequest(), a.openerAnswer(), a.openerAsk(), a.openerConfirm())
}

func (a *app) openerGive() *cobra.Command {
	v := a.verb("opener.give", "give NODE…", func(ctx context.Context, nodes []string) error {
		if err := a.node().GiveOpener(ctx, nodes); err != nil {
			return err
		}
		if a.json {
			return a.printJSON(map[string]any{"nodes": nodes})
		}
		a.println(a.say("cli.opener.given", "Nodes", strings.Join(nodes, " ")))
		return nil
	})
	v.printsData()
	return v.Command
}

func (a *app) openerRequest() *cobra.Command {
	var anew bool
	v := a.verb("opener.request", "request", func(ctx context.Context, _ []string) error {
		ask, err := a.node().OpenRequest(ctx, anew)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(ask)
		}
		a.hint(a.say("cli.opener.words", "Words", strings.Join(ask.Words, " ")))
		a.println(ask.Request)
		return nil
	})
	v.bool(&anew, "anew")
	v.printsData()
	return v.Command
}

func (a *app) openerAnswer() *cobra.Command {
	v := a.verb("opener.answer", "answer TEXT", func(ctx context.Context, args []string) error {
		if err := a.node().OpenAnswer(ctx, args[0]); err != nil {
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
		a.println(a.say("cli.opener.done"))
		return nil
	})
	v.printsData()
	return v.Command
}

func (a *app) openerAsk() *cobra.Command {
	var user, file string
	v := a.verb("opener.ask", "ask REQUEST", func(ctx context.Context, args []string) error {
		secret, err := a.passphrase(file)
		if err != nil {
			return err
		}
		defer clear(secret)
		asked, err := a.node().AskOpening(ctx, args[0], user, secret)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(asked)
		}
		a.println(a.say("cli.opener.words", "Words", strings.Join(asked.Words, " ")))
		a.hint(a.say("cli.opener.asked", "Site", control.Plain(asked.Site), "ID", asked.ID))
		return nil
	})
	v.need(&user, "user", "USER")
	v.need(&file, "passphrase-file", "FILE")
	v.printsData()
	return v.Command
}

func (a *app) openerConfirm() *cobra.Command {
	var user, file string
	v := a.verb("opener.confirm", "confirm ID", func(ctx context.Context, args []string) error {
		secret, err := a.passphrase(file)
		if err != nil {
			return err
		}
		defer clear(secret)
		answer, err := a.node().ConfirmOpening(ctx, args[0], user, secret)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(map[string]string{"answer": answer})
		}
		a.println(answer)
		return nil
	})
	v.need(&user, "user", "USER")
	v.need(&file, "passphrase-file", "FILE")
	v.printsData()
	return v.Command
}
