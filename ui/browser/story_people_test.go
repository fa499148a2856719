package browser

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// tale is three boxes and the people who work at them, each with a phone of their own.
type tale struct {
	t                     *testing.T
	browser               context.Context // all phones are windows of it that share nothing
	seen                  *traffic
	shelter, office, pier box
}

// somebody is one person with a phone, at the box where they have an account.
type somebody struct {
	*tale
	name, words string
	at          *box
	phone       context.Context
}

// joined serves a box that was let in at the command line, as TestBrowserTwoBoxes does by hand.
func joined(t *testing.T, at box, site, who string) box {
	t.Helper()
	dir := folder(t)
	words := filepath.Join(dir, "words")
	if err := os.WriteFile(words, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(waypost(t, "invite", "--data", filepath.Join(at.dir, "d")))
	waypost(t, "join", "--data", filepath.Join(dir, "d"), "--site", site, "--lead", who, "--passphrase-file", words, lines[len(lines)-1])
	return serve(t, dir, "--passphrase-file", words)
}

// comes is somebody who signs in for the first time.
func (s *tale) comes(name, words string, at *box) *somebody {
	s.t.Helper()
	p := &somebody{tale: s, name: name, words: words, at: at, phone: s.stranger()}
	p.in()
	return p
}

// stranger is a phone that was never here.
func (s *tale) stranger() context.Context {
	s.t.Helper()
	var window target.ID
	run(s.t, s.browser, "another phone", chromedp.ActionFunc(func(ctx context.Context) error {
		ctx = cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser)
		apart, err := target.CreateBrowserContext().Do(ctx)
		if err == nil { // a window of its own: nothing is open there that it could be a tab of
			window, err = target.CreateTarget("about:blank").WithBrowserContextID(apart).WithNewWindow(true).Do(ctx)
		}
		return err
	}))
	return tab(s.t, s.browser, s.seen, chromedp.WithTargetID(window))
}

// in signs in, and promises what is asked.
func (p *somebody) in() {
	p.t.Helper()
	run(p.t, p.phone, p.name+" signs in", see(p.at.https+"/signin", `form[action="/signin"]`), write("#f-user", p.name), write("#f-passphrase", p.words),
		press(`form[action="/signin"] button.main`, `form[action="/signout"]`), promise())
	// Their browser shows the box that it trusts it meanwhile, where it has to.
	until(p.t, p.phone, p.name+"'s phone has shown that it trusts the box", `(() => { const line = document.querySelector('[data-rung]'); return document.readyState === 'complete' && (!line || !!line.dataset.proven); })()`)
}

// bases are boxes that were not there at first.
func (s *tale) bases(b box) { s.seen.know(b.http, b.https) }

// does runs steps on the phone of a person.
func (p *somebody) does(what string, actions ...chromedp.Action) {
	p.t.Helper()
	run(p.t, p.phone, p.name+": "+what, actions...)
}

// opens goes to a page of their box.
func (p *somebody) opens(path, wait string) chromedp.Action { return see(p.at.https+path, wait) }

// reads gives what a page says.
func (p *somebody) reads() string { p.t.Helper(); return read(p.t, p.phone, "main") }

// hires makes an account with generated words.
func (p *somebody) hires(name, role string) *somebody {
	p.t.Helper()
	p.does("an account for "+name, p.opens("/staff", `form[action="/staff"]`), write("#f-user", name), chromedp.Click(`[name="role"][value="`+role+`"]`, chromedp.ByQuery),
		press(`form[action="/staff"] button.main`, "ol.words"))
	words := strings.Join(strings.Fields(read(p.t, p.phone, "ol.words")), " ")
	if n := len(strings.Fields(words)); n != 5 {
		p.t.Fatalf("%s was given %d words: %q", name, n, words)
	}
	return p.comes(name, words, p.at)
}

// reply is what the box says to a request that the page of this phone sends, with all its cookies.
type reply struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
}

// asks sends what no page offers: the method and the form go as they are, with the page's
// own token against forged forms.
func (p *somebody) asks(method, path string, form url.Values) (a reply) {
	p.t.Helper()
	p.does(method+" "+path, chromedp.Evaluate(`(async () => {
		const body = new URLSearchParams(`+"`"+form.Encode()+"`"+`), own = document.querySelector('[name=csrf]');
		if (own) body.set('csrf', own.value);
		const r = await fetch('`+path+`', '`+method+`' === 'GET' ? {} : {method: '`+method+`', body});
		return {status: r.status, body: await r.text()};
	})()`, &a, awaited))
	return a
}
