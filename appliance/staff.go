package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/control"
)

// staffVerb looks after the people who work at the site of a running node.
func (a *app) staffVerb() *cobra.Command {
	return a.group("staff", a.staffAdd(), a.staffList(), a.staffDisable(), a.staffSessions())
}

// staffAdd makes an account. Its passphrase comes from a file, or the node draws five
// words, which are printed this once.
func (a *app) staffAdd() *cobra.Command {
	var user, role, file string
	var words bool
	v := a.verb("staff.add", "add", func(ctx context.Context, _ []string) error {
		if !words && file == "" {
			return usage("cli.usage.flag_missing", "Flag", "--passphrase-file", "Variable", variable("passphrase-file"))
		}
		var passphrase []byte
		warn := func() {}
		if !words {
			var err error
			if passphrase, err = a.passphrase(file); err != nil {
				return err
			}
			warn = a.warnGuessable(passphrase)
		}
		account, err := a.node().AddAccount(ctx, user, role, passphrase)
		if err != nil {
			return err
		}
		defer warn()
		if a.json {
			return a.printJSON(account)
		}
		a.println(a.say("cli.staff.added", "User", control.Plain(account.User), "Role", account.Role))
		if account.Words != "" {
			a.println(account.Words)
		}
		return nil
	})
	v.need(&user, "user", "USER")
	v.need(&role, "role", "ROLE")
	v.str(&file, "passphrase-file", "FILE", "")
	v.bool(&words, "words")
	v.printsData()
	return v.Command
}

// staffSessions lists who is signed in at the node, or ends one of the sessions.
func (a *app) staffSessions() *cobra.Command {
	var end string
	v := a.verb("staff.sessions", "sessions", func(ctx context.Context, _ []string) error {
		if end != "" {
			if err := a.node().EndSession(ctx, end); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"id": end, "ended": true})
			}
			a.println(a.say("cli.staff.ended"))
			return nil
		}
		sessions, err := a.node().Sessions(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(append([]control.SignedIn{}, sessions...))
		}
		t := a.table("cli.staff.session", "cli.staff.user", "cli.staff.device", "cli.staff.since", "cli.staff.last")
		for _, s := range sessions {
			t.row(s.ID, s.User, s.Device, day(s.Started), s.Used.Local().Format("2006-01-02 15:04"))
		}
		t.print(a.out)
		return nil
	})
	v.str(&end, "end", "ID", "")
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
