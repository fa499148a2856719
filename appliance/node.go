package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/waypost/waypost/appliance/backup"
	"github.com/waypost/waypost/appliance/badgerstore"
	"github.com/waypost/waypost/appliance/chunks"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/station"
	"github.com/waypost/waypost/mesh"
)

// node is one opened data folder: the vault, the journal with its views, the
// desks, and while it serves, the mesh. It is put together here and nowhere
// else; openFolder reads top to bottom, Close undoes it in reverse.
type node struct {
	dir     string
	clock   clock.Clock
	logger  *slog.Logger
	vault   *identity.Vault
	store   *badgerstore.Store
	journal *oplog.Log
	chunks  *chunks.Store
	lonely  lonely // what no other node is known to hold
	desks   *station.Station
	tidy    func() // ends the upkeep of chunks and waits for it

	emergency     *identity.EmergencyFile // what may destroy its keys
	emergencyLost bool                    // what was decided about that could not be read

	records recordsLeft // of the letterbox

	copied bool // the folder was copied or moved since it was last open

	mu       sync.Mutex // guards the rest
	mesh     *mesh.Mesh
	erased   func() // ends the destroying of what was erased; nil before it runs
	trusting func() // ends keepTrust; nil before it runs
	merging  func() // ends mergeRecords; nil before it runs
	closed   bool
	mark     backup.Mark // of the backup this folder came out of
}

// errNodeClosed is for those who want the mesh of a node that is closed already.
var errNodeClosed = errors.New("the folder is closed")

// openFolder opens the data folder dir with any of its passphrases. The caller
// holds the folder's lock (lockFolder). Faults: NotFound when nothing was started
// here, Denied for a wrong passphrase.
func openFolder(ctx context.Context, dir string, passphrase []byte, logger *slog.Logger) (*node, error) {
	if !identity.Exists(dir) && !identity.Wiped(dir) {
		return nil, fault.New(fault.NotFound, "fault.node.no_folder", "Folder", dir)
	}
	vault, err := identity.Unlock(dir, clock.System(), passphrase)
	if err != nil {
		return nil, err
	}
	return openVault(ctx, dir, vault, logger, openOptions{})
}

// openOptions is what some openers want besides.
type openOptions struct {
	rebuild bool                 // throw the views away
	tell    func(oplog.Progress) // told how far reading the journal again is
}

// openVault puts the node together on an open vault.
func openVault(ctx context.Context, dir string, vault *identity.Vault, logger *slog.Logger, o openOptions) (n *node, err error) {
	n = &node{dir: dir, clock: clock.System(), logger: logger, vault: vault}
	if !vault.KeysLocked() {
		logger.Warn("the system does not let the keys be locked in memory: they may reach the swap (ulimit -l)")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
			n = nil
		}
	}()
	if n.store, err = badgerstore.Open(filepath.Join(dir, "views"), vault.Subkey("views"), logger.With("part", "views")); err != nil {
		return n, err
	}
	n.readEmergency()
	sizes := badgerstore.SizesFor(dir)
	var settle func() error
	n.copied, settle = moved(dir)
	n.mark, _ = backup.ReadMark(files.OS(), dir)
	if n.journal, err = oplog.Open(ctx, oplog.Options{
		Dir: filepath.Join(dir, "journal"), Store: n.store, Authority: vault, StorageKey: vault.Subkey("journal"),
		Clock: n.clock, Logger: logger.With("part", "oplog"), Kinds: station.Kinds(), Views: station.Views(),
		MinFree: sizes.Floor, Ballast: sizes.Ballast, NewLog: n.mark.NewLog || n.copied,
		Rebuild: o.rebuild, Progress: o.tell, Later: true, Strain: strain,
	}); err != nil {
		return n, err
	}
	n.arrived(settle)
	n.chunks = openChunks(dir, vault, n.clock, logger)
	n.desks, err = station.Open(ctx, station.Options{
		Log: n.journal, Vault: vault, Dir: dir, Clock: n.clock, Logger: logger, Chunks: n.chunks,
	})
	if err == nil && n.chunks != nil {
		n.tidy = keepChunks(n.chunks)
	}
	return n, err
}

// readEmergency finds out what may destroy the keys of this folder. Where that cannot be
// read, nothing may; the box works on.
func (n *node) readEmergency() {
	var err error
	if n.emergency, err = identity.OpenEmergency(n.dir, n.vault.Subkey); err != nil {
		n.logger.Error("the setting for an emergency", "err", err)
		n.emergencyLost = fault.ClassOf(err) == fault.Internal
	}
}

