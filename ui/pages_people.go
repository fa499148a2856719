package ui

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"golang.org/x/text/unicode/bidi"
)

// searchPage is the list of people, searched or all of them.
type searchPage struct {
	Q      string
	People []personLine
	More   string // address of the next part; empty at the end
	MayAdd bool
}

// personLine is one person in a list.
type personLine struct {
	Path, Name string
	About      string // sex and age
	Relation   string
	Where      string // site
	Typed      string // code on the card, where cards are handed out; empty without one
	Conflict   string // that there are several versions; empty when not
}

// fact is one thing known of a person.
type fact struct {
	Label, Value string
	Code         bool // left to right always: phone, document
	Wide         bool
}

// personPage is everything about one person.
type personPage struct {
	ID, Path, Name, About string
	NeedWords             []string
	Facts                 []fact
	Conflicts             []conflictView
	Household             *householdBox
	Card                  *cardState
	Photo                 photoBox
	Kept                  *keptLine
	MayCorrect, MayIssue  bool
	MayErase, MaySeeReads bool
	MayWork               bool     // begin a sealed file
	Told                  bool     // something was passed on just now
	TellCodes             []string // nil where nothing can be passed on
	Seen, Once            string
	By, Site              string
	At                    time.Time
}

// householdBox is the household of a person, without themselves.
type householdBox struct {
	Path    string
	Members []personLine
}

// householdPage is a household and what to do with it.
type householdPage struct {
	Path, Name       string
	Members          []personLine
	Saved, Told      bool // just now
	MayIssue, MayAdd bool
	By, Site         string
	At               time.Time
}

// speaker says people and codes in the visitor's language.
type speaker struct {
	*view
	now time.Time
}

func (v *visit) words() speaker {
	return speaker{&view{Lang: v.lang}, v.s.config.Clock.Now()}
}

// name is a person's full name, given name first as everywhere in Waypost; for
// somebody nobody can name, what they look like.
func (s speaker) name(p registration.Person) string {
	if name := strings.TrimSpace(apart(p.GivenName, p.FamilyName, s.Lang.Dir())); name != "" {
		return name
	}
	if p.OtherNames != "" {
		return p.OtherNames
	}
	if short := []rune(p.Description); len(short) > 60 {
		return s.T("person.unnamed") + " · " + string(short[:60]) + "…"
	} else if len(short) > 0 {
		return s.T("person.unnamed") + " · " + string(short)
	}
	return s.T("person.unnamed")
}

// apart puts two names side by side. When they are of scripts that run in opposite
// directions each keeps to itself, or a long one is torn around the other at the end
// of a line. The mark in front makes the pair follow the page, not its first letter.
func apart(given, family, dir string) string {
	if given == "" || family == "" || rtl(given) == rtl(family) {
		return given + " " + family
	}
	mark := "\u200e" // LRM
	if dir == "rtl" {
		mark = "\u200f" // RLM
	}
	return mark + firstStrongIsolate + given + popIsolate + " " + firstStrongIsolate + family + popIsolate
}

// rtl reports whether a name begins in a script that runs from right to left.
func rtl(name string) bool {
	p, _ := bidi.LookupString(name)
	return p.Class() == bidi.R || p.Class() == bidi.AL
}

// about is sex and age in a few words.
func (s speaker) about(p registration.Person) string {
	var parts []string
	if p.Sex != "" && p.Sex != "unknown" {
		parts = append(parts, s.Label("registration.sex", p.Sex))
	}
	if years, ok := ageNow(p, s.now); ok {
		key := "person.years"
		if p.Precision == "estimated" {
			key = "person.years_about"
		}
		parts = append(parts, s.T(key, "Count", years))
	}
	return strings.Join(parts, " · ")
}

// ageNow is how old somebody is by now, from the birth date or from an age and the
// day it was true.
func ageNow(p registration.Person, now time.Time) (int, bool) {
	if len(p.BirthDate) >= 4 {
		year, err := strconv.Atoi(p.BirthDate[:4])
		if err != nil {
			return 0, false
		}
		years := now.Year() - year
		if born, err := time.Parse(time.DateOnly, p.BirthDate); err == nil && now.YearDay() < born.YearDay() {
			years--
		}
		return max(years, 0), years < 140
	}
	if p.Age == nil {
		return 0, false
	}
	if at, err := time.Parse(time.DateOnly, p.AgeAt); err == nil && now.After(at) {
		return *p.Age + int(now.Sub(at).Hours()/24/365.25), true
	}
	return *p.Age, true
}

