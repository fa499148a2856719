package ui

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/ui/locale"
)

// familyPage is the form that registers one person or a household.
type familyModel struct {
	Rows   []memberRow
	Once   string
	Action string // where the form goes
	lists
	Shared bool // something is said about all, so that part is open
}

// memberRow names the fields of one person of the form.
type memberRow struct {
	N                                                   int
	Given, Sex, Age, Relation, Needs, More              string
	Birth, Family, Father, Mother, Phone                string
	DocType, DocNumber, Nationality, Notes, Description string
	Unknown, Tell                                       string
}

// TellAt is where this row passes something on; see tellView.
func (r memberRow) TellAt() string { return strings.TrimSuffix(r.Tell, ".") }

// lists are the codes that forms offer, with the empty code first where a field may
// stay unsaid.
type lists struct {
	Sexes, Relations, Needs, Documents, Purposes, Precisions []string
	Countries                                                []string // names, for the list a browser suggests from
	TellCodes                                                []string // of what can be passed on; nil where nothing can
}

// Rows of the household form: what a page without scripts starts with, how many
// more one press adds, and the most there can be.
const (
	firstRows = 5
	moreRows  = 3
)

// formSexes are the three buttons of the form; "unknown" is to leave them alone.
func formSexes() []string { return []string{"female", "male", "other"} }

func (v *visit) lists() lists {
	return lists{
		Sexes: formSexes(), Relations: append([]string{""}, registration.Relations()...), Needs: registration.Needs(),
		Documents: append([]string{""}, registration.DocumentTypes()...), Purposes: registration.Purposes(),
		Precisions: append([]string{""}, registration.Precisions()...), Countries: countryNames(v.lang),
		TellCodes: v.tellCodes(),
	}
}

// memberPrefix begins the names of all fields of one row, as the contract names
// the members of a household.
func memberPrefix(n int) string { return "members." + itoa(n) + "." }

// moreFields are the fields of a row that stand in its folded part.
func memberRowOf(n int) memberRow {
	p := memberPrefix(n)
	return memberRow{
		N: n, Given: p + "given_name", Sex: p + "sex", Age: p + "age", Relation: p + "relation", Needs: p + "needs", More: p + "more.",
		Birth: p + "more.birth_date", Family: p + "more.family_name", Father: p + "more.father_name", Mother: p + "more.mother_name",
		Phone: p + "more.phone", DocType: p + "more.document_type", DocNumber: p + "more.document_number", Nationality: p + "more.nationality",
		Notes: p + "more.notes", Description: p + "more.description", Unknown: p + "more.name_unknown", Tell: p + tellPrefix,
	}
}

// memberField splits "members.3.sex" into its row and the rest.
func memberField(name string) (row int, rest string, ok bool) {
	tail, ok := strings.CutPrefix(name, "members.")
	if !ok {
		return -1, name, false
	}
	number, rest, _ := strings.Cut(tail, ".")
	row, err := strconv.Atoi(number)
	if err != nil || row < 0 {
		return -1, name, false
	}
	return row, rest, true
}

func (v *visit) familyModel(f *form, rows int) familyModel {
	m := familyModel{Once: f.Value("once"), Action: "/people", lists: v.lists()}
	for n := range min(max(rows, 1), registration.MaxHousehold) {
		row := memberRowOf(n)
		if f.Value(row.Relation) == "" && len(f.values[row.Relation]) == 0 {
			f.set(row.Relation, relationByOrder(n))
		}
		m.Rows = append(m.Rows, row)
	}
	for _, name := range []string{"nationality", "languages", "origin", "destination", "arrived_at"} {
		m.Shared = m.Shared || f.Value(name) != "" || f.Error(name) != ""
	}
	return m
}

// relationByOrder is who people usually name first, second and after that.
func relationByOrder(n int) string {
	switch n {
	case 0:
		return "head"
	case 1:
		return "spouse"
	}
	return "child"
}

// newOnce is the key that makes saving a form twice save it once.
func newOnce() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}

func (v *visit) familyPage() error {
	f := newForm()
	f.set("once", newOnce())
	if name := v.query("name"); name != "" { // searched for and not found
		if strings.ContainsAny(name, "0123456789") { // a number is nobody's name
			f.set(memberRowOf(0).Phone, name)
			name = ""
		}
		given, family, two := cutLast(name)
		f.set("family_name", family)
		if two {
			f.set(memberRowOf(0).Given, given)
		}
	}
	return v.renderForm("people/new", v.familyModel(f, firstRows), f)
}

// cutLast splits a name before its last word.
func cutLast(name string) (before, last string, ok bool) {
	i := strings.LastIndexByte(name, ' ')
	if i < 0 {
		return "", name, false
	}
	return name[:i], name[i+1:], true
}

// saveFamily registers everybody in the form. Rows nobody wrote in are passed over.
// One person alone is registered without a household.
func (v *visit) saveFamily() error { return v.saveFamilyBy(v.familyModel, v.register) }

