package staff

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// seenPerson is a person of these tests.
type seenPerson struct {
	Name string `cbor:"1,keyasint"`
}

var (
	seenKind   = oplog.NewKind[seenPerson]("test.person", 1, oplog.Register)
	peopleView = &oplog.View{Name: "people", Version: 1, Kinds: []oplog.Kind{seenKind}, Fold: func(_ oplog.ID, ops []oplog.Op) []oplog.Row {
		return []oplog.Row{{Key: []byte(oplog.Body[seenPerson](ops[len(ops)-1]).Name)}}
	}}
)

// camp is several nodes of one deployment, with desks that know each other.
type camp struct {
	t     *testing.T
	auth  *oplogtest.Authority
	nodes []*place
	known []identity.Node // what everybody knows of the nodes
}

func newCamp(t *testing.T, n int) *camp {
	t.Helper()
	c := &camp{t: t}
	a := oplogtest.NewAuthority(t)
	c.auth = a
	for i := range n {
		own := a
		if i > 0 {
			own = a.Peer(t)
		}
		p := &place{
			log: oplogtest.Node(t, own, nil, append(Views(), peopleView)), dir: t.TempDir(), key: [32]byte{byte(i + 1)},
			clock: clock.NewFake(oplogtest.Noon()), node: own.Node(),
		}
		c.nodes = append(c.nodes, p)
		c.known = append(c.known, identity.Node{ID: p.node, Confirmed: true, Logs: []oplog.LogID{p.log.Own()}})
		c.open(i, a.Deployment())
	}
	return c
}

func (c *camp) open(i int, deployment [16]byte) {
	c.t.Helper()
	p := c.nodes[i]
	authors := func(log oplog.LogID) (identity.Node, bool) {
		n := slices.IndexFunc(c.known, func(n identity.Node) bool { return slices.Contains(n.Logs, log) })
		if n < 0 {
			return identity.Node{}, false
		}
		return c.known[n], true
	}
	d, err := Open(p.log, p.dir, p.key, p.clock, "North gate", p.node, WithCost(identity.TestCost()), WithAuthors(authors),
		WithIssuer(Issuer{Deployment: deployment, Nodes: func() ([]identity.Node, error) { return c.known, nil }}))
	must(c.t, err)
	p.Desk = d
}

func (c *camp) exchange() {
	c.t.Helper()
	var logs []*oplog.Log
	for _, p := range c.nodes {
		logs = append(logs, p.log)
	}
	oplogtest.Exchange(c.t, logs...)
}

func (p *place) person(t testing.TB, name string) oplog.ID {
	t.Helper()
	id := oplog.NewID()
	must(t, p.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(seenKind, id, seenPerson{Name: name})
		return err
	}))
	return id
}

func (p *place) names(t testing.TB) (out []string) {
	t.Helper()
	must(t, p.log.View(func(r oplog.Reader) error {
		return r.Rows(peopleView, nil, nil, func(k []byte, _ oplog.ID, _ []byte) error { out = append(out, string(k)); return nil })
	}))
	return out
}

func wish(who ...oplog.ID) ErasureRequest {
	return ErasureRequest{Subjects: who, Cards: [][10]byte{{9, 9}}, Reason: "own_wish"}
}

func (p *place) ask(t testing.TB, s Session, who ...oplog.ID) oplog.ID {
	t.Helper()
	approval, err := p.AskErasure(ctx, s, wish(who...))
	must(t, err)
	return approval
}

