package tokens

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Verdict is what a card is worth, one word for programs. The words are of the
// public contract and only ever added. "tokens.verdict." and the word is the
// locale key of its title.
type Verdict string

// The verdicts.
const (
	Genuine       Verdict = "genuine"        // signed by a node of this deployment that may, in date, newest known
	Superseded    Verdict = "superseded"     // the holder has a newer card
	Revoked       Verdict = "revoked"        // taken back: together with its issuer, or because its holder was erased
	Expired       Verdict = "expired"        // past its last day
	UnknownIssuer Verdict = "unknown-issuer" // its node is not known here, or may not issue cards (yet)
	NotOurs       Verdict = "not-ours"       // not signed by the node it names, for this deployment
	Malformed     Verdict = "malformed"      // no token of a version that is read here
)

// Reasons: locale keys of a sentence saying what it means and what to do now.
const (
	reasonGenuine       = "tokens.reason.genuine"
	reasonUnknownPerson = "tokens.reason.genuine_unknown_person"
	reasonOffline       = "tokens.reason.genuine_offline"
	reasonSuperseded    = "tokens.reason.superseded"
	reasonExpired       = "tokens.reason.expired"
	reasonExpiredUnsure = "tokens.reason.expired_unsure"
	reasonUnknownIssuer = "tokens.reason.unknown_issuer"
	reasonNotCompared   = "tokens.reason.issuer_not_compared"
	reasonMayNotIssue   = "tokens.reason.may_not_issue"
	reasonNotOurs       = "tokens.reason.not_ours"
	reasonMalformed     = "tokens.reason.malformed"
	reasonNewerCard     = "tokens.reason.newer_card"
	reasonErased        = "tokens.reason.erased"
	reasonShutOut       = "tokens.reason.issuer_shut_out"
)

// Result is what Verify found.
type Result struct {
	Verdict    Verdict
	Reason     string    // locale key of a sentence
	Person     *oplog.ID // nil when this node's register does not know the holder
	Kind       Kind      // 0 when Malformed
	Generation uint8
	Expires    time.Time // midnight UTC of the last day on which it counts; zero when Malformed
}

