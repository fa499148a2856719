package registration

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// The index is filled behind the desk's back: reading 300,000 people takes a few
// seconds, a minute on a small board, and a box that came back from a power cut has
// to register the next family at once. Meanwhile:
//
//   - whoever is registered, corrected or erased goes into the index by committed, and
//     the filling leaves them alone, because what it read of them may be older;
//   - a question waits. One that read the store instead would take as long as the
//     filling does and slow it down, and one that answered from half an index could
//     say that a child is not here.
//
// When so much came from another node at once that nobody lists it, the index is filled
// again in the same way. Questions are answered meanwhile: who is not in it yet has
// arrived a moment ago.

// patience is how long a question waits for the index, and glance how long a figure does.
const (
	patience = 5 * time.Second
	glance   = 2 * time.Second
	again    = 200 * time.Millisecond // between two tries while the views cannot be read
)

// slice is how many people are read in one snapshot. A store whose files are replaced
// waits for its readers, and everybody else waits behind it.
const slice = 2000

// keepFilled fills the index, and again whenever anybody may have changed, until ctx ends.
func (d *Desk) keepFilled(ctx context.Context) {
	defer close(d.ended)
	if !d.fill(ctx, &pass{}) {
		return
	}
	d.index.done()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.anew:
		}
		began := d.index.pass()
		if !d.fill(ctx, began) || !d.leaveOut(ctx, began) {
			return
		}
		d.index.passed(began)
	}
}

// pass is one reading of the views. The zero value is the first.
type pass struct {
	n          int                   // people in the index when it began
	seen       []uint64              // a bit for each of them; nil: nobody was there
	households map[oplog.ID]struct{} // that were read; nil likewise
}

// pass begins another one.
func (x *index) pass() *pass {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.touched = map[oplog.ID]struct{}{} // from here on committed knows better
	return &pass{n: x.people.n, seen: make([]uint64, x.people.n/64+1), households: make(map[oplog.ID]struct{}, len(x.households))}
}

// passed ends one: households nobody read are gone.
func (x *index) passed(p *pass) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for id := range x.households {
		_, read := p.households[id]
		if _, newer := x.touched[id]; !read && !newer {
			delete(x.households, id)
		}
	}
	x.touched = nil
}

// saw notes, under the lock, that somebody who was there is in the views.
func (p *pass) saw(place int) {
	if place < p.n {
		p.seen[place/64] |= 1 << (place % 64)
	}
}

// fill reads the views into the index; false when ctx ended before.
func (d *Desk) fill(ctx context.Context, p *pass) bool {
	var people []*entry // of one slice
	person := func(id oplog.ID, value []byte) {
		if e := d.readEntry(id, value); e != nil {
			people = append(people, e)
		}
	}
	household := func(id oplog.ID, _ []byte) { d.fillHousehold(p, id) }
	for _, part := range []struct {
		row byte
		put func(id oplog.ID, value []byte)
	}{{rowHousehold, household}, {rowPerson, person}} {
		after, told := []byte{part.row}, false
		for after != nil {
			next, err := d.fillSlice(part.row, after, part.put)
			switch {
			case err == nil:
				after = next
				d.fillPeople(p, people)
			case !told && fault.ClassOf(err) != fault.Unavailable:
				told = true
				d.logger.Error("registration: the views cannot be read", "err", err) // they are mended elsewhere
			}
			people = people[:0]
			if !pause(ctx, err) {
				return false
			}
		}
	}
	return true
}

// leaveOut drops those from the index whom a pass did not find. Few are ever looked for: a
// person leaves the views when they are hidden or erased.
func (d *Desk) leaveOut(ctx context.Context, p *pass) bool {
	for from := 0; from < p.n; from += slice {
		missing := d.index.unseen(p, from, min(from+slice, p.n))
		for len(missing) > 0 {
			err := d.bring(missing, false)
			if !pause(ctx, err) {
				return false
			}
			if err == nil {
				break
			}
		}
	}
	if err := d.pieces(); err != nil {
		d.logger.Error("registration: photos not looked for", "err", err) // the next start finds them
	}
	return true
}

