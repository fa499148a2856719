package registration

import (
	"slices"

	"github.com/fxamacker/cbor/v2"

	"github.com/waypost/waypost/appliance/oplog"
)

// Keys of the rows of the register view. The engine puts the subject behind each.
const (
	rowPerson    = 'p' // subject a person: personRow
	rowHousehold = 'f' // subject a household: householdRow
	rowMember    = 'm' // then ten bytes of household id; subject a person; empty value
	rowPhotos    = 'i' // subject a person: current photos, the one shown last
	rowPiece     = 'c' // then a piece's id; subject a person: logical clock of the photo
)

// registerView is what the five facts add up to.
var registerView = &oplog.View{Name: "register", Version: 3, Kinds: peopleKinds(), Fold: foldSubject}

// personRow is a person as they stand. CBOR numbers are private to this view.
type personRow struct {
	Person    Person        `cbor:"1,keyasint"`
	Household oplog.ID      `cbor:"2,keyasint,omitzero"`
	Relation  string        `cbor:"3,keyasint,omitempty"`
	First     stamp         `cbor:"4,keyasint"` // the registration
	Conflicts []conflictRow `cbor:"5,keyasint,omitempty"`
	Seen      []oplog.Ref   `cbor:"6,keyasint"` // see version
	Photo     string        `cbor:"7,keyasint,omitempty"`
}

// stamp is where, when and by whom a fact was written.
type stamp struct {
	Log   oplog.LogID `cbor:"1,keyasint"`
	Seq   uint64      `cbor:"2,keyasint"`
	Clock uint64      `cbor:"3,keyasint"`
	By    oplog.By    `cbor:"4,keyasint"`
	At    int64       `cbor:"5,keyasint"` // Unix milliseconds
}

func stampOf(op oplog.Op) stamp {
	return stamp{Log: op.Log, Seq: op.Seq, Clock: op.Clock, By: op.By, At: op.At.UnixMilli()}
}

// conflictRow is a register with several values nobody has chosen between; the last
// is the one shown.
type conflictRow struct {
	Register uint8        `cbor:"1,keyasint"`
	Versions []versionRow `cbor:"2,keyasint"`
}

type versionRow struct {
	Person     Person `cbor:"1,keyasint"` // only the register's fields are set
	Membership Joined `cbor:"2,keyasint"`
	Stamp      stamp  `cbor:"3,keyasint"`
	Photo      string `cbor:"4,keyasint,omitempty"`
}

// householdRow is a household as it was formed.
type householdRow struct {
	Head    oplog.ID   `cbor:"1,keyasint"`
	Members []oplog.ID `cbor:"2,keyasint,omitempty"`
	Site    string     `cbor:"3,keyasint,omitempty"`
	Stamp   stamp      `cbor:"4,keyasint"`
}

var (
	encoding = mustEncoding()
	decoding = mustDecoding()
)

func mustEncoding() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // constant options: seen by the first test or never
	}
	return m
}

func mustDecoding() cbor.DecMode {
	m, err := cbor.DecOptions{MaxNestedLevels: 16, MaxArrayElements: 8192, MaxMapPairs: 8192}.DecMode()
	if err != nil {
		panic(err) // constant options: seen by the first test or never
	}
	return m
}

// foldSubject makes the rows of one subject: of a person or of a household.
func foldSubject(subject oplog.ID, ops []oplog.Op) []oplog.Row {
	if f := foldPerson(ops); f.there {
		rows := []oplog.Row{{Key: []byte{rowPerson}, Value: f.packed()}}
		if h := f.membership.Household; !h.IsZero() {
			rows = append(rows, oplog.Row{Key: memberKey(h)})
		}
		return append(rows, f.photoRows()...)
	}
	// Two households never share an id; should a fork bring two, the later is taken.
	for _, op := range slices.Backward(ops) {
		if b, ok := formedIn(op); ok {
			row := householdRow{Head: b.Head, Members: b.Members, Site: b.Site, Stamp: stampOf(op)}
			return []oplog.Row{{Key: []byte{rowHousehold}, Value: encoded(row)}}
		}
	}
	return nil
}

func memberKey(household oplog.ID) []byte { return append([]byte{rowMember}, household[:]...) }

// encoded makes a row's value. The types are our own, so it cannot fail; if it ever
// did, the row would be empty and reading it would say so.
func encoded(v any) []byte {
	b, err := encoding.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}

// folded is a person added up from their facts.
type folded struct {
	there      bool // somebody registered them
	first      oplog.Op
	person     Person // the values shown
	membership Joined
	photo      Photographed
	heads      [registers][]oplog.Op // per register, the ops whose value nobody replaced, in order
	ops        []oplog.Op
}

// foldPerson adds up a person's facts, which are sorted. A value is replaced by an op
// that sets the same register and names the op that set it; whatever is left is
// current, and the last of it is shown. Corrections of somebody whose registration is
// not known (not here yet, or erased) wait unseen.
func foldPerson(ops []oplog.Op) folded {
	f := folded{ops: ops}
	for _, op := range ops {
		if !f.there && oplog.Body[Registered](op) != nil {
			f.there, f.first = true, op
		}
	}
	if !f.there {
		return folded{}
	}
	for r := regGiven; r < registers; r++ {
		f.heads[r] = currentOps(ops, r)
		if n := len(f.heads[r]); n > 0 {
			f.show(r, f.heads[r][n-1])
		}
	}
	return f
}

