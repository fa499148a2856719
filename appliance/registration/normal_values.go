package registration

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/language"

	"github.com/waypost/waypost/appliance/fault"
)

// Limits of ages and years.
const (
	maxAge      = 130
	firstYear   = 1880 // nobody alive was born earlier
	ageSlack    = 5    // years a birth date and an age may differ: lists carry ages of another day
	guessSlack  = 12   // the same when one of the two is estimated
	unsureYears = 2    // how far ahead of an unset clock a date may lie
)

// birth checks birth date, age and precision together.
func (c *checker) birth(p *Person) {
	p.BirthDate = digits(strings.TrimSpace(p.BirthDate))
	p.Precision = c.code("precision", p.Precision, Precisions(), "precision")
	p.AgeAt = c.ageAt(p)
	if p.BirthDate != "" {
		c.birthDate(p)
	}
	if p.Age != nil && (*p.Age < 0 || *p.Age > maxAge) {
		c.wrong("age", "age", "Max", maxAge)
		p.Age = nil
	}
	switch {
	case p.BirthDate == "" && p.Age == nil:
		if p.Precision != "" && !c.has("birth_date", "age") {
			c.wrong("precision", "precision_alone")
		}
		return
	case p.BirthDate == "":
		if p.Precision == "" {
			p.Precision = "year"
		} else if p.Precision == "day" || p.Precision == "month" {
			c.wrong("precision", "precision_fit")
		}
	case p.Age != nil:
		c.bothFit(p)
	}
	if p.Age != nil && p.AgeAt == "" && p.BirthDate == "" {
		p.AgeAt = c.at.today()
	}
}

// birthDate reads an ISO 8601 date, whole or shortened to a month or a year, or
// YYYYMMDD, and sees that the precision promises no more than there is.
func (c *checker) birthDate(p *Person) {
	t, iso, known, ok := readDate(p.BirthDate)
	if !ok {
		c.wrong("birth_date", "date")
		p.BirthDate = ""
		return
	}
	p.BirthDate = iso
	switch {
	case t.Year() < firstYear || c.at.plausible() && t.Before(c.at.at.AddDate(-maxAge-1, 0, 0)):
		c.wrong("birth_date", "date_past", "Max", maxAge)
	case c.ahead(t):
		c.wrong("birth_date", "date_future")
	}
	if p.Precision == "" {
		p.Precision = known
	} else if finer(p.Precision, known) {
		c.wrong("precision", "precision_fit")
	}
}

// finer reports whether precision a promises more than b.
func finer(a, b string) bool {
	return a == "day" && b != "day" || a == "month" && b == "year"
}

// ahead reports whether t lies in the future, as far as this clock can tell: a box
// that was switched off for a year wakes up with an old date.
func (c *checker) ahead(t time.Time) bool {
	switch {
	case !c.at.plausible():
		return false
	case c.at.sure:
		return t.After(c.at.at.AddDate(0, 0, 1)) // it may be tomorrow already, further east
	}
	return t.After(c.at.at.AddDate(unsureYears, 0, 0))
}

// readDate returns the first day meant, the ISO form and the smallest part given.
func readDate(s string) (t time.Time, iso, known string, ok bool) {
	for _, f := range []struct{ in, out, known string }{
		{"2006-01-02", "2006-01-02", "day"}, {"20060102", "2006-01-02", "day"}, {"2006-01", "2006-01", "month"}, {"2006", "2006", "year"},
	} {
		if len(s) != len(f.in) {
			continue
		}
		if t, err := time.Parse(f.in, s); err == nil {
			return t, t.Format(f.out), f.known, true
		}
	}
	return time.Time{}, "", "", false
}

// bothFit refuses a birth date and an age that cannot both be meant.
func (c *checker) bothFit(p *Person) {
	t, _, _, ok := readDate(p.BirthDate)
	on := c.at.at
	if p.AgeAt != "" {
		on, _ = time.Parse(time.DateOnly, p.AgeAt)
	}
	if !ok || on.Year() < earliest {
		return
	}
	slack := ageSlack
	if p.Precision == "estimated" {
		slack = guessSlack
	}
	years := on.Year() - t.Year()
	if on.YearDay() < t.YearDay() {
		years--
	}
	if off := years - *p.Age; off > slack || off < -slack {
		c.wrong("age", "age_birth")
	}
}

func (c *checker) ageAt(p *Person) string {
	s := digits(strings.TrimSpace(p.AgeAt))
	if s == "" || p.Age == nil {
		return ""
	}
	t, iso, known, ok := readDate(s)
	if !ok || known != "day" || t.Year() < firstYear || c.ahead(t) {
		c.wrong("age_at", "date")
		return ""
	}
	return iso
}

// has reports whether one of the fields was already found wrong.
func (c *checker) has(names ...string) bool {
	return slices.ContainsFunc(c.faults, func(f fault.Field) bool {
		return slices.Contains(names, strings.TrimPrefix(f.Name, c.prefix))
	})
}

// Countries that ISO 3166-3 lists as withdrawn but whose codes the language registry
// still knows under the old name.
var withdrawn = [...]string{"SUN", "YUG", "SCG", "ANT", "DDR", "BUR", "TMP", "ZAR", "CSK", "YMD", "NTZ", "FXX", "XKK"}

