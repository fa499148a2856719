package registration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// told is one call of the intake.
type told struct {
	narrow staff.Narrow
	about  oplog.ID
	codes  []string
	note   string
}

// letterbox is an intake that keeps what it is told.
type letterbox struct {
	got  []told
	fail error
}

func (l *letterbox) Opened() (bool, error) { return true, nil }

func (l *letterbox) TakeIn(_ context.Context, _ staff.Actor, n staff.Narrow, about oplog.ID, codes []string, note string) error {
	if l.fail != nil {
		return l.fail
	}
	l.got = append(l.got, told{n, about, codes, note})
	return nil
}

func (l *letterbox) text() string { return fmt.Sprint(l.got) }

// intakeDesk is a desk with a letterbox.
func intakeDesk(t testing.TB) (*Desk, *oplog.Log, *letterbox) {
	d, log := openDesk(t)
	l := &letterbox{}
	d.SetIntake(l)
	return d, log, l
}

func TestCodesKnowTheirCompartment(t *testing.T) {
	for value, want := range map[string]string{
		"trafficking": "trafficking", "VHT": "trafficking", "Victim of Trafficking": "trafficking", "trata de personas": "trafficking", "Traite des êtres humains": "trafficking",
		"الاتجار بالبشر": "trafficking", "ٱلِاتِّجار بالبشر": "trafficking", "isForcedLabour": "trafficking",
		"TR-PI": "torture", "tr_ho": "torture", "TR WV": "torture", "TR-ZZ": "torture", "VT": "torture", "torturé": "torture", "التعذيب": "torture", "تـعـذيـب": "torture",
		"SV-VA": "sexual_violence", "GBV_survivor": "sexual_violence", "Viol": "sexual_violence", "violación": "sexual_violence", "اغتصاب": "sexual_violence", "FGM": "sexual_violence",
		"violencia doméstica": "domestic_violence", "Arrested/Detained": "detention", "détenu": "detention", "معتقل": "detention", "CAAFAG": "child_risk", "associated_with_armed": "armed_group",
		"LGBTQi": "orientation", "Transgender": "orientation", "مثلي": "orientation", "lesbiana": "orientation",
		"UAM": "unaccompanied", "SC-UC": "unaccompanied", "SC-CH": "unaccompanied", "SC-SC": "separated", "Separated Child": "separated", "no acompañado": "unaccompanied",
		"Mineur non accompagné": "unaccompanied", "قاصر غير مصحوب": "unaccompanied", "CR-LW": "child_risk", "CR-TP": "child_risk",
		"SM-MI": "mental_health", "DS-MM": "mental_health", "TRAUMA": "mental_health", "salud mental": "mental_health", "SM-CC": "health", "tuberculose": "health",
		"HIV": "hiv", "HIV+": "hiv", "VIH": "hiv", "sida": "hiv", "الإيدز": "hiv", "FU-TR": "family_lost", "LP-ND": "protection", "WR-SF": "at_risk",
	} {
		if code, ok := sensitiveCode(value); !ok || code != want {
			t.Errorf("%q is %q, want %q", value, code, want)
		}
	}
	for value, want := range map[string]string{"DS-BD": "seeing", "ds_df": "hearing", "DS-PS": "walking", "PREG": "pregnant", "حامل": "pregnant", "Wheelchair": "wheelchair", "ELDERLY": "elderly"} {
		if code, ok := needOf(value); !ok || code != want {
			t.Errorf("%q is the need %q, want %q", value, code, want)
		}
	}
	for _, value := range append(Needs(), "", "diet", "Gay-Lussac street", "AB-CD", "traffic", "12", "DS-BD", "PREG", "elderly") {
		if code, ok := sensitiveCode(value); ok {
			t.Errorf("%q counts as %s", value, code)
		}
	}
	for code, want := range map[string]staff.Narrow{"trafficking": staff.NarrowProtection, "orientation": staff.NarrowProtection, "detention": staff.NarrowProtection,
		"unaccompanied": staff.NarrowChild, "separated": staff.NarrowChild, "hiv": staff.NarrowMedical, "mental_health": staff.NarrowMedical, "family_lost": staff.NarrowTracing} {
		if n, ok := narrowOf(code); !ok || n != want {
			t.Errorf("%s belongs to %q", code, n)
		}
	}
}

