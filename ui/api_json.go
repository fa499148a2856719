package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// Bounds of a JSON document, besides its size.
const (
	maxDepth  = 16       // levels; the deepest document of the contract has five
	maxValues = 10_000   // names and values: a household of 100 people has about 6,000
	maxString = 64 << 10 // bytes of one text as it is written; the longest of the contract has 4,000 letters
)

// json sends an answer.
func (v *visit) json(status int, answer any) error {
	b, err := json.Marshal(answer)
	if err != nil {
		return fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	v.c.Status(status)
	v.c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSONCharsetUTF8)
	return v.c.Send(b)
}

// document is the JSON document that was sent. encoding/json by itself takes a
// name in any case, the last of two values with one name, and replaces what is no
// UTF-8; each of these could make two readers see two different people, so all
// are refused. Faults: Unsupported "fault.api.json_type", Invalid
// "fault.api.json", "fault.api.depth", "fault.api.values", "fault.api.fields" naming the field.
func (v *visit) document() ([]byte, error) {
	kind, params, err := mime.ParseMediaType(v.c.Get(fiber.HeaderContentType))
	charset := params["charset"]
	if err != nil || kind != fiber.MIMEApplicationJSON || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, fault.New(fault.Unsupported, "fault.api.json_type")
	}
	if err := bounded(v.body); err != nil {
		return nil, err
	}
	if err := strict(v.body); err != nil {
		return nil, err
	}
	return v.body, nil
}

// bounded looks at how much a document asks of whoever reads it, without reading it:
// 170,000 needs in a list cost a minute of work, one text of 700 KB eight times its size,
// and a key can send them as fast as it likes. What is no JSON is for strict to find.
func bounded(doc []byte) error {
	depth, values, text, began := 0, 0, false, 0
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case text && c == '\\':
			i++
		case text && c == '"':
			if text = false; i-began > maxString {
				return fault.New(fault.Invalid, "fault.api.values", "Max", maxValues, "Kilobytes", maxString>>10)
			}
		case text:
		case c == '"':
			text, began = true, i
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return fault.New(fault.Invalid, "fault.api.depth", "Max", maxDepth)
			}
			values++
		case c == '}' || c == ']':
			depth--
		case c == ',' || c == ':':
			values++
		}
		if values > maxValues {
			return fault.New(fault.Invalid, "fault.api.values", "Max", maxValues, "Kilobytes", maxString>>10)
		}
	}
	if text && len(doc)-began > maxString {
		return fault.New(fault.Invalid, "fault.api.values", "Max", maxValues, "Kilobytes", maxString>>10)
	}
	return nil
}

// decode reads the document that was sent into a struct, and refuses fields it
// does not have.
func (v *visit) decode(into any) error {
	doc, err := v.document()
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return jsonFault(err)
	}
	return nil
}

// jsonFault names the field a decoder stumbled over. encoding/json has no type
// for an unknown field, so its wording is read; a test holds it.
func jsonFault(err error) error {
	fields := fault.New(fault.Invalid, "fault.api.fields")
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) && typ.Field != "" {
		return fields.With(typ.Field, "fault.api.field_type")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if plain, err := strconv.Unquote(name); err == nil {
			name = plain
		}
		return fields.With(short(name), "fault.api.field_unknown")
	}
	return fault.New(fault.Invalid, "fault.api.json").Wrap(err)
}

// short cuts what came from outside before it is said back.
func short(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

// strict checks that doc is one JSON document, valid UTF-8, of bounded depth,
// whose objects name each field once and in the spelling of the contract: ASCII
// without capitals.
func strict(doc []byte) error {
	bad := fault.New(fault.Invalid, "fault.api.json")
	if !utf8.Valid(doc) || len(bytes.TrimSpace(doc)) == 0 {
		return bad
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var open []level
	for first := true; first || len(open) > 0; first = false {
		token, err := d.Token()
		if err != nil {
			return bad.Wrap(err)
		}
		if open, err = step(open, token); err != nil {
			return err
		}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return bad
	}
	return nil
}

// level is an object or array that strict is inside of.
type level struct {
	names map[string]bool // nil in an array
	value bool            // the next token is a value
}

// step takes one token.
func step(open []level, token json.Token) ([]level, error) {
	if delim, ok := token.(json.Delim); ok {
		switch delim {
		case '}', ']':
			return open[:len(open)-1], nil
		}
		if len(open) == maxDepth {
			return nil, fault.New(fault.Invalid, "fault.api.depth", "Max", maxDepth)
		}
		if at := len(open) - 1; at >= 0 {
			open[at].value = false
		}
		next := level{}
		if delim == '{' {
			next.names = map[string]bool{}
		}
		return append(open, next), nil
	}
	if len(open) == 0 {
		return open, nil
	}
	at := &open[len(open)-1]
	if at.names == nil || at.value {
		at.value = false
		return open, nil
	}
	name, _ := token.(string)
	fields := fault.New(fault.Invalid, "fault.api.fields")
	if !plainName(name) {
		return nil, fields.With(short(name), "fault.api.field_unknown")
	}
	if at.names[name] {
		return nil, fields.With(short(name), "fault.api.field_twice")
	}
	at.names[name], at.value = true, true
	return open, nil
}

// plainName tells whether name could be a field of the contract.
func plainName(name string) bool {
	for _, r := range name {
		if r >= utf8.RuneSelf || r >= 'A' && r <= 'Z' {
			return false
		}
	}
	return true
}

// id is a part of the path that is an id; ids are opaque, so whatever is none is
// simply not there.
func (v *visit) id(name string) (oplog.ID, error) {
	id, err := oplog.ParseID(v.param(name))
	if err != nil {
		return oplog.ID{}, fault.New(fault.NotFound, "fault.api.no_such").Wrap(err)
	}
	return id, nil
}

// when is a time as RFC 3339, or nil for one that is not known.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// seconds is a duration from a field in seconds. Faults: Invalid
// "fault.api.fields".
func seconds(name string, n int64) (time.Duration, error) {
	if n < 0 || n > int64(10*366*24*time.Hour/time.Second) {
		return 0, fault.New(fault.Invalid, "fault.api.fields").With(name, "fault.api.field_range")
	}
	return time.Duration(n) * time.Second, nil
}
