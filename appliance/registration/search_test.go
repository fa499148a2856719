package registration

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

func personType() reflect.Type { return reflect.TypeFor[Person]() }

func TestFoldName(t *testing.T) {
	for _, same := range [][]string{
		{"jose garcia", "José García", "JOSE  GARCÍA", "Jose\u0301 Garci\u0301a", "jose-garcia"},
		{"احمد", "أحمد", "احْمَد", "احـمد", "إحمد", "ٱحمد"},
		{"علي", "على", "علی"},
		{"كريم", "کریم", "كَرِيم"},
		{"فاطمه", "فاطمة", "فاطمہ"},
		{"گلنار", "گل\u200cنار"},
		{"رايد", "رائد", "راىد"},
		{"شحاده 12", "شحادة ١٢", "شحادة ۱۲"},
		{"наталия", "Наталия", "НАТАЛИЯ"},
		{"strasse", "Straße"},
		{"lodz", "Łódź"},
		{"o neil", "O Neil"},
		{"oneil", "O'Neil", "O’Neil", "Oʼneil"},
		{"မသီတာ", "မသီတာ"},
	} {
		for _, s := range same[1:] {
			if a, b := foldName(same[0]), foldName(s); a != b {
				t.Errorf("%q and %q: %q %q", same[0], s, a, b)
			}
		}
	}
	if foldName("မသီတာ") == foldName("မသတ") {
		t.Error("Burmese vowels are part of the name")
	}
	if foldName("--- ") != "" || foldName("") != "" {
		t.Error("punctuation is no name")
	}
}

func TestWithin1(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"hassan", "hasan", true}, {"hasan", "hassan", true}, {"hasan", "hazan", true}, {"hasan", "hsaan", true}, {"hasan", "hasan", true},
		{"hasan", "hazzan", false}, {"hasan", "", false}, {"a", "", true}, {"علي", "عالي", true}, {"علي", "عاليه", false}, {"ab", "ba", true},
		{"abc", "cba", false}, {"Наталія", "Наталия", true},
	} {
		if got := within1(c.a, c.b); got != c.want {
			t.Errorf("%s %s: %v", c.a, c.b, got)
		}
	}
}

// crowd registers the people the search tests look for.
func crowd(t *testing.T, d *Desk) map[string]oplog.ID {
	t.Helper()
	people := map[string]Person{
		"jose":   {GivenName: "José", FamilyName: "García Peña", Phone: "+503 7123 4567", BirthDate: "1984-05-21"},
		"josefa": {GivenName: "Josefa", FamilyName: "Martínez", Documents: []Document{{Type: "passport", Number: "N-123 456"}}},
		"marjo":  {GivenName: "Marijose", FamilyName: "Flores"},
		"hassan": {GivenName: "Hassan", FamilyName: "Ali", FatherName: "Yusuf"},
		"ahmad":  {GivenName: "أحمد", FamilyName: "الحسن", OtherNames: "Ahmad Al-Hasan"},
		"karim":  {GivenName: "کریم", FamilyName: "یوسفزی"},
		"oksana": {GivenName: "Оксана", FamilyName: "Шевченко"},
		"thida":  {GivenName: "မသီတာ"},
		"nobody": {NameUnknown: true, Description: "man in a red cap"},
	}
	ids := map[string]oplog.ID{}
	for name, p := range people {
		ids[name] = add(t, d, p)
	}
	return ids
}

func TestSearch(t *testing.T) {
	d, log := openDesk(t)
	ids := crowd(t, d)
	names := map[oplog.ID]string{}
	for name, id := range ids {
		names[id] = name
	}
	typed := "7K3M-9QXZ-ABCD"
	d.byTyped = func(code string) (oplog.ID, bool) {
		return ids["karim"], foldNumber(code) == foldNumber(typed)
	}
	for _, c := range []struct{ q, want string }{
		{"jose", "jose josefa marjo"}, // exact, beginning, inside
		{"JOSÉ garcia", "jose"},
		{"garcia jose", "jose"},
		{"jos pen", "jose"},
		{"hasan", "ahmad hassan"}, // "Al-Hasan" exactly, "Hassan" with a slip
		{"hasssan", "hassan"},
		{"احمد", "ahmad"},
		{"إحمد الحسن", "ahmad"},
		{"كريم", "karim"},
		{"ШЕВЧЕНКО", "oksana"},
		{"шевчинко", "oksana"},
		{"မသီ", "thida"},
		{"yusuf", "hassan"}, // the father
		{"jose 1984", "jose"},
		{"jose 1985", ""},
		{"71234567", "jose"},
		{"+503 7123-4567", "jose"},
		{"0050371234567", "jose"},
		{"4567", "jose"},
		{"٧١٢٣٤٥٦٧", "jose"},
		{"n123456", "josefa"},
		{"N-123 456", "josefa"},
		{"n 123", "josefa"},
		{ids["oksana"].String(), "oksana"},
		{strings.ToUpper(ids["oksana"].String()), "oksana"},
		{typed, "karim"},
		{"7k3m9qxzabcd", "karim"},
		{"red cap", "nobody"},
		{"zzzz", ""},
		{"jose zzzz", ""},
		{"...", ""},
	} {
		for _, desk := range []*Desk{d, deskOn(t, log)} { // as written, and as read after a restart
			desk.byTyped = d.byTyped
			page, err := desk.Search(context.Background(), clerk, c.q, 0, "")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range page.Items {
				got = append(got, names[r.ID])
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%q: got %v, want %s", c.q, got, c.want)
			}
			if page.Items == nil || page.Next != "" {
				t.Errorf("%q: items %v, next %q", c.q, page.Items, page.Next)
			}
		}
	}
}

