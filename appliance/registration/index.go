package registration

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/chunks"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// index is the local search index: what Search, Recent, Counts and Exists ask. It
// holds folded text only, costs about 110 bytes a person, and is read under a lock
// that the writer takes for microseconds.
type index struct {
	mu         sync.RWMutex
	people     roll // nobody is ever taken out of it; see gone
	households map[oplog.ID]struct{}
	days       map[int32]int            // registrations per local day
	gone       int                      // entries whose person is no longer in the view
	photos     map[oplog.ID][]chunks.ID // pieces of the photos somebody has and had
	filled     chan struct{}            // closed when the whole view was read; see filling.go
	touched    map[oplog.ID]struct{}    // subjects committed while it is read; nil afterwards
}

// entry is one person in the index.
type entry struct {
	clock uint64   // logical clock of the registration
	text  string   // folded: own names, \x1f, parents' names, \x1f, phone, then document numbers, each after \x1f
	day   int32    // of registration, days since 1970 in local time; dayGone: no longer in the view
	year  int16    // of birth, 0 when not known
	id    oplog.ID // last, so that nothing lies unused between the fields
}

const dayGone = math.MinInt32

func (e *entry) gone() bool { return e.day == dayGone }

const unit = "\x1f"

func newIndex() *index {
	return &index{people: newRoll(), households: map[oplog.ID]struct{}{}, days: map[int32]int{}, photos: map[oplog.ID][]chunks.ID{},
		filled: make(chan struct{}), touched: map[oplog.ID]struct{}{}}
}

func newEntry(id oplog.ID, row personRow) entry {
	p := row.Person
	parts := make([]string, 0, 3+len(p.Documents))
	names := foldName(strings.Join([]string{p.GivenName, p.FamilyName, p.OtherNames}, " "))
	if names == "" {
		names = foldName(p.Description) // somebody nobody can name is found by how they look
	}
	parts = append(parts, names, foldName(p.FatherName+" "+p.MotherName), onlyDigits(p.Phone))
	for _, doc := range p.Documents {
		parts = append(parts, foldNumber(doc.Number))
	}
	e := entry{id: id, day: dayOf(row.First.time()), clock: row.First.Clock, text: strings.Join(parts, unit)}
	if len(p.BirthDate) >= 4 {
		if y, err := strconv.Atoi(p.BirthDate[:4]); err == nil {
			e.year = int16(y)
		}
	}
	return e
}

