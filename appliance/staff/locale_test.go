package staff

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEveryFaultAndRoleHasASentenceInEveryLanguage(t *testing.T) {
	files, err := filepath.Glob("*.go")
	must(t, err)
	key := regexp.MustCompile(`"(fault\.staff\.[a-z_]+)"`)
	keys := map[string]bool{}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		must(t, err)
		for _, m := range key.FindAllSubmatch(b, -1) {
			keys[string(m[1])] = true
		}
	}
	if len(keys) < 20 {
		t.Fatalf("only %d keys found", len(keys))
	}
	for _, lang := range []string{"en", "es", "fr", "ar"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "ui", "locale", lang, "staff.json"))
		must(t, err)
		var have map[string]any
		must(t, json.Unmarshal(b, &have))
		for k := range keys {
			if have[k] == nil || have[k+".hint"] == nil {
				t.Errorf("%s: no sentence or no hint for %s", lang, k)
			}
		}
		for _, r := range Roles() {
			if have["staff.role."+string(r)] == nil {
				t.Errorf("%s: %s has no name", lang, r)
			}
		}
		if len(have) != 2*len(keys)+len(Roles()) {
			t.Errorf("%s: %d sentences for %d faults and %d roles", lang, len(have), len(keys), len(Roles()))
		}
	}
}
