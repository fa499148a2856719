package locale

import (
	"encoding/json"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
)

// plurals are the forms a counted sentence needs in each language (CLDR plural
// rules, unicode.org/cldr, 2026-11; "many" in es and fr is for millions).
var plurals = map[string][]string{
	"en": {"one", "other"}, "es": {"many", "one", "other"}, "fr": {"many", "one", "other"},
	"ar": {"few", "many", "one", "other", "two", "zero"},
}

func sentencesOf(t *testing.T, tag string) map[string]any {
	t.Helper()
	names, err := fs.Glob(files, tag+"/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v %v", tag, names, err)
	}
	all := map[string]any{}
	for _, name := range names {
		raw, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var one map[string]any
		if err := json.Unmarshal(raw, &one); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for k, v := range one {
			if _, twice := all[k]; twice {
				t.Errorf("%s: %s stands in two files, also in %s", tag, k, path.Base(name))
			}
			all[k] = v
		}
	}
	return all
}

func TestEveryLanguageSaysTheSame(t *testing.T) {
	english := sentencesOf(t, "en")
	for _, l := range Languages()[1:] {
		theirs := sentencesOf(t, l.Tag)
		for k := range english {
			if _, ok := theirs[k]; !ok {
				t.Errorf("%s lacks %s", l.Tag, k)
			}
		}
		for k := range theirs {
			if _, ok := english[k]; !ok {
				t.Errorf("%s has %s, English does not", l.Tag, k)
			}
		}
	}
}

func TestCountedSentencesHaveEveryForm(t *testing.T) {
	for _, l := range Languages() {
		for k, v := range sentencesOf(t, l.Tag) {
			forms, counted := v.(map[string]any)
			if !counted {
				continue
			}
			var have []string
			for f := range forms {
				have = append(have, f)
			}
			slices.Sort(have)
			if !slices.Equal(have, plurals[l.Tag]) {
				t.Errorf("%s %s has the forms %v, needs %v", l.Tag, k, have, plurals[l.Tag])
			}
		}
	}
}

func TestEveryFaultSaysWhatToDo(t *testing.T) {
	english := sentencesOf(t, "en")
	for k := range english {
		if !strings.HasPrefix(k, "fault.") || strings.HasSuffix(k, ".hint") {
			continue
		}
		if _, ok := english[k+".hint"]; !ok && !fieldFault(k) {
			t.Errorf("%s has no hint", k)
		}
	}
}

// fieldFault are sentences shown beside one field of a form: the field itself is
// where to act.
func fieldFault(key string) bool {
	return strings.HasPrefix(key, "fault.registration.") || strings.HasPrefix(key, "fault.api.")
}

func TestSpokenInFourLanguages(t *testing.T) {
	c, strict := New(), catalog(t)
	for _, l := range Languages() {
		lang := c.For(l.Tag)
		if n := len(strict.For(l.Tag).Keys("")); n < 1000 || len(lang.Keys("")) != n {
			t.Errorf("%s: %d of %d sentences are read at first use", l.Tag, len(lang.Keys("")), n)
		}
		if lang.Tag() != l.Tag || lang.Dir() != l.Dir {
			t.Errorf("%s is served as %s %s", l.Tag, lang.Tag(), lang.Dir())
		}
		if got := lang.Text("alert.only_here", map[string]any{"Count": 12}); !strings.Contains(got, "12") {
			t.Errorf("%s: %q", l.Tag, got)
		}
	}
	if got := c.For("fr").Text("fault.node.locked", nil); got != "Ce boîtier est fermé." {
		t.Error(got)
	}
	if got := c.For("ar").Text("alert.only_here", map[string]any{"Count": 2}); got != "سجلان على هذا الجهاز وحده." {
		t.Error(got)
	}
	if got := c.For("my;q=0.9").Text("staff.role.lead", nil); got != "Lead" {
		t.Error(got)
	}
}

// The box has one name in a language: people who read two are looking for two machines.
func TestTheBoxHasOneName(t *testing.T) {
	for k, v := range sentencesOf(t, "es") {
		said, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range strings.FieldsFunc(strings.ReplaceAll(strings.ToLower(string(said)), "caja fuerte", ""), func(r rune) bool { return r < 'a' || r > 'z' }) {
			if word == "caja" || word == "cajas" {
				t.Errorf("es %s calls the box a %s", k, word)
			}
		}
	}
}

// What somebody signs in and signs with has one name in a language: people who read two
// look for a second secret. A post likewise.
func TestOneNameForOneThing(t *testing.T) {
	for tag, others := range map[string][]string{
		"es": {"frase de paso", "frase de contraseña", "frase de acceso"}, "fr": {"phrase secrète"}, "ar": {"نقطة أخرى", "أي نقطة", "تلك النقطة"},
	} {
		for k, v := range sentencesOf(t, tag) {
			said, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range others {
				if strings.Contains(strings.ToLower(string(said)), word) {
					t.Errorf("%s %s says %s, which has another name everywhere else", tag, k, word)
				}
			}
		}
	}
}
