package identity

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEveryFaultHasASentenceInEveryLanguage(t *testing.T) {
	files, err := filepath.Glob("*.go")
	must(t, err)
	key := regexp.MustCompile(`"(fault\.identity\.[a-z_]+)"`)
	keys := map[string]bool{}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		for _, m := range key.FindAllSubmatch(read(t, f), -1) {
			keys[string(m[1])] = true
		}
	}
	if len(keys) < 25 {
		t.Fatalf("only %d keys found", len(keys))
	}
	for _, lang := range []string{"en", "es", "fr", "ar"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "ui", "locale", lang, "identity.json"))
		must(t, err)
		var have map[string]any
		must(t, json.Unmarshal(b, &have))
		for k := range keys {
			if have[k] == nil || have[k+".hint"] == nil {
				t.Errorf("%s: no sentence or no hint for %s", lang, k)
			}
		}
		if len(have) != 2*len(keys) {
			t.Errorf("%s: %d sentences for %d faults", lang, len(have), len(keys))
		}
	}
}
