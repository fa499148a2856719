package locale

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nicksnyder/go-i18n/v2/i18n"
)

// messages are all sentences of one language, with the file each stands in.
func messages(t *testing.T, tag string) (all map[string]*i18n.Message, file map[string]string) {
	t.Helper()
	all, file = map[string]*i18n.Message{}, map[string]string{}
	names, err := fs.Glob(files, tag+"/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: no files (%v)", tag, err)
	}
	for _, name := range names {
		list, err := readFile(files, name, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			if all[m.ID] != nil {
				t.Errorf("%s: %s is in %s too", name, m.ID, file[m.ID])
			}
			all[m.ID], file[m.ID] = m, path.Base(name)
		}
	}
	return all, file
}

func TestEveryLanguageNamesTheSameValues(t *testing.T) {
	source, sourceFile := messages(t, "en")
	for _, named := range Languages()[1:] {
		t.Run(named.Tag, func(t *testing.T) {
			other, otherFile := messages(t, named.Tag)
			for key, m := range source {
				o := other[key]
				if o == nil {
					t.Errorf("lacks %s of %s", key, sourceFile[key])
					continue
				}
				if sourceFile[key] != otherFile[key] {
					t.Errorf("%s is in %s, in English in %s", key, otherFile[key], sourceFile[key])
				}
				if plural(m) != plural(o) {
					t.Errorf("%s: has plural forms in one of the languages only", key)
				}
				if a, b := values(m), values(o); !slices.Equal(a, b) {
					t.Errorf("%s names the values %v, in English %v", key, b, a)
				}
			}
			for key := range other {
				if source[key] == nil {
					t.Errorf("has %s in %s, which English lacks", key, otherFile[key])
				}
			}
		})
	}
}

func TestNothingIsLeftInEnglish(t *testing.T) {
	source, _ := messages(t, "en")
	for _, named := range Languages()[1:] {
		other, _ := messages(t, named.Tag)
		for key, m := range source {
			if o := other[key]; o != nil && o.Other == m.Other && strings.Count(m.Other, " ") > 4 && !strings.HasPrefix(m.Other, "{{") {
				t.Errorf("%s: %s is still English: %s", named.Tag, key, m.Other)
			}
		}
	}
}

// Latin digits everywhere: what is read out is compared with what is printed.
func TestDigitsAreLatin(t *testing.T) {
	for _, named := range Languages() {
		all, _ := messages(t, named.Tag)
		for key, m := range all {
			for _, form := range forms {
				if strings.ContainsAny(formOf(m, form), "٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹") {
					t.Errorf("%s: %s has digits that are not Latin", named.Tag, key)
				}
			}
		}
	}
}

func TestPluralsAreChosen(t *testing.T) {
	c := catalog(t)
	ar := c.For("ar")
	seen := map[string]bool{}
	for _, n := range []uint64{0, 1, 2, 3, 11, 100} {
		seen[strings.ReplaceAll(ar.Text("time.days", map[string]any{"Count": n}), "3", "n")] = true
	}
	if len(seen) != 6 {
		t.Fatalf("Arabic has six forms, got %v", seen)
	}
	en := c.For("en")
	if one, two := en.Text("time.days", map[string]any{"Count": 1}), en.Text("time.days", map[string]any{"Count": int64(2)}); one != "1 day ago" || two != "2 days ago" {
		t.Fatal(one, two)
	}
	if s := en.Text("time.days", map[string]any{"Count": float64(5)}); s != "5 days ago" { // out of JSON
		t.Fatal(s)
	}
	if s := en.Text("time.days", map[string]any{"Count": "many"}); !strings.Contains(s, "days") {
		t.Fatal(s)
	}
}

