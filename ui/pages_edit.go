package ui

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
)

// personForm is the form with every field of one person.
type personForm struct {
	lists
	Once    string
	DocRows []docRow
}

// docRow names the fields of one document.
type docRow struct {
	N                    int
	Type, Number, Issuer string
}

// editModel is the form that corrects a person.
type editModel struct {
	personForm
	Name, Action, Back, Seen string
}

// personForm offers one empty document after those there are.
func (v *visit) personForm(f *form, relation bool) personForm {
	m := personForm{lists: v.lists(), Once: f.Value("once")}
	if !relation {
		m.Relations = nil
	}
	for n := range maxDocuments {
		row := docRowOf(n)
		m.DocRows = append(m.DocRows, row)
		if f.Value(row.Number) == "" && f.Value(row.Type) == "" && f.Value(row.Issuer) == "" {
			break
		}
	}
	return m
}

// maxDocuments is how many the form can hold; the desk takes more from programs.
const maxDocuments = 12

func docRowOf(n int) docRow {
	p := "documents." + itoa(n) + "."
	return docRow{n, p + "type", p + "number", p + "issuer"}
}

// personOf reads the form into a person.
func (v *visit) personOf(f *form) registration.Person {
	p := registration.Person{
		GivenName: f.Value("given_name"), FamilyName: f.Value("family_name"), OtherNames: f.Value("other_names"), Sex: f.Value("sex"),
		BirthDate: f.Value("birth_date"), Precision: f.Value("precision"), Nationality: v.country(f.Value("nationality")),
		Languages: v.languageCodes(f.Value("languages")), Phone: f.Value("phone"), FatherName: f.Value("father_name"),
		MotherName: f.Value("mother_name"), Origin: f.Value("origin"), Destination: f.Value("destination"), ArrivedAt: f.Value("arrived_at"),
		Needs: f.All("needs"), Notes: f.Value("notes"), NameUnknown: f.Has("name_unknown", "yes"), Description: f.Value("description"),
		Aside: asideOf(f, tellPrefix),
	}
	p.Age = v.age(f, "age")
	for n := range maxDocuments {
		row := docRowOf(n)
		d := registration.Document{Type: f.Value(row.Type), Number: f.Value(row.Number), Issuer: f.Value(row.Issuer)}
		if d != (registration.Document{}) {
			p.Documents = append(p.Documents, d)
		}
	}
	for _, purpose := range f.All("consent") {
		p.Consent = append(p.Consent, registration.Consent{Purpose: purpose, Given: true})
	}
	return p
}

// fill puts a person into the form, with names of codes as people read them.
func (s speaker) fill(f *form, p registration.Person) {
	for name, value := range map[string]string{
		"given_name": p.GivenName, "family_name": p.FamilyName, "other_names": p.OtherNames, "sex": p.Sex, "birth_date": p.BirthDate,
		"precision": p.Precision, "phone": p.Phone, "father_name": p.FatherName, "mother_name": p.MotherName, "origin": p.Origin,
		"destination": p.Destination, "arrived_at": p.ArrivedAt, "notes": p.Notes, "description": p.Description,
		"languages": s.labels("language", p.Languages),
	} {
		f.set(name, value)
	}
	if p.Nationality != "" {
		f.set("nationality", s.Label("country", p.Nationality))
	}
	if p.Age != nil {
		f.set("age", strconv.Itoa(*p.Age))
	}
	if p.NameUnknown {
		f.set("name_unknown", "yes")
	}
	f.set("needs", p.Needs...)
	for n, d := range p.Documents {
		row := docRowOf(n)
		f.set(row.Type, d.Type)
		f.set(row.Number, d.Number)
		f.set(row.Issuer, d.Issuer)
	}
	var given []string
	for _, c := range p.Consent {
		if c.Given {
			given = append(given, c.Purpose)
		}
	}
	f.set("consent", given...)
}

func (v *visit) editPage() error {
	id, err := v.subject("fault.registration.no_person")
	if err != nil {
		return err
	}
	r, err := v.desks().Registration.Get(v.s.ctx, v.actor, id)
	if err != nil {
		return err
	}
	if err := v.look(staff.LookedAt, r); err != nil {
		return err
	}
	f := newForm()
	f.set("once", newOnce())
	v.words().fill(f, r.Person)
	return v.renderForm("people/edit", v.editModel(r, f, r.Version), f)
}

func (v *visit) editModel(r registration.Record, f *form, seen string) editModel {
	at := "/people/" + r.ID.String()
	return editModel{personForm: v.personForm(f, false), Name: v.words().name(r.Person), Action: at + "/edit", Back: at, Seen: seen}
}

