package staff

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// How fast one account or key may read, in different people within an hour. Opening the
// same person again counts nothing, nor does whom they registered themselves just now,
// nor a card that somebody holds out. Beyond the first number the lead is told, beyond
// the second the reader is asked to go to the lead. Times are by the running clock.
// Nobody's reading slows or stops anybody else.
const (
	alarmOpens = 30   // the working day of a registrar: a look at somebody every two minutes
	stopOpens  = 120  //
	alarmNames = 1500 // in lists
	stopNames  = 6000 //
	fullRecord = 4    // a full record in a list counts as so many names
	leadTimes  = 4    // leads and coordinators see to everybody's records; they are told about and never stopped
	paceWindow = time.Hour
)

// How long things stay.
const (
	goOnFor   = time.Hour      // a lead's word
	alarmKept = 24 * time.Hour // an alarm nobody has looked at
)

// mostKnown bounds what is remembered of one reader's hour; beyond it nothing is left
// out of the counts, but the same person may count again.
const mostKnown = 60_000

// mostReaders bounds the memory of pace; who was idle longest is forgotten first.
const mostReaders = 1000

// pace is who reads how fast, in memory. A restart forgets it; the facts stay. Safe for
// concurrent use.
type pace struct {
	mu      sync.Mutex
	readers map[ID]*reader
}

// reader is one account, key or the operator within its hour.
type reader struct {
	begun    time.Time // of the hour that is counted
	last     time.Time
	opened   map[oplog.ID]bool // that count
	named    map[oplog.ID]int  // weight
	names    int               // sum of named
	goOn     time.Time         // until when a lead lets them go on
	alarm    *Alarm
	written  map[wrote]time.Time // looks that have their fact
	listed   map[oplog.ID]bool   // named in lists since listedAt
	listedAt time.Time
	unsaid   int // of listed, without a fact
	waiting  []looked
}

// wrote is a look that has its fact.
type wrote struct {
	person oplog.ID
	what   Looked
}

// Alarm is somebody who read faster than the work needs.
type Alarm struct {
	By      ID
	Opened  int // different people within the hour, at most
	Listed  int
	Since   time.Time // of the first time
	Stopped bool      // they were asked to go to the lead
	GoesOn  bool      // a lead let them go on, now
}

func newPace() *pace { return &pace{readers: map[ID]*reader{}} }

// of is the reader, in the hour that runs now.
func (p *pace) of(id ID, now time.Time) *reader {
	r := p.readers[id]
	if r == nil {
		if len(p.readers) >= mostReaders {
			p.forgetIdlest()
		}
		r = &reader{written: map[wrote]time.Time{}}
		p.readers[id] = r
	}
	if r.opened == nil || now.Sub(r.begun) >= paceWindow {
		r.begun, r.opened, r.named, r.names = now, map[oplog.ID]bool{}, map[oplog.ID]int{}, 0
	}
	if r.alarm != nil && now.Sub(r.alarm.Since) >= alarmKept {
		r.alarm = nil
	}
	r.last = now
	return r
}

// forgetIdlest makes room. Whoever waits for a fact or is told about stays.
func (p *pace) forgetIdlest() {
	var idlest ID
	var last time.Time
	for id, r := range p.readers {
		if len(r.waiting) == 0 && r.alarm == nil && (last.IsZero() || r.last.Before(last)) {
			idlest, last = id, r.last
		}
	}
	delete(p.readers, idlest)
}

// take counts a look, or refuses it uncounted.
func (p *pace) take(a Actor, l Look, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.of(a.ID, now)
	if l.Cards {
		return nil
	}
	opens, names := r.after(l)
	times, stops := 1, true
	if a.Operator || a.Role == Lead || a.Role == Coordinator {
		times, stops = leadTimes, false
	}
	over := stops && (opens > stopOpens || names > stopNames) && now.After(r.goOn)
	if over || opens > alarmOpens*times || names > alarmNames*times {
		if r.alarm == nil {
			r.alarm = &Alarm{By: a.ID, Since: now}
		}
		r.alarm.Opened, r.alarm.Listed = max(r.alarm.Opened, opens), max(r.alarm.Listed, names)
		r.alarm.Stopped = r.alarm.Stopped || over
	}
	if over {
		return errAskLead()
	}
	r.count(l)
	return nil
}

// after is what a look would make of the counts.
func (r *reader) after(l Look) (opens, names int) {
	opens, names = len(r.opened), r.names
	if !l.full() {
		for _, id := range l.People {
			if !r.opened[id] {
				opens++
			}
		}
	}
	for _, id := range l.Named {
		if w := l.weight(); r.named[id] < w {
			names += w - r.named[id]
		}
	}
	return opens, names
}

