package tokens

import (
	"slices"

	"github.com/waypost/waypost/appliance/oplog"
)

// AskErased gives the desk the question whether a card is of somebody who was
// erased; call it before the desk is used. Without it such a card is one of somebody
// this node has not heard of.
func (d *Desk) AskErased(erased func(holder [10]byte) bool) { d.erased = erased }

// isErased asks.
func (d *Desk) isErased(holder [10]byte) bool { return d.erased != nil && d.erased(holder) }

// Holders are the holder numbers of all cards that nodes which may issue made for a
// person or household. It asks nobody's permission: that is the caller's part.
func (d *Desk) Holders(subject oplog.ID) (out [][10]byte, err error) {
	err = d.log.View(func(r oplog.Reader) error {
		ops, err := r.Ops(subject)
		for _, op := range ops {
			b := oplog.Body[Issued](op)
			if b == nil {
				continue
			}
			if _, ok := d.issuerOf(op.Log); ok && !slices.Contains(out, b.Holder) {
				out = append(out, b.Holder)
			}
		}
		return err
	})
	return out, err
}
