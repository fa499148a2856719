package registration

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/waypost/waypost/appliance/staff"
)

// Aside is something said about a person that is not for the register: codes out of
// SensitiveCodes, a note, or both. It is passed on to the narrow compartment of its
// codes, without codes to protection, and is never stored here, in no fact, view, key,
// log or answer.
type Aside struct {
	Codes []string `json:"codes,omitempty"`
	Note  string   `json:"note,omitempty"`

	from string // field it was taken out of; empty when it was given as an aside
}

// field is where to show what is wrong with an aside.
func (a Aside) field() string { return cmp.Or(a.from, "aside") }

// divert takes out of p and relation what names a sensitive code and appends it to
// p.Aside, so that the rest can go into the open record. It comes before anything else
// looks at the values: also a hash of them, such as an idempotency key's, would let
// somebody who knows the rest try out the few codes there are. p must be a clone of
// what the caller holds.
//
// Lists and notes of everyday use are treated apart: with list, as for rows of a file, words
// that stand alone in any text count too, because nobody is typing who could be warned.
func divert(p *Person, relation *string, list bool) {
	p.divertNeeds()
	p.divertWords(relation)
	for _, t := range []struct {
		name string
		to   *string
	}{{"notes", &p.Notes}, {"description", &p.Description}} {
		*t.to = p.divertText(t.name, *t.to, list)
	}
	if !list {
		return
	}
	for _, t := range []struct {
		name string
		to   *string
	}{ // a column that was mapped to the wrong field
		{"given_name", &p.GivenName}, {"family_name", &p.FamilyName}, {"other_names", &p.OtherNames}, {"father_name", &p.FatherName},
		{"mother_name", &p.MotherName}, {"origin", &p.Origin}, {"destination", &p.Destination}, {"site", &p.Site}, {"phone", &p.Phone},
		{"nationality", &p.Nationality}, {"birth_date", &p.BirthDate}, {"arrived_at", &p.ArrivedAt},
	} {
		if code, ok := codeInText(*t.to); ok {
			p.aside(t.name, code, *t.to)
			*t.to = ""
		}
	}
}

// aside notes a code and, where that says more than the code, what was written.
func (p *Person) aside(from, code, written string) {
	a := Aside{Codes: []string{code}, from: from}
	if foldTerm(written) != foldTerm(code) {
		a.Note = strings.TrimSpace(written)
	}
	p.Aside = append(p.Aside, a)
}

// divertNeeds keeps practical needs, and what is neither: that is refused later.
func (p *Person) divertNeeds() {
	if len(p.Needs) > maxList {
		return // refused later, and looking at each takes long
	}
	var kept []string
	for _, s := range p.Needs {
		if need, ok := needOf(s); ok {
			kept = append(kept, need)
		} else if code, ok := sensitiveInside(s); ok {
			p.aside("needs", code, s)
		} else {
			kept = append(kept, s)
		}
	}
	p.Needs = kept
}

// divertWords looks at the short fields that take a word of somebody's own, and at sex.
func (p *Person) divertWords(relation *string) {
	short := func(name string, to *string, codes []string) {
		if slices.Contains(codes, strings.ToLower(strings.ReplaceAll(strings.TrimSpace(*to), " ", "_"))) {
			return
		}
		if code, ok := sensitiveCode(*to); ok {
			p.aside(name, code, *to)
			*to = ""
		}
	}
	short("sex", &p.Sex, Sexes())
	short("relation", relation, Relations())
	for i := range p.Documents {
		short("documents", &p.Documents[i].Type, DocumentTypes())
	}
	p.Consent = slices.DeleteFunc(p.Consent, func(c Consent) bool {
		purpose := c.Purpose
		short("consent", &purpose, Purposes())
		return purpose != c.Purpose
	})
}

// divertText takes whole parts out of a text: those with a two-part code in them, and of
// a list also those that are nothing but a word of the table.
func (p *Person) divertText(name, text string, list bool) string {
	parts := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",;|\n،؛", r) })
	var kept []string
	taken := false
	for _, part := range parts {
		code, ok := codeInText(part)
		if !ok && list {
			code, ok = sensitiveCode(part)
		}
		if ok {
			p.aside(name, code, part)
			taken = true
		} else if part = strings.TrimSpace(part); part != "" {
			kept = append(kept, part)
		}
	}
	if !taken {
		return text
	}
	return strings.Join(kept, ", ")
}

// diverted is what one compartment is told about one person.
type diverted struct {
	narrow staff.Narrow
	codes  []string
	note   string
}

// asides checks what was said aside and sorts it by compartment. A note goes where its
// codes do; where those lie in several, to the one whose people keep most to
// themselves; without codes, to protection. Notes that are too long together are told
// one after the other.
func (c *checker) asides(in []Aside) (out []diverted) {
	of := func(n staff.Narrow, room int) *diverted {
		for i := range out {
			if out[i].narrow == n && utf8.RuneCountInString(out[i].note)+room <= maxNotes {
				return &out[i]
			}
		}
		out = append(out, diverted{narrow: n})
		return &out[len(out)-1]
	}
	for _, a := range in {
		to := staff.Narrow("")
		for _, code := range a.Codes {
			n, ok := narrowOf(code)
			if !ok {
				c.wrong(a.field(), "need", "Given", safe(code))
				continue
			}
			if d := of(n, 0); !slices.Contains(d.codes, code) {
				d.codes = append(d.codes, code)
			}
			if to == "" || slices.Index(staff.Narrows(), n) < slices.Index(staff.Narrows(), to) {
				to = n
			}
		}
		if note := c.lines(a.field(), a.Note, maxNotes); note != "" {
			d := of(cmp.Or(to, staff.NarrowProtection), utf8.RuneCountInString(note)+1)
			d.note = strings.TrimPrefix(d.note+"\n"+note, "\n")
		}
	}
	slices.SortStableFunc(out, func(a, b diverted) int {
		return slices.Index(staff.Narrows(), a.narrow) - slices.Index(staff.Narrows(), b.narrow)
	})
	return out
}