// line is a record in a list.
func (s speaker) line(r registration.Record) personLine {
	l := personLine{Path: "/people/" + r.ID.String(), Name: s.name(r.Person), About: s.about(r.Person), Where: r.Site}
	if r.Relation != "" {
		l.Relation = s.Label("registration.relation", r.Relation)
	}
	if len(r.Conflicts) > 0 {
		l.Conflict = s.T("conflict.short")
	}
	return l
}

// facts lists what is known, in the order of the contract. What is not known is
// left out: an empty row only makes the page longer.
func (s speaker) facts(p registration.Person) []fact {
	var out []fact
	add := func(name, value string, code bool) {
		if value != "" {
			out = append(out, fact{Label: s.T("registration.field." + name), Value: value, Code: code, Wide: name == "notes" || name == "description"})
		}
	}
	add("given_name", p.GivenName, false)
	add("family_name", p.FamilyName, false)
	add("other_names", p.OtherNames, false)
	if p.Sex != "" {
		add("sex", s.Label("registration.sex", p.Sex), false)
	}
	add("birth_date", p.BirthDate, true)
	if p.Age != nil {
		age := strconv.Itoa(*p.Age)
		if p.AgeAt != "" {
			age += " (" + p.AgeAt + ")"
		}
		add("age", age, true)
	}
	if p.Precision != "" {
		add("precision", s.Label("registration.precision", p.Precision), false)
	}
	if p.Nationality != "" {
		add("nationality", s.Label("country", p.Nationality), false)
	}
	add("languages", s.labels("language", p.Languages), false)
	add("phone", p.Phone, true)
	for _, d := range p.Documents {
		out = append(out, fact{Label: s.documentLabel(d), Value: strings.TrimSpace(d.Number + " " + d.Issuer), Code: true})
	}
	add("father_name", p.FatherName, false)
	add("mother_name", p.MotherName, false)
	add("origin", p.Origin, false)
	add("destination", p.Destination, false)
	add("arrived_at", p.ArrivedAt, true)
	for _, c := range p.Consent {
		answer := s.T("consent.no")
		if c.Given {
			answer = s.T("consent.yes")
		}
		out = append(out, fact{Label: s.Label("registration.purpose", c.Purpose), Value: answer})
	}
	add("description", p.Description, false)
	add("notes", p.Notes, false)
	return out
}

func (s speaker) documentLabel(d registration.Document) string {
	if d.Type == "" {
		return s.T("registration.field.document")
	}
	return s.Label("registration.document", d.Type)
}

func (s speaker) labels(list string, codes []string) string {
	words := make([]string, len(codes))
	for i, code := range codes {
		words[i] = s.Label(list, code)
	}
	return strings.Join(words, s.T("list.comma"))
}

// pageSize is how many people one page of a list shows: what a phone can scroll.
const pageSize = 30

func (v *visit) search() error {
	m := searchPage{Q: v.query("q"), MayAdd: v.actor.Can(staff.RegisterPeople)}
	page, err := v.desks().Registration.Search(v.s.ctx, v.actor, m.Q, pageSize, v.query("after"))
	if err != nil {
		if fault.ClassOf(err) == fault.Invalid {
			return v.reshow("people/search", m, newForm(), err, nil)
		}
		return err
	}
	if err := v.lookThrough(page.Items, false); err != nil {
		return err
	}
	w := v.words()
	for _, r := range page.Items {
		m.People = append(m.People, w.line(r))
	}
	if page.Next != "" {
		m.More = "/people?" + url.Values{"q": {m.Q}, "after": {page.Next}}.Encode()
	}
	return v.render("people/search", m)
}

// subject is the id in the path. An id that is none belongs to nobody.
func (v *visit) subject(missing string) (oplog.ID, error) {
	id, err := oplog.ParseID(v.param("id"))
	if err != nil {
		return id, fault.New(fault.NotFound, missing).Wrap(err)
	}
	return id, nil
}

func (v *visit) person() error {
	id, err := v.subject("fault.registration.no_person")
	if err != nil {
		return err
	}
	m, err := v.personModel(id)
	if err != nil {
		return err
	}
	return v.render("people/person", m)
}

