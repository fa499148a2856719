package tokens

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// cards is the view: a pure fold of a person's issued cards, apart for every log
// that issued some. Its rows:
//
//	c ‖ person ‖ log -> holding, in CBOR: the cards that log made for the person
//	h ‖ holder ‖ log -> 1: the log made cards of this holder number for the person
//	t ‖ typed ‖ log  -> 1: whose typed code it is
//
// Any node can write that it issued a card, also one that may not, or with a
// number that is not its own; a fold cannot tell, because it knows no other
// subject. So logs are kept apart, and whoever reads believes those of confirmed
// nodes (Desk.issuerOf).
//
// A person normally has one holder. Two nodes that could not hear each other may
// each have drawn one; then both lead to the person, and the generation is
// counted over both.
var cards = &oplog.View{Name: "tokens.cards", Version: 2, Kinds: []oplog.Kind{issuedKind}, Fold: foldCards}

func cardsKey(person oplog.ID) []byte    { return append([]byte("c"), person[:]...) }
func holderKey(holder [10]byte) []byte   { return append([]byte("h"), holder[:]...) }
func typedKey(code string) []byte        { return append([]byte("t"), code...) }
func logOf(key []byte) (log oplog.LogID) { copy(log[:], key[max(0, len(key)-len(log)):]); return log }

// holding is what one person holds, as one log or all together say.
type holding struct {
	Holder [10]byte `cbor:"1,keyasint"` // for the next card: that of the first card in the order of the log
	Clock  uint64   `cbor:"2,keyasint"` // of that first card
	Lines  []line   `cbor:"3,keyasint"` // by kind
}

// line is the cards of one kind.
type line struct {
	Kind       Kind        `cbor:"1,keyasint"`
	Generation uint8       `cbor:"2,keyasint"` // the highest
	Card       Issued      `cbor:"3,keyasint"` // the last one of that generation, in the order of the log
	At         int64       `cbor:"4,keyasint"` // when it was issued, Unix milliseconds
	By         oplog.By    `cbor:"5,keyasint"` // by whom
	Refs       []oplog.Ref `cbor:"6,keyasint"` // all of that generation: what the next card takes the place of
	Clock      uint64      `cbor:"7,keyasint"` // of Card
}

// maxRefs bounds what a next op names; more than two need more than two nodes
// that reissued the same card while cut off from each other.
const maxRefs = 16

func (h *holding) line(k Kind) *line {
	for i := range h.Lines {
		if h.Lines[i].Kind == k {
			return &h.Lines[i]
		}
	}
	return nil
}

// foldCards: within a log and a kind the highest generation wins, and among cards
// of the same generation the last in the order (clock, log, sequence) is the one
// that is shown and printed again. It depends on nothing but the set of ops.
func foldCards(person oplog.ID, ops []oplog.Op) []oplog.Row {
	logs := map[oplog.LogID]*holding{}
	rows := map[string][]byte{}
	for _, op := range ops {
		b := oplog.Body[Issued](op)
		if b == nil || b.Kind == 0 || b.Kind > Device {
			continue
		}
		h := logs[op.Log]
		if h == nil {
			h = &holding{Holder: b.Holder, Clock: op.Clock}
			logs[op.Log] = h
		}
		h.add(line{
			Kind: b.Kind, Generation: b.Generation, Card: *b, At: op.At.UnixMilli(), By: op.By, Refs: []oplog.Ref{op.Ref}, Clock: op.Clock,
		})
		rows[string(append(holderKey(b.Holder), op.Log[:]...))] = []byte{1}
		rows[string(append(typedKey(TypedCode(b.Holder)), op.Log[:]...))] = []byte{1}
	}
	for log, h := range logs {
		rows[string(append(cardsKey(person), log[:]...))] = encodeHolding(h)
	}
	out := make([]oplog.Row, 0, len(rows))
	for k, v := range rows {
		out = append(out, oplog.Row{Key: []byte(k), Value: v})
	}
	slices.SortFunc(out, func(a, b oplog.Row) int { return bytes.Compare(a.Key, b.Key) })
	return out
}

// add takes a later line in.
func (h *holding) add(l line) {
	old := h.line(l.Kind)
	switch {
	case old == nil:
		h.Lines = append(h.Lines, l)
		slices.SortFunc(h.Lines, func(a, b line) int { return int(a.Kind) - int(b.Kind) })
	case l.Generation > old.Generation:
		*old = l
	case l.Generation == old.Generation:
		l.Refs = append(slices.Clip(old.Refs), l.Refs...)
		l.Refs = l.Refs[:min(len(l.Refs), maxRefs)]
		*old = l
	}
}

func encodeHolding(h *holding) []byte {
	b, err := encMode.Marshal(h)
	if err != nil {
		panic(err) // a struct of numbers always encodes; the log reports a panicking fold
	}
	return b
}

