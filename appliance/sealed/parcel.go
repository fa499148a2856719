package sealed

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// A parcel is what a receiver gets: one file of the age format (age-encryption.org/v1),
// which stock tools open with five words or with the receiver's key. In it is a zip archive
// with record.json, and the papers that people read.

// Paper is a file in a parcel.
type Paper struct {
	Name string
	Body []byte
}

// Handed is record.json: what a file says, with the signatures of who wrote it. Entries
// that only say who looked, and what is about keys, are left out and counted.
type Handed struct {
	Format     string        `json:"format"`     // HandedFormat
	Deployment string        `json:"deployment"` // hex
	File       string        `json:"file"`       // its number
	FileBytes  string        `json:"file_bytes"` // the same in hex, as it is signed
	Desk       staff.Narrow  `json:"desk"`
	Number     string        `json:"receipt"`
	To         string        `json:"to"`
	Basis      string        `json:"basis"`
	Agreed     bool          `json:"agreed"`
	Unasked    string        `json:"not_asked_because,omitempty"`
	Person     string        `json:"person,omitempty"`
	AskedBy    string        `json:"asked_by"`
	AskedAt    time.Time     `json:"asked_at"`
	Signed     string        `json:"signed_bytes"` // what a signature stands under
	Entries    []HandedEntry `json:"entries"`
	LeftOut    int           `json:"entries_left_out"`
	Refused    int           `json:"entries_refused"`
	Shut       int           `json:"entries_unreadable"`
	Nonce      string        `json:"nonce"` // so that nobody finds out what it says by its hash
}

// HandedEntry is one entry. A signature is by PublicKey over SignedBytes and Record.
type HandedEntry struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	At        time.Time `json:"at"`
	Unsure    bool      `json:"clock_not_set,omitempty"`
	By        string    `json:"by"`
	Name      string    `json:"name,omitempty"`
	Text      string    `json:"text,omitempty"`
	Codes     []string  `json:"codes,omitempty"`
	Due       string    `json:"due,omitempty"`
	Who       string    `json:"who,omitempty"`
	PublicKey string    `json:"public_key,omitempty"` // Ed25519, hex
	Record    string    `json:"record,omitempty"`     // CBOR, base64
	Signature string    `json:"signature,omitempty"`  // base64
	// HoldsKeys: the record that was signed has keys of the file in it and stays here. What
	// it says is above, without its proof.
	HoldsKeys bool `json:"record_holds_keys,omitempty"`
}

// HandedFormat and SignedBytes are constants of the format.
const (
	HandedFormat = "waypost/handed-over/1"
	SignedBytes  = "waypost/staff-signature/1 | waypost/sealed-entry/1 | deployment (16 bytes) | file (10 bytes) | record"
)

// handedKinds are the entries that a receiver gets.
var handedKinds = map[string]bool{
	kindTakenIn: true, kindOpened: true, kindNoted: true, kindAssigned: true, kindUnassigned: true, kindClosed: true, kindLinked: true,
}

// handedOf is the record of a file.
func (f *file) handed(r handRequest, h HandOver, by staff.Actor, now time.Time, who people) Handed {
	out := Handed{
		Format: HandedFormat, Deployment: hex.EncodeToString(f.bind.deployment[:]), File: f.bind.file.String(), FileBytes: hex.EncodeToString(f.bind.file[:]),
		Desk: f.narrow, Number: r.Number.String(), To: r.To, Basis: r.Basis, Agreed: r.Agreed, Unasked: r.Unasked, Person: h.Person, AskedBy: by.Name,
		AskedAt: now.UTC().Truncate(time.Second), Signed: SignedBytes, Refused: f.dropped, Shut: f.shut, Nonce: hex.EncodeToString(r.Nonce[:]), Entries: []HandedEntry{},
	}
	for i := range f.entries {
		e := &f.entries[i]
		if !handedKinds[e.Kind] {
			out.LeftOut++
			continue
		}
		l := f.line(e, who)
		x := HandedEntry{ID: hex.EncodeToString(e.id[:]), Kind: e.Kind, At: l.At, Unsure: l.Unsure, By: l.By.String(), Name: l.ByName, Text: l.Text, Codes: l.Codes, Who: l.Name}
		if !l.Due.IsZero() {
			x.Due = l.Due.Format(time.DateOnly)
		}
		switch {
		case len(e.Older) > 0:
			x.HoldsKeys = true
		case e.signed:
			key := who[e.By].Sign
			x.PublicKey, x.Record, x.Signature = hex.EncodeToString(key[:]), base64.StdEncoding.EncodeToString(e.raw), base64.StdEncoding.EncodeToString(e.sig)
		}
		out.Entries = append(out.Entries, x)
	}
	return out
}

