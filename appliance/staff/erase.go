package staff

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Issuer gives an issuer's word, and tells who the nodes of the deployment are.
type Issuer struct {
	Deployment  [16]byte
	Nodes       func() ([]identity.Node, error)         // every node known here; this one is among them
	Countersign func(msg []byte) (word []byte, ok bool) // false where no issuer lives
}

// WithIssuer lets the desk erase people. Without it nothing is erased here.
func WithIssuer(i Issuer) Option { return func(d *Desk) { d.issuer = i } }

// EraseReasons are the codes of why somebody is erased, in the order of the page.
// "staff.erase.reason." and the code is the locale key of each.
func EraseReasons() []string { return []string{"own_wish", "by_mistake", "danger", "order", "other"} }

// maxReason is how long the text beside a reason may be, in characters.
const maxReason = 300

// ErasureRequest is who is to be erased and why.
type ErasureRequest struct {
	Subjects []oplog.ID // the person, then a household that nobody is left in
	Cards    [][10]byte // holder numbers of their cards
	Reason   string     // one of EraseReasons
	Text     string     // at most 300 characters; needed for "other"
}

func (r ErasureRequest) check() error {
	bad := fault.New(fault.Invalid, "fault.staff.erase_invalid")
	text := strings.TrimSpace(r.Text)
	if !slices.Contains(EraseReasons(), r.Reason) {
		bad = bad.With("reason", "fault.staff.erase_reason")
	}
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxReason {
		bad = bad.With("text", "fault.staff.erase_text_long", "Max", maxReason)
	}
	if r.Reason == "other" && text == "" {
		bad = bad.With("text", "fault.staff.erase_text")
	}
	if len(bad.Fields) > 0 {
		return bad
	}
	if len(r.Subjects) == 0 || len(r.Subjects) > maxSubjects || len(r.Cards) > maxCards {
		return fault.New(fault.Invalid, "fault.staff.erase_invalid")
	}
	return nil
}

// AskErasure is the first half of an erasure: it writes down, in the register, that
// the person of the session wants r.Subjects erased, and gives the approval that
// somebody else confirms. Asking again for a person that is waited for gives the
// approval there is. The session must be of somebody with ErasePeople; a bearer key
// and the operator have no signature of their own. Faults: those of Actor.Must,
// Denied "fault.staff.own_hand", Invalid "fault.staff.erase_invalid" naming fields,
// those of the log.
func (d *Desk) AskErasure(ctx context.Context, s Session, r ErasureRequest) (approval oplog.ID, err error) {
	if err := s.Actor.Must(ErasePeople); err != nil {
		return oplog.ID{}, err
	}
	if err := r.check(); err != nil {
		return oplog.ID{}, err
	}
	st := statement{Subjects: r.Subjects}
	_, _ = rand.Read(st.Nonce[:]) // never fails: crypto/rand ends the process instead
	for _, c := range r.Cards {
		st.Cards = append(st.Cards, CardMark(d.issuer.Deployment, c))
	}
	sig, err := d.signature(s, st.message(d.issuer.Deployment))
	if err != nil {
		return oplog.ID{}, err
	}
	fact := eraseAsked{Approval: oplog.NewID(), Reason: r.Reason, Text: strings.TrimSpace(r.Text), Statement: st, By: sig}
	err = d.log.Do(ctx, s.Actor.ID, func(tx *oplog.Tx) error {
		approval = fact.Approval
		waiting, err := d.waiting(tx)
		if err != nil {
			return err
		}
		for _, w := range waiting {
			if w.Fact.Statement.Subjects[0] == r.Subjects[0] {
				approval = w.Fact.Approval
				return nil
			}
		}
		_, err = tx.Append(askedKind, r.Subjects[0], fact)
		return err
	})
	return approval, err
}

