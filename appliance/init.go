package main

import (
	"context"

	"github.com/spf13/cobra"
)

// initVerb starts a new operation in an empty folder.
func (a *app) initVerb() *cobra.Command {
	var o initOptions
	var file string
	v := a.verb("init", "init", func(ctx context.Context, _ []string) error {
		var err error
		if o.Passphrase, err = a.passphrase(file); err != nil {
			return err
		}
		o.Data = a.data
		ownerOnly()
		warn := a.warnGuessable(o.Passphrase)
		if err := initSite(ctx, o); err != nil {
			return err
		}
		defer warn()
		if a.json {
			return a.printJSON(map[string]string{"data": o.Data, "deployment": o.Deployment, "site": o.Site, "lead": o.Lead})
		}
		a.println(a.say("cli.init.done", "Site", o.Site, "Deployment", o.Deployment, "Folder", o.Data))
		if o.RootOut == "" {
			a.hint(a.say("cli.init.root"))
		}
		return nil
	})
	v.need(&o.Deployment, "deployment", "NAME")
	v.need(&o.Site, "site", "NAME")
	v.need(&o.Lead, "lead", "USER")
	v.need(&file, "passphrase-file", "FILE")
	v.str(&o.RecoveryOut, "recovery-out", "FILE", "")
	v.str(&o.RootOut, "root-out", "FILE", "")
	v.printsData()
	return v.Command
}
