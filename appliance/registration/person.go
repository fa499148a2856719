package registration

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
)

// Person is what somebody says about themselves, in the words of the contract.
// JSON names are the public ones; CBOR numbers are the stored ones and are never
// used again for something else. An empty field means "not said".
type Person struct {
	GivenName   string     `json:"given_name,omitempty" cbor:"1,keyasint,omitempty"`
	FamilyName  string     `json:"family_name,omitempty" cbor:"2,keyasint,omitempty"`
	OtherNames  string     `json:"other_names,omitempty" cbor:"3,keyasint,omitempty"` // other spellings and scripts, nicknames
	Sex         string     `json:"sex,omitempty" cbor:"4,keyasint,omitempty"`         // one of Sexes
	BirthDate   string     `json:"birth_date,omitempty" cbor:"5,keyasint,omitempty"`  // 2006-01-02, 2006-01 or 2006
	Age         *int       `json:"age,omitempty" cbor:"6,keyasint,omitempty"`         // whole years on the day AgeAt
	Precision   string     `json:"precision,omitempty" cbor:"7,keyasint,omitempty"`   // one of Precisions
	AgeAt       string     `json:"age_at,omitempty" cbor:"8,keyasint,omitempty"`      // the day Age was true; the desk fills in today
	Nationality string     `json:"nationality,omitempty" cbor:"9,keyasint,omitempty"` // ISO 3166-1 alpha-3, XXA stateless, XXX unknown
	Languages   []string   `json:"languages,omitempty" cbor:"10,keyasint,omitempty"`  // BCP 47
	Phone       string     `json:"phone,omitempty" cbor:"11,keyasint,omitempty"`
	Documents   []Document `json:"documents,omitempty" cbor:"12,keyasint,omitempty"`
	FatherName  string     `json:"father_name,omitempty" cbor:"13,keyasint,omitempty"`
	MotherName  string     `json:"mother_name,omitempty" cbor:"14,keyasint,omitempty"`
	Origin      string     `json:"origin,omitempty" cbor:"15,keyasint,omitempty"`
	Destination string     `json:"destination,omitempty" cbor:"16,keyasint,omitempty"`
	ArrivedAt   string     `json:"arrived_at,omitempty" cbor:"17,keyasint,omitempty"` // RFC 3339, or a date
	Needs       []string   `json:"needs,omitempty" cbor:"18,keyasint,omitempty"`      // codes out of Needs
	Consent     []Consent  `json:"consent,omitempty" cbor:"19,keyasint,omitempty"`
	Notes       string     `json:"notes,omitempty" cbor:"20,keyasint,omitempty"`
	NameUnknown bool       `json:"name_unknown,omitempty" cbor:"21,keyasint,omitempty"`
	Description string     `json:"description,omitempty" cbor:"22,keyasint,omitempty"`
	Site        string     `json:"site,omitempty" cbor:"23,keyasint,omitempty"` // only when it is not the site of the node that writes
	Photo       string     `json:"photo,omitempty" cbor:"-"`                    // an upload's id; stored by a fact of its own
	Aside       []Aside    `json:"-" cbor:"-"`                                  // passed on, stored nowhere here; see divert
}

// Document is a paper somebody showed or told of.
type Document struct {
	Type   string `json:"type,omitempty" cbor:"1,keyasint,omitempty"` // one of DocumentTypes, or a short word of their own
	Number string `json:"number" cbor:"2,keyasint,omitempty"`
	Issuer string `json:"issuer,omitempty" cbor:"3,keyasint,omitempty"` // a country or an authority
}

// Consent is a yes or a no to one use of the data.
type Consent struct {
	Purpose string `json:"purpose" cbor:"1,keyasint,omitempty"` // one of Purposes, or a short word of their own
	Given   bool   `json:"given" cbor:"2,keyasint,omitempty"`
	At      string `json:"at,omitempty" cbor:"3,keyasint,omitempty"` // RFC 3339; the desk fills in now
	By      string `json:"by,omitempty" cbor:"4,keyasint,omitempty"` // who asked; the desk fills in the actor
}

// LogValue prints how many fields are filled in and nothing else, so that a person
// handed to a logger by mistake leaves no trace.
func (p Person) LogValue() slog.Value {
	p.Aside = nil // not even that there was one
	n, v := 0, reflect.ValueOf(p)
	for i := range v.NumField() {
		if !v.Field(i).IsZero() {
			n++
		}
	}
	return slog.IntValue(n)
}

// String keeps fmt from printing a person.
func (p Person) String() string { return "person(" + p.LogValue().String() + " fields)" }

// clone copies p so deeply that the copy can be changed.
func (p Person) clone() Person {
	if p.Age != nil {
		p.Age = new(*p.Age)
	}
	p.Languages, p.Needs = slices.Clone(p.Languages), slices.Clone(p.Needs)
	p.Documents, p.Consent, p.Aside = slices.Clone(p.Documents), slices.Clone(p.Consent), slices.Clone(p.Aside)
	return p
}

// DecodePerson reads one person in JSON. Unknown fields, fields of the wrong type
// and anything after the object are refused: Invalid "fault.registration.invalid"
// naming the field, or "fault.registration.json" when it is no JSON at all. It does
// not check the values; the desk does.
func DecodePerson(r io.Reader) (Person, error) {
	var p Person
	return p, decodeStrict(r, &p)
}

// DecodeHousehold reads a household in JSON, as strictly as DecodePerson.
func DecodeHousehold(r io.Reader) (NewHousehold, error) {
	var h NewHousehold
	return h, decodeStrict(r, &h)
}

// DecodePatch reads the fields of a correction: one JSON object of field names and
// new values, null to clear. Values are checked by Correct.
func DecodePatch(r io.Reader) (Patch, error) {
	var p Patch
	if err := decodeStrict(r, &p.Fields); err != nil {
		return Patch{}, err
	}
	if len(p.Fields) == 0 {
		return Patch{}, fault.New(fault.Invalid, "fault.registration.nothing")
	}
	return p, nil
}

func decodeStrict(r io.Reader, into any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return jsonFault(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "fault.registration.json")
	}
	return nil
}

// jsonFault names the field a decoder stumbled over. encoding/json has no type for
// an unknown field, so its message is read; a test holds that wording.
func jsonFault(err error) error {
	invalid := fault.New(fault.Invalid, "fault.registration.invalid")
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) && typ.Field != "" {
		return invalid.With(typ.Field, "registration.problem.type")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if plain, err := strconv.Unquote(name); err == nil {
			name = plain
		}
		return invalid.With(clip(name, 60), "registration.problem.unknown_field")
	}
	var known *fault.Error
	if errors.As(err, &known) {
		return known // the reader's own: too large, for example
	}
	return fault.New(fault.Invalid, "fault.registration.json").Wrap(err)
}

// decodeField sets one field of p from its JSON value; null clears it.
func decodeField(p *Person, name string, raw json.RawMessage) error {
	if !isField(name) {
		return fault.New(fault.Invalid, "fault.registration.invalid").With(clip(name, 60), "registration.problem.unknown_field")
	}
	clearField(p, name)
	if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return nil
	}
	key, err := json.Marshal(name)
	if err != nil {
		return fault.New(fault.Invalid, "fault.registration.json")
	}
	doc := slices.Concat([]byte("{"), key, []byte(":"), raw, []byte("}"))
	return decodeStrict(bytes.NewReader(doc), p)
}

// clip shortens what came from outside before it is echoed in a message.
func clip(s string, max int) string {
	r := []rune(s)
	if len(r) > max {
		return string(r[:max]) + "…"
	}
	return s
}
