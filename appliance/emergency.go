package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/identity"
)

// emergencyVerb says what the running node may do to its own keys in an emergency, and
// decides it: less by one person, more by two where there are two.
func (a *app) emergencyVerb() *cobra.Command {
	return a.group("emergency", a.emergencyStatus(), a.emergencySet())
}

func (a *app) emergencyStatus() *cobra.Command {
	v := a.verb("emergency.status", "status", func(ctx context.Context, _ []string) error {
		e, err := a.node().Emergency(ctx)
		if err != nil {
			return err
		}
		return a.emergencySays(e)
	})
	v.printsData()
	return v.Command
}

func (a *app) emergencySays(e control.Emergency) error {
	if a.json {
		return a.printJSON(e)
	}
	a.println(a.say("cli.emergency.mode." + e.Mode))
	if e.Asked != "" {
		a.println(a.say("cli.emergency.waits", "Name", control.Plain(e.Asked)))
	}
	return nil
}

func (a *app) emergencySet() *cobra.Command {
	var users, files [2]string
	v := a.verb("emergency.set", "set MODE", func(ctx context.Context, args []string) error {
		if _, err := identity.ParseEmergency(args[0]); err != nil {
			return err
		}
		if (users[1] == "") != (files[1] == "") {
			return usage("cli.usage.emergency_second")
		}
		var secrets [2][]byte
		for i, file := range files {
			if file == "" {
				continue
			}
			secret, err := a.passphrase(file)
			if err != nil {
				return err
			}
			secrets[i] = secret
			defer clear(secret)
		}
		e, err := a.node().SetEmergency(ctx, args[0], users, secrets)
		if err != nil {
			return err
		}
		return a.emergencySays(e)
	})
	v.need(&users[0], "first", "USER")
	v.need(&files[0], "first-passphrase-file", "FILE")
	v.str(&users[1], "second", "USER", "")
	v.str(&files[1], "second-passphrase-file", "FILE", "")
	v.printsData()
	return v.Command
}
