package tokens

import (
	"context"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// cards is the view: a pure fold of a person's issued cards. Its rows:
//
//	c                     -> holding, in CBOR: what the person holds
//	h ‖ holder (10 bytes) -> pairs of bytes (kind, highest generation), one holder of the person
//	t ‖ typed code        -> 1; whose typed code it is
//
// A person normally has one holder. Two nodes that could not hear each other may
// each have drawn one; then both lead to the person, and the generation is
// counted over both.
var cards = &oplog.View{Name: "tokens.cards", Version: 1, Kinds: []oplog.Kind{issuedKind}, Fold: foldCards}

var holdingKey = []byte("c")

func holderKey(holder [10]byte) []byte { return append([]byte("h"), holder[:]...) }
func typedKey(code string) []byte      { return append([]byte("t"), code...) }

// holding is what one person holds.
type holding struct {
	Holder [10]byte `cbor:"1,keyasint"` // for the next card: that of the first card in the order of the log
	Lines  []line   `cbor:"2,keyasint"` // by kind
}

// line is the cards of one kind.
type line struct {
	Kind       Kind        `cbor:"1,keyasint"`
	Generation uint8       `cbor:"2,keyasint"` // the highest
	Card       Issued      `cbor:"3,keyasint"` // the last one of that generation, in the order of the log
	At         int64       `cbor:"4,keyasint"` // when it was issued, Unix milliseconds
	By         oplog.By    `cbor:"5,keyasint"` // by whom
	Refs       []oplog.Ref `cbor:"6,keyasint"` // all of that generation: what the next card takes the place of
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

// foldCards: within a kind the highest generation wins, and among cards of the
// same generation the last in the order (clock, log, sequence) is the one that
// is shown and printed again. It depends on nothing but the set of ops.
func foldCards(_ oplog.ID, ops []oplog.Op) []oplog.Row {
	var h holding
	var holders [][10]byte
	for _, op := range ops {
		b := oplog.Body[Issued](op)
		if b == nil || b.Kind == 0 || b.Kind > Device {
			continue
		}
		if !slices.Contains(holders, b.Holder) {
			holders = append(holders, b.Holder)
		}
		h.add(op, *b)
	}
	if len(holders) == 0 {
		return nil
	}
	h.Holder = holders[0]
	slices.SortFunc(h.Lines, func(a, b line) int { return int(a.Kind) - int(b.Kind) })
	return h.rows(holders)
}

func (h *holding) add(op oplog.Op, b Issued) {
	l := h.line(b.Kind)
	if l == nil {
		h.Lines = append(h.Lines, line{Kind: b.Kind})
		l = &h.Lines[len(h.Lines)-1]
	}
	if len(l.Refs) > 0 && b.Generation < l.Generation {
		return
	}
	if b.Generation > l.Generation {
		l.Refs = nil
	}
	l.Generation, l.Card, l.At, l.By = b.Generation, b, op.At.UnixMilli(), op.By
	if len(l.Refs) < maxRefs {
		l.Refs = append(l.Refs, op.Ref)
	}
}

func (h *holding) rows(holders [][10]byte) []oplog.Row {
	value, err := encodeHolding(h)
	if err != nil {
		panic(err) // a struct of numbers always encodes; the log reports a panicking fold
	}
	var newest []byte
	for _, l := range h.Lines {
		newest = append(newest, byte(l.Kind), l.Generation)
	}
	rows := []oplog.Row{{Key: holdingKey, Value: value}}
	for _, holder := range holders {
		rows = append(rows,
			oplog.Row{Key: holderKey(holder), Value: newest},
			oplog.Row{Key: typedKey(TypedCode(holder)), Value: []byte{1}})
	}
	return rows
}

func encodeHolding(h *holding) ([]byte, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, err
	}
	return mode.Marshal(h)
}

// readHolding is what the view knows of a person; empty when nothing.
func readHolding(r oplog.Reader, person oplog.ID) (holding, error) {
	value, ok, err := r.Row(cards, person, holdingKey)
	if err != nil || !ok {
		return holding{}, err
	}
	return decodeHolding(value)
}

func decodeHolding(value []byte) (h holding, err error) {
	if err := cbor.Unmarshal(value, &h); err != nil {
		return h, fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	return h, nil
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
		h, err = readHolding(r, person)
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
	err = d.log.View(func(r oplog.Reader) error {
		return r.Rows(cards, typedKey(code), nil, func(_ []byte, person oplog.ID, _ []byte) error {
			found = append(found, person)
			return nil
		})
	})
	if err != nil || len(found) != 1 {
		return oplog.ID{}, false
	}
	return found[0], true
}
