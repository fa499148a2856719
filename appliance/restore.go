package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/backup"
)

// restoreVerb fills an empty folder with a backup.
func (a *app) restoreVerb() *cobra.Command {
	var file string
	v := a.verb("restore", "restore FILE", func(ctx context.Context, args []string) error {
		passphrase, err := a.passphrase(file)
		if err != nil {
			return err
		}
		ownerOnly()
		unlock, err := lockFolder(a.data)
		if err != nil {
			return err
		}
		defer unlock()
		m := &meter{app: a}
		defer m.end()
		info, err := backup.Restore(ctx, backup.RestoreOptions{
			File: args[0], Dir: a.data, Passphrase: passphrase, Room: room(a.data), Progress: m.show,
		})
		if err != nil {
			return err
		}
		m.end()
		if a.json {
			return a.printJSON(backupFile(args[0], info))
		}
		a.println(a.say("cli.restore.done", "Folder", a.data, "Site", info.Site, "Made", info.Made.Local().Format("2006-01-02 15:04"), "Count", info.Ops))
		a.hint(a.say("cli.restore.next", "Folder", a.data))
		return nil
	})
	v.need(&file, "passphrase-file", "FILE")
	v.printsData()
	return v.Command
}

// reopenVerb lets people be read again at a restored node by the word of two people.
func (a *app) reopenVerb() *cobra.Command {
	var users, secrets [2]string
	v := a.verb("reopen", "reopen", func(ctx context.Context, _ []string) error {
		var passphrases [2][]byte
		for i, file := range secrets {
			var err error
			if passphrases[i], err = a.passphrase(file); err != nil {
				return err
			}
		}
		if err := a.node().Reopen(ctx, users, passphrases); err != nil {
			return err
		}
		if a.json {
			return a.printJSON(map[string]bool{"open": true})
		}
		a.println(a.say("cli.reopen.done"))
		return nil
	})
	v.need(&users[0], "first", "USER")
	v.need(&secrets[0], "first-passphrase-file", "FILE")
	v.need(&users[1], "second", "USER")
	v.need(&secrets[1], "second-passphrase-file", "FILE")
	v.printsData()
	return v.Command
}
