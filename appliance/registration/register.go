package registration

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Record is a person with what the node knows around them, as the contract shows it.
type Record struct {
	ID        oplog.ID  `json:"id"`
	Household *oplog.ID `json:"household"`
	Relation  string    `json:"relation,omitempty"`
	Person
	Site         string     `json:"site,omitempty"` // where they were registered; wins over Person.Site in JSON
	RegisteredAt time.Time  `json:"registered_at"`
	RegisteredBy string     `json:"registered_by,omitempty"`
	Conflicts    []Conflict `json:"conflicts"` // never nil
	Version      string     `json:"version"`   // for Patch.Seen; opaque

	PassedOn     int      `json:"passed_on,omitempty"` // of the answer to a correction, as in Added
	RegisteredID staff.ID `json:"-"`                   // who registered them
}

// Conflict is a field with several values nobody has chosen between.
type Conflict struct {
	Field    string    `json:"field"`
	Versions []Version `json:"versions"` // oldest first; the last one is shown in the record
}

// Version is one of the values of a field in conflict.
type Version struct {
	Value any       `json:"value"` // as the field has it in JSON; null when it was cleared
	At    time.Time `json:"at"`
	By    string    `json:"by"`
	Site  string    `json:"site"`
}

// Household is a household with everybody who belongs to it now.
type Household struct {
	ID       oplog.ID  `json:"id"`
	Head     *oplog.ID `json:"head"` // nil when the head is not among the members any more
	Site     string    `json:"site,omitempty"`
	FormedAt time.Time `json:"formed_at"`
	FormedBy string    `json:"formed_by,omitempty"`
	Members  []Record  `json:"members"` // as they were written down, then those who joined
}

// Counts are the figures of status pages.
type Counts struct {
	People     int `json:"people"`
	Households int `json:"households"`
	Today      int `json:"today"` // registered on today's date of this box

	// Counting says that the node has just started and there are more than these.
	Counting bool `json:"counting,omitempty"`
}

// String keeps fmt from printing a person.
func (r Record) String() string { return "person " + r.ID.String() }

// Get reads one person. Faults: Denied; NotFound "fault.registration.no_person".
func (d *Desk) Get(_ context.Context, actor staff.Actor, id oplog.ID) (Record, error) {
	if err := actor.Must(staff.ReadPeople); err != nil {
		return Record{}, err
	}
	return d.read(id)
}

func (d *Desk) read(id oplog.ID) (Record, error) {
	var row personRow
	err := d.log.View(func(r oplog.Reader) error {
		found, ok, err := readPerson(r, id)
		if err == nil && !ok {
			err = errNoPerson()
		}
		row = found
		return err
	})
	if err != nil {
		return Record{}, err
	}
	return d.record(id, row), nil
}

// Household reads a household with its members. Faults: Denied; NotFound
// "fault.registration.no_household".
func (d *Desk) Household(_ context.Context, actor staff.Actor, id oplog.ID) (Household, error) {
	if err := actor.Must(staff.ReadPeople); err != nil {
		return Household{}, err
	}
	var row householdRow
	var members []oplog.ID
	var people map[oplog.ID]personRow
	err := d.log.View(func(r oplog.Reader) error {
		found, ok, err := readHousehold(r, id)
		if err != nil {
			return err
		}
		if !ok {
			return errNoHousehold()
		}
		row = found
		members, people, err = readMembers(r, id, row.Members)
		return err
	})
	if err != nil {
		return Household{}, err
	}
	h := Household{ID: id, Site: row.Site, FormedAt: row.Stamp.time(), FormedBy: d.by(row.Stamp.By), Members: []Record{}}
	if h.Site == "" {
		h.Site = d.site(row.Stamp.Log)
	}
	h.Head = headOf(row.Head, members, people)
	for _, m := range members {
		h.Members = append(h.Members, d.record(m, people[m]))
	}
	return h, nil
}

// headOf is the head the household was formed with, or else the one member who is
// called head now.
func headOf(formed oplog.ID, members []oplog.ID, people map[oplog.ID]personRow) *oplog.ID {
	if _, ok := people[formed]; ok {
		return &formed
	}
	var head *oplog.ID
	for i, m := range members {
		if people[m].Relation == "head" {
			if head != nil {
				return nil
			}
			head = &members[i]
		}
	}
	return head
}

