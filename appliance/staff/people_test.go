package staff

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// words are five of the list.
var fiveWords = []byte("harbor anchor basket candle eagle")

func TestNarrowRolesHaveGeneratedWords(t *testing.T) {
	p := openPlace(t)
	for _, c := range []struct {
		role  Role
		words string
		taken bool
	}{
		{Caseworker, "five words make it long", false}, {Medical, "harbor anchor basket candle", false}, {Tracing, "harbor harbor basket candle eagle", false},
		{Tracing, "harbor anchor basket candle xyzzy", false}, {Caseworker, "Harbor anchor  basket candle eagle", true}, {Registrar, "eight or more", true},
	} {
		_, err := p.Add(ctx, Operator(), NewAccount{User: string(c.role) + c.words[:2] + c.words[len(c.words)-2:], Role: c.role, Passphrase: []byte(c.words)})
		if (err == nil) != c.taken || err != nil && fault.Of(err).Key != "fault.staff.words_needed" {
			t.Errorf("%s %q: %v", c.role, c.words, err)
		}
	}
	made, err := GeneratePassphrase()
	must(t, err)
	must(t, CheckWords(Medical, []byte(strings.Join(made, " "))))
}

func TestWhatAnAccountIsGiven(t *testing.T) {
	p := openPlace(t)
	add := func(user string, given []Narrow) (Account, error) {
		return p.Add(ctx, Operator(), NewAccount{User: user, Role: Caseworker, Passphrase: fiveWords, Narrow: given})
	}
	for user, c := range map[string]struct{ given, want []Narrow }{
		"all": {nil, []Narrow{NarrowProtection, NarrowChild}}, "none": {[]Narrow{}, nil}, "one": {[]Narrow{NarrowChild}, []Narrow{NarrowChild}},
	} {
		a, err := add(user, c.given)
		must(t, err)
		p.reopen(t)
		s, err := p.SignIn(ctx, user, fiveWords)
		must(t, err)
		if !slices.Equal(s.Actor.Opened(), c.want) || !slices.Equal(a.Narrow, c.want) {
			t.Errorf("%s: opens %v", user, s.Actor.Opened())
		}
	}
	_, err := add("more", []Narrow{NarrowMedical})
	wantFault(t, err, fault.Invalid, "fault.staff.bad_narrow")
}

// TestOnePersonAtTwoPosts: somebody who works at two posts is one person, however many
// accounts they have, and whoever made one of them is no second person for any.
func TestOnePersonAtTwoPosts(t *testing.T) {
	c := newCamp(t, 2)
	here, there := c.nodes[0], c.nodes[1]
	first := worker(t, here, "amina", Lead)
	boss := worker(t, there, "bo", Lead)
	c.exchange()
	known, err := there.Colleagues(ctx, boss.Actor)
	if err != nil || len(known) != 1 || known[0].User != "amina" || known[0].Role != Lead {
		t.Fatalf("%+v %v", known, err)
	}
	_, err = there.Add(ctx, boss.Actor, NewAccount{User: "x", Role: Lead, Passphrase: secret, Person: oplog.ID{9}})
	wantFault(t, err, fault.NotFound, "fault.staff.no_colleague")
	_, err = there.Add(ctx, boss.Actor, NewAccount{User: "amina", Role: Lead, Passphrase: secret, Person: known[0].Person})
	must(t, err)
	second, err := there.SignIn(ctx, "amina", secret)
	must(t, err)
	if known, _ := there.Colleagues(ctx, boss.Actor); len(known) != 0 {
		t.Errorf("offered again: %+v", known)
	}
	c.exchange()
	act := Act{Purpose: "revoke-node", Action: RevokeNodes, Body: []byte("node 7")}
	hand := func(p *place, s Session) Hand {
		sig, err := p.signature(s, act.message(p.issuer.Deployment))
		must(t, err)
		return encode(sig)
	}
	if err := here.CheckHands(act, hand(here, first), hand(there, second)); !errors.Is(err, fault.New(fault.Denied, "fault.staff.act_same")) {
		t.Errorf("one person twice: %v", err)
	}
	if err := here.CheckHands(act, hand(there, boss), hand(there, second)); !errors.Is(err, fault.New(fault.Denied, "fault.staff.act_made")) {
		t.Errorf("who made it: %v", err)
	}
	must(t, here.CheckHands(act, hand(here, first), hand(there, boss)))
	// Through another account of the same person: amina there makes a puppet, amina here signs with it.
	_, err = there.Add(ctx, second.Actor, NewAccount{User: "puppet", Role: Lead, Passphrase: secret})
	must(t, err)
	puppet, err := there.SignIn(ctx, "puppet", secret)
	must(t, err)
	c.exchange()
	if err := here.CheckHands(act, hand(here, first), hand(there, puppet)); !errors.Is(err, fault.New(fault.Denied, "fault.staff.act_made")) {
		t.Errorf("a puppet made at another post: %v", err)
	}
	// An erasure that one person signed twice hides nobody.
	st := statement{Nonce: [16]byte{1}, Subjects: []oplog.ID{{5}}}
	one, err := here.signature(first, st.message(here.issuer.Deployment))
	must(t, err)
	two, err := there.signature(second, st.message(here.issuer.Deployment))
	must(t, err)
	if (&erased{Statement: st, By: [2]signature{one, two}}).valid(here.issuer.Deployment, st.Subjects[0]) {
		t.Error("one person erases alone")
	}
}

