package identity

import (
	"context"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// OpenerGiven says that the subject gave other nodes the means to open it: the key of its
// slot, sealed to each.
type OpenerGiven struct {
	Mark    [8]byte       `cbor:"1,keyasint"` // of the slot
	Keepers []SealedShare `cbor:"2,keyasint"`
}

// SealedShare is the key for one of them.
type SealedShare struct {
	_      struct{} `cbor:",toarray"`
	Node   NodeID
	Sealed []byte // 80: HPKE encapsulated key, ciphertext
}

// OpenedBy says that two people at the node that writes it opened the subject.
type OpenedBy struct {
	Request []byte `cbor:"1,keyasint"` // what both signed
	First   []byte `cbor:"2,keyasint"` // their signatures, as staff makes them
	Second  []byte `cbor:"3,keyasint"`
}

// NightChosen says who opens the subject at night, one of NightWays.
type NightChosen struct {
	Way string `cbor:"1,keyasint"`
}

// The ways to open a box at night.
const (
	NightStick = "stick" // the night lead has a key stick
	NightPeers = "peers" // two people at another open box
	NightWait  = "wait"  // it waits for somebody with the words
)

// NightWays lists them in the order pages offer them.
func NightWays() []string { return []string{NightStick, NightPeers, NightWait} }

// MaxKeepers is how many other boxes can be given the means to open one.
const MaxKeepers = 8

var (
	openerGiven = oplog.NewKind[OpenerGiven]("identity.opener_given", 1, oplog.Deployment)
	openedBy    = oplog.NewKind[OpenedBy]("identity.opened_by", 1, oplog.Register).Bound()
	nightChosen = oplog.NewKind[NightChosen]("identity.night_chosen", 1, oplog.Register).Bound()
)

func openerKinds() []oplog.Kind { return []oplog.Kind{openerGiven, openedBy, nightChosen} }

// openersView has, per box:
//
//	g ‖ log ‖ mark -> the fact in CBOR: what that log says of whom it gave the means
//	o ‖ log ‖ sum  -> openedRow: that log says that it was opened
//	w ‖ log        -> the way that log chose last
//
// A fold does not know whose log is whose. So every claim is a row of its own, of whoever
// made it, and the reader judges: of means and choices only a node's own word counts.
var openersView = &oplog.View{Name: "openers", Version: 2, Kinds: openerKinds(), Fold: foldOpeners}

// openedRow is one opening.
type openedRow struct {
	_                      struct{} `cbor:",toarray"`
	Request, First, Second []byte
	At                     int64 // Unix milliseconds
}

func openerKey(kind byte, log oplog.LogID, more []byte) []byte {
	return slices.Concat([]byte{kind}, log[:], more)
}

// foldOpeners is the shared view. ops are sorted by (clock, log, sequence): the last word
// of each log counts.
func foldOpeners(_ oplog.ID, ops []oplog.Op) []oplog.Row {
	var rows []oplog.Row
	for _, op := range slices.Backward(ops) {
		switch b := op.Body.(type) {
		case *OpenerGiven:
			rows = append(rows, oplog.Row{Key: openerKey('g', op.Log, b.Mark[:]), Value: encode(b)})
		case *OpenedBy:
			if len(b.Request) > maxOpenText || len(b.First) > 512 || len(b.Second) > 512 {
				continue
			}
			rows = append(rows, oplog.Row{
				Key: openerKey('o', op.Log, hashed("waypost/open-request/1", b.Request)[:16]), Value: encode(openedRow{Request: b.Request, First: b.First, Second: b.Second, At: op.At.UnixMilli()}),
			})
		case *NightChosen:
			rows = append(rows, oplog.Row{Key: openerKey('w', op.Log, nil), Value: []byte(b.Way)})
		}
	}
	return firstOfEach(rows)
}

// ChooseNight writes down who opens this box at night. Fault: Invalid
// "fault.identity.night_way".
func (d *Desk) ChooseNight(ctx context.Context, by oplog.By, way string) error {
	if !slices.Contains(NightWays(), way) {
		return fault.New(fault.Invalid, "fault.identity.night_way")
	}
	return d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		_, err := tx.Append(nightChosen, d.vault.NodeID(), NightChosen{Way: way})
		return err
	})
}

// Night is who opens this box at night; empty while nobody chose.
func (d *Desk) Night() (way string, err error) {
	self := d.vault.NodeID()
	err = d.ownRows('w', self, func(_ []byte, value []byte) error {
		if slices.Contains(NightWays(), string(value)) {
			way = string(value)
		}
		return nil
	})
	return way, err
}