// arrived notes that the journal has its new log, where it needed one. A disk that takes
// no writes puts that off: the next start opens one more.
func (n *node) arrived(settle func() error) {
	if n.journal.Stats().ReadOnly {
		return
	}
	err := settle()
	if n.mark.NewLog {
		mark := n.mark
		mark.NewLog = false
		if e := mark.Save(files.OS(), n.dir); e == nil {
			n.mark = mark
		} else {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		n.logger.Warn("the place of the folder could not be written down", "err", err)
	}
}

// startMesh lets the other nodes in and goes looking for them.
func (n *node) startMesh(ctx context.Context, listen, advertise string, link linkSetting) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errNodeClosed
	}
	var pieces mesh.Pieces
	if n.chunks != nil {
		pieces = n.chunks
	}
	m, err := mesh.Start(ctx, mesh.Config{
		Vault: n.vault, Log: n.journal, Desk: n.desks.Identity, Clock: n.clock,
		Logger: n.logger.With("part", "mesh"), Listen: listen, Advertise: advertise, Dir: n.dir,
		Pieces: pieces, Closed: n.mark.Closed, Link: link.profile(), Discover: link.discovers(listen),
	})
	if err != nil {
		return err
	}
	n.mesh = m
	return nil
}

// startErasing lets the node destroy what was erased, when its time has come. Only a
// node that serves does: a verb on a closed folder is not running time.
func (n *node) startErasing(ctx context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.erased != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.desks.Staff.RunErasures(ctx, n.logger.With("part", "erasures"))
	}()
	n.erased = func() { cancel(); <-done }
}

// Mesh is the running mesh, nil on a closed folder.
func (n *node) Mesh() *mesh.Mesh {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mesh
}

