package identity

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// What a drill goes through, once a quarter.
const (
	DrillKit    = "kit"    // the recovery kit's words open the box
	DrillShare  = "share"  // one paper of the root reads back
	DrillStick  = "stick"  // the key stick opens the box
	DrillBackup = "backup" // a backup was verified
	DrillWords  = "words"  // the paper with the five words was found
	DrillCalls  = "calls"  // it is known who is called at night
)

// Drills lists them in the order of the page.
func Drills() []string {
	return []string{DrillKit, DrillShare, DrillStick, DrillBackup, DrillWords, DrillCalls}
}

// DrillEvery is how long a drill counts.
const DrillEvery = 92 * 24 * time.Hour

// Drilled says that somebody tried one thing at the subject, a node, and how it went. Who
// holds which paper is not in it.
type Drilled struct {
	What string `cbor:"1,keyasint"`
	Good bool   `cbor:"2,keyasint"`
}

var drilled = oplog.NewKind[Drilled]("identity.drilled", 1, oplog.Register)

var drillKey = []byte("d")

// drilledRow is the last time.
type drilledRow struct {
	_      struct{} `cbor:",toarray"`
	Good   bool
	By     oplog.By
	At     int64 // Unix milliseconds
	Unsure bool
}

func (b *Drilled) row(op oplog.Op) oplog.Row {
	return oplog.Row{
		Key: append(slices.Clone(drillKey), b.What...), Value: encode(drilledRow{Good: b.Good, By: op.By, At: op.At.UnixMilli(), Unsure: op.Unsure}),
	}
}

// Drill is when one thing was last tried at this node.
type Drill struct {
	What   string
	Good   bool
	By     oplog.By
	At     time.Time // zero when never
	Unsure bool      // the clock was not set then
}

// Drill notes that by tried one thing here. Fault: Invalid "fault.identity.drill".
func (d *Desk) Drill(ctx context.Context, by oplog.By, what string, good bool) error {
	if !slices.Contains(Drills(), what) {
		return fault.New(fault.Invalid, "fault.identity.drill").With("what", "fault.identity.drill")
	}
	return d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		_, err := tx.Append(drilled, d.vault.NodeID(), Drilled{What: what, Good: good})
		return err
	})
}

// Drilled lists what was last tried at this node, in the order of Drills, without what
// there is none of here: a key stick, papers of the root.
func (d *Desk) Drilled() ([]Drill, error) {
	ways, err := d.vault.slotsNow()
	if err != nil {
		return nil, err
	}
	held, _, err := d.Held()
	if err != nil {
		return nil, err
	}
	var out []Drill
	self := d.vault.NodeID()
	err = d.log.View(func(r oplog.Reader) error {
		for _, what := range Drills() {
			if what == DrillStick && !slices.ContainsFunc(ways, func(s slot) bool { return s.Kind == SlotStick }) || what == DrillShare && len(held.sums) == 0 {
				continue
			}
			drill := Drill{What: what}
			raw, ok, err := r.Row(ceremonyView, self, append(slices.Clone(drillKey), what...))
			if err != nil {
				return err
			}
			if ok {
				var row drilledRow
				if err := decodeRow(raw, &row); err != nil {
					return err
				}
				drill.Good, drill.By, drill.At, drill.Unsure = row.Good, row.By, time.UnixMilli(row.At).UTC(), row.Unsure
			}
			out = append(out, drill)
		}
		return nil
	})
	return out, err
}

// InnerWays lists the ways to open this box that open its inner part as well, if they were
// made since that was last made anew. The recovery kit is never among them.
func (d *Desk) InnerWays() (kinds []string, err error) {
	slots, err := d.vault.slotsNow()
	for _, s := range slots {
		if s.inside() {
			kinds = append(kinds, s.Kind)
		}
	}
	return kinds, err
}

// TryWay says which way to open this box a passphrase or a key file is, and opens nothing.
// Faults: those of Unlock.
func (d *Desk) TryWay(secret []byte) (kind string, err error) {
	o, err := tryAll(d.vault.slotsNow, secret)
	defer o.forget()
	return o.slot.Kind, err
}

// DrillDue is when the next drill is due: a quarter after the oldest thing that went well;
// zero when something never did, or when it was not known what day it was then.
func DrillDue(list []Drill) time.Time {
	var due time.Time
	for _, x := range list {
		if !x.Good || x.At.IsZero() || x.Unsure {
			return time.Time{}
		}
		if at := x.At.Add(DrillEvery); due.IsZero() || at.Before(due) {
			due = at
		}
	}
	return due
}

// DrillOverdue reports whether somebody should be told. A clock that nobody set says
// nothing, and a drill that was noted under such a clock is not held against anybody.
func DrillOverdue(list []Drill, now time.Time, sure bool, since time.Time) bool {
	if !sure {
		return false
	}
	oldest := now
	for _, x := range list {
		switch {
		case x.Unsure:
		case x.At.IsZero() || !x.Good:
			oldest = slices.MinFunc([]time.Time{oldest, since}, time.Time.Compare)
		default:
			oldest = slices.MinFunc([]time.Time{oldest, x.At}, time.Time.Compare)
		}
	}
	return cmp.Compare(now.Sub(oldest), DrillEvery) > 0
}