// edit corrects a person: only what differs from what the form was filled with is
// sent, and the desk is told which version was on the screen. So a field that was
// left alone is not touched, and one that somebody else changed meanwhile becomes a
// conflict that is shown, not an answer that is lost.
func (v *visit) edit() error {
	id, err := v.subject("fault.registration.no_person")
	if err != nil {
		return err
	}
	desk := v.desks().Registration
	r, err := desk.Get(v.s.ctx, v.actor, id)
	if err != nil {
		return err
	}
	if err := v.look(staff.LookedAt, r); err != nil { // the form may come back
		return err
	}
	f := v.sent()
	p := v.personOf(f)
	keepHidden(&p, r.Person)
	patch, err := patchOf(p, r.Person, f.Value("seen"))
	if err != nil {
		return err
	}
	patch.Aside = p.Aside
	if len(patch.Fields) == 0 && len(patch.Aside) == 0 {
		return v.redirect("/people/" + id.String())
	}
	if v.warnNotes(f, changed(patch, "notes", "description")...) {
		return v.showWarned("people/edit", v.editModel(r, f, f.Value("seen")), f)
	}
	after, err := desk.Correct(v.s.ctx, v.actor, id, patch, registration.Request{Key: onceKey(f.Value("once"))})
	if err != nil {
		return v.reshow("people/edit", v.editModel(r, f, f.Value("seen")), f, savedBefore(err), tellName)
	}
	v.noteTold(after.PassedOn)
	return v.redirect("/people/" + id.String())
}

// changed are those of some fields that a patch names: what stood there before is
// nobody's to be warned about now.
func changed(patch registration.Patch, names ...string) (out []string) {
	for _, name := range names {
		if _, ok := patch.Fields[name]; ok {
			out = append(out, name)
		}
	}
	return out
}

// keepHidden keeps what the form does not show: the day an age was true when the age
// stays, further documents, and who gave a consent when. An answer that was a yes and
// is unticked now becomes a no.
func keepHidden(p *registration.Person, was registration.Person) {
	if p.Age != nil && was.Age != nil && *p.Age == *was.Age {
		p.AgeAt = was.AgeAt
	}
	if len(was.Documents) > maxDocuments {
		p.Documents = append(p.Documents, was.Documents[maxDocuments:]...)
	}
	ticked := p.Consent
	p.Consent = nil
	for _, c := range was.Consent {
		i := slices.IndexFunc(ticked, func(t registration.Consent) bool { return t.Purpose == c.Purpose })
		switch {
		case i >= 0 && c.Given, i < 0 && !c.Given:
			p.Consent = append(p.Consent, c)
		case i >= 0:
			p.Consent = append(p.Consent, ticked[i])
		default:
			p.Consent = append(p.Consent, registration.Consent{Purpose: c.Purpose})
		}
		if i >= 0 {
			ticked = slices.Delete(ticked, i, i+1)
		}
	}
	p.Consent = append(p.Consent, ticked...)
}

// editFields are what the form holds, by their names in the contract.
func editFields() []string {
	return []string{
		"given_name", "family_name", "other_names", "sex", "birth_date", "age", "age_at", "precision", "nationality", "languages", "phone",
		"documents", "father_name", "mother_name", "origin", "destination", "arrived_at", "needs", "consent", "notes", "name_unknown", "description",
	}
}

// patchOf names the fields that differ from what is there now. A field in conflict
// that was left alone must not be named: naming it would settle the conflict with
// the value that happens to be shown. Birth date, age and precision go together.
func patchOf(p, was registration.Person, seen string) (registration.Patch, error) {
	patch := registration.Patch{Fields: map[string]json.RawMessage{}, Seen: seen}
	next, err := fieldsOf(p)
	if err != nil {
		return patch, err
	}
	before, err := fieldsOf(was)
	if err != nil {
		return patch, err
	}
	birth := slices.ContainsFunc(birthFields, func(name string) bool { return !bytes.Equal(next[name], before[name]) })
	for _, name := range editFields() {
		if !bytes.Equal(next[name], before[name]) || birth && slices.Contains(birthFields, name) {
			patch.Fields[name] = next[name]
		}
	}
	return patch, nil
}

// fieldsOf is a person as JSON, field by field; null for what is not said.
func fieldsOf(p registration.Person) (map[string]json.RawMessage, error) {
	all, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	out := map[string]json.RawMessage{}
	if err := json.Unmarshal(all, &out); err != nil {
		return nil, err
	}
	for _, name := range editFields() {
		if _, there := out[name]; !there {
			out[name] = json.RawMessage("null")
		}
	}
	return out, nil
}

// conflictView is one thing that two people wrote differently.
type conflictView struct {
	Label    string
	Versions []versionView
}

