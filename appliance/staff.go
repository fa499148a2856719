package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/control"
)

// staffVerb looks after the people who work at the site of a running node.
func (a *app) staffVerb() *cobra.Command {
	return a.group("staff", a.staffAdd(), a.staffList(), a.staffDisable())
}

func (a *app) staffAdd() *cobra.Command {
	var user, role, file string
	v := a.verb("staff.add", "add", func(ctx context.Context, _ []string) error {
		passphrase, err := a.passphrase(file)
		if err != nil {
			return err
		}
		warn := a.warnGuessable(passphrase)
		account, err := a.node().AddAccount(ctx, user, role, passphrase)
		if err != nil {
			return err
		}
		defer warn()
		if a.json {
			return a.printJSON(account)
		}
		a.println(a.say("cli.staff.added", "User", control.Plain(account.User), "Role", account.Role))
		return nil
	})
	v.need(&user, "user", "USER")
	v.need(&role, "role", "ROLE")
	v.need(&file, "passphrase-file", "FILE")
	v.printsData()
	return v.Command
}

func (a *app) staffList() *cobra.Command {
	v := a.verb("staff.list", "list", func(ctx context.Context, _ []string) error {
		accounts, err := a.node().Accounts(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(append([]control.Account{}, accounts...))
		}
		t := a.table("cli.staff.user", "cli.staff.role", "cli.staff.site", "cli.staff.since", "")
		for _, c := range accounts {
			state := ""
			if c.Disabled {
				state = a.say("cli.staff.is_disabled")
			}
			t.row(c.User, c.Role, c.Site, day(c.Since), state)
		}
		t.print(a.out)
		return nil
	})
	v.printsData()
	return v.Command
}

func (a *app) staffDisable() *cobra.Command {
	var user string
	v := a.verb("staff.disable", "disable", func(ctx context.Context, _ []string) error {
		if err := a.node().DisableAccount(ctx, user); err != nil {
			return err
		}
		if a.json {
			return a.printJSON(map[string]any{"user": user, "disabled": true})
		}
		a.println(a.say("cli.staff.disabled", "User", user))
		return nil
	})
	v.need(&user, "user", "USER")
	v.printsData()
	return v.Command
}
