package staff

import (
	"crypto/ed25519"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// A fact that two people signed is judged by what they were then, and an account that its own
// node never made is nobody's: anybody can draw keys and say that they are of another node.
func TestHandsOfAccountsNobodyMade(t *testing.T) {
	c := newCamp(t, 2)
	p, other := c.nodes[0], c.nodes[1]
	lead, second := worker(t, p, "amina", Lead), worker(t, p, "sami", Coordinator)
	a := Act{Purpose: "revoke", Action: RevokeNodes, Body: []byte("node 7"), Key: "x"}
	id, told := askAndTell(t, p, lead, a)
	must(t, p.ConfirmAct(ctx, second, id))
	if err := other.HandsAmong(c.known, a, told[0], told[1]); fault.Of(err).Key != "fault.staff.act_stranger" {
		t.Errorf("before its node said so: %v", err)
	}
	c.exchange()
	must(t, other.HandsAmong(c.known, a, told[0], told[1]))

	forge := func() Hand {
		public, private, err := ed25519.GenerateKey(nil)
		must(t, err)
		e := enrolled{Sign: [32]byte(public), Role: Lead, Node: p.node, More: &personal{Person: oplog.NewID(), Narrow: []Narrow{}}}
		other.write(t, enrolledKind, e.subject(), e) // in a log of its own, not in that node's
		msg := append([]byte(signPurpose), a.message(c.auth.Deployment())...)
		return encode(signature{Who: e, Sig: [64]byte(ed25519.Sign(private, msg))})
	}
	one, two := forge(), forge()
	c.exchange()
	for name, at := range map[string]*place{"there": p, "elsewhere": other} {
		for what, hands := range map[string][2]Hand{"both": {one, two}, "one": {told[0], two}, "the same twice": {told[0], told[0]}} {
			if at.HandsAmong(c.known, a, hands[0], hands[1]) == nil {
				t.Errorf("%s: %s made up, and believed", name, what)
			}
			if at.CheckHands(a, hands[0], hands[1]) == nil {
				t.Errorf("%s: %s made up, and believed at once", name, what)
			}
		}
	}
	b := a
	b.Body = []byte("node 8")
	if other.HandsAmong(c.known, b, told[0], told[1]) == nil {
		t.Error("the hands fit another body")
	}
	// As of then: the account ends, the box is shut out, and what was agreed to stays.
	must(t, p.Disable(ctx, Operator(), "sami"))
	c.known[0].Standing = identity.StandingRevoked
	must(t, other.HandsAmong(c.known, a, told[0], told[1]))
	c.known[0].Confirmed = false
	if other.HandsAmong(c.known, a, told[0], told[1]) == nil {
		t.Error("of a node nobody compared")
	}
}
