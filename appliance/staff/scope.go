package staff

import (
	"cmp"
	"context"
	"slices"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// Colleague is somebody who works at another post, as that post says. Only posts whose
// words were compared are believed.
type Colleague struct {
	Person oplog.ID
	User   string
	Role   Role
	Site   string
}

// Colleagues lists who works at other posts and has no account here, by name and site.
// Adding one makes a new account with keys of its own here, of the same person: the two
// never count as two people. The actor needs ManageStaff.
func (d *Desk) Colleagues(_ context.Context, actor Actor) ([]Colleague, error) {
	if err := actor.Must(ManageStaff); err != nil {
		return nil, err
	}
	here := map[oplog.ID]bool{}
	for _, a := range d.snapshot() {
		here[a.enrolled(d.node).person()] = here[a.enrolled(d.node).person()] || !a.Replaced
	}
	out := []Colleague{}
	err := d.log.View(func(r oplog.Reader) error {
		homes := map[oplog.ID]accountRow{}
		err := r.Rows(staffView, []byte{'a'}, nil, func(_ []byte, subject oplog.ID, value []byte) error {
			var row accountRow
			if decode(value, &row) == nil && row.Node != d.node && !here[row.Person] {
				homes[subject] = row
			}
			return nil
		})
		if err != nil {
			return err
		}
		return r.Rows(staffView, []byte{'n'}, nil, func(key []byte, subject oplog.ID, value []byte) error {
			var name nameRow
			row, known := homes[subject]
			log := key[1+len(ID{}):]
			if known && len(log) == len(oplog.LogID{}) && d.believed(oplog.LogID(log), row.Node) && decode(value, &name) == nil {
				out = append(out, Colleague{Person: row.Person, User: name.User, Role: row.Role, Site: name.Site})
			}
			return nil
		})
	})
	slices.SortFunc(out, func(a, b Colleague) int {
		return cmp.Or(cmp.Compare(foldUser(a.User), foldUser(b.User)), cmp.Compare(a.Site, b.Site), slices.Compare(a.Person[:], b.Person[:]))
	})
	return slices.CompactFunc(out, func(a, b Colleague) bool { return a.Person == b.Person }), err
}

// personal is what a new account says about its person. Faults: Invalid
// "fault.staff.bad_narrow", NotFound "fault.staff.no_colleague".
func (d *Desk) personal(actor Actor, n NewAccount) (*personal, error) {
	more := &personal{Person: n.Person, Narrow: slices.Clone(n.Role.narrows()), MadeBy: d.handsOf(actor)}
	if n.Narrow != nil {
		for _, x := range n.Narrow {
			if !slices.Contains(n.Role.narrows(), x) {
				return nil, fault.New(fault.Invalid, "fault.staff.bad_narrow").With("narrow", "fault.staff.bad_narrow")
			}
		}
		more.Narrow = slices.Clone(n.Narrow)
	}
	slices.Sort(more.Narrow)
	more.Narrow = append([]Narrow{}, slices.Compact(more.Narrow)...)
	if n.Person.IsZero() {
		more.Person = oplog.NewID()
		return more, nil
	}
	known, err := d.Colleagues(context.Background(), actor)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(known, func(c Colleague) bool { return c.Person == n.Person }) {
		return nil, fault.New(fault.NotFound, "fault.staff.no_colleague")
	}
	return more, nil
}

// handsOf are whose account acts, and which person that is.
func (d *Desk) handsOf(actor Actor) hands {
	h := hands{ID: actor.ID}
	for _, a := range d.snapshot() {
		if idOf(a.Subject) == actor.ID {
			h.Person = a.enrolled(d.node).person()
		}
	}
	return h
}
