package ui

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/ui/locale"
)

// Every fault that is named here has its sentence, and says what to do now.
func TestEveryFaultHasItsSentence(t *testing.T) {
	catalog := locale.New()
	english := catalog.For("en")
	files, err := filepath.Glob("*.go")
	must(t, err)
	named := regexp.MustCompile(`"(fault\.api\.[a-z_]+)"`)
	found := map[string]bool{}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		src, err := os.ReadFile(f) //nolint:gosec // this folder
		must(t, err)
		for _, m := range named.FindAllStringSubmatch(string(src), -1) {
			found[m[1]] = true
		}
	}
	for key := range found {
		part := strings.HasPrefix(key, "fault.api.field_") || key == "fault.api.limit" // said beside a field
		if !english.Has(key) || !part && !english.Has(key+".hint") {
			t.Errorf("%s has no sentence or no hint", key)
		}
	}
	if len(found) < 25 {
		t.Fatalf("only %d faults found", len(found))
	}
}

// A key nobody translated, and a cause, stay inside.
func TestAProblemShowsNoKeyAsASentence(t *testing.T) {
	catalog := locale.New()
	p := problemOf(fault.New(fault.Internal, "fault.nobody.knows").Wrap(os.ErrPermission).With("a", "fault.nobody.either"), catalog.For("en"))
	if strings.HasPrefix(p.Detail, "fault.") || strings.HasPrefix(p.Fields["a"], "fault.") || strings.Contains(string(p.bytes()), "permission") {
		t.Fatalf("%s", p.bytes())
	}
	if p.Type != "urn:waypost:fault.nobody.knows" {
		t.Fatal(p.Type)
	}
}
