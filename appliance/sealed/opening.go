package sealed

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Setup is how the sealed desks begin.
type Setup struct {
	Officers []staff.ID // 2 to 5 leads or coordinators, two of them at one box; none: the small team
	Workers  []staff.ID // who reads what is passed on, each in the compartments of their role
}

// Opened reports whether every compartment has keys. Once it is so it stays so, and every
// page with a form asks.
func (d *Desk) Opened() (bool, error) {
	if d.begun.Load() {
		return true, nil
	}
	who, err := d.people()
	if err != nil {
		return false, err
	}
	all := true
	for _, n := range staff.Narrows() {
		switch _, err := d.opened(n, who); fault.ClassOf(err) {
		case "":
		case fault.Conflict:
			all = false
		default:
			return false, err
		}
	}
	if all {
		d.begun.Store(true)
	}
	return all, nil
}

// Begin gives every compartment its first keys, by the issuer's word, once for a deployment.
// Whoever does it holds no key afterwards. The actor needs ManageBox. Faults: those of
// Actor.Must; Denied "fault.sealed.no_issuer"; Conflict "fault.sealed.already"; Invalid
// "fault.sealed.officers" and "fault.sealed.officers_apart"; NotFound
// "fault.sealed.no_worker"; the log's own.
func (d *Desk) Begin(ctx context.Context, actor staff.Actor, setup Setup) error {
	if err := actor.Must(staff.ManageBox); err != nil {
		return err
	}
	if !d.MayBegin() {
		return fault.New(fault.Denied, "fault.sealed.no_issuer")
	}
	who, err := d.people()
	if err != nil {
		return err
	}
	officers, workers, err := setup.check(who)
	if err != nil {
		return err
	}
	for _, n := range staff.Narrows() {
		switch _, err := d.opened(n, who); fault.ClassOf(err) {
		case fault.Conflict:
		case "":
			return fault.New(fault.Conflict, "fault.sealed.already")
		default:
			return err
		}
	}
	return d.begin(ctx, actor.ID, officers, workers, who)
}

// MayBegin reports whether an issuer lives at this node, so that the desks can be opened here.
func (d *Desk) MayBegin() bool {
	_, ok := d.o.Countersign([]byte("waypost/sealed-epoch/1/asked"))
	return ok
}

// BeginPurpose is the purpose of the acts by which two people begin the desks again.
const BeginPurpose = "begin-desks"

// AskAgain asks for new keys by the issuer's word, with other officers and workers: where
// nobody is left who holds the ones in use. It takes two people, or a lead alone could have
// everything that is passed on from then on sealed to an account of their making. What was
// sealed before stays with whoever holds those keys. Faults as Begin, and of staff.AskAct.
func (d *Desk) AskAgain(s staff.Session, setup Setup) (oplog.ID, error) {
	if err := s.Actor.Must(staff.ManageBox); err != nil {
		return oplog.ID{}, err
	}
	if !d.MayBegin() {
		return oplog.ID{}, fault.New(fault.Denied, "fault.sealed.no_issuer")
	}
	who, err := d.people()
	if err != nil {
		return oplog.ID{}, err
	}
	officers, workers, err := setup.check(who)
	if err != nil {
		return oplog.ID{}, err
	}
	act := staff.Act{
		Purpose: BeginPurpose, Action: staff.BreakGlass, Body: encode([]any{setup.Officers, setup.Workers}), Key: "sealed.act.again",
		Args: []any{"Officers", namesOf(officers, who), "Workers", namesOf(workers, who)},
	}
	return d.o.Staff.AskAct(s, act, func(ctx context.Context, by staff.ID, _, _ staff.Hand) error {
		who, err := d.people()
		if err != nil {
			return err
		}
		officers, workers, err := setup.check(who)
		if err != nil {
			return err
		}
		return d.begin(ctx, by, officers, workers, who)
	})
}

// nameOf is somebody as the second person reads them. A user name alone is anybody's: whoever
// made an account of the same name at another site would be agreed to in another's place. So
// the site stands beside it, and the number where that is not enough.
func nameOf(w staff.Worker, who people) string {
	name := w.User + " (" + w.Site + ")"
	for _, o := range who {
		if o.ID != w.ID && strings.EqualFold(o.User, w.User) && strings.EqualFold(o.Site, w.Site) {
			return name + " " + w.ID.String()
		}
	}
	return name
}

// namesOf are what the second person reads: they agree to these people.
func namesOf(all []staff.Worker, who people) string {
	out := make([]string, 0, len(all))
	for _, w := range all {
		out = append(out, nameOf(w, who))
	}
	if len(out) == 0 {
		return "–"
	}
	return strings.Join(out, ", ")
}

func (s Setup) check(who people) (officers, workers []staff.Worker, err error) {
	boxes := map[oplog.ID]int{}
	for _, id := range s.Officers {
		w, known := who[id]
		if !known || w.Off || !w.Actor().Can(staff.BreakGlass) {
			return nil, nil, fault.New(fault.NotFound, "fault.sealed.no_worker")
		}
		if slices.ContainsFunc(officers, func(o staff.Worker) bool { return o.ID == w.ID }) {
			continue
		}
		officers = append(officers, w)
		boxes[w.Node]++
	}
	if n := len(officers); n == 1 || n > maxOfficers {
		return nil, nil, fault.New(fault.Invalid, "fault.sealed.officers", "Most", maxOfficers).With("officers", "fault.sealed.officers", "Most", maxOfficers)
	}
	apart := len(officers) > 0
	for _, n := range boxes {
		apart = apart && n < together
	}
	if apart {
		return nil, nil, fault.New(fault.Invalid, "fault.sealed.officers_apart").With("officers", "fault.sealed.officers_apart")
	}
	for _, id := range s.Workers {
		w, known := who[id]
		if !known || w.Off || !w.Actor().Can(staff.WorkSealed) {
			return nil, nil, fault.New(fault.NotFound, "fault.sealed.no_worker")
		}
		workers = append(workers, w)
	}
	return officers, workers, nil
}