func (v *visit) personModel(id oplog.ID) (personPage, error) {
	desks := v.desks()
	r, err := desks.Registration.Get(v.s.ctx, v.actor, id)
	if err != nil {
		return personPage{}, err
	}
	if err := v.look(staff.LookedAt, r); err != nil {
		return personPage{}, err
	}
	w := v.words()
	m := personPage{
		ID: id.String(), Path: "/people/" + id.String(), Name: w.name(r.Person), About: w.about(r.Person), Facts: w.facts(r.Person),
		Conflicts: w.conflicts(r), MayCorrect: v.actor.Can(staff.CorrectPeople), MayIssue: v.actor.Can(staff.IssueTokens), MayErase: v.actor.Can(staff.ErasePeople),
		MaySeeReads: v.actor.Can(staff.SeeReads), Told: v.told(), TellCodes: v.tellCodes(), MayWork: v.actor.Can(staff.WorkSealed),
		Seen: r.Version, Once: newOnce(), By: v.whom(r.RegisteredBy), Site: r.Site, At: r.RegisteredAt,
	}
	m.Photo = v.photoBox(r, m.MayCorrect)
	for _, code := range r.Needs {
		m.NeedWords = append(m.NeedWords, w.Label("registration.need", code))
	}
	if r.Household != nil {
		h, err := desks.Registration.Household(v.s.ctx, v.actor, *r.Household)
		if err != nil {
			return personPage{}, err
		}
		box := &householdBox{Path: "/households/" + r.Household.String()}
		for _, other := range h.Members {
			if other.ID != id {
				box.Members = append(box.Members, w.line(other))
			}
		}
		m.Household = box
	}
	m.Kept = v.keptOf(r)
	m.Card, err = v.cardState(id)
	return m, err
}

func (v *visit) household() error {
	id, err := v.subject("fault.registration.no_household")
	if err != nil {
		return err
	}
	h, err := v.desks().Registration.Household(v.s.ctx, v.actor, id)
	if err != nil {
		return err
	}
	if err := v.lookThrough(h.Members, false); err != nil {
		return err
	}
	w := v.words()
	m := householdPage{
		Path: "/households/" + id.String(), Name: w.family(h), Saved: v.query("saved") != "", Told: v.told(), By: v.whom(h.FormedBy), Site: h.Site, At: h.FormedAt,
		MayIssue: v.actor.Can(staff.IssueTokens), MayAdd: v.actor.Can(staff.RegisterPeople),
	}
	for _, r := range h.Members {
		line := w.line(r)
		// A card has no name on it: by its code a mother gets her own and not the baby's.
		if c, ok, err := v.desks().Tokens.Current(v.s.ctx, v.actor, r.ID); err != nil {
			return err
		} else if ok {
			line.Typed = c.Typed
		}
		m.Members = append(m.Members, line)
	}
	return v.render("people/household", m)
}

// family names a household: after the family name of its head, else of the first
// member who has one, else after a person.
func (s speaker) family(h registration.Household) string {
	order := slices.Clone(h.Members)
	if h.Head != nil {
		slices.SortStableFunc(order, func(a, b registration.Record) int {
			return btoi(b.ID == *h.Head) - btoi(a.ID == *h.Head)
		})
	}
	for _, r := range order {
		if r.FamilyName != "" {
			return r.FamilyName
		}
	}
	if len(order) > 0 {
		return s.name(order[0].Person)
	}
	return s.T("household.title")
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// text writes the value of a field in conflict as a person reads it. Values come as
// the contract's JSON has them, so their types are few.
func (s speaker) text(field string, value any) string {
	switch x := value.(type) {
	case nil:
		return ""
	case string:
		switch field {
		case "sex", "precision", "relation":
			return s.Label("registration."+field, x)
		case "nationality":
			return s.Label("country", x)
		}
		return x
	case []string:
		list := map[string]string{"needs": "registration.need", "languages": "language"}[field]
		return s.labels(list, x)
	case []registration.Document:
		var parts []string
		for _, d := range x {
			parts = append(parts, strings.TrimSpace(s.documentLabel(d)+" "+d.Number+" "+d.Issuer))
		}
		return strings.Join(parts, s.T("list.comma"))
	case []registration.Consent:
		var parts []string
		for _, c := range x {
			answer := s.T("consent.no")
			if c.Given {
				answer = s.T("consent.yes")
			}
			parts = append(parts, s.Label("registration.purpose", c.Purpose)+": "+answer)
		}
		return strings.Join(parts, s.T("list.comma"))
	case oplog.ID:
		return x.String()
	case *int:
		if x == nil {
			return ""
		}
		return strconv.Itoa(*x)
	case bool:
		if x {
			return s.T("consent.yes")
		}
		return s.T("consent.no")
	}
	return fmt.Sprint(value)
}
