package ui

import (
	"context"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/station"
)

// States of a box, as Box.State and GET /healthz say them.
const (
	stateNew      = "new"       // nothing was started here yet
	stateLocked   = "locked"    // there is a site, and nobody has opened it since the start
	stateOpening  = "opening"   // somebody has opened it, and it reads its records again
	stateOpen     = "open"      // it works
	stateReadOnly = "read-only" // it reads, but can no longer save
)

// Box is the machine the pages and calls are about, in whatever state it is. The
// program's main package implements it. All methods are safe for concurrent use.
type Box interface {
	Keeper
	Shutter
	Copier
	Night
	WebCerts
	Courier
	Links

	// State is new, locked, opening, open or read-only.
	State() string
	// Site says which post this is; zero where the state does not let it be known.
	Site() SiteInfo
	// Desks is nil unless the box is open or read-only.
	Desks() *station.Station
	// Watch signals at least once after every change of the journal, until stop is
	// called. The channel is nil while the box is not open.
	Watch() (changes <-chan struct{}, stop func())

	// Unlock opens a locked box with any of its passphrases, or with what its key file
	// holds. It may return while the records are still being read. Faults: Denied for a
	// wrong one, Invalid for a damaged key file.
	Unlock(ctx context.Context, secret []byte) error
	// CheckClaim looks at a claim code without using it up. Faults: Denied for a
	// wrong one, Gone for one that is used up.
	CheckClaim(code string) error
	// StartSite starts a new operation here and uses up the claim code.
	StartSite(ctx context.Context, s StartSite) (Started, error)
	// JoinSite enrols this box by an invitation and uses up the claim code.
	JoinSite(ctx context.Context, j JoinSite) (Started, error)
	// Practise opens a throw-away site full of made-up people.
	Practise(ctx context.Context, claim string) (Started, error)

	// Backups are the backups found beside the data folder and on sticks, the newest first.
	Backups() []control.BackupFile
	// RestoreSite begins to bring one of them back on a new box and uses up the claim code
	// when it has. Faults before it returns: those of CheckClaim, Denied for a wrong
	// passphrase, NotFound for a file that is not offered, Busy.
	RestoreSite(ctx context.Context, r RestoreSite) error
	// BackupState is how far the backup or the restore is; its fault when it failed.
	BackupState(ctx context.Context) (control.Backup, error)
	// BackupPlaces are the sticks a backup can be written to; none while the box is not open.
	BackupPlaces() []control.BackupPlace
	// StartBackup begins a backup into a file on this machine. Faults: Denied, Locked, Busy,
	// Invalid "fault.backup.name" and "fault.backup.inside".
	StartBackup(ctx context.Context, a staff.Actor, file string) error
	// StopBackup stops it; it can be continued.
	StopBackup(ctx context.Context, a staff.Actor) error
	// Restored tells that nobody reads people here: the box came out of a backup and nobody
	// has told yet who was erased since. Nil otherwise.
	Restored() *control.Restored
	// Reopen ends that by the word of whoever has just shown their passphrase and of a second
	// person, who shows theirs. ReopenBoth is the same where both show theirs.
	Reopen(ctx context.Context, s staff.Session, user string, passphrase []byte) error
	ReopenBoth(ctx context.Context, users [2]string, passphrases [2][]byte) error

	// Invite makes a one-use code for one other node. area is "new" for a protected address
	// with a register of its own, the number of one, or empty for the common register.
	Invite(ctx context.Context, a staff.Actor, ttl time.Duration, area string) (control.Invitation, error)
	// Confirm records that somebody compared the five words with another node's.
	Confirm(ctx context.Context, a staff.Actor, node string) error
	// Status is what the node says about itself, in every state.
	Status(ctx context.Context) (control.Status, error)
	// Holdings says of every log how far it is held here, and which other nodes are
	// known to hold all of that; empty while the box is not open.
	Holdings(ctx context.Context) ([]Holding, error)
	// Check re-reads everything that is stored. Faults: Locked.
	Check(ctx context.Context) (control.Check, error)
	// Repair mends what is stored, asks the other nodes for what was lost, waits for
	// them, and checks. Faults: Locked.
	Repair(ctx context.Context) (control.Check, error)
	// Losses lists what is lost here and what somebody accepted as lost. Faults: Denied,
	// Locked.
	Losses(ctx context.Context, a staff.Actor) (control.Losses, error)
	// AcceptLosses takes the warning about what is lost away and says how many records
	// that is. Faults: Denied, Locked, Conflict "fault.identity.nothing_lost".
	AcceptLosses(ctx context.Context, a staff.Actor) (ops uint64, err error)
	// Rebuild makes the views anew from the journal; Status says how far it is. Faults:
	// Locked, and those of the journal.
	Rebuild(ctx context.Context) (control.Rebuilt, error)

	// CA is what a phone needs to trust this box's pages.
	CA() CAInfo
	// Addresses are the HTTPS addresses phones in the network can open, best first,
	// such as "https://10.42.0.1:8443/".
	Addresses() []string
}

// SiteInfo says which post of which operation this is.
type SiteInfo struct {
	Deployment   string // name of the operation
	Site         string // name of the place
	Node         string // id of this node
	Number       uint16 // short number of this node, printed in cards
	Practice     bool   // a throw-away site of made-up people
	DeploymentID string
	Ceremony     string // how root and issuers are kept: identity.CeremonyFull or CeremonySmall; empty before that was decided
	RootOnBox    bool   // the root key was not written out yet
	Confirmed    bool   // somebody compared this node's five words
	CanInvite    bool   // the issuer lives here
	ToFree       uint64 // MB to free on the disk before the box saves again; 0 when the disk is not why it does not
}

// StartSite is what the first page asks for a new operation.
type StartSite struct {
	Claim, Deployment, Site, Lead string
}

// JoinSite is what the first page asks for joining one.
type JoinSite struct {
	Claim, Code, Site, Lead string
}

// RestoreSite is what the first page asks for bringing back a backup.
type RestoreSite struct {
	Claim, File string
	Passphrase  []byte
}

// Started is the answer to both.
type Started struct {
	Words   []string      // the five words to write down: the lead's passphrase, and what opens the box; shown once
	Session staff.Session // the lead, signed in
	Compare []string      // the five words both screens show, after a join
}

// Holding is how far one log is held here.
type Holding struct {
	Log     string   // log id
	Node    string   // the node that writes it; empty when its certificate is not here yet
	Seq     uint64   // its last op held here
	Head    string   // hash of that op's header, hexadecimal
	Holders []string // nodes known to hold it as far as this one, which is among them; empty without a mesh

	OnlyHere uint64           // of its ops, how many no other node is known to hold
	Copies   []control.CopyAt // the other nodes of Holders, and since when
}

// CAInfo is the box's own certificate authority for its pages.
type CAInfo struct {
	PEM         []byte
	Fingerprint string   // SHA-256 of the certificate, hexadecimal
	Words       []string // the same as five words, to compare with the box's label
}
