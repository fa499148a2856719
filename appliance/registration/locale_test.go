package registration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sentences reads this desk's sentences of one language.
func sentences(t *testing.T, lang string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "ui", "locale", lang, "registration.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]string
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// keysInSource collects the message keys this package can answer with.
func keysInSource(t *testing.T) map[string]bool {
	t.Helper()
	whole := regexp.MustCompile(`"((?:fault\.registration|registration\.problem)\.[a-z_]+)"`)
	wrong := regexp.MustCompile(`c\.wrong\([^,]+, "([a-z_]+)"`)
	short := regexp.MustCompile(`(?:problem = |return cells, [a-z]+, |return "", )"([a-z_]+)"`)
	keys := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range whole.FindAllSubmatch(b, -1) {
			keys[string(m[1])] = true
		}
		for _, re := range []*regexp.Regexp{wrong, short} {
			for _, m := range re.FindAllSubmatch(b, -1) {
				keys["registration.problem."+string(m[1])] = true
			}
		}
	}
	return keys
}

func TestEveryKeyHasASentenceInEveryLanguage(t *testing.T) {
	keys := keysInSource(t)
	if len(keys) < 40 || !keys["fault.registration.invalid"] || !keys["registration.problem.quotes"] || !keys["registration.problem.encoding"] {
		t.Fatalf("only %d keys found in the source", len(keys))
	}
	for _, list := range []struct {
		name  string
		codes []string
	}{
		{"sex", Sexes()}, {"precision", Precisions()}, {"need", Needs()}, {"relation", Relations()}, {"document", DocumentTypes()},
		{"purpose", Purposes()}, {"field", ImportFields()}, {"row", []string{RowRegistered, RowThere, RowRejected}}, {"aside", asideCodes()},
	} {
		for _, code := range list.codes {
			keys["registration."+list.name+"."+code] = true
		}
	}
	english := sentences(t, "en")
	argument := regexp.MustCompile(`{{\.\w+}}`)
	for _, lang := range []string{"en", "es", "fr", "ar"} {
		have := sentences(t, lang)
		for key := range keys {
			if have[key] == "" {
				t.Errorf("%s: no sentence for %s", lang, key)
			}
			if strings.HasPrefix(key, "fault.") && have[key+".hint"] == "" {
				t.Errorf("%s: no hint for %s", lang, key)
			}
		}
		if len(have) != len(english) {
			t.Errorf("%s: %d sentences, English has %d", lang, len(have), len(english))
		}
		for key, s := range have {
			if !equalArgs(argument.FindAllString(s, -1), argument.FindAllString(english[key], -1)) {
				t.Errorf("%s: %s names other values than the English sentence", lang, key)
			}
		}
	}
}

func asideCodes() (codes []string) {
	for _, s := range SensitiveCodes() {
		codes = append(codes, s.Code)
	}
	return codes
}

func equalArgs(a, b []string) bool {
	set := map[string]bool{}
	for _, x := range b {
		set[x] = true
	}
	for _, x := range a {
		if !set[x] {
			return false
		}
		delete(set, x)
	}
	return len(set) == 0
}
