package registration

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"sync"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Intake takes in what belongs to a narrow compartment. It is write-only: nothing that
// was taken in is ever answered to whoever gave it. about is the person, zero for
// somebody who is not registered; codes are out of SensitiveCodes and all of n.
//
// TakeIn has it on disk when it returns nil. It may be given the same again: see
// Desk.passOn.
type Intake interface {
	TakeIn(ctx context.Context, actor staff.Actor, n staff.Narrow, about oplog.ID, codes []string, note string) error

	// Opened reports whether anybody reads what is taken in.
	Opened() (bool, error)
}

// SetIntake gives the desk its intake; call it before the desk is used. Without one,
// what somebody types is refused with the sentence to tell the protection team
// themselves: the person is still in front of the worker, so nothing is lost by it, and
// anything that stored it for later would be what the register must not hold. The rows
// of a list are registered without it, and each is named: a bed must not wait for it.
func (d *Desk) SetIntake(i Intake) { d.intake = i }

// TakesIn tells whether there is an intake and somebody who reads it, so that a page
// offers what can be used.
func (d *Desk) TakesIn() bool {
	if d.intake == nil {
		return false
	}
	open, err := d.intake.Opened()
	return err == nil && open
}

// passed remembers, in memory and only while the process runs, what was passed on and
// which ids were given to people who are not written yet, so that the same form sent
// again after a failure passes nothing on twice. Safe for concurrent use.
type passed struct {
	mu   sync.Mutex
	salt [32]byte
	ids  map[[16]byte][]oplog.ID // by key of the request
	told map[[32]byte]bool
}

// mostPassed bounds each of the two; they are forgotten as a whole beyond it, which
// costs a second telling at worst.
const mostPassed = 4096

func newPassed() *passed {
	p := &passed{ids: map[[16]byte][]oplog.ID{}, told: map[[32]byte]bool{}}
	_, _ = rand.Read(p.salt[:]) // never fails: crypto/rand ends the process instead
	return p
}

// newIDs are ids for n new people: the ones of the first try when the request has a
// key and was tried before.
func (p *passed) newIDs(key once, n int) []oplog.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	if had := p.ids[key.hash]; key.used && len(had) == n {
		return had
	}
	ids := make([]oplog.ID, n)
	for i := range ids {
		ids[i] = oplog.NewID()
	}
	if key.used {
		if len(p.ids) >= mostPassed {
			clear(p.ids)
		}
		p.ids[key.hash] = ids
	}
	return ids
}

// written forgets the ids of a request that is in the journal.
func (p *passed) written(key once) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.ids, key.hash)
}

func (p *passed) hash(about oplog.ID, d diverted, key once) [32]byte {
	h := sha256.New()
	h.Write(p.salt[:])
	h.Write(key.hash[:])
	h.Write(about[:])
	h.Write([]byte(string(d.narrow) + "\x00" + strings.Join(d.codes, ",") + "\x00" + d.note))
	return [32]byte(h.Sum(nil))
}

func (p *passed) knows(h [32]byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told[h]
}

func (p *passed) note(h [32]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.told) >= mostPassed {
		clear(p.told)
	}
	p.told[h] = true
}

// mayPass checks, before anything is written, that what was said aside can be passed
// on. It names the fields it stood in, never what it was.
func (d *Desk) mayPass(c *checker, actor staff.Actor, asides []Aside) error {
	if len(asides) == 0 {
		return nil
	}
	if err := actor.Must(staff.SealIntake); err != nil {
		return err
	}
	if !d.TakesIn() {
		for _, a := range asides {
			if !c.has(a.field()) {
				c.wrong(a.field(), "no_intake")
			}
		}
	}
	return nil
}

// passOn gives all of it to the intake and counts. It comes before the register is
// written, under the id that the person is about to get: a power cut in between leaves
// an intake about somebody who is not in the register, which its readers see, and the
// worker, who was not told that anything was saved, sends the form again. The other
// order could lose it without anybody knowing. The price is that after such a cut it
// may be told twice.
func (d *Desk) passOn(ctx context.Context, actor staff.Actor, about oplog.ID, all []diverted, key once) (int, error) {
	for _, x := range all {
		h := d.passed.hash(about, x, key)
		if key.used && d.passed.knows(h) {
			continue
		}
		if d.intake == nil {
			return 0, fault.New(fault.Unavailable, "fault.registration.no_intake")
		}
		if err := d.intake.TakeIn(ctx, actor, x.narrow, about, x.codes, x.note); err != nil {
			return 0, err
		}
		if key.used {
			d.passed.note(h)
		}
	}
	return len(all), nil
}

// PassOn passes on what somebody says about a person who is registered already, or
// about nobody who is (the zero id). Nothing of it is kept here. It answers how many
// compartments were told. Faults: Denied, Unauthenticated; NotFound
// "fault.registration.no_person"; Invalid "fault.registration.invalid" naming "aside";
// those of the intake.
func (d *Desk) PassOn(ctx context.Context, actor staff.Actor, person oplog.ID, said []Aside, req Request) (int, error) {
	if err := actor.Must(staff.SealIntake); err != nil {
		return 0, err
	}
	c := checker{at: d.now()}
	if err := d.mayPass(&c, actor, said); err != nil {
		return 0, err
	}
	all := c.asides(said)
	if len(all) == 0 {
		c.wrong("aside", "aside_empty")
	}
	if err := c.err(); err != nil {
		return 0, err
	}
	key, err := req.once(actor, "pass_on "+person.String(), struct{}{})
	if err != nil {
		return 0, err
	}
	if !person.IsZero() {
		there, err := d.Exists(person)
		if err != nil {
			return 0, err
		}
		if !there {
			return 0, errNoPerson()
		}
	}
	return d.passOn(ctx, actor, person, all, key)
}

// former is the subject a request wrote before; zero when it did not.
func (d *Desk) former(key once) (id oplog.ID, err error) {
	err = d.log.View(func(r oplog.Reader) (err error) {
		id, _, err = key.done(r)
		return err
	})
	return id, err
}
