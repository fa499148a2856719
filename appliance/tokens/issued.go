package tokens

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Issued is the fact that a node made a card for a person or household, the
// subject of the op. It holds everything a reprint needs and nothing about the
// person.
type Issued struct {
	Kind       Kind     `cbor:"1,keyasint"`
	Node       uint16   `cbor:"2,keyasint"`
	Holder     [10]byte `cbor:"3,keyasint"`
	Generation uint8    `cbor:"4,keyasint"`
	Expiry     uint16   `cbor:"5,keyasint"`
	Sig        [64]byte `cbor:"6,keyasint"`
}

var issuedKind = oplog.NewKind[Issued]("tokens.issued", 1, oplog.Register).Bound()

func issuedOf(t Token) Issued {
	return Issued{Kind: t.Kind, Node: t.Node, Holder: t.Holder, Generation: t.Generation, Expiry: t.Expiry, Sig: t.Sig}
}

func (i Issued) token() Token {
	return Token{Version: version1, Kind: i.Kind, Node: i.Node, Holder: i.Holder, Generation: i.Generation, Expiry: i.Expiry, Sig: i.Sig}
}

// Request makes a command safe to repeat: the same Key and Body give the card
// that was made the first time, also after a restart; the same Key with another
// person, kind or Body is a Conflict. Keys of different actors never meet.
type Request struct {
	Key  string // at most 200 bytes; empty means that every call makes a card
	Body []byte // as the client sent it
}

const maxKey = 200

// IssueOptions says what card to make. The zero value is an Individual card that
// counts for twelve months.
type IssueOptions struct {
	Kind  Kind          // Individual (also 0), Household or Collector
	Valid time.Duration // how long it counts, from 1 day to 5 years; 0 is twelve months
	Once  Request       // for a repeatable call
}

// Bounds of IssueOptions.Valid.
const (
	minValid = day
	maxValid = 5 * 366 * day
)

// Issue makes a card. The first one of a person has generation 0; every further
// one has one more and replaces those before it, as soon as a node hears of it.
// The holder stays the same, so no reissue can create a second ration. It
// returns only after the fact is on disk: a card that was printed is known.
//
// Faults: those of Actor.Must for staff.IssueTokens; Denied
// "fault.tokens.not_confirmed" while this node may not issue; Invalid
// "fault.tokens.kind", "fault.tokens.valid", "fault.tokens.key_long"; NotFound
// "fault.tokens.no_person"; Conflict "fault.tokens.generations_spent" after 256
// cards and "fault.tokens.key_reused"; Internal "fault.tokens.not_signed" when
// this node's own certificate does not verify what it signs; the log's own.
func (d *Desk) Issue(ctx context.Context, actor staff.Actor, person oplog.ID, o IssueOptions) (Card, error) {
	if err := actor.Must(staff.IssueTokens); err != nil {
		return Card{}, err
	}
	o, err := o.checked()
	if err != nil {
		return Card{}, err
	}
	if !d.issuer.MayIssue() {
		return Card{}, fault.New(fault.Denied, "fault.tokens.not_confirmed")
	}
	hash, body := o.once(actor, person)
	var card Card
	err = d.log.Do(ctx, actor.ID, func(tx *oplog.Tx) error {
		if o.Once.Key != "" {
			again, err := replay(tx, hash, body)
			if again != nil || err != nil {
				card = deref(again)
				return err
			}
		}
		if there, err := d.people.Exists(person); err != nil {
			return err
		} else if !there {
			return fault.New(fault.NotFound, "fault.tokens.no_person")
		}
		if o.Once.Key != "" {
			tx.SetOnce(hash, body)
		}
		card, err = d.issue(tx, actor, person, o)
		return err
	})
	if err != nil {
		return Card{}, err
	}
	return card, nil
}

