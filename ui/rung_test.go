package ui

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/staff"
)

// testBrowser is the id of a browser in tests.
var testBrowser = base64.RawURLEncoding.EncodeToString(make([]byte, 32))

// trusting are the cookies of a browser that has shown that it trusts the box.
func trusting(s *Server) string {
	return "__Host-waypost-rung=" + testBrowser + "; __Host-waypost-proof=" + s.rungs.proof(testBrowser, s.config.Clock.Now())
}

// setCookie is the value of a cookie that an answer sets.
func setCookie(a answer, name string) string {
	for _, c := range a.header.Values("Set-Cookie") {
		if v, ok := strings.CutPrefix(c, name+"="); ok {
			v, _, _ = strings.Cut(v, ";")
			return v
		}
	}
	return ""
}

var secretIn = regexp.MustCompile(`const SECRET = "([0-9a-f]*)"`)

// scriptSecret is the secret in a worker's script.
func scriptSecret(t *testing.T, a answer) string {
	t.Helper()
	m := secretIn.FindSubmatch(a.body)
	if a.status != 200 || m == nil || strings.Contains(string(a.body), "%") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	return string(m[1])
}

func TestOnlyAWorkerProvesThatAPhoneTrustsTheBox(t *testing.T) {
	r := newRig(t)
	const host = "10.42.0.1"
	begun := r.ask(Network, "POST", "/phone/rung", "", "Host", host)
	id := setCookie(begun, "__Host-waypost-rung")
	if begun.status != 204 || !isBrowser(id) {
		t.Fatalf("%d %v", begun.status, begun.header)
	}
	for _, flag := range []string{"Secure", "HttpOnly", "SameSite=Strict", "path=/"} {
		if c := begun.header.Get("Set-Cookie"); !strings.Contains(strings.ToLower(c), strings.ToLower(flag)) {
			t.Errorf("the cookie has no %s: %s", flag, c)
		}
	}
	cookie := "__Host-waypost-rung=" + id
	if again := r.ask(Network, "POST", "/phone/rung", "", "Host", host, "Cookie", cookie); setCookie(again, "__Host-waypost-rung") != "" {
		t.Error("a browser gets another id each time")
	}
	worker := r.ask(Network, "GET", "/sw.js", "", "Host", host, "Cookie", cookie, "Service-Worker", "script", "Sec-Fetch-Dest", "serviceworker")
	secret := scriptSecret(t, worker)
	if len(secret) != 64 || worker.header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Fatalf("secret %q, type %s", secret, worker.header.Get("Content-Type"))
	}
	for name, headers := range map[string][]string{
		"a page's fetch":         {"Cookie", cookie, "Sec-Fetch-Dest", "empty"},
		"a page that pretends":   {"Cookie", cookie, "Service-Worker", "script", "Sec-Fetch-Dest", "empty"},
		"without the id":         {"Service-Worker", "script", "Sec-Fetch-Dest", "serviceworker"},
		"with an id of its own":  {"Cookie", "__Host-waypost-rung=mine", "Service-Worker", "script", "Sec-Fetch-Dest", "serviceworker"},
		"by another port's name": {"Cookie", "__Host-waypost-8443-rung=" + id, "Service-Worker", "script"},
	} {
		if got := scriptSecret(t, r.ask(Network, "GET", "/sw.js", "", append([]string{"Host", host}, headers...)...)); got != "" {
			t.Errorf("%s gets the secret", name)
		}
	}
	prove := func(cookie, secret string) answer {
		return r.ask(Network, "POST", "/phone/proof", url.Values{"secret": {secret}}.Encode(), "Host", host, "Cookie", cookie, "Content-Type", "application/x-www-form-urlencoded")
	}
	for name, a := range map[string]answer{"no secret": prove(cookie, ""), "a wrong one": prove(cookie, strings.Repeat("0", 64)),
		"of another browser": prove(trusting(r.s), secret), "without an id": prove("", secret)} {
		if a.status != 403 || setCookie(a, "__Host-waypost-proof") != "" {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	proof := setCookie(prove(cookie, secret), "__Host-waypost-proof")
	if proof == "" {
		t.Fatal("no proof")
	}
	now := r.s.config.Clock.Now()
	for name, is := range map[string][2]bool{
		"now":                       {r.s.rungs.proven(id, proof, now), true},
		"at the end of the shift":   {r.s.rungs.proven(id, proof, now.Add(proofLife-time.Minute)), true},
		"after it":                  {r.s.rungs.proven(id, proof, now.Add(proofLife+time.Minute)), false},
		"with a clock set back":     {r.s.rungs.proven(id, proof, now.Add(-time.Hour)), false},
		"in another browser":        {r.s.rungs.proven(testBrowser, proof, now), false},
		"after the next start":      {newRungs().proven(id, proof, now), false},
		"with a longer time":        {r.s.rungs.proven(id, "9"+proof, now), false},
		"with nothing":              {r.s.rungs.proven(id, "", now), false},
		"with the secret of a page": {r.s.rungs.proven(id, strings.Split(proof, ".")[0]+"."+secret, now), false},
	} {
		if is[0] != is[1] {
			t.Errorf("%s: %v", name, is[0])
		}
	}
}

func TestWordsThatOpenABoxComeFromAPhoneThatTrustsIt(t *testing.T) {
	r := newRig(t)
	r.box.set(stateLocked)
	words := url.Values{"words": {testPassphrase}}.Encode()
	form := []string{"Accept", "text/html", "Content-Type", "application/x-www-form-urlencoded"}
	a := r.ask(Network, "POST", "/unlock", words, form...)
	if a.status != 403 || r.box.State() != stateLocked || !strings.Contains(string(a.body), "from a phone that trusts the box") {
		t.Fatalf("%d %s", a.status, inMain(string(a.body)))
	}
	page := r.ask(Network, "GET", "/unlock", "", "Accept", "text/html")
	if html := string(page.body); page.status != 200 || strings.Contains(html, `name="words"`) || !strings.Contains(html, `href="/phone#install"`) || !strings.Contains(html, "data-rung-gate") {
		t.Errorf("%d %s", page.status, inMain(html))
	}
	for surface, host := range map[Surface]string{Loopback: "localhost:8080", Network: "localhost"} {
		r.box.set(stateLocked)
		page := r.ask(surface, "GET", "/unlock", "", "Host", host, "Accept", "text/html", "Cookie", trusting(r.s))
		if !strings.Contains(string(page.body), `name="words"`) {
			t.Errorf("%s: no place for the words", surface)
		}
		if a := r.ask(surface, "POST", "/unlock", words, append(form, "Host", host, "Cookie", trusting(r.s))...); a.status != 303 || r.box.State() != stateOpen {
			t.Errorf("%s: %d", surface, a.status)
		}
	}
}

// A narrow page sends a browser on to the guide and back; what it would save is refused.
func TestNarrowPagesNeedAPhoneThatTrustsTheBox(t *testing.T) {
	r := newRig(t)
	done := func(v *visit) error { return v.c.SendStatus(204) }
	app := r.s.newApp(Network, []route{
		{method: "GET", path: "/sealed/:id", policy: need(staff.ReadPeople), narrow: true, handle: done},
		{method: "POST", path: "/sealed/:id", policy: need(staff.ReadPeople), narrow: true, handle: done},
		{method: "GET", path: "/open", policy: need(staff.ReadPeople), handle: done},
	})
	s := r.session("amina", staff.Lead)
	ask := func(method, path string, more ...string) answer {
		cookie := "__Host-waypost=" + s.Token
		if len(more) > 0 {
			cookie += "; " + more[0]
		}
		return r.send(app, method, path, "", "Host", "localhost", "Accept", "text/html", "Cookie", cookie, "X-CSRF-Token", s.CSRF)
	}
	if a := ask("GET", "/sealed/7?tab=2"); a.status != 303 || a.header.Get("Location") != "/phone?to=%2Fsealed%2F7%3Ftab%3D2" {
		t.Errorf("%d %s", a.status, a.header.Get("Location"))
	}
	if a := ask("POST", "/sealed/7"); a.status != 403 {
		t.Errorf("saving: %d", a.status)
	}
	for _, a := range []answer{ask("GET", "/sealed/7", trusting(r.s)), ask("POST", "/sealed/7", trusting(r.s)), ask("GET", "/open")} {
		if a.status != 204 {
			t.Errorf("%d", a.status)
		}
	}
}

// The worker's script is the same until a file or the secret changes, holds no name of a
// person's page, and is short.
func TestTheWorkerKeepsTheShellAlone(t *testing.T) {
	p, _ := gallery(t)
	one, two := p.workerScript(""), p.workerScript("ab")
	if one != p.workerScript("") || one == two {
		t.Error("the script changes by itself, or not with its secret")
	}
	if n := strings.Count(one, "\n"); n >= 120 {
		t.Errorf("%d lines", n)
	}
	for _, path := range []string{"/people", "/households", "/cards", "/api/"} {
		if strings.Contains(one, path) {
			t.Errorf("it knows %s", path)
		}
	}
	for _, a := range p.assets {
		if !strings.Contains(one, `"`+a.url+`"`) {
			t.Errorf("%s is not kept", a.url)
		}
	}
	delete(p.assets, "mark.svg")
	name := regexp.MustCompile(`shell-[0-9a-f]{12}`)
	if name.FindString(one) == name.FindString(p.workerScript("")) || name.FindString(one) != name.FindString(two) {
		t.Error("the name of what is kept does not follow its content")
	}
}

func TestThePageSaysOnWhichRungAPhoneIs(t *testing.T) {
	r := newRig(t)
	r.box.names = []string{testPublic}
	for want, ask := range map[string]answer{
		`data-rung="0"`: r.ask(Public, "GET", "/phone", "", "Host", "10.42.0.1"),
		`data-rung="1"`: r.ask(Network, "GET", "/phone", "", "Host", "10.42.0.1:8443"),
		`data-rung="2"`: r.ask(Network, "GET", "/phone", "", "Host", "localhost", "Cookie", trusting(r.s)),
		`data-rung="3"`: r.ask(Network, "GET", "/phone", "", "Host", testPublic+":8443"),
	} {
		if ask.status != 200 || !strings.Contains(string(ask.body), want) || strings.Count(string(ask.body), `aria-current="step"`) != 1 {
			t.Errorf("no %s: %d", want, ask.status)
		}
		if strings.Contains(string(ask.body), "phone.mjs") == (want == `data-rung="0"`) {
			t.Errorf("%s: the script", want)
		}
	}
	if a := r.ask(Loopback, "GET", "/phone", ""); a.status != 200 || strings.Contains(string(a.body), "data-rung") {
		t.Errorf("on the box itself: %d", a.status)
	}
	if a := r.ask(Network, "GET", "/phone", "", "Host", "n2.camp.example.org"); a.status != 403 {
		t.Errorf("a name of nobody: %d", a.status)
	}
}

func TestGuidesFollowTheDevice(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Linux; Android 14; SM-A146B) SamsungBrowser/27.0":                    "samsung",
		"Mozilla/5.0 (Linux; Android 10; K) Chrome/156.0 Mobile":                           "android",
		"Mozilla/5.0 (Android 14; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0":             "firefox",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)":                           "iphone",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)":                                  "mac",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0": "windows",
		"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0":           "linux",
		"curl/8": "", "": "",
	} {
		if got := deviceOf(agent); got != want {
			t.Errorf("%s: %q", agent, got)
		}
	}
}