// saveFamilyBy is saveFamily with another page around the form, and another way to save.
func (v *visit) saveFamilyBy(model func(*form, int) familyModel, save func(registration.NewHousehold, string) (string, error)) error {
	f := v.sent()
	rows, _ := strconv.Atoi(f.Value("rows"))
	if rows < 1 {
		rows = firstRows
	}
	if f.Value("more") != "" && f.Value("save") == "" {
		return v.renderForm("people/new", model(f, rows+moreRows), f)
	}
	h, used := v.family(f, rows)
	if len(h.Members) == 0 {
		f.errors[memberRowOf(0).Given] = v.lang.Text("registration.problem.name_required", nil)
		f.top = v.lang.Text("family.nobody", nil)
		v.c.Status(fault.Invalid.Status())
		return v.renderForm("people/new", model(f, rows), f)
	}
	for _, n := range used {
		row := memberRowOf(n)
		v.warnNotes(f, row.Notes, row.Description)
	}
	if f.warned {
		return v.showWarned("people/new", model(f, rows), f)
	}
	to, err := save(h, f.Value("once"))
	if err != nil {
		v.refuse(f, savedBefore(err), func(name string) string { return formName(name, used) })
		v.c.Status(fault.Of(err).Class.Status())
		return v.renderForm("people/new", model(f, rows), f)
	}
	return v.redirect(to)
}

// register writes the household, or the one person, and says where to go on.
func (v *visit) register(h registration.NewHousehold, once string) (to string, err error) {
	desk := v.desks().Registration
	request := registration.Request{Key: onceKey(once)}
	if len(h.Members) == 1 {
		added, err := desk.Add(v.s.ctx, v.actor, h.Members[0], request)
		v.noteTold(added.PassedOn)
		return "/people/" + added.ID.String(), asMember(err)
	}
	added, err := desk.AddHousehold(v.s.ctx, v.actor, h, request)
	v.noteTold(added.PassedOn)
	return "/households/" + added.ID.String() + "?saved=1", err
}

// asMember names the fields of a single person as if they were the first member, so
// that the form finds them.
func asMember(err error) error {
	if err == nil {
		return nil
	}
	f := *fault.Of(err)
	f.Fields = slices.Clone(f.Fields)
	for i := range f.Fields {
		f.Fields[i].Name = memberPrefix(0) + f.Fields[i].Name
	}
	return &f
}

// onceKey keeps keys of forms apart from those of programs.
func onceKey(once string) string {
	if once == "" {
		return ""
	}
	return "page:" + once
}

// savedBefore says a reused key in the words of a form: somebody went back to a form
// that was saved, changed it and saved again.
func savedBefore(err error) error {
	if f := fault.Of(err); f.Class == fault.Conflict && (f.Key == "fault.registration.key_reused" || f.Key == "fault.tokens.key_reused") {
		return fault.New(fault.Conflict, "fault.ui.saved_before")
	}
	return err
}

// family reads the form. used[i] is the row that member i came from.
func (v *visit) family(f *form, rows int) (h registration.NewHousehold, used []int) {
	for n := range min(rows, registration.MaxHousehold) {
		row := memberRowOf(n)
		if !written(f, row) {
			continue
		}
		h.Members = append(h.Members, v.member(f, row))
		h.Relations = append(h.Relations, f.Value(row.Relation))
		used = append(used, n)
	}
	if i := slices.Index(h.Relations, "head"); i >= 0 {
		h.Head = i
	}
	return h, used
}

// written tells whether somebody put anything into a row; its relation is filled in
// by the page, so that does not count.
func written(f *form, row memberRow) bool {
	return f.Any(memberPrefix(row.N), row.Relation)
}

// member reads one row together with what was said about all.
func (v *visit) member(f *form, row memberRow) registration.Person {
	p := registration.Person{
		GivenName: f.Value(row.Given), FamilyName: first(f.Value(row.Family), f.Value("family_name")),
		Sex: f.Value(row.Sex), BirthDate: f.Value(row.Birth), Needs: f.All(row.Needs),
		Nationality: v.country(first(f.Value(row.Nationality), f.Value("nationality"))), Languages: v.languageCodes(f.Value("languages")),
		Phone: f.Value(row.Phone), FatherName: f.Value(row.Father), MotherName: f.Value(row.Mother),
		Origin: f.Value("origin"), Destination: f.Value("destination"), ArrivedAt: f.Value("arrived_at"),
		Notes: f.Value(row.Notes), NameUnknown: f.Has(row.Unknown, "yes"), Description: f.Value(row.Description),
		Aside: asideOf(f, row.Tell),
	}
	if p.NameUnknown { // the family's name would be theirs otherwise
		p.FamilyName = f.Value(row.Family)
	}
	p.Age = v.age(f, row.Age)
	if number, typ := f.Value(row.DocNumber), f.Value(row.DocType); number != "" || typ != "" {
		p.Documents = []registration.Document{{Type: typ, Number: number}}
	}
	for _, purpose := range f.All("consent") {
		p.Consent = append(p.Consent, registration.Consent{Purpose: purpose, Given: true})
	}
	return p
}

