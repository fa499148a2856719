package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
)

// slotsVerb looks after the ways to open a box: of the running, open node, or of a
// closed folder with one of them.
func (a *app) slotsVerb() *cobra.Command {
	return a.group("slots", a.slotsList(), a.slotsStick(), a.slotsWords(), a.slotsRecovery(), a.slotsRemove())
}

func (a *app) slotsList() *cobra.Command {
	v := a.verb("slots.list", "list", func(ctx context.Context, _ []string) error {
		kinds, err := a.node().Slots(ctx)
		if control.IsNotRunning(err) {
			kinds, err = folderWays(a.data)
		}
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(append([]string{}, kinds...))
		}
		for _, kind := range kinds {
			a.println(kind)
		}
		return nil
	})
	v.printsData()
	return v.Command
}

// folderWays lists the ways to open a folder no node serves.
func folderWays(dir string) ([]string, error) {
	if !identity.Exists(dir) {
		return nil, fault.New(fault.NotFound, "fault.node.no_folder", "Folder", dir)
	}
	return identity.Ways(dir)
}

func (a *app) slotsStick() *cobra.Command {
	return a.slotsFile("add-stick", identity.SlotStick)
}

func (a *app) slotsRecovery() *cobra.Command {
	return a.slotsFile("recovery", identity.SlotRecovery)
}

// slotsFile makes a way that goes into a file.
func (a *app) slotsFile(name, kind string) *cobra.Command {
	var out string
	var k opener
	v := a.verb("slots."+name, name, func(ctx context.Context, _ []string) error {
		made, err := a.addSlot(ctx, kind, k)
		if err != nil {
			return err
		}
		// The way is there already: a file that cannot be written is made again by the
		// same verb, and until then the other ways open the box.
		if err := writeFile(out, []byte(made.Secret)); err != nil {
			return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", out).Wrap(err)
		}
		if a.json {
			return a.printJSON(map[string]string{"kind": kind, "file": out})
		}
		a.println(a.say("cli.slots.written", "File", out))
		return nil
	})
	v.need(&out, "out", "FILE")
	k.flags(v)
	v.printsData()
	return v.Command
}

func (a *app) slotsWords() *cobra.Command {
	var k opener
	v := a.verb("slots.add-words", "add-words", func(ctx context.Context, _ []string) error {
		made, err := a.addSlot(ctx, identity.SlotWords, k)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(made)
		}
		a.hint(a.say("cli.slots.words"))
		a.println(made.Secret)
		return nil
	})
	k.flags(v)
	v.printsData()
	return v.Command
}

func (a *app) slotsRemove() *cobra.Command {
	var k opener
	v := a.verb("slots.remove", "remove KIND", func(ctx context.Context, args []string) error {
		err := a.node().RemoveSlot(ctx, args[0])
		if control.IsNotRunning(err) {
			err = a.withVault(k, func(v *identity.Vault) error { return v.RemoveSlot(args[0]) })
		}
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(map[string]any{"kind": args[0], "removed": true})
		}
		a.println(a.say("cli.slots.removed", "Kind", args[0]))
		return nil
	})
	k.flags(v)
	v.printsData()
	return v.Command
}

func (a *app) addSlot(ctx context.Context, kind string, k opener) (made control.Slot, err error) {
	made, err = a.node().AddSlot(ctx, kind)
	if control.IsNotRunning(err) {
		err = a.withVault(k, func(v *identity.Vault) error {
			made, err = makeSlot(v, kind)
			return err
		})
	}
	return made, err
}

// withVault opens the keys of a folder no node serves.
func (a *app) withVault(k opener, fn func(*identity.Vault) error) error {
	if !identity.Exists(a.data) {
		return fault.New(fault.NotFound, "fault.node.no_folder", "Folder", a.data)
	}
	secret, err := k.secret(a)
	if err != nil {
		return err
	}
	defer clear(secret)
	ownerOnly()
	unlock, err := lockFolder(a.data)
	if err != nil {
		return err
	}
	defer unlock()
	vault, err := identity.Unlock(a.data, clock.System(), secret)
	if err != nil {
		return err
	}
	defer vault.Close()
	return fn(vault)
}

// makeSlot adds a way of one of the kinds that are made and not chosen.
func makeSlot(v *identity.Vault, kind string) (control.Slot, error) {
	made := control.Slot{Kind: kind}
	var err error
	switch kind {
	case identity.SlotWords:
		made.Secret, err = v.MoreWords()
	case identity.SlotRecovery:
		made.Secret, err = v.Recovery()
	case identity.SlotStick:
		var k identity.KeyFile
		k, err = v.KeyStick()
		made.Secret, made.File = string(k.Text()), k.Name()
	default:
		err = fault.New(fault.Invalid, "fault.identity.slot_kind").With("kind", "fault.identity.slot_kind")
	}
	if err != nil {
		return control.Slot{}, err
	}
	return made, nil
}

// opener says how a locked box is opened: by words in a file or by a key file.
type opener struct{ passphraseFile, keyFile string }

func (k *opener) flags(v *verb) {
	v.str(&k.passphraseFile, "passphrase-file", "FILE", "")
	v.str(&k.keyFile, "key-file", "FILE", "")
}

// secret reads whichever was given.
func (k *opener) secret(a *app) ([]byte, error) {
	switch {
	case k.keyFile != "":
		return readKeyFile(k.keyFile)
	case k.passphraseFile == "":
		return nil, usage("cli.usage.flag_missing", "Flag", "--passphrase-file", "Variable", variable("passphrase-file"))
	}
	return a.passphrase(k.passphraseFile)
}

// readKeyFile refuses at once what is no key file, so that its bytes are not tried as a
// passphrase.
func readKeyFile(path string) ([]byte, error) {
	secret, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	_, err = identity.ParseKeyFile(secret)
	return secret, err
}

// Slots lists the ways to open this box.
func (b *box) Slots(_ context.Context, actor staff.Actor) ([]string, error) {
	if err := actor.Must(staff.ManageBox); err != nil {
		return nil, err
	}
	return folderWays(b.dir)
}

// AddSlot makes one more way to open the box; an earlier one of the kind stops working.
func (b *box) AddSlot(_ context.Context, actor staff.Actor, kind string) (control.Slot, error) {
	n, err := b.keeper(actor)
	if err != nil {
		return control.Slot{}, err
	}
	return makeSlot(n.vault, kind)
}

// RemoveSlot takes one away, never the last.
func (b *box) RemoveSlot(_ context.Context, actor staff.Actor, kind string) error {
	n, err := b.keeper(actor)
	if err != nil {
		return err
	}
	return n.vault.RemoveSlot(kind)
}

func (b *box) keeper(actor staff.Actor) (*node, error) {
	if err := actor.Must(staff.ManageBox); err != nil {
		return nil, err
	}
	n := b.open()
	switch {
	case n == nil:
		return nil, b.notOpen()
	case b.practice():
		return nil, fault.New(fault.Conflict, "fault.node.practice_lock")
	}
	return n, nil
}
