package ui

import (
	"strings"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
)

// tellView is what a form has to pass something on to the people of a narrow
// compartment: codes and a few words, folded away. What is in it is not shown again
// once it is saved.
type tellView struct {
	ID            string
	Open          bool
	Summary, Hint string

	Codes choiceView
	Note  inputView
}

// mayTell is whether forms offer it: the visitor may, and somebody takes it in.
func (v *visit) mayTell() bool {
	return v.actor.Can(staff.SealIntake) && v.desks().Registration.TakesIn()
}

// tellCodes are the codes offered, nil where nothing can be passed on.
func (v *visit) tellCodes() []string {
	if !v.mayTell() {
		return nil
	}
	return sensitiveCodes()
}

func sensitiveCodes() (codes []string) {
	for _, s := range registration.SensitiveCodes() {
		codes = append(codes, s.Code)
	}
	return codes
}

// Tell describes the folded part; its fields begin with prefix.
func (v *view) Tell(prefix string, codes []string) tellView {
	t := tellView{
		ID: fieldID(strings.TrimSuffix(prefix, ".")), Open: v.Form.Any(prefix) || v.Form.warned,
		Codes: v.Choice(prefix+"codes", "tell.codes", "registration.aside", codes), Note: v.Field(prefix+"note", "tell.note", "area"),
	}
	t.Summary, t.Hint = v.T("tell.title"), v.T("tell.hint")
	if e := v.Form.Error(prefix + "codes"); e == "" {
		t.Codes.Error = v.Form.Error(prefix + "aside")
	}
	return t
}

// asideOf reads the folded part; nil when nothing is in it.
func asideOf(f *form, prefix string) []registration.Aside {
	a := registration.Aside{Codes: f.All(prefix + "codes"), Note: f.Value(prefix + "note")}
	if len(a.Codes) == 0 && a.Note == "" {
		return nil
	}
	return []registration.Aside{a}
}

// tellPrefix begins the fields of the part where a form is about one person.
const tellPrefix = "tell."

// tellName puts a fault of what was said aside beside the field it was typed in.
func tellName(name string) string {
	if name == "aside" {
		return tellPrefix + "codes"
	}
	return name
}

// toldCookie says, once and about nobody, that something was passed on: an address
// would stand in the history of a phone.
const toldCookie = "waypost-told"

func (v *visit) noteTold(n int) {
	if n > 0 {
		v.setCookie(toldCookie, "1", 0)
	}
}

// told tells whether something was passed on just now, and forgets it.
func (v *visit) told() bool {
	if v.cookie(toldCookie) == "" {
		return false
	}
	v.dropCookie(toldCookie)
	return true
}

// tellModel is the page that passes something on about nobody who is registered.
type tellModel struct {
	Once  string
	Codes []string
	Told  bool
	Takes bool
}

func (v *visit) tellModel(f *form) tellModel {
	return tellModel{Once: f.Value("once"), Codes: sensitiveCodes(), Takes: v.desks().Registration.TakesIn()}
}

func (v *visit) tellPage() error {
	f := newForm()
	f.set("once", newOnce())
	m := v.tellModel(f)
	m.Told = v.told()
	return v.renderForm("people/tell", m, f)
}

func (v *visit) tellNobody() error {
	f := v.sent()
	n, err := v.desks().Registration.PassOn(v.s.ctx, v.actor, oplog.ID{}, asideOf(f, tellPrefix), registration.Request{Key: onceKey(f.Value("once"))})
	if err != nil {
		return v.reshow("people/tell", v.tellModel(f), f, err, tellName)
	}
	v.noteTold(n)
	return v.redirect("/tell")
}

// tellPerson passes something on about a person who is registered.
func (v *visit) tellPerson() error {
	id, err := v.subject("fault.registration.no_person")
	if err != nil {
		return err
	}
	f := v.sent()
	n, err := v.desks().Registration.PassOn(v.s.ctx, v.actor, id, asideOf(f, tellPrefix), registration.Request{Key: onceKey(f.Value("once"))})
	if err != nil {
		m, again := v.personModel(id)
		if again != nil {
			return again
		}
		return v.reshow("people/person", m, f, err, tellName)
	}
	v.noteTold(n)
	if !v.actor.Can(staff.ReadPeople) {
		return v.redirect("/tell")
	}
	return v.redirect("/people/" + id.String())
}
