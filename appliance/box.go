package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/station"
	"github.com/waypost/waypost/ui"
)

// box is what serves whatever the folder's state is: new, locked, open,
// read-only. It is the ui.Box the pages see. Safe for concurrent use; opening and
// starting are done by one caller at a time.
type box struct {
	dir        string
	advertise  string
	meshListen string // what the mesh listens on once the box is open
	meshAddr   string // host:port told to others
	meshPort   int
	httpPort   int
	httpsPort  int
	httpsHost  string // the address HTTPS listens on; empty or unspecified = all
	clock      clock.Clock
	logger     *slog.Logger
	web        *identity.Web
	started    time.Time
	ctx        context.Context // ends with the process: what an open node runs under

	transfers transfer // the backup or restore under way
	carried   carriage // the bundle under way
	night     night    // what it does while it is locked
	heldBack  heldCounts
	slumber   slumber // and what of other posts it takes in then

	opening sync.Mutex                     // one opener at a time
	reading atomic.Pointer[oplog.Progress] // how far the opener is with the journal; nil = nobody opens
	mu      sync.RWMutex
	node    *node
	claim   *claim   // nil when the folder was claimed before this start
	renewal *renewal // how the process that serves this box is replaced; nil: it is not
	trial   bool     // the open node is practice
	giveUp  func()   // ends the opening that is under way; nil: none is
	leaving bool     // this process is about to be replaced

	linkFlag     string // what this run was told about its connection to others; empty, nil: nothing
	discoverFlag *bool
}

// readySteps is how many words a new box's passphrase has: five EFF words, 64 bits.
const readySteps = 5

var _ ui.Box = (*box)(nil)

func (b *box) open() *node {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.node
}

// State is new, locked, opening, open or read-only.
func (b *box) State() string {
	n := b.open()
	switch {
	case n != nil && n.journal.Stopped():
		return "read-only"
	case n != nil:
		return "open"
	case b.reading.Load() != nil:
		return "opening"
	case identity.Exists(b.dir):
		return "locked"
	}
	return "new"
}

// Site says which post this is; only what is known in the present state.
func (b *box) Site() ui.SiteInfo {
	n := b.open()
	if n == nil {
		return ui.SiteInfo{}
	}
	id := n.vault.Deployment()
	_, toFree := n.journal.Room()
	held, _, err := n.desks.Identity.Held()
	if err != nil {
		b.logger.Warn("whether the ceremony was held could not be read", "err", err)
	}
	return ui.SiteInfo{
		Ceremony:   held.Variant,
		Deployment: n.vault.DeploymentName(), Site: n.vault.SiteName(), Node: n.vault.NodeID().String(),
		Number: n.vault.Cert().Number, Practice: b.practice(), DeploymentID: identity.DeploymentID(id).String(),
		RootOnBox: n.vault.RootOnBox(), Confirmed: n.desks.Identity.SelfConfirmed(), CanInvite: n.vault.CanEnrol(), ToFree: toFree,
	}
}

func (b *box) practice() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.trial
}

// Desks is nil unless the box is open.
func (b *box) Desks() *station.Station {
	if n := b.open(); n != nil {
		return n.desks
	}
	return nil
}

// Watch follows the journal; nil channel and a no-op when the box is not open.
func (b *box) Watch() (<-chan struct{}, func()) {
	if n := b.open(); n != nil {
		return n.journal.Watch()
	}
	return nil, func() {}
}

// begin puts an opened node to work. A box that cannot be heard works alone: the
// records come first, and the words of a new box must reach its person even when
// another program took the port meanwhile.
func (b *box) begin(n *node, trial bool) {
	b.mu.Lock()
	b.node, b.trial = n, trial
	b.mu.Unlock()
	n.startErasing(b.ctx)
	clearTaken(n.dir)
	if trial {
		return
	}
	b.wake() // the port is the real mesh's now
	b.readyForNight(n)
	n.mergeRecords(b.ctx)
	if err := b.web.Unlock(n.vault.Subkey); err != nil {
		b.logger.Warn("the key of the web certificates", "err", err)
	}
	if n.restored() != nil {
		go b.awaitPeer(n)
	}
	if err := n.startMesh(b.ctx, b.meshListen, b.advertise, b.link()); err != nil {
		b.logger.Error("the mesh did not start", "err", err)
		go b.meshLater(n)
	}
}

// How long the box waits until it tries again to be heard.
const (
	meshFirst = time.Second
	meshMost  = 30 * time.Second
)

// meshLater starts the mesh of n as soon as it can be started.
func (b *box) meshLater(n *node) {
	for wait := meshFirst; b.open() == n; wait = min(2*wait, meshMost) {
		select {
		case <-b.ctx.Done():
			return
		case <-b.clock.After(wait):
		}
		if err := n.startMesh(b.ctx, b.meshListen, b.advertise, b.link()); err == nil || errors.Is(err, errNodeClosed) {
			return
		}
	}
}

