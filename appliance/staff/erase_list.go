package staff

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Approval is a request that waits for a second person.
type Approval struct {
	ID     oplog.ID
	Person oplog.ID
	Reason string // a code of EraseReasons
	Text   string
	By     string // who asked
	ByID   ID
	At     time.Time
	Others int // subjects that go with the person
}

// Approvals lists what waits for a second person, the oldest first. The actor needs
// ErasePeople.
func (d *Desk) Approvals(_ context.Context, actor Actor) ([]Approval, error) {
	if err := actor.Must(ErasePeople); err != nil {
		return nil, err
	}
	var rows []approvalRow
	err := d.log.View(func(r oplog.Reader) (err error) {
		rows, err = d.waiting(r)
		return err
	})
	out := make([]Approval, 0, len(rows))
	for _, row := range rows {
		by := idOf(row.Fact.By.Who.subject())
		out = append(out, Approval{
			ID: row.Fact.Approval, Person: row.Fact.Statement.Subjects[0], Reason: row.Fact.Reason, Text: row.Fact.Text,
			By: d.NameOf(by), ByID: by, At: time.Unix(row.At, 0).UTC(), Others: len(row.Fact.Statement.Subjects) - 1,
		})
	}
	slices.SortFunc(out, func(a, b Approval) int { return cmp.Or(a.At.Compare(b.At), slices.Compare(a.ID[:], b.ID[:])) })
	return out, err
}

// Erasure is a person who was erased, as this node knows it. It names nobody but the
// people who did it.
type Erasure struct {
	Person  oplog.ID
	File    bool      // it is a sealed file and nobody in the register
	At      time.Time // when the second person signed, as their node claims
	By      []string  // the two; empty where no name is known
	Final   bool      // an issuer signed it: nobody can take it back
	Trusted bool      // both are of nodes whose words were compared, and may; otherwise nothing is destroyed
	Over    bool      // more than its node may do in a day: an issuer has to sign
	Here    bool      // destroyed on this node
	Left    time.Duration
	// Left is how long this node still has to run until it destroys the payloads by
	// itself; zero when it has done so or will not.

	DoneAt  []oplog.ID // nodes that say that they have destroyed the payloads
	Pending []oplog.ID // nodes of the deployment that have not said so; this one may be among them

	statements []statement
	seen       [][16]byte // nonces
}

// standingErasure is an erasure in force: signed by two, not taken back.
type standingErasure struct {
	row   erasedRow
	final bool
}

// standing are the erasures that hide a subject.
func (d *Desk) standing(r oplog.Reader, subject oplog.ID) ([]standingErasure, error) {
	ops, err := r.Ops(subject)
	if err != nil {
		return nil, err
	}
	var out []standingErasure
	known := map[[16]byte]bool{}
	for _, op := range ops {
		b := oplog.Body[erased](op)
		if b == nil || known[b.Statement.Nonce] || !b.valid(d.issuer.Deployment, subject) {
			continue
		}
		known[b.Statement.Nonce] = true
		// The rule itself is asked, about this one erasure.
		own := slices.DeleteFunc(slices.Clone(ops), func(o oplog.Op) bool {
			other := oplog.Body[erased](o)
			return other != nil && other.Statement.Nonce != b.Statement.Nonce
		})
		if st := judgeErasures(d.issuer.Deployment, subject, own); st.Erased {
			out = append(out, standingErasure{row: erasedRow{Fact: *b, Log: op.Log, At: op.At.Unix()}, final: st.Final})
		}
	}
	return out, nil
}