// dayOf counts local days; it only has to tell days apart.
func dayOf(t time.Time) int32 {
	y, m, d := t.Local().Date()
	return int32(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// photo notes a piece of somebody's photo, for the day they are erased.
func (x *index) photo(person oplog.ID, piece chunks.ID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.Contains(x.photos[person], piece) {
		x.photos[person] = append(x.photos[person], piece)
	}
}

func (x *index) forgetPhotos(person oplog.ID) []chunks.ID {
	x.mu.Lock()
	defer x.mu.Unlock()
	pieces := x.photos[person]
	delete(x.photos, person)
	return pieces
}

// put takes a person in, or replaces what was known of them.
func (x *index) put(e entry) {
	if old := x.people.find(e.id); old != nil {
		if old.gone() {
			x.gone--
		} else {
			x.leaveDay(old.day)
		}
		x.days[e.day]++
		*old = e
		return
	}
	x.people.add(e)
	x.days[e.day]++
}

// drop takes out somebody who is no longer in the view.
func (x *index) drop(id oplog.ID) {
	if e := x.people.find(id); e != nil && !e.gone() {
		x.leaveDay(e.day)
		*e = entry{id: id, day: dayGone}
		x.people.separate(id)
		x.gone++
	}
}

func (x *index) leaveDay(day int32) {
	if x.days[day]--; x.days[day] == 0 {
		delete(x.days, day)
	}
}

func (x *index) has(id oplog.ID) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	e := x.people.find(id)
	return e != nil && !e.gone()
}

func (x *index) counts(today int32) Counts {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return Counts{People: x.people.n - x.gone, Households: len(x.households), Today: x.days[today]}
}

// committed brings the index up to date inside the writer, before anybody is
// answered; when it may be anybody, soon after that. A row that makes no sense leaves the person as the index had them. Views
// that cannot be read are a fault, and nothing is changed: what was read of them may be
// wrong, and somebody who is there could look as if they were gone.
func (d *Desk) committed(subjects []oplog.ID) error {
	if subjects == nil {
		select {
		case d.anew <- struct{}{}:
		default: // it is still to come
		}
		return nil
	}
	return d.bring(subjects, true)
}

// bring brings people up to date. What the writer brings is the newest there is; somebody
// else leaves alone whom the writer brought meanwhile.
func (d *Desk) bring(subjects []oplog.ID, writer bool) error {
	type change struct {
		id        oplog.ID
		person    *entry
		household bool
	}
	changes := make([]change, 0, len(subjects))
	err := d.log.View(func(r oplog.Reader) error {
		for _, id := range subjects {
			row, ok, err := readPerson(r, id)
			c := change{id: id}
			if ok && err == nil {
				c.person = new(newEntry(id, row))
				if row.Photo != "" || len(row.Conflicts) > 0 {
					d.needPhotosOf(r, id)
				}
			} else if err == nil {
				_, c.household, err = r.Row(registerView, id, []byte{rowHousehold})
			}
			switch {
			case fault.ClassOf(err) == fault.Unavailable:
				return err
			case err != nil:
				d.logger.Error("registration: person not indexed", "person", id, "err", err)
			default:
				changes = append(changes, c)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var gone []oplog.ID
	defer func() {
		for _, id := range gone {
			d.leavePhotos(id)
		}
	}()
	x := d.index
	x.mu.Lock()
	defer x.mu.Unlock()
	var fresh []*entry
	for _, c := range changes {
		if c.person != nil && x.people.find(c.id) == nil {
			fresh = append(fresh, c.person)
		}
	}
	inOnePiece(fresh)
	for _, c := range changes {
		if _, newer := x.touched[c.id]; newer && !writer {
			continue
		}
		if writer {
			x.touch(c.id)
		}
		switch {
		case c.person != nil:
			x.put(*c.person)
		case c.household:
			x.households[c.id] = struct{}{}
		default:
			x.drop(c.id)
			delete(x.households, c.id)
			gone = append(gone, c.id)
		}
	}
	return nil
}

// hit is one answer to a question, with what it is ordered by.
type hit struct {
	score uint16 // lower is better
	clock uint64
	id    oplog.ID
}

// compareHits: better score first, then later registration, then id.
func compareHits(a, b hit) int {
	switch {
	case a.score != b.score:
		return int(a.score) - int(b.score)
	case a.clock != b.clock:
		if a.clock > b.clock {
			return -1
		}
		return 1
	}
	return strings.Compare(string(a.id[:]), string(b.id[:]))
}

// best keeps the first n hits after a given one.
type best struct {
	after *hit
	n     int
	hits  []hit // sorted
}

func (b *best) add(h hit) {
	if b.after != nil && compareHits(h, *b.after) <= 0 {
		return
	}
	if len(b.hits) == b.n && compareHits(h, b.hits[b.n-1]) >= 0 {
		return
	}
	i, _ := slices.BinarySearchFunc(b.hits, h, compareHits)
	b.hits = slices.Insert(b.hits, i, h)
	if len(b.hits) > b.n {
		b.hits = b.hits[:b.n]
	}
}

// scan asks every person for a score; ask returns false for "no match".
func (x *index) scan(b *best, ask func(*entry) (uint16, bool)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for e := range x.people.all {
		if e.gone() {
			continue
		}
		if score, ok := ask(e); ok {
			b.add(hit{score, e.clock, e.id})
		}
	}
}
