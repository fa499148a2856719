package identity

import (
	"context"
	"slices"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// Ceremony is how far the ceremony of the deployment is, as this node sees it.
type Ceremony struct {
	Step    string // one of the Step constants
	Variant string // of the one under way, or of the one that was held
	Held    Held   // zero while none was held
	Root    bool   // the root is on this box, and open
	Made    bool   // the second issuer was made
	Read    []bool // per share, that it was read back
	Shut    bool   // the box was opened in a way that does not reach root and issuer
	Kit     bool   // and that was the recovery kit
	Enrols  bool   // an issuer lives here
}

// The steps of a ceremony, in their order.
const (
	StepGone   = "gone"   // none was held, and the root is not on this box
	StepChoose = "choose" // the root is here; nothing has begun
	StepIssuer = "issuer" // the second issuer is to be made
	StepWords  = "words"  // its words are to be typed back
	StepShares = "shares" // shares are to be printed and read back
	StepSheet  = "sheet"  // the root sheet is to be printed, and its words typed back
	StepFinish = "finish" // the root can be wiped
	StepDone   = "done"   // it was held, and the root is not on this box
)

// Ceremony says how far it is.
func (d *Desk) Ceremony() (Ceremony, error) {
	held, ok, err := d.Held()
	if err != nil {
		return Ceremony{}, err
	}
	v := d.vault
	c := Ceremony{Step: StepGone, Held: held, Variant: held.Variant, Root: v.RootOnBox(), Enrols: v.CanEnrol()}
	if ok {
		c.Step = StepDone
	}
	kit, root, issuer := v.Shut()
	c.Kit, c.Shut = kit, kit || root || issuer
	r := v.lookRite()
	switch {
	case !c.Root:
		return c, nil
	case r == nil:
		c.Step = StepChoose
		return c, nil
	}
	c.Variant, c.Made = r.Variant, len(r.Issuer) > 0
	for _, s := range r.Shares {
		c.Read = append(c.Read, len(s.Content) == 0)
	}
	switch {
	case r.done():
		c.Step = StepFinish
	case r.Variant == CeremonySmall:
		c.Step = StepSheet
	case !c.Made:
		c.Step = StepIssuer
	case !r.IssuerRead:
		c.Step = StepWords
	default:
		c.Step = StepShares
	}
	return c, nil
}

// BeginCeremony begins one, or begins it again; papers of one under way are worth nothing
// then. Faults: Invalid "fault.identity.variant", Conflict "fault.identity.root_gone",
// Denied "fault.identity.shut", Unavailable "fault.identity.cannot_write".
func (d *Desk) BeginCeremony(variant string) error { return d.vault.beginRite(variant) }

// MakeIssuer makes the second issuer's file and its words, which are shown once. Asking
// again makes another one. Faults: Conflict "fault.identity.no_ceremony", those of
// BeginCeremony.
func (d *Desk) MakeIssuer() (NewIssuer, error) {
	held, _, err := d.Held()
	if err != nil {
		return NewIssuer{}, err
	}
	// A ceremony held again signs one more issuer: the numbers of the one before stay its own.
	return d.vault.secondIssuer(min(max(2, len(held.Issuers)+1), blocks))
}

// IssuerFile is the second issuer's file once more. Fault: Conflict
// "fault.identity.no_ceremony".
func (d *Desk) IssuerFile() (name string, file []byte, err error) {
	r := d.vault.lookRite()
	if r == nil || len(r.IssuerFile) == 0 {
		return "", nil, errNoCeremony()
	}
	f, err := parseIssuerFile(r.IssuerFile)
	return issuerFileName(int(f.Number)), slices.Clone(r.IssuerFile), err
}

// ReadBackIssuer takes the words of the second issuer as its holder types them. Faults:
// Denied "fault.identity.issuer_words", Busy "fault.identity.busy", Conflict
// "fault.identity.no_ceremony".
func (d *Desk) ReadBackIssuer(ctx context.Context, words []byte) error {
	return d.vault.readIssuer(ctx, words)
}

// Shares are those that nobody has read back yet, to be printed. They are secret.
func (d *Desk) Shares() ([]Share, error) { return d.vault.sharesLeft() }

// ReadBackShare takes one share as its holder types or scans it, and forgets it. Faults:
// those of ParseShare, Invalid "fault.identity.share_other", Conflict
// "fault.identity.share_again" and "fault.identity.no_ceremony".
func (d *Desk) ReadBackShare(text string) (number int, err error) { return d.vault.readShare(text) }

// Sheet is the root sheet, to be printed, while the root is on the box. It is secret.
// Faults: Conflict "fault.identity.root_gone", Denied "fault.identity.shut".
func (d *Desk) Sheet() (RootSheet, error) {
	sheet, err := d.vault.rootSheet()
	if err != nil {
		return sheet, err
	}
	nodes, err := d.Nodes()
	for _, n := range nodes {
		if n.ID != d.vault.NodeID() {
			sheet.Nodes = append(sheet.Nodes, n.Cert)
		}
	}
	return sheet, err
}

// ReadBackSheet takes the row of words at the foot of the printed sheet. Faults: Invalid
// "fault.identity.sheet_words", Conflict "fault.identity.no_ceremony".
func (d *Desk) ReadBackSheet(words string) error { return d.vault.readSheet(words) }

// FinishCeremony lets the root say that the ceremony was held, and then wipes it. A power
// cut between the two leaves it to be finished once more. Faults: Conflict
// "fault.identity.ceremony_open" while a paper was not read back, and
// "fault.identity.no_ceremony".
func (d *Desk) FinishCeremony(ctx context.Context, by oplog.By) error {
	before, ok, err := d.Held()
	if err != nil {
		return err
	}
	serial := uint32(1)
	if ok {
		serial = before.Serial + 1
	}
	h, err := d.vault.statement(serial)
	if err != nil {
		return err
	}
	if ok && h.Variant == CeremonyFull { // an issuer of before is one still
		h.Issuers = append(h.Issuers, encodedIssuers(before.Issuers, h.Issuers)...)
		d.vault.signHeld(&h)
	}
	if err := d.sayHeld(ctx, by, h); err != nil {
		return err
	}
	return d.vault.endRite()
}

// encodedIssuers are those of list that are not among known.
func encodedIssuers(list []IssuerCert, known [][]byte) (out [][]byte) {
	for _, c := range list {
		raw := encode(c.wire())
		if !slices.ContainsFunc(known, func(k []byte) bool { return string(k) == string(raw) }) && len(known)+len(out) < maxHeldIssuers {
			out = append(out, raw)
		}
	}
	return out
}

// TakeRoot puts the root back on this box from its sheet, for a ceremony that was not held
// when it was written out. Faults: Denied "fault.identity.sheet_elsewhere" and
// "fault.identity.shut", Invalid "fault.identity.sheet_verifies".
func (d *Desk) TakeRoot(sheet RootSheet) error { return d.vault.takeRoot(sheet) }

// CheckShare says which share a paper is, when it is one of those the root spoke of, without
// bringing anything together: for the drill. Faults: those of ParseShare, Invalid
// "fault.identity.share_other", Conflict "fault.identity.no_shares" where none were made.
func (d *Desk) CheckShare(text string) (number int, err error) {
	s, err := ParseShare(text)
	if err != nil {
		return 0, err
	}
	held, ok, err := d.Held()
	switch {
	case err != nil:
		return 0, err
	case !ok || len(held.sums) != ShareCount:
		return 0, fault.New(fault.Conflict, "fault.identity.no_shares")
	case held.sums[s.Number-1] != s.sum():
		return 0, fault.New(fault.Invalid, "fault.identity.share_other")
	}
	return s.Number, nil
}

// InstallIssuer makes the issuer of a file live here, with the words its holder types, and
// tells the others. A node whose five words nobody compared may not have one. Faults:
// Denied "fault.identity.install_unconfirmed", those of openIssuerFile and install, Conflict
// "fault.identity.block_taken" when another issuer gives those numbers already.
func (d *Desk) InstallIssuer(ctx context.Context, file, words []byte) (NodeCert, error) {
	if !d.SelfConfirmed() {
		return NodeCert{}, fault.New(fault.Denied, "fault.identity.install_unconfirmed")
	}
	o, err := openIssuerFile(ctx, file, words, d.vault.root)
	if err != nil {
		return NodeCert{}, err
	}
	defer clear(o.seed)
	nodes, err := d.Nodes()
	if err != nil {
		return NodeCert{}, err
	}
	first, last := numbersOf(o.block())
	for _, n := range nodes {
		if number := uint32(n.Number); number >= first && number <= last && n.Cert.Issuer.Public != o.cert.Public {
			return NodeCert{}, fault.New(fault.Conflict, "fault.identity.block_taken", "Number", o.number)
		}
	}
	cert, err := d.vault.install(o)
	if err != nil {
		return NodeCert{}, err
	}
	if err := d.Enrolled(ctx, cert); err != nil {
		return NodeCert{}, err
	}
	d.mu.Lock()
	d.asOf = 0 // what was found before knows the old certificate
	delete(d.byNumber, cert.Number)
	delete(d.byLog, d.log.Own())
	d.mu.Unlock()
	return cert, nil
}
