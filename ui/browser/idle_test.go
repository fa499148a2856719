package browser

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// hurry lets a test move a page's own clock: what the page measures is input, by its own
// time; the box hears from the page that nobody is there.
const hurry = `(() => { const now = Date.now; let ahead = 0; Date.now = () => now() + ahead; window.wait = (s) => { ahead += s * 1000; }; })()`

// TestBrowserThePINBringsBackTheField: somebody is called away in the middle of a form.
// The page closes, the PIN opens it, and the cursor is where it was.
func TestBrowserThePINBringsBackTheField(t *testing.T) {
	needsChromium(t)
	b := openedBox(t, "North gate")
	ctx, seen := phone(t, []string{b.http})
	run(t, ctx, "its own clock", chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(hurry).Do(ctx)
		return err
	}))
	run(t, ctx, "signing in", signIn(b.http))
	run(t, ctx, "a PIN", see(b.http+"/me", `form[action="/me/pin"]`), write("#f-pin", "482915"), press(`form[action="/me/pin"] button.main`, ".box.good"))
	shot(t, ctx, "me")
	run(t, ctx, "half a family", see(b.http+"/people/new", `[name="members.0.given_name"]`), write(`[name="family_name"]`, "محمدي"), write(`[name="members.0.given_name"]`, "Mary"),
		chromedp.Focus(`[name="members.0.given_name"]`, chromedp.ByQuery), chromedp.Evaluate(`wait(20 * 60 - 8)`, nil), chromedp.WaitVisible(".closing", chromedp.ByQuery))
	shot(t, ctx, "closing")
	run(t, ctx, "nobody is there", chromedp.Evaluate(`wait(10)`, nil), chromedp.WaitVisible(`form[action="/wake"]`, chromedp.ByQuery))
	if text := read(t, ctx, "main"); strings.Contains(text, "Mary") || !strings.Contains(text, "What you typed is kept") {
		t.Fatalf("the page says %q", text)
	}
	shot(t, ctx, "wake")
	run(t, ctx, "in Arabic", press(`a[hreflang="ar"]`, `html[dir="rtl"] form[action="/wake"]`))
	shot(t, ctx, "wake-ar")
	run(t, ctx, "and back", press(`a[hreflang="en"]`, `html[dir="ltr"] form[action="/wake"]`))
	run(t, ctx, "the PIN", write("#f-pin", "482915"), press(`form[action="/wake"] button.main`, `[name="members.0.given_name"]`))
	until(t, ctx, "the same field", `document.activeElement.name === 'members.0.given_name' && document.activeElement.value === 'Mary' && document.querySelector('[name="family_name"]').value === 'محمدي'`)
	run(t, ctx, "going on", chromedp.SendKeys(`[name="members.0.given_name"]`, "am", chromedp.ByQuery), press(`button.main[name="save"]`, `form[action$="/card"] button`))
	if text := read(t, ctx, "main"); !strings.Contains(text, "Maryam") {
		t.Fatalf("the page says %q", text)
	}
	for _, p := range []struct{ path, wait, name string }{
		{"/me", `form[action="/me/pin"]`, "me-again"}, {"/staff", `form[action="/staff"]`, "staff"}, {"/staff/sessions", "ul.list", "sessions"}, {"/me/badge", ".cr80", "badge"}, {"/acts", "main h1", "acts"},
		{"/undertaking", "main ol", "undertaking"}, {"/help/signin", "main h1", "help-signin"},
	} {
		run(t, ctx, p.path, see(b.http+p.path, p.wait))
		shot(t, ctx, p.name)
		run(t, ctx, p.path+" in Arabic", see(b.http+"/lang/ar?to="+strings.ReplaceAll(p.path, "/", "%2F"), `html[dir="rtl"] `+p.wait))
		shot(t, ctx, p.name+"-ar")
		run(t, ctx, "back", see(b.http+"/lang/en?to=%2F", `html[dir="ltr"] .tiles`))
	}
	seen.check(t)
}
