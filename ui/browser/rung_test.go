package browser

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// lockedBox serves a folder whose site was started at the command line, and that nobody
// opened.
func lockedBox(t *testing.T) box {
	t.Helper()
	dir := folder(t)
	words := filepath.Join(dir, "words")
	if err := os.WriteFile(words, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	waypost(t, "init", "--data", filepath.Join(dir, "d"), "--deployment", "Border relief", "--site", "North gate", "--lead", lead, "--passphrase-file", words)
	return serve(t, dir)
}

// trustingHome is a home folder in which Chromium trusts the certificates of boxes, as
// somebody installs them who carried them on a stick.
func trustingHome(t *testing.T, cas ...string) string {
	t.Helper()
	if _, err := exec.LookPath("certutil"); err != nil {
		t.Skip("a phone that trusts the box needs the program certutil (Debian: libnss3-tools)")
	}
	home := t.TempDir()
	store := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(store, 0o700); err != nil {
		t.Fatal(err)
	}
	steps := [][]string{{"-N", "--empty-password"}}
	for _, ca := range cas {
		steps = append(steps, []string{"-A", "-t", "C,,", "-n", ca, "-i", ca})
	}
	for _, args := range steps {
		if out, err := exec.Command("certutil", append([]string{"-d", "sql:" + store}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("certutil %v: %v: %s", args, err, out)
		}
	}
	return home
}

// carried is the box's certificate on a stick.
func (b box) carried(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "box.crt")
	waypost(t, "webcert", "ca", "--data", filepath.Join(b.dir, "d"), file)
	return file
}

// awaited makes Evaluate wait for a promise.
func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

// A phone with the box's certificate opens the box; after a restart it is asked again, and
// its worker shows a page of its own when the box is off.
func TestBrowserThatTrustsTheBoxOpensIt(t *testing.T) {
	needsChromium(t)
	b := lockedBox(t)
	ctx, seen := phone(t, []string{b.https}, chromedp.Env("HOME="+trustingHome(t, b.carried(t))))
	began := time.Now()
	run(t, ctx, "the words", chromedp.Navigate(b.https+"/"), chromedp.WaitVisible("#f-words", chromedp.ByQuery))
	t.Logf("from the address to the place for the words: %v", time.Since(began).Round(time.Millisecond))
	shot(t, ctx, "rung-unlock")
	run(t, ctx, "which rung", see(b.https+"/phone", `[data-rung="2"][data-proven]`), chromedp.WaitVisible(`li[aria-current="step"]`, chromedp.ByQuery))
	shot(t, ctx, "rung-phone-trusting")
	run(t, ctx, "opening", see(b.https+"/unlock", "#f-words"), write("#f-words", secret), press(`form[action="/unlock"] button.main`, "#f-passphrase"))
	var kept []string
	run(t, ctx, "what the worker keeps", chromedp.Evaluate(
		`caches.keys().then(async (all) => (await Promise.all(all.map(async (n) => (await (await caches.open(n)).keys()).map((r) => new URL(r.url).pathname)))).flat())`, &kept, awaited))
	if len(kept) < 4 {
		t.Errorf("the worker keeps %v", kept)
	}
	for _, path := range kept {
		if !strings.HasPrefix(path, "/static/") && path != "/phone/offline" {
			t.Errorf("the worker keeps %s", path)
		}
	}
	run(t, ctx, "in", signIn(b.https))
	run(t, ctx, "a person", register(b.https, "Rosa", "Ixchel"))
	seen.quiet(t, "a phone that trusts the box")
	b.stop()
	run(t, ctx, "the box is off", chromedp.Navigate(b.https+"/people?q=rosa"), chromedp.WaitVisible(`main .steps`, chromedp.ByQuery))
	shot(t, ctx, "rung-offline")
	if page := read(t, ctx, "body"); !strings.Contains(page, "does not answer") || strings.Contains(page, "Rosa") || strings.Contains(page, "amina") || strings.Contains(page, "North gate") {
		t.Errorf("the page of a box that is off says %q", page)
	}
	seen.forget()
	again := serve(t, b.dir)
	run(t, ctx, "the box is back", chromedp.Navigate(again.https+"/"), chromedp.WaitVisible("#f-words", chromedp.ByQuery))
	run(t, ctx, "opening it again", write("#f-words", secret), press(`form[action="/unlock"] button.main`, "#f-passphrase"))
	run(t, ctx, "in again", signIn(again.https))
	var gone bool
	run(t, ctx, "something is kept", chromedp.Evaluate(`caches.open('left').then((c) => c.put('/people', new Response('Rosa')))`, nil, awaited))
	run(t, ctx, "out", press(`form[action="/signout"] button`, "#f-passphrase"))
	run(t, ctx, "signing out drops it", chromedp.Evaluate(`(async () => { while (await caches.has('left')) await new Promise((r) => setTimeout(r, 50)); return true; })()`, &gone, awaited))
	run(t, ctx, "handing it back", see(again.https+"/phone", `form[action="/phone/forget"] button`), chromedp.Click(`form[action="/phone/forget"] button`, chromedp.ByQuery),
		chromedp.WaitVisible(`[data-rung="1"], [data-rung="2"]`, chromedp.ByQuery))
	seen.check(t)
}

// A phone whose person clicked the warning away registers people, but opens no box: the
// browser runs no worker there.
func TestBrowserBehindAWarningOpensNothing(t *testing.T) {
	needsChromium(t)
	b := lockedBox(t)
	ctx, seen := phone(t, []string{b.https})
	opened, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Run(opened, chromedp.Navigate(b.https+"/")); err == nil || !strings.Contains(err.Error(), "ERR_CERT_AUTHORITY_INVALID") {
		t.Fatalf("a browser that does not know the box must warn, got %v", err)
	}
	run(t, ctx, "past the warning", press("#details-button", "#proceed-link"), press("#proceed-link", "[data-rung-gate]"))
	run(t, ctx, "what is missing", chromedp.WaitVisible("[data-rung-no]", chromedp.ByQuery))
	shot(t, ctx, "rung-gate")
	page := read(t, ctx, "main")
	if !strings.Contains(page, "does not trust the box") {
		t.Errorf("the page says %q", page)
	}
	var there, status int
	run(t, ctx, "sending the words all the same", chromedp.Evaluate(`document.querySelectorAll('[name=words]').length`, &there),
		chromedp.Evaluate(`fetch('/unlock', {method: 'POST', body: new URLSearchParams({words: '`+secret+`'})}).then((r) => r.status)`, &status, awaited))
	if there > 0 || status != 403 {
		t.Errorf("%d fields for words, and they are answered %d", there, status)
	}
	var why string
	run(t, ctx, "why", chromedp.Evaluate(`navigator.serviceWorker.register(trustedTypes.createPolicy('t', {createScriptURL: (u) => u}).createScriptURL('/sw.js')).then(() => 'registered', (e) => e.name + ': ' + e.message)`, &why, awaited))
	if !strings.Contains(why, "SecurityError") && !strings.Contains(why, "certificate") {
		t.Errorf("a worker behind a warning: %s", why)
	}
	t.Log(why)
	seen.forget()
	run(t, ctx, "the guide", press(`main a[href="/phone#install"]`, "#install"))
	shot(t, ctx, "rung-phone-warned")
	run(t, ctx, "in Arabic", chromedp.Navigate(b.https+"/lang/ar?to="+url.QueryEscape("/phone")), chromedp.WaitVisible(`html[dir="rtl"] #install`, chromedp.ByQuery))
	shot(t, ctx, "rung-phone-warned-ar")
	run(t, ctx, "the words in Arabic", see(b.https+"/unlock", "[data-rung-gate]"), chromedp.WaitVisible("[data-rung-no]", chromedp.ByQuery))
	shot(t, ctx, "rung-gate-ar")
	seen.check(t)
}

// At the box itself there is nothing to install.
func TestBrowserAtTheBoxOpensIt(t *testing.T) {
	needsChromium(t)
	b := lockedBox(t)
	ctx, seen := phone(t, []string{b.http})
	run(t, ctx, "opening", see(b.http+"/", "#f-words"), write("#f-words", secret), press(`form[action="/unlock"] button.main`, "#f-passphrase"))
	run(t, ctx, "the guide", see(b.http+"/phone", "#install"))
	shot(t, ctx, "rung-phone-here")
	run(t, ctx, "in", signIn(b.http))
	run(t, ctx, "certificates", see(b.http+"/box/webcert", "#f-names"))
	shot(t, ctx, "rung-webcert")
	run(t, ctx, "asking for a public one", write("#f-names", "n1.camp.example.org"), press(`form[action="/box/webcert/request"] button`, `a[href="/box/webcert/request.csr"]`))
	shot(t, ctx, "rung-webcert-waiting")
	dir := t.TempDir()
	done := make(chan string, 1)
	chromedp.ListenTarget(ctx, func(ev any) {
		if e, ok := ev.(*cdpbrowser.EventDownloadProgress); ok && e.State != cdpbrowser.DownloadProgressStateInProgress {
			done <- string(e.State)
		}
	})
	run(t, ctx, "saving the request", cdpbrowser.SetDownloadBehavior(cdpbrowser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir).WithEventsEnabled(true),
		chromedp.Click(`a[href="/box/webcert/request.csr"]`, chromedp.ByQuery))
	if state := <-done; state != "completed" {
		t.Errorf("the download is %s", state)
	}
	run(t, ctx, "in Arabic", chromedp.Navigate(b.http+"/lang/ar?to=%2Fbox%2Fwebcert"), chromedp.WaitVisible(`html[dir="rtl"] #f-chain`, chromedp.ByQuery))
	shot(t, ctx, "rung-webcert-ar")
	run(t, ctx, "help", see(b.http+"/help/ladder", ".steps"))
	shot(t, ctx, "rung-help-ar")
	seen.quiet(t, "at the box")
	seen.check(t)
}