func TestTwoPeopleEraseAPerson(t *testing.T) {
	c := newCamp(t, 2)
	p, other := c.nodes[0], c.nodes[1]
	p.add(t, "ana", Lead)
	other.add(t, "bo", Coordinator)
	who, stays := p.person(t, "Rosa"), p.person(t, "Omar")
	household := oplog.NewID()
	approval := p.ask(t, p.signIn(t, "ana"), who, household)
	if again := p.ask(t, p.signIn(t, "ana"), who); again != approval {
		t.Error("asking twice makes two requests")
	}
	c.exchange()
	waiting, err := other.Approvals(ctx, Operator())
	if err != nil || len(waiting) != 1 || waiting[0].Person != who || waiting[0].By != "ana" || waiting[0].Others != 1 || waiting[0].Reason != "own_wish" {
		t.Fatalf("%+v %v", waiting, err)
	}
	if got := other.names(t); !slices.Equal(got, []string{"Omar", "Rosa"}) {
		t.Error("a request alone changes something:", got)
	}
	person, err := other.ConfirmErasure(ctx, other.signIn(t, "bo"), approval)
	if err != nil || person != who {
		t.Fatal(person, err)
	}
	c.exchange()
	for i, p := range c.nodes {
		if got := p.names(t); !slices.Equal(got, []string{"Omar"}) {
			t.Errorf("node %d shows %v", i, got)
		}
		if w, _ := p.Approvals(ctx, Operator()); len(w) != 0 {
			t.Errorf("node %d still waits: %+v", i, w)
		}
		e, err := p.ErasureOf(ctx, Operator(), who)
		if err != nil || !e.Trusted || e.Final || e.Over || e.Here || e.Left != EraseWait || len(e.Pending) != 2 || !slices.Equal(e.By, []string{"ana", "bo"}) {
			t.Errorf("node %d: %+v %v", i, e, err)
		}
		if !p.log.GoneOf(household).Erased || p.log.GoneOf(stays).Erased {
			t.Errorf("node %d: the household or somebody else", i)
		}
		if !p.CardErased([10]byte{9, 9}) || p.CardErased([10]byte{9, 8}) {
			t.Errorf("node %d: cards", i)
		}
	}
	if _, err := other.ConfirmErasure(ctx, other.signIn(t, "bo"), approval); !errors.Is(err, fault.New(fault.NotFound, "fault.staff.no_approval")) {
		t.Error("confirmed twice", err)
	}
	// One lead takes it back, and everything is there again.
	must(t, p.UndoErasure(ctx, p.signIn(t, "ana"), who))
	c.exchange()
	for i, p := range c.nodes {
		if got := p.names(t); !slices.Equal(got, []string{"Omar", "Rosa"}) || p.CardErased([10]byte{9, 9}) {
			t.Errorf("node %d shows %v", i, got)
		}
		if w, _ := p.Approvals(ctx, Operator()); len(w) != 0 {
			t.Errorf("node %d: a request that was carried out waits again", i)
		}
	}
	// And it can be asked for anew.
	approval = p.ask(t, p.signIn(t, "ana"), who)
	c.exchange()
	_, err = other.ConfirmErasure(ctx, other.signIn(t, "bo"), approval)
	must(t, err)
	c.exchange()
	oplogtest.Same(t, p.log, other.log)
	if got := p.names(t); !slices.Equal(got, []string{"Omar"}) {
		t.Error(got)
	}
}

