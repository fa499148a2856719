package registration

import (
	"bytes"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

func checkOne(p Person, at moment) (Person, map[string]string) {
	c := checker{at: at}
	out, wrong := c.person(p), map[string]string{}
	for _, f := range c.faults {
		wrong[f.Name] = strings.TrimPrefix(f.Key, "registration.problem.")
	}
	return out, wrong
}

var sureNow = moment{at: testDay, sure: true}

// TestWhatIsRefused has one row a rule: a person in JSON without a name, and the
// field and problem expected.
func TestWhatIsRefused(t *testing.T) {
	long := strings.Repeat("é", maxName+1)
	for _, c := range []struct{ in, field, problem string }{
		{`{"given_name":"` + long + `"}`, "given_name", "too_long"},
		{`{"notes":"` + strings.Repeat("x", maxNotes+1) + `"}`, "notes", "too_long"},
		{`{"origin":"` + strings.Repeat("x", 10000) + `"}`, "origin", "too_long"},
		{`{"given_name":"A\u0000li"}`, "given_name", "control"},
		{`{"given_name":"A\nli"}`, "given_name", "control"},
		{`{"given_name":"\u202eilA"}`, "given_name", "control"},
		{`{"family_name":"Mu\ufffdoz"}`, "family_name", "encoding"},
		{`{"notes":"a\u0007b"}`, "notes", "control"},
		{`{"sex":"f"}`, "sex", "sex"},
		{`{"birth_date":"21.05.1984"}`, "birth_date", "date"},
		{`{"birth_date":"1984-02-30"}`, "birth_date", "date"},
		{`{"birth_date":"19840230"}`, "birth_date", "date"},
		{`{"birth_date":"84"}`, "birth_date", "date"},
		{`{"birth_date":"1879-01-01"}`, "birth_date", "date_past"},
		{`{"birth_date":"1894-01-01"}`, "birth_date", "date_past"},
		{`{"birth_date":"2026-11-26"}`, "birth_date", "date_future"},
		{`{"birth_date":"1984","precision":"day"}`, "precision", "precision_fit"},
		{`{"birth_date":"1984","precision":"month"}`, "precision", "precision_fit"},
		{`{"birth_date":"1984-05","precision":"day"}`, "precision", "precision_fit"},
		{`{"age":30,"precision":"day"}`, "precision", "precision_fit"},
		{`{"precision":"day"}`, "precision", "precision_alone"},
		{`{"age":30,"precision":"exact"}`, "precision", "precision"},
		{`{"age":131}`, "age", "age"},
		{`{"age":-1}`, "age", "age"},
		{`{"age":12,"birth_date":"1990-01-01"}`, "age", "age_birth"},
		{`{"age":30,"age_at":"soon"}`, "age_at", "date"},
		{`{"nationality":"SY"}`, "nationality", "nationality"},
		{`{"nationality":"XXB"}`, "nationality", "nationality"},
		{`{"nationality":"ZZZ"}`, "nationality", "nationality"},
		{`{"nationality":"SUN"}`, "nationality", "nationality"},
		{`{"nationality":"Syria"}`, "nationality", "nationality"},
		{`{"languages":["arabic"]}`, "languages", "language"},
		{`{"languages":["xx"]}`, "languages", "language"},
		{`{"phone":"none"}`, "phone", "phone"},
		{`{"phone":"12"}`, "phone", "phone"},
		{`{"documents":[{"type":"passport"}]}`, "documents.0.number", "document_number"},
		{`{"documents":[{"number":"1"},{"number":"` + strings.Repeat("9", 61) + `"}]}`, "documents.1.number", "too_long"},
		{`{"arrived_at":"yesterday"}`, "arrived_at", "time"},
		{`{"needs":["trafficked"]}`, "needs", "need"},
		{`{"needs":["unaccompanied"]}`, "needs", "need"},
		{`{"consent":[{"given":true}]}`, "consent.0.purpose", "purpose"},
		{`{"consent":[{"purpose":"registration","given":true,"at":"2026-11-24"}]}`, "consent.0.at", "time"},
		{`{"languages":["` + strings.Repeat(`ar","`, maxList) + `ar"]}`, "languages", "too_many"},
		{`{}`, "given_name", "name_required"},
		{`{"father_name":"Ali"}`, "given_name", "name_required"},
		{`{"name_unknown":true}`, "description", "description_required"},
	} {
		p, err := DecodePerson(strings.NewReader(c.in))
		if err != nil {
			t.Errorf("%.60s: %v", c.in, err)
			continue
		}
		if c.problem != "name_required" && c.problem != "description_required" && c.field != "given_name" {
			p.GivenName = "Ali"
		} else if c.field == "given_name" && c.problem != "name_required" {
			p.FamilyName = "Ali"
		}
		if _, wrong := checkOne(p, sureNow); len(wrong) != 1 || wrong[c.field] != c.problem {
			t.Errorf("%.60s: want %s %s, got %v", c.in, c.field, c.problem, wrong)
		}
	}
}

func TestWhatIsNormalised(t *testing.T) {
	n := func(i int) *int { return &i }
	for _, c := range []struct {
		name     string
		in, want Person
	}{
		{"spaces", Person{GivenName: "  Ana \u00a0 María\u3000"}, Person{GivenName: "Ana María"}},
		{"NFC", Person{GivenName: "Jose\u0301"}, Person{GivenName: "José"}},
		{"joiners stay, direction marks go", Person{GivenName: "گل\u200cنار\u200f"}, Person{GivenName: "گل\u200cنار"}},
		{"compact date", Person{GivenName: "A", BirthDate: "19840521"}, Person{GivenName: "A", BirthDate: "1984-05-21", Precision: "day"}},
		{"year", Person{GivenName: "A", BirthDate: "1984"}, Person{GivenName: "A", BirthDate: "1984", Precision: "year"}},
		{"month", Person{GivenName: "A", BirthDate: "1984-05"}, Person{GivenName: "A", BirthDate: "1984-05", Precision: "month"}},
		{"Arabic digits", Person{GivenName: "A", BirthDate: "١٩٨٤-٠٥-٢١"}, Person{GivenName: "A", BirthDate: "1984-05-21", Precision: "day"}},
		{"precision below", Person{GivenName: "A", BirthDate: "1984-01-01", Precision: "YEAR"}, Person{GivenName: "A", BirthDate: "1984-01-01", Precision: "year"}},
		{"estimated", Person{GivenName: "A", BirthDate: "1984", Precision: "estimated"}, Person{GivenName: "A", BirthDate: "1984", Precision: "estimated"}},
		{"age", Person{GivenName: "A", Age: n(0)}, Person{GivenName: "A", Age: n(0), Precision: "year", AgeAt: "2026-11-24"}},
		{"oldest", Person{GivenName: "A", Age: n(130), Precision: "estimated"}, Person{GivenName: "A", Age: n(130), Precision: "estimated", AgeAt: "2026-11-24"}},
		{"both, another day", Person{GivenName: "A", Age: n(22), BirthDate: "2002-05-15"}, Person{GivenName: "A", Age: n(22), BirthDate: "2002-05-15", Precision: "day"}},
		{"stateless", Person{GivenName: "A", Nationality: "xxa"}, Person{GivenName: "A", Nationality: "XXA"}},
		{"unknown", Person{GivenName: "A", Nationality: "XXX"}, Person{GivenName: "A", Nationality: "XXX"}},
		{"Maya languages", Person{GivenName: "A", Languages: []string{"quc", "mam", "kek"}}, Person{GivenName: "A", Languages: []string{"quc", "mam", "kek"}}},
		{"needs sorted", Person{GivenName: "A", Needs: []string{"Diet", "wheelchair", "diet"}}, Person{GivenName: "A", Needs: []string{"wheelchair", "diet"}}},
		{"phone", Person{GivenName: "A", Phone: " (0)12/34-5 ext. 6 "}, Person{GivenName: "A", Phone: "(0)12/34-5 ext. 6"}},
		{"empty document", Person{GivenName: "A", Documents: []Document{{}}}, Person{GivenName: "A"}},
		{"a name ends unknown", Person{GivenName: "A", NameUnknown: true, Description: "scar"}, Person{GivenName: "A", Description: "scar"}},
		{"unnamed", Person{NameUnknown: true, Description: "man, red cap"}, Person{NameUnknown: true, Description: "man, red cap"}},
		{"only another name", Person{OtherNames: "El Chele"}, Person{OtherNames: "El Chele"}},
		{"arrived", Person{GivenName: "A", ArrivedAt: "2026-11-23T18:30:00+01:00"}, Person{GivenName: "A", ArrivedAt: "2026-11-23T18:30:00+01:00"}},
		{"longest", Person{GivenName: strings.Repeat("ع", maxName)}, Person{GivenName: strings.Repeat("ع", maxName)}},
	} {
		got, wrong := checkOne(c.in, sureNow)
		if len(wrong) > 0 || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %#v, wrong %v", c.name, got, wrong)
		}
		if again, wrong := checkOne(got, sureNow); len(wrong) > 0 || !reflect.DeepEqual(again, got) {
			t.Errorf("%s: not stable", c.name)
		}
	}
}

