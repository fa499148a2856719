package sealed

import (
	"bytes"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Kinds of entries. They are read inside a file only; nobody else sees a name.
const (
	kindTakenIn    = "taken_in"      // passed on by somebody who reads nothing here; the one kind nobody signs
	kindOpened     = "opened"        // a file begins
	kindNoted      = "noted"         // a note, and perhaps a day by which something is due
	kindAssigned   = "assigned"      // somebody works in the file from now on
	kindUnassigned = "unassigned"    // … and no longer
	kindClosed     = "closed"        // done
	kindLooked     = "looked"        // somebody opened the file
	kindLinked     = "intake_linked" // what was passed on belongs to another file
	kindResealed   = "resealed"      // sealed anew: it had been sealed to an epoch that ended
	kindMarked     = "marked"        // two officers opened it in an emergency
	kindHandedOver = "handed_over"   // it left the deployment, by two hands
	kindKeyed      = "keyed"         // begins a key and says nothing else
)

// entryVersion is the version of every kind here.
const entryVersion = 1

// record is what an entry says. Its author signs all of it.
type record struct {
	Narrow  staff.Narrow    `cbor:"1,keyasint"`
	Kind    string          `cbor:"2,keyasint"`
	Version uint            `cbor:"3,keyasint"`
	By      staff.ID        `cbor:"4,keyasint"`
	At      int64           `cbor:"5,keyasint"` // Unix seconds
	Unsure  bool            `cbor:"6,keyasint"` // nobody had set that clock
	Clock   uint64          `cbor:"7,keyasint"` // larger than that of every entry its author had seen
	Seen    [][16]byte      `cbor:"8,keyasint"` // the last entries its author had seen
	Key     [16]byte        `cbor:"9,keyasint"` // names the key it is sealed under
	Body    cbor.RawMessage `cbor:"10,keyasint"`
	Group   []staff.ID      `cbor:"11,keyasint,omitempty"` // begins a key: whom it is wrapped to
	Older   []key           `cbor:"12,keyasint,omitempty"` // … and the keys before it
	Wrapped []byte          `cbor:"13,keyasint,omitempty"` // … and to which officers: the first 8 bytes of their key
}

// signedRecord is the content of an entry.
type signedRecord struct {
	_      struct{} `cbor:",toarray"`
	Record []byte
	Sig    []byte // empty for what was taken in
}

// Bodies.
type (
	takenIn struct {
		About oplog.ID `cbor:"1,keyasint"`
		Codes []string `cbor:"2,keyasint,omitempty"`
		Note  string   `cbor:"3,keyasint,omitempty"`
	}
	opened struct {
		About oplog.ID   `cbor:"1,keyasint"`
		Due   int64      `cbor:"2,keyasint,omitempty"` // Unix seconds
		Codes []string   `cbor:"3,keyasint,omitempty"`
		Group []staff.ID `cbor:"4,keyasint,omitempty"` // who works in it besides its author
	}
	noted struct {
		Text string `cbor:"1,keyasint"`
		Due  int64  `cbor:"2,keyasint,omitempty"`
	}
	assigned struct {
		Who staff.ID `cbor:"1,keyasint"`
	}
	closed struct {
		Why string `cbor:"1,keyasint,omitempty"`
	}
	looked struct {
		Marked bool `cbor:"1,keyasint,omitempty"` // the file had been opened in an emergency before
	}
	linked struct {
		File   oplog.ID `cbor:"1,keyasint"` // in what was passed on: where it belongs; in the file: where it was
		Intake *takenIn `cbor:"2,keyasint,omitempty"`
		By     staff.ID `cbor:"3,keyasint,omitempty"`
		At     int64    `cbor:"4,keyasint,omitempty"`
	}
	resealed struct {
		Epoch uint32 `cbor:"1,keyasint"` // the one that had ended
	}
	marked struct {
		Request glassRequest `cbor:"1,keyasint"`
		First   staff.Hand   `cbor:"2,keyasint"`
		Second  staff.Hand   `cbor:"3,keyasint"`
	}
	handedOver struct {
		Request handRequest `cbor:"1,keyasint"`
		Parcel  [32]byte    `cbor:"2,keyasint"` // SHA-256 of what left
		First   staff.Hand  `cbor:"3,keyasint"`
		Second  staff.Hand  `cbor:"4,keyasint"`
	}
)

// Bounds of what an entry holds, in runes and items.
const (
	maxNote   = 8000
	maxCodes  = 40
	maxCode   = 60
	maxSeen   = 16
	maxGroup  = maxRecipients - 1 // the officers' key has a place too
	maxOlder  = 400
	farClock  = 1 << 48
	maxReason = 400
)

// message is what the author of a record signs.
func (b binder) message(rec []byte) []byte {
	return append(b.bytes("waypost/sealed-entry/1"), rec...)
}

// entry is a record with where it came from.
type entry struct {
	record
	id     [16]byte
	body   any
	signed bool
	raw    []byte // the record as it was signed
	sig    []byte // by its author; empty for what was taken in
}

// parseRecord reads the content of an entry sealed under k, and judges its signature.
// ok is false for what nobody in the directory signed, or for another file.
func (b binder) parseRecord(content []byte, k key, who people) (entry, bool) {
	var s signedRecord
	if decode(content, &s) != nil || !bytes.Equal(encode(s), content) {
		return entry{}, false
	}
	var e entry
	if decode(s.Record, &e.record) != nil || !bytes.Equal(encode(e.record), s.Record) {
		return entry{}, false
	}
	if e.Key != b.keyID(k) || e.Version != entryVersion || e.Clock >= farClock || len(e.Seen) > maxSeen || len(e.Group) > maxGroup || len(e.Older) > maxOlder {
		return entry{}, false
	}
	e.id, e.raw, e.sig = b.entryID(s.Record), s.Record, s.Sig
	author, known := who[e.By]
	e.signed = known && staff.Signed(author.Sign, b.message(s.Record), s.Sig)
	if !e.signed && (e.Kind != kindTakenIn || len(s.Sig) > 0) {
		return entry{}, false
	}
	var ok bool
	e.body, ok = bodyOf(e.Kind, e.Body)
	return e, ok
}

// bodyOf reads the body of a kind; an unknown kind is kept without one, to show that
// there is something this program does not know.
func bodyOf(kind string, raw []byte) (any, bool) {
	var b any
	switch kind {
	case kindTakenIn:
		b = new(takenIn)
	case kindOpened:
		b = new(opened)
	case kindNoted:
		b = new(noted)
	case kindAssigned, kindUnassigned:
		b = new(assigned)
	case kindClosed:
		b = new(closed)
	case kindLooked:
		b = new(looked)
	case kindLinked:
		b = new(linked)
	case kindResealed:
		b = new(resealed)
	case kindMarked:
		b = new(marked)
	case kindHandedOver:
		b = new(handedOver)
	case kindKeyed:
		b = new(struct{})
	default:
		return nil, true
	}
	return b, decode(raw, b) == nil
}

// sign makes the content of an entry. sign is the author's hand; nil for what is taken in.
func (b binder) sign(r record, sign func([]byte) ([]byte, bool)) ([]byte, bool) {
	rec := encode(r)
	s := signedRecord{Record: rec}
	if sign != nil {
		sig, ok := sign(b.message(rec))
		if !ok {
			return nil, false
		}
		s.Sig = sig
	}
	return encode(s), true
}

// groupOf is who works in a file, sorted: what a key is wrapped to.
func groupOf(members map[staff.ID]bool) []staff.ID {
	out := []staff.ID{}
	for id, in := range members {
		if in {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, func(a, b staff.ID) int { return bytes.Compare(a[:], b[:]) })
	return out
}
