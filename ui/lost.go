package ui

import (
	"context"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Shutter is the part of a Box that shuts other boxes out. node is an id. Faults of all:
// Denied, Locked, NotFound "fault.identity.no_such_node", and those of identity.Desk.
type Shutter interface {
	// Suspend shuts a box out at once, until an issuer lifts it, and changes the keys.
	Suspend(ctx context.Context, a staff.Actor, node string) error
	// Lift gives it back by the word of the issuer that lives here.
	Lift(ctx context.Context, a staff.Actor, node string) error
	// Rotate changes the keys by hand.
	Rotate(ctx context.Context, a staff.Actor) error
	// AskRevoke is the first half of shutting a box out for good; AgreeRevoke is the
	// second person's, and does it. RevokeBoth is both at once.
	AskRevoke(ctx context.Context, s staff.Session, node string) (oplog.ID, error)
	AgreeRevoke(ctx context.Context, s staff.Session, node string) error
	RevokeBoth(ctx context.Context, node string, users [2]string, passphrases [2][]byte) error
	// Issuers lists who can let boxes in. RevokeIssuer says that one of them is one no more,
	// by the issuer that lives here or with the text of the root's sheet; two people at one
	// box agree to it, each with their passphrase.
	Issuers(ctx context.Context, a staff.Actor) ([]control.Issuer, error)
	RevokeIssuer(ctx context.Context, issuer string, users [2]string, passphrases [2][]byte, root []byte) error
	// Held lists what a revoked box wrote that does not count; AskRelease is the first half of
	// letting some of it count after all, by the word of the issuer that lives here. Of what it
	// is given Log and Seq count.
	Held(ctx context.Context, a staff.Actor, node string) ([]control.HeldOp, error)
	AskRelease(ctx context.Context, s staff.Session, node string, ops []control.HeldOp) (oplog.ID, error)
	// Lost lists the boxes that are shut out.
	Lost(ctx context.Context, a staff.Actor) ([]control.LostBox, error)
	// Incident is what could be read at a box, who worked there and whom to warn.
	Incident(ctx context.Context, a staff.Actor, node string) (control.Incident, error)
}
