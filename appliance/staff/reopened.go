package staff

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// reopened says that two people let a node that came out of a backup show people again
// before another post could tell it who was erased since. It is about the node, and both
// signed it: it can be shown to anybody who asks why an erased person was seen there.
type reopened struct {
	First  Hand  `cbor:"1,keyasint"` // of the two, whoever may keep backups
	Second Hand  `cbor:"2,keyasint"`
	Made   int64 `cbor:"3,keyasint"` // of the backup, Unix seconds
}

// reopenedFirst is how version 1 said it: two ids that anybody could write down. It opened
// the node that wrote it, then, and no other; it is read, shown to nobody and proves nothing.
type reopenedFirst struct {
	First  ID    `cbor:"1,keyasint"`
	Second ID    `cbor:"2,keyasint"`
	Made   int64 `cbor:"3,keyasint"`
}

var (
	reopenedFirstKind = oplog.NewKind[reopenedFirst]("staff.reopened", 1, oplog.Register)
	reopenedKind      = oplog.NewKind[reopened]("staff.reopened", 2, oplog.Register)
)

// reopenings has, per node: r ‖ log ‖ sequence (8) -> reopenedRow. Whoever reads a row
// checks the hands.
var reopenings = &oplog.View{Name: "reopenings", Version: 1, Kinds: []oplog.Kind{reopenedFirstKind, reopenedKind}, Fold: foldReopenings}

// reopenedRow is a reopened with when it was written.
type reopenedRow struct {
	_    struct{} `cbor:",toarray"`
	Fact reopened
	At   int64 // Unix seconds, as its node claims
}

func foldReopenings(_ oplog.ID, ops []oplog.Op) []oplog.Row {
	rows := map[string][]byte{}
	for _, op := range ops {
		b := oplog.Body[reopened](op)
		if b == nil || len(b.First) > maxHand || len(b.Second) > maxHand {
			continue
		}
		key := binary.BigEndian.AppendUint64(append([]byte("r"), op.Log[:]...), op.Seq)
		rows[string(key)] = encode(reopenedRow{Fact: *b, At: op.At.Unix()})
	}
	return sortedRows(rows)
}

// reopenAct is what both sign: which node, out of the backup of when.
func reopenAct(node oplog.ID, made int64) Act {
	body := slices.Clone(node[:])
	return Act{Purpose: "reopen", Action: KeepBackups, Body: binary.BigEndian.AppendUint64(body, uint64(made))} //nolint:gosec // only the bits
}

// checkReopened tells whether two people of a node let people be read there: as CheckHands,
// but both are of that node, and of the second nothing is asked but to be somebody else whom
// the first did not make. Faults: as CheckHands, with "fault.staff.act_stranger" for anybody
// of another node.
func (d *Desk) checkReopened(node oplog.ID, f reopened) error {
	one, ok := parseHand(f.First)
	two, also := parseHand(f.Second)
	msg := reopenAct(node, f.Made).message(d.issuer.Deployment)
	if !ok || !also || !one.valid(msg) || !two.valid(msg) {
		return fault.New(fault.Denied, "fault.staff.act_hands")
	}
	if one.Who.Node != node || two.Who.Node != node || !d.trustedSigner(one.Who, KeepBackups) || !d.knownSigner(two.Who) {
		return fault.New(fault.Denied, "fault.staff.act_stranger")
	}
	return d.twoPeople(one, two, "act")
}

// Reopen records that two people let people be read at this node again. The first has just
// shown their passphrase, needs KeepBackups and is no key and no operator; the second shows
// theirs now. made is when the backup was made. Faults: those of Actor.Must and SignIn, Denied
// "fault.staff.no_person", "fault.staff.same_person", "fault.staff.act_made" (one of them made
// the other's account), the log's own.
func (d *Desk) Reopen(ctx context.Context, first Session, user string, passphrase []byte, made time.Time) error {
	if err := first.Actor.Must(KeepBackups); err != nil {
		return err
	}
	if first.Actor.Key || first.Actor.Operator {
		return fault.New(fault.Denied, "fault.staff.no_person")
	}
	second, err := d.SignIn(ctx, user, passphrase)
	if err != nil {
		return err
	}
	defer d.SignOut(second.Token)
	return d.reopen(ctx, first, second, made)
}

// ReopenBoth is Reopen where neither of the two has signed in: both show their
// passphrases, and at least one of them may keep backups.
func (d *Desk) ReopenBoth(ctx context.Context, users [2]string, passphrases [2][]byte, made time.Time) error {
	var both [2]Session
	for i := range both {
		var err error
		if both[i], err = d.SignIn(ctx, users[i], passphrases[i]); err != nil {
			return err
		}
		defer d.SignOut(both[i].Token)
	}
	first, second := both[0], both[1]
	if !first.Actor.Can(KeepBackups) {
		first, second = second, first
	}
	if err := first.Actor.Must(KeepBackups); err != nil {
		return err
	}
	return d.reopen(ctx, first, second, made)
}

func (d *Desk) reopen(ctx context.Context, first, second Session, made time.Time) error {
	if first.Actor.ID == second.Actor.ID {
		return fault.New(fault.Denied, "fault.staff.same_person").With("user", "fault.staff.same_person")
	}
	fact := reopened{Made: made.Unix()}
	msg := reopenAct(d.node, fact.Made).message(d.issuer.Deployment)
	for hand, s := range map[*Hand]Session{&fact.First: first, &fact.Second: second} {
		sig, err := d.signature(s, msg)
		if err != nil {
			return err
		}
		*hand = encode(sig)
	}
	if err := d.checkReopened(d.node, fact); err != nil {
		return err
	}
	return d.log.Do(ctx, first.Actor.ID, func(tx *oplog.Tx) error {
		_, err := tx.Append(reopenedKind, d.node, fact)
		return err
	})
}

// Reopening is one time a node that came out of a backup showed people again by the word
// of two people.
type Reopening struct {
	Node  oplog.ID
	At    time.Time // as the node claims
	Made  time.Time // of the backup
	By    [2]ID
	Names [2]string // empty where nobody here knows the account
}

// Reopenings lists those that two people signed, the latest first; what anybody else wrote
// down is none. Faults: those of the log.
func (d *Desk) Reopenings() (out []Reopening, err error) {
	var found []reopenedRow
	var nodes []oplog.ID
	err = d.log.View(func(r oplog.Reader) error {
		return r.Rows(reopenings, []byte("r"), nil, func(_ []byte, subject oplog.ID, value []byte) error {
			var row reopenedRow
			if decode(value, &row) == nil {
				found, nodes = append(found, row), append(nodes, subject)
			}
			return nil
		})
	})
	for i, row := range found { // outside the reading: the check reads too
		if d.checkReopened(nodes[i], row.Fact) != nil {
			continue
		}
		by := [2]ID{row.Fact.First.Signer(), row.Fact.Second.Signer()}
		out = append(out, Reopening{
			Node: nodes[i], At: time.Unix(row.At, 0).UTC(), Made: time.Unix(row.Fact.Made, 0).UTC(), By: by, Names: [2]string{d.NameOf(by[0]), d.NameOf(by[1])},
		})
	}
	slices.SortStableFunc(out, func(a, b Reopening) int { return cmp.Or(b.At.Compare(a.At), bytes.Compare(a.Node[:], b.Node[:])) })
	return out, err
}
