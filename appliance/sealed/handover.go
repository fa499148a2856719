package sealed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// HandPurpose is the purpose of the acts by which two people hand a file over.
const HandPurpose = "hand-over-file"

// handRequest is what two people sign, behind its hash: the hash is in the open, this is
// inside the file.
type handRequest struct {
	File      oplog.ID     `cbor:"1,keyasint"`
	Narrow    staff.Narrow `cbor:"2,keyasint"`
	To        string       `cbor:"3,keyasint"`
	Basis     string       `cbor:"4,keyasint"`
	Agreed    bool         `cbor:"5,keyasint"`
	Unasked   string       `cbor:"6,keyasint,omitempty"`
	Recipient string       `cbor:"7,keyasint,omitempty"`
	Record    [32]byte     `cbor:"8,keyasint"`  // SHA-256 of the record in the parcel
	Number    oplog.ID     `cbor:"9,keyasint"`  // of the receipt
	Nonce     [16]byte     `cbor:"10,keyasint"` // so that nobody finds out what was asked by trying
}

// handAct is what both sign: what was asked for, and the very bytes that leave.
func handAct(request, parcel [32]byte) staff.Act {
	return staff.Act{Purpose: HandPurpose, Action: staff.SignForFiles, Body: slices.Concat(request[:], parcel[:])}
}

// handed reports whether two people agreed to what an entry says left.
func (d *Desk) handed(h handedOver) bool {
	return d.o.Staff.CheckHands(handAct(sha256.Sum256(encode(h.Request)), h.Parcel), h.First, h.Second) == nil
}

// HandOver is what somebody asks for who wants to give a file to somebody outside.
type HandOver struct {
	To        string // the authority or organisation, and who there; 3 to 200 characters
	Basis     string // why, or by which law or order; 10 to 400 characters
	Agreed    bool   // the person it is about agreed
	Unasked   string // else: why they could not be asked; 10 to 400 characters
	Recipient string // the receiver's age key; empty: five words, which the second person gives them
	Person    string // what the person is called, for the receiver; not longer than To
}

// maxTo is how long the name of a receiver may be, in characters.
const maxTo = 200

func (h *HandOver) check() error {
	bad := fault.New(fault.Invalid, "fault.sealed.out_invalid")
	length := func(field, text, key string, least, most int) {
		if n := len([]rune(text)); n < least || tooLong(text, most) {
			bad = bad.With(field, key, "Least", least, "Most", most)
		}
	}
	h.To, h.Basis, h.Unasked, h.Recipient = strings.TrimSpace(h.To), strings.TrimSpace(h.Basis), strings.TrimSpace(h.Unasked), strings.TrimSpace(h.Recipient)
	length("to", h.To, "fault.sealed.out_to", 3, maxTo)
	length("basis", h.Basis, "fault.sealed.reason", minReason, maxReason)
	if h.Agreed {
		h.Unasked = ""
	} else {
		length("unasked", h.Unasked, "fault.sealed.out_unasked", minReason, maxReason)
	}
	if _, err := recipientOf(h.Recipient); h.Recipient != "" && err != nil {
		bad = bad.With("recipient", "fault.sealed.out_key")
	}
	if len(bad.Fields) > 0 {
		return bad
	}
	return nil
}

// parcel is a file that waits to leave. It is closed already: nothing of it in memory opens
// without its words, which go as soon as the second person has them.
type parcel struct {
	request handRequest
	by      staff.ID // who asked, and takes it
	sealed  []byte
	sum     [32]byte
	words   []byte // nil where a receiver's key opens it, and once they were shown
	at      time.Time

	first, second staff.Hand // once somebody agreed
	agreed        time.Time
	agreeing      int // how many are saying yes now: the act is off its list while they do
}

// Bounds of what waits, in memory. Times are by the running clock.
const (
	takeLife    = 30 * time.Minute // from the second person to the download
	maxParcels  = 12
	maxHisOwn   = 3
	maxAsked    = 5 // in an hour, by one person
	maxParcel   = 4 << 20
	askedWindow = time.Hour
)

