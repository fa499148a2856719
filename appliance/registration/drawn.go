package registration

import (
	"crypto/rand"
	"crypto/sha256"

	"github.com/waypost/waypost/appliance/oplog"
)

// Drawn is Formed for people who are all new: their ids are drawn from one number instead
// of each by itself, so that the fact need not list them. An import writes it. Member i,
// from 0, is the first 10 bytes of
//
//	SHA-256("waypost/drawn/1" ‖ subject (10) ‖ Seed ‖ i (1))
//
// The seed is 8 random bytes and lies in the sealed payload: who sees subjects and no more
// cannot tell who belongs together.
type Drawn struct {
	Seed  []byte `cbor:"1,keyasint"`
	Count uint   `cbor:"2,keyasint"`           // at most MaxHousehold
	Head  uint   `cbor:"3,keyasint,omitempty"` // which of them, from 0
}

// drawnKind is a second version of formedKind, for programs that know no more than that.
func drawnKind() oplog.Kind {
	return oplog.NewKind[Drawn]("registration.household_formed", 2, oplog.Register)
}

// seedSize is the length of Drawn.Seed.
const seedSize = 8

// drawMembers draws count new people for a household.
func drawMembers(count int) Drawn {
	d := Drawn{Seed: make([]byte, seedSize), Count: uint(count)} //nolint:gosec // at most MaxHousehold
	_, _ = rand.Read(d.Seed)                                     // never fails
	return d
}

// members are the ids of those who form a household.
func (d *Drawn) members(household oplog.ID) []oplog.ID {
	out := make([]oplog.ID, min(d.Count, MaxHousehold))
	b := append([]byte("waypost/drawn/1"), household[:]...)
	b = append(append(b, d.Seed...), 0)
	for i := range out {
		b[len(b)-1] = byte(i)
		h := sha256.Sum256(b)
		copy(out[i][:], h[:])
	}
	return out
}

// formed is the same as it would be listed.
func (d *Drawn) formed(household oplog.ID) Formed {
	f := Formed{Members: d.members(household)}
	if d.Head < uint(len(f.Members)) {
		f.Head = f.Members[d.Head]
	}
	return f
}

// formedIn is what a fact says of who forms a household.
func formedIn(op oplog.Op) (Formed, bool) {
	switch b := op.Body.(type) {
	case *Formed:
		return *b, true
	case *Drawn:
		return b.formed(op.Subject), true
	}
	return Formed{}, false
}
