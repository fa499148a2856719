package main

import (
	"context"

	"github.com/spf13/cobra"
)

// unlockVerb opens a running, locked node.
func (a *app) unlockVerb() *cobra.Command {
	var file string
	v := a.verb("unlock", "unlock", func(ctx context.Context, _ []string) error {
		passphrase, err := a.passphrase(file)
		if err != nil {
			return err
		}
		if err := a.node().Unlock(ctx, passphrase); err != nil {
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
	v.need(&file, "passphrase-file", "FILE")
	v.printsData()
	return v.Command
}