// Who cannot be the second person, and who cannot be the first.
func TestOnePersonAloneErasesNobody(t *testing.T) {
	c := newCamp(t, 2)
	p, other := c.nodes[0], c.nodes[1]
	p.add(t, "ana", Lead)
	p.add(t, "reg", Registrar)
	ana := p.signIn(t, "ana")
	_, err := p.Add(ctx, ana.Actor, NewAccount{User: "made", Role: Coordinator, Passphrase: secret})
	must(t, err)
	other.add(t, "bo", Coordinator)
	other.add(t, "zed", Lead)
	who := p.person(t, "Rosa")
	refused := func(what string, err error, class fault.Class, key string) {
		t.Helper()
		if !errors.Is(err, fault.New(class, key)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = p.AskErasure(ctx, Session{Actor: Operator()}, wish(who))
	refused("the operator", err, fault.Denied, "fault.staff.own_hand")
	_, err = p.AskErasure(ctx, Session{Actor: Actor{ID: ID{7}, Role: Lead, Key: true}}, wish(who))
	refused("a key", err, fault.Denied, "fault.staff.own_hand")
	_, err = p.AskErasure(ctx, p.signIn(t, "reg"), wish(who))
	refused("a registrar", err, fault.Denied, "fault.staff.not_allowed")
	_, err = p.AskErasure(ctx, Session{}, wish(who))
	refused("nobody", err, fault.Unauthenticated, "fault.staff.sign_in")
	_, err = p.AskErasure(ctx, ana, ErasureRequest{Subjects: []oplog.ID{who}, Reason: "other"})
	refused("no reason", err, fault.Invalid, "fault.staff.erase_invalid")
	closed := p.signIn(t, "ana")
	p.SignOut(closed.Token)
	_, err = p.AskErasure(ctx, closed, wish(who))
	refused("a session that ended", err, fault.Denied, "fault.staff.own_hand")

	approval := p.ask(t, ana, who)
	_, err = p.ConfirmErasure(ctx, p.signIn(t, "ana"), approval)
	refused("the same person", err, fault.Denied, "fault.staff.erase_same")
	_, err = p.ConfirmErasure(ctx, p.signIn(t, "made"), approval)
	refused("an account the first one made", err, fault.Denied, "fault.staff.erase_made")
	_, err = p.ConfirmErasure(ctx, Session{Actor: Operator()}, approval)
	refused("the operator", err, fault.Denied, "fault.staff.own_hand")
	_, err = p.ConfirmErasure(ctx, p.signIn(t, "reg"), approval)
	refused("a registrar", err, fault.Denied, "fault.staff.not_allowed")
	c.exchange()
	c.known[0].Confirmed = false
	_, err = other.ConfirmErasure(ctx, other.signIn(t, "bo"), approval)
	refused("the first half of a node nobody compared", err, fault.Denied, "fault.staff.erase_stranger")
	c.known[0].Confirmed = true
	if got := other.names(t); len(got) != 1 {
		t.Fatal("somebody was erased", got)
	}
	must(t, other.DeclineErasure(ctx, other.signIn(t, "bo").Actor, approval))
	_, err = other.ConfirmErasure(ctx, other.signIn(t, "bo"), approval)
	refused("declined", err, fault.NotFound, "fault.staff.no_approval")

	c.exchange()
	approval = p.ask(t, ana, who)
	must(t, p.Disable(ctx, Operator(), "made"))
	c.exchange()
	_, err = other.ConfirmErasure(ctx, other.signIn(t, "bo"), approval)
	must(t, err)
	err = other.UndoErasure(ctx, other.signIn(t, "bo"), who)
	refused("a coordinator takes it back", err, fault.Denied, "fault.staff.not_allowed")
	err = other.FinishErasure(ctx, other.signIn(t, "zed"), who)
	refused("no issuer here", err, fault.Conflict, "fault.staff.no_issuer")
	err = other.UndoErasure(ctx, other.signIn(t, "zed"), oplog.NewID())
	refused("nobody was erased", err, fault.NotFound, "fault.staff.no_erasure")
}

// halves makes two signatures without asking any desk, as a node that lies would.
func halves(t testing.TB, p *place, users []string, st statement, deployment [16]byte) [2]signature {
	t.Helper()
	var out [2]signature
	for i, u := range users {
		sig, err := p.signature(p.signIn(t, u), st.message(deployment))
		must(t, err)
		out[i] = sig
	}
	return out
}

// What a fold must refuse, whoever writes it.
func TestForgedErasuresHideNobody(t *testing.T) {
	c := newCamp(t, 1)
	p := c.nodes[0]
	p.add(t, "ana", Lead)
	p.add(t, "bo", Lead)
	d := p.issuer.Deployment
	who, other := p.person(t, "Rosa"), p.person(t, "Omar")
	account := p.snapshot()[0].Subject
	st := statement{Nonce: [16]byte{1}, Subjects: []oplog.ID{who, account}}
	good := erased{Statement: st, By: halves(t, p, []string{"ana", "bo"}, st, d)}
	write := func(subject oplog.ID, k oplog.Kind, body any) {
		t.Helper()
		must(t, p.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
			_, err := tx.Append(k, subject, body)
			return err
		}))
	}
	change := func(f func(e *erased)) erased {
		e := good
		e.Statement.Subjects = slices.Clone(st.Subjects)
		f(&e)
		return e
	}
	for name, e := range map[string]erased{
		"one person twice":        change(func(e *erased) { e.By[1] = e.By[0] }),
		"another deployment":      {Statement: st, By: halves(t, p, []string{"ana", "bo"}, st, [16]byte{7})},
		"another nonce":           change(func(e *erased) { e.Statement.Nonce[0]++ }),
		"a card slipped in":       change(func(e *erased) { e.Statement.Cards = [][16]byte{{1}} }),
		"somebody slipped in":     change(func(e *erased) { e.Statement.Subjects[1] = other }),
		"another role":            change(func(e *erased) { e.By[1].Who.Role = Coordinator; e.By[1].Who.Sign = e.By[0].Who.Sign }),
		"one key, two accounts":   change(func(e *erased) { e.By[1] = e.By[0]; e.By[1].Who.Node = oplog.ID{9} }),
		"somebody else's account": change(func(e *erased) { e.By[1].Who.Sign = [32]byte{1} }),
	} {
		write(who, erasedKind, e)
		write(other, erasedKind, e)
		if got := p.names(t); len(got) != 2 {
			t.Fatalf("%s: %v is left", name, got)
		}
	}
	write(other, erasedKind, good) // not about them
	write(account, erasedKind, good)
	if got := p.names(t); len(got) != 2 || len(p.log.Gone()) != 0 {
		t.Fatalf("%v %+v: an account or somebody else was erased", got, p.log.Gone())
	}
	write(who, withdrawnKind, eraseWithdrawn{Nonce: st.Nonce, By: good.By[0]}) // signed for something else
	write(who, countersignedKind, eraseCountersigned{Nonce: st.Nonce, Word: []byte{1, 2, 3}})
	write(who, erasedKind, good)
	if got := p.names(t); !slices.Equal(got, []string{"Omar"}) {
		t.Error(got)
	}
	if p.log.GoneOf(who).Final {
		t.Error("a forged word of an issuer counts")
	}
	oplogtest.Same(t, p.log)
}

