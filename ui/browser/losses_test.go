package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestBrowserDamagedRecords: a box alone loses records for good. The first page leads to
// what is missing, and the lead's word takes the warning away.
func TestBrowserDamagedRecords(t *testing.T) {
	needsChromium(t)
	dir := folder(t)
	data, words, list := filepath.Join(dir, "d"), filepath.Join(dir, "words"), filepath.Join(dir, "people.csv")
	put := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var people strings.Builder
	people.WriteString("given_name,family_name\n")
	for i := range 60 {
		fmt.Fprintf(&people, "Rosa %d,Ixchel\n", i)
	}
	put(words, secret+"\n")
	put(list, people.String())
	waypost(t, "init", "--data", data, "--deployment", "Border relief", "--site", "North gate", "--lead", lead, "--passphrase-file", words)
	waypost(t, "import", "--data", data, "--passphrase-file", words, list)
	rot(t, data)

	b := serve(t, dir, "--passphrase-file", words)
	ctx, seen := phone(t, []string{b.http})
	run(t, ctx, "signing in", signIn(b.http), chromedp.WaitVisible(`a[href="/losses"]`, chromedp.ByQuery))
	run(t, ctx, "what is missing", press(`a[href="/losses"]`, "details.card summary"))
	shot(t, ctx, "losses")
	run(t, ctx, "in Arabic", see(b.http+"/lang/ar?to=%2Flosses", `html[dir="rtl"] details.card summary`), chromedp.Click("details.card summary", chromedp.ByQuery), chromedp.WaitVisible("#f-passphrase", chromedp.ByQuery))
	shot(t, ctx, "losses-ar")
	run(t, ctx, "the lead knows", write("#f-passphrase", secret), press(`form[action="/losses"] button.danger`, "p.card svg"))
	shot(t, ctx, "losses-accepted-ar")
	run(t, ctx, "back", see(b.http+"/lang/en?to=%2F", `html[dir="ltr"] a[href="/people/new"]`))
	if page := read(t, ctx, "main"); strings.Contains(page, "damaged") {
		t.Errorf("the warning is still there: %q", page)
	}
	seen.check(t)
}

// rot damages the largest segment of a closed journal and takes the lists away.
func rot(t *testing.T, data string) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(data, "journal", "*.wpj"))
	if err != nil || len(segments) == 0 {
		t.Fatal("no journal", err)
	}
	var largest string
	var most []byte
	for _, path := range segments {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) > len(most) {
			largest, most = path, raw
		}
	}
	most[len(most)/2] ^= 1
	if err := os.WriteFile(largest, most, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(data, "views")); err != nil {
		t.Fatal(err)
	}
}