func TestSearchFollowsCorrections(t *testing.T) {
	d, _ := openDesk(t)
	id := add(t, d, Person{GivenName: "Jorge"})
	if _, err := d.Correct(context.Background(), clerk, id, patch(t, `{"given_name":"Ramón"}`), Request{}); err != nil {
		t.Fatal(err)
	}
	for q, want := range map[string]int{"jorge": 0, "ramon": 1} {
		if page, err := d.Search(context.Background(), clerk, q, 0, ""); err != nil || len(page.Items) != want {
			t.Errorf("%s: %d %v", q, len(page.Items), err)
		}
	}
}

func TestPagesMeetWithoutGapOrOverlap(t *testing.T) {
	d, _ := openDesk(t)
	const n = 23
	for i := range n {
		add(t, d, Person{GivenName: "Ana", FamilyName: fmt.Sprintf("Lux%d", i)})
	}
	for _, q := range []string{"", "ana", "lux"} {
		seen, cursor, pages := map[oplog.ID]bool{}, "", 0
		var last *Record
		for {
			page, err := d.Search(context.Background(), clerk, q, 5, cursor)
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for i, r := range page.Items {
				if seen[r.ID] {
					t.Fatalf("%q: twice", q)
				}
				seen[r.ID] = true
				if last != nil && q == "" && page.Items[i].RegisteredAt.After(last.RegisteredAt) {
					t.Fatal("not the latest first")
				}
				last = &page.Items[i]
			}
			if cursor = page.Next; cursor == "" {
				break
			}
			if pages == 2 {
				add(t, d, Person{GivenName: "Ana", FamilyName: "Lux"}) // comes in between and moves nothing
			}
		}
		if len(seen) < n {
			t.Errorf("%q: %d of %d in %d pages", q, len(seen), n, pages)
		}
	}
	if page, _ := d.Recent(context.Background(), clerk, MaxPage+50, ""); len(page.Items) < n || page.Next != "" {
		t.Error(len(page.Items))
	}
}

func TestSearchRefuses(t *testing.T) {
	d, _ := openDesk(t)
	_, err := d.Search(context.Background(), clerk, strings.Repeat("a", 201), 0, "")
	wantFault(t, err, fault.Invalid, "fault.registration.query")
	_, err = d.Search(context.Background(), clerk, "\xff", 0, "")
	wantFault(t, err, fault.Invalid, "fault.registration.query")
	for _, cursor := range []string{"x", "!!", "MSAyIDM"} {
		_, err = d.Search(context.Background(), clerk, "a", 0, cursor)
		wantFault(t, err, fault.Invalid, "fault.registration.cursor")
	}
}

func FuzzSearch(f *testing.F) {
	for _, s := range []string{"jose garcia", "أحمد", "+963 11", "7K3M-9QXZ-ABCD", "မသီတာ", "\u202e", "ﷺ"} {
		f.Add(s, "José García", "+503 1")
	}
	f.Fuzz(func(t *testing.T, q, name, phone string) {
		folded := foldName(q)
		if utf8.ValidString(q) && foldName(folded) != folded {
			t.Fatalf("folding %q again gives %q", folded, foldName(folded))
		}
		if strings.Contains(folded, unit) || strings.TrimSpace(folded) != folded {
			t.Fatalf("%q", folded)
		}
		d := &Desk{}
		e := newEntry(oplog.ID{1}, personRow{Person: Person{GivenName: name, Phone: phone}})
		question := d.ask(q)
		question.score(&e)
		self := d.ask(name)
		if score, ok := self.score(&e); len(self.words) > 0 && (!ok || score>>12 > scorePrefix) {
			t.Fatalf("%q does not find itself: %d %v", name, score, ok)
		}
		if _, err := parseCursor(q); err != nil && fault.ClassOf(err) != fault.Invalid {
			t.Fatal(err)
		}
		if !within1(q, q) {
			t.Fatal("within1 is not reflexive")
		}
	})
}