// AskHandOver is somebody who works in a file asking to give it to somebody outside. The
// parcel is made and closed now, of what the file says now; papers are what is in it beside
// the record, as people read them. A second person who may read the file too has to agree:
// somebody in it, an officer, or a holder of the desk's keys. Faults: those of Read and
// staff.AskAct; Invalid "fault.sealed.out_invalid" naming fields, "fault.sealed.out_large";
// Conflict "fault.sealed.no_second"; Busy "fault.sealed.out_many".
func (d *Desk) AskHandOver(s staff.Session, id oplog.ID, h HandOver, papers func(Handed) []Paper) (oplog.ID, error) {
	if err := h.check(); err != nil {
		return oplog.ID{}, err
	}
	f, who, err := d.load(s, id)
	if err != nil {
		return oplog.ID{}, err
	}
	if !f.members[s.Actor.ID] {
		return oplog.ID{}, fault.New(fault.Denied, "fault.sealed.not_in")
	}
	only, err := d.secondPeople(f, s.Actor.ID, who)
	if err != nil {
		return oplog.ID{}, err
	}
	if err := d.mayAsk(s.Actor.ID); err != nil {
		return oplog.ID{}, err
	}
	p, err := d.pack(f, s.Actor, h, papers, who)
	if err != nil {
		return oplog.ID{}, err
	}
	act := handAct(sha256.Sum256(encode(p.request)), p.sum)
	act.Only = only
	act.Key, act.Args = "sealed.act.out", []any{"File", id.String(), "Desk", f.narrow, "To", h.To, "Basis", h.Basis, "Unasked", h.Unasked, "Recipient", h.Recipient}
	waits, err := d.o.Staff.AskAct(s, act, func(_ context.Context, by staff.ID, first, second staff.Hand) error {
		return d.agreed(p, by, first, second)
	})
	if err != nil {
		return oplog.ID{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parcels[waits] = p
	return waits, nil
}

// mayAsk counts who asks how often. Fault: Busy "fault.sealed.out_many".
func (d *Desk) mayAsk(by staff.ID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweepParcels()
	now, own := d.o.Clock.Now(), 0
	lately := slices.DeleteFunc(d.asked[by], func(t time.Time) bool { return now.Sub(t) > askedWindow })
	for _, p := range d.parcels {
		if p.by == by {
			own++
		}
	}
	if len(d.parcels) >= maxParcels || own >= maxHisOwn || len(lately) >= maxAsked {
		return fault.New(fault.Busy, "fault.sealed.out_many")
	}
	d.asked[by] = append(lately, now)
	return nil
}

// Forget drops every parcel and wipes its words: the box is locked.
func (d *Desk) Forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, p := range d.parcels {
		p.forget()
		delete(d.parcels, id)
	}
}

// sweepParcels drops what was declined, or not agreed to or not taken in time. d.mu is held.
func (d *Desk) sweepParcels() {
	now := d.o.Clock.Now()
	for id, p := range d.parcels {
		if p.second == nil && p.agreeing == 0 && !d.o.Staff.Waits(id) || p.second != nil && now.Sub(p.agreed) > takeLife {
			p.forget()
			delete(d.parcels, id)
		}
	}
}

func (p *parcel) forget() {
	clear(p.words)
	p.words = nil
}

// secondPeople are who may be the second person of an act about a file. Fault: Conflict
// "fault.sealed.no_second" when nobody is.
func (d *Desk) secondPeople(f *file, me staff.ID, who people) (out []staff.ID, err error) {
	c, err := d.opened(f.narrow, who)
	if err != nil {
		return nil, err
	}
	all := append(f.group(who, nil), c.current.Staff...)
	holders, err := d.holderIDs(c, who)
	if err != nil {
		return nil, err
	}
	for _, id := range append(all, holders...) {
		if w, known := who[id]; known && !w.Off && id != me && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Conflict, "fault.sealed.no_second")
	}
	return out, nil
}

