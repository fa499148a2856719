package browser

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestBrowserFirstDay: a newcomer starts a site on a phone, registers a family,
// prints its cards and reads one back.
func TestBrowserFirstDay(t *testing.T) {
	needsChromium(t)
	b := newBox(t)
	ctx, seen := phone(t, []string{b.http})
	var words, page string
	run(t, ctx, "first page", chromedp.Navigate(b.first()), chromedp.WaitVisible(`a[href^="/start"]`, chromedp.ByQuery))
	shot(t, ctx, "choose")
	run(t, ctx, "start a site", press(`a[href^="/start"]`, "#f-site"),
		write("#f-deployment", "Border relief"), write("#f-site", "North gate"), write("#f-lead", "Amina"),
		press(`form[action="/start"] button.main`, "ol.words"), chromedp.Text("ol", &words, chromedp.ByQuery))
	if n := len(strings.Fields(words)); n < 5 {
		t.Fatalf("%d words to write down: %q", n, words)
	}
	shot(t, ctx, "words")
	first := seen.sofar()
	run(t, ctx, "written down", press(`form[action="/words"] button.main`, `[name="way"]`))
	shot(t, ctx, "night-choose")
	run(t, ctx, "who opens it at night", chromedp.Click(`[name="way"][value="wait"]`, chromedp.ByQuery), press(`form[action="/night/choose"] button.main`, `form[action="/undertaking"]`), promise())
	shot(t, ctx, "home-empty")
	run(t, ctx, "a family", chromedp.Navigate(b.http+"/people/new"), chromedp.WaitVisible(`[name="members.0.given_name"]`, chromedp.ByQuery))
	shot(t, ctx, "family")
	run(t, ctx, "typing it",
		write(`[name="family_name"]`, "محمدي"),
		write(`[name="members.0.given_name"]`, "Maryam"), write(`[name="members.0.age"]`, "34"),
		press(`button[name="more"]`, `[name="members.1.given_name"]`),
		write(`[name="members.1.given_name"]`, "Yusuf"), write(`[name="members.1.age"]`, "6"),
		chromedp.Evaluate(`document.querySelector('[name="members.0.sex"][value="female"]').click();document.querySelector('[name="members.1.sex"][value="male"]').click();1`, nil),
		press(`button.main[name="save"]`, `form[action$="/cards"] button`), chromedp.Text("main", &page, chromedp.ByQuery))
	if !strings.Contains(page, "Maryam") || !strings.Contains(page, "Yusuf") {
		t.Fatalf("the household page says %q", page)
	}
	shot(t, ctx, "household")
	run(t, ctx, "cards", press(`form[action$="/cards"] button`, ".cr80"), chromedp.Text("main", &page, chromedp.ByQuery))
	shot(t, ctx, "cards")
	typed := typedCode(t, ctx)
	if strings.Contains(page, "Maryam") {
		t.Error("a card carries a name")
	}
	run(t, ctx, "reading it back", chromedp.Navigate(b.http+"/verify"), chromedp.WaitVisible("#f-text", chromedp.ByQuery),
		write("#f-text", typed), press(`form[data-verify] button.main`, ".verdict"), chromedp.Text("main", &page, chromedp.ByQuery))
	if !strings.Contains(page, "not verified") {
		t.Errorf("a typed code is no verified card, the page says %q", page)
	}
	var top float64
	run(t, ctx, "seeing the verdict", chromedp.Evaluate(`document.querySelector('main h1').getBoundingClientRect().top`, &top))
	if top < 0 || top > 740 {
		t.Errorf("the verdict is out of sight, at %.0f px", top)
	}
	shot(t, ctx, "verdict")
	run(t, ctx, "in Arabic", chromedp.Navigate(b.http+"/lang/ar?to=%2F"), chromedp.WaitVisible(`html[dir="rtl"] a[href="/people/new"]`, chromedp.ByQuery))
	shot(t, ctx, "home-ar")
	run(t, ctx, "the form in Arabic", chromedp.Navigate(b.http+"/people/new"), chromedp.WaitVisible(`[name="members.0.given_name"]`, chromedp.ByQuery))
	shot(t, ctx, "family-ar")
	run(t, ctx, "and back", chromedp.Navigate(b.http+"/lang/en?to=%2F"), chromedp.WaitVisible(`html[dir="ltr"] a[href="/people/new"]`, chromedp.ByQuery))
	shot(t, ctx, "home")
	seen.check(t)
	t.Logf("first three pages: %.0f bytes on the wire", first)
}

// TestBrowserWithoutScript: a phone that runs no script registers all the same.
func TestBrowserWithoutScript(t *testing.T) {
	needsChromium(t)
	b := newBox(t)
	ctx, seen := phone(t, []string{b.http})
	var page string
	run(t, ctx, "practise", emulation.SetScriptExecutionDisabled(true), chromedp.Navigate(b.http+"/practise?claim="+url.QueryEscape(b.claim)),
		chromedp.WaitVisible(`form[action="/practise"] button.main`, chromedp.ByQuery), press(`form[action="/practise"] button.main`, `a[href="/people/new"]`))
	shot(t, ctx, "practice")
	run(t, ctx, "one person", chromedp.Navigate(b.http+"/people/new"), write(`[name="members.0.given_name"]`, "Rosa"),
		write(`[name="family_name"]`, "Ixchel"), press(`button.main[name="save"]`, `form[action$="/card"] button`), chromedp.Text("main", &page, chromedp.ByQuery))
	if !strings.Contains(page, "Rosa") {
		t.Fatalf("the page says %q", page)
	}
	run(t, ctx, "search", chromedp.Navigate(b.http+"/people?q=rosa+ixchel"), chromedp.Text("main", &page, chromedp.ByQuery))
	if !strings.Contains(page, "Rosa") {
		t.Fatalf("search finds %q", page)
	}
	shot(t, ctx, "search")
	seen.check(t)
}

// typedCode is what stands on a card to be typed when no machine can read it.
func typedCode(t *testing.T, ctx context.Context) string {
	t.Helper()
	page := read(t, ctx, "main")
	code := regexp.MustCompile(`[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}`).FindString(page)
	if code == "" {
		t.Fatalf("no typed code on the card: %q", page)
	}
	return code
}
