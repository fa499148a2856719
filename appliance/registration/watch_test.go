package registration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// watchCase is a note and whether it is warned about. The same cases are run by the
// script of the page.
type watchCase struct {
	Lang string `json:"lang"`
	Text string `json:"text"`
	Warn bool   `json:"warn"`
}

func watchCases(t *testing.T) (cases []watchCase) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "watch.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &cases); err != nil || len(cases) < 80 {
		t.Fatal(len(cases), err)
	}
	return cases
}

func TestNotesAreWatchedInFourLanguages(t *testing.T) {
	var lists []string
	own := map[string]*Watch{}
	for _, lang := range []string{"en", "es", "fr", "ar"} {
		list := sentences(t, lang)["registration.watch.words"]
		lists = append(lists, list)
		own[lang] = NewWatch(list)
	}
	w := NewWatch(lists...)
	for _, c := range watchCases(t) {
		if w.Finds(c.Text) != c.Warn {
			t.Errorf("%s %q: warned %v", c.Lang, c.Text, !c.Warn)
		}
		if c.Warn && !own[c.Lang].Finds(c.Text) { // whoever has only the own language's list is warned too
			t.Errorf("%s %q is found by another language's list only", c.Lang, c.Text)
		}
	}
}

func FuzzWatch(f *testing.F) {
	w := NewWatch("rape*, sex work*, تعذيب", "hiv")
	for _, s := range []string{"", "was raped", "وبالتعذيب", "\xff", "sex", "ال", "لللل"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if w.Finds(s) && !w.Finds("so "+s+" then") {
			t.Errorf("%q is found alone and not inside", s)
		}
	})
}
