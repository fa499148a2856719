package browser

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// acceptsTheWarning: a newcomer opens what the screen says, takes the browser's
// warning once, starts the site and registers a family; no warning comes again.
func acceptsTheWarning(t *testing.T, v visitor) {
	ctx, seen := phone(t, []string{v.https})
	opened, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Run(opened, chromedp.Navigate(v.https+"/?claim="+url.QueryEscape(v.claim))); err == nil || !strings.Contains(err.Error(), "ERR_CERT_AUTHORITY_INVALID") {
		t.Fatalf("a browser that does not know the box must warn, got %v", err)
	}
	run(t, ctx, "the warning", chromedp.WaitVisible("#details-button", chromedp.ByQuery))
	shot(t, ctx, "net-warning")
	run(t, ctx, "going on", press("#details-button", "#proceed-link"))
	shot(t, ctx, "net-warning-more")
	run(t, ctx, "past the warning", press("#proceed-link", `a[href^="/start"]`))
	seen.forget() // the warning itself
	shot(t, ctx, "net-choose")
	run(t, ctx, "start a site", press(`a[href^="/start"]`, "#f-site"), write("#f-deployment", "Border relief"), write("#f-site", "North gate"),
		write("#f-lead", "Amina"), press(`form[action="/start"] button.main`, "ol.words"))
	shot(t, ctx, "net-words")
	run(t, ctx, "on to work", press(`form[action="/words"] button.main`, `[name="way"]`), chromedp.Click(`[name="way"][value="wait"]`, chromedp.ByQuery),
		press(`form[action="/night/choose"] button.main`, `form[action="/undertaking"]`), promise())
	run(t, ctx, "a family", see(v.https+"/people/new", `[name="members.0.given_name"]`), write(`[name="members.0.given_name"]`, "Maryam"), write(`[name="family_name"]`, "محمدي"),
		press(`button[name="more"]`, `[name="members.1.given_name"]`), write(`[name="members.1.given_name"]`, "Yusuf"),
		press(`button.main[name="save"]`, `form[action$="/cards"] button`))
	for _, path := range []string{"/people", "/verify", "/mesh", "/staff", "/help", "/"} {
		run(t, ctx, path, see(v.https+path, "main h1, main h2"))
	}
	run(t, ctx, "looking again", chromedp.Reload(), chromedp.WaitVisible(`a[href="/people/new"]`, chromedp.ByQuery))
	again := tab(t, ctx, seen)
	run(t, again, "a second tab", see(v.https+"/people", "main ul.list"))
	if page := read(t, again, "main"); !strings.Contains(page, "Yusuf") {
		t.Errorf("the second tab shows %q", page)
	}
	seen.check(t)
	seen.quiet(t, "after the warning")
}

// trustsTheBox: somebody takes the box's certificate from the welcome page into
// their phone; then there is no warning at all, and the camera may be used.
func trustsTheBox(t *testing.T, v visitor) {
	home := trustingHome(t, takeCertificate(t, v))
	ctx, seen := phone(t, []string{v.https}, chromedp.Env("HOME="+home))
	run(t, ctx, "no warning", signIn(v.https))
	shot(t, ctx, "net-trusted-home")
	var secure, camera bool
	run(t, ctx, "what the page may do", chromedp.Evaluate(`isSecureContext`, &secure), chromedp.Evaluate(`!!navigator.mediaDevices?.getUserMedia`, &camera))
	if !secure || !camera {
		t.Errorf("secure context %v, camera %v; both are needed to scan cards", secure, camera)
	}
	run(t, ctx, "one person", register(v.https, "Rosa", "Ixchel"), press(`form[action$="/card"] button`, ".cr80"))
	typed := typedCode(t, ctx)
	run(t, ctx, "checking the card", see(v.https+"/verify", "#f-text"), write("#f-text", typed), press(`form[data-verify] button.main`, ".verdict"))
	if page := read(t, ctx, "main"); !strings.Contains(page, "Rosa") {
		t.Errorf("the typed code of the card leads to %q", page)
	}
	seen.check(t)
	seen.quiet(t, "a phone that trusts the box")
}

