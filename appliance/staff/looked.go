package staff

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// looked says that somebody saw people: opened in full, or as names in a list. It lies
// in the register, under a fresh id each time. The subject is neither the person, whose
// facts are folded whenever one arrives and must not grow with every look, nor the
// reader or the day, by which a carrier could count who reads how much. So erasing a
// person leaves the fact: who had looked at somebody must not go with them, or whoever
// looks and then asks for an erasure leaves no trace. What stays is the person's id,
// which the erasure itself names in the open and which describes nobody.
type looked struct {
	What   Looked     `cbor:"1,keyasint"`
	API    bool       `cbor:"2,keyasint,omitempty"` // by a program's call, not a page
	People []oplog.ID `cbor:"3,keyasint,omitempty"`
	Names  uint64     `cbor:"4,keyasint,omitempty"` // how many different people a list named, within an hour
}

var lookedKind = oplog.NewKind[looked]("staff.looked", 1, oplog.Register)

// Looked is what somebody saw. It crosses the wire as text, so it is only added to.
type Looked string

// What can be seen.
const (
	LookedAt      Looked = "open"  // everything about a person: their page, their photo, a call's answer
	LookedToPrint Looked = "print" // a card, to print it
	LookedThrough Looked = "list"  // names in lists
	TookOut       Looked = "taken" // a sealed file, handed over; whose it was is written in the file alone
)

// Look is something about to be shown. People are shown in full; Named are in a list,
// by their names. A list of full records, as calls give it, is both.
type Look struct {
	What   Looked
	API    bool
	People []oplog.ID
	Named  []oplog.ID
	Cards  bool // found by the card they hold out, which nobody can go through a register with
}

// lookAgain is how long one look covers what the same reader sees of the same person.
const lookAgain = time.Hour

// flushNames is how many names of lists may be seen without a fact of their own. A list
// is written when it is the first within lookAgain; what is seen after that is written
// with the next look that is, so a power cut loses at most this many of a count.
const flushNames = 200

// mostLooked is how many people one fact names.
const mostLooked = 200

// Looking records a look before it is shown, and counts it; see Velocity. One within
// lookAgain of the same reader at the same person is not written again. It refuses
// only whom the limits stop: Busy "fault.staff.ask_lead". A journal that takes no
// writes keeps nobody from reading: who needs food or a doctor now comes first, so the
// look is kept in memory, written as soon as that can be, and unwritten answers whether
// that was so, for the log.
func (d *Desk) Looking(ctx context.Context, actor Actor, l Look) (unwritten error, err error) {
	if err := d.pace.take(actor, l, d.clock.Now()); err != nil {
		return nil, err
	}
	facts := d.pace.unseen(actor.ID, l, d.clock.Now())
	if len(facts) == 0 && !d.pace.waits(actor.ID) {
		return nil, nil
	}
	return d.writeLooks(ctx, actor.ID, facts), nil
}

// TakingOut records that a sealed file is about to leave with somebody, as Looking does a
// look: it counts as one person opened, and limits stop it. Neither the file nor the
// person is named: that there is a file about them is nobody's business who is not in it.
func (d *Desk) TakingOut(ctx context.Context, actor Actor) (unwritten error, err error) {
	if err := d.pace.take(actor, Look{What: TookOut, People: []oplog.ID{oplog.NewID()}}, d.clock.Now()); err != nil {
		return nil, err
	}
	return d.writeLooks(ctx, actor.ID, []looked{{What: TookOut, Names: 1}}), nil
}

// writeLooks writes facts and those of this reader that could not be written before.
func (d *Desk) writeLooks(ctx context.Context, by ID, facts []looked) error {
	facts = append(d.pace.takeWaiting(by), facts...)
	err := d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		for _, f := range facts {
			if f.People = slices.DeleteFunc(slices.Clone(f.People), func(p oplog.ID) bool { return seenLately(tx, by, p, f.What) }); len(f.People) == 0 && f.Names == 0 {
				continue
			}
			if _, err := tx.Append(lookedKind, oplog.NewID(), f); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		d.pace.wait(by, facts)
	}
	return err
}