func TestAResetMakesAnotherAccountOfTheSamePerson(t *testing.T) {
	c := newCamp(t, 1)
	p := c.nodes[0]
	lead, other := worker(t, p, "amina", Lead), worker(t, p, "sami", Lead)
	old := worker(t, p, "bo", Lead)
	must(t, p.Undertake(ctx, old))
	_, err := p.Reset(ctx, lead.Actor, "amina", []byte("another passphrase"))
	wantFault(t, err, fault.Conflict, "fault.staff.reset_self")
	_, err = p.Reset(ctx, lead.Actor, "nobody", []byte("another passphrase"))
	wantFault(t, err, fault.NotFound, "fault.staff.no_such_user")
	made, err := p.Reset(ctx, lead.Actor, "bo", []byte("another passphrase"))
	must(t, err)
	if _, ok := p.Session(old.Token); ok || made.ID == old.Actor.ID || made.ResetBy != lead.Actor.ID {
		t.Fatalf("%+v", made)
	}
	for range 2 {
		_, err = p.SignIn(ctx, "bo", secret)
		wantFault(t, err, fault.Denied, "fault.staff.wrong_sign_in")
		s, err := p.SignIn(ctx, "bo", []byte("another passphrase"))
		must(t, err)
		if s.Actor.ID != made.ID || s.Undertaken {
			t.Fatalf("%+v", s.Actor)
		}
		if list, err := p.List(ctx, lead.Actor); err != nil || len(list) != 3 {
			t.Fatal(list, err)
		}
		if p.NameOf(old.Actor.ID) != "bo" {
			t.Error("what the old account wrote has no name")
		}
		act := Act{Purpose: "x", Action: RevokeNodes, Body: []byte{1}}
		for with, want := range map[ID]string{lead.Actor.ID: "fault.staff.act_made", other.Actor.ID: ""} {
			asker := map[ID]Session{lead.Actor.ID: lead, other.Actor.ID: other}[with]
			id, _ := askAndTell(t, p, asker, act)
			err := p.ConfirmAct(ctx, s, id)
			if want == "" && err != nil || want != "" && fault.Of(err).Key != want {
				t.Errorf("with whoever reset it %v: %v", want != "", err)
			}
			_ = p.DeclineAct(asker.Actor, id)
		}
		c.open(0, c.auth.Deployment())
		lead, other = again(t, p, "amina"), again(t, p, "sami")
	}
	must(t, p.Disable(ctx, lead.Actor, "bo"))
	_, err = p.Reset(ctx, lead.Actor, "bo", []byte("another passphrase"))
	wantFault(t, err, fault.Conflict, "fault.staff.disabled")
}

func again(t *testing.T, p *place, user string) Session {
	t.Helper()
	s, err := p.SignIn(ctx, user, secret)
	must(t, err)
	return s
}

func TestSomebodyChangesTheirOwnPassphrase(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	s, other := p.signIn(t, "mina"), p.signIn(t, "mina")
	before := p.snapshot()[0]
	wantFault(t, p.ChangePassphrase(ctx, s, []byte("a guess"), []byte("another passphrase")), fault.Denied, "fault.staff.wrong_sign_in")
	wantFault(t, p.ChangePassphrase(ctx, s, secret, []byte("short")), fault.Invalid, "fault.staff.short_passphrase")
	must(t, p.ChangePassphrase(ctx, s, secret, []byte("another passphrase")))
	if _, ok := p.Session(s.Token); !ok {
		t.Fatal("the one that changed it goes on")
	}
	if _, ok := p.Session(other.Token); ok {
		t.Fatal("another one goes on")
	}
	p.reopen(t)
	_, err := p.SignIn(ctx, "mina", secret)
	wantFault(t, err, fault.Denied, "fault.staff.wrong_sign_in")
	now, err := p.SignIn(ctx, "mina", []byte("another passphrase"))
	must(t, err)
	after := p.snapshot()[0]
	if now.Actor.ID != s.Actor.ID || before.Sign != after.Sign || before.Seal != after.Seal || before.Salt == after.Salt || before.Nonce == after.Nonce {
		t.Fatal("other keys, or the same salt")
	}
}

func TestTheUndertaking(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	p.add(t, "omar", Registrar)
	mina, omar := p.signIn(t, "mina"), p.signIn(t, "omar")
	if mina.Undertaken {
		t.Fatal("nobody signed anything")
	}
	must(t, p.Undertake(ctx, mina))
	must(t, p.Undertake(ctx, mina))
	if s, _ := p.Session(mina.Token); !s.Undertaken {
		t.Fatal("the session does not know")
	}
	for _, key := range []Session{{Actor: Operator()}, {Actor: Actor{ID: mina.Actor.ID, Key: true}}, {}} {
		wantFault(t, p.Undertake(ctx, key), fault.Denied, "fault.staff.own_hand")
	}
	day := p.clock.Now().Add(-48 * time.Hour)
	wantFault(t, p.UndertakenOnPaper(ctx, omar.Actor, "mina", day), fault.Denied, "fault.staff.not_allowed")
	wantFault(t, p.UndertakenOnPaper(ctx, mina.Actor, "mina", day), fault.Conflict, "fault.staff.paper_self")
	wantFault(t, p.UndertakenOnPaper(ctx, mina.Actor, "omar", time.Time{}), fault.Invalid, "fault.staff.paper_date")
	must(t, p.UndertakenOnPaper(ctx, mina.Actor, "omar", day))
	if s, _ := p.Session(omar.Token); !s.Undertaken {
		t.Fatal("their session does not know")
	}
	p.reopen(t)
	list, err := p.List(ctx, Operator())
	must(t, err)
	if !list[0].Promise.Undertaken() || list[0].Promise.Paper || !list[1].Promise.Paper || !list[1].Promise.At.Equal(day.Truncate(time.Second)) {
		t.Fatalf("%+v", list)
	}
	if s := p.signIn(t, "omar"); !s.Undertaken {
		t.Fatal("asked again")
	}
}