// nationality is an ISO 3166-1 alpha-3 code (the list is that of golang.org/x/text/language),
// or one of two of ICAO Doc 9303 part 3: XXA for a stateless person as in the 1954
// Convention, XXX for somebody whose nationality is not known. Its XXB and XXC say
// that somebody is a refugee, which is no business of a registration post.
func (c *checker) nationality(s string) string {
	s = strings.ToUpper(strings.TrimSpace(s))
	if s == "" || s == "XXA" || s == "XXX" {
		return s
	}
	if len(s) == 3 && !slices.Contains(withdrawn[:], s) {
		if r, err := language.ParseRegion(s); err == nil && r.IsCountry() && !r.IsPrivateUse() && r.ISO3() == s {
			return s
		}
	}
	c.wrong("nationality", "nationality", "Given", safe(s))
	return ""
}

// languages are BCP 47 tags, in canonical form, each once.
func (c *checker) languages(in []string) []string {
	if c.tooMany("languages", len(in)) {
		return nil
	}
	var out []string
	for _, s := range in {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		tag, err := language.Parse(s)
		if err != nil || len(s) > maxShort || tag == language.Und {
			c.wrong("languages", "language", "Given", safe(s))
			continue
		}
		if canonical := tag.String(); !contains(out, canonical) {
			out = append(out, canonical)
		}
	}
	return out
}

// phone keeps a number as it was written, with Latin digits: it is there to be dialled.
func (c *checker) phone(s string) string {
	s = digits(c.line("phone", s, maxShort))
	if s == "" {
		return ""
	}
	n := len(onlyDigits(s))
	rest := strings.ReplaceAll(strings.ToLower(s), "ext", "x")
	odd := strings.ContainsFunc(rest, func(r rune) bool {
		return !(r >= '0' && r <= '9') && !strings.ContainsRune(" +-().,/#*x\u2010\u2011\u2013", r)
	})
	if odd || n < 3 || n > 30 {
		c.wrong("phone", "phone")
		return ""
	}
	return s
}

func (c *checker) documents(in []Document) []Document {
	if c.tooMany("documents", len(in)) {
		return nil
	}
	var out []Document
	for i, d := range in {
		at := "documents." + strconv.Itoa(i) + "."
		d.Type = c.word(at+"type", d.Type, DocumentTypes())
		d.Number = c.line(at+"number", d.Number, maxShort)
		d.Issuer = c.line(at+"issuer", d.Issuer, maxPlace)
		if d == (Document{}) {
			continue
		}
		if d.Number == "" && !c.has(at+"number") {
			c.wrong(at+"number", "document_number")
		}
		out = append(out, d)
	}
	return out
}

// needs are codes out of Needs, each once, in the order of that list so that the
// same needs always are the same value.
func (c *checker) needs(in []string) []string {
	if c.tooMany("needs", len(in)) {
		return nil
	}
	all := Needs()
	var out []string
	for _, s := range in {
		s = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), " ", "_")
		switch {
		case s == "" || contains(out, s):
		case contains(all, s):
			out = append(out, s)
		default:
			c.wrong("needs", "need", "Given", safe(s))
		}
	}
	slices.SortFunc(out, func(a, b string) int { return slices.Index(all, a) - slices.Index(all, b) })
	return out
}

func (c *checker) consent(in []Consent) []Consent {
	if c.tooMany("consent", len(in)) {
		return nil
	}
	for i := range in {
		at := "consent." + strconv.Itoa(i) + "."
		in[i].Purpose = c.word(at+"purpose", in[i].Purpose, Purposes())
		in[i].By = c.line(at+"by", in[i].By, maxName)
		in[i].At = c.moment(at+"at", in[i].At, false)
		if in[i].Purpose == "" && !c.has(at+"purpose") {
			c.wrong(at+"purpose", "purpose")
		}
	}
	return in
}

// moment reads a time: RFC 3339, or what a browser's datetime field sends (local time
// of this box), or, where a day is enough, a date.
func (c *checker) moment(name, s string, dayIsEnough bool) string {
	s = digits(strings.TrimSpace(s))
	if s == "" {
		return ""
	}
	if dayIsEnough {
		if t, iso, known, ok := readDate(s); ok && known == "day" && t.Year() >= firstYear {
			return iso
		}
	}
	t, err := time.Parse(time.RFC3339, s)
	for _, form := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if err != nil {
			t, err = time.ParseInLocation(form, s, time.Local)
		}
	}
	if err != nil || t.Year() < firstYear || t.Year() > 9999 {
		c.wrong(name, "time")
		return ""
	}
	return t.Format(time.RFC3339)
}

func (c *checker) tooMany(name string, n int) bool {
	if n > maxList {
		c.wrong(name, "too_many", "Max", maxList)
		return true
	}
	return false
}

// digits writes the decimal digits of any script as 0-9. In Unicode the ten digits of
// a script follow each other, so a digit's value is its distance from the nearest
// code point that is none (property Nd, UAX 44).
func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if d := digit(r); d >= 0 {
			return '0' + rune(d)
		}
		return r
	}, s)
}

// digit is the value of a decimal digit in any script, -1 for anything else.
func digit(r rune) int {
	if r < 0x80 {
		if r >= '0' && r <= '9' {
			return int(r - '0')
		}
		return -1
	}
	if !unicode.Is(unicode.Nd, r) {
		return -1
	}
	for _, t := range unicode.Nd.R16 {
		if r <= rune(t.Hi) {
			return int(r-rune(t.Lo)) % 10
		}
	}
	for _, t := range unicode.Nd.R32 {
		if r <= rune(t.Hi) {
			return int(r-rune(t.Lo)) % 10
		}
	}
	return -1
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if d := digit(r); d >= 0 {
			return '0' + rune(d)
		}
		return -1
	}, s)
}
