package staff

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Act is something that two people have to agree to, each with their own signature, so
// that no single one can do it and no node can do it in their names.
type Act struct {
	Purpose string // what kind it is, a constant of whoever asks: "revoke-node"; part of what is signed
	Action  Action // what both must be allowed
	Body    []byte // what exactly; part of what is signed
	Key     string // locale key of the sentence the second person reads
	Args    []any  // … and its arguments, in pairs
	Only    []ID   // who may see it and agree besides the one who asks; nil: everybody whose role may
}

// concerns reports whether somebody sees the act and could settle it.
func (p *pending) concerns(a Actor) bool {
	return a.Can(p.Act.Action) && (p.Act.Only == nil || a.ID == p.By || slices.Contains(p.Act.Only, a.ID))
}

// message is what both sign.
func (a Act) message(deployment [16]byte) []byte {
	return slices.Concat([]byte("waypost/act/1"), deployment[:], encode([]any{a.Purpose, a.Body}))
}

// Hand is one person's signature under an act, as it lies in facts: CBOR {1: body of
// staff.enrolled, 2: Ed25519 (64)}. At most 512 bytes.
type Hand []byte

const maxHand = 512

func parseHand(h Hand) (s signature, ok bool) {
	if len(h) > maxHand || decode(h, &s) != nil || !bytes.Equal(encode(s), h) {
		return signature{}, false
	}
	return s, true
}

// Signer is whose signature it is; zero when it is no hand.
func (h Hand) Signer() ID {
	s, ok := parseHand(h)
	if !ok {
		return ID{}
	}
	return idOf(s.Who.subject())
}

// CheckHands tells whether two people agreed to an act: both signatures are right, they
// are two different people who may, neither made the other's account, and their nodes
// are this one or one whose words were compared. It is for what was agreed to: an account
// that ended since, or a node that was shut out, does not undo it. Faults: Denied "fault.staff.act_hands",
// "fault.staff.act_same", "fault.staff.act_made", "fault.staff.act_stranger".
func (d *Desk) CheckHands(a Act, first, second Hand) error {
	one, ok := parseHand(first)
	two, also := parseHand(second)
	msg := a.message(d.issuer.Deployment)
	if !ok || !also || !one.valid(msg) || !two.valid(msg) {
		return fault.New(fault.Denied, "fault.staff.act_hands")
	}
	if !d.trustedSigner(one.Who, a.Action) || !d.trustedSigner(two.Who, a.Action) {
		return fault.New(fault.Denied, "fault.staff.act_stranger")
	}
	return d.twoPeople(one, two, "act")
}

// HandsAmong is CheckHands by what is known of the nodes then: who was compared, whatever
// became of them since. Both accounts were made by their own node, which said so in a log of
// its own. It is for identity.Desk, which asks it while it finds out how nodes stand. Faults:
// as CheckHands.
func (d *Desk) HandsAmong(nodes []identity.Node, a Act, first, second Hand) error {
	one, ok := parseHand(first)
	two, also := parseHand(second)
	msg := a.message(d.issuer.Deployment)
	if !ok || !also || !one.valid(msg) || !two.valid(msg) {
		return fault.New(fault.Denied, "fault.staff.act_hands")
	}
	for _, e := range []enrolled{one.Who, two.Who} {
		i := slices.IndexFunc(nodes, func(n identity.Node) bool { return n.ID == e.Node })
		if i < 0 || !nodes[i].Confirmed || nodes[i].Carries() || !(Actor{ID: idOf(e.subject()), Role: e.Role}).Can(a.Action) || !d.madeAt(e, nodes[i].Logs) {
			return fault.New(fault.Denied, "fault.staff.act_stranger")
		}
	}
	return d.twoPeople(one, two, "act")
}

// madeAt reports whether one of logs says that an account was made: anybody can draw keys
// and say that they are of somebody at another node.
func (d *Desk) madeAt(e enrolled, logs []oplog.LogID) (made bool) {
	subject := e.subject()
	_ = d.log.View(func(r oplog.Reader) error { // what cannot be read was not made
		ops, err := r.Ops(subject)
		made = err == nil && slices.ContainsFunc(ops, func(op oplog.Op) bool {
			return enrolment(op, subject) != nil && slices.Contains(logs, op.Log)
		})
		return err
	})
	return made
}

// twoPeople refuses two signatures that may be one person's. what begins the keys of its
// faults: "fault.staff.", what, and "_same" or "_made".
func (d *Desk) twoPeople(one, two signature, what string) error {
	if one.Who.subject() == two.Who.subject() || one.Who.Sign == two.Who.Sign || one.Who.person() == two.Who.person() {
		return fault.New(fault.Denied, "fault.staff."+what+"_same")
	}
	for _, pair := range [][2]enrolled{{one.Who, two.Who}, {two.Who, one.Who}} {
		switch made, err := d.made(pair[0], pair[1]); {
		case err != nil:
			return err
		case made:
			return fault.New(fault.Denied, "fault.staff."+what+"_made")
		}
	}
	return nil
}

// Alone tells whether nobody else with an account at this node could agree to what the actor
// asks for: nobody else may, or whoever may was made by the actor, or made them. Where a
// desk lets one person's word be enough, it is enough only then. Fault: those of the log.
func (d *Desk) Alone(actor Actor, x Action) (bool, error) {
	var own *account
	all := d.snapshot()
	for i, a := range all {
		if idOf(a.Subject) == actor.ID && !actor.Key && !actor.Operator {
			own = &all[i]
		}
	}
	if own == nil {
		return false, nil // nobody's own word
	}
	for _, a := range all {
		who := a.enrolled(d.node)
		if a.Replaced || !d.trustsSigner(who, x) {
			continue
		}
		err := d.twoPeople(signature{Who: own.enrolled(d.node)}, signature{Who: who}, "act")
		if err == nil {
			return false, nil
		}
		if fault.ClassOf(err) != fault.Denied {
			return false, err
		}
	}
	return true, nil
}

