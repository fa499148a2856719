package registration

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/waypost/waypost/appliance/fault"
)

// Longest values, in characters. A whole person stays far below the 64 KB an op may
// have, also when every character takes four bytes.
const (
	maxName        = 200
	maxPlace       = 200
	maxShort       = 60 // phone, document number, codes
	maxNotes       = 4000
	maxDescription = 1000
	maxList        = 30 // languages, documents, needs, consent entries
)

// checker collects everything that is wrong with one person, so that a form can show
// all of it at once.
type checker struct {
	prefix string // "members.2." inside a household
	at     moment
	faults []fault.Field
}

func (c *checker) wrong(name, key string, args ...any) {
	e := fault.New(fault.Invalid, "").With(c.prefix+name, "registration.problem."+key, args...)
	c.faults = append(c.faults, e.Fields...)
}

// err is the fault that names all of it, or nil.
func (c *checker) err() error {
	if len(c.faults) == 0 {
		return nil
	}
	e := fault.New(fault.Invalid, "fault.registration.invalid", "Count", len(c.faults))
	e.Fields = c.faults
	return e
}

// person normalises p and checks every field of it. What it returns is to be stored
// only when nothing was wrong.
func (c *checker) person(p Person) Person {
	p = p.clone()
	p.Aside = nil // see asides
	for _, t := range []struct {
		name string
		to   *string
		max  int
	}{
		{"given_name", &p.GivenName, maxName}, {"family_name", &p.FamilyName, maxName}, {"other_names", &p.OtherNames, maxName},
		{"father_name", &p.FatherName, maxName}, {"mother_name", &p.MotherName, maxName},
		{"origin", &p.Origin, maxPlace}, {"destination", &p.Destination, maxPlace}, {"site", &p.Site, maxPlace},
	} {
		*t.to = c.line(t.name, *t.to, t.max)
	}
	p.Notes = c.lines("notes", p.Notes, maxNotes)
	p.Description = c.lines("description", p.Description, maxDescription)
	p.Sex = c.code("sex", p.Sex, Sexes(), "sex")
	c.birth(&p)
	p.Nationality = c.nationality(p.Nationality)
	p.Languages = c.languages(p.Languages)
	p.Phone = c.phone(p.Phone)
	p.Documents = c.documents(p.Documents)
	p.ArrivedAt = c.moment("arrived_at", p.ArrivedAt, true)
	p.Needs = c.needs(p.Needs)
	p.Consent = c.consent(p.Consent)
	c.named(&p)
	return p
}

// named asks for a name, or for a description of somebody nobody can name. As soon as
// there is a name, the person is no longer unnamed.
func (c *checker) named(p *Person) {
	if p.GivenName != "" || p.FamilyName != "" || p.OtherNames != "" {
		p.NameUnknown = false
		return
	}
	switch {
	case p.NameUnknown && p.Description == "":
		c.wrong("description", "description_required")
	case !p.NameUnknown:
		c.wrong("given_name", "name_required")
	}
}

// line is a text of one line: NFC (Unicode UAX 15), trimmed, spaces collapsed.
func (c *checker) line(name, s string, max int) string {
	return c.text(name, s, max, false)
}

// lines is a text that may have line breaks.
func (c *checker) lines(name, s string, max int) string {
	return c.text(name, s, max, true)
}

func (c *checker) text(name, s string, max int, breaks bool) string {
	if len(s) > 16*max { // bytes; so no time is spent on megabytes
		c.wrong(name, "too_long", "Max", max)
		return ""
	}
	clean, problem := cleanText(s, breaks)
	switch {
	case problem != "":
		c.wrong(name, problem)
		return ""
	case utf8.RuneCountInString(clean) > max:
		c.wrong(name, "too_long", "Max", max)
		return ""
	}
	return clean
}

// cleanText normalises s, or names what is wrong with it: bytes that are no UTF-8 (or
// the sign an earlier program left for such), or characters that act instead of being
// seen. Joiners stay: Persian and Indic names need them. Direction marks are dropped:
// pages isolate every name by themselves.
func cleanText(s string, breaks bool) (clean, problem string) {
	if !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) {
		return "", "encoding"
	}
	if breaks {
		s = strings.ReplaceAll(s, "\r\n", "\n")
	}
	s = strings.TrimSpace(strings.TrimPrefix(s, "\ufeff"))
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range s {
		switch {
		case breaks && r == '\n':
			b.WriteRune(r)
			space = false
			continue
		case directionMark(r):
			continue
		case r == '\t' && breaks:
			space = true
			continue
		case unicode.IsControl(r) || acts(r):
			return "", "control"
		case unicode.IsSpace(r):
			space = true
			continue
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(r)
	}
	return norm.NFC.String(strings.TrimSpace(b.String())), ""
}

// directionMark is LRM, RLM or ALM.
func directionMark(r rune) bool { return r == '\u200e' || r == '\u200f' || r == '\u061c' }

// acts reports characters that change how other text is read: bidirectional
// embeddings, overrides and isolates, line separators, interlinear marks, tags, a
// byte order mark in the middle of text.
func acts(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\u2028' || r == '\u2029' ||
		r >= '\ufff9' && r <= '\ufffb' || r == '\ufeff' || r >= 0xe0000 && r <= 0xe007f
}

// code is a word out of a closed list, in any case.
func (c *checker) code(name, s string, list []string, problem string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "" || contains(list, s) {
		return s
	}
	c.wrong(name, problem, "Given", safe(s), "Codes", strings.Join(list, ", "))
	return ""
}

// word is a short free word that may be a code.
func (c *checker) word(name, s string, list []string) string {
	s = c.line(name, s, maxShort)
	if low := strings.ToLower(strings.ReplaceAll(s, " ", "_")); contains(list, low) {
		return low
	}
	return s
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// safe echoes a wrong code in a message. Codes are not names, but a column mapped to
// the wrong field could hold some, so only what looks like a code is repeated, and no
// sensitive one.
func safe(s string) string {
	if _, sensitive := sensitiveInside(s); sensitive || len(s) > 24 {
		return "…"
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' {
			return "…"
		}
	}
	return s
}