// seenLately asks the view what memory does not know after a restart. The newest rows
// of a person come first.
func seenLately(tx *oplog.Tx, by ID, person oplog.ID, what Looked) (found bool) {
	at, _ := tx.At()
	prefix := append([]byte{'p'}, person[:]...)
	_ = tx.Rows(looks, prefix, nil, func(key []byte, _ oplog.ID, _ []byte) error {
		r, ok := parseLookKey(key, len(prefix))
		if !ok || at.Sub(r.at) >= lookAgain {
			return oplog.ErrStop
		}
		found = r.by == by && r.what == what && !r.at.After(at)
		if found {
			return oplog.ErrStop
		}
		return nil
	})
	return found
}

// looks is who looked at whom. For each person of a fact, and for its names as the
// person of zeros:
//
//	p ‖ person ‖ time ‖ reader ‖ what -> lookRow
//	a ‖ reader ‖ time ‖ person ‖ what -> lookRow
//
// time is 2^64-1 less the Unix seconds that the writer claims, so the latest come first;
// what is the first letter of it. Names have a row under the reader only.
var looks = &oplog.View{Name: "looks", Version: 1, Kinds: []oplog.Kind{lookedKind}, Fold: foldLooks}

// lookRow is what a look was, besides its key.
type lookRow struct {
	_     struct{} `cbor:",toarray"`
	API   bool
	Names uint64
	Log   oplog.LogID // of the node that says so
}

func foldLooks(_ oplog.ID, ops []oplog.Op) []oplog.Row {
	rows := map[string][]byte{}
	for _, op := range ops {
		b := oplog.Body[looked](op)
		if b == nil || len(b.What) == 0 {
			continue
		}
		at := binary.BigEndian.AppendUint64(nil, ^uint64(op.At.Unix()))
		what := []byte{b.What[0]}
		value := encode(lookRow{API: b.API, Log: op.Log})
		for _, p := range b.People[:min(len(b.People), mostLooked)] {
			rows[string(slices.Concat([]byte{'p'}, p[:], at, op.By[:], what))] = value
			rows[string(slices.Concat([]byte{'a'}, op.By[:], at, p[:], what))] = value
		}
		if b.Names > 0 {
			var nobody oplog.ID
			rows[string(slices.Concat([]byte{'a'}, op.By[:], at, nobody[:], what))] = encode(lookRow{API: b.API, Names: b.Names, Log: op.Log})
		}
	}
	return sortedRows(rows)
}

// Seen is one look as the page of reads shows it.
type Seen struct {
	At     time.Time // as the node claims where it was
	By     ID
	Person oplog.ID // zero for names in lists
	What   Looked
	API    bool
	Names  int         // how many a list named
	Log    oplog.LogID // of the node that says so
}

// lookKey is the part of a row's key behind its prefix.
type lookKey struct {
	at     time.Time
	by     ID
	person oplog.ID
	what   Looked
}

// whats finds the word for its first letter.
var whats = map[byte]Looked{'o': LookedAt, 'p': LookedToPrint, 'l': LookedThrough, 't': TookOut}

func parseLookKey(key []byte, prefix int) (k lookKey, ok bool) {
	if len(key) != 1+len(oplog.ID{})+8+len(ID{})+1 || prefix >= len(key) {
		return k, false
	}
	rest := key[1:]
	switch key[0] {
	case 'p':
		rest = rest[copy(k.person[:], rest):]
	case 'a':
		rest = rest[copy(k.by[:], rest):]
	default:
		return k, false
	}
	k.at = time.Unix(int64(^binary.BigEndian.Uint64(rest)), 0).UTC() //nolint:gosec // what the fold wrote
	if rest = rest[8:]; key[0] == 'p' {
		rest = rest[copy(k.by[:], rest):]
	} else {
		rest = rest[copy(k.person[:], rest):]
	}
	k.what, ok = whats[rest[0]]
	return k, ok
}

