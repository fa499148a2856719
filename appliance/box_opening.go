package main

import (
	"context"
	"errors"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// unlockAnswer is how long whoever opens a box waits for its records; where they have
// to be read again the answer is that this has begun.
const unlockAnswer = 2 * time.Second

// Unlock opens a locked box with any of its passphrases, or with what its key file
// holds, and starts its mesh. When the records have to be read again it returns before
// that is done: the state is "opening" until then.
func (b *box) Unlock(_ context.Context, secret []byte) error {
	done, err := b.unlock(secret)
	if err != nil || done == nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-b.clock.After(unlockAnswer):
		return nil
	}
}

// unlock begins to open the box, and then files what it took in while it was locked; done
// says how opening ended, and is nil when the box is
// open or being opened already. The secret is no longer needed when it returns.
func (b *box) unlock(secret []byte) (done <-chan error, err error) {
	if b.reading.Load() != nil {
		return nil, nil
	}
	b.opening.Lock()
	vault, err := b.unlockVault(secret)
	if err != nil || vault == nil {
		b.opening.Unlock()
		return nil, err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	b.mu.Lock()
	b.giveUp = cancel
	b.mu.Unlock()
	b.reading.Store(&oplog.Progress{})
	stick := stickOf(secret)
	ended := make(chan error, 1)
	go func() {
		defer b.opening.Unlock()
		n, err := b.read(ctx, vault)
		b.reading.Store(nil)
		if err == nil {
			b.fileLetters(ctx, n)
			if stick != "" {
				go b.lockWhenPulled(n, stick)
			}
		}
		b.mu.Lock()
		b.giveUp = nil
		b.mu.Unlock()
		ended <- err
	}()
	return ended, nil
}

// unlockVault opens the keys; nil when the box is open already. The caller holds
// b.opening.
func (b *box) unlockVault(secret []byte) (*identity.Vault, error) {
	if err := b.stays(); err != nil {
		return nil, err
	}
	switch b.State() {
	case "new":
		if identity.Wiped(b.dir) {
			return nil, fault.New(fault.Gone, "fault.identity.wiped")
		}
		return nil, fault.New(fault.NotFound, "fault.node.no_folder", "Folder", b.dir)
	case "open", "read-only":
		return nil, nil
	}
	return identity.Unlock(b.dir, b.clock, secret)
}

// read opens the records and puts the node to work. The caller holds b.opening.
func (b *box) read(ctx context.Context, vault *identity.Vault) (*node, error) {
	n, err := openVault(ctx, b.dir, vault, b.logger, openOptions{tell: b.tell})
	if err == nil && ctx.Err() != nil { // given up in the last moment
		err = errors.Join(ctx.Err(), n.Close())
	}
	if err != nil {
		b.logger.Error("the box was not opened", "err", err)
		return nil, err
	}
	b.begin(n, false)
	return n, nil
}

// stopOpening gives up an opening that is under way: whoever locks, wipes or stops a box
// does not wait until its records are read.
func (b *box) stopOpening() {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.giveUp != nil {
		b.giveUp()
	}
}

// tell keeps how far reading the journal again is, and logs every tenth.
func (b *box) tell(p oplog.Progress) {
	old := b.reading.Load()
	if old != nil { // while the box is opened
		b.reading.Store(&p)
	}
	if old == nil || p.Percent/10 > old.Percent/10 {
		b.logger.Info("reading the journal again", "percent", p.Percent, "phase", string(p.Phase), "done", p.Done, "of", p.Total)
	}
}

// notOpen is why there is no open node.
func (b *box) notOpen() error {
	if b.State() == "opening" {
		return fault.New(fault.Unavailable, "fault.api.opening")
	}
	return fault.New(fault.Locked, "fault.node.locked")
}

// rebuilding is how far reading the journal again is, nil when nobody does.
func (b *box) rebuilding() *control.Rebuild {
	p := b.reading.Load()
	if n := b.open(); n != nil {
		p = nil
		if now, ok := n.journal.Rebuilding(); ok {
			p = &now
		}
	}
	if p == nil {
		return nil
	}
	r := rebuildOf(*p)
	return &r
}

func rebuildOf(p oplog.Progress) control.Rebuild {
	return control.Rebuild{Phase: string(p.Phase), Done: p.Done, Total: p.Total, Percent: p.Percent}
}

// Rebuild throws the views away and reads the journal again. Pages go on showing the
// old views until the new ones are there; what is saved meanwhile waits.
func (b *box) Rebuild(ctx context.Context) (control.Rebuilt, error) {
	n := b.open()
	if n == nil {
		return control.Rebuilt{}, b.notOpen()
	}
	began := b.clock.Now()
	if err := n.journal.Rebuild(ctx); err != nil {
		return control.Rebuilt{}, err
	}
	return n.rebuilt(ctx, b.clock.Now().Sub(began))
}

// rebuilt counts what a rebuild left.
func (n *node) rebuilt(ctx context.Context, took time.Duration) (control.Rebuilt, error) {
	if err := n.desks.Registration.Filled(ctx); err != nil {
		return control.Rebuilt{}, err
	}
	counts, err := n.desks.Registration.Counts(ctx)
	return control.Rebuilt{
		Ops: n.journal.Stats().Ops, People: uint64(counts.People), Households: uint64(counts.Households), //nolint:gosec // counts
		Seconds: took.Seconds(),
	}, err
}