// fact is one that is written with others.
type fact struct {
	kind    oplog.Kind
	subject oplog.ID
	body    any
}

// begin draws the keys, writes them down wrapped, and forgets them.
func (d *Desk) begin(ctx context.Context, by staff.ID, officers, workers []staff.Worker, who people) error {
	public, facts, err := d.shares(officers, true)
	if err != nil {
		return err
	}
	ids := []staff.ID{}
	for _, o := range officers {
		ids = append(ids, o.ID)
	}
	for _, n := range staff.Narrows() {
		before, err := d.opened(n, who)
		if err != nil && fault.ClassOf(err) != fault.Conflict {
			return err
		}
		e := epochBegun{Narrow: n, Epoch: 1, Officers: public, Staff: ids, By: by}
		if before.current != nil {
			e.Epoch, e.Before = before.current.Epoch+1, before.current.name
		}
		more, err := d.first(e, workers)
		if err != nil {
			return err
		}
		facts = append(facts, more...)
	}
	return d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		for _, f := range facts {
			if _, err := tx.Append(f.kind, f.subject, f.body); err != nil {
				return err
			}
		}
		return nil
	})
}

// shares draws an officers' key and wraps its shares; a key of zeros for no officers. word
// asks for the issuer's: shares that two officers sign for need none.
func (d *Desk) shares(officers []staff.Worker, word bool) (public [32]byte, facts []fact, err error) {
	if len(officers) == 0 {
		return public, nil, nil
	}
	public, shares, err := newOfficers(len(officers))
	if err != nil {
		return public, nil, fault.Of(err)
	}
	for i, o := range officers { // every share is tried before anything is sealed to the key
		if _, err := join(public, shares[i], shares[(i+1)%len(shares)]); err != nil {
			return public, nil, fault.Of(err)
		}
		sealed, err := wrap(o.Seal, d.shareInfo(public, o.Subject), encode(shares[i]))
		if err != nil {
			return public, nil, fault.Of(err)
		}
		g := shareGiven{Officers: public, Sealed: sealed}
		if word {
			var ok bool
			if g.Word, ok = d.o.Countersign(g.message(d.o.Deployment, o.Subject)); !ok {
				return public, nil, fault.New(fault.Denied, "fault.sealed.no_issuer")
			}
		}
		facts = append(facts, fact{shareGivenKind, o.Subject, g})
	}
	for i := range shares {
		clear(shares[i].Value)
	}
	return public, facts, nil
}

// first gives an epoch a fresh seed and the issuer's word, and the workers the seed.
func (d *Desk) first(e epochBegun, workers []staff.Worker) (facts []fact, err error) {
	seed := newKey()
	defer clear(seed[:])
	if err := d.fill(&e, seed); err != nil {
		return nil, err
	}
	var ok bool
	if e.Word, ok = d.o.Countersign(e.message(d.o.Deployment)); !ok {
		return nil, fault.New(fault.Denied, "fault.sealed.no_issuer")
	}
	facts = append(facts, fact{epochBegunKind, subjectOf(e.Narrow), e})
	for _, w := range workers {
		if !w.Opens(e.Narrow) {
			continue
		}
		g, err := d.give(e, seed, w)
		if err != nil {
			return nil, err
		}
		facts = append(facts, fact{seedGivenKind, w.Subject, g})
	}
	return facts, nil
}

// fill puts the keys of a seed into an epoch.
func (d *Desk) fill(e *epochBegun, seed key) error {
	p := pairOf(seed)
	e.Seal, e.Sign = p.publicSeal(), p.publicSign()
	if e.Officers == [32]byte{} {
		return nil
	}
	var err error
	if e.ForOfficers, err = wrap(e.Officers, d.officersInfo(e.Seal), seed[:]); err != nil {
		return fault.Of(err)
	}
	return nil
}

// give wraps the seed of an epoch to somebody.
func (d *Desk) give(e epochBegun, seed key, to staff.Worker) (seedGiven, error) {
	h := e.hash()
	sealed, err := wrap(to.Seal, d.seedInfo(h, to.Subject), seed[:])
	if err != nil {
		return seedGiven{}, fault.Of(err)
	}
	return seedGiven{Epoch: h, Sealed: sealed}, nil
}

func (d *Desk) officersInfo(seal [32]byte) []byte {
	return slices.Concat([]byte("waypost/sealed-for-officers/1"), d.o.Deployment[:], seal[:])
}

func (d *Desk) shareInfo(public [32]byte, to oplog.ID) []byte {
	return slices.Concat([]byte("waypost/sealed-share/1"), d.o.Deployment[:], public[:], to[:])
}

// nonce is 16 random bytes.
func nonce() (n [16]byte) {
	_, _ = rand.Read(n[:])
	return n
}
