package registration

import (
	"context"
	"slices"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// importBatch is how many people one command of an import registers: enough to share
// a flush, few enough that a registrar at the next table does not wait for it.
const importBatch = 200

// Import registers the rows of a list, household by household, at most importBatch
// people a command. Rows that are there already, by their key, are passed over,
// whoever imported them; so an import that was cut off is simply run again. Results
// are in the order of rows. On an error the results say what was done before it: rows
// without a status were not reached. Faults: Denied; those of the journal.
func (d *Desk) Import(ctx context.Context, actor staff.Actor, rows []ImportRow) ([]RowResult, error) {
	results := make([]RowResult, len(rows))
	for i := range rows {
		results[i].Line = rows[i].Line
	}
	if err := actor.Must(staff.ImportPeople); err != nil {
		return results, err
	}
	batch := make([]int, 0, importBatch)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		err := d.importBatch(ctx, actor, rows, results, batch)
		batch = batch[:0]
		return err
	}
	for _, members := range together(rows) {
		if len(batch)+len(members) > importBatch {
			if err := flush(); err != nil {
				return results, err
			}
		}
		for _, i := range members {
			if len(batch) == importBatch {
				if err := flush(); err != nil {
					return results, err
				}
			}
			batch = append(batch, i)
		}
	}
	return results, flush()
}

// household is what ties rows together: the group of Prepare, or the bare value for
// rows that did not go through it.
func (row *ImportRow) household() string {
	if row.Group != "" || row.Household == "" {
		return row.Group
	}
	return bareGroup + row.Household
}

// bareGroup marks a household value that Prepare has not tied to its file. A key of
// Prepare never begins so.
const bareGroup = "value "

// together lists the rows by household, each household where its first row stands.
func together(rows []ImportRow) [][]int {
	var out [][]int
	place := map[string]int{}
	for i := range rows {
		h := rows[i].household()
		at, known := place[h]
		if h == "" || !known {
			if h != "" {
				place[h] = len(out)
			}
			out = append(out, []int{i})
			continue
		}
		out[at] = append(out[at], i)
	}
	return out
}

// ready is a row that may be written.
type ready struct {
	row    int
	fact   Registered
	key    once
	asides []diverted
	id     oplog.ID // set when it is there already, or when something was passed on about them
	done   bool
	equal  int  // of an equal row before it in its command, from 1
	fresh  bool // the id was made for nothing but this row
}

// importBatch writes one command.
func (d *Desk) importBatch(ctx context.Context, actor staff.Actor, rows []ImportRow, results []RowResult, batch []int) error {
	todo := make([]ready, 0, len(batch))
	now := d.now()
	for _, i := range batch {
		c := checker{at: now}
		rows[i].divert() // also of a sender that did not
		fact := Registered{Person: c.person(rows[i].Person), Relation: c.relation(columnRelation, rows[i].Relation)}
		asides := c.asides(rows[i].Aside)
		if len(c.faults) > 0 {
			results[i].Status, results[i].Problems = RowRejected, problemsOf(c.faults)
			continue
		}
		signConsent(&fact.Person, actor, now)
		key := rows[i].Key
		if key == "" {
			key = rows[i].contentKey()
		}
		todo = append(todo, ready{row: i, fact: fact, asides: asides, key: importOnce("row", key)})
	}
	outcome := make([]RowResult, len(todo))
	told, err := d.passRows(ctx, actor, todo)
	if err != nil {
		return err
	}
	err = d.write(ctx, actor, func(tx *oplog.Tx) error {
		return appendImported(tx, rows, todo, outcome)
	})
	if err != nil {
		return err
	}
	for n, t := range todo {
		outcome[n].Line = rows[t.row].Line
		outcome[n].PassedOn, outcome[n].NotPassedOn = told[n], len(t.asides)-told[n]
		results[t.row] = outcome[n]
		d.passed.written(t.key)
	}
	return nil
}

// passRows passes on what the rows say aside, before they are written: see passOn. A
// row that cannot be told about is registered all the same and counted, so that whoever
// imports can tell the protection team by hand. So is one that is there already: an
// import is run again whenever it was cut off, and must not tell everything again.
func (d *Desk) passRows(ctx context.Context, actor staff.Actor, todo []ready) (told []int, err error) {
	told = make([]int, len(todo))
	if !d.TakesIn() || !actor.Can(staff.SealIntake) {
		return told, nil
	}
	for n := range todo {
		t := &todo[n]
		if len(t.asides) == 0 {
			continue
		}
		former, err := d.former(t.key)
		if err != nil {
			return told, err
		}
		if !former.IsZero() {
			continue
		}
		t.id = d.passed.newIDs(t.key, 1)[0]
		for _, x := range t.asides {
			if _, err := d.passOn(ctx, actor, t.id, []diverted{x}, t.key); err != nil {
				d.logger.Warn("something a row says aside was not taken in", "person", t.id.String(), "class", string(fault.ClassOf(err)))
				continue
			}
			told[n]++
		}
	}
	return told, ctx.Err()
}

