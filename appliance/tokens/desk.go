package tokens

import (
	"context"
	"io"
	"time"

	"github.com/waypost/waypost/appliance/chunks"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Issuer is this node as a signer of cards, and the nodes it knows.
// Safe for concurrent use, and callable inside a command of the log.
type Issuer interface {
	// Deployment is the id every card is bound to.
	Deployment() [16]byte
	// Number is this node's number, printed in its cards.
	Number() uint16
	// MayIssue is false while nobody has compared this node's words yet.
	MayIssue() bool
	// SignToken is Ed25519 by the node key over msg, as it is.
	SignToken(msg []byte) []byte
	// ByNumber is the node with that number, this one included, its certificate
	// already checked against the deployment root, and whether its words were
	// compared.
	ByNumber(number uint16) (identity.Node, bool)
	// Author is the node that writes a log, in the same way.
	Author(log oplog.LogID) (identity.Node, bool)
}

// People tells whether a person or household is in this node's register. It is
// asked inside a command of the log and must not start one. A fault means that nobody
// can tell right now.
type People interface {
	Exists(id oplog.ID) (bool, error)
}

// Desk issues cards and says what a card is worth. Safe for concurrent use.
type Desk struct {
	log     *oplog.Log
	issuer  Issuer
	people  People
	clock   clock.Clock
	scanner *Scanner
	erased  func(holder [10]byte) bool
}

// OpenDesk puts the desk on a log that was opened with this package's Kinds and
// Views. It owns nothing: the log outlives it.
func OpenDesk(log *oplog.Log, issuer Issuer, people People, c clock.Clock) *Desk {
	return &Desk{log: log, issuer: issuer, people: people, clock: c, scanner: NewScanner(c)}
}

// ShareLine lets photos of cards wait in one line with other images. Call it before
// the desk is used.
func (d *Desk) ShareLine(l *chunks.Line) { d.scanner.line = l }

// Kinds are the facts this desk writes.
func Kinds() []oplog.Kind { return []oplog.Kind{issuedKind} }

// Views are what they add up to.
func Views() []*oplog.View { return []*oplog.View{cards} }

// Read finds the QR code in an uploaded photo and returns its text, whatever it
// says; Verify then judges it. The photo is kept nowhere. The actor needs
// staff.VerifyTokens or staff.HoldCeremony; other faults are those of Scanner.Decode.
func (d *Desk) Read(ctx context.Context, actor staff.Actor, photo io.Reader) (string, error) {
	if !actor.Can(staff.HoldCeremony) { // whose papers have codes of their own
		if err := actor.Must(staff.VerifyTokens); err != nil {
			return "", err
		}
	}
	return d.scanner.Decode(ctx, photo)
}

// Card is a token together with what is printed beside it.
type Card struct {
	Person     oplog.ID  // the person or household it was issued to
	Kind       Kind      // what it is for
	Token      Token     // zero for somebody who may not issue
	Text       string    // of the QR code; empty for somebody who may not issue
	Typed      string    // the typed code, "XXXX-XXXX-XXXX"
	Generation uint8     // 0 on the first card
	Expires    time.Time // midnight UTC of the last day on which it counts
	IssuedAt   time.Time // wall time that its node claims
	By         oplog.By  // who issued it
}
