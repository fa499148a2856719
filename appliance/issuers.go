package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waypost/waypost/appliance/control"
)

// issuersVerb lists who can let boxes in.
func (a *app) issuersVerb() *cobra.Command {
	v := a.verb("issuers", "issuers", func(ctx context.Context, _ []string) error {
		all, err := a.node().Issuers(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(map[string]any{"items": all})
		}
		for _, i := range all {
			key := "cli.issuers.line"
			switch {
			case i.Revoked:
				key = "cli.issuers.revoked"
			case i.Own:
				key = "cli.issuers.own"
			}
			sites := control.Plain(strings.Join(i.Sites, ", "))
			if sites == "" {
				sites = a.say("cli.issuers.nowhere")
			}
			a.println(a.say(key, "ID", i.ID, "Sites", sites))
			if i.Words > 0 && !i.Revoked {
				a.println(a.say("cli.issuers.asked", "Count", i.Words))
			}
		}
		return nil
	})
	v.printsData()
	return v.Command
}

// revokeIssuerVerb says that an issuer is one no more: two people at a box with an issuer, or
// with the root's sheet at any.
func (a *app) revokeIssuerVerb() *cobra.Command {
	var users, files [2]string
	var root string
	v := a.verb("revoke-issuer", "revoke-issuer ISSUER", func(ctx context.Context, args []string) error {
		var secrets [2][]byte
		var sheet []byte
		var err error
		for i, file := range files {
			if secrets[i], err = a.passphrase(file); err != nil {
				return err
			}
			defer clear(secrets[i])
		}
		if root != "" {
			if sheet, err = readWhole(root, maxSheetFile); err != nil {
				return err
			}
			defer clear(sheet)
		}
		i, err := a.node().RevokeIssuer(ctx, args[0], users, secrets, sheet)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(i)
		}
		if i.Revoked {
			a.println(a.say("cli.revoke-issuer.done"))
		} else {
			a.println(a.say("cli.revoke-issuer.waits"))
		}
		return nil
	})
	v.need(&users[0], "first", "USER")
	v.need(&files[0], "first-passphrase-file", "FILE")
	v.need(&users[1], "second", "USER")
	v.need(&files[1], "second-passphrase-file", "FILE")
	v.str(&root, "root", "FILE", "")
	v.printsData()
	return v.Command
}
