package staff

import (
	"context"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// reopened says that two people let a node that came out of a backup show people again
// before another post could tell it who was erased since. It is about the node.
type reopened struct {
	First  ID    `cbor:"1,keyasint"`
	Second ID    `cbor:"2,keyasint"`
	Made   int64 `cbor:"3,keyasint"` // of the backup, Unix seconds
}

var reopenedKind = oplog.NewKind[reopened]("staff.reopened", 1, oplog.Register)

// Second finds out who the second person of a two-person action is: an account of this
// node other than the first, by user name and passphrase. Nobody is signed in. Faults:
// those of SignIn, and Denied "fault.staff.same_person".
func (d *Desk) Second(ctx context.Context, first Actor, user string, passphrase []byte) (Actor, error) {
	s, err := d.SignIn(ctx, user, passphrase)
	if err != nil {
		return Actor{}, err
	}
	d.SignOut(s.Token)
	if s.Actor.ID == first.ID {
		return Actor{}, fault.New(fault.Denied, "fault.staff.same_person").With("user", "fault.staff.same_person")
	}
	return s.Actor, nil
}

// Reopen records that two people let people be read at this node again. first needs
// KeepBackups and is a person who signed in, no key and no operator; the second one shows
// the own passphrase now. Faults: those of Actor.Must and Second, Denied
// "fault.staff.no_person", the log's own.
func (d *Desk) Reopen(ctx context.Context, first Actor, user string, passphrase []byte, made time.Time) error {
	if err := first.Must(KeepBackups); err != nil {
		return err
	}
	if first.Key || first.Operator {
		return fault.New(fault.Denied, "fault.staff.no_person")
	}
	second, err := d.Second(ctx, first, user, passphrase)
	if err != nil {
		return err
	}
	return d.reopen(ctx, first, second, made)
}

// ReopenBoth is Reopen where neither of the two has signed in: both show their
// passphrases, and at least one of them may keep backups.
func (d *Desk) ReopenBoth(ctx context.Context, users [2]string, passphrases [2][]byte, made time.Time) error {
	first, err := d.Second(ctx, Actor{}, users[0], passphrases[0])
	if err != nil {
		return err
	}
	second, err := d.Second(ctx, first, users[1], passphrases[1])
	if err != nil {
		return err
	}
	if !first.Can(KeepBackups) {
		first, second = second, first
	}
	if err := first.Must(KeepBackups); err != nil {
		return err
	}
	return d.reopen(ctx, first, second, made)
}

func (d *Desk) reopen(ctx context.Context, first, second Actor, made time.Time) error {
	return d.log.Do(ctx, first.ID, func(tx *oplog.Tx) error {
		_, err := tx.Append(reopenedKind, d.node, reopened{First: first.ID, Second: second.ID, Made: made.Unix()})
		return err
	})
}
