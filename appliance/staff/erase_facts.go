package staff

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"slices"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// statement is what two people put their names to: who is erased. It holds ids
// only, because it lies open. Subjects begins with the person; a household that
// nobody is left in follows. Cards are hashes of the numbers of their cards, so that
// a card of somebody who is not there any more can be told apart from one that this
// node has not heard of, without anybody learning a number from it.
type statement struct {
	Nonce    [16]byte   `cbor:"1,keyasint"`
	Subjects []oplog.ID `cbor:"2,keyasint"`
	Cards    [][16]byte `cbor:"3,keyasint,omitempty"`
	File     bool       `cbor:"4,keyasint,omitempty"` // of a sealed file and what was put into it; of nobody in the register
}

// signature is one person's own. Who is the fact that made the account; the account
// is named by it, so nobody can put another key under somebody's name.
type signature struct {
	Who enrolled `cbor:"1,keyasint"`
	Sig [64]byte `cbor:"2,keyasint"`
}

func (s signature) valid(msg []byte) bool {
	return ed25519.Verify(s.Who.Sign[:], append([]byte(signPurpose), msg...), s.Sig[:])
}

// eraseAsked is one person's half: somebody wants a person erased and says why. It
// is about the person, and goes with them.
type eraseAsked struct {
	Approval  oplog.ID  `cbor:"1,keyasint"`
	Reason    string    `cbor:"2,keyasint"`
	Text      string    `cbor:"3,keyasint,omitempty"`
	Statement statement `cbor:"4,keyasint"`
	By        signature `cbor:"5,keyasint"`
}

// eraseDeclined takes a request off the list.
type eraseDeclined struct {
	Approval oplog.ID `cbor:"1,keyasint"`
}

// erased is both halves. It hides every subject of its statement everywhere.
type erased struct {
	Statement statement    `cbor:"1,keyasint"`
	By        [2]signature `cbor:"2,keyasint"`
}

// eraseWithdrawn takes an erasure back, unless an issuer has signed it.
type eraseWithdrawn struct {
	Nonce [16]byte  `cbor:"1,keyasint"`
	By    signature `cbor:"2,keyasint"`
}

// eraseCountersigned is an issuer's word: payloads go at once and for good.
type eraseCountersigned struct {
	Nonce [16]byte `cbor:"1,keyasint"`
	Word  []byte   `cbor:"2,keyasint"` // see identity.Countersign
}

// eraseDone says that the node whose log it is has destroyed the payloads.
type eraseDone struct {
	Nonce [16]byte `cbor:"1,keyasint"`
}

var (
	askedKind         = oplog.NewKind[eraseAsked]("staff.erase_asked", 1, oplog.Register)
	declinedKind      = oplog.NewKind[eraseDeclined]("staff.erase_declined", 1, oplog.Register)
	erasedKind        = oplog.NewKind[erased]("staff.erased", 1, oplog.Deployment)
	withdrawnKind     = oplog.NewKind[eraseWithdrawn]("staff.erase_withdrawn", 1, oplog.Deployment)
	countersignedKind = oplog.NewKind[eraseCountersigned]("staff.erase_countersigned", 1, oplog.Deployment)
	doneKind          = oplog.NewKind[eraseDone]("staff.erase_done", 1, oplog.Deployment)
)

func eraseKinds() []oplog.Kind {
	return []oplog.Kind{askedKind, declinedKind, erasedKind, withdrawnKind, countersignedKind, doneKind}
}

// Bounds of a statement: what one op may carry, and what a person has.
const (
	maxSubjects = 16
	maxCards    = 256
)

// What is signed: a purpose, the deployment, and what it is about.
func (s statement) message(deployment [16]byte) []byte {
	if s.File {
		return fileAct(s).message(deployment)
	}
	return slices.Concat([]byte("waypost/erase/1"), deployment[:], encode(s))
}

func withdrawMessage(deployment, nonce [16]byte) []byte {
	return slices.Concat([]byte("waypost/erase-withdrawn/1"), deployment[:], nonce[:])
}

func countersignMessage(deployment [16]byte, s statement) []byte {
	return slices.Concat([]byte("waypost/erase-countersigned/1"), deployment[:], encode(s))
}

// valid reports whether two different people signed that subject be erased. Two
// accounts with one key are one person, and so are two that say they are. What they may do and whose word counts is
// for whoever acts on it: a fold knows no other subject.
func (e *erased) valid(deployment [16]byte, subject oplog.ID) bool {
	a, b := e.By[0], e.By[1]
	if !slices.Contains(e.Statement.Subjects, subject) || len(e.Statement.Subjects) > maxSubjects || len(e.Statement.Cards) > maxCards ||
		a.Who.Sign == b.Who.Sign || a.Who.subject() == b.Who.subject() || a.Who.person() == b.Who.person() {
		return false
	}
	msg := e.Statement.message(deployment)
	return a.valid(msg) && b.valid(msg)
}

// erasures is the one view that knows who was erased, and all that is left of them
// in any view. Its rows, under the subject:
//
//	e ‖ nonce ‖ hash -> erasedRow: an erasure as it was written; whoever reads checks it
//	w ‖ nonce ‖ log  -> withdrawnRow: that log took it back
//	c ‖ nonce        -> 1: somebody says that an issuer signed it
//	d ‖ log          -> Unix seconds: that log's node has destroyed the payloads
//	m ‖ card         -> 1: an erasure names this card
var erasures = &oplog.View{
	Name: "erasures", Version: 2, Kinds: []oplog.Kind{erasedKind, withdrawnKind, countersignedKind, doneKind, enrolledFirstKind, enrolledKind},
	Fold: foldErasures, Erases: judgeErasures,
}

