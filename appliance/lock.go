package main

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

// lockVerb locks a running node at once; with --destroy it destroys its keys, too, where
// that was decided before.
func (a *app) lockVerb() *cobra.Command {
	var destroy bool
	v := a.verb("lock", "lock", func(ctx context.Context, _ []string) error {
		if destroy {
			return a.lockAndDestroy(ctx)
		}
		if err := a.node().Lock(ctx); err != nil && fault.ClassOf(err) != fault.Locked { // it is locked already
			return err
		}
		if a.json {
			return a.printJSON(map[string]string{"state": "locked"})
		}
		a.println(a.say("cli.lock.done"))
		return nil
	})
	v.bool(&destroy, "destroy")
	v.printsData()
	return v.Command
}

func (a *app) lockAndDestroy(ctx context.Context) error {
	if err := a.node().Destroy(ctx); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{"state": "new", "wiped": true})
	}
	a.println(a.say("cli.wipe.done", "Folder", a.data))
	return nil
}

// Lock closes the open node: from the first moment nobody finds it any more, then the
// sessions end, the mesh stops, the journal gets its closing record, views and vault are
// closed and the keys overwritten. A command under way is finished or refused, never
// half done. What the program itself still remembers of people goes with its memory (see
// renewal.go). Locking a locked box is fine. Faults: NotFound when nothing was started
// here, Conflict "fault.node.practice_lock".
func (b *box) Lock(context.Context) error {
	b.stopOpening()
	b.opening.Lock()
	defer b.opening.Unlock()
	switch {
	case b.State() == "new":
		return fault.New(fault.NotFound, "fault.node.no_folder", "Folder", b.dir)
	case b.practice():
		return fault.New(fault.Conflict, "fault.node.practice_lock")
	}
	if b.shut() {
		b.renew()
	}
	if b.stays() == nil { // a new process does so by itself
		b.doze()
	}
	return nil
}

// shut closes the node that is open, if any. The caller holds b.opening.
func (b *box) shut() (was bool) {
	b.mu.Lock()
	n := b.node
	b.node = nil
	b.mu.Unlock()
	if n == nil {
		return false
	}
	b.transfers.stop() // a backup reads the folder with the keys that end now
	b.carried.stop()
	if err := n.Close(); err != nil {
		b.logger.Error("closing the folder", "err", err)
	}
	b.web.Lock()
	return true
}

// renew asks for fresh memory: serve replaces the process, where it can and where this
// box is served by one. Otherwise what is free goes back to the system, which clears it.
func (b *box) renew() {
	b.mu.RLock()
	r := b.renewal
	b.mu.RUnlock()
	if r != nil && r.begin(b.logger) {
		b.mu.Lock()
		b.leaving = true
		b.mu.Unlock()
		return
	}
	debug.FreeOSMemory()
}

// stays is a fault while this process is being replaced: what is opened now would be
// closed in a moment.
func (b *box) stays() error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.leaving {
		return fault.New(fault.Busy, "fault.node.locking")
	}
	return nil
}

// ended runs do on the folder of a box that is closed meanwhile and stays so. It is for
// what ends a folder.
func (b *box) ended(do func() error) error {
	b.stopOpening()
	b.opening.Lock()
	defer b.opening.Unlock()
	if b.practice() {
		return fault.New(fault.Conflict, "fault.node.practice_lock")
	}
	if !identity.Exists(b.dir) && !identity.Wiped(b.dir) {
		return fault.New(fault.NotFound, "fault.node.no_folder", "Folder", b.dir)
	}
	err := identity.DestroyKeys(b.dir) // first: closing a node may take seconds
	b.wake()
	b.shut()
	err = errors.Join(err, do(), b.web.Reset())
	b.renew()
	return err
}
