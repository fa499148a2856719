package tokens

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/staff"
)

// fact is an op as the log hands it to a fold.
func fact(log byte, seq, clock uint64, b Issued) oplog.Op {
	return oplog.Op{
		Ref: oplog.Ref{Log: oplog.LogID{log}, Seq: seq}, Clock: clock, Kind: issuedKind.Name(), Version: issuedKind.Version(),
		At: time.Unix(1_800_000_000, 0), Body: &b,
	}
}

func row(rows []oplog.Row, key []byte) []byte {
	for _, r := range rows {
		if bytes.Equal(r.Key, key) {
			return r.Value
		}
	}
	return nil
}

func TestFoldKeepsLogsApart(t *testing.T) {
	a, b, person := [10]byte{0xa}, [10]byte{0xb}, oplog.NewID()
	first := Issued{Kind: Individual, Node: 1, Holder: a}
	one := Issued{Kind: Individual, Node: 1, Holder: a, Generation: 1}
	other := Issued{Kind: Individual, Node: 2, Holder: b, Generation: 7}
	rows := foldCards(person, []oplog.Op{fact(2, 1, 2, other), fact(1, 1, 5, first), fact(1, 2, 8, one)})
	for _, c := range []struct {
		log        byte
		holder     [10]byte
		generation uint8
		clock      uint64
	}{{1, a, 1, 5}, {2, b, 7, 2}} {
		h := decoded(t, rows, person, c.log)
		if h.Holder != c.holder || h.Clock != c.clock || len(h.Lines) != 1 || h.Lines[0].Generation != c.generation || len(h.Lines[0].Refs) != 1 {
			t.Errorf("log %d: %+v", c.log, h)
		}
		for _, key := range [][]byte{holderKey(c.holder), typedKey(TypedCode(c.holder))} {
			if row(rows, append(key, log(c.log)...)) == nil {
				t.Errorf("log %d has no row %q", c.log, key)
			}
		}
	}
	if len(rows) != 6 {
		t.Errorf("%d rows", len(rows))
	}
}

func log(n byte) []byte {
	id := oplog.LogID{n}
	return id[:]
}

func TestFoldPassesOverNonsense(t *testing.T) {
	person := oplog.NewID()
	if rows := foldCards(person, nil); len(rows) > 0 {
		t.Error(rows)
	}
	alien := fact(1, 1, 1, Issued{})
	alien.Body = nil
	if rows := foldCards(person, []oplog.Op{alien, fact(1, 2, 2, Issued{Kind: 0}), fact(1, 3, 3, Issued{Kind: 77})}); len(rows) > 0 {
		t.Error(rows)
	}
	var many []oplog.Op
	for i := range 1000 {
		many = append(many, fact(1, uint64(i+1), uint64(i+1), Issued{Kind: Individual, Holder: [10]byte{1}}))
	}
	if h := decoded(t, foldCards(person, many), person, 1); len(h.Lines[0].Refs) != maxRefs {
		t.Errorf("%d refs", len(h.Lines[0].Refs))
	}
}

