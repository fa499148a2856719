package staff

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"slices"

	"github.com/waypost/waypost/appliance/oplog"
)

// enrolled says that somebody works here from now on. It is about the account
// whose id is its own hash (subjectOf), so nobody can say anything else about
// that account.
type enrolled struct {
	Sign [32]byte `cbor:"1,keyasint"` // Ed25519
	Seal [32]byte `cbor:"2,keyasint"` // X25519
	Role Role     `cbor:"3,keyasint"`
	Node oplog.ID `cbor:"4,keyasint"` // where the account is

	More *personal `cbor:"5,keyasint,omitempty"` // since version 2; nil in version 1
}

// personal is what version 2 says about an account: who the person is, what they may be
// given, and through whose hands the passphrase went. Those hands never count as a second
// person beside the account.
type personal struct {
	Person  oplog.ID `cbor:"1,keyasint"` // the same human has one at every node
	Narrow  []Narrow `cbor:"2,keyasint"` // what they were given, sorted; never nil
	MadeBy  hands    `cbor:"3,keyasint"`
	ResetBy hands    `cbor:"4,keyasint"` // whoever last gave it a new passphrase; zero when nobody did
}

// hands are whose account did something, and which person that is; no person for the
// operator and for version 1.
type hands struct {
	ID     ID       `cbor:"1,keyasint"`
	Person oplog.ID `cbor:"2,keyasint"`
}

// enrolledFirst is enrolled as version 1 has it on the wire: the same bytes as an
// enrolled without More.
type enrolledFirst struct {
	Sign [32]byte `cbor:"1,keyasint"`
	Seal [32]byte `cbor:"2,keyasint"`
	Role Role     `cbor:"3,keyasint"`
	Node oplog.ID `cbor:"4,keyasint"`
}

func (e *enrolledFirst) now() enrolled {
	return enrolled{Sign: e.Sign, Seal: e.Seal, Role: e.Role, Node: e.Node}
}

// enrolment is the enrolment an op says, in either version, when it is about its own
// subject; nil for anything else.
func enrolment(op oplog.Op, subject oplog.ID) *enrolled {
	switch b := op.Body.(type) {
	case *enrolledFirst:
		if e := b.now(); e.subject() == subject {
			return &e
		}
	case *enrolled:
		if b.More != nil && b.subject() == subject {
			return b
		}
	}
	return nil
}

// person is which human an account is of. An account of version 1 is a human of its own.
func (e enrolled) person() oplog.ID {
	if e.More == nil {
		return e.subject()
	}
	return e.More.Person
}

// named says what they are called; it lies in the register.
type named struct {
	User string `cbor:"1,keyasint"`
	Site string `cbor:"2,keyasint"`
}

// disabled ends an account. Proof is the node's own word for it.
type disabled struct {
	Proof [16]byte `cbor:"1,keyasint"`
}

// keyIssued is a bearer key, without its secret. Like an account it is named by
// its own hash, Proof left out.
type keyIssued struct {
	Hash    [32]byte `cbor:"1,keyasint"` // of the secret
	Role    Role     `cbor:"2,keyasint"`
	Name    string   `cbor:"3,keyasint,omitempty"`
	Expires int64    `cbor:"4,keyasint"` // Unix seconds
	Node    oplog.ID `cbor:"5,keyasint"` // the only node it works at
	Proof   [16]byte `cbor:"6,keyasint"` // that node's own word for all of it
	Issued  int64    `cbor:"7,keyasint"` // Unix seconds, by the clock Expires was reckoned with
}

// keyRevoked ends a bearer key. Proof is the node's own word for it.
type keyRevoked struct {
	Proof [16]byte `cbor:"1,keyasint"`
}

// subjectOf names an account or a bearer key: the first ten bytes of SHA-256 of a
// purpose and the CBOR of the fact that makes it. A fact about another subject
// than its own is nothing.
func subjectOf(purpose string, fact any) oplog.ID {
	sum := sha256.Sum256(append([]byte(purpose), encode(fact)...))
	return oplog.ID(sum[:len(oplog.ID{})])
}

func (e enrolled) subject() oplog.ID { return subjectOf("waypost/staff/1", e) }

func (k keyIssued) subject() oplog.ID {
	k.Proof = [16]byte{}
	return subjectOf("waypost/staff-key/1", k)
}

var (
	enrolledFirstKind = oplog.NewKind[enrolledFirst]("staff.enrolled", 1, oplog.Deployment)
	enrolledKind      = oplog.NewKind[enrolled]("staff.enrolled", 2, oplog.Deployment)
	namedKind         = oplog.NewKind[named]("staff.named", 1, oplog.Register).Bound()
	disabledKind      = oplog.NewKind[disabled]("staff.disabled", 1, oplog.Deployment)
	keyIssuedKind     = oplog.NewKind[keyIssued]("staff.key_issued", 1, oplog.Register).Bound()
	keyRevokedKind    = oplog.NewKind[keyRevoked]("staff.key_revoked", 1, oplog.Deployment)
)