func (r *reader) count(l Look) {
	if !l.full() {
		for _, id := range l.People {
			r.opened[id] = true
		}
	}
	if len(r.named) >= mostKnown {
		clear(r.named)
	}
	for _, id := range l.Named {
		if w := l.weight(); r.named[id] < w {
			r.names += w - r.named[id]
			r.named[id] = w
		}
	}
}

// full tells a list of full records: its people count as names, each for several.
func (l Look) full() bool { return len(l.Named) > 0 && len(l.People) > 0 }

func (l Look) weight() int {
	if l.full() {
		return fullRecord
	}
	return 1
}

// unseen are the facts a look still needs, and notes that it has them.
func (p *pace) unseen(by ID, l Look, now time.Time) (facts []looked) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.of(by, now)
	if len(r.written) >= mostKnown {
		clear(r.written) // the view knows them too
	}
	var fresh []oplog.ID
	for _, id := range l.People {
		w := wrote{id, l.What}
		if at, known := r.written[w]; !known || now.Sub(at) >= lookAgain {
			r.written[w] = now
			fresh = append(fresh, id)
		}
	}
	for part := range slices.Chunk(fresh, mostLooked) {
		facts = append(facts, looked{What: l.What, API: l.API, People: part})
	}
	if n := r.list(l, now); n > 0 {
		facts = append(facts, looked{What: LookedThrough, API: l.API, Names: uint64(n)}) //nolint:gosec // a count
	}
	return facts
}

// list counts the names of a list that is not of full records, and gives how many are
// to be written now.
func (r *reader) list(l Look, now time.Time) (say int) {
	if len(l.People) > 0 || len(l.Named) == 0 {
		return 0
	}
	first := r.listed == nil || now.Sub(r.listedAt) >= lookAgain
	if first || len(r.listed) >= mostKnown {
		r.listed, r.listedAt = map[oplog.ID]bool{}, now
	}
	for _, id := range l.Named {
		if !r.listed[id] {
			r.listed[id] = true
			r.unsaid++
		}
	}
	if first || r.unsaid >= flushNames {
		say, r.unsaid = r.unsaid, 0
	}
	return say
}

// mostWaiting is how many facts of one reader wait for a journal that takes no writes.
const mostWaiting = 1000

func (p *pace) wait(by ID, facts []looked) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.readers[by]; r != nil {
		r.waiting = facts[max(0, len(facts)-mostWaiting):]
	}
}

// waits tells whether a reader has facts that could not be written.
func (p *pace) waits(by ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.readers[by]
	return r != nil && len(r.waiting) > 0
}

func (p *pace) takeWaiting(by ID) []looked {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.readers[by]
	if r == nil {
		return nil
	}
	out := r.waiting
	r.waiting = nil
	return out
}

// Alarms are who read faster than the work needs within a day, the latest first, until
// somebody with SeeReads says that they have seen it. The actor needs SeeReads.
func (d *Desk) Alarms(actor Actor) ([]Alarm, error) {
	if err := actor.Must(SeeReads); err != nil {
		return nil, err
	}
	p, now := d.pace, d.clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Alarm
	for _, r := range p.readers {
		if r.alarm != nil && now.Sub(r.alarm.Since) < alarmKept {
			a := *r.alarm
			a.GoesOn = now.Before(r.goOn)
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b Alarm) int {
		if n := b.Since.Compare(a.Since); n != 0 {
			return n
		}
		return slices.Compare(a.By[:], b.By[:])
	})
	return out, nil
}

// LetGoOn lets a stopped reader go on for an hour; nobody lets themselves. Faults: those
// of Actor.Must; Denied "fault.staff.own_reads".
func (d *Desk) LetGoOn(_ context.Context, actor Actor, by ID) error {
	return d.settleAlarm(actor, by, func(r *reader, now time.Time) { r.goOn = now.Add(goOnFor) })
}

// SawAlarm takes an alarm off the list; the looks stay. Nobody does it for themselves.
// Faults: as LetGoOn.
func (d *Desk) SawAlarm(_ context.Context, actor Actor, by ID) error {
	return d.settleAlarm(actor, by, func(r *reader, _ time.Time) { r.alarm = nil })
}

func (d *Desk) settleAlarm(actor Actor, by ID, settle func(*reader, time.Time)) error {
	if err := actor.Must(SeeReads); err != nil {
		return err
	}
	if by == actor.ID {
		return fault.New(fault.Denied, "fault.staff.own_reads")
	}
	now := d.clock.Now()
	d.pace.mu.Lock()
	defer d.pace.mu.Unlock()
	if r := d.pace.readers[by]; r != nil {
		settle(r, now)
	}
	return nil
}
