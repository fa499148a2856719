package registration

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// While a box is locked it takes people in and counts them at the gate without anybody
// being signed in (package letterbox). When it is opened, what it took in becomes facts
// here, and a list of it for staff to look through.

// TakenIn is the fact that the subject, a household or a person, was written down while
// the box was locked, by nobody who was signed in.
type TakenIn struct {
	Number uint64 `cbor:"1,keyasint"` // what the person at the gate was told
	At     int64  `cbor:"2,keyasint"` // when, Unix seconds
	Unsure bool   `cbor:"3,keyasint,omitempty"`
}

// LookedThrough is the fact that somebody of the staff looked at what was taken in so.
type LookedThrough struct{}

// GateCounted is the fact that people passed the gate while the box was locked. Its
// subject is a new id. Nobody is named; a child who was alone is never counted together
// with the code of a card.
type GateCounted struct {
	Gate
	Number uint64 `cbor:"7,keyasint"`
	At     int64  `cbor:"8,keyasint"` // when, Unix seconds
	Unsure bool   `cbor:"9,keyasint,omitempty"`
}

// Gate is one count: a family that passed.
type Gate struct {
	Adults   int    `json:"adults" cbor:"1,keyasint,omitempty"`
	Children int    `json:"children" cbor:"2,keyasint,omitempty"`
	Infants  int    `json:"infants" cbor:"3,keyasint,omitempty"`
	Urgent   bool   `json:"urgent,omitempty" cbor:"4,keyasint,omitempty"` // somebody needs a doctor now
	Alone    bool   `json:"alone,omitempty" cbor:"5,keyasint,omitempty"`  // a child without an adult
	Code     string `json:"code,omitempty" cbor:"6,keyasint,omitempty"`   // typed code of the card that was handed over
}

// maxGate is how many of each one count may have.
const maxGate = 500

const maxGateCode = 20

// Check refuses a count that says nothing or cannot be. Fault: Invalid
// "fault.registration.invalid".
func (g Gate) Check() error {
	c := checker{}
	for name, n := range map[string]int{"adults": g.Adults, "children": g.Children, "infants": g.Infants} {
		if n < 0 || n > maxGate {
			c.wrong(name, "gate_number", "Max", maxGate)
		}
	}
	if g.Adults+g.Children+g.Infants == 0 {
		c.wrong("adults", "gate_nobody")
	}
	if len(g.Code) > maxGateCode {
		c.wrong("code", "gate_code")
	}
	return c.err()
}

func takenInKind() oplog.Kind {
	return oplog.NewKind[TakenIn]("registration.taken_in", 1, oplog.Register)
}

func lookedThroughKind() oplog.Kind {
	return oplog.NewKind[LookedThrough]("registration.looked_through", 1, oplog.Register)
}

func gateCountedKind() oplog.Kind {
	return oplog.NewKind[GateCounted]("registration.gate_counted", 1, oplog.Register)
}

func gateKinds() []oplog.Kind {
	return []oplog.Kind{takenInKind(), lookedThroughKind(), gateCountedKind()}
}

// gateView has, newest first:
//
//	t ‖ ^time -> takenRow; subject a household or a person
//	g ‖ ^time -> the count in CBOR
var gateView = &oplog.View{Name: "gate", Version: 1, Kinds: gateKinds(), Fold: foldGate}

// takenRow is one letter that became people.
type takenRow struct {
	Fact   TakenIn  `cbor:"1,keyasint"`
	Stamp  stamp    `cbor:"2,keyasint"`
	Looked bool     `cbor:"3,keyasint,omitempty"`
	By     oplog.By `cbor:"4,keyasint,omitempty"` // who looked
}

// gateRow is one count.
type gateRow struct {
	Fact  GateCounted `cbor:"1,keyasint"`
	Stamp stamp       `cbor:"2,keyasint"`
}

// gateKey sorts the newest first. The time is a claim, as every wall time.
func gateKey(kind byte, at int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, ^uint64(at)^1<<63) //nolint:gosec // order is kept over the sign
}

// foldGate is the shared view. ops are sorted by (clock, log, sequence): the first word
// about a subject counts, and the first who looked.
func foldGate(_ oplog.ID, ops []oplog.Op) []oplog.Row {
	var taken *takenRow
	var count *gateRow
	var looked *oplog.Op
	for _, op := range ops {
		switch b := op.Body.(type) {
		case *TakenIn:
			if taken == nil {
				taken = &takenRow{Fact: *b, Stamp: stampOf(op)}
			}
		case *GateCounted:
			if count == nil {
				count = &gateRow{Fact: *b, Stamp: stampOf(op)}
			}
		case *LookedThrough:
			if looked == nil {
				looked = &op
			}
		}
	}
	var rows []oplog.Row
	if count != nil {
		rows = append(rows, oplog.Row{Key: gateKey('g', count.Fact.At), Value: encoded(*count)})
	}
	if taken != nil {
		if looked != nil {
			taken.Looked, taken.By = true, looked.By
		}
		rows = append(rows, oplog.Row{Key: gateKey('t', taken.Fact.At), Value: encoded(*taken)})
	}
	return rows
}