// Waiting is an act one person has asked for.
type Waiting struct {
	ID     oplog.ID
	Act    Act
	By     ID
	ByName string
	At     time.Time // wall time of this node
}

// pending is a Waiting with what is done when somebody else agrees.
type pending struct {
	Waiting
	hand  Hand
	since time.Time
	run   func(ctx context.Context, by ID, first, second Hand) error
}

// acts are what waits for a second person. They are kept in memory only: whoever asked
// can ask again, and nothing of them is left on a box that was locked.
type acts struct {
	mu  sync.Mutex
	all map[oplog.ID]*pending
}

// Bounds of what waits.
const (
	actLife = 24 * time.Hour // by the running clock
	maxActs = 100
	maxOwn  = 20 // by one person: nobody fills the list alone
)

// AskAct is the first half: the person of the session wants it. run is called once, in
// the goroutine of whoever agrees, with both signatures; by is the second person. Asking
// again for what waits already gives the same id and leaves the first as it was. Faults:
// those of Actor.Must, Denied "fault.staff.own_hand", Busy "fault.staff.act_many".
func (d *Desk) AskAct(s Session, a Act, run func(ctx context.Context, by ID, first, second Hand) error) (oplog.ID, error) {
	if err := s.Actor.Must(a.Action); err != nil {
		return oplog.ID{}, err
	}
	sig, err := d.signature(s, a.message(d.issuer.Deployment))
	if err != nil {
		return oplog.ID{}, err
	}
	d.acts.mu.Lock()
	defer d.acts.mu.Unlock()
	d.sweepActs()
	own := 0
	for id, p := range d.acts.all {
		if p.By != s.Actor.ID {
			continue
		}
		if p.Act.Purpose == a.Purpose && bytes.Equal(p.Act.Body, a.Body) {
			return id, nil
		}
		own++
	}
	if own >= maxOwn || len(d.acts.all) >= maxActs {
		return oplog.ID{}, fault.New(fault.Busy, "fault.staff.act_many")
	}
	now := d.clock.Now()
	p := &pending{
		Waiting: Waiting{ID: oplog.NewID(), Act: a, By: s.Actor.ID, ByName: s.Actor.Name, At: now},
		hand:    encode(sig), since: now, run: run,
	}
	d.acts.all[p.ID] = p
	return p.ID, nil
}

// sweepActs drops what nobody agreed to in time.
func (d *Desk) sweepActs() {
	now := d.clock.Now()
	for id, p := range d.acts.all {
		if now.Sub(p.since) > actLife {
			delete(d.acts.all, id)
		}
	}
}

// Acts lists what waits and the actor could agree to or asked for, the oldest first.
func (d *Desk) Acts(actor Actor) []Waiting {
	d.acts.mu.Lock()
	defer d.acts.mu.Unlock()
	d.sweepActs()
	var out []Waiting
	for _, p := range d.acts.all {
		if p.concerns(actor) {
			out = append(out, p.Waiting)
		}
	}
	slices.SortFunc(out, func(a, b Waiting) int {
		return cmp.Or(a.At.Compare(b.At), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return out
}

// ConfirmAct is the second half, and does it. An act that cannot be done waits on.
// Faults: those of Actor.Must and CheckHands, Denied "fault.staff.own_hand", NotFound
// "fault.staff.no_act", those of what is done.
func (d *Desk) ConfirmAct(ctx context.Context, s Session, id oplog.ID) error {
	p := d.takeAct(s.Actor, id)
	if p == nil {
		return fault.New(fault.NotFound, "fault.staff.no_act")
	}
	err := d.agree(ctx, s, p)
	if err != nil { // it was not done: somebody else may still agree
		d.acts.mu.Lock()
		defer d.acts.mu.Unlock()
		d.acts.all[id] = p
	}
	return err
}

// takeAct takes it off the list, so that two who agree at once do it once.
func (d *Desk) takeAct(actor Actor, id oplog.ID) *pending {
	d.acts.mu.Lock()
	defer d.acts.mu.Unlock()
	d.sweepActs()
	p := d.acts.all[id]
	if p == nil || !p.concerns(actor) {
		return nil
	}
	delete(d.acts.all, id)
	return p
}

func (d *Desk) agree(ctx context.Context, s Session, p *pending) error {
	second, err := d.signature(s, p.Act.message(d.issuer.Deployment))
	if err != nil {
		return err
	}
	hand := Hand(encode(second))
	if err := d.CheckHands(p.Act, p.hand, hand); err != nil {
		return err
	}
	// Whoever asked may have been sent away, or given other keys, since.
	if first, ok := parseHand(p.hand); !ok || !d.trustsSigner(first.Who, p.Act.Action) {
		return fault.New(fault.Denied, "fault.staff.act_stranger")
	}
	return p.run(ctx, s.Actor.ID, p.hand, hand)
}

// DeclineAct takes an act off the list: whoever asked thinks better of it, or the second
// person does not agree. Fault: NotFound "fault.staff.no_act".
func (d *Desk) DeclineAct(actor Actor, id oplog.ID) error {
	if d.takeAct(actor, id) == nil {
		return fault.New(fault.NotFound, "fault.staff.no_act")
	}
	return nil
}

// Waits reports whether an act still waits for its second person.
func (d *Desk) Waits(id oplog.ID) bool {
	d.acts.mu.Lock()
	defer d.acts.mu.Unlock()
	d.sweepActs()
	return d.acts.all[id] != nil
}
