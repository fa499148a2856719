package sealed

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// epochBegun says which keys a compartment has from now on. It is about a subject made of
// the compartment's name.
type epochBegun struct {
	Narrow      staff.Narrow `cbor:"1,keyasint"`
	Epoch       uint32       `cbor:"2,keyasint"`            // from 1
	Seal        [32]byte     `cbor:"3,keyasint"`            // X25519: what is passed on is sealed to it
	Sign        [32]byte     `cbor:"4,keyasint"`            // Ed25519: signs the next epoch
	Officers    [32]byte     `cbor:"5,keyasint"`            // X25519; zeros where there are none
	Staff       []staff.ID   `cbor:"6,keyasint"`            // the officers
	Before      [32]byte     `cbor:"7,keyasint"`            // hash of the epoch before; zeros for the first
	ForOfficers []byte       `cbor:"8,keyasint,omitempty"`  // the seed, wrapped to the officers' key
	By          staff.ID     `cbor:"9,keyasint"`            // who began it
	Word        []byte       `cbor:"10,keyasint,omitempty"` // an issuer's word, or the Ed25519 signature of the epoch before
	Hand        []byte       `cbor:"11,keyasint,omitempty"` // By's own signature; none beside an issuer's word
	Turn        *turn        `cbor:"12,keyasint,omitempty"` // begins with other officers, by two of those before
}

// turn is what two officers sign who put others in their place. The old key, the new one,
// who has it and its shares are what they sign; see turnAct.
type turn struct {
	First  staff.Hand `cbor:"1,keyasint"`
	Second staff.Hand `cbor:"2,keyasint"`
	Shares [][32]byte `cbor:"3,keyasint"` // SHA-256 of each shareGiven.Sealed of the new key
	Chain  []byte     `cbor:"4,keyasint"` // HPKE of the officers' key before, to the new one
}

// hash names the epoch: all of it but the two signatures.
func (e epochBegun) hash() [32]byte {
	e.Word, e.Hand = nil, nil
	return sha256.Sum256(encode(e))
}

// message is what is signed.
func (e epochBegun) message(deployment [16]byte) []byte {
	h := e.hash()
	return slices.Concat([]byte("waypost/sealed-epoch/1"), deployment[:], h[:])
}

// seedGiven is the seed of an epoch, wrapped to one account: about that account. Only who
// finds in it the keys of the epoch takes it for one, so it needs no signature.
type seedGiven struct {
	Epoch  [32]byte `cbor:"1,keyasint"` // hash
	Sealed []byte   `cbor:"2,keyasint"` // HPKE of the seed
}

// shareGiven is a part of the officers' key, wrapped to one officer: about that account.
type shareGiven struct {
	Officers [32]byte `cbor:"1,keyasint"` // the public half
	Sealed   []byte   `cbor:"2,keyasint"` // HPKE of a share
	Word     []byte   `cbor:"3,keyasint"` // an issuer's, or anybody could give officers shares of nothing
}

// message is what the issuer signs.
func (s shareGiven) message(deployment [16]byte, to oplog.ID) []byte {
	sum := sha256.Sum256(s.Sealed)
	return slices.Concat([]byte("waypost/sealed-share/1"), deployment[:], s.Officers[:], to[:], sum[:])
}

// glassBroken says that two people opened sealed files in an emergency. What they opened
// is not in it: only what they signed, which holds the hash of it.
type glassBroken struct {
	Request [32]byte   `cbor:"1,keyasint"` // hash of what was asked for
	First   staff.Hand `cbor:"2,keyasint"`
	Second  staff.Hand `cbor:"3,keyasint"`
}

// fileHanded says that a sealed file left the deployment, by two hands. Which file, and to
// whom, is in the file alone.
type fileHanded struct {
	Request [32]byte   `cbor:"1,keyasint"` // hash of what was asked for
	Parcel  [32]byte   `cbor:"2,keyasint"` // SHA-256 of what left
	First   staff.Hand `cbor:"3,keyasint"`
	Second  staff.Hand `cbor:"4,keyasint"`
}

var (
	epochBegunKind  = oplog.NewKind[epochBegun]("sealed.epoch_begun", 1, oplog.Deployment)
	seedGivenKind   = oplog.NewKind[seedGiven]("sealed.seed_given", 1, oplog.Deployment)
	shareGivenKind  = oplog.NewKind[shareGiven]("sealed.share_given", 1, oplog.Deployment)
	glassBrokenKind = oplog.NewKind[glassBroken]("sealed.glass_broken", 1, oplog.Deployment)
	fileHandedKind  = oplog.NewKind[fileHanded]("sealed.handed_over", 1, oplog.Deployment)
)

func openKinds() []oplog.Kind {
	return []oplog.Kind{epochBegunKind, seedGivenKind, shareGivenKind, glassBrokenKind, fileHandedKind}
}

// Kinds are the facts of this desk.
func Kinds() []oplog.Kind { return append(openKinds(), oplog.Sealed) }

// Views are what they add up to.
func Views() []*oplog.View { return []*oplog.View{keysView, entriesView} }

