package identity

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

// LossAccepted says that somebody at the subject knows that these ops of a log are lost
// for good: no node has them. It takes a warning away and nothing else; an op that turns
// up after all is stored and shown.
type LossAccepted struct {
	Log  oplog.LogID `cbor:"1,keyasint"`
	From uint64      `cbor:"2,keyasint"`
	To   uint64      `cbor:"3,keyasint"`
}

// AcceptedLoss is such a fact about this node.
type AcceptedLoss struct {
	oplog.Loss
	By oplog.By
	At time.Time // wall time of this node
}

var lossAccepted = oplog.NewKind[LossAccepted]("identity.loss_accepted", 1, oplog.Deployment)

var lossKey = []byte("l")

// lossRow is who accepted the loss of one stretch, and when. The first word counts.
type lossRow struct {
	_  struct{} `cbor:",toarray"`
	By oplog.By
	At int64 // Unix milliseconds
}

func acceptance(b *LossAccepted, op oplog.Op) oplog.Row {
	key := append(slices.Clone(lossKey), b.Log[:]...)
	key = binary.BigEndian.AppendUint64(key, b.From)
	key = binary.BigEndian.AppendUint64(key, b.To)
	return oplog.Row{Key: key, Value: encode(lossRow{By: op.By, At: op.At.UnixMilli()})}
}

// AcceptLosses writes down that by knows that the journal lost these stretches for good.
// Fault: Conflict "fault.identity.nothing_lost" for none.
func (d *Desk) AcceptLosses(ctx context.Context, by oplog.By, lost []oplog.Loss) error {
	if len(lost) == 0 {
		return fault.New(fault.Conflict, "fault.identity.nothing_lost")
	}
	self := d.vault.NodeID()
	for some := range slices.Chunk(lost, oplog.MaxBatchOps/2) { // rot in many places leaves more than one command holds
		err := d.log.Do(ctx, by, func(tx *oplog.Tx) error {
			for _, x := range some {
				if _, err := tx.Append(lossAccepted, self, LossAccepted{Log: x.Log, From: x.From, To: x.To}); err != nil {
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

// AcceptedLosses lists what was accepted at this node, the latest first.
func (d *Desk) AcceptedLosses() ([]AcceptedLoss, error) {
	var out []AcceptedLoss
	self := d.vault.NodeID()
	err := d.log.View(func(r oplog.Reader) error {
		return r.Rows(nodesView, lossKey, nil, func(key []byte, subject oplog.ID, value []byte) error {
			key = key[len(lossKey):]
			if subject != self || len(key) != len(oplog.LogID{})+16 {
				return nil
			}
			var row lossRow
			if err := decodeRow(value, &row); err != nil {
				return err
			}
			out = append(out, AcceptedLoss{
				Loss: oplog.Loss{Log: oplog.LogID(key[:16]), From: binary.BigEndian.Uint64(key[16:24]), To: binary.BigEndian.Uint64(key[24:])},
				By:   row.By, At: time.UnixMilli(row.At).UTC(),
			})
			return nil
		})
	})
	slices.SortFunc(out, func(a, b AcceptedLoss) int {
		return cmp.Or(b.At.Compare(a.At), bytes.Compare(a.Log[:], b.Log[:]), cmp.Compare(a.From, b.From))
	})
	return out, err
}

// Unaccepted leaves out of lost what lies in an accepted stretch.
func Unaccepted(lost []oplog.Loss, accepted []AcceptedLoss) []oplog.Loss {
	return slices.DeleteFunc(slices.Clone(lost), func(x oplog.Loss) bool {
		return slices.ContainsFunc(accepted, func(a AcceptedLoss) bool { return a.Log == x.Log && a.From <= x.From && x.To <= a.To })
	})
}
