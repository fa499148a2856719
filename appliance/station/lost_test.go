package station_test

import (
	"testing"

	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/tokens"
)

// TestCardsOfALostBox: what it issued before is good; what nobody here knows is not, for
// whoever has the box can sign any card.
func TestCardsOfALostBox(t *testing.T) {
	a, b := two(t)
	must(t, a.Identity.Confirm(ctx, a.lead.ID, b.vault.NodeID()))
	oplogtest.Exchange(t, a.log, b.log)
	person, err := b.Registration.Add(ctx, operator, registration.Person{GivenName: "Omar"}, registration.Request{})
	must(t, err)
	card, err := b.Tokens.Issue(ctx, operator, person.ID, tokens.IssueOptions{})
	must(t, err)
	oplogtest.Exchange(t, a.log, b.log)
	stranger := tokens.Sign(tokens.Token{Kind: tokens.Individual, Node: 2, Holder: [10]byte{1}, Expiry: 5000}, b.vault.Deployment(), b.vault.SignToken).String()
	newer := card.Token
	newer.Generation++
	again := tokens.Sign(newer, b.vault.Deployment(), b.vault.SignToken).String()
	for _, text := range []string{card.Text, stranger, again} {
		if v := a.verdict(t, text); v != tokens.Genuine {
			t.Error("before:", v)
		}
	}
	must(t, a.Identity.Suspend(ctx, a.lead.ID, b.vault.NodeID()))
	for text, want := range map[string]tokens.Verdict{card.Text: tokens.Genuine, stranger: tokens.UnknownIssuer, again: tokens.UnknownIssuer} {
		r, err := a.Tokens.Verify(ctx, operator, text)
		must(t, err)
		if r.Verdict != want || want != tokens.Genuine && r.Reason != "tokens.reason.issuer_shut_out" {
			t.Errorf("a card is %s (%s), not %s", r.Verdict, r.Reason, want)
		}
	}
	must(t, a.Identity.Lift(ctx, a.lead.ID, b.vault.NodeID()))
	if v := a.verdict(t, again); v != tokens.Genuine {
		t.Error("given back:", v)
	}
}