func TestLanguageIsChosen(t *testing.T) {
	c := catalog(t)
	for _, x := range []struct {
		asked []string
		want  string
	}{
		{nil, "en"}, {[]string{"", ""}, "en"}, {[]string{"ar"}, "ar"}, {[]string{"es-419,es;q=0.9,en;q=0.8"}, "es"},
		{[]string{"", "fr-CA"}, "fr"}, {[]string{"zz-broken-\x00", "fr"}, "fr"}, {[]string{"ja,ko"}, "en"},
		{[]string{"es", "ar"}, "es"}, {[]string{"ar-EG-u-nu-arab"}, "ar"}, {[]string{strings.Repeat("ar,", 500), "fr"}, "fr"},
	} {
		if got := c.For(x.asked...).Tag(); got != x.want {
			t.Errorf("%q: %s, want %s", x.asked, got, x.want)
		}
	}
	if c.For("ar").Dir() != "rtl" || c.For("fr").Dir() != "ltr" || c.For("ar").Name() != "العربية" {
		t.Error("direction or name is wrong")
	}
}

func TestMissingKeysAreSeen(t *testing.T) {
	l := catalog(t).For("ar")
	if l.Text("no.such.key", nil) != "no.such.key" || l.Has("no.such.key") || !l.Has("app.name") {
		t.Fatal("a missing key must show")
	}
	var zero Language
	if zero.Text("x", nil) != "x" || zero.Tag() != "en" || zero.Dir() != "ltr" || zero.Has("x") || zero.Keys("") != nil {
		t.Fatal("the zero language must be harmless")
	}
}

func TestEnglishStandsIn(t *testing.T) {
	c, err := load(fstest.MapFS{
		"en/a.json": {Data: []byte(`{"a.b": "one", "a.c": "two {{.X}}"}`)},
		"ar/a.json": {Data: []byte(`{"a.b": "واحد"}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := c.For("ar")
	if l.Text("a.b", nil) != "واحد" || l.Text("a.c", map[string]any{"X": 1}) != "two 1" {
		t.Fatal(l.Text("a.b", nil), l.Text("a.c", nil))
	}
}

func TestBadFilesAreRefused(t *testing.T) {
	for _, data := range []string{
		``, `[]`, `{"a": 1}`, `{"a": {"one": "x"}}`, `{"a": {"other": ""}}`, `{"a": {"b": "c", "other": "x"}}`,
		`{"a": "x", "a": "y"}`, `{"a": ""}`, `{"a": "{{.B"}`, `{"a": "x"`,
	} {
		if _, err := load(fstest.MapFS{"en/a.json": {Data: []byte(data)}}); err == nil && !strings.Contains(data, "{{") {
			t.Errorf("%s was taken", data)
		}
	}
	if _, err := load(fstest.MapFS{"en/a.json": {Data: []byte(`{"a": "x"}`)}, "en/b.json": {Data: []byte(`{"a": "y"}`)}}); err == nil {
		t.Error("a key in two files was taken")
	}
}

func TestEverySentenceCanBeSaid(t *testing.T) {
	c := catalog(t)
	for _, l := range c.All() {
		all, _ := messages(t, l.Tag())
		for key, m := range all {
			args := map[string]any{}
			for _, name := range values(m) {
				args[name] = "x"
			}
			args["Count"] = 3
			if s := l.Text(key, args); s == key || strings.Contains(s, "<no value>") || strings.Contains(s, "{{") {
				t.Errorf("%s: %s cannot be said: %s", l.Tag(), key, s)
			}
		}
	}
}

func catalog(t *testing.T) *Catalog {
	t.Helper()
	c, err := load(files)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func plural(m *i18n.Message) bool { return m.Zero+m.One+m.Two+m.Few+m.Many != "" }

func formOf(m *i18n.Message, form string) string {
	return map[string]string{"zero": m.Zero, "one": m.One, "two": m.Two, "few": m.Few, "many": m.Many, "other": m.Other}[form]
}

var value = regexp.MustCompile(`\{\{\s*\.(\w+)\s*\}\}`)

// values are the values a sentence names. Count may be left out of the forms that
// say the number in a word, so it counts only when the last form has it.
func values(m *i18n.Message) []string {
	var out []string
	for _, form := range forms {
		for _, found := range value.FindAllStringSubmatch(formOf(m, form), -1) {
			if !slices.Contains(out, found[1]) {
				out = append(out, found[1])
			}
		}
	}
	slices.Sort(out)
	return out
}
