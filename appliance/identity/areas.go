package identity

import (
	"slices"
	"strconv"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// An area is the part of the register that one key opens. There is the common one, 0, and
// areas apart: a shelter whose address nobody may know. Its records travel through every
// node and are read by none but its own: not by the inviter, not by the founder, not with
// all their keys together. The number of an area apart is the number of the node that was
// the first of it.

// Place says which area of the register an invited node opens; the zero Place is the area
// of the inviter.
type Place struct {
	Apart   bool   // an area of its own
	Carrier bool   // none at all: it carries for others (carrier.go)
	Area    uint16 // one that is known already
}

// ParsePlace reads "" (the inviter's area), "new", "none" (a carrier), or the number of an area. Fault: Invalid
// "fault.identity.bad_area".
func ParsePlace(s string) (Place, error) {
	switch s {
	case "":
		return Place{}, nil
	case "new":
		return Place{Apart: true}, nil
	case "none":
		return Place{Carrier: true}, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return Place{}, fault.New(fault.Invalid, "fault.identity.bad_area").With("area", "fault.identity.bad_area").Wrap(err)
	}
	return Place{Area: uint16(n)}, nil
}

// know tells the vault which areas there are.
func (v *Vault) know(nodes []Node) {
	areas := map[uint16]bool{}
	for _, n := range nodes {
		for _, a := range n.Cert.Areas {
			areas[a] = true
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.areas = areas
}

// Area is the area of the register this node writes.
func (v *Vault) Area() uint16 {
	area, _ := v.CurrentEpoch(oplog.Register)
	return area
}

// SharesArea reports whether a node opens the area that this one writes.
func (v *Vault) SharesArea(n Node) bool { return slices.Contains(n.Cert.Areas, v.Area()) }
