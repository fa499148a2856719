package main

import (
	"context"
	"slices"

	"github.com/waypost/waypost/appliance/backup"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/ui"
)

// RestoreSite begins to bring back a backup that Backups offers, on a new box. The claim
// and the passphrase are looked at before it returns; BackupState tells how far it is,
// and when it has ended the box is open.
//
// It keeps everybody else from opening the box until the restore has ended.
func (b *box) RestoreSite(_ context.Context, r ui.RestoreSite) (err error) {
	b.opening.Lock()
	began := false
	defer func() {
		if !began {
			b.opening.Unlock()
		}
	}()
	if err := b.stays(); err != nil {
		return err
	}
	if err := b.CheckClaim(r.Claim); err != nil {
		return err
	}
	offered := slices.ContainsFunc(b.Backups(), func(f control.BackupFile) bool { return f.File == r.File })
	if !offered { // no reading of other files through this page
		return fault.New(fault.NotFound, "fault.backup.no_file", "File", r.File)
	}
	if err := backup.Try(files.OS(), r.File, r.Passphrase); err != nil {
		return err
	}
	passphrase := slices.Clone(r.Passphrase)
	began, err = b.transfers.begin(b.ctx, r.File, func(ctx context.Context, progress func(backup.Progress)) (*control.BackupFile, error) {
		defer b.opening.Unlock()
		defer clear(passphrase)
		return b.restore(ctx, r.File, passphrase, progress)
	})
	return err
}

// restore fills the folder and opens it. b.opening is held for it.
func (b *box) restore(ctx context.Context, file string, passphrase []byte, progress func(backup.Progress)) (*control.BackupFile, error) {
	info, err := backup.Restore(ctx, backup.RestoreOptions{File: file, Dir: b.dir, Passphrase: passphrase, Room: room(b.dir), Progress: progress})
	if err != nil {
		return nil, err
	}
	n, err := openFolder(b.ctx, b.dir, passphrase, b.logger)
	if err != nil {
		return nil, err
	}
	b.begin(n, false)
	b.claimCode().use()
	out := backupFile(file, info)
	return &out, nil
}

// Restored says that nobody reads people here: the box came out of a backup, and no
// other post has told yet who was erased since. Nil when everything is as usual.
func (b *box) Restored() *control.Restored {
	n := b.open()
	if n == nil {
		return nil
	}
	return n.restored()
}

func (n *node) restored() *control.Restored {
	n.mu.Lock()
	mark, m := n.mark, n.mesh
	n.mu.Unlock()
	if !mark.Closed {
		return nil
	}
	r := &control.Restored{Made: mark.Made}
	if m != nil {
		r.Peers = len(m.Peers())
	}
	return r
}

// readable ends the time in which nobody reads people.
func (n *node) readable() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	mark := n.mark
	mark.Closed = false
	if err := mark.Save(files.OS(), n.dir); err != nil {
		return err
	}
	n.mark = mark
	if n.mesh != nil {
		n.mesh.Opened()
	}
	return nil
}

// Reopen lets people be read by the word of two people: one whose session has just
// shown their passphrase, and a second one who shows theirs.
func (b *box) Reopen(ctx context.Context, s staff.Session, user string, passphrase []byte) error {
	n, r, err := b.closedNode()
	if err != nil {
		return err
	}
	if err := n.desks.Staff.Reopen(ctx, s, user, passphrase, r.Made); err != nil {
		return err
	}
	return n.readable()
}

// ReopenBoth is Reopen where both show their passphrases.
func (b *box) ReopenBoth(ctx context.Context, users [2]string, passphrases [2][]byte) error {
	n, r, err := b.closedNode()
	if err != nil {
		return err
	}
	if err := n.desks.Staff.ReopenBoth(ctx, users, passphrases, r.Made); err != nil {
		return err
	}
	return n.readable()
}

func (b *box) closedNode() (*node, *control.Restored, error) {
	n := b.open()
	if n == nil {
		return nil, nil, fault.New(fault.Locked, "fault.node.locked")
	}
	r := n.restored()
	if r == nil {
		return nil, nil, fault.New(fault.Conflict, "fault.backup.not_closed")
	}
	return n, r, nil
}

// awaitPeer opens the records as soon as one other post has given everything it has:
// then whoever was erased after the backup is erased here too.
func (b *box) awaitPeer(n *node) {
	changes, stop := n.journal.Watch()
	defer stop()
	for b.open() == n && n.restored() != nil {
		if m := n.Mesh(); m != nil && m.Complete() && !n.journal.Late() {
			if err := n.readable(); err != nil {
				b.logger.Error("the mark of the restore could not be removed", "err", err)
			} else {
				b.logger.Info("another post has given all it has: people can be read again")
				return
			}
		}
		select {
		case <-changes:
		case <-b.clock.After(meshFirst):
		case <-b.ctx.Done():
			return
		}
	}
}