// approvals are the requests that wait for a second person:
//
//	w ‖ approval -> approvalRow
var approvals = &oplog.View{Name: "approvals", Version: 1, Kinds: []oplog.Kind{askedKind, declinedKind}, Fold: foldApprovals}

// erasedRow is an erasure with its place.
type erasedRow struct {
	Fact erased      `cbor:"1,keyasint"`
	Log  oplog.LogID `cbor:"2,keyasint"`
	At   int64       `cbor:"3,keyasint"` // Unix seconds, as its node claims
}

// withdrawnRow is who took an erasure back.
type withdrawnRow struct {
	Fact eraseWithdrawn `cbor:"1,keyasint"`
	At   int64          `cbor:"2,keyasint"`
}

// approvalRow is a request with its place.
type approvalRow struct {
	Fact eraseAsked  `cbor:"1,keyasint"`
	Log  oplog.LogID `cbor:"2,keyasint"`
	At   int64       `cbor:"3,keyasint"`
}

// judgeErasures is the rule: erased is whose erasure two people signed, unless it
// was taken back; one that an issuer signed cannot be taken back. Any order of the
// same facts gives the same answer. An account is nobody that can be erased: whoever
// it signed for would lose their word. Neither is a desk of sealed files, whose keys would be
// gone for everybody by two signatures of any node, nor the deployment itself.
func judgeErasures(deployment [16]byte, subject oplog.ID, ops []oplog.Op) (st oplog.Standing) {
	type word struct{ signed, withdrawn, final bool }
	words := map[[16]byte]*word{}
	of := func(nonce [16]byte) *word {
		if words[nonce] == nil {
			words[nonce] = &word{}
		}
		return words[nonce]
	}
	if slices.ContainsFunc(ops, func(op oplog.Op) bool { return enrolment(op, subject) != nil }) || subject == identity.SubjectOf(deployment) ||
		slices.ContainsFunc(Narrows(), func(n Narrow) bool { return subject == n.Subject() }) {
		return oplog.Standing{}
	}
	statements := map[[16]byte]statement{}
	for _, op := range ops {
		if b := oplog.Body[erased](op); b != nil && b.valid(deployment, subject) {
			of(b.Statement.Nonce).signed = true
			statements[b.Statement.Nonce] = b.Statement
		}
	}
	for _, op := range ops {
		switch b := op.Body.(type) {
		case *eraseWithdrawn:
			if w := of(b.Nonce); !w.withdrawn {
				w.withdrawn = b.By.valid(withdrawMessage(deployment, b.Nonce))
			}
		case *eraseCountersigned:
			if s, ok := statements[b.Nonce]; ok && !of(b.Nonce).final {
				of(b.Nonce).final = identity.VerifyCountersign(deployment, b.Word, countersignMessage(deployment, s))
			}
		}
	}
	for _, w := range words {
		st.Erased = st.Erased || w.signed && (w.final || !w.withdrawn)
		st.Final = st.Final || w.signed && w.final
	}
	return st
}

func foldErasures(_ oplog.ID, ops []oplog.Op) []oplog.Row {
	rows := map[string][]byte{}
	put := func(value []byte, key ...[]byte) {
		if k := string(slices.Concat(key...)); rows[k] == nil {
			rows[k] = value // the first one says it
		}
	}
	for _, op := range ops {
		switch b := op.Body.(type) {
		case *erased:
			sum := sha256.Sum256(encode(b))
			put(encode(erasedRow{Fact: *b, Log: op.Log, At: op.At.Unix()}), []byte("e"), b.Statement.Nonce[:], sum[:8])
			for _, c := range b.Statement.Cards[:min(len(b.Statement.Cards), maxCards)] {
				put([]byte{1}, []byte("m"), c[:])
			}
		case *eraseWithdrawn:
			put(encode(withdrawnRow{Fact: *b, At: op.At.Unix()}), []byte("w"), b.Nonce[:], op.Log[:])
		case *eraseCountersigned:
			put([]byte{1}, []byte("c"), b.Nonce[:])
		case *eraseDone:
			put(encode(op.At.Unix()), []byte("d"), op.Log[:])
		}
	}
	return sortedRows(rows)
}

func foldApprovals(_ oplog.ID, ops []oplog.Op) []oplog.Row {
	rows := map[string][]byte{}
	for _, op := range ops {
		if b := oplog.Body[eraseAsked](op); b != nil {
			k := string(append([]byte("w"), b.Approval[:]...))
			if rows[k] == nil {
				rows[k] = encode(approvalRow{Fact: *b, Log: op.Log, At: op.At.Unix()})
			}
		}
	}
	for _, op := range ops {
		if b := oplog.Body[eraseDeclined](op); b != nil {
			delete(rows, string(append([]byte("w"), b.Approval[:]...)))
		}
	}
	return sortedRows(rows)
}

func sortedRows(rows map[string][]byte) []oplog.Row {
	out := make([]oplog.Row, 0, len(rows))
	for k, v := range rows {
		out = append(out, oplog.Row{Key: []byte(k), Value: v})
	}
	slices.SortFunc(out, func(a, b oplog.Row) int { return bytes.Compare(a.Key, b.Key) })
	return out
}

// CardMark is how an erasure names a card: a hash of its holder number, which is 80
// random bits, bound to the deployment.
func CardMark(deployment [16]byte, holder [10]byte) [16]byte {
	sum := sha256.Sum256(slices.Concat([]byte("waypost/erased-card/1"), deployment[:], holder[:]))
	return [16]byte(sum[:16])
}
