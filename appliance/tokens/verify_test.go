package tokens

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"slices"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
)

func TestVerdicts(t *testing.T) {
	op := newOperation(1)
	s := newStation(t, op, 1)
	person := s.arrive()
	card := s.issue(t, person)
	nodeKey := func(n byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32)) }
	op.certify(3, nodeKey(3), identity.CapTokens)
	op.certify(4, nodeKey(4), 0)
	op.certify(6, nodeKey(6), identity.CapTokens)
	op.unproved[6] = true
	elsewhere := newOperation(2)

	stranger := Token{Kind: Individual, Node: 3, Holder: [10]byte{5}, Expiry: card.Token.Expiry}
	late := card.Token
	late.Expiry -= 400
	bent := card.Token
	bent.Sig[10] ^= 4
	newer := card.Token
	newer.Generation = 9
	for name, c := range map[string]struct {
		text    string
		verdict Verdict
		reason  string
		person  bool
	}{
		"genuine":                        {card.Text, Genuine, reasonGenuine, true},
		"genuine, nobody we know":        {signedBy(nodeKey(3), op.id, stranger).String(), Genuine, reasonUnknownPerson, false},
		"newer than this node has heard": {signedBy(s.key, op.id, newer).String(), Genuine, reasonGenuine, true},
		"expired":                        {signedBy(s.key, op.id, late).String(), Expired, reasonExpired, true},
		"a node nobody knows":            {signedBy(nodeKey(5), op.id, Token{Kind: Individual, Node: 5}).String(), UnknownIssuer, reasonUnknownIssuer, false},
		"a node that may not issue":      {signedBy(nodeKey(4), op.id, Token{Kind: Individual, Node: 4}).String(), UnknownIssuer, reasonMayNotIssue, false},
		"a node nobody compared":         {signedBy(nodeKey(6), op.id, Token{Kind: Individual, Node: 6, Expiry: card.Token.Expiry}).String(), UnknownIssuer, reasonNotCompared, false},
		"in its name by somebody else":   {signedBy(nodeKey(3), op.id, Token{Kind: Individual, Node: 6}).String(), NotOurs, reasonNotOurs, false},
		"node 1 of another operation":    {signedBy(nodeKey(1), elsewhere.id, stranger1(card.Token)).String(), NotOurs, reasonNotOurs, false},
		"another key as node 1":          {signedBy(nodeKey(9), op.id, card.Token).String(), NotOurs, reasonNotOurs, false},
		"a damaged one":                  {bent.String(), NotOurs, reasonNotOurs, false},
		"not signed":                     {Token{Version: 1, Kind: Individual, Node: 1}.String(), NotOurs, reasonNotOurs, false},
		"cut off":                        {card.Text[:100], Malformed, reasonMalformed, false},
		"a shopping list":                {"bread, milk", Malformed, reasonMalformed, false},
		"nothing":                        {"", Malformed, reasonMalformed, false},
		"of a later release":             {"WP2:" + card.Text[4:], Malformed, reasonNewerCard, false},
	} {
		r := s.verify(t, c.text)
		if r.Verdict != c.verdict || r.Reason != c.reason || (r.Person != nil) != c.person || (r.Person != nil && *r.Person != person) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func stranger1(t Token) Token {
	t.Holder[0]++
	return t
}

func TestOldAndLateIsOld(t *testing.T) {
	s := newStation(t, newOperation(1), 1)
	person := s.arrive()
	old := s.issue(t, person)
	s.time.Advance(200 * day)
	s.issue(t, person)
	s.time.Advance(200 * day)
	if r := s.verify(t, old.Text); r.Verdict != Superseded {
		t.Errorf("whoever holds the old one of two is not sent to renew it: %+v", r)
	}
}

func TestLastDayCountsAndUnsureClocksSaySo(t *testing.T) {
	s := newStation(t, newOperation(1), 1)
	card := s.issue(t, s.arrive())
	s.time.Set(card.Expires.Add(day - time.Second))
	if r := s.verify(t, card.Text); r.Verdict != Genuine {
		t.Errorf("in the last second: %+v", r)
	}
	s.time.Advance(time.Second)
	if r := s.verify(t, card.Text); r.Verdict != Expired || r.Reason != reasonExpired || r.Person == nil {
		t.Errorf("a second later: %+v", r)
	}
	s.time.SetSure(false)
	if r := s.verify(t, card.Text); r.Verdict != Expired || r.Reason != reasonExpiredUnsure {
		t.Errorf("by a clock nobody set: %+v", r)
	}
}

// TestTheCardIsHereBeforeThePerson: facts of two nodes arrive in any order.
func TestTheCardIsHereBeforeThePerson(t *testing.T) {
	s := newStation(t, newOperation(1), 1)
	person := s.arrive()
	card := s.issue(t, person)
	delete(s.people, person)
	if r := s.verify(t, card.Text); r.Verdict != Genuine || r.Reason != reasonUnknownPerson || r.Person != nil {
		t.Errorf("%+v", r)
	}
}

func TestVerifyWithARootSheet(t *testing.T) {
	now := clock.NewFake(today)
	started := func(name string) (*identity.Vault, Trust) {
		v, sheet, err := identity.Start(t.TempDir(), now, identity.StartOptions{
			Deployment: name, Site: "Gate", Passphrase: []byte("five generated words here"), Cost: identity.TestCost(),
		})
		if err != nil {
			t.Fatal(err)
		}
		return v, Trust{Root: sheet.Root, Nodes: sheet.Nodes}
	}
	vault, sheet := started("Relief")
	other, foreign := started("Other")
	n, _ := expiryDay(today)
	tok := Token{Kind: Household, Node: vault.Cert().Number, Holder: [10]byte{1}, Expiry: n}
	card := Sign(tok, vault.Deployment(), vault.SignToken).String()
	if r := VerifyWith(card, sheet, now); r.Verdict != Genuine || r.Reason != reasonOffline || r.Kind != Household || r.Person != nil {
		t.Errorf("%+v", r)
	}
	theirs := Sign(tok, other.Deployment(), other.SignToken).String()
	forged := slices.Concat(foreign.Nodes, sheet.Nodes)
	for name, c := range map[string]struct {
		text  string
		sheet Trust
		want  Verdict
	}{
		"no certificates":               {card, Trust{Root: sheet.Root}, UnknownIssuer},
		"certificate of another root":   {theirs, Trust{Root: sheet.Root, Nodes: foreign.Nodes}, UnknownIssuer},
		"a forged one before the right": {card, Trust{Root: sheet.Root, Nodes: forged}, Genuine},
		"another operation's card":      {theirs, sheet, NotOurs},
		"an empty sheet":                {card, Trust{}, UnknownIssuer},
		"no card":                       {"hello", sheet, Malformed},
	} {
		if r := VerifyWith(c.text, c.sheet, now); r.Verdict != c.want {
			t.Errorf("%s: %+v", name, r)
		}
	}
	now.Advance(2 * day)
	if r := VerifyWith(card, sheet, now); r.Verdict != Expired {
		t.Errorf("%+v", r)
	}
}

func BenchmarkVerifyDesk(b *testing.B) {
	s := newStation(b, newOperation(1), 1)
	var cards []Card
	for range 1000 {
		cards = append(cards, s.issue(b, s.arrive()))
	}
	actor := actorOf(staff.Distributor)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		i++
		if r, err := s.Verify(context.Background(), actor, cards[i%len(cards)].Text); err != nil || r.Verdict != Genuine {
			b.Fatal(r, err)
		}
	}
}