// A box that was off for long, or never had its clock set, must not refuse a baby.
func TestClocksThatLieRefuseNothing(t *testing.T) {
	baby := Person{GivenName: "A", BirthDate: "2026-11-24"}
	if _, wrong := checkOne(baby, moment{at: time.Unix(0, 0)}); len(wrong) > 0 {
		t.Errorf("1970: %v", wrong)
	}
	if _, wrong := checkOne(baby, moment{at: testDay.AddDate(-1, 0, 0)}); len(wrong) > 0 {
		t.Errorf("a year behind: %v", wrong)
	}
	if _, wrong := checkOne(Person{GivenName: "A", BirthDate: "2077-01-01"}, moment{at: testDay}); wrong["birth_date"] != "date_future" {
		t.Errorf("a slip of the pen: %v", wrong)
	}
	age := 5
	if p, _ := checkOne(Person{GivenName: "A", Age: &age}, moment{at: time.Unix(0, 0)}); p.AgeAt != "" {
		t.Errorf("an age of 1970: %s", p.AgeAt)
	}
}

func TestEverythingWrongIsNamedAtOnce(t *testing.T) {
	c := checker{at: sureNow}
	c.person(Person{Sex: "?", Phone: "x", Nationality: "?", Languages: []string{"?"}, Needs: []string{"?"}})
	f := fault.Of(c.err())
	if f.Class != fault.Invalid || len(f.Fields) != 6 || f.Args["Count"] != 6 {
		t.Fatal(c.err())
	}
}