// Open needs say what to hand out and nothing else: none of them is a word of the table,
// and no word stands for two codes by mistake.
func TestOpenNeedsArePractical(t *testing.T) {
	for _, list := range [][]string{Needs(), Relations(), Sexes(), DocumentTypes(), Purposes()} {
		for _, code := range list {
			if c, ok := sensitiveCode(code); ok {
				t.Errorf("%s is %s", code, c)
			}
		}
	}
	for term, need := range practical {
		if !slices.Contains(Needs(), need) || foldTerm(term) != term {
			t.Errorf("%q does not fold to itself or is no need: %s", term, need)
		}
		if c, ok := terms()[term]; ok {
			t.Errorf("%q is %s too", term, c)
		}
	}
	for _, s := range SensitiveCodes() {
		if c := terms()[foldTerm(s.Code)]; c != s.Code {
			t.Errorf("%s is read as %s", s.Code, c)
		}
		if !slices.Contains(staff.Narrows(), s.Narrow) {
			t.Errorf("%s belongs nowhere", s.Code)
		}
	}
}

// dump is everything the register holds about some subjects, opened: facts as they were
// written, all rows, and the answers of the desk.
func dump(t testing.TB, d *Desk, log *oplog.Log, ids ...oplog.ID) string {
	t.Helper()
	var b bytes.Buffer
	err := log.View(func(r oplog.Reader) error {
		for _, id := range ids {
			ops, err := r.Ops(id)
			if err != nil {
				return err
			}
			for _, op := range ops {
				raw, err := encoding.Marshal(op.Body)
				if err != nil {
					return err
				}
				b.Write(raw)
			}
		}
		return r.Rows(registerView, nil, nil, func(k []byte, _ oplog.ID, v []byte) error {
			b.Write(k)
			b.Write(v)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := d.Recent(context.Background(), clerk, MaxPage, "")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(page)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(raw)
	return strings.ToLower(b.String())
}

// anID is an id or the version of a record, as JSON has them.
var anID = regexp.MustCompile(`\b([a-z2-7]{16}|[a-z0-9_-]{22,27})\b`)

// Fifty canaries through every command: none is in a fact, a row, an answer or a file of
// rejected rows, and all of them are with the intake.
func TestNothingSensitiveStaysInTheRegister(t *testing.T) {
	ctx := context.Background()
	d, log, box := intakeDesk(t)
	var ids []oplog.ID
	var canaries []string
	canary := func(text string) string {
		c := fmt.Sprintf("%s qvzk%dx", text, len(canaries))
		canaries = append(canaries, fmt.Sprintf("qvzk%dx", len(canaries)))
		return c
	}
	var answers bytes.Buffer
	answer := func(v any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err, fault.Of(err).Fields)
		}
		raw, _ := json.Marshal(v)
		answers.Write(raw)
	}
	words := []string{"victim of trafficking", "was raped by", "torturado en", "violence conjugale", "detained at", "HIV positive since", "طفل غير مصحوب", "sexual abuse", "TR-PI", "unaccompanied minor"}
	for i, w := range words {
		a, err := d.Add(ctx, clerk, Person{GivenName: fmt.Sprint("Ana", i), Needs: []string{"pregnant", canary(w)}}, Request{Key: fmt.Sprint("k", i), Body: []byte(w)})
		answer(a, err)
		ids = append(ids, a.ID)
		r, err := d.Correct(ctx, clerk, a.ID, patch(t, `{"needs":["wheelchair","`+canary(w)+`"],"notes":"Tall, `+canary("SV-VA")+`"}`), Request{})
		answer(r, err)
		if !slices.Equal(r.Needs, []string{"wheelchair"}) || r.Notes != "Tall" || r.PassedOn == 0 {
			t.Errorf("%v %q %d", r.Needs, r.Notes, r.PassedOn)
		}
	}
	h, err := d.AddHousehold(ctx, clerk, NewHousehold{Members: []Person{
		{GivenName: "Berta", Aside: []Aside{{Codes: []string{"hiv"}, Note: canary("said so")}}}, {GivenName: "Carl", Needs: []string{canary("mental illness")}, Notes: canary("case SM-MI")},
		{GivenName: "Dora"},
	}, Relations: []string{"head", "son", "unaccompanied minor"}}, Request{Key: "h"})
	answer(h, err)
	ids = append(append(ids, h.ID), h.Members...)
	n, err := d.PassOn(ctx, clerk, h.Members[2], []Aside{{Note: canary("she is afraid of him")}}, Request{})
	answer(n, err)
	csv := "id,given_name,needs,notes,relation,sex,birth_date,extra\n"
	for i := range 16 {
		when := "1990"
		if i%4 == 0 {
			when = "yesterday" // and so rejected
		}
		csv += fmt.Sprintf("%d,Eva%d,wheelchair; %s,quiet; trafficking,UAM,Transgender,%s,TR-HO\n", i, i, canary("victim of torture"), when)
	}
	table, err := ReadCSV(strings.NewReader(csv))
	answer(nil, err)
	rows, bad, err := Map{}.MapTable(table)
	answer(nil, err)
	results, err := d.Import(ctx, importer, rows)
	answer(results, err)
	for i, r := range results {
		if r.Status != RowRegistered || r.PassedOn != 2 || r.NotPassedOn != 0 {
			t.Errorf("row %d: %+v", i, r)
			continue
		}
		ids = append(ids, *r.ID)
		if p := get(t, d, *r.ID); !slices.Equal(p.Needs, []string{"wheelchair"}) || p.Notes != "quiet" || p.Relation != "" || p.Sex != "" {
			t.Errorf("%v %q %q %q", p.Needs, p.Notes, p.Relation, p.Sex)
		}
	}
	if len(bad) != 4 {
		t.Fatalf("%d rejected", len(bad))
	}
	for _, b := range bad {
		raw, _ := json.Marshal(b)
		answers.Write(raw)
		if b.Cells[1] == "" || b.Cells[2] != "" || b.Cells[7] != "" || b.Problems[len(b.Problems)-1].Key != "registration.problem.left_out" {
			t.Errorf("%+v", b)
		}
	}
	open := dump(t, d, log, ids...) + strings.ToLower(answers.String())
	for i, c := range canaries {
		if strings.Contains(open, c) {
			t.Errorf("canary %d is in the open register", i)
		}
	}
	open = anID.ReplaceAllString(open, "") // sixteen random letters hold a word of three now and then
	for _, w := range []string{"traffick", "tortur", "sv-va", "tr-p", "tr-h", "hiv", "uam", "transg", "unaccompanied", "mental", "intake", "raped"} {
		if strings.Contains(open, w) {
			t.Errorf("%q is in the open register: %q", w, open[max(0, strings.Index(open, w)-40):min(len(open), strings.Index(open, w)+40)])
		}
	}
	kept := box.text()
	missing := 0
	for _, c := range canaries {
		if !strings.Contains(kept, c) {
			missing++
		}
	}
	if missing != 4 || len(canaries) < 40 { // those of the four rejected rows stand in the list alone
		t.Errorf("%d of %d were not taken in", missing, len(canaries))
	}
	for _, w := range []string{"victim", "qvzk", "trafficking", "UAM"} {
		if page, err := d.Search(ctx, clerk, w, 0, ""); err != nil || len(page.Items) > 0 {
			t.Errorf("%q finds %d, %v", w, len(page.Items), err)
		}
	}
}

// A key that keeps a request from being carried out twice is kept with a hash of what
// was asked. Whoever has the register key and knows the rest must not be able to try
// out the codes.
func TestNoHashOfSensitiveWordsIsKept(t *testing.T) {
	d, log, _ := intakeDesk(t)
	ctx := context.Background()
	full := Person{GivenName: "Ana", Needs: []string{"pregnant", "torture"}}
	body, _ := json.Marshal(full)
	a, err := d.Add(ctx, clerk, full, Request{Key: "k", Body: body})
	if err != nil {
		t.Fatal(err)
	}
	key, _ := (Request{Key: "k"}).once(clerk, "add", full)
	raw, _ := (Request{Key: "k", Body: body}).once(clerk, "add", full)
	err = log.View(func(r oplog.Reader) error {
		w, ok, err := r.Once(key.hash)
		if !ok || w.Subject != a.ID || w.BodyHash == key.body || w.BodyHash == raw.body {
			t.Errorf("%v %v", ok, w)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	plain := ImportRow{Person: Person{GivenName: "Ana"}}
	row, _ := (Map{}).MapRow([]string{"given_name", "needs"}, []string{"Ana", "torture"}, 2)
	if row.Key != plain.contentKey() || len(row.Aside) != 1 {
		t.Error("the key of a row depends on what it said aside")
	}
}

func TestWithoutAnIntakeNothingIsStoredAndNothingLost(t *testing.T) {
	d, log := openDesk(t)
	ctx := context.Background()
	_, err := d.Add(ctx, clerk, Person{GivenName: "Ana", Needs: []string{"torture"}}, Request{})
	if f := fault.Of(err); f.Class != fault.Invalid || len(f.Fields) != 1 || f.Fields[0].Name != "needs" || f.Fields[0].Key != "registration.problem.no_intake" {
		t.Fatalf("%+v", f)
	}
	_, err = d.AddHousehold(ctx, clerk, NewHousehold{Members: []Person{{GivenName: "A"}, {GivenName: "B", Aside: []Aside{{Note: "x"}}}}}, Request{})
	if f := fault.Of(err); len(f.Fields) != 1 || f.Fields[0].Name != "members.1.aside" {
		t.Fatalf("%+v", f)
	}
	if c, _ := d.Counts(ctx); c.People != 0 {
		t.Fatal("somebody was registered")
	}
	id := add(t, d, Person{GivenName: "Ana"})
	before := dump(t, d, log, id)
	if _, err := d.Correct(ctx, clerk, id, patch(t, `{"notes":"TR-PI","phone":"+963 11 555"}`), Request{}); fault.Of(err).Fields == nil {
		t.Error(err)
	}
	if _, err := d.Move(ctx, clerk, id, oplog.ID{}, "UAM", Request{}); fault.Of(err).Fields == nil {
		t.Error(err)
	}
	if _, err := d.PassOn(ctx, clerk, id, []Aside{{Note: "x"}}, Request{}); fault.Of(err).Fields == nil {
		t.Error(err)
	}
	if dump(t, d, log, id) != before {
		t.Error("something was written")
	}
	rows, _ := rowsOf(t, "given_name,needs\nBo,torture;diet\n", Map{})
	results, err := d.Import(ctx, importer, rows)
	if err != nil || results[0].Status != RowRegistered || results[0].NotPassedOn != 1 || results[0].PassedOn != 0 {
		t.Fatalf("%+v %v", results, err)
	}
}

// The intake comes first and knows the id: what fails afterwards leaves an intake that
// its readers see, and sending the form again tells nothing twice and writes one person.
func TestWhatIsPassedOnComesFirstAndOnce(t *testing.T) {
	d, log, box := intakeDesk(t)
	p, req := Person{GivenName: "Ana", Needs: []string{"torture", "hiv"}}, Request{Key: "page:1"}
	ctx, lost := t.Context(), p
	lost.Photo = "gone" // the writer refuses it: as if the power went between the two
	if _, err := d.Add(ctx, clerk, lost, req); err == nil {
		t.Fatal("a photo that is not there is taken")
	}
	if c, _ := d.Counts(t.Context()); c.People != 0 || len(box.got) != 2 || box.got[0].narrow != staff.NarrowProtection || box.got[1].narrow != staff.NarrowMedical {
		t.Fatalf("%+v %+v", c, box.got)
	}
	a, err := d.Add(t.Context(), clerk, p, req)
	if err != nil || a.ID != box.got[0].about || len(box.got) != 2 || a.PassedOn != 2 {
		t.Fatalf("%v %+v %+v", err, a, box.got)
	}
	again, err := d.Add(t.Context(), clerk, p, req)
	if err != nil || again.ID != a.ID || len(box.got) != 2 {
		t.Fatalf("%v %+v %+v", err, again, box.got)
	}
	// Said later with the same key: it is told, under the same person.
	p.Aside = []Aside{{Note: "and her sister"}}
	if _, err := d.Add(t.Context(), clerk, p, req); err != nil || len(box.got) != 3 || box.got[2].about != a.ID || !strings.Contains(box.got[2].note, "and her sister") {
		t.Fatalf("%v %+v", err, box.got)
	}
	// After a restart it may be told twice, never lost, and the person stays one.
	d = deskOn(t, log)
	d.SetIntake(box)
	if again, err := d.Add(t.Context(), clerk, p, req); err != nil || again.ID != a.ID || box.got[len(box.got)-1].about != a.ID {
		t.Fatalf("%v %+v", err, again)
	}
	if c, _ := d.Counts(t.Context()); c.People != 1 {
		t.Fatalf("%+v", c)
	}
	box.fail = fault.New(fault.Unavailable, "fault.internal")
	if _, err := d.Add(t.Context(), clerk, Person{GivenName: "Bo", Needs: []string{"hiv"}}, Request{}); err == nil {
		t.Error("saved though nobody was told")
	}
	if c, _ := d.Counts(t.Context()); c.People != 1 {
		t.Fatalf("%+v", c)
	}
}

func TestImportPassesOnOnceAndSaysWhatItDidNot(t *testing.T) {
	d, _, box := intakeDesk(t)
	ctx := t.Context()
	const csv = "household,given_name,needs\n1,Ana,torture\n1,Bo,diet\n1,Cy,hiv;UAM\n"
	rows, _ := rowsOf(t, csv, Map{})
	results, err := d.Import(ctx, importer, rows)
	if err != nil || len(box.got) != 3 || results[2].PassedOn != 2 || *results[0].ID != box.got[0].about {
		t.Fatalf("%v %+v %+v", err, results, box.got)
	}
	rows, _ = rowsOf(t, csv, Map{})
	results, err = d.Import(ctx, importer, rows)
	if err != nil || len(box.got) != 3 || results[2].Status != RowThere || results[2].NotPassedOn != 2 {
		t.Fatalf("%v %+v %+v", err, results, box.got)
	}
	rows, _ = rowsOf(t, "given_name,needs\nDe,torture\n", Map{})
	box.fail = fault.New(fault.Unavailable, "fault.internal")
	results, err = d.Import(ctx, importer, rows)
	if err != nil || results[0].Status != RowRegistered || results[0].NotPassedOn != 1 {
		t.Fatalf("%v %+v", err, results)
	}
	m := Map{Columns: map[string]string{"n": "given_name", "v": "needs"}, Values: map[string]map[string]string{"needs": {"Code 7": "torture", "walks badly": "walking"}}}
	mapped, _ := rowsOf(t, "n,v\nFi,Code 7\nGo,walks badly\n", m)
	if len(mapped[0].Aside) != 1 || len(mapped[0].Person.Needs) != 0 || !slices.Equal(mapped[1].Person.Needs, []string{"walking"}) {
		t.Errorf("%+v", mapped)
	}
}

func TestNotesGoWhereTheirCodesDo(t *testing.T) {
	c := &checker{}
	got := c.asides([]Aside{{Codes: []string{"hiv", "violence", "hiv"}, Note: "a"}, {Note: "b"}, {Codes: []string{"unaccompanied"}, Note: "c"}, {Codes: []string{"family_lost"}}})
	want := []diverted{{staff.NarrowProtection, []string{"violence"}, "a\nb"}, {staff.NarrowChild, []string{"unaccompanied"}, "c"}, {staff.NarrowMedical, []string{"hiv"}, ""}, {staff.NarrowTracing, []string{"family_lost"}, ""}}
	if fmt.Sprint(got) != fmt.Sprint(want) || c.err() != nil {
		t.Errorf("%v", got)
	}
	long := strings.Repeat("x", maxNotes)
	if got := c.asides([]Aside{{Note: long}, {Note: long}, {Codes: []string{"torture"}}}); len(got) != 2 || got[0].note != long || got[1].note != long || len(got[0].codes) != 1 {
		t.Errorf("%d", len(got))
	}
	c.asides([]Aside{{Codes: []string{"wheelchair"}}, {Note: strings.Repeat("x", maxNotes+1)}})
	if len(c.faults) != 2 {
		t.Errorf("%+v", c.faults)
	}
}

func FuzzDivert(f *testing.F) {
	for _, s := range []string{"torture", "TR-PI, tall", "غير مصحوب", "a;b|c", "hiv\nwheelchair", "\xff"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, need, note string) {
		p := Person{Needs: []string{need}, Notes: note, Consent: []Consent{{Purpose: need}}, Sex: need}
		relation := need
		divert(&p, &relation, true)
		for _, s := range append(p.Needs, relation, p.Sex) {
			if code, ok := sensitiveCode(s); ok && !slices.Contains(Sexes(), s) {
				if _, need := needOf(s); !need {
					t.Errorf("%q is still there: %s", s, code)
				}
			}
		}
		if _, ok := codeInText(p.Notes); ok {
			t.Errorf("%q still has a code", p.Notes)
		}
		needsOf(need)
	})
}