// Close ends the sessions, stops the mesh, closes journal and views, and overwrites the
// keys. Safe on a half-built node.
func (n *node) Close() error {
	n.mu.Lock()
	m, erased, trusting, merging := n.mesh, n.erased, n.trusting, n.merging
	n.closed = true
	n.mu.Unlock()
	var errs []error
	if erased != nil {
		erased()
	}
	if merging != nil {
		merging()
	}
	if trusting != nil {
		trusting()
	}
	if n.desks != nil {
		errs = append(errs, n.desks.Close())
	}
	if m != nil {
		errs = append(errs, m.Close())
	}
	if n.tidy != nil {
		n.tidy()
	}
	if n.journal != nil {
		errs = append(errs, n.journal.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	if n.emergency != nil {
		n.emergency.Forget()
	}
	n.vault.Close()
	return errors.Join(errs...)
}

// initOptions are what `waypost init` and the first page ask.
type initOptions struct {
	Data, Deployment, Site, Lead string
	Passphrase                   []byte
	RecoveryOut, RootOut         string // empty: not written; the root stays under the storage key
}

// initSite starts a new deployment in an empty folder: root, issuer, node number
// 1, the first lead. The folder's lock must be free.
func initSite(ctx context.Context, o initOptions) error {
	unlock, err := lockFolder(o.Data)
	if err != nil {
		return err
	}
	defer unlock()
	n, err := startSite(ctx, o, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return n.Close()
}

// startSite is initSite on a folder whose lock is held, and leaves the node open.
func startSite(ctx context.Context, o initOptions, logger *slog.Logger) (*node, error) {
	if identity.Exists(o.Data) {
		return nil, fault.New(fault.Conflict, "fault.node.folder_used", "Folder", o.Data)
	}
	if err := staff.CheckNew(o.Lead, o.Passphrase); err != nil {
		return nil, err // before anything is on the disk
	}
	vault, sheet, err := identity.Start(o.Data, clock.System(), identity.StartOptions{
		Deployment: o.Deployment, Site: o.Site, Passphrase: o.Passphrase, KeepRoot: true,
	})
	if err != nil {
		return nil, err
	}
	if err := writeKits(vault, sheet, o); err != nil {
		return nil, err
	}
	return addLead(ctx, o.Data, vault, o.Lead, o.Passphrase, logger)
}

// writeKits writes the recovery kit and the root sheet where asked. The root
// leaves the box only after its sheet is safely on paper's way: a failed write
// keeps it.
func writeKits(vault *identity.Vault, sheet identity.RootSheet, o initOptions) error {
	if o.RecoveryOut != "" {
		kit, err := vault.Recovery()
		if err != nil {
			return err
		}
		if err := writeFile(o.RecoveryOut, []byte(kit)); err != nil {
			return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", o.RecoveryOut).Wrap(err)
		}
	}
	if o.RootOut == "" {
		return nil
	}
	if err := writeFile(o.RootOut, sheet.Text()); err != nil {
		return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", o.RootOut).Wrap(err)
	}
	return vault.ForgetRoot()
}

// addLead opens a new vault's folder and gives it its first lead.
func addLead(ctx context.Context, dir string, vault *identity.Vault, lead string, passphrase []byte, logger *slog.Logger) (*node, error) {
	n, err := openVault(ctx, dir, vault, logger, openOptions{})
	if err != nil {
		return nil, err
	}
	_, err = n.desks.Staff.Add(ctx, staff.Operator(), staff.NewAccount{User: lead, Role: staff.Lead, Passphrase: passphrase})
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	// The first start may be a locked one, at night.
	if _, err := n.readyLetterbox(); err != nil {
		logger.Error("the letterbox is not ready", "err", err)
	}
	return n, nil
}

// joinOptions are what `waypost join` and the first page ask.
type joinOptions struct {
	Data, Site, Lead, Code string
	Passphrase             []byte
}

// joined is what a person sees after joining: the five words both screens show.
type joined struct {
	Words []string
	Node  string
}

// joinSite enrols a new folder by an invitation code. The folder's lock must be free.
func joinSite(ctx context.Context, o joinOptions) (joined, error) {
	unlock, err := lockFolder(o.Data)
	if err != nil {
		return joined{}, err
	}
	defer unlock()
	n, words, err := enrol(ctx, o, slog.New(slog.DiscardHandler))
	if err != nil {
		return joined{}, err
	}
	return joined{Words: words, Node: n.vault.NodeID().String()}, n.Close()
}

// enrol is joinSite on a folder whose lock is held, and leaves the node open. The
// code is spent only when the inviter answered, so everything that can be wrong
// on this side is looked at before.
func enrol(ctx context.Context, o joinOptions, logger *slog.Logger) (*node, []string, error) {
	if identity.Exists(o.Data) {
		return nil, nil, fault.New(fault.Conflict, "fault.node.folder_used", "Folder", o.Data)
	}
	if err := staff.CheckNew(o.Lead, o.Passphrase); err != nil {
		return nil, nil, err
	}
	if err := identity.CheckSite(o.Site); err != nil {
		return nil, nil, err
	}
	code, err := identity.ParseInvitation(o.Code)
	if err != nil {
		return nil, nil, err
	}
	applicant, err := identity.NewApplicant(code)
	if err != nil {
		return nil, nil, err
	}
	reply, err := mesh.Join(ctx, code, applicant)
	if err != nil {
		return nil, nil, err
	}
	vault, err := applicant.Accept(o.Data, clock.System(), reply, o.Site, o.Passphrase)
	if err != nil {
		return nil, nil, err
	}
	// The new box knows nobody but its inviter: without this it would never dial it.
	if err := mesh.Remember(o.Data, code.Addrs...); err != nil {
		return nil, nil, err
	}
	n, err := addLead(ctx, o.Data, vault, o.Lead, o.Passphrase, logger)
	if err != nil {
		return nil, nil, err
	}
	return n, vault.CompareWords(), nil
}

// lockFolder makes dir if needed and takes its lock, so that two processes never
// write one folder. Faults: Conflict fault.oplog.in_use.
func lockFolder(dir string) (unlock func(), err error) {
	f, err := lockedFolder(dir)
	if err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// lockedFolder is lockFolder with the file that holds the lock until it is closed.
func lockedFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(fault.Unavailable, "fault.node.cannot_write", "File", dir).Wrap(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder needs its x bit
		return nil, fault.New(fault.Unavailable, "fault.node.cannot_write", "File", dir).Wrap(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "fault.node.cannot_write", "File", dir).Wrap(err)
	}
	if err := flock(f); err != nil {
		_ = f.Close()
		return nil, fault.New(fault.Conflict, "fault.oplog.in_use", "Folder", dir).Wrap(err)
	}
	if err := backup.Settle(files.OS(), dir); err != nil { // before anybody looks what is here
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