// holderIDs are the accounts that hold the keys in use and may have the compartment.
func (d *Desk) holderIDs(c compartment, who people) (out []staff.ID, err error) {
	err = d.log.View(func(r oplog.Reader) error {
		all, err := d.holders(r, c.current, who)
		for _, w := range all {
			if w.Opens(c.current.Narrow) {
				out = append(out, w.ID)
			}
		}
		return err
	})
	return out, err
}

// mayBeSecond asks once more when somebody agrees: they may have been taken off since.
// Fault: Denied "fault.sealed.not_second".
func (d *Desk) mayBeSecond(by staff.ID, id oplog.ID, n staff.Narrow) error {
	who, err := d.people()
	if err != nil {
		return err
	}
	c, err := d.opened(n, who)
	if err != nil {
		return err
	}
	holders, err := d.holderIDs(c, who)
	if err != nil {
		return err
	}
	if w, known := who[by]; !known || w.Off {
		return fault.New(fault.Denied, "fault.sealed.not_second")
	}
	if slices.Contains(c.current.Staff, by) || slices.Contains(holders, by) {
		return nil
	}
	if s, open := d.o.Staff.OpenSession(by); open {
		if f, _, err := d.load(s, id); err == nil && f.members[by] {
			return nil
		}
	}
	return fault.New(fault.Denied, "fault.sealed.not_second")
}

// agreed is the second person's part: from now on the parcel may be taken.
func (d *Desk) agreed(p *parcel, by staff.ID, first, second staff.Hand) error {
	if err := d.mayBeSecond(by, p.request.File, p.request.Narrow); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p.first, p.second, p.agreed = first, second, d.o.Clock.Now()
	return nil
}

// AgreeToHandOver is the second person saying yes; the session is of that moment. words
// open the parcel and are shown this once, to them alone: whoever takes the parcel has no
// words, and who has the words has no parcel. Empty where a receiver's key opens it.
// Faults: those of staff.ConfirmAct, Denied "fault.sealed.not_second", NotFound
// "fault.sealed.no_parcel".
func (d *Desk) AgreeToHandOver(ctx context.Context, s staff.Session, id oplog.ID) (words string, err error) {
	d.mu.Lock()
	p := d.parcels[id]
	if p != nil {
		p.agreeing++
	}
	d.mu.Unlock()
	if p == nil {
		return "", fault.New(fault.NotFound, "fault.sealed.no_parcel")
	}
	err = d.o.Staff.ConfirmAct(ctx, s, id)
	d.mu.Lock()
	defer d.mu.Unlock()
	p.agreeing--
	switch {
	case err != nil:
		return "", err
	case d.parcels[id] != p || p.second.Signer() != s.Actor.ID: // the box was locked meanwhile
		return "", fault.New(fault.NotFound, "fault.sealed.no_parcel")
	}
	words = string(p.words)
	p.forget()
	return words, nil
}

// Taking is a parcel of somebody's own.
type Taking struct {
	ID    oplog.ID // of the act
	File  oplog.ID
	To    string
	Ready bool // somebody agreed
	Until time.Time
}

// Takings are the parcels somebody asked for, the oldest first.
func (d *Desk) Takings(a staff.Actor) (out []Taking) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweepParcels()
	for id, p := range d.parcels {
		if p.by == a.ID {
			out = append(out, Taking{ID: id, File: p.request.File, To: p.request.To, Ready: p.second != nil, Until: p.agreed.Add(takeLife)})
		}
	}
	slices.SortFunc(out, func(a, b Taking) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return out
}