// unseen are people of a range of the index who were not read.
func (x *index) unseen(p *pass, from, to int) (ids []oplog.ID) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for i := from; i < to; i++ {
		if p.seen[i/64]&(1<<(i%64)) == 0 && !x.people.at(i).gone() {
			ids = append(ids, x.people.at(i).id)
		}
	}
	return ids
}

// pause waits before the next try after a fault, and tells whether to go on.
func pause(ctx context.Context, err error) bool {
	if err != nil {
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
	return ctx.Err() == nil
}

// fillSlice reads the rows behind a key; next is nil behind the last one.
func (d *Desk) fillSlice(row byte, after []byte, put func(oplog.ID, []byte)) (next []byte, err error) {
	n := 0
	err = d.log.View(func(r oplog.Reader) error {
		return r.Rows(registerView, []byte{row}, after, func(key []byte, id oplog.ID, value []byte) error {
			if n == slice {
				return oplog.ErrStop
			}
			n++
			next = append(append(next[:0], key...), id[:]...)
			put(id, value)
			return nil
		})
	})
	if err == nil && n < slice {
		next = nil
	}
	return next, err
}

// readEntry reads one row. One that cannot be read is left out and logged: a bad row must
// not keep a site from its work.
func (d *Desk) readEntry(id oplog.ID, value []byte) *entry {
	var row personRow
	if err := decodeRow(value, &row); err != nil {
		d.logger.Error("registration: person not indexed", "person", id, "err", err)
		return nil
	}
	return new(newEntry(id, row))
}

// fillPeople takes in those of whom the index does not know it, or better.
func (d *Desk) fillPeople(p *pass, people []*entry) {
	x := d.index
	x.mu.Lock()
	defer x.mu.Unlock()
	people = slices.DeleteFunc(people, func(e *entry) bool {
		if place, old := x.people.place(e.id); old != nil {
			p.saw(place)
			if *old == *e {
				return true
			}
		}
		_, newer := x.touched[e.id]
		return newer
	})
	inOnePiece(people)
	for _, e := range people {
		x.put(*e)
	}
}

func (d *Desk) fillHousehold(p *pass, id oplog.ID) {
	x := d.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if p.households != nil {
		p.households[id] = struct{}{}
	}
	if _, newer := x.touched[id]; !newer {
		x.households[id] = struct{}{}
	}
}

// done lets the questions in.
func (x *index) done() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.touched = nil
	close(x.filled)
}

// touch notes, under the lock, that the index knows better than the filling. A map that
// is nil says that nobody fills any more.
func (x *index) touch(id oplog.ID) {
	if x.touched != nil {
		x.touched[id] = struct{}{}
	}
}

// whole tells whether the index is filled.
func (x *index) whole() bool {
	select {
	case <-x.filled:
		return true
	default:
		return false
	}
}

// errFilling is why a question has no answer yet.
func errFilling(people int) error {
	return fault.New(fault.Unavailable, "fault.registration.filling", "Count", people)
}

// wait waits until the index is filled, for as long as a question may take.
func (d *Desk) wait(ctx context.Context, most time.Duration) error {
	if d.index.whole() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	if err := d.Filled(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return errFilling(d.index.counts(0).People)
}

// Filled waits until everybody the node knows can be found, or ctx ends. Registering
// needs none of this.
func (d *Desk) Filled(ctx context.Context) error {
	select {
	case <-d.index.filled:
		return nil
	case <-d.ended: // filled, or closed before it was
		if d.index.whole() {
			return nil
		}
		return fault.New(fault.Unavailable, "fault.registration.filling", "Count", 0)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the filling of the index. What is written stays written; call it before the
// log is closed.
func (d *Desk) Close() {
	d.stop()
	<-d.ended
}
