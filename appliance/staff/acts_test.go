package staff

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// worker is somebody with an account, signed in.
func worker(t *testing.T, p *place, user string, r Role) Session {
	t.Helper()
	p.add(t, user, r)
	return p.signIn(t, user)
}

// askAndTell asks for an act; told is what was done with it.
func askAndTell(t *testing.T, p *place, asker Session, a Act) (id oplog.ID, told *[2]Hand) {
	t.Helper()
	told = &[2]Hand{}
	got, err := p.AskAct(asker, a, func(_ context.Context, _ ID, first, second Hand) error {
		*told = [2]Hand{first, second}
		return nil
	})
	must(t, err)
	return got, told
}

func TestTwoPeopleAgreeToAnAct(t *testing.T) {
	c := newCamp(t, 2)
	p := c.nodes[0]
	lead, second := worker(t, p, "amina", Lead), worker(t, p, "sami", Coordinator)
	registrar := worker(t, p, "noor", Registrar)
	a := Act{Purpose: "revoke-node", Action: RevokeNodes, Body: []byte("node 7"), Key: "x"}

	if _, err := p.AskAct(registrar, a, nil); fault.ClassOf(err) != fault.Denied {
		t.Fatalf("a registrar asks: %v", err)
	}
	id, told := askAndTell(t, p, lead, a)
	again, _ := askAndTell(t, p, lead, a)
	if again != id || len(p.Acts(second.Actor)) != 1 || len(p.Acts(registrar.Actor)) != 0 {
		t.Fatalf("asked twice: %v %v, %v", id, again, p.Acts(second.Actor))
	}
	for name, who := range map[string]Session{"alone": lead, "a registrar": registrar} {
		if err := p.ConfirmAct(ctx, who, id); err == nil || told[0] != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	must(t, p.ConfirmAct(ctx, second, id))
	if told[0].Signer() != lead.Actor.ID || told[1].Signer() != second.Actor.ID {
		t.Fatalf("signed by %v and %v", told[0].Signer(), told[1].Signer())
	}
	if err := p.ConfirmAct(ctx, second, id); !errors.Is(err, fault.New(fault.NotFound, "fault.staff.no_act")) {
		t.Fatalf("done twice: %v", err)
	}
	// The hands count at the other node, which knows nothing but the facts.
	c.exchange()
	must(t, c.nodes[1].CheckHands(a, told[0], told[1]))
	for name, b := range map[string]Act{
		"another body":    {Purpose: a.Purpose, Action: a.Action, Body: []byte("node 8")},
		"another purpose": {Purpose: "break-glass", Action: a.Action, Body: a.Body},
	} {
		if err := c.nodes[1].CheckHands(b, told[0], told[1]); err == nil {
			t.Errorf("the hands fit %s", name)
		}
	}
	if err := c.nodes[1].CheckHands(a, told[0], told[0]); err == nil {
		t.Error("one hand twice is two people")
	}
	c.known[0].Confirmed = false
	if err := c.nodes[1].CheckHands(a, told[0], told[1]); !errors.Is(err, fault.New(fault.Denied, "fault.staff.act_stranger")) {
		t.Errorf("of a node nobody compared: %v", err)
	}
}

// One person asks for so much and no more: others still ask for a second person.
func TestNobodyFillsTheListOfActsAlone(t *testing.T) {
	c := newCamp(t, 2)
	p := c.nodes[0]
	eager, lead := worker(t, p, "mina", Caseworker), worker(t, p, "amina", Lead)
	var last error
	for i := range maxActs {
		_, last = p.AskAct(eager, Act{Purpose: "erase-file", Action: SignForFiles, Body: []byte{byte(i)}}, nil)
	}
	if fault.ClassOf(last) != fault.Busy {
		t.Errorf("asked for %d: %v", maxActs, last)
	}
	if _, err := p.AskAct(lead, Act{Purpose: "revoke-node", Action: RevokeNodes}, nil); err != nil {
		t.Error(err)
	}
}

func TestNobodyMakesTheirOwnSecondPerson(t *testing.T) {
	c := newCamp(t, 1)
	p := c.nodes[0]
	lead := worker(t, p, "amina", Lead)
	_, err := p.Add(ctx, lead.Actor, NewAccount{User: "puppet", Role: Lead, Passphrase: []byte("puppet words")})
	must(t, err)
	puppet, err := p.SignIn(ctx, "puppet", []byte("puppet words"))
	must(t, err)
	id, told := askAndTell(t, p, lead, Act{Purpose: "revoke-node", Action: RevokeNodes, Body: []byte("node 7")})
	if err := p.ConfirmAct(ctx, puppet, id); !errors.Is(err, fault.New(fault.Denied, "fault.staff.act_made")) || told[0] != nil {
		t.Fatalf("the account they made agrees: %v", err)
	}
}

// Where one person's word may be enough, it is enough only while nobody else could agree.
func TestWhoIsAlone(t *testing.T) {
	c := newCamp(t, 2)
	p := c.nodes[0]
	lead := worker(t, p, "amina", Lead)
	alone := func(a Actor, want bool) {
		t.Helper()
		if got, err := p.Alone(a, RevokeNodes); err != nil || got != want {
			t.Fatalf("alone: %v %v", got, err)
		}
	}
	alone(lead.Actor, true)
	worker(t, p, "noor", Registrar)
	_, err := p.Add(ctx, lead.Actor, NewAccount{User: "puppet", Role: Lead, Passphrase: []byte("puppet words")})
	must(t, err)
	alone(lead.Actor, true) // neither could agree
	alone(Operator(), false)
	alone(Actor{}, false)
	worker(t, p, "sami", Coordinator)
	alone(lead.Actor, false)
	must(t, p.Disable(ctx, Operator(), "sami"))
	alone(lead.Actor, true)
}

func TestAnActThatFailsWaitsOnAndEndsWithItsTime(t *testing.T) {
	c := newCamp(t, 1)
	p := c.nodes[0]
	lead, second := worker(t, p, "amina", Lead), worker(t, p, "sami", Lead)
	fail := errors.New("no room")
	id, err := p.AskAct(lead, Act{Purpose: "x", Action: RevokeNodes}, func(context.Context, ID, Hand, Hand) error { return fail })
	must(t, err)
	if err := p.ConfirmAct(ctx, second, id); !errors.Is(err, fail) {
		t.Fatal(err)
	}
	if len(p.Acts(second.Actor)) != 1 {
		t.Fatal("what could not be done is off the list")
	}
	must(t, p.DeclineAct(second.Actor, id))
	id, _ = askAndTell(t, p, lead, Act{Purpose: "x", Action: RevokeNodes})
	p.clock.Advance(actLife + time.Second)
	if len(p.Acts(second.Actor)) != 0 {
		t.Fatal("still waiting after its time")
	}
	if err := p.DeclineAct(second.Actor, id); fault.ClassOf(err) != fault.NotFound {
		t.Fatal(err)
	}
}

// A node that was shut out, or an account that ended, is nobody's second person from then
// on; what they agreed to before stays agreed to.
func TestASecondPersonOfALostNode(t *testing.T) {
	c := newCamp(t, 2)
	p, q := c.nodes[0], c.nodes[1]
	lead, second := worker(t, p, "amina", Lead), worker(t, p, "sami", Lead)
	a := Act{Purpose: "break-glass", Action: BreakGlass, Body: []byte("file 7")}
	id, told := askAndTell(t, p, lead, a)
	must(t, p.ConfirmAct(ctx, second, id))
	c.exchange()

	person := q.person(t, "Amina")
	approval := p.ask(t, lead, person)
	c.exchange()
	there := worker(t, q, "noor", Lead)
	for _, s := range []identity.Standing{identity.StandingSuspended, identity.StandingRevoked} {
		c.known[0].Standing = s
		if _, err := q.ConfirmErasure(ctx, there, approval); !errors.Is(err, fault.New(fault.Denied, "fault.staff.erase_stranger")) {
			t.Fatalf("%v: a lead of a lost node is a second person: %v", s, err)
		}
		must(t, q.CheckHands(a, told[0], told[1]))
	}
	c.known[0].Standing = identity.StandingGood

	// Whoever asked was sent away before the other agreed.
	id, told2 := askAndTell(t, p, lead, Act{Purpose: "revoke-node", Action: RevokeNodes, Body: []byte("node 7")})
	must(t, p.Disable(ctx, second.Actor, "amina"))
	if err := p.ConfirmAct(ctx, second, id); !errors.Is(err, fault.New(fault.Denied, "fault.staff.act_stranger")) || told2[0] != nil {
		t.Fatalf("somebody who was sent away is one of the two: %v", err)
	}
	must(t, p.CheckHands(a, told[0], told[1])) // and what they opened stays on the list
}

func FuzzHand(f *testing.F) {
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := parseHand(b)
		if ok && !slices.Equal(encode(s), b) {
			t.Fatal("two spellings")
		}
	})
}