// signature is the session's own, with the fact that its account is named by.
// Fault: Denied "fault.staff.own_hand" for whoever has no key of their own.
func (d *Desk) signature(s Session, msg []byte) (signature, error) {
	own := fault.New(fault.Denied, "fault.staff.own_hand")
	raw, ok := s.Sign(msg)
	if !ok || s.Actor.Key || s.Actor.Operator {
		return signature{}, own
	}
	for _, a := range d.snapshot() {
		if idOf(a.Subject) == s.Actor.ID {
			sig := signature{Who: a.enrolled(d.node), Sig: [64]byte(raw)}
			if !sig.valid(msg) {
				return signature{}, own
			}
			return sig, nil
		}
	}
	return signature{}, own
}

// waiting are the requests nobody has confirmed or declined. One whose erasure was
// taken back is over.
func (d *Desk) waiting(r oplog.Reader) (out []approvalRow, err error) {
	err = r.Rows(approvals, []byte("w"), nil, func(_ []byte, subject oplog.ID, value []byte) error {
		var row approvalRow
		if decode(value, &row) != nil || len(row.Fact.Statement.Subjects) == 0 || row.Fact.Statement.Subjects[0] != subject {
			return nil
		}
		out = append(out, row)
		return nil
	})
	if err != nil {
		return nil, err
	}
	kept := out[:0]
	for _, row := range out {
		over := false
		err := r.Rows(erasures, append([]byte("w"), row.Fact.Statement.Nonce[:]...), nil, func([]byte, oplog.ID, []byte) error {
			over = true
			return oplog.ErrStop
		})
		if err != nil {
			return nil, err
		}
		if !over {
			kept = append(kept, row)
		}
	}
	return kept, nil
}

// EraseCap is how many erasures of one node count within EraseCapTime of running:
// one stolen box must not empty a camp. More of its own are refused; more of another
// node hide people and destroy nothing until an issuer signs.
const (
	EraseCap     = 20
	EraseCapTime = 24 * time.Hour
)