func TestACertificateForPhonesToInstall(t *testing.T) {
	r := newRig(t)
	for _, surface := range []Surface{Public, Network, Loopback} {
		der := r.ask(surface, "GET", "/phone/ca.crt", "", "Host", "10.42.0.1")
		text := r.ask(surface, "GET", "/phone/ca.pem", "", "Host", "10.42.0.1")
		if der.status != 200 || der.header.Get("Content-Type") != "application/x-x509-ca-cert" || strings.Contains(string(der.body), "BEGIN") ||
			!strings.Contains(der.header.Get("Content-Disposition"), "box.crt") {
			t.Errorf("%s: %d %v", surface, der.status, der.header)
		}
		if text.status != 200 || text.header.Get("Content-Type") != "application/x-pem-file" || !strings.Contains(string(text.body), "BEGIN") {
			t.Errorf("%s: %d %v", surface, text.status, text.header)
		}
	}
}

func TestHandingAPhoneBack(t *testing.T) {
	r := newRig(t)
	s := r.session("amina", staff.Lead)
	cookie := "__Host-waypost=" + s.Token + "; " + trusting(r.s)
	a := r.ask(Network, "POST", "/phone/forget", "", "Host", "localhost", "Cookie", cookie)
	if a.status != 303 || a.header.Get("Clear-Site-Data") != `"cache", "storage"` {
		t.Errorf("%d %v", a.status, a.header)
	}
	for _, name := range []string{"__Host-waypost", "__Host-waypost-rung", "__Host-waypost-proof"} {
		if !regexp.MustCompile(regexp.QuoteMeta(name) + `=;`).MatchString(strings.Join(a.header.Values("Set-Cookie"), "\n")) {
			t.Errorf("%s stays: %v", name, a.header.Values("Set-Cookie"))
		}
	}
	if _, there := r.box.desks.Staff.Session(s.Token); there {
		t.Error("the session goes on")
	}
	s = r.session("omar", staff.Registrar)
	a = r.ask(Network, "POST", "/signout", "", "Host", "localhost", "Cookie", "__Host-waypost="+s.Token, "X-CSRF-Token", s.CSRF)
	if a.header.Get("Clear-Site-Data") != `"cache"` {
		t.Errorf("signing out leaves the cache: %v", a.header)
	}
}

