package staff

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// write puts a fact into a node's log past every command.
func (p *place) write(t *testing.T, kind oplog.Kind, subject oplog.ID, body any) {
	t.Helper()
	must(t, p.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
		_, err := tx.Append(kind, subject, body)
		return err
	}))
}

func (p *place) reopenings(t *testing.T) []Reopening {
	t.Helper()
	out, err := p.Reopenings()
	must(t, err)
	return out
}

// Opening a restored box is signed by two people, so that one of them alone cannot do it
// and a node cannot do it in their names.
func TestReopeningIsSignedByTwoPeople(t *testing.T) {
	c := newCamp(t, 2)
	p, other := c.nodes[0], c.nodes[1]
	lead, registrar := worker(t, p, "amina", Lead), worker(t, p, "noor", Registrar)
	made := time.Unix(5000, 0)
	_, err := p.Add(ctx, lead.Actor, NewAccount{User: "puppet", Role: Registrar, Passphrase: secret})
	must(t, err)
	for user, key := range map[string]string{"amina": "fault.staff.same_person", "puppet": "fault.staff.act_made", "nobody": "fault.staff.wrong_sign_in"} {
		if err := p.Reopen(ctx, lead, user, secret, made); fault.Of(err).Key != key {
			t.Errorf("with %s: %v", user, err)
		}
		if err := p.ReopenBoth(ctx, [2]string{user, "amina"}, [2][]byte{secret, secret}, made); fault.Of(err).Key != key {
			t.Errorf("both, with %s: %v", user, err)
		}
	}
	if err := p.Reopen(ctx, registrar, "amina", secret, made); fault.ClassOf(err) != fault.Denied {
		t.Errorf("a registrar asks: %v", err)
	}
	if n := len(p.reopenings(t)); n != 0 {
		t.Fatalf("%d were written", n)
	}
	must(t, p.Reopen(ctx, lead, "noor", secret, made))
	must(t, p.ReopenBoth(ctx, [2]string{"noor", "amina"}, [2][]byte{secret, secret}, made.Add(time.Hour)))
	c.exchange()
	for i, at := range []*place{p, other} {
		got := at.reopenings(t)
		if len(got) != 2 || got[0].Node != p.node || got[0].By != [2]ID{lead.Actor.ID, registrar.Actor.ID} || got[0].Names != [2]string{"amina", "noor"} {
			t.Errorf("at node %d: %+v", i, got)
		}
	}
	c.known[0].Confirmed = false
	if got := other.reopenings(t); len(got) != 0 {
		t.Errorf("of a node nobody compared: %+v", got)
	}
}

// Whoever holds a node's log can write that anybody opened any node. Without both hands
// for that node and that backup it says nothing, and what version 1 wrote, two bare ids,
// proves nothing either.
func TestForgedReopeningsSayNothing(t *testing.T) {
	c := newCamp(t, 2)
	p, rogue := c.nodes[0], c.nodes[1]
	lead := worker(t, p, "amina", Lead)
	worker(t, p, "noor", Registrar)
	theirs, second := worker(t, rogue, "eve", Lead), worker(t, rogue, "mallory", Lead)
	must(t, p.Reopen(ctx, lead, "noor", secret, time.Unix(5000, 0)))
	var good reopened
	must(t, p.log.View(func(r oplog.Reader) error {
		return r.Rows(reopenings, []byte("r"), nil, func(_ []byte, _ oplog.ID, value []byte) error {
			var row reopenedRow
			err := decode(value, &row)
			good = row.Fact
			return err
		})
	}))
	hand := func(s Session, node oplog.ID, at int64) Hand {
		sig, err := rogue.signature(s, reopenAct(node, at).message(c.auth.Deployment()))
		must(t, err)
		return encode(sig)
	}
	forged := map[string]reopened{
		"no hands":           {Made: 6000},
		"hands of another":   {First: good.First, Second: good.Second, Made: 6000},
		"one hand twice":     {First: good.First, Second: good.First, Made: good.Made},
		"nobody who may":     {First: good.Second, Second: good.First, Made: good.Made},
		"two of another box": {First: hand(theirs, p.node, 6000), Second: hand(second, p.node, 6000), Made: 6000},
		"long hands":         {First: bytes.Repeat([]byte{1}, maxHand+1), Second: good.Second, Made: good.Made},
	}
	for name, f := range forged {
		if rogue.checkReopened(p.node, f) == nil {
			t.Errorf("%s: believed", name)
		}
		rogue.write(t, reopenedKind, p.node, f)
	}
	rogue.write(t, reopenedFirstKind, p.node, reopenedFirst{First: lead.Actor.ID, Second: theirs.Actor.ID, Made: 6000})
	rogue.write(t, reopenedKind, rogue.node, good) // of p, said about another node
	c.exchange()
	for i, at := range c.nodes {
		if got := at.reopenings(t); len(got) != 1 || got[0].Node != p.node || got[0].Made.Unix() != 5000 {
			t.Errorf("at node %d: %+v", i, got)
		}
	}
	oplogtest.Same(t, p.log, rogue.log)
	oplogtest.CheckOrder(t, Views(),
		oplogtest.Fact{Node: 0, Kind: reopenedKind, Subject: p.node, Body: good},
		oplogtest.Fact{Node: 1, Kind: reopenedKind, Subject: p.node, Body: good},
		oplogtest.Fact{Node: 1, Kind: reopenedFirstKind, Subject: p.node, Body: reopenedFirst{Made: 1}},
		oplogtest.Fact{Node: 2, Kind: reopenedKind, Subject: p.node, Body: forged["long hands"]},
		oplogtest.Fact{Node: 2, Kind: reopenedKind, Subject: p.node, Body: forged["no hands"], Seen: true},
	)
}

// The bytes of both versions.
func TestReopenedBytes(t *testing.T) {
	for want, body := range map[string]any{
		"a301480100000000000000024802000000000000000307": reopenedFirst{First: ID{1}, Second: ID{2}, Made: 7},
		"a30141010241020307":                             reopened{First: Hand{1}, Second: Hand{2}, Made: 7},
	} {
		if got := hex.EncodeToString(encode(body)); got != want {
			t.Errorf("%T %s", body, got)
		}
	}
}