// readsKept is how far back the pages of reads go.
const readsKept = 30 * 24 * time.Hour

// LooksAt are the looks at one person within thirty days, the latest first, and the
// cursor of the part behind them, nil at the end. The actor needs SeeReads. Faults:
// those of Actor.Must, of the log's View.
func (d *Desk) LooksAt(_ context.Context, actor Actor, person oplog.ID, limit int, after []byte) ([]Seen, []byte, error) {
	return d.seen(actor, append([]byte{'p'}, person[:]...), limit, after)
}

// LooksBy are the looks of one reader, likewise.
func (d *Desk) LooksBy(_ context.Context, actor Actor, by ID, limit int, after []byte) ([]Seen, []byte, error) {
	return d.seen(actor, append([]byte{'a'}, by[:]...), limit, after)
}

func (d *Desk) seen(actor Actor, prefix []byte, limit int, after []byte) (out []Seen, next []byte, err error) {
	if err := actor.Must(SeeReads); err != nil {
		return nil, nil, err
	}
	since := d.readsSince()
	err = d.log.View(func(r oplog.Reader) error {
		return r.Rows(looks, prefix, after, func(key []byte, subject oplog.ID, value []byte) error {
			k, ok := parseLookKey(key, len(prefix))
			var row lookRow
			if !ok || decode(value, &row) != nil {
				return nil
			}
			if k.at.Before(since) {
				return oplog.ErrStop
			}
			if len(out) == limit {
				next = after
				return oplog.ErrStop
			}
			after = append(slices.Clone(key), subject[:]...)
			out = append(out, Seen{At: k.at, By: k.by, Person: k.person, What: k.what, API: row.API, Names: int(row.Names), Log: row.Log}) //nolint:gosec // a count
			return nil
		})
	})
	return out, next, err
}

// readsSince is thirty days ago; a clock that was never set forgets nothing.
func (d *Desk) readsSince() time.Time {
	if !d.clock.Sure() {
		return time.Time{}
	}
	return d.clock.Now().Add(-readsKept)
}

// Reads counts what one reader saw within thirty days.
type Reads struct {
	By             ID
	Opened, Listed int
	Last           time.Time
}

// mostReads is how many rows the summary of all readers walks.
const mostReads = 50_000

// Readers sums up who looked how much within thirty days, most first; whole is false
// when there is more than was counted. The actor needs SeeReads.
func (d *Desk) Readers(_ context.Context, actor Actor) (out []Reads, whole bool, err error) {
	if err := actor.Must(SeeReads); err != nil {
		return nil, false, err
	}
	since, by, walked := d.readsSince(), map[ID]*Reads{}, 0
	whole = true
	err = d.log.View(func(r oplog.Reader) error {
		return r.Rows(looks, []byte{'a'}, nil, func(key []byte, _ oplog.ID, value []byte) error {
			if walked++; walked > mostReads {
				whole = false
				return oplog.ErrStop
			}
			k, ok := parseLookKey(key, 1)
			var row lookRow
			if !ok || k.at.Before(since) || decode(value, &row) != nil {
				return nil
			}
			s := by[k.by]
			if s == nil {
				s = &Reads{By: k.by, Last: k.at}
				by[k.by] = s
			}
			if row.Names > 0 {
				s.Listed += int(row.Names) //nolint:gosec // a count
			} else {
				s.Opened++
			}
			return nil
		})
	})
	for _, s := range by {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b Reads) int {
		if n := b.Opened - a.Opened; n != 0 {
			return n
		}
		return slices.Compare(a.By[:], b.By[:])
	})
	return out, whole, err
}

// errAskLead is what somebody hears who reads faster than the work needs.
func errAskLead() error { return fault.New(fault.Busy, "fault.staff.ask_lead") }