// The same facts in every order of the logs give the same views.
func TestErasuresInEveryOrderOfLogs(t *testing.T) {
	c := newCamp(t, 3)
	for i, u := range []string{"ana", "bo", "cy"} {
		c.nodes[i].add(t, u, Lead)
	}
	var logs []*oplog.Log
	for _, n := range c.nodes {
		logs = append(logs, n.log)
	}
	rosa, omar := c.nodes[0].person(t, "Rosa"), c.nodes[1].person(t, "Omar")
	a1 := c.nodes[0].ask(t, c.nodes[0].signIn(t, "ana"), rosa)
	c.exchange()
	a2 := c.nodes[2].ask(t, c.nodes[2].signIn(t, "cy"), omar)
	_, err := c.nodes[1].ConfirmErasure(ctx, c.nodes[1].signIn(t, "bo"), a1)
	must(t, err)
	_, err = c.nodes[2].ConfirmErasure(ctx, c.nodes[2].signIn(t, "cy"), a1) // both at once, apart from each other
	must(t, err)
	c.exchange()
	_, err = c.nodes[0].ConfirmErasure(ctx, c.nodes[0].signIn(t, "ana"), a2)
	must(t, err)
	c.exchange()
	must(t, c.nodes[1].UndoErasure(ctx, c.nodes[1].signIn(t, "bo"), omar))
	c.exchange()
	oplogtest.Same(t, logs...)
	if got := c.nodes[2].names(t); !slices.Equal(got, []string{"Omar"}) {
		t.Fatal(got)
	}
	want, err := logs[0].Check(ctx)
	must(t, err)
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		late := oplogtest.Node(t, c.auth.Peer(t), nil, append(Views(), peopleView))
		heads := logs[0].Heads()
		for _, i := range order {
			raw, _, err := logs[0].Range(heads[i].Log, 0, 0, 0)
			must(t, err)
			_, err = late.Merge(ctx, raw)
			must(t, err)
		}
		if r, err := late.Check(ctx); err != nil || r.Views != want.Views || !r.Sound {
			t.Errorf("order %v: views %.8s instead of %.8s, %v %v", order, r.Views, want.Views, r.Problems, err)
		}
	}
}

// destroyed runs the keeper of a node once, as the loop does each minute.
func (p *place) destroyed(t testing.TB, who oplog.ID) bool {
	t.Helper()
	p.eraseDue(ctx)
	g := p.log.GoneOf(who)
	return g.Kept == 0 && g.Bare > 0
}