// Close closes the open node, and wipes practice.
func (b *box) Close() {
	b.transfers.stop()
	b.carried.stop()
	b.stopOpening()
	b.opening.Lock()
	defer b.opening.Unlock()
	b.wake()
	if !b.shut() {
		return
	}
	if err := removePractice(b.dir); err != nil {
		b.logger.Error("removing practice", "err", err)
	}
}

// CheckClaim looks at a claim code without using it up.
func (b *box) CheckClaim(code string) error {
	c := b.claimCode()
	if c == nil || b.State() != "new" {
		return fault.New(fault.Gone, "fault.node.claim_over")
	}
	return c.check(code)
}

// claimCode is the present one; wiping makes a new one.
func (b *box) claimCode() *claim {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.claim
}

// claimed runs start with the claim checked and, when it worked, used up.
func (b *box) claimed(code string, start func(passphrase []byte) (*node, []string, error), lead string, trial bool) (ui.Started, error) {
	b.opening.Lock()
	defer b.opening.Unlock()
	if err := b.stays(); err != nil {
		return ui.Started{}, err
	}
	if err := b.CheckClaim(code); err != nil {
		return ui.Started{}, err
	}
	words, err := identity.GenerateWords(readySteps)
	if err != nil {
		return ui.Started{}, err
	}
	passphrase := []byte(strings.Join(words, " "))
	n, compare, err := start(passphrase)
	if err != nil {
		return ui.Started{}, err
	}
	b.begin(n, trial)
	b.claimCode().use()
	session, err := n.desks.Staff.SignIn(b.ctx, lead, passphrase)
	switch {
	case err != nil && trial: // there are no words to fall back on
		return ui.Started{}, err
	case err != nil: // the words come first: they can be typed
		b.logger.Warn("the lead could not be signed in", "err", err)
	}
	return ui.Started{Words: words, Session: session, Compare: compare}, nil
}

// StartSite starts a new operation on this box from the first page.
func (b *box) StartSite(_ context.Context, s ui.StartSite) (ui.Started, error) {
	return b.claimed(s.Claim, func(passphrase []byte) (*node, []string, error) {
		n, err := startSite(b.ctx, initOptions{Data: b.dir, Deployment: s.Deployment, Site: s.Site, Lead: s.Lead, Passphrase: passphrase}, b.logger)
		return n, nil, err
	}, s.Lead, false)
}

// JoinSite enrols this box by an invitation from the first page.
func (b *box) JoinSite(ctx context.Context, j ui.JoinSite) (ui.Started, error) {
	return b.claimed(j.Claim, func(passphrase []byte) (*node, []string, error) {
		return enrol(ctx, joinOptions{Data: b.dir, Site: j.Site, Lead: j.Lead, Code: j.Code, Passphrase: passphrase}, b.logger)
	}, j.Lead, false)
}

// Invite makes a one-use code for one other node; area is "new" for a protected address,
// the number of one, or empty for the common register.
func (b *box) Invite(_ context.Context, a staff.Actor, ttl time.Duration, area string) (control.Invitation, error) {
	if err := a.Must(staff.InviteNodes); err != nil {
		return control.Invitation{}, err
	}
	n, err := b.meshed()
	if err != nil {
		return control.Invitation{}, err
	}
	where, err := identity.ParsePlace(area)
	if err != nil {
		return control.Invitation{}, err
	}
	inv, err := n.Mesh().InviteTo(where, ttl)
	return control.Invitation{Code: inv.Code, Expires: inv.Expires}, err
}

// meshed is the open node when it has a mesh.
func (b *box) meshed() (*node, error) {
	n := b.open()
	if n == nil {
		return nil, b.notOpen()
	}
	switch {
	case n.Mesh() != nil:
	case b.practice():
		return nil, fault.New(fault.Conflict, "fault.node.practice_alone")
	default:
		return nil, fault.New(fault.Unavailable, "fault.node.mesh_off", "Address", b.meshListen)
	}
	return n, nil
}

// Confirm records that somebody compared the five words with another node's.
func (b *box) Confirm(ctx context.Context, a staff.Actor, id string) error {
	if err := a.Must(staff.ConfirmNodes); err != nil {
		return err
	}
	n, err := b.meshed()
	if err != nil {
		return err
	}
	node, err := oplog.ParseID(id)
	if err != nil {
		return fault.New(fault.NotFound, "fault.node.no_such_node").Wrap(err)
	}
	return n.desks.Identity.Confirm(ctx, a.ID, node)
}

// leaf is the box's own web certificate, remade when its addresses changed.
func (b *box) leaf(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return b.web.Certificate(hello)
}