// pack makes and closes a parcel.
func (d *Desk) pack(f *file, by staff.Actor, h HandOver, papers func(Handed) []Paper, who people) (*parcel, error) {
	now := d.o.Clock.Now()
	r := handRequest{
		File: f.bind.file, Narrow: f.narrow, To: h.To, Basis: h.Basis, Agreed: h.Agreed, Unasked: h.Unasked, Recipient: h.Recipient, Number: oplog.NewID(), Nonce: nonce(),
	}
	doc := f.handed(r, h, by, now, who)
	raw, err := recordOf(doc)
	if err != nil {
		return nil, fault.Of(err)
	}
	r.Record = sha256.Sum256(raw)
	plain, err := archive(append([]Paper{{Name: "record.json", Body: raw}}, papers(doc)...), now)
	if err != nil {
		return nil, fault.Of(err)
	}
	defer clear(plain)
	p := &parcel{request: r, by: by.ID, at: now}
	if p.sealed, p.words, err = d.close(plain, h.Recipient); err != nil {
		return nil, err
	}
	if len(p.sealed) > maxParcel {
		return nil, fault.New(fault.Invalid, "fault.sealed.out_large")
	}
	p.sum = sha256.Sum256(p.sealed)
	return p, nil
}

func recordOf(doc Handed) ([]byte, error) {
	var raw bytes.Buffer
	e := json.NewEncoder(&raw)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(doc)
	return raw.Bytes(), err
}

func archive(papers []Paper, now time.Time) ([]byte, error) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, p := range papers {
		w, err := z.CreateHeader(&zip.FileHeader{Name: p.Name, Method: zip.Deflate, Modified: now.UTC().Truncate(time.Minute)})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(p.Body); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return out.Bytes(), err
}

// stretch is the work of a passphrase: 2^15, 32 MB. Five words are 64 bits by themselves,
// and age's own 2^18 takes 256 MB, which small boxes do not have.
const stretch = 15

// recipientOf reads a receiver's key of the age format (age1…).
func recipientOf(text string) (age.Recipient, error) { return age.ParseX25519Recipient(text) }

// close encrypts a parcel, to the receiver's key or to five words that are drawn now.
func (d *Desk) close(plain []byte, recipient string) (sealed, words []byte, err error) {
	var to age.Recipient
	if recipient != "" {
		if to, err = recipientOf(recipient); err != nil {
			return nil, nil, fault.New(fault.Invalid, "fault.sealed.out_key").Wrap(err)
		}
	} else {
		five, err := staff.GeneratePassphrase()
		if err != nil {
			return nil, nil, fault.Of(err)
		}
		words = []byte(strings.Join(five, " "))
		byWords, err := age.NewScryptRecipient(string(words))
		if err != nil {
			return nil, nil, fault.Of(err)
		}
		byWords.SetWorkFactor(stretch)
		to = byWords
	}
	d.wrapping.Lock()
	defer d.wrapping.Unlock()
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err != nil {
		return nil, nil, fault.Of(err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, nil, fault.Of(err)
	}
	if err := w.Close(); err != nil {
		return nil, nil, fault.Of(err)
	}
	return out.Bytes(), words, nil
}