// Left is what the letterbox knows of a letter besides what is written in it.
type Left struct {
	ID     [16]byte // of the letter: its facts are written once
	Number uint64
	At     time.Time
	Unsure bool
}

func (l Left) once() [16]byte {
	sum := sha256.Sum256(append([]byte("waypost/letter-once/1"), l.ID[:]...))
	return [16]byte(sum[:16])
}

func (l Left) moment() moment { return moment{at: l.At, sure: !l.Unsure} }

// CheckLeft refuses a household that TakeIn would refuse, where no desk is open. Faults as
// Add.
func CheckLeft(h NewHousehold, at time.Time, sure bool) error {
	h, _ = h.divert()
	anywhere := func(*checker, staff.Actor, []Aside) error { return nil } // who takes it in is known when the box is open
	_, _, err := checkHousehold(h, staff.Letterbox(), moment{at: at, sure: sure}, anywhere)
	return err
}

// TakeIn registers a household that was written down while the box was locked, once for
// each letter; one person alone is registered without a household. Where nobody takes in
// what is not for the register they are registered without it, as the rows of a list are: a
// bed must not wait for it. Then the fault is Invalid "fault.registration.no_intake", and
// the letter has to be kept. Other faults as Add.
func (d *Desk) TakeIn(ctx context.Context, actor staff.Actor, l Left, h NewHousehold) error {
	if err := actor.Must(staff.RegisterPeople); err != nil {
		return err
	}
	h, _ = h.divert()
	untold := error(nil)
	if !d.TakesIn() {
		for i := range h.Members {
			if len(h.Members[i].Aside) > 0 {
				h.Members[i].Aside, untold = nil, fault.New(fault.Invalid, "fault.registration.no_intake")
			}
		}
	}
	facts, asides, err := d.checkHousehold(h, actor, l.moment())
	if err != nil {
		return err
	}
	key := l.once()
	if done, err := d.written(key); err != nil || done {
		return cmp.Or(err, untold)
	}
	ids, _, err := d.passAll(ctx, actor, once{}, asides)
	if err != nil {
		return err
	}
	if m := l.moment(); m.sure && m.plausible() {
		for i := range facts {
			if facts[i].Person.ArrivedAt == "" {
				facts[i].Person.ArrivedAt = m.at.UTC().Format(time.RFC3339)
			}
		}
	}
	fact := TakenIn{Number: l.Number, At: l.At.Unix(), Unsure: l.Unsure}
	err = d.write(ctx, actor, func(tx *oplog.Tx) error {
		if _, done, err := tx.Once(key); err != nil || done {
			return err
		}
		tx.SetOnce(key, [8]byte{})
		subject := ids[0]
		if len(facts) == 1 {
			facts[0].Relation = ""
			if _, err := tx.Append(registeredKind(), subject, &facts[0]); err != nil {
				return err
			}
		} else {
			added, err := appendHousehold(tx, once{}, facts, h.Head, ids)
			if err != nil {
				return err
			}
			subject = added.ID
		}
		_, err := tx.Append(takenInKind(), subject, &fact)
		return err
	})
	return cmp.Or(err, untold)
}

// written tells whether the journal has what an idempotency key stands for.
func (d *Desk) written(key [16]byte) (done bool, err error) {
	err = d.log.View(func(r oplog.Reader) (err error) {
		_, done, err = r.Once(key)
		return err
	})
	return done, err
}

// CountGate writes down a count that was taken while the box was locked, once for each
// letter. The code of a card is left out where a child was alone. Faults as Add.
func (d *Desk) CountGate(ctx context.Context, actor staff.Actor, l Left, g Gate) error {
	if err := actor.Must(staff.RegisterPeople); err != nil {
		return err
	}
	if err := g.Check(); err != nil {
		return err
	}
	if g.Alone {
		g.Code = ""
	}
	key, fact := l.once(), GateCounted{Gate: g, Number: l.Number, At: l.At.Unix(), Unsure: l.Unsure}
	return d.write(ctx, actor, func(tx *oplog.Tx) error {
		if _, done, err := tx.Once(key); err != nil || done {
			return err
		}
		tx.SetOnce(key, [8]byte{})
		_, err := tx.Append(gateCountedKind(), oplog.NewID(), &fact)
		return err
	})
}