// versionView is one of the answers, with the button that keeps it.
type versionView struct {
	Value, By, Site string
	At              time.Time
	Field, Pick     string
	Photo           string // address of the picture, where the answer is one
}

// birthFields are settled together: an age next to another birth date would say
// nothing.
var birthFields = []string{"birth_date", "age", "precision", "age_at"}

// group is the name under which a field's conflict is shown and settled.
func group(field string) string {
	if slices.Contains(birthFields, field) {
		return "birth_date"
	}
	if field == "household" || field == "relation" {
		return "household"
	}
	return field
}

// conflicts lists the versions side by side, oldest first.
func (s speaker) conflicts(r registration.Record) []conflictView {
	var out []conflictView
	seen := map[string]bool{}
	for _, c := range r.Conflicts {
		name := group(c.Field)
		if seen[name] {
			continue
		}
		seen[name] = true
		view := conflictView{Label: s.T("registration.field." + name)}
		for i, version := range c.Versions {
			shown := versionView{
				Value: s.versionText(r, name, i), By: version.By, Site: version.Site, At: version.At, Field: name, Pick: pickOf(r, name, i),
			}
			if photo, _ := version.Value.(string); name == "photo" && photo != "" {
				shown.Photo, shown.Value = photoPath(r, photo), s.T("photo.title")
			}
			view.Versions = append(view.Versions, shown)
		}
		out = append(out, view)
	}
	return out
}

// versionText says all fields of a group in one version.
func (s speaker) versionText(r registration.Record, name string, i int) string {
	text := ""
	for _, c := range r.Conflicts {
		if group(c.Field) != name || i >= len(c.Versions) {
			continue
		}
		part := s.text(c.Field, c.Versions[i].Value)
		if c.Field != name && part != "" {
			part = s.T("registration.field."+c.Field) + ": " + part
		}
		if text != "" && part != "" {
			text += s.T("list.comma")
		}
		text += part
	}
	return text
}

// pickOf names a version by what it says, so that a button pressed on a page that
// is out of date keeps what it showed, or nothing.
func pickOf(r registration.Record, name string, i int) string {
	h := sha256.New()
	for _, c := range r.Conflicts {
		if group(c.Field) == name && i < len(c.Versions) {
			value, _ := json.Marshal(c.Versions[i].Value)
			fmt.Fprintf(h, "%s=%s;%d;%s\n", c.Field, value, c.Versions[i].At.UnixMilli(), c.Versions[i].Site)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// keep settles a conflict with one of its versions.
func (v *visit) keep() error {
	id, err := v.subject("fault.registration.no_person")
	if err != nil {
		return err
	}
	desk := v.desks().Registration
	r, err := desk.Get(v.s.ctx, v.actor, id)
	if err != nil {
		return err
	}
	chosen, err := chosenVersion(r, v.form("field"), v.form("pick"))
	if err != nil {
		return err
	}
	if v.form("field") == "household" {
		err = v.keepHousehold(r, chosen)
	} else {
		patch := registration.Patch{Fields: map[string]json.RawMessage{}, Seen: v.form("seen")}
		for field, value := range chosen {
			if patch.Fields[field], err = json.Marshal(value); err != nil {
				return err
			}
		}
		_, err = desk.Correct(v.s.ctx, v.actor, id, patch, registration.Request{})
	}
	if err != nil {
		return err
	}
	return v.redirect("/people/" + id.String())
}

// chosenVersion finds the version a button stood for.
func chosenVersion(r registration.Record, name, pick string) (map[string]any, error) {
	for _, c := range r.Conflicts {
		if group(c.Field) != name {
			continue
		}
		for i := range c.Versions {
			if pickOf(r, name, i) == pick {
				return versionFields(r, name, i), nil
			}
		}
	}
	return nil, fault.New(fault.Conflict, "fault.ui.settled")
}

func versionFields(r registration.Record, name string, i int) map[string]any {
	out := map[string]any{}
	for _, c := range r.Conflicts {
		if group(c.Field) == name && i < len(c.Versions) {
			out[c.Field] = c.Versions[i].Value
		}
	}
	return out
}

// keepHousehold settles with whom somebody belongs.
func (v *visit) keepHousehold(r registration.Record, chosen map[string]any) error {
	household, relation := oplog.ID{}, r.Relation
	if r.Household != nil {
		household = *r.Household
	}
	if value, there := chosen["household"]; there {
		household, _ = value.(oplog.ID) // nil: with nobody
	}
	if value, there := chosen["relation"].(string); there {
		relation = value
	}
	_, err := v.desks().Registration.Move(v.s.ctx, v.actor, r.ID, household, relation, registration.Request{})
	return err
}