func TestInputIsNotChanged(t *testing.T) {
	in := Person{GivenName: " A ", Needs: []string{"diet", "pregnant"}, Consent: []Consent{{Purpose: "Registration"}}}
	checkOne(in, sureNow)
	if in.Needs[0] != "diet" || in.Consent[0].Purpose != "Registration" {
		t.Error("the caller's lists were changed")
	}
}

func TestMessagesEchoNoNames(t *testing.T) {
	for in, want := range map[string]string{"xx": "xx", "EN-gb": "EN-gb", "Ana María": "…", "فاطمة": "…", strings.Repeat("a", 25): "…"} {
		if got := safe(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestLogsCarryNoPerson(t *testing.T) {
	var b bytes.Buffer
	p := Person{GivenName: "Secretname", Phone: "555123"}
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "p", p, "r", Record{Person: p})
	fmt.Fprint(&b, p, &p)
	fmt.Fprintf(&b, "%v %+v %s", p, Record{Person: p}, Record{Person: p})
	if strings.Contains(b.String(), "Secret") || strings.Contains(b.String(), "555") || !strings.Contains(b.String(), "p=2") {
		t.Fatal(b.String())
	}
}

func TestStrictJSON(t *testing.T) {
	for _, c := range []struct {
		in, key, field, problem string
	}{
		{`{"given_name":"A","portrait":"x"}`, "fault.registration.invalid", "portrait", "unknown_field"},
		{`{"given_name":"A","place":"bed 4"}`, "fault.registration.invalid", "place", "unknown_field"},
		{`{"id":"x"}`, "fault.registration.invalid", "id", "unknown_field"},
		{`{"age":"12"}`, "fault.registration.invalid", "age", "type"},
		{`{"age":1.5}`, "fault.registration.invalid", "age", "type"},
		{`{"needs":"diet"}`, "fault.registration.invalid", "needs", "type"},
		{`{"given_name":"A"} {}`, "fault.registration.json", "", ""},
		{`{"given_name":`, "fault.registration.json", "", ""},
		{``, "fault.registration.json", "", ""},
		{`[]`, "fault.registration.json", "", ""},
	} {
		_, err := DecodePerson(strings.NewReader(c.in))
		wantFault(t, err, fault.Invalid, c.key)
		f := fault.Of(err)
		if c.field != "" && (len(f.Fields) != 1 || f.Fields[0].Name != c.field || f.Fields[0].Key != "registration.problem."+c.problem) {
			t.Errorf("%s: %v", c.in, err)
		}
	}
	if _, err := DecodePatch(strings.NewReader(`{}`)); fault.Of(err).Key != "fault.registration.nothing" {
		t.Error(err)
	}
	if _, err := DecodeHousehold(strings.NewReader(`{"members":[{"x":1}]}`)); fault.ClassOf(err) != fault.Invalid {
		t.Error(err)
	}
}

func FuzzDecodePerson(f *testing.F) {
	f.Add([]byte(`{"given_name":"Ana","age":3,"documents":[{"number":"1"}],"consent":[{"purpose":"x","given":true}]}`))
	f.Add([]byte(`{"name_unknown":true,"description":"\u202e"}`))
	f.Add([]byte(`{"birth_date":"١٩٨٤","precision":"year"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := DecodePerson(bytes.NewReader(in))
		if err != nil {
			if fault.ClassOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		clean, wrong := checkOne(p, sureNow)
		if len(wrong) > 0 {
			return
		}
		again, wrong := checkOne(clean, sureNow)
		if len(wrong) > 0 || !reflect.DeepEqual(again, clean) {
			t.Fatalf("not stable: %#v then %#v %v", clean, again, wrong)
		}
		if b, err := encoding.Marshal(clean); err != nil || len(b) > 64<<10 {
			t.Fatal("does not fit an op", len(b), err)
		}
	})
}
