package tokens

import (
	"bytes"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
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

func TestFoldOfTwoReissuesAtOnce(t *testing.T) {
	a, b := [10]byte{0xa}, [10]byte{0xb}
	first := Issued{Kind: Individual, Node: 1, Holder: a}
	one := Issued{Kind: Individual, Node: 1, Holder: a, Generation: 1}
	two := Issued{Kind: Individual, Node: 2, Holder: a, Generation: 1}
	rows := foldCards(oplog.NewID(), []oplog.Op{fact(1, 1, 5, first), fact(1, 2, 8, one), fact(2, 1, 8, two)})
	if got := row(rows, holderKey(a)); !bytes.Equal(got, []byte{byte(Individual), 1}) {
		t.Errorf("highest generation: %x", got)
	}
	h := decoded(t, rows)
	if len(h.Lines) != 1 || h.Lines[0].Card.Node != 2 || len(h.Lines[0].Refs) != 2 {
		t.Errorf("the later one is shown, the next replaces both: %+v", h)
	}

	// Two first cards, drawn apart: two holders, one person.
	other := Issued{Kind: Individual, Node: 2, Holder: b}
	rows = foldCards(oplog.NewID(), []oplog.Op{fact(1, 1, 5, first), fact(2, 1, 5, other), fact(1, 2, 9, one)})
	for _, holder := range [][10]byte{a, b} {
		if !bytes.Equal(row(rows, holderKey(holder)), []byte{byte(Individual), 1}) || row(rows, typedKey(TypedCode(holder))) == nil {
			t.Errorf("holder %x: %v", holder, rows)
		}
	}
	if h := decoded(t, rows); h.Holder != a {
		t.Errorf("the next card is for %x", h.Holder)
	}
}

func TestFoldPassesOverNonsense(t *testing.T) {
	if rows := foldCards(oplog.NewID(), nil); rows != nil {
		t.Error(rows)
	}
	alien := fact(1, 1, 1, Issued{})
	alien.Body = nil
	if rows := foldCards(oplog.NewID(), []oplog.Op{alien, fact(1, 2, 2, Issued{Kind: 0}), fact(1, 3, 3, Issued{Kind: 77})}); rows != nil {
		t.Error(rows)
	}
	var many []oplog.Op
	for i := range 1000 {
		many = append(many, fact(1, uint64(i+1), uint64(i+1), Issued{Kind: Individual, Holder: [10]byte{1}}))
	}
	if h := decoded(t, foldCards(oplog.NewID(), many)); len(h.Lines[0].Refs) != maxRefs {
		t.Errorf("%d refs", len(h.Lines[0].Refs))
	}
}

func decoded(t *testing.T, rows []oplog.Row) holding {
	t.Helper()
	h, err := decodeHolding(row(rows, holdingKey))
	if err != nil {
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
	)
}