func TestPayloadsGoAfterThreeDaysOfRunning(t *testing.T) {
	c := newCamp(t, 2)
	p, other := c.nodes[0], c.nodes[1]
	p.add(t, "ana", Lead)
	p.add(t, "bo", Lead)
	who := p.person(t, "Rosa")
	c.exchange()
	_, err := p.ConfirmErasure(ctx, p.signIn(t, "bo"), p.ask(t, p.signIn(t, "ana"), who))
	must(t, err)
	c.exchange()
	var called []oplog.ID
	p.OnErased(func(subjects []oplog.ID) { called = append(called, subjects...) })
	p.clock.Advance(1000 * time.Hour) // the clock says nothing
	if p.destroyed(t, who) || other.destroyed(t, who) {
		t.Fatal("destroyed at once")
	}
	p.keeper.ran(EraseWait - time.Minute)
	p.keeper.save(true)
	if p.destroyed(t, who) || len(called) > 0 {
		t.Fatal("destroyed too early")
	}
	c.open(0, p.issuer.Deployment) // what it has run is remembered
	p.OnErased(func(subjects []oplog.ID) { called = append(called, subjects...) })
	if e, _ := p.ErasureOf(ctx, Operator(), who); e.Left != time.Minute || e.Here {
		t.Errorf("%+v", e)
	}
	p.keeper.ran(time.Minute)
	if !p.destroyed(t, who) || !slices.Equal(called, []oplog.ID{who}) {
		t.Fatalf("not destroyed: %+v, told %v", p.log.GoneOf(who), called)
	}
	p.eraseDue(ctx)
	p.eraseDue(ctx) // says it once
	c.exchange()
	for i, n := range c.nodes {
		e, err := n.ErasureOf(ctx, Operator(), who)
		if err != nil || !slices.Equal(e.DoneAt, []oplog.ID{p.node}) || !slices.Equal(e.Pending, []oplog.ID{other.node}) || e.Here != (i == 0) {
			t.Errorf("node %d: %+v %v", i, e, err)
		}
		k, err := n.Counts(ctx)
		if want := [2]ErasureCounts{{Pending: 1}, {Hidden: 1}}[i]; err != nil || k != want {
			t.Errorf("node %d: %+v %v", i, k, err)
		}
	}
	if err := other.UndoErasure(ctx, Session{Actor: Operator()}, who); !errors.Is(err, fault.New(fault.Gone, "fault.staff.erase_final")) {
		t.Error("taken back when it is destroyed somewhere:", err)
	}
	other.keeper.ran(EraseWait)
	if !other.destroyed(t, who) {
		t.Fatal("the other node destroys nothing")
	}
	c.exchange()
	if k, _ := p.Counts(ctx); k != (ErasureCounts{Done: 1}) {
		t.Errorf("%+v", k)
	}
	oplogtest.Same(t, p.log, other.log)
	done := 0
	must(t, p.log.View(func(r oplog.Reader) error {
		ops, err := r.Ops(who)
		for _, op := range ops {
			if oplog.Body[eraseDone](op) != nil {
				done++
			}
		}
		return err
	}))
	if done != 2 {
		t.Errorf("said %d times", done)
	}
}

// A file that is lost, or put back from before, makes the wait longer and never shorter.
func TestTheWaitIsNeverShorter(t *testing.T) {
	c := newCamp(t, 1)
	p := c.nodes[0]
	p.add(t, "ana", Lead)
	p.add(t, "bo", Lead)
	who := p.person(t, "Rosa")
	_, err := p.ConfirmErasure(ctx, p.signIn(t, "bo"), p.ask(t, p.signIn(t, "ana"), who))
	must(t, err)
	p.keeper.ran(71 * time.Hour)
	p.keeper.save(true)
	for _, name := range []string{"erasures", "erasures.2"} {
		must(t, os.WriteFile(filepath.Join(p.dir, name), []byte("scrambled"), 0o600))
	}
	c.open(0, p.issuer.Deployment)
	p.keeper.ran(2 * time.Hour)
	if p.destroyed(t, who) {
		t.Fatal("a lost file made it shorter")
	}
	if e, _ := p.ErasureOf(ctx, Operator(), who); e.Left < 70*time.Hour {
		t.Errorf("%v left", e.Left)
	}
}

