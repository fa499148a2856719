package browser

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestBrowserTwoBoxes: a second box joins by an invitation, two people compare the
// words, and what one registers the other finds.
func TestBrowserTwoBoxes(t *testing.T) {
	needsChromium(t)
	gate, bridge, third := openedBox(t, "North gate"), newBox(t), newBox(t)
	bases := []string{gate.http, bridge.http, third.http}
	ctx, seen := phone(t, bases)
	run(t, ctx, "the lead of the first box", signIn(gate.http))
	code := invitation(t, ctx, gate)
	// The lead looks at the page of posts while somebody else sets the second box up.
	run(t, ctx, "waiting for the other box", press(`a[href="/mesh"].btn`, `form[action="/mesh/invite"]`))

	// A phone of their own: a tab behind another does not follow what changes.
	other, too := phone(t, bases)
	joinPage(t, other, bridge, code, "Bridge", "Bo")
	run(t, other, "joining", press(`form[action="/join"] button.main`, "ol.words.few"))
	shot(t, other, "join-words")
	theirs := compared(t, other)

	until(t, ctx, "the words on the first box", `!!document.querySelector('main section ol.words.few')`)
	shot(t, ctx, "join-compare")
	if ours := compared(t, ctx); ours != theirs {
		t.Fatalf("the boxes show different words to compare: %q and %q", ours, theirs)
	}
	until(t, ctx, "a badge until somebody compared", `[...document.querySelectorAll('[data-live] .peers .pill.bad')].length === 1`, chromedp.Reload())
	run(t, ctx, "the words are the same", chromedp.Click(`form[action$="/confirm"] button.main`, chromedp.ByQuery))
	until(t, ctx, "no badge any more", `location.pathname === '/mesh' && !!document.querySelector('[data-live] .peers') && !document.querySelector('[data-live] .peers .pill.bad, ol.words.few')`)
	until(t, ctx, "all records on both boxes", `[...document.querySelectorAll('table:not(.peers) td .pill')].length === 2 && [...document.querySelectorAll('table:not(.peers) td .pill')].every((p) => p.textContent.startsWith('2 '))`, chromedp.Reload())
	shot(t, ctx, "join-confirmed")

	run(t, ctx, "somebody arrives at the gate", register(gate.http, "Shirin", "Rahimi"))
	run(t, other, "the promise", see(bridge.http+"/undertaking", `form[action="/undertaking"]`), promise())
	until(t, other, "found at the bridge", `document.querySelector('main').innerText.includes('Shirin')`, chromedp.Navigate(bridge.http+"/people?q=shirin"))
	shot(t, other, "join-found")
	until(t, other, "the bridge knows it was confirmed", `!!document.querySelector('[data-live] .peers .pill.good') && !document.querySelector('ol.words.few, [data-live] .peers .pill.bad')`, chromedp.Navigate(bridge.http+"/mesh"))
	shot(t, other, "join-mesh-bridge")
	seen.quiet(t, "the first box")
	too.quiet(t, "the second box")

	late := tab(t, other, too)
	joinPage(t, late, third, code, "Ferry", "Cid")
	run(t, late, "a code that was used", press(`form[action="/join"] button.main`, "#problem"))
	shot(t, late, "join-used")
	if said := read(t, late, "#problem"); len(strings.Fields(said)) < 4 || strings.Contains(said, "fault.") {
		t.Errorf("a used code is answered with %q", said)
	}
	until(t, late, "the form is still there with what was typed", `document.querySelector('#f-site').value === 'Ferry' && document.querySelector('#f-lead').value === 'Cid'`)
	until(t, ctx, "the first box tells of it", `document.querySelector('#attention').innerText !== ''`, chromedp.Navigate(gate.http+"/"))
	shot(t, ctx, "join-refused-home")
	seen.check(t)
	too.check(t)
}

// invitation makes a code on the page of posts.
func invitation(t *testing.T, ctx context.Context, b box) string {
	t.Helper()
	run(t, ctx, "posts", see(b.http+"/mesh", `form[action="/mesh/invite"] button.main`))
	shot(t, ctx, "join-mesh-alone")
	if kept := read(t, ctx, "td .pill.bad"); kept == "" {
		t.Error("nothing says that the records are only here")
	}
	run(t, ctx, "an invitation", press(`form[action="/mesh/invite"] button.main`, "#code"))
	shot(t, ctx, "join-invite")
	code := strings.TrimSpace(read(t, ctx, "#code"))
	if code == "" {
		t.Fatal("no code on the page of the invitation")
	}
	return code
}

// joinPage fills in the page on which a new box asks to join.
func joinPage(t *testing.T, ctx context.Context, b box, code, site, who string) {
	t.Helper()
	run(t, ctx, "a new box", see(b.first(), `a[href^="/join"]`), press(`a[href^="/join"]`, "#f-code"))
	shot(t, ctx, "join-form")
	run(t, ctx, "pasting the code", write("#f-code", code), write("#f-site", site), write("#f-lead", who))
}

// compared are the words that two people read to each other.
func compared(t *testing.T, ctx context.Context) string {
	t.Helper()
	return strings.Join(strings.Fields(read(t, ctx, "ol.words.few")), " ")
}