// Kinds are the facts of this desk.
func Kinds() []oplog.Kind {
	return append(append(accountKinds(), eraseKinds()...), lookedKind, reopenedFirstKind, reopenedKind)
}

func accountKinds() []oplog.Kind {
	return []oplog.Kind{enrolledFirstKind, enrolledKind, namedKind, disabledKind, undertakenKind, keyIssuedKind, keyRevokedKind}
}

// Views are what they add up to.
func Views() []*oplog.View { return []*oplog.View{staffView, erasures, approvals, looks, reopenings} }

// staffView has, per subject and its id (the first eight bytes of it):
//
//	a ‖ id              -> accountRow
//	n ‖ id ‖ log        -> nameRow: what that log says the account is called
//	d ‖ id ‖ proof      -> 1: a claim that the account is disabled
//	u ‖ id ‖ proof      -> undertakenRow: a claim that they signed the undertaking
//	k ‖ id ‖ log ‖ hash -> a bearer key as that log says it, in the fact's CBOR
//	x ‖ id ‖ proof      -> 1: a claim that the key is revoked
//
// A fold knows neither which log belongs to which node nor the key that proofs
// are made with. So every claim is a row of its own, and whoever reads it judges:
// this node its own accounts and keys by the proof, everybody a name by the log.
var staffView = &oplog.View{Name: "staff", Version: 3, Kinds: accountKinds(), Fold: foldStaff}

// accountRow is what every node knows about an account: nothing that could change.
type accountRow struct {
	_      struct{} `cbor:",toarray"`
	Sign   [32]byte
	Seal   [32]byte
	Role   Role
	Node   oplog.ID
	Person oplog.ID
	Narrow []Narrow // nil where the enrolment says nothing: all that the role may have
}

func rowOf(e *enrolled) accountRow {
	row := accountRow{Sign: e.Sign, Seal: e.Seal, Role: e.Role, Node: e.Node, Person: e.person()}
	if e.More != nil {
		row.Narrow = append([]Narrow{}, e.More.Narrow...)
	}
	return row
}

// nameRow is the last name that a log gave an account.
type nameRow struct {
	_    struct{} `cbor:",toarray"`
	User string
	Site string
}

// idOf is the actor id of a subject.
func idOf(subject oplog.ID) ID { return ID(subject[:len(ID{})]) }

func rowKey(kind byte, id ID, more ...byte) []byte {
	return slices.Concat([]byte{kind}, id[:], more)
}

// foldStaff is the shared view. ops are sorted by (clock, log, sequence).
func foldStaff(subject oplog.ID, ops []oplog.Op) []oplog.Row {
	id := idOf(subject)
	rows := map[string][]byte{}
	for _, op := range ops {
		switch b := op.Body.(type) {
		case *enrolled, *enrolledFirst:
			if e := enrolment(op, subject); e != nil {
				rows[string(rowKey('a', id))] = encode(rowOf(e))
			}
		case *named:
			rows[string(rowKey('n', id, op.Log[:]...))] = encode(nameRow{User: b.User, Site: b.Site})
		case *disabled:
			rows[string(rowKey('d', id, b.Proof[:]...))] = []byte{1}
		case *undertaken:
			rows[string(rowKey('u', id, b.Proof[:]...))] = encode(undertakenRow{Version: b.Version, At: b.At, Paper: b.Paper})
		case *keyIssued:
			if b.subject() == subject {
				sum := sha256.Sum256(encode(b))
				rows[string(rowKey('k', id, append(op.Log[:], sum[:16]...)...))] = encode(b)
			}
		case *keyRevoked:
			rows[string(rowKey('x', id, b.Proof[:]...))] = []byte{1}
		}
	}
	out := make([]oplog.Row, 0, len(rows))
	for k, v := range rows {
		out = append(out, oplog.Row{Key: []byte(k), Value: v})
	}
	slices.SortFunc(out, func(a, b oplog.Row) int { return bytes.Compare(a.Key, b.Key) })
	return out
}

// proof is a MAC that only this node can make.
func (d *Desk) proof(purpose string, parts ...[]byte) [16]byte {
	h := hmac.New(sha256.New, d.proofKey[:])
	h.Write([]byte(purpose))
	for _, p := range parts {
		h.Write(p)
	}
	return [16]byte(h.Sum(nil)[:16])
}

func (d *Desk) disabledProof(id ID) [16]byte { return d.proof("waypost/staff-disabled/1", id[:]) }

func (d *Desk) revokedProof(id ID) [16]byte { return d.proof("waypost/staff-key-revoked/1", id[:]) }

func (d *Desk) keyProof(id ID, k keyIssued) [16]byte {
	k.Proof = [16]byte{}
	return d.proof("waypost/staff-key/1", id[:], encode(k))
}