// One stolen box must not empty a camp: what comes above its cap hides, and destroys
// nothing; nor does anything of a box nobody compared.
func TestTheCapAndTheStranger(t *testing.T) {
	c := newCamp(t, 3)
	p, victim, stranger := c.nodes[0], c.nodes[1], c.nodes[2]
	for _, n := range []*place{p, stranger} {
		n.add(t, "ana", Lead)
		n.add(t, "bo", Lead)
	}
	c.known[2].Confirmed = false
	var people []oplog.ID
	for i := range EraseCap + 1 {
		people = append(people, victim.person(t, fmt.Sprint("person ", i)))
	}
	last := victim.person(t, "of the stranger")
	c.exchange()
	ana, bo := p.signIn(t, "ana"), p.signIn(t, "bo")
	for i, who := range people {
		_, err := p.ConfirmErasure(ctx, bo, p.ask(t, ana, who))
		if want := i >= EraseCap; want != errors.Is(err, fault.New(fault.Busy, "fault.staff.erase_cap")) || !want && err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	// A box that does not keep to the cap writes all the same.
	st := statement{Nonce: [16]byte{1}, Subjects: []oplog.ID{people[EraseCap]}}
	must(t, p.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(erasedKind, people[EraseCap], erased{Statement: st, By: halves(t, p, []string{"ana", "bo"}, st, p.issuer.Deployment)})
		return err
	}))
	_, err := stranger.ConfirmErasure(ctx, stranger.signIn(t, "bo"), stranger.ask(t, stranger.signIn(t, "ana"), last))
	must(t, err)
	c.exchange()
	if got := victim.names(t); len(got) != 0 {
		t.Error("hidden at once everywhere, but there is", got)
	}
	victim.eraseDue(ctx)
	victim.keeper.ran(EraseWait)
	victim.eraseDue(ctx)
	kept := 0
	for _, g := range victim.log.Gone() {
		if g.Kept > 0 {
			kept++
		}
	}
	if kept != 2 || victim.log.GoneOf(last).Kept != 2 {
		t.Errorf("%d people are kept; want one above the cap and the stranger's", kept)
	}
	k, err := victim.Counts(ctx)
	if err != nil || k.Hidden != 2 || k.Signing != 2 || k.Pending != EraseCap {
		t.Errorf("%+v %v", k, err)
	}
	// A lead takes it back, at a box that trusts itself.
	victim.add(t, "lead", Lead)
	must(t, victim.UndoErasure(ctx, victim.signIn(t, "lead"), last))
	if got := victim.names(t); !slices.Equal(got, []string{"of the stranger"}) {
		t.Error(got)
	}
	// Next day the box may erase again.
	p.keeper.ran(EraseCapTime)
	if p.keeper.spent(p.Desk) {
		t.Error("the cap lasts longer than a day of running")
	}
}

// What a node has destroyed it destroys again when an old copy brings it back.
func TestWhatWasDestroyedIsDestroyedAgain(t *testing.T) {
	c := newCamp(t, 2)
	p, other := c.nodes[0], c.nodes[1]
	p.add(t, "ana", Lead)
	p.add(t, "bo", Lead)
	who := p.person(t, "Rosa")
	c.exchange()
	_, err := p.ConfirmErasure(ctx, p.signIn(t, "bo"), p.ask(t, p.signIn(t, "ana"), who))
	must(t, err)
	c.exchange()
	other.eraseDue(ctx)
	other.keeper.ran(EraseWait)
	if !other.destroyed(t, who) {
		t.Fatal("not destroyed")
	}
	// A fact about the person that arrives now is taken without its payload.
	must(t, p.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(seenKind, who, seenPerson{Name: "Rosa again"})
		return err
	}))
	c.exchange()
	if g := other.log.GoneOf(who); g.Kept != 0 || g.Bare != 3 {
		t.Errorf("%+v", g)
	}
	// One that the node writes itself is destroyed at the next look.
	must(t, other.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(seenKind, who, seenPerson{Name: "Rosa once more"})
		return err
	}))
	if other.log.GoneOf(who).Kept != 1 || !other.destroyed(t, who) {
		t.Errorf("%+v", other.log.GoneOf(who))
	}
}

// The loop: it looks every minute of running, and ends when it is told.
func TestTheKeeperRuns(t *testing.T) {
	c := newCamp(t, 1)
	p := c.nodes[0]
	p.add(t, "ana", Lead)
	p.add(t, "bo", Lead)
	who := p.person(t, "Rosa")
	_, err := p.ConfirmErasure(ctx, p.signIn(t, "bo"), p.ask(t, p.signIn(t, "ana"), who))
	must(t, err)
	p.keeper.ran(EraseWait - 2*time.Minute)
	done := make(chan []oplog.ID, 1)
	p.OnErased(func(subjects []oplog.ID) { done <- subjects })
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { p.RunErasures(running, nil); close(ended) }()
	for {
		p.clock.Advance(keepStep)
		select {
		case got := <-done:
			if !slices.Equal(got, []oplog.ID{who}) {
				t.Error(got)
			}
			stop()
			<-ended
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}