// Verify says what a card is worth, from the text of its QR code. A bad card is
// a verdict and not an error. In this order: can it be read, do we know its
// issuer, did that issuer sign it for this deployment, may it, is there a newer
// card, is it in date. A newer card goes before the date: whoever holds the old card of
// two is not sent to renew it.
//
// The person is only named for a card that this deployment signed. The actor
// needs staff.VerifyTokens; other faults come from the store.
func (d *Desk) Verify(_ context.Context, actor staff.Actor, text string) (Result, error) {
	if err := actor.Must(staff.VerifyTokens); err != nil {
		return Result{}, err
	}
	t, res, ok := judge(text, d.issuer.Deployment(), d.issuer.ByNumber)
	if !ok {
		return res, nil
	}
	var known holderOf
	err := d.log.View(func(r oplog.Reader) (err error) {
		known, err = d.findHolder(r, t)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	if known.found {
		there, err := d.people.Exists(known.person)
		if err != nil {
			return Result{}, err
		}
		if there {
			res.Person = &known.person
		}
	}
	late, why := past(t, d.clock)
	switch {
	case res.Person == nil && d.isErased(t.Holder):
		res.Verdict, res.Reason = Revoked, reasonErased
	case known.found && known.newest > int(t.Generation):
		res.Verdict, res.Reason = Superseded, reasonSuperseded
	case late:
		res.Verdict, res.Reason = Expired, why
	case d.shutOut(t) && (res.Person == nil || known.newest < int(t.Generation)):
		// Whoever has the box can sign any card; those that are known here were made before.
		res.Verdict, res.Reason = UnknownIssuer, reasonShutOut
	case res.Person == nil:
		res.Reason = reasonUnknownPerson
	}
	return res, nil
}

// shutOut reports whether the node that signed a card was suspended or revoked.
func (d *Desk) shutOut(t Token) bool {
	n, ok := d.issuer.ByNumber(t.Node)
	return ok && n.Standing != identity.StandingGood
}

// Trust is what somebody without a data folder knows of a deployment: its root
// key and node certificates, as a root sheet has them.
type Trust struct {
	Root  ed25519.PublicKey
	Nodes []identity.NodeCert // those that the root does not vouch for are passed over
}

// VerifyWith judges a card by its signature and date alone. It cannot know
// whether a newer card exists, and its reason says so. Nodes that somebody put
// on the sheet count as compared.
func VerifyWith(text string, trust Trust, c clock.Clock) Result {
	byNumber := func(number uint16) (identity.Node, bool) {
		for _, c := range trust.Nodes {
			if c.Number == number && c.Verify(trust.Root) == nil {
				return identity.Node{ID: c.ID(), Number: c.Number, Cert: c, Confirmed: true}, true
			}
		}
		return identity.Node{}, false
	}
	t, res, ok := judge(text, identity.DeploymentOf(trust.Root), byNumber)
	if !ok {
		return res
	}
	res.Reason = reasonOffline
	if late, why := past(t, c); late {
		res.Verdict, res.Reason = Expired, why
	}
	return res
}

// judge is the part that needs no register. When it returns false the verdict
// stands; otherwise the card is Genuine as far as its signature goes.
func judge(text string, deployment [16]byte, byNumber func(uint16) (identity.Node, bool)) (Token, Result, bool) {
	t, err := Parse(text)
	switch {
	case errors.Is(err, errNewer):
		return t, Result{Verdict: Malformed, Reason: reasonNewerCard}, false
	case err != nil:
		return t, Result{Verdict: Malformed, Reason: reasonMalformed}, false
	}
	res := Result{Kind: t.Kind, Generation: t.Generation, Expires: t.LastDay()}
	node, ok := byNumber(t.Node)
	switch {
	case !ok:
		res.Verdict, res.Reason = UnknownIssuer, reasonUnknownIssuer
	case !t.Verify(deployment, node.Cert.Public[:]):
		res.Verdict, res.Reason = NotOurs, reasonNotOurs
	case !node.Cert.Has(identity.CapTokens):
		res.Verdict, res.Reason = UnknownIssuer, reasonMayNotIssue
	case !node.Confirmed:
		res.Verdict, res.Reason = UnknownIssuer, reasonNotCompared
	default:
		res.Verdict, res.Reason = Genuine, reasonGenuine
		return t, res, true
	}
	return t, res, false
}

// past tells whether the card's time is over, and how sure that is: a clock that
// nobody has set is said to the worker, who can look at a calendar.
func past(t Token, c clock.Clock) (bool, string) {
	if c.Now().Before(t.Expires()) {
		return false, ""
	}
	if !c.Sure() {
		return true, reasonExpiredUnsure
	}
	return true, reasonExpired
}

// holderOf is what the view says of a token's holder.
type holderOf struct {
	found  bool
	person oplog.ID
	newest int // highest generation known of the token's kind; -1 when none
}

// findHolder looks the holder up. Two people with one holder cannot come about
// by chance (80 random bits); should a faulty node cause it, the one with the
// newest card of this kind is taken, so that an old card stays old.
func (d *Desk) findHolder(r oplog.Reader, t Token) (holderOf, error) {
	best := holderOf{newest: -1}
	people, err := d.holders(r, holderKey(t.Holder))
	// Only a card that is newer than this one changes what it is worth.
	older := func(l line) bool { return l.Kind != t.Kind || l.Generation <= t.Generation }
	for _, person := range people {
		held, err := d.readHoldingBut(r, person, older)
		if err != nil {
			return best, err
		}
		newest := -1
		if l := held.line(t.Kind); l != nil {
			newest = int(l.Generation)
		}
		if !best.found || newest > best.newest {
			best = holderOf{true, person, newest}
		}
	}
	return best, err
}