var encMode = func() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // constant options: seen by the first test or never
	}
	return m
}()

// issuerOf is the node whose log it is, when its word that it issued a card
// counts: somebody compared its words, and its certificate lets it.
func (d *Desk) issuerOf(log oplog.LogID) (identity.Node, bool) {
	n, ok := d.issuer.Author(log)
	return n, ok && n.Confirmed && n.Cert.Has(identity.CapTokens)
}

// readHolding is what a person holds; empty when nothing. Cards count that the
// node which says so has signed, and may.
func (d *Desk) readHolding(r oplog.Reader, person oplog.ID) (holding, error) {
	return d.readHoldingBut(r, person, func(line) bool { return false })
}

// part is what one log says.
type part struct {
	log oplog.LogID
	holding
}

// readHoldingBut is readHolding without looking at the signatures of cards that
// spare names: checking one takes longer than everything else.
func (d *Desk) readHoldingBut(r oplog.Reader, person oplog.ID, spare func(line) bool) (holding, error) {
	var parts []part
	err := r.Rows(cards, cardsKey(person), nil, func(key []byte, _ oplog.ID, value []byte) error {
		p := part{log: logOf(key)}
		n, ok := d.issuerOf(p.log)
		if !ok {
			return nil
		}
		if err := cbor.Unmarshal(value, &p.holding); err != nil {
			return fault.New(fault.Internal, "fault.internal").Wrap(err)
		}
		p.Lines = slices.DeleteFunc(p.Lines, func(l line) bool {
			return l.Card.Node != n.Number || (!spare(l) && !l.Card.token().Verify(d.issuer.Deployment(), n.Cert.Public[:]))
		})
		if len(p.Lines) > 0 {
			parts = append(parts, p)
		}
		return nil
	})
	if err != nil || len(parts) == 0 {
		return holding{}, err
	}
	return joinParts(parts), nil
}

// joinParts is what all logs say together, in the order of the log.
func joinParts(parts []part) holding {
	first := slices.MinFunc(parts, func(a, b part) int {
		return cmp.Or(cmp.Compare(a.holding.Clock, b.holding.Clock), bytes.Compare(a.log[:], b.log[:]))
	})
	h := holding{Holder: first.Holder, Clock: first.holding.Clock}
	var lines []line
	for _, p := range parts {
		lines = append(lines, p.Lines...)
	}
	// A stable sort keeps the order of the logs, in which the rows came, for equal clocks.
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.Clock, b.Clock) })
	for _, l := range lines {
		h.add(l)
	}
	return h
}

// Current is the card that a person or household holds now: the newest of its
// first kind (an Individual card before a Collector's). False when there is none. The
// actor needs staff.ReadPeople; Token and Text, which make a working copy of
// the card, are filled in only for somebody who may staff.IssueTokens.
func (d *Desk) Current(_ context.Context, actor staff.Actor, person oplog.ID) (Card, bool, error) {
	if err := actor.Must(staff.ReadPeople); err != nil {
		return Card{}, false, err
	}
	var h holding
	err := d.log.View(func(r oplog.Reader) (err error) {
		h, err = d.readHolding(r, person)
		return err
	})
	if err != nil || len(h.Lines) == 0 {
		return Card{}, false, err
	}
	l := h.Lines[0]
	c := cardOf(person, l.Card.token(), time.UnixMilli(l.At).UTC(), l.By)
	if !actor.Can(staff.IssueTokens) {
		c.Token, c.Text = Token{}, ""
	}
	return c, true, nil
}

// ByTyped finds the person whose card carries this typed code, as somebody typed
// it. False when it is no such code, nobody's, or, which 50 bits make unlikely,
// more than one person's. It proves nothing about a card, and it asks nobody's
// permission: that is the caller's part.
func (d *Desk) ByTyped(code string) (oplog.ID, bool) {
	code, err := ParseTyped(code)
	if err != nil {
		return oplog.ID{}, false
	}
	var found []oplog.ID
	err = d.log.View(func(r oplog.Reader) (err error) {
		found, err = d.holders(r, typedKey(code))
		return err
	})
	if err != nil || len(found) != 1 {
		return oplog.ID{}, false
	}
	return found[0], true
}

// holders are the people to whom rows under a prefix lead, by the word of nodes
// that may issue.
func (d *Desk) holders(r oplog.Reader, prefix []byte) (found []oplog.ID, err error) {
	err = r.Rows(cards, prefix, nil, func(key []byte, person oplog.ID, _ []byte) error {
		if _, ok := d.issuerOf(logOf(key)); ok && !slices.Contains(found, person) {
			found = append(found, person)
		}
		return nil
	})
	return found, err
}