// age reads an age in the digits of any script. What is no number becomes one no
// person has, so that the desk refuses it and the form shows it as it was typed.
func (v *visit) age(f *form, name string) *int {
	typed := f.Value(name)
	if typed == "" {
		return nil
	}
	n, err := strconv.Atoi(latinDigits(typed))
	if err != nil {
		n = -1
	}
	return &n
}

// latinDigits writes Arabic, Persian, Devanagari, Bengali, Thai, Lao, Myanmar and
// Khmer digits as 0-9 (Unicode blocks; each has its ten in a row).
func latinDigits(s string) string {
	zeros := []rune{0x660, 0x6f0, 0x966, 0x9e6, 0xe50, 0xed0, 0x1040, 0x17e0}
	return strings.Map(func(r rune) rune {
		for _, zero := range zeros {
			if r >= zero && r < zero+10 {
				return '0' + r - zero
			}
		}
		return r
	}, s)
}

func first(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

// formName turns the desk's name of a field into the form's: members are counted
// over the rows that were used, and some fields stand in the folded part or once
// for all.
func formName(name string, used []int) string {
	i, rest, ok := memberField(name)
	if !ok || i >= len(used) {
		return name
	}
	row := memberRowOf(used[i])
	switch rest {
	case "given_name":
		return row.Given
	case "birth_date", "precision", "age_at":
		return row.Birth
	case "family_name", "father_name", "mother_name", "phone", "nationality", "notes", "description":
		return row.More + rest
	case "documents.0.number", "documents":
		return row.DocNumber
	case "documents.0.type":
		return row.DocType
	case "aside":
		return row.Tell + "codes"
	case "languages", "origin", "destination", "arrived_at", "consent":
		return rest
	}
	return memberPrefix(row.N) + rest
}

// memberModel is the form that adds one person to a household.
type memberModel struct {
	personForm
	Action, Back string
}

// memberPage shows the form for one more person of a household.
func (v *visit) memberPage() error {
	id, err := v.subject("fault.registration.no_household")
	if err != nil {
		return err
	}
	h, err := v.desks().Registration.Household(v.s.ctx, v.actor, id)
	if err != nil {
		return err
	}
	f := newForm()
	f.set("once", newOnce())
	f.set("relation", "child")
	if len(h.Members) > 0 {
		f.set("family_name", h.Members[0].FamilyName)
	}
	return v.renderForm("people/member", v.memberModel(id, f), f)
}

func (v *visit) memberModel(id oplog.ID, f *form) memberModel {
	at := "/households/" + id.String()
	return memberModel{personForm: v.personForm(f, true), Action: at + "/add", Back: at}
}

func (v *visit) addMember() error {
	id, err := v.subject("fault.registration.no_household")
	if err != nil {
		return err
	}
	f := v.sent()
	if v.warnNotes(f, "notes", "description") {
		return v.showWarned("people/member", v.memberModel(id, f), f)
	}
	request := registration.Request{Key: onceKey(f.Value("once"))}
	added, err := v.desks().Registration.AddMember(v.s.ctx, v.actor, id, v.personOf(f), f.Value("relation"), request)
	if err != nil {
		return v.reshow("people/member", v.memberModel(id, f), f, savedBefore(err), tellName)
	}
	v.noteTold(added.PassedOn)
	return v.redirect("/households/" + id.String())
}

// countryNames are the names of countries in one language, for a browser to suggest.
func countryNames(lang locale.Language) []string {
	var out []string
	for _, key := range lang.Keys("country.") {
		out = append(out, lang.Text(key, nil))
	}
	slices.Sort(out)
	return out
}

// country turns what somebody typed into a code: the name of a country in any of
// our languages, or its code. Anything else stays as it is, for the desk to refuse.
func (v *visit) country(typed string) string { return v.codeOf("country.", typed) }

// languageCodes does the same for languages, separated by commas.
func (v *visit) languageCodes(typed string) []string {
	var out []string
	for part := range strings.FieldsFuncSeq(typed, func(r rune) bool { return strings.ContainsRune(",;،、\n", r) }) {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, v.codeOf("language.", part))
		}
	}
	return out
}

func (v *visit) codeOf(prefix, typed string) string {
	if typed == "" {
		return ""
	}
	for _, lang := range append([]locale.Language{v.lang}, v.s.config.Catalog.All()...) {
		for _, key := range lang.Keys(prefix) {
			if strings.EqualFold(lang.Text(key, nil), typed) {
				return strings.TrimPrefix(key, prefix)
			}
		}
	}
	return typed
}