// ConfirmErasure is the second half. It is refused to whoever asked, and where one
// of the two made the other's account: one person could be both. The people are
// hidden before it returns. Faults: those of Actor.Must; Denied
// "fault.staff.own_hand", "fault.staff.erase_same", "fault.staff.erase_made",
// "fault.staff.erase_stranger" (the first half is of a node whose words nobody
// compared, or of somebody who may not); NotFound "fault.staff.no_approval"; Busy
// "fault.staff.erase_cap"; those of the log.
func (d *Desk) ConfirmErasure(ctx context.Context, s Session, approval oplog.ID) (person oplog.ID, err error) {
	if err := s.Actor.Must(ErasePeople); err != nil {
		return oplog.ID{}, err
	}
	if d.keeper.spent(d) {
		return oplog.ID{}, fault.New(fault.Busy, "fault.staff.erase_cap", "Count", EraseCap)
	}
	row, err := d.approval(approval)
	if err != nil {
		return oplog.ID{}, err
	}
	st := row.Fact.Statement
	second, err := d.signature(s, st.message(d.issuer.Deployment))
	if err != nil {
		return oplog.ID{}, err
	}
	if err := d.mayPair(row.Fact.By, second, st); err != nil {
		return oplog.ID{}, err
	}
	fact := erased{Statement: st, By: [2]signature{row.Fact.By, second}}
	err = d.log.Do(ctx, s.Actor.ID, func(tx *oplog.Tx) error {
		for _, subject := range st.Subjects {
			if _, err := tx.Append(erasedKind, subject, fact); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return oplog.ID{}, err
	}
	d.keeper.look(d) // so that it counts at once
	return st.Subjects[0], nil
}

// approval is one request that waits.
func (d *Desk) approval(id oplog.ID) (row approvalRow, err error) {
	var all []approvalRow
	err = d.log.View(func(r oplog.Reader) (err error) {
		all, err = d.waiting(r)
		return err
	})
	if err != nil {
		return row, err
	}
	for _, row := range all {
		if row.Fact.Approval == id {
			return row, nil
		}
	}
	return row, fault.New(fault.NotFound, "fault.staff.no_approval")
}

// mayPair refuses two halves that may be one person's.
func (d *Desk) mayPair(first, second signature, st statement) error {
	if !first.valid(st.message(d.issuer.Deployment)) || !d.trustsSigner(first.Who, ErasePeople) {
		return fault.New(fault.Denied, "fault.staff.erase_stranger")
	}
	return d.twoPeople(first, second, "erase")
}

// makers are through whose hands an account's passphrase went. Version 2 says it in what
// the account is named by; of version 1, whoever wrote the fact is what the node says.
func (d *Desk) makers(e enrolled) (out []hands, err error) {
	if e.More != nil {
		return []hands{e.More.MadeBy, e.More.ResetBy}, nil
	}
	subject := e.subject()
	err = d.log.View(func(r oplog.Reader) error {
		ops, err := r.Ops(subject)
		for _, op := range ops {
			if enrolment(op, subject) != nil {
				out = []hands{{ID: op.By}}
				return nil
			}
		}
		return err
	})
	return out, err
}

// made reports whether one of two accounts was made or reset by the other's person.
func (d *Desk) made(account, by enrolled) (bool, error) {
	makers, err := d.makers(account)
	for _, m := range makers {
		if m.ID == idOf(by.subject()) || !m.Person.IsZero() && m.Person == by.person() {
			return true, nil
		}
	}
	return false, err
}

// trustsSigner reports whether somebody's half counts at this node from now on: as
// trustedSigner, and their account did not end and nobody shut their node out.
func (d *Desk) trustsSigner(e enrolled, x Action) bool { return d.signer(e, x, true) }

// trustedSigner reports whether somebody's half counted at this node when they gave it:
// their role may, and their node is this one or somebody compared its words.
func (d *Desk) trustedSigner(e enrolled, x Action) bool { return d.signer(e, x, false) }

func (d *Desk) signer(e enrolled, x Action, still bool) bool {
	return (Actor{ID: idOf(e.subject()), Role: e.Role}).Can(x) && d.isSomebody(e, still)
}

// knownSigner is trustedSigner for what any role may.
func (d *Desk) knownSigner(e enrolled) bool { return d.isSomebody(e, false) }

// isSomebody reports whether an account is of this node or of one that somebody compared.
func (d *Desk) isSomebody(e enrolled, still bool) bool {
	if e.Node == d.node {
		return d.isOurs(e, still)
	}
	if d.issuer.Nodes == nil {
		return false
	}
	nodes, err := d.issuer.Nodes()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(nodes, func(n identity.Node) bool {
		return n.ID == e.Node && n.Confirmed && !n.Carries() && (!still || n.Standing == identity.StandingGood) && d.madeAt(e, n.Logs)
	})
}

// isOurs reports whether this node made the account, and with still that it did not end: a
// fact of another node may say that it is of this one.
func (d *Desk) isOurs(e enrolled, still bool) bool {
	for _, a := range d.snapshot() {
		if a.Subject == e.subject() {
			s, err := d.state(a)
			return err == nil && s.known && (!still || !s.off)
		}
	}
	return false
}

// DeclineErasure takes a request off the list: whoever asked thinks better of it, or
// the second person does not agree. Faults: those of Actor.Must, NotFound
// "fault.staff.no_approval", those of the log.
func (d *Desk) DeclineErasure(ctx context.Context, actor Actor, approval oplog.ID) error {
	if err := actor.Must(ErasePeople); err != nil {
		return err
	}
	row, err := d.approval(approval)
	if err != nil {
		return err
	}
	return d.log.Do(ctx, actor.ID, func(tx *oplog.Tx) error {
		_, err := tx.Append(declinedKind, row.Fact.Statement.Subjects[0], eraseDeclined{Approval: approval})
		return err
	})
}

// UndoErasure takes back what hides person: they are there again as they were. It
// needs UndoErasures, and one person is enough: nothing is lost by it. It is refused
// once an issuer has signed or a node has destroyed the payloads. Faults: those of
// Actor.Must; Denied "fault.staff.own_hand"; NotFound "fault.staff.no_erasure"; Gone
// "fault.staff.erase_final"; those of the log.
func (d *Desk) UndoErasure(ctx context.Context, s Session, person oplog.ID) error {
	if err := s.Actor.Must(UndoErasures); err != nil {
		return err
	}
	e, err := d.erasure(person)
	if err != nil {
		return err
	}
	if e.Final || len(e.DoneAt) > 0 {
		return fault.New(fault.Gone, "fault.staff.erase_final")
	}
	for _, st := range e.statements {
		sig, err := d.signature(s, withdrawMessage(d.issuer.Deployment, st.Nonce))
		if err != nil {
			return err
		}
		err = d.log.Do(ctx, s.Actor.ID, func(tx *oplog.Tx) error {
			for _, subject := range st.Subjects {
				if _, err := tx.Append(withdrawnKind, subject, eraseWithdrawn{Nonce: st.Nonce, By: sig}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// FinishErasure gives an issuer's word for what hides person: the payloads are
// destroyed as soon as may be, here and wherever it is heard, and nobody can take it
// back. Only where an issuer lives. Faults: those of Actor.Must; Denied
// "fault.staff.own_hand"; Conflict "fault.staff.no_issuer"; NotFound
// "fault.staff.no_erasure"; those of the log.
func (d *Desk) FinishErasure(ctx context.Context, s Session, person oplog.ID) error {
	if err := s.Actor.Must(UndoErasures); err != nil {
		return err
	}
	e, err := d.erasure(person)
	if err != nil {
		return err
	}
	if _, err := d.signature(s, []byte("waypost/erase-finish/1")); err != nil {
		return err // an issuer's word is given by a person, not by a program
	}
	file, err := d.log.OnlyNarrow(person)
	if err != nil {
		return err
	}
	// Hands for a file are none for a person; beside others they stop nothing.
	statements := slices.DeleteFunc(slices.Clone(e.statements), func(st statement) bool { return st.File != file })
	if len(statements) == 0 {
		return fault.New(fault.NotFound, "fault.staff.no_erasure")
	}
	for _, st := range statements {
		if d.issuer.Countersign == nil {
			return fault.New(fault.Conflict, "fault.staff.no_issuer")
		}
		word, ok := d.issuer.Countersign(countersignMessage(d.issuer.Deployment, st))
		if !ok {
			return fault.New(fault.Conflict, "fault.staff.no_issuer")
		}
		err = d.log.Do(ctx, s.Actor.ID, func(tx *oplog.Tx) error {
			for _, subject := range st.Subjects {
				if _, err := tx.Append(countersignedKind, subject, eraseCountersigned{Nonce: st.Nonce, Word: word}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// CardErased reports whether a card is of somebody who was erased.
func (d *Desk) CardErased(holder [10]byte) bool {
	mark := CardMark(d.issuer.Deployment, holder)
	gone := false
	_ = d.log.View(func(r oplog.Reader) error {
		return r.Rows(erasures, append([]byte("m"), mark[:]...), nil, func(_ []byte, subject oplog.ID, _ []byte) error {
			// Anybody may write a fact that names a card: only one that two people signed
			// and that stands says something.
			facts, err := d.standing(r, subject)
			gone = err == nil && slices.ContainsFunc(facts, func(f standingErasure) bool {
				return slices.ContainsFunc(f.row.Fact.Statement.Cards, func(c [16]byte) bool { return bytes.Equal(c[:], mark[:]) })
			})
			if gone {
				return oplog.ErrStop
			}
			return err
		})
	})
	return gone
}