func decoded(t *testing.T, rows []oplog.Row, person oplog.ID, of byte) (h holding) {
	t.Helper()
	if err := cbor.Unmarshal(row(rows, append(cardsKey(person), log(of)...)), &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// TestCardsDoNotDependOnOrder: three nodes issue and reissue for the same people,
// seeing each other's facts or not.
func TestCardsDoNotDependOnOrder(t *testing.T) {
	one, two := oplog.NewID(), oplog.NewID()
	card := func(node uint16, holder, generation byte, kind Kind) Issued {
		return Issued{Kind: kind, Node: node, Holder: [10]byte{holder}, Generation: generation, Expiry: 2800, Sig: [64]byte{byte(node), holder, generation}}
	}
	oplogtest.CheckOrder(t, Views(),
		oplogtest.Fact{Node: 0, Kind: issuedKind, Subject: one, Body: card(1, 1, 0, Individual)},
		oplogtest.Fact{Node: 1, Kind: issuedKind, Subject: one, Body: card(2, 2, 0, Individual)}, // a first card there too
		oplogtest.Fact{Node: 0, Kind: issuedKind, Subject: one, Body: card(1, 1, 1, Individual), Supersedes: []int{0}, Seen: true},
		oplogtest.Fact{Node: 2, Kind: issuedKind, Subject: one, Body: card(3, 1, 1, Individual), Supersedes: []int{0, 1}},
		oplogtest.Fact{Node: 2, Kind: issuedKind, Subject: one, Body: card(3, 1, 0, Collector)},
		oplogtest.Fact{Node: 1, Kind: issuedKind, Subject: two, Body: card(2, 9, 0, Household)},
		oplogtest.Fact{Node: 1, Kind: issuedKind, Subject: two, Body: card(2, 9, 1, Household), Supersedes: []int{5}},
		oplogtest.Fact{Node: 0, Kind: issuedKind, Subject: one, Body: card(1, 1, 2, Individual), Supersedes: []int{2, 3}, Seen: true},
		oplogtest.Fact{Node: 2, Kind: issuedKind, Subject: two, Body: card(3, 9, 2, Household), Supersedes: []int{6}},
		// What a rogue writes: other nodes' numbers, the last generation, somebody else's holder.
		oplogtest.Fact{Node: 1, Kind: issuedKind, Subject: one, Body: card(1, 1, 255, Individual)},
		oplogtest.Fact{Node: 1, Kind: issuedKind, Subject: two, Body: card(3, 1, 255, Individual)},
		oplogtest.Fact{Node: 1, Kind: issuedKind, Subject: two, Body: card(9, 9, 255, 200), Seen: true},
	)
}

// rogue is a node of the operation with a program of its own: it writes what it
// likes, first in a log that has seen nothing.
type rogue struct {
	log    *oplog.Log
	number uint16
	key    ed25519.PrivateKey
}

func (r rogue) says(t *testing.T, op *operation, person oplog.ID, cards ...Token) {
	t.Helper()
	err := r.log.Do(context.Background(), oplog.By{}, func(tx *oplog.Tx) error {
		for _, c := range cards {
			if _, err := tx.Append(issuedKind, person, issuedOf(c)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestARogueCannotSpoilACard: what a node says about cards counts when it is
// compared, speaks for itself and has signed.
func TestARogueCannotSpoilACard(t *testing.T) {
	op, auth := newOperation(1), oplogtest.NewAuthority(t)
	s := stationOn(oplogtest.Node(t, auth, Kinds(), Views()), op, 1)
	r := rogue{oplogtest.Node(t, auth.Peer(t), Kinds(), Views()), 66, otherKey()}
	op.certify(r.number, r.key, identity.CapTokens)
	op.authors[r.log.Own()] = r.number
	person, neighbour := s.arrive(), s.arrive()
	card := s.issue(t, person)
	var newest Card
	for range 5 {
		newest = s.issue(t, neighbour)
	}
	spent := card.Token
	spent.Generation = 255
	own := spent
	own.Node = r.number
	own = signedBy(r.key, op.id, own)
	theirs := spent
	theirs = signedBy(r.key, op.id, theirs)
	unsigned := own
	unsigned.Sig = [64]byte{}
	lies := map[string]Token{"unsigned": spent, "signed with its own key as node 1": theirs, "its own, not signed": unsigned, "a neighbour's card": newest.Token}
	check := func(what string) {
		t.Helper()
		if res := s.verify(t, card.Text); res.Verdict != Genuine || res.Person == nil || *res.Person != person {
			t.Errorf("%s: %+v", what, res)
		}
		// A compared node can give anybody's number to anybody, with a card of its own.
		if got, ok := s.ByTyped(newest.Typed); op.unproved[r.number] && (!ok || got != neighbour) {
			t.Errorf("%s: the typed code leads to %v %v", what, got, ok)
		}
		if c, ok, err := s.Current(context.Background(), actorOf(staff.Registrar), person); err != nil || !ok || c.Text != card.Text {
			t.Errorf("%s: %+v %v", what, c, err)
		}
	}
	for _, confirmed := range []bool{false, true} {
		op.unproved[r.number] = !confirmed
		for what, lie := range lies {
			r.says(t, op, person, lie)
			oplogtest.Exchange(t, s.log, r.log)
			check(what)
		}
	}
	op.unproved[r.number] = true
	r.says(t, op, person, own)
	oplogtest.Exchange(t, s.log, r.log)
	check("its own, not compared")
	if again := s.issue(t, person); again.Generation != 1 || again.Token.Holder != card.Token.Holder {
		t.Fatalf("%+v", again)
	}
	// Compared, it is believed, and what it said before as well.
	op.unproved[r.number] = false
	if res := s.verify(t, card.Text); res.Verdict != Superseded {
		t.Errorf("%+v", res)
	}
	if res := s.verify(t, own.String()); res.Verdict != Genuine || res.Generation != 255 {
		t.Errorf("%+v", res)
	}
}