// doneBy are the nodes that have destroyed the payloads of a subject.
func (d *Desk) doneBy(r oplog.Reader, subject oplog.ID) ([]oplog.ID, error) {
	var out []oplog.ID
	ops, err := r.Ops(subject)
	for _, op := range ops {
		if oplog.Body[eraseDone](op) == nil {
			continue
		}
		if n, ok := d.author(op.Log); ok && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out, err
}

// author is the node that writes a log.
func (d *Desk) author(log oplog.LogID) (oplog.ID, bool) {
	if log == d.log.Own() {
		return d.node, true
	}
	if d.authors == nil {
		return oplog.ID{}, false
	}
	n, ok := d.authors(log)
	return n.ID, ok
}

// erasure is what hides one person. Fault: NotFound "fault.staff.no_erasure".
func (d *Desk) erasure(person oplog.ID) (e Erasure, err error) {
	var facts []standingErasure
	err = d.log.View(func(r oplog.Reader) (err error) {
		if facts, err = d.standing(r, person); err == nil {
			e.DoneAt, err = d.doneBy(r, person)
		}
		return err
	})
	if err != nil {
		return e, err
	}
	if len(facts) == 0 {
		return e, fault.New(fault.NotFound, "fault.staff.no_erasure")
	}
	first := facts[0].row
	e.Person, e.File, e.At = person, first.Fact.Statement.File, time.Unix(first.At, 0).UTC()
	for _, s := range first.Fact.By {
		e.By = append(e.By, d.NameOf(idOf(s.Who.subject())))
	}
	for _, f := range facts {
		e.Final = e.Final || f.final
		e.Trusted = e.Trusted || d.trustsErasure(f.row)
		e.statements = append(e.statements, f.row.Fact.Statement)
	}
	e.Left, e.Over = d.keeper.left(e.statements)
	e.Here = slices.Contains(e.DoneAt, d.node) && d.log.GoneOf(person).Kept == 0
	if e.Here || e.Final || !e.Trusted || e.Over {
		e.Left = 0
	}
	return e, nil
}

// trustsErasure reports whether an erasure may destroy anything here without an
// issuer: both people count at this node still, and so does the node that wrote it. What
// people of a node that was shut out agreed to hides whom it hides, and waits for the issuer.
func (d *Desk) trustsErasure(row erasedRow) bool {
	if row.Fact.Statement.File && !d.trustsFileErasure(row.Fact) {
		return false
	}
	if !row.Fact.Statement.File && (!d.trustsSigner(row.Fact.By[0].Who, ErasePeople) || !d.trustsSigner(row.Fact.By[1].Who, ErasePeople)) {
		return false
	}
	if row.Log == d.log.Own() {
		return true
	}
	if d.authors == nil {
		return false
	}
	n, ok := d.authors(row.Log)
	return ok && (n.Confirmed && !n.Carries() && n.Standing == identity.StandingGood || n.ID == d.node)
}

// Erasures lists who was erased, the last one first. A household that went with its
// last person is not listed by itself. The actor needs ErasePeople.
func (d *Desk) Erasures(_ context.Context, actor Actor) ([]Erasure, error) {
	if err := actor.Must(ErasePeople); err != nil {
		return nil, err
	}
	out := []Erasure{}
	nodes := d.allNodes()
	for _, g := range d.log.Gone() {
		if !g.Erased {
			continue
		}
		e, err := d.erasure(g.Subject)
		if fault.ClassOf(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(e.statements, func(s statement) bool { return s.Subjects[0] == g.Subject }) {
			continue
		}
		e.Pending = without(nodes, e.DoneAt)
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Erasure) int { return cmp.Or(b.At.Compare(a.At), slices.Compare(a.Person[:], b.Person[:])) })
	return out, nil
}

// ErasureOf is one of Erasures. Faults: those of Actor.Must, NotFound
// "fault.staff.no_erasure".
func (d *Desk) ErasureOf(_ context.Context, actor Actor, person oplog.ID) (Erasure, error) {
	if err := actor.Must(ErasePeople); err != nil {
		return Erasure{}, err
	}
	e, err := d.erasure(person)
	e.Pending = without(d.allNodes(), e.DoneAt)
	return e, err
}

func (d *Desk) allNodes() (out []oplog.ID) {
	if d.issuer.Nodes == nil {
		return []oplog.ID{d.node}
	}
	nodes, err := d.issuer.Nodes()
	if err != nil {
		return nil
	}
	for _, n := range nodes {
		out = append(out, n.ID)
	}
	return out
}

func without(all, some []oplog.ID) []oplog.ID {
	return slices.DeleteFunc(slices.Clone(all), func(id oplog.ID) bool { return slices.Contains(some, id) })
}

// ErasureCounts are the figures of status pages. They need no permission: they name
// nobody.
type ErasureCounts struct {
	Waiting int `json:"waiting"` // requests that nobody has confirmed yet
	Hidden  int `json:"hidden"`  // erased, and not destroyed on this node yet
	Pending int `json:"pending"` // destroyed here, and other nodes have not said so
	Done    int `json:"done"`    // destroyed on every node that is known
	Signing int `json:"signing"` // of the hidden: an issuer has to sign, or nothing happens
}

// Counts are read anew each time; there are few erasures.
func (d *Desk) Counts(ctx context.Context) (c ErasureCounts, err error) {
	all, err := d.Erasures(ctx, Operator())
	if err != nil {
		return c, err
	}
	waiting, err := d.Approvals(ctx, Operator())
	c.Waiting = len(waiting)
	for _, e := range all {
		switch {
		case !e.Here:
			c.Hidden++
			if !e.Final && (!e.Trusted || e.Over) {
				c.Signing++
			}
		case len(e.Pending) > 0:
			c.Pending++
		default:
			c.Done++
		}
	}
	return c, err
}