// keysView has, in the open:
//
//	e ‖ hash of the epoch ‖ log              -> epochRow: what that log says began
//	g ‖ hash of the epoch ‖ log ‖ digest (8) -> a seedGiven, about the account it is for
//	s ‖ officers' key ‖ log ‖ digest (8)     -> a shareGiven, about the account it is for
//	b ‖ log ‖ digest (8)                     -> brokenRow
//	h ‖ log ‖ digest (8)                     -> brokenRow, of a fileHanded
//
// A fold knows neither which log belongs to whom nor what seeds open: whoever reads a row
// judges it.
var keysView = &oplog.View{Name: "sealed keys", Version: 2, Kinds: openKinds(), Fold: foldKeys}

// entriesView has for every sealed op, about its subject: c ‖ log ‖ sequence (8) -> 1.
// So whoever looks for what is new reads on where they stopped.
var entriesView = &oplog.View{Name: "sealed entries", Version: 1, Kinds: []oplog.Kind{oplog.Sealed}, Fold: foldEntries}

// epochRow is an epochBegun with the logical clock of the op.
type epochRow struct {
	_     struct{} `cbor:",toarray"`
	Clock uint64
	Body  epochBegun
}

// brokenRow is a glassBroken or a fileHanded with where and when it was written.
type brokenRow struct {
	_    struct{} `cbor:",toarray"`
	Body []byte
	At   int64 // Unix seconds
	Log  oplog.LogID
}

// Bounds of facts anybody could write.
const (
	maxOfficers = 5
	maxWord     = 2048
	maxWrapped  = 512
	maxSigned   = 2048 // what two hands stand under
)

// subjectOf is what the facts about a compartment are about.
func subjectOf(n staff.Narrow) oplog.ID { return n.Subject() }

func (e epochBegun) fits(subject oplog.ID) bool {
	return slices.Contains(staff.Narrows(), e.Narrow) && subject == subjectOf(e.Narrow) && e.Epoch > 0 && len(e.Staff) <= maxOfficers &&
		len(e.Word) <= maxWord && len(e.Hand) <= 64 && len(e.ForOfficers) <= maxWrapped &&
		(e.Turn == nil || len(e.Turn.Shares) <= maxOfficers && len(e.Turn.First)+len(e.Turn.Second) <= maxSigned && len(e.Turn.Chain) <= maxWrapped)
}

func epochKey(hash [32]byte, log oplog.LogID) []byte {
	return slices.Concat([]byte{'e'}, hash[:], log[:])
}

// foldKeys is a shared view. ops are sorted by (clock, log, sequence).
func foldKeys(subject oplog.ID, ops []oplog.Op) []oplog.Row {
	rows := map[string][]byte{}
	for _, op := range ops {
		switch b := op.Body.(type) {
		case *epochBegun:
			if b.fits(subject) {
				rows[string(epochKey(b.hash(), op.Log))] = encode(epochRow{Clock: op.Clock, Body: *b})
			}
		case *seedGiven:
			if len(b.Sealed) <= maxWrapped {
				rows[string(given('g', b.Epoch, op.Log, encode(b)))] = encode(b)
			}
		case *shareGiven:
			if len(b.Sealed) <= maxWrapped && len(b.Word) <= maxWord {
				rows[string(given('s', b.Officers, op.Log, encode(b)))] = encode(b)
			}
		case *glassBroken:
			signedRow(rows, 'b', op, encode(b))
		case *fileHanded:
			signedRow(rows, 'h', op, encode(b))
		}
	}
	return sorted(rows)
}

// signedRow keeps what two hands stand under: each that a log says, so that none can hide
// another. Whoever reads it checks the hands.
func signedRow(rows map[string][]byte, kind byte, op oplog.Op, body []byte) {
	if len(body) > maxSigned {
		return
	}
	sum := sha256.Sum256(body)
	rows[string(slices.Concat([]byte{kind}, op.Log[:], sum[:8]))] = encode(brokenRow{Body: body, At: op.At.Unix(), Log: op.Log})
}

func given(kind byte, what [32]byte, log oplog.LogID, body []byte) []byte {
	sum := sha256.Sum256(body)
	return slices.Concat([]byte{kind}, what[:], log[:], sum[:8])
}

func sorted(rows map[string][]byte) []oplog.Row {
	out := make([]oplog.Row, 0, len(rows))
	for k, v := range rows {
		out = append(out, oplog.Row{Key: []byte(k), Value: v})
	}
	slices.SortFunc(out, func(a, b oplog.Row) int { return bytes.Compare(a.Key, b.Key) })
	return out
}

func entryKey(r oplog.Ref) []byte {
	return binary.BigEndian.AppendUint64(slices.Concat([]byte{'c'}, r.Log[:]), r.Seq)
}

// foldEntries is a shared view.
func foldEntries(_ oplog.ID, ops []oplog.Op) []oplog.Row {
	out := make([]oplog.Row, 0, len(ops))
	for _, op := range ops {
		out = append(out, oplog.Row{Key: entryKey(op.Ref), Value: []byte{1}})
	}
	slices.SortFunc(out, func(a, b oplog.Row) int { return bytes.Compare(a.Key, b.Key) })
	return out
}