// issue signs the next card and appends the fact.
func (d *Desk) issue(tx *oplog.Tx, actor staff.Actor, person oplog.ID, o IssueOptions) (Card, error) {
	held, err := d.readHolding(tx, person)
	if err != nil {
		return Card{}, err
	}
	t := Token{Kind: o.Kind, Node: d.issuer.Number(), Holder: held.Holder}
	if held.Holder == ([10]byte{}) {
		_, _ = rand.Read(t.Holder[:]) // never fails: crypto/rand ends the process instead
	}
	var before []oplog.Ref
	if line := held.line(o.Kind); line != nil {
		if line.Generation == 255 {
			return Card{}, fault.New(fault.Conflict, "fault.tokens.generations_spent")
		}
		t.Generation, before = line.Generation+1, line.Refs
	}
	if t, err = d.sign(t, o.Valid); err != nil {
		return Card{}, err
	}
	if _, err := tx.Append(issuedKind, person, issuedOf(t), before...); err != nil {
		return Card{}, err
	}
	at, _ := tx.At()
	return cardOf(person, t, at, actor.ID), nil
}

// sign sets the expiry and signs. What it returns has been verified against the
// node's own certificate: a card nobody can verify must never be printed.
func (d *Desk) sign(t Token, valid time.Duration) (Token, error) {
	node, ok := d.issuer.ByNumber(t.Node)
	cert := node.Cert
	if !ok {
		return t, fault.New(fault.Internal, "fault.tokens.not_signed")
	}
	// A board that woke up in 1970 would print cards that expired long ago. It
	// cannot be earlier than its own certificate.
	from := d.clock.Now()
	if earliest := time.Unix(cert.NotBefore, 0); from.Before(earliest) {
		from = earliest
	}
	until := from.Add(valid)
	if valid == 0 {
		until = from.AddDate(1, 0, 0)
	}
	if t.Expiry, ok = expiryDay(until); !ok {
		return t, fault.New(fault.Invalid, "fault.tokens.valid")
	}
	t = Sign(t, d.issuer.Deployment(), d.issuer.SignToken)
	if !t.Verify(d.issuer.Deployment(), cert.Public[:]) {
		return t, fault.New(fault.Internal, "fault.tokens.not_signed")
	}
	return t, nil
}

// checked fills in what was left out and refuses what cannot be issued here:
// vouchers, staff and device cards have no subject in the register.
func (o IssueOptions) checked() (IssueOptions, error) {
	if o.Kind == 0 {
		o.Kind = Individual
	}
	if o.Kind > Collector {
		return o, fault.New(fault.Invalid, "fault.tokens.kind")
	}
	if o.Valid != 0 && (o.Valid < minValid || o.Valid > maxValid) {
		return o, fault.New(fault.Invalid, "fault.tokens.valid")
	}
	if len(o.Once.Key) > maxKey {
		return o, fault.New(fault.Invalid, "fault.tokens.key_long", "Max", maxKey)
	}
	return o, nil
}

// once hashes the key together with the actor, and the body together with what
// is to be made.
func (o IssueOptions) once(actor staff.Actor, person oplog.ID) (hash [16]byte, body [8]byte) {
	key := sha256.Sum256(slices.Concat([]byte("waypost/tokens/once/1\x00"), actor.ID[:], []byte(o.Once.Key)))
	what := binary.BigEndian.AppendUint64([]byte{byte(o.Kind)}, uint64(o.Valid))
	sum := sha256.Sum256(slices.Concat(person[:], what, o.Once.Body))
	return [16]byte(key[:16]), [8]byte(sum[:8])
}

// replay is the card that an idempotency key made before; nil when it made none.
func replay(r oplog.Reader, hash [16]byte, body [8]byte) (*Card, error) {
	w, ok, err := r.Once(hash)
	if err != nil || !ok {
		return nil, err
	}
	if w.BodyHash != body {
		return nil, fault.New(fault.Conflict, "fault.tokens.key_reused")
	}
	ops, err := r.Ops(w.Subject)
	if err != nil {
		return nil, err
	}
	for _, op := range ops {
		if b := oplog.Body[Issued](op); b != nil && op.Ref == w.Ref {
			c := cardOf(op.Subject, b.token(), op.At, op.By)
			return &c, nil
		}
	}
	// The fact has been erased together with its person.
	return nil, fault.New(fault.NotFound, "fault.tokens.no_person")
}

func deref(c *Card) Card {
	if c == nil {
		return Card{}
	}
	return *c
}

func cardOf(person oplog.ID, t Token, at time.Time, by oplog.By) Card {
	return Card{
		Person: person, Kind: t.Kind, Token: t, Text: t.String(), Typed: TypedCode(t.Holder),
		Generation: t.Generation, Expires: t.LastDay(), IssuedAt: at, By: by,
	}
}