// currentOps are the ops whose value of a register nobody replaced.
func currentOps(ops []oplog.Op, r register) []oplog.Op {
	var setters []oplog.Op
	for _, op := range ops {
		if sets(op, r) {
			setters = append(setters, op)
		}
	}
	if len(setters) < 2 {
		return setters
	}
	return slices.DeleteFunc(setters, func(old oplog.Op) bool {
		return slices.ContainsFunc(ops, func(op oplog.Op) bool {
			return op.Ref != old.Ref && sets(op, r) && slices.Contains(op.Supersedes, old.Ref)
		})
	})
}

// sets reports whether op gives a register a value.
func sets(op oplog.Op, r register) bool {
	switch b := op.Body.(type) {
	case *Registered:
		return r != regPhoto
	case *Corrected:
		return r < regHousehold && slices.Contains(b.Fields, uint8(r))
	case *Joined:
		return r == regHousehold
	case *Photographed:
		return r == regPhoto && b.sound()
	}
	return false
}

// show takes a register's value over from op.
func (f *folded) show(r register, op oplog.Op) {
	switch r {
	case regHousehold:
		f.membership = membershipIn(op)
		return
	case regPhoto:
		f.photo = *oplog.Body[Photographed](op)
		return
	}
	if p := personIn(op); p != nil {
		copyRegister(&f.person, p, r)
	}
}

func personIn(op oplog.Op) *Person {
	switch b := op.Body.(type) {
	case *Registered:
		return &b.Person
	case *Corrected:
		return &b.Person
	}
	return nil
}

func membershipIn(op oplog.Op) Joined {
	switch b := op.Body.(type) {
	case *Registered:
		return Joined{Household: b.Household, Relation: b.Relation}
	case *Joined:
		return *b
	}
	return Joined{}
}

// inConflict reports whether a register has several current values that differ.
func (f *folded) inConflict(r register) bool {
	heads := f.heads[r]
	for i := 1; i < len(heads); i++ {
		if !sameValue(heads[0], heads[i], r) {
			return true
		}
	}
	return false
}

func sameValue(a, b oplog.Op, r register) bool {
	switch r {
	case regHousehold:
		return membershipIn(a) == membershipIn(b)
	case regPhoto:
		return photoIn(a) == photoIn(b)
	}
	pa, pb := personIn(a), personIn(b)
	return pa != nil && pb != nil && sameRegister(pa, pb, r)
}

// refs are the ops a new value of these registers takes the place of, each once.
// An op can name only so many; of more, which honest nodes never come to, the
// newest are named and the rest stay to choose from. The new value is shown all
// the same: it is the last.
func (f *folded) refs(rs ...register) []oplog.Ref {
	current := map[oplog.Ref]bool{}
	for _, r := range rs {
		for _, op := range f.heads[r] {
			current[op.Ref] = true
		}
	}
	var out []oplog.Ref
	for _, op := range slices.Backward(f.ops) {
		if current[op.Ref] && len(out) < oplog.MaxSupersedes {
			out = append(out, op.Ref)
		}
	}
	return out
}

// packed is the person's row. A row that is too long would be left out, and the
// person with it, so a node that writes correction after correction, naming none
// of those before, only makes the list of values to choose from shorter: the
// oldest go first, and the last one is shown in any case.
func (f *folded) packed() []byte {
	row := f.row()
	b := encoded(row)
	for len(b) > oplog.MaxRowValue && len(row.Conflicts) > 0 {
		row.forget()
		b = encoded(row)
	}
	return b
}

// forget drops the older half of the values of the largest conflict.
func (row *personRow) forget() {
	size := func(c conflictRow) int { return len(encoded(c)) }
	largest := 0
	for i, c := range row.Conflicts {
		if size(c) > size(row.Conflicts[largest]) {
			largest = i
		}
	}
	c := &row.Conflicts[largest]
	if len(c.Versions) < 3 {
		row.Conflicts = slices.Delete(row.Conflicts, largest, largest+1)
		return
	}
	c.Versions = c.Versions[len(c.Versions)/2:]
}

// row packs a person for the view.
func (f *folded) row() personRow {
	row := personRow{Person: f.person, Household: f.membership.Household, Relation: f.membership.Relation,
		First: stampOf(f.first), Seen: versionOf(f.ops), Photo: f.photo.Photo}
	for r := regGiven; r < registers; r++ {
		if !f.inConflict(r) {
			continue
		}
		c := conflictRow{Register: uint8(r)}
		for _, op := range f.heads[r] {
			v := versionRow{Stamp: stampOf(op)}
			switch r {
			case regHousehold:
				v.Membership = membershipIn(op)
			case regPhoto:
				v.Photo = photoIn(op)
			default:
				copyRegister(&v.Person, personIn(op), r)
			}
			c.Versions = append(c.Versions, v)
		}
		row.Conflicts = append(row.Conflicts, c)
	}
	return row
}