func TestThePublicCertificateOnItsPage(t *testing.T) {
	box, s := newPageServer(t)
	lead := (&rig{t: t, box: box.apiBox, s: s}).session("amina", staff.Lead)
	b := newBrowser(t, s)
	b.cookies["waypost-8080"] = lead.Token
	b.get("/box/webcert").wants(200, "Certificates of the pages")
	b.post("/box/webcert/request", url.Values{"names": {"localhost"}, "csrf": {lead.CSRF}}).wants(400, "not names a public certificate")
	b.post("/box/webcert/request", url.Values{"names": {testPublic}, "csrf": {lead.CSRF}}).wants(200, testPublic, "request.csr")
	b.get("/box/webcert/request.csr").wants(200, "BEGIN CERTIFICATE REQUEST")
	if box.requested[0] != testPublic {
		t.Errorf("%v", box.requested)
	}
	upload := func(content string) *browser {
		const parts = "--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n%s\r\n--x\r\nContent-Disposition: form-data; name=\"chain\"; filename=\"x.pem\"\r\n\r\n%s\r\n--x--\r\n"
		return b.do("POST", "/box/webcert/install", "multipart/form-data; boundary=x", fmt.Appendf(nil, parts, lead.CSRF, content))
	}
	upload("nonsense").wants(400, "holds no certificate")
	upload("chain").wants(200, testPublic, "Signed by")
	if !s.ours(testPublic) || s.ours("n2.camp.example.org") {
		t.Error("the box does not answer to its public name")
	}
	b.post("/box/webcert/remove", url.Values{"csrf": {lead.CSRF}}).wants(200).lacks("Signed by")
	b.get("/box/webcert/request.csr").wants(404)
}