// ownRows walks what a box says of itself, what the log of this folder says last.
func (d *Desk) ownRows(kind byte, box NodeID, fn func(rest, value []byte) error) error {
	type found struct {
		log         oplog.LogID
		rest, value []byte
	}
	var rows []found
	err := d.log.View(func(r oplog.Reader) error {
		return r.Rows(openersView, []byte{kind}, nil, func(key []byte, subject oplog.ID, value []byte) error {
			if subject == box {
				rows = append(rows, found{oplog.LogID(key[1:17]), slices.Clone(key[17:]), slices.Clone(value)})
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(rows, func(a, b found) int {
		own := func(f found) int {
			if f.log == d.log.Own() {
				return 1
			}
			return 0
		}
		return own(a) - own(b)
	})
	for _, f := range rows {
		if n, ok := d.Author(f.log); !ok || n.ID != box {
			continue
		}
		if err := fn(f.rest, f.value); err != nil {
			return err
		}
	}
	return nil
}

// mayKeep tells whether a node can be trusted with opening another, or be opened: its
// words were compared. Where nodes are shut out this is where they are refused.
func (d *Desk) mayKeep(n Node) bool {
	return n.Confirmed && !n.Carries() && d.StandingOf(n.ID) == StandingGood
}

// Keepers are the nodes that could be given the means to open this one.
func (d *Desk) Keepers() ([]Node, error) {
	nodes, err := d.Nodes()
	return slices.DeleteFunc(nodes, func(n Node) bool { return n.ID == d.vault.NodeID() || !d.mayKeep(n) }), err
}

// GiveOpener gives other nodes the means to open this one, once two people there agree;
// whoever had them before has them no more. Faults: Invalid "fault.identity.no_keeper" for
// none or too many, NotFound "fault.identity.no_such_node", Conflict
// "fault.identity.keeper_unconfirmed", those of the journal and of AddSlot.
func (d *Desk) GiveOpener(ctx context.Context, by oplog.By, keepers []NodeID) error {
	if len(keepers) == 0 || len(keepers) > MaxKeepers {
		return fault.New(fault.Invalid, "fault.identity.no_keeper").With("node", "fault.identity.no_keeper")
	}
	nodes, err := d.Nodes()
	if err != nil {
		return err
	}
	key := [32]byte(random(32))
	defer clear(key[:])
	storage, inner := d.vault.keysCopy()
	defer clear(inner)
	defer clear(storage[:])
	made, err := newPeers(key, &storage)
	if err != nil {
		return err
	}
	fact := OpenerGiven{Mark: made.mark()}
	for _, id := range keepers {
		i := slices.IndexFunc(nodes, func(n Node) bool { return n.ID == id })
		switch {
		case i < 0 || id == d.vault.NodeID():
			return fault.New(fault.NotFound, "fault.identity.no_such_node")
		case !d.mayKeep(nodes[i]):
			return fault.New(fault.Conflict, "fault.identity.keeper_unconfirmed")
		}
		sealed, err := sealTo(nodes[i].Cert.Seal, openerInfo(d.vault.deployment, d.vault.NodeID(), id, fact.Mark), key[:])
		if err != nil {
			return fault.Of(err)
		}
		fact.Keepers = append(fact.Keepers, SealedShare{Node: id, Sealed: sealed})
	}
	// The fact first: a slot that nobody knows of would take the place of one that works.
	err = d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		_, err := tx.Append(openerGiven, d.vault.NodeID(), fact)
		return err
	})
	if err != nil {
		return err
	}
	return d.vault.setSlot(made)
}

// KeepersOf are the nodes that have the means to open this one by its present slot.
func (d *Desk) KeepersOf() ([]NodeID, error) {
	slots, err := readSlots(d.vault.dir)
	i := slices.IndexFunc(slots, func(s slot) bool { return s.Kind == SlotPeers })
	if err != nil || i < 0 {
		return nil, err
	}
	given, err := d.given(d.vault.NodeID(), slots[i].mark())
	if err != nil || given == nil {
		return nil, err
	}
	var out []NodeID
	for _, k := range given.Keepers {
		out = append(out, k.Node)
	}
	return out, nil
}

// given is what a box said about the slot with that mark; nil when it said nothing.
func (d *Desk) given(box NodeID, mark [8]byte) (fact *OpenerGiven, err error) {
	err = d.ownRows('g', box, func(rest, value []byte) error {
		if string(rest) != string(mark[:]) {
			return nil
		}
		fact = new(OpenerGiven)
		return decodeRow(value, fact)
	})
	return fact, err
}

// Asking is a request of another box as people here see it.
type Asking struct {
	Request OpenRequest
	Box     Node
}

// LookAtRequest reads a request and says which box asks and whether this one could open
// it. Faults: those of ParseOpenRequest, Denied "fault.identity.not_ours", NotFound
// "fault.identity.no_such_node", Denied "fault.identity.box_shut_out", Conflict
// "fault.identity.no_opener_here".
func (d *Desk) LookAtRequest(text string) (Asking, error) {
	r, err := ParseOpenRequest(text)
	if err != nil {
		return Asking{}, err
	}
	if r.Deployment != d.vault.deployment {
		return Asking{}, fault.New(fault.Denied, "fault.identity.not_ours")
	}
	nodes, err := d.Nodes()
	if err != nil {
		return Asking{}, err
	}
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.ID == r.Node })
	if i < 0 {
		return Asking{}, fault.New(fault.NotFound, "fault.identity.no_such_node")
	}
	if !d.mayKeep(nodes[i]) {
		return Asking{}, fault.New(fault.Denied, "fault.identity.box_shut_out")
	}
	if _, err := d.share(r); err != nil {
		return Asking{}, err
	}
	return Asking{Request: r, Box: nodes[i]}, nil
}

// share is the sealed key this node was given for the box and slot of a request.
func (d *Desk) share(r OpenRequest) ([]byte, error) {
	given, err := d.given(r.Node, r.Mark)
	if err != nil {
		return nil, err
	}
	if given != nil {
		for _, k := range given.Keepers {
			if k.Node == d.vault.NodeID() {
				return k.Sealed, nil
			}
		}
	}
	return nil, fault.New(fault.Conflict, "fault.identity.no_opener_here")
}

// AnswerRequest hands the key over, sealed to the request, and writes down who opened the
// box. The caller has made sure that first and second are the signatures of two people who
// may. Faults: those of LookAtRequest and of the journal.
func (d *Desk) AnswerRequest(ctx context.Context, by oplog.By, r OpenRequest, first, second []byte) (answer string, err error) {
	if _, err := d.LookAtRequest(r.Text()); err != nil { // shut out meanwhile
		return "", err
	}
	sealed, err := d.share(r)
	if err != nil {
		return "", err
	}
	key, err := d.vault.unseal(openerInfo(d.vault.deployment, r.Node, d.vault.NodeID(), r.Mark), sealed)
	if err != nil {
		return "", fault.New(fault.Conflict, "fault.identity.no_opener_here").Wrap(err)
	}
	defer clear(key)
	if answer, err = r.answer(key); err != nil {
		return "", err
	}
	// Written before it is handed over: no box is opened and nobody knows by whom.
	return answer, d.log.Do(ctx, by, func(tx *oplog.Tx) error {
		_, err := tx.Append(openedBy, r.Node, OpenedBy{Request: r.Bytes(), First: first, Second: second})
		return err
	})
}

// Opened is one time a box was opened by two people at another.
type Opened struct {
	Box           NodeID
	At            time.Time // wall time of the node that opened it
	Log           oplog.LogID
	First, Second []byte // their signatures
}

// Openings lists those that two people signed, the latest first; whatever else somebody
// wrote down is none.
func (d *Desk) Openings() (out []Opened, err error) {
	var asked [][]byte
	var f facts
	err = d.log.View(func(r oplog.Reader) (err error) {
		if f, err = d.facts(r); err != nil {
			return err
		}
		return r.Rows(openersView, []byte{'o'}, nil, func(key []byte, subject oplog.ID, value []byte) error {
			var row openedRow
			if err := decodeRow(value, &row); err != nil {
				return err
			}
			asked = append(asked, row.Request)
			out = append(out, Opened{Box: subject, At: time.UnixMilli(row.At).UTC(), Log: oplog.LogID(key[1:17]), First: row.First, Second: row.Second})
			return nil
		})
	})
	nodes, kept := f.asCompared(nil), out[:0]
	for i, o := range out {
		if isRequestOf(asked[i], o.Box) && d.handed(nodes, PurposeOpen, asked[i], [][]byte{o.First, o.Second}) {
			kept = append(kept, o)
		}
	}
	out = kept
	slices.SortStableFunc(out, func(a, b Opened) int { return b.At.Compare(a.At) })
	return out, err
}

// isRequestOf reports whether two people were asked to open that box.
func isRequestOf(request []byte, box NodeID) bool {
	var w openRequestWire
	return decode(request, &w) == nil && w.Version == openVersion && w.Node == box
}