// LookThrough says that the actor looked at what was taken in while the box was locked.
// Saying it twice writes it once. Faults: Denied; NotFound "fault.registration.no_person".
func (d *Desk) LookThrough(ctx context.Context, actor staff.Actor, subject oplog.ID) error {
	if err := actor.Must(staff.CorrectPeople); err != nil {
		return err
	}
	return d.write(ctx, actor, func(tx *oplog.Tx) error {
		there, looked := false, false
		ops, err := tx.Ops(subject)
		for _, op := range ops {
			there = there || takenInKind().Is(op)
			looked = looked || lookedThroughKind().Is(op)
		}
		switch {
		case err != nil || looked:
			return err
		case !there:
			return errNoPerson()
		}
		_, err = tx.Append(lookedThroughKind(), subject, &LookedThrough{})
		return err
	})
}

// Arrival is one letter that became people, as the list shows it.
type Arrival struct {
	Subject   oplog.ID
	Household bool // or one person alone
	Number    uint64
	At        time.Time
	Unsure    bool // nobody had set the clock
	Site      string
	Looked    bool
	LookedBy  string
	People    int
	First     Person // the head, or who came first; zero when they are here no more

	log oplog.LogID
	by  oplog.By
}

// GateCount is one count, as the list shows it.
type GateCount struct {
	Gate
	Number uint64
	At     time.Time
	Unsure bool
	Site   string

	log oplog.LogID
}

// Arrivals lists what was taken in while a box was locked, the newest first, at most
// limit of it. Faults: Denied.
func (d *Desk) Arrivals(_ context.Context, actor staff.Actor, limit int) (out []Arrival, err error) {
	if err := actor.Must(staff.ReadPeople); err != nil {
		return nil, err
	}
	err = d.log.View(func(r oplog.Reader) error {
		err := r.Rows(gateView, []byte{'t'}, nil, func(_ []byte, subject oplog.ID, value []byte) error {
			if len(out) == limit {
				return oplog.ErrStop
			}
			var row takenRow
			if err := decodeRow(value, &row); err != nil {
				return err
			}
			out = append(out, Arrival{
				Subject: subject, Number: row.Fact.Number, At: time.Unix(row.Fact.At, 0).UTC(), Unsure: row.Fact.Unsure,
				Looked: row.Looked, log: row.Stamp.Log, by: row.By,
			})
			return nil
		})
		for i := range out {
			if err == nil {
				err = out[i].people(r)
			}
		}
		return err
	})
	for i := range out { // outside: both may read the views
		out[i].Site, out[i].LookedBy = d.site(out[i].log), d.by(out[i].by)
	}
	return out, err
}

// people fills in who they are now.
func (a *Arrival) people(r oplog.Reader) error {
	row, there, err := readPerson(r, a.Subject)
	if err != nil || there {
		a.First, a.People = row.Person, 1
		return err
	}
	h, there, err := readHousehold(r, a.Subject)
	if err != nil || !there {
		return err
	}
	a.Household = true
	members, people, err := readMembers(r, a.Subject, h.Members)
	if len(members) > 0 {
		a.First = people[members[0]].Person
		if head := headOf(h.Head, members, people); head != nil {
			a.First = people[*head].Person
		}
	}
	a.People = len(members)
	return err
}

// GateCounts lists the counts, the newest first, at most limit of them. They name nobody,
// but say how many came: the actor must be one who may register or read people.
func (d *Desk) GateCounts(_ context.Context, actor staff.Actor, limit int) (out []GateCount, err error) {
	if err := actor.Must(staff.ReadPeople); err != nil {
		return nil, err
	}
	err = d.log.View(func(r oplog.Reader) error {
		return r.Rows(gateView, []byte{'g'}, nil, func(_ []byte, _ oplog.ID, value []byte) error {
			if len(out) == limit {
				return oplog.ErrStop
			}
			var row gateRow
			if err := decodeRow(value, &row); err != nil {
				return err
			}
			f := row.Fact
			out = append(out, GateCount{Gate: f.Gate, Number: f.Number, At: time.Unix(f.At, 0).UTC(), Unsure: f.Unsure, log: row.Stamp.Log})
			return nil
		})
	})
	for i := range out {
		out[i].Site = d.site(out[i].log)
	}
	return out, err
}

// Unlooked is how many of the last limit letters nobody has looked through.
func (d *Desk) Unlooked(limit int) (n int, err error) {
	seen := 0
	err = d.log.View(func(r oplog.Reader) error {
		return r.Rows(gateView, []byte{'t'}, nil, func(_ []byte, _ oplog.ID, value []byte) error {
			if seen++; seen > limit {
				return oplog.ErrStop
			}
			var row takenRow
			err := decodeRow(value, &row)
			if err == nil && !row.Looked {
				n++
			}
			return err
		})
	})
	return n, err
}

// DecodeGate reads a count in JSON, as strictly as DecodePerson.
func DecodeGate(b []byte) (Gate, error) {
	var g Gate
	return g, decodeStrict(bytes.NewReader(b), &g)
}