// takeCertificate downloads the box's certificate as the welcome page offers it.
func takeCertificate(t *testing.T, v visitor) string {
	t.Helper()
	dir := t.TempDir()
	ctx, seen := phone(t, []string{v.http})
	done := make(chan string, 1)
	chromedp.ListenTarget(ctx, func(ev any) {
		if e, ok := ev.(*cdpbrowser.EventDownloadProgress); ok && e.State != cdpbrowser.DownloadProgressStateInProgress {
			done <- string(e.State)
		}
	})
	run(t, ctx, "welcome", see(v.http+"/", `a[href="/phone#install"]`))
	shot(t, ctx, "net-welcome")
	run(t, ctx, "the guide", press(`a[href="/phone#install"]`, `a[href="/phone/ca.crt"]`))
	shot(t, ctx, "net-guide")
	run(t, ctx, "taking the certificate", cdpbrowser.SetDownloadBehavior(cdpbrowser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir).WithEventsEnabled(true),
		chromedp.Click(`a[href="/phone/ca.crt"]`, chromedp.ByQuery))
	select {
	case state := <-done:
		if state != "completed" {
			t.Fatalf("the download is %s", state)
		}
	case <-time.After(patience):
		t.Fatal("the certificate does not come")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the download left %v %v", files, err)
	}
	seen.check(t)
	return files[0]
}

// comesByPlainHTTP: without encryption the network sees where to go, and nothing else.
func comesByPlainHTTP(t *testing.T, v visitor) {
	ctx, seen := phone(t, []string{v.http, v.https})
	run(t, ctx, "welcome", see(v.http+"/", "a.addr"))
	var fields int
	run(t, ctx, "what it asks for", chromedp.Evaluate(`document.querySelectorAll('form, input, textarea, select').length`, &fields))
	if fields > 0 {
		t.Errorf("the welcome page has %d forms and fields; nothing may be typed over plain HTTP", fields)
	}
	var cookies []*network.Cookie
	run(t, ctx, "cookies", chromedp.ActionFunc(func(ctx context.Context) (err error) { cookies, err = network.GetCookies().Do(ctx); return err }))
	if len(cookies) > 0 {
		t.Errorf("the welcome page sets %d cookies", len(cookies))
	}
	for _, path := range []string{"/start?claim=" + url.QueryEscape(v.claim), "/join", "/practise", "/unlock", "/signin", "/people", "/people/new", "/verify", "/mesh", "/staff", "/cards", "/api/v1/people", "/api/v1/mesh", "/api/v1/events", "/nowhere"} {
		refused(t, v, http.MethodGet, path)
	}
	for _, path := range []string{"/signin", "/start", "/unlock", "/people", "/verify", "/api/v1/people", "/operator/v1/invite"} {
		refused(t, v, http.MethodPost, path)
	}
	for path, holds := range map[string]string{"/healthz": `"state"`, "/help": "<main", "/help/phones": "<main", "/welcome": "a class", "/ca.pem": "BEGIN CERTIFICATE"} {
		if code, body, _ := ask(t, http.MethodGet, v.http+path); code != http.StatusOK || !strings.Contains(body, holds) {
			t.Errorf("GET %s: %d, without %q", path, code, holds)
		}
	}
	seen.quiet(t, "plain HTTP")
	// The phone came by this address, so the page must send it on to the same one.
	var to string
	run(t, ctx, "the way on", chromedp.AttributeValue("a.addr", "href", &to, nil, chromedp.ByQuery))
	if to != v.https+"/" {
		t.Errorf("the welcome page sends a phone that came by %s to %s", v.http, to)
	}
	run(t, ctx, "following it", press("a.addr", "#details-button"), press("#details-button", "#proceed-link"), press("#proceed-link", `form[action="/signin"]`))
	shot(t, ctx, "net-signin")
	seen.check(t)
}

// refused fails the test unless plain HTTP gets no page of its own.
func refused(t *testing.T, v visitor, method, path string) {
	t.Helper()
	code, body, header := ask(t, method, v.http+path)
	if code != http.StatusForbidden && code != http.StatusNotFound {
		t.Errorf("%s %s over plain HTTP: %d", method, path, code)
	}
	if strings.Contains(body, "<form") || strings.Contains(body, "<input") {
		t.Errorf("%s %s over plain HTTP shows a form", method, path)
	}
	if !strings.Contains(body, v.https) {
		t.Errorf("%s %s over plain HTTP does not say where to go: %.300s", method, path, body)
	}
	if header.Get("Set-Cookie") != "" {
		t.Errorf("%s %s over plain HTTP sets a cookie", method, path)
	}
}

func ask(t *testing.T, method, address string) (int, string, http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Redirects are answers to look at here, so no client that follows them.
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body), res.Header
}
