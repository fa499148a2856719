package browser

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestBrowserNight: at three in the morning the box is locked. A phone counts a family at
// the gate, takes another in and checks a card; then the box is opened, and staff look
// through what came. Nobody types a word of a script for it.
func TestBrowserNight(t *testing.T) {
	needsChromium(t)
	dir := folder(t)
	data, words := filepath.Join(dir, "d"), filepath.Join(dir, "words")
	if err := os.WriteFile(words, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	waypost(t, "init", "--data", data, "--deployment", "Border relief", "--site", "North gate", "--lead", lead, "--passphrase-file", words)
	b := serve(t, dir, "--passphrase-file", words)
	waypost(t, "lock", "--data", data)
	ctx, seen := phone(t, []string{b.http})
	run(t, ctx, "a locked box", see(b.http+"/", `a[href="/gate"]`))
	shot(t, ctx, "night-locked")
	run(t, ctx, "the gate", press(`a[href="/gate"]`, "#f-adults"))
	run(t, ctx, "counting", write("#f-adults", "2"), write("#f-children", "3"), chromedp.Click(`[name="urgent"]`, chromedp.ByQuery), press("form button.main", ".box.good"))
	wide(t, ctx, "the gate")
	shot(t, ctx, "night-gate")
	run(t, ctx, "a family", see(b.http+"/gate/family", `[name="members.0.given_name"]`),
		write(`[name="family_name"]`, "Ixchel"), write(`[name="members.0.given_name"]`, "Rosa"), write(`[name="members.1.given_name"]`, "Luz"),
		press(`.save button.main`, ".box.good"))
	if page := read(t, ctx, "main"); strings.Contains(page, "Rosa") || !strings.Contains(page, "Number 2") {
		t.Errorf("the answer says %q", page)
	}
	shot(t, ctx, "night-family")
	run(t, ctx, "a card", see(b.http+"/gate/check", "#f-text"))
	shot(t, ctx, "night-check")
	for name, path := range map[string]string{"locked": "%2F", "gate": "%2Fgate", "family": "%2Fgate%2Ffamily%3Fn%3D2", "check": "%2Fgate%2Fcheck"} {
		run(t, ctx, name+" in Arabic", see(b.http+"/lang/ar?to="+path, `html[dir="rtl"] main h1`))
		wide(t, ctx, name+" in Arabic")
		shot(t, ctx, "night-"+name+"-ar")
	}
	run(t, ctx, "opened", see(b.http+"/lang/en?to=%2F", "#f-words"), write("#f-words", secret), press(`form[action="/unlock"] button.main`, "#f-user"))
	run(t, ctx, "signed in", signIn(b.http), see(b.http+"/night", `form[action="/night/looked"] button`))
	if page := read(t, ctx, "main"); !strings.Contains(page, "Rosa") || !strings.Contains(page, "not looked through yet") {
		t.Errorf("the list says %q", page)
	}
	wide(t, ctx, "the list")
	shot(t, ctx, "night-list")
	run(t, ctx, "looked through", press(`form[action="/night/looked"] button`, ".pill.good"))
	run(t, ctx, "the list in Arabic", see(b.http+"/lang/ar?to=%2Fnight", `html[dir="rtl"] .pill.good`))
	wide(t, ctx, "the list in Arabic")
	shot(t, ctx, "night-list-ar")
	for name, path := range map[string]string{"choose": "/night/choose", "boxes": "/night/boxes", "openings": "/openings"} {
		run(t, ctx, name, see(b.http+path, "main h1"))
		wide(t, ctx, name)
		shot(t, ctx, "night-"+name+"-ar")
	}
	seen.check(t)
}
