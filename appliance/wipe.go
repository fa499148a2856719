package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
)

// wipeVerb makes a folder unreadable for ever. The keys go first and by this process
// itself, so that it works on a node that hangs; then the running node is told to forget
// what it has in memory, or where none runs the rest is removed here.
func (a *app) wipeVerb() *cobra.Command {
	var yes bool
	v := a.verb("wipe", "wipe", func(ctx context.Context, _ []string) error {
		if !identity.Exists(a.data) && !identity.Wiped(a.data) {
			return fault.New(fault.NotFound, "fault.node.no_folder", "Folder", a.data)
		}
		if err := a.sureToWipe(yes); err != nil {
			return err
		}
		if err := a.wipe(ctx); err != nil {
			return err
		}
		if a.json {
			return a.printJSON(map[string]any{"data": a.data, "wiped": true})
		}
		a.println(a.say("cli.wipe.done", "Folder", a.data))
		return nil
	})
	v.bool(&yes, "yes")
	v.printsData()
	return v.Command
}

// sureToWipe asks at a terminal for the folder's name or the word wipe; a script says
// --yes.
func (a *app) sureToWipe(yes bool) error {
	if yes {
		return nil
	}
	in, ok := a.in.(*os.File)
	if !ok || !isTerminal(in) {
		return usage("cli.usage.wipe_yes")
	}
	name := folderName(a.data)
	a.note(a.say("cli.wipe.ask", "Folder", a.data, "Name", control.Plain(name)))
	line, err := bufio.NewReader(in).ReadString('\n')
	if typed := strings.TrimSpace(line); err == nil && (typed == name || typed == wipeWord) {
		return nil
	}
	return fault.New(fault.Conflict, "fault.cli.not_wiped")
}

// wipeWord is typed by somebody who means it; the same in every language.
const wipeWord = "wipe"

func folderName(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return filepath.Base(dir)
}

func (a *app) wipe(ctx context.Context) error {
	err := identity.DestroyKeys(a.data)
	told := a.node().Wipe(ctx)
	if !control.IsNotRunning(told) {
		return errors.Join(err, told)
	}
	ownerOnly()
	unlock, lockErr := lockFolder(a.data)
	if lockErr != nil {
		return errors.Join(err, lockErr)
	}
	defer unlock()
	return errors.Join(err, removeRecords(a.data))
}

// Wipe destroys the keys of the folder, closes the node, and removes what is left of the
// records. It is the verb's, which asks nobody: whoever is at this machine can overwrite the
// folder anyhow. Pages and calls go through Destroy. Faults: Denied for all but the lead, NotFound when nothing was started here,
// Conflict "fault.node.practice_lock".
func (b *box) Wipe(_ context.Context, actor staff.Actor) error {
	if err := actor.Must(staff.ManageBox); err != nil {
		return err
	}
	b.logger.Warn("the keys of this folder are being destroyed", "by", actor.ID)
	return b.destroy()
}

// destroy is what Wipe and Destroy come to.
func (b *box) destroy() error {
	return b.ended(func() error {
		err := removeRecords(b.dir)
		claim, claimErr := newClaim(b.clock)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.claim = claim
		return errors.Join(err, claimErr)
	})
}

// records are what a data folder holds besides keys, by name: a folder somebody chose
// may hold other things too, and those are not ours to remove. What is not in this list
// stays, unreadable.
var records = []string{"journal", "views", "chunks", "letterbox", "drafts", "restoring", "restored", "place", "backup.json", "peers.json", "peers.json.bad", "emergency", "emergency.2", "sealed"}

// removeRecords removes what was encrypted under keys that are gone. It may take a while
// and nothing depends on it.
func removeRecords(dir string) error {
	var errs []error
	for _, name := range records {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}