// Take gives the parcel to the one who asked, once. That it left is in the file and in the
// open record before any of it is given out; where that cannot be written nothing leaves,
// and it can be tried again until its time is over. Faults: those of Read; NotFound
// "fault.sealed.no_parcel"; Denied "fault.sealed.not_second"; Busy "fault.staff.ask_lead";
// the log's own.
func (d *Desk) Take(ctx context.Context, s staff.Session, id oplog.ID) (age []byte, err error) {
	p := d.takeParcel(s.Actor.ID, id)
	if p == nil {
		return nil, fault.New(fault.NotFound, "fault.sealed.no_parcel")
	}
	defer func() {
		if err != nil {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.parcels[id] = p
		}
	}()
	f, who, err := d.load(s, p.request.File)
	if err != nil {
		return nil, err
	}
	h := handedOver{Request: p.request, Parcel: sha256.Sum256(p.sealed), First: p.first, Second: p.second}
	if second, known := who[p.second.Signer()]; !known || second.Off || !f.members[s.Actor.ID] || !d.handed(h) {
		return nil, fault.New(fault.Denied, "fault.sealed.not_second")
	}
	unwritten, err := d.o.Staff.TakingOut(ctx, s.Actor)
	if err != nil {
		return nil, err
	}
	d.told("who took a file out", unwritten)
	payloads, err := d.next(s, f, who, kindHandedOver, h, nil)
	if err != nil {
		return nil, err
	}
	fact := fileHanded{Request: sha256.Sum256(encode(p.request)), Parcel: h.Parcel, First: h.First, Second: h.Second}
	// One command: neither is there without the other. It names nobody who did it, as no
	// op of a file does; who did is in the hands.
	err = d.log.Do(ctx, oplog.By{}, func(tx *oplog.Tx) error {
		for _, payload := range payloads {
			if _, err := tx.AppendSealed(f.bind.file, payload); err != nil {
				return err
			}
		}
		_, err := tx.Append(fileHandedKind, oplog.NewID(), fact)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p.sealed, nil
}

// takeParcel takes it off the list, so that two requests at once get it once.
func (d *Desk) takeParcel(by staff.ID, id oplog.ID) *parcel {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweepParcels()
	p := d.parcels[id]
	if p == nil || p.by != by || p.second == nil {
		return nil
	}
	delete(d.parcels, id)
	return p
}

// Receipt says that a file was handed over. It names nobody it is about.
type Receipt struct {
	Number        oplog.ID
	File          oplog.ID
	To, Basis     string
	Agreed        bool
	Unasked       string
	Recipient     string // the receiver's age key; empty: five words
	At            time.Time
	First, Second string // user names; empty for somebody not known here
	Record        string // SHA-256 of the record inside, in hex
	Parcel        string // SHA-256 of what left, in hex
}

func (h *handedOver) receipt(e *entry, who people) *Receipt {
	r := h.Request
	return &Receipt{
		Number: r.Number, File: r.File, To: r.To, Basis: r.Basis, Agreed: r.Agreed, Unasked: r.Unasked, Recipient: r.Recipient, At: at(e.At),
		First: who[h.First.Signer()].User, Second: who[h.Second.Signer()].User, Record: hex.EncodeToString(r.Record[:]), Parcel: hex.EncodeToString(h.Parcel[:]),
	}
}

// out lists the hand-overs that two people signed, the newest first.
func (d *Desk) out(who people) ([]Broken, error) {
	return d.signed('h', func(body []byte) ([32]byte, Broken, bool) {
		var h fileHanded
		if decode(body, &h) != nil {
			return h.Request, Broken{}, false
		}
		b := Broken{First: who[h.First.Signer()].User, Second: who[h.Second.Signer()].User, Parcel: hex.EncodeToString(h.Parcel[:])}
		return h.Request, b, d.o.Staff.CheckHands(handAct(h.Request, h.Parcel), h.First, h.Second) == nil
	})
}

func cmpBroken(a, b Broken) int {
	if n := b.At.Compare(a.At); n != 0 {
		return n
	}
	return strings.Compare(a.Parcel+a.First, b.Parcel+b.First)
}
