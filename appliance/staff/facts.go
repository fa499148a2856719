package staff

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"slices"

	"github.com/waypost/waypost/appliance/oplog"
)

// enrolled says that somebody works here from now on.
type enrolled struct {
	Sign [32]byte `cbor:"1,keyasint"` // Ed25519
	Seal [32]byte `cbor:"2,keyasint"` // X25519
	Role Role     `cbor:"3,keyasint"`
	Node oplog.ID `cbor:"4,keyasint"` // where the account is
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

// keyIssued is a bearer key, without its secret.
type keyIssued struct {
	Hash    [32]byte `cbor:"1,keyasint"` // of the secret
	Role    Role     `cbor:"2,keyasint"`
	Name    string   `cbor:"3,keyasint,omitempty"`
	Expires int64    `cbor:"4,keyasint"` // Unix seconds
	Node    oplog.ID `cbor:"5,keyasint"` // the only node it works at
	Proof   [16]byte `cbor:"6,keyasint"` // that node's own word for all of it
}

// keyRevoked ends a bearer key. Whoever says it, it counts: closing a program's
// door too early is the lesser harm.
type keyRevoked struct{}

var (
	enrolledKind   = oplog.NewKind[enrolled]("staff.enrolled", 1, oplog.Deployment)
	namedKind      = oplog.NewKind[named]("staff.named", 1, oplog.Register)
	disabledKind   = oplog.NewKind[disabled]("staff.disabled", 1, oplog.Deployment)
	keyIssuedKind  = oplog.NewKind[keyIssued]("staff.key_issued", 1, oplog.Register)
	keyRevokedKind = oplog.NewKind[keyRevoked]("staff.key_revoked", 1, oplog.Deployment)
)

// Kinds are the facts of this desk.
func Kinds() []oplog.Kind {
	return []oplog.Kind{enrolledKind, namedKind, disabledKind, keyIssuedKind, keyRevokedKind}
}

// Views are what they add up to.
func Views() []*oplog.View { return []*oplog.View{staffView} }

// staffView has, per subject: under 'a' ‖ id the account; under 'd' ‖ id ‖ proof a
// claim that it is disabled; under 'k' ‖ id ‖ hash of the fact a bearer key; under
// 'x' ‖ id that the key is revoked. A claim and a key are rows of their own
// because only the node that can check the proof knows which ones count.
var staffView = &oplog.View{Name: "staff", Version: 1, Kinds: Kinds(), Fold: foldStaff}

// accountRow is what every node knows about an account.
type accountRow struct {
	_        struct{} `cbor:",toarray"`
	Sign     [32]byte
	Role     Role
	Node     oplog.ID
	Since    int64 // Unix milliseconds
	User     string
	Site     string
	Disabled bool
}

// keyRow is what every node knows about a bearer key.
type keyRow struct {
	_      struct{} `cbor:",toarray"`
	Fact   keyIssued
	Issued int64 // Unix milliseconds
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
	put := func(key, value []byte) {
		if rows[string(key)] == nil {
			rows[string(key)] = value
		}
	}
	if a, ok := foldAccount(ops); ok {
		put(rowKey('a', id), encode(a))
	}
	for _, op := range ops {
		switch b := op.Body.(type) {
		case *disabled:
			put(rowKey('d', id, b.Proof[:]...), []byte{1})
		case *keyIssued:
			sum := sha256.Sum256(encode(b))
			put(rowKey('k', id, sum[:16]...), encode(keyRow{Fact: *b, Issued: op.At.UnixMilli()}))
		case *keyRevoked:
			put(rowKey('x', id), []byte{1})
		}
	}
	out := make([]oplog.Row, 0, len(rows))
	for k, v := range rows {
		out = append(out, oplog.Row{Key: []byte(k), Value: v})
	}
	slices.SortFunc(out, func(a, b oplog.Row) int { return bytes.Compare(a.Key, b.Key) })
	return out
}

// foldAccount takes the first enrolment, and the last name that its own log gave.
func foldAccount(ops []oplog.Op) (a accountRow, ok bool) {
	var home oplog.LogID
	for _, op := range ops {
		if b := oplog.Body[enrolled](op); b != nil {
			a = accountRow{Sign: b.Sign, Role: b.Role, Node: b.Node, Since: op.At.UnixMilli()}
			home, ok = op.Log, true
			break
		}
	}
	for _, op := range ops {
		switch b := op.Body.(type) {
		case *named:
			if op.Log == home {
				a.User, a.Site = b.User, b.Site
			}
		case *disabled:
			a.Disabled = true
		}
	}
	return a, ok
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

func (d *Desk) keyProof(id ID, k keyIssued) [16]byte {
	k.Proof = [16]byte{}
	return d.proof("waypost/staff-key/1", id[:], encode(k))
}
