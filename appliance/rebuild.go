package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// askEvery is how often a running node is asked how far it is.
const askEvery = 300 * time.Millisecond

// rebuildVerb throws the views away and makes them anew from the journal: at the
// running node through its socket, in a closed folder with a passphrase.
func (a *app) rebuildVerb() *cobra.Command {
	var file string
	v := a.verb("rebuild", "rebuild", func(ctx context.Context, _ []string) error {
		r, err := a.rebuild(ctx, file)
		if err != nil {
			return err
		}
		if a.json {
			return a.printJSON(r)
		}
		a.println(a.say("cli.rebuild.done", "Count", r.Ops, "People", r.People, "Households", r.Households))
		return nil
	})
	v.str(&file, "passphrase-file", "FILE", "")
	v.printsData()
	return v.Command
}

func (a *app) rebuild(ctx context.Context, file string) (control.Rebuilt, error) {
	if _, err := a.node().Status(ctx); err == nil {
		return a.rebuildRunning(ctx)
	} else if !control.IsNotRunning(err) {
		return control.Rebuilt{}, err
	}
	switch {
	case !identity.Exists(a.data):
		return control.Rebuilt{}, fault.New(fault.NotFound, "fault.node.no_folder", "Folder", a.data)
	case file == "":
		return control.Rebuilt{}, fault.New(fault.Locked, "fault.cli.rebuild_closed", "Folder", a.data)
	}
	passphrase, err := a.passphrase(file)
	if err != nil {
		return control.Rebuilt{}, err
	}
	return a.rebuildClosed(ctx, passphrase)
}

// rebuildRunning asks the node to do it, and how far it is while it does.
func (a *app) rebuildRunning(ctx context.Context) (r control.Rebuilt, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, err = a.node().Rebuild(ctx)
	}()
	p := progressLines{a: a, last: -1}
	for {
		select {
		case <-done:
			return r, err
		case <-clock.System().After(askEvery):
			if s, serr := a.node().Status(ctx); serr == nil && s.Rebuild != nil {
				p.show(*s.Rebuild)
			}
		}
	}
}

// rebuildClosed does it in a folder no node serves.
func (a *app) rebuildClosed(ctx context.Context, passphrase []byte) (r control.Rebuilt, err error) {
	ownerOnly()
	unlock, err := lockFolder(a.data)
	if err != nil {
		return r, err
	}
	defer unlock()
	vault, err := identity.Unlock(a.data, clock.System(), passphrase)
	if err != nil {
		return r, err
	}
	p := progressLines{a: a, last: -1}
	began := clock.System().Now()
	n, err := openVault(ctx, a.data, vault, slog.New(slog.DiscardHandler), openOptions{
		rebuild: true, tell: func(now oplog.Progress) { p.show(rebuildOf(now)) },
	})
	if err != nil {
		return r, err
	}
	r, err = n.rebuilt(ctx, clock.System().Now().Sub(began))
	return r, errors.Join(err, n.Close())
}

// progressLines tells the person how far reading the journal again is: a line when it
// begins, and one for every tenth.
type progressLines struct {
	a    *app
	last int // tenth
}

func (p *progressLines) show(r control.Rebuild) {
	if tenth := r.Percent / 10; tenth > p.last {
		p.last = tenth
		p.a.note(p.a.say("cli.rebuild.progress", "Percent", r.Percent))
	}
}