// importOnce keeps keys of rows and households apart from keys of requests. They
// belong to no actor: the list is the same, whoever brings it. The key is made of
// what it stands for, so there is no second hash to compare; and 8 bytes of it are kept,
// with every row for ever: among a million rows two different ones share them once in
// thirty-seven million lists.
func importOnce(what, key string) once {
	o := onceOf("waypost/registration/import/1\x00"+what+"\x00"+key, nil)
	o.body, o.row = [8]byte{}, true
	return o
}

// appendImported writes the rows of a batch that are not there yet.
func appendImported(tx *oplog.Tx, rows []ImportRow, todo []ready, outcome []RowResult) error {
	if err := lookUp(tx, todo); err != nil {
		return err
	}
	members := map[string][]int{} // household -> places in todo
	for n := range todo {
		if h := rows[todo[n].row].household(); h != "" {
			members[h] = append(members[h], n)
		}
	}
	homes := map[string]oplog.ID{}
	for n := range todo {
		t := &todo[n]
		if h := rows[t.row].household(); h != "" {
			home, known := homes[h]
			if !known {
				var err error
				if home, err = homeOf(tx, h, todo, members[h]); err != nil {
					return err
				}
				homes[h] = home
			}
			t.fact.Household = home
		}
		if t.equal > 0 {
			t.id = todo[t.equal-1].id // the household may have given it another one
		}
		outcome[n] = RowResult{Status: RowThere, ID: new(t.id)}
		if !t.fact.Household.IsZero() {
			outcome[n].Household = new(t.fact.Household)
		}
		if t.done {
			continue
		}
		outcome[n].Status = RowRegistered
		t.key.mark(tx)
		if _, err := tx.Append(registeredKind(), t.id, &t.fact); err != nil {
			return err
		}
	}
	return nil
}

// lookUp finds out who is there already, from earlier or from an equal row of this
// batch, and gives everybody else an id.
func lookUp(tx *oplog.Tx, todo []ready) error {
	here := map[once]int{}
	for n := range todo {
		t := &todo[n]
		id, done, err := t.key.done(tx)
		if err != nil {
			return err
		}
		if first, twice := here[t.key]; twice {
			id, done, t.equal = todo[first].id, true, first+1
		}
		switch t.done = done; {
		case done:
			t.id = id
		case t.id.IsZero():
			t.id, t.fresh = oplog.NewID(), true
		}
		if !done {
			here[t.key] = n
		}
	}
	return nil
}

// homeOf finds the household of some rows: by its own key, by a member who is there
// already, or else it forms it, unless there is nobody to put into it.
func homeOf(tx *oplog.Tx, group string, todo []ready, members []int) (oplog.ID, error) {
	key := importOnce("household", group)
	if strings.HasPrefix(group, bareGroup) {
		key = importOnce("household", group+" "+string(todo[members[0]].key.hash[:]))
	}
	home, done, err := key.done(tx)
	if err != nil || done {
		return home, err
	}
	missing := false
	for _, n := range members {
		if !todo[n].done {
			missing = true
			continue
		}
		row, ok, err := readPerson(tx, todo[n].id)
		if err != nil {
			return oplog.ID{}, err
		}
		if ok && !row.Household.IsZero() {
			return row.Household, nil
		}
	}
	if !missing {
		return oplog.ID{}, nil
	}
	return formImported(tx, key, todo, members)
}

// formImported forms the household of an import: its head is who is called head, or
// the first. Where all of them are new it gives them their ids.
func formImported(tx *oplog.Tx, key once, todo []ready, members []int) (oplog.ID, error) {
	id := oplog.NewID()
	key.mark(tx)
	members = slices.DeleteFunc(slices.Clone(members), func(n int) bool { return todo[n].equal > 0 })
	head := max(0, slices.IndexFunc(members, func(n int) bool { return todo[n].fact.Relation == "head" }))
	if len(members) <= MaxHousehold && !slices.ContainsFunc(members, func(n int) bool { return !todo[n].fresh }) {
		drawn := drawMembers(len(members))
		drawn.Head = uint(head) //nolint:gosec // not negative
		for i, member := range drawn.members(id) {
			todo[members[i]].id = member
		}
		_, err := tx.Append(drawnKind(), id, &drawn)
		return id, err
	}
	formed := Formed{Head: todo[members[head]].id}
	for _, n := range members {
		if !todo[n].done && len(formed.Members) < MaxHousehold {
			formed.Members = append(formed.Members, todo[n].id)
		}
	}
	_, err := tx.Append(formedKind(), id, &formed)
	return id, err
}
