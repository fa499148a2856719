package main

import (
	"context"

	"github.com/spf13/cobra"
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
