package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

// apikeyVerb makes a bearer key for a program. The key is shown this once.
func (a *app) apikeyVerb() *cobra.Command {
	var role, name string
	ttl := 24 * time.Hour
	v := a.verb("apikey", "apikey", func(ctx context.Context, _ []string) error {
		key, err := a.node().IssueKey(ctx, role, name, ttl)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(key)
		}
		a.note(a.say("cli.apikey.made", "Role", key.Role, "Until", minute(key.Expires)))
		a.println(key.Secret)
		return nil
	})
	v.need(&role, "role", "ROLE")
	v.str(&name, "name", "NAME", "")
	v.dur(&ttl, "ttl", ttl)
	v.printsData()
	return v.Command
}