// readMembers reads who belongs to a household now: first those of the order given,
// then the others by id.
func readMembers(r oplog.Reader, household oplog.ID, order []oplog.ID) ([]oplog.ID, map[oplog.ID]personRow, error) {
	people := map[oplog.ID]personRow{}
	var found []oplog.ID
	err := r.Rows(registerView, memberKey(household), nil, func(_ []byte, subject oplog.ID, _ []byte) error {
		found = append(found, subject)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for _, id := range found {
		row, ok, err := readPerson(r, id)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			people[id] = row
		}
	}
	var members []oplog.ID
	placed := map[oplog.ID]bool{}
	for _, id := range append(append([]oplog.ID(nil), order...), found...) {
		if _, ok := people[id]; ok && !placed[id] {
			placed[id] = true
			members = append(members, id)
		}
	}
	return members, people, nil
}

// Exists tells whether a person of this id is registered. It asks the index, and the
// view while that is being filled. Faults: those of the log's View.
func (d *Desk) Exists(id oplog.ID) (there bool, err error) {
	if d.index.has(id) || d.index.whole() {
		return d.index.has(id), nil
	}
	err = d.log.View(func(r oplog.Reader) (err error) {
		_, there, err = readPerson(r, id)
		return err
	})
	return there && err == nil, err
}

// Counts are read from memory; they hold no names and need no permission. A node that
// has just started is given a moment to count first.
func (d *Desk) Counts(ctx context.Context) (Counts, error) {
	err := d.wait(ctx, glance)
	c := d.index.counts(dayOf(d.clock.Now()))
	c.Counting = err != nil
	return c, nil
}

// readPerson reads a person's row. A row that cannot be decoded is a fault of ours.
func readPerson(r oplog.Reader, id oplog.ID) (personRow, bool, error) {
	var row personRow
	ok, err := readRow(r, id, rowPerson, &row)
	return row, ok, err
}

func readHousehold(r oplog.Reader, id oplog.ID) (householdRow, bool, error) {
	var row householdRow
	ok, err := readRow(r, id, rowHousehold, &row)
	return row, ok, err
}

func readRow(r oplog.Reader, id oplog.ID, key byte, into any) (bool, error) {
	value, ok, err := r.Row(registerView, id, []byte{key})
	if err != nil || !ok {
		return false, err
	}
	return true, decodeRow(value, into)
}

func decodeRow(value []byte, into any) error {
	if err := decoding.Unmarshal(value, into); err != nil {
		return fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	return nil
}

// record dresses a row for an answer.
func (d *Desk) record(id oplog.ID, row personRow) Record {
	rec := Record{
		ID: id, Person: row.Person, Relation: row.Relation, Site: row.Person.Site,
		RegisteredAt: row.First.time(), RegisteredBy: d.by(row.First.By), RegisteredID: row.First.By,
		Conflicts: []Conflict{}, Version: version(row.Seen).String(),
	}
	rec.Photo = row.Photo
	if rec.Site == "" {
		rec.Site = d.site(row.First.Log)
	}
	if !row.Household.IsZero() {
		rec.Household = new(row.Household)
	}
	for _, c := range row.Conflicts {
		rec.Conflicts = append(rec.Conflicts, d.conflicts(c)...)
	}
	return rec
}

// conflicts lists the fields of a register whose values differ.
func (d *Desk) conflicts(c conflictRow) []Conflict {
	switch register(c.Register) {
	case regHousehold:
		return d.membershipConflicts(c)
	case regPhoto:
		return []Conflict{d.conflict(fieldPhoto, c, func(v versionRow) any {
			if v.Photo == "" {
				return nil
			}
			return v.Photo
		})}
	}
	var out []Conflict
	for _, f := range fields() {
		if f.reg != register(c.Register) {
			continue
		}
		differ := false
		for i := range c.Versions {
			differ = differ || !sameField(&c.Versions[0].Person, &c.Versions[i].Person, f)
		}
		if differ {
			out = append(out, d.conflict(f.name, c, func(v versionRow) any { return f.value(&v.Person) }))
		}
	}
	return out
}

// membershipConflicts does the same for who belongs with whom.
func (d *Desk) membershipConflicts(c conflictRow) []Conflict {
	var out []Conflict
	first := c.Versions[0].Membership
	differ := func(f func(Joined) bool) bool {
		return slices.ContainsFunc(c.Versions, func(v versionRow) bool { return f(v.Membership) })
	}
	if differ(func(j Joined) bool { return j.Household != first.Household }) {
		out = append(out, d.conflict("household", c, func(v versionRow) any {
			if v.Membership.Household.IsZero() {
				return nil
			}
			return v.Membership.Household
		}))
	}
	if differ(func(j Joined) bool { return j.Relation != first.Relation }) {
		out = append(out, d.conflict("relation", c, func(v versionRow) any { return v.Membership.Relation }))
	}
	return out
}

func (d *Desk) conflict(name string, c conflictRow, value func(versionRow) any) Conflict {
	out := Conflict{Field: name}
	for _, v := range c.Versions {
		out.Versions = append(out.Versions, Version{Value: value(v), At: v.Stamp.time(), By: d.by(v.Stamp.By), Site: d.site(v.Stamp.Log)})
	}
	return out
}

func (s stamp) time() time.Time { return time.UnixMilli(s.At).UTC() }

// by names a member of staff, by their id when nobody knows more. The node itself
// has no name.
func (d *Desk) by(by oplog.By) string {
	if d.names != nil {
		if name := strings.TrimSpace(d.names(by)); name != "" {
			return name
		}
	}
	if by.IsZero() {
		return ""
	}
	return by.String()
}

func (d *Desk) site(log oplog.LogID) string {
	if d.sites == nil {
		return ""
	}
	return d.sites(log)
}
