package ui

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

// hardened fails unless an answer has every security header.
func hardened(t *testing.T, what string, h http.Header) {
	t.Helper()
	for _, kv := range securityHeaders {
		got := h.Get(kv[0])
		if kv[0] == "Cache-Control" && strings.Contains(got, "immutable") {
			continue
		}
		if got != kv[1] {
			t.Errorf("%s: %s is %q", what, kv[0], got)
		}
	}
	if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") || h.Get("Server") != "" || h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%s: %v", what, h)
	}
}

// Every route on every surface, asked by nobody and by a lead, and what there is
// no route for.
func TestHeadersAreOnEveryAnswer(t *testing.T) {
	r := newRig(t)
	r.s.streams.close() // an event stream would not end
	key := r.key(staff.Lead)
	for surface := range surfaceCount {
		for _, rt := range r.s.routes() {
			for _, auth := range []string{"", "Bearer " + key, "Basic x", "Bearer wrong"} {
				a := r.ask(surface, rt.method, concrete(rt.path), "", "Authorization", auth, "Accept", "text/html")
				hardened(t, fmt.Sprintf("%s %s %s %d", surface, rt.method, rt.path, a.status), a.header)
			}
		}
		for _, odd := range [][2]string{
			{"GET", "/nothing"}, {"PUT", "/api/v1/people"}, {"BREW", "/"}, {"OPTIONS", "/"}, {"GET", "/api/v1/nothing"}, {"TRACE", "/"}, {"HEAD", "/"},
			{"GET", "/static/x/../../go.mod"}, {"GET", "/%2e%2e/%00"}, {"DELETE", "/api/v1/people/x"},
		} {
			a := r.ask(surface, odd[0], odd[1], "")
			hardened(t, fmt.Sprintf("%s %s %s %d", surface, odd[0], odd[1], a.status), a.header)
			if a.status >= 500 && a.status != fiber.StatusNotImplemented {
				t.Errorf("%v: %d", odd, a.status)
			}
		}
	}
}

// What never becomes a request still gets an answer with the headers.
func TestHeadersAreOnBrokenRequests(t *testing.T) {
	r := newRig(t)
	addr := r.listen(Loopback)
	for _, raw := range []string{
		"GARBAGE\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + strings.Repeat("x", 20<<10) + "\r\n\r\n",
		"POST /signin HTTP/1.1\r\nHost: localhost\r\nContent-Length: nonsense\r\n\r\n",
		"POST /signin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n" + strings.Repeat("x", 9<<10),
	} {
		conn, err := net.Dial("tcp", addr)
		must(t, err)
		_, err = io.WriteString(conn, raw)
		must(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%.40q: %v", raw, err)
			continue
		}
		hardened(t, fmt.Sprintf("%.40q", raw), resp.Header)
		if resp.StatusCode < 400 || resp.StatusCode >= 500 {
			t.Errorf("%.40q: %d", raw, resp.StatusCode)
		}
		_ = resp.Body.Close()
		_ = conn.Close()
	}
}

// listen serves a surface on a real port of this machine until the test ends.
func (r *rig) listen(surface Surface) string {
	r.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(r.t, err)
	done := make(chan struct{})
	go func() { defer close(done); _ = r.s.Serve(surface, ln) }()
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = r.s.Shutdown(ctx)
		<-done
	})
	return ln.Addr().String()
}

func TestCompressedBodiesAreNotRead(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Lead)
	for _, encoding := range []string{"gzip", "br", "deflate", "zstd", "identity", "gzip, gzip", "x"} {
		for _, path := range []string{"/api/v1/people", "/signin", "/api/v1/tokens/photo", "/nothing", "/verify"} {
			a := r.ask(Network, "POST", path, "\x1f\x8b", "Content-Encoding", encoding, "Authorization", "Bearer "+key, "Accept", "application/json")
			if a.status != fiber.StatusUnsupportedMediaType || a.problem(t).Key != "fault.api.encoded" {
				t.Errorf("%s %s: %d", encoding, path, a.status)
			}
		}
	}
}

func TestForeignHostNamesAreRefused(t *testing.T) {
	r := newRig(t)
	r.s.hostname = "box7"
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST:8080": true, "127.0.0.1:8080": true, "[::1]:8080": true, "10.42.0.1": true, "waypost.internal:8443": true,
		"n1.waypost.internal": true, "waypost.local.": true, "box7": true, "box7.local.": true, "a.localhost": true,
		"post.local": false, "evil.local": false, "box7.local.evil.example": false,
		"evil.example": false, "waypost.internal.evil.example": false, "evilwaypost.internal": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
	} {
		for _, path := range []string{"/healthz", "/", "/api/v1/people"} {
			a := r.ask(Loopback, "GET", path, "", "Host", host, "Accept", "application/json", "X-Forwarded-Host", "localhost")
			refused := a.status == fiber.StatusForbidden && a.problem(t).Key == "fault.api.host"
			if refused == want {
				t.Errorf("%s %s: %d", host, path, a.status)
			}
		}
	}
}

// Plain HTTP from the network shows public pages and nothing else, also on the
// listener that serves everything to this machine.
func TestPlainHTTPFromTheNetworkShowsOnlyPublicPages(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Lead)
	session := r.session("amina", staff.Lead)
	headers := []string{"Authorization", "Bearer " + key, "Cookie", "waypost=" + session.Token + "; __Host-waypost=" + session.Token, "X-CSRF-Token", session.CSRF, "Host", "10.42.0.1"}
	ways := map[string]func(method, path string, headers ...string) answer{
		"public surface": func(method, path string, h ...string) answer { return r.ask(Public, method, path, "", h...) },
		"loopback surface": func(method, path string, h ...string) answer {
			return r.from("10.42.0.77:40000", Loopback, method, path, h...)
		},
	}
	for name, way := range ways {
		for _, path := range []string{"/", "/welcome", "/ca.pem", "/ca.crt", "/healthz", "/help", "/static/" + r.s.pages.assets["app.css"].hash + "/app.css"} {
			if a := way("GET", path, headers...); a.status != 200 || a.header.Get("Set-Cookie") != "" {
				t.Errorf("%s: GET %s: %d", name, path, a.status)
			}
		}
		for _, rt := range r.s.routes() {
			if rt.on().has(Public) {
				continue
			}
			a := way(rt.method, concrete(rt.path), append(headers, "Accept", "application/json")...)
			if p := a.problem(t); a.status != 403 || p.Key != "fault.api.https_only" || !strings.Contains(p.Hint, "https://10.42.0.1:8443/") || a.header.Get("Location") != "" {
				t.Errorf("%s: %s %s: %d %+v", name, rt.method, rt.path, a.status, p)
			}
		}
		if a := way("GET", "/nothing", headers...); a.status != 403 {
			t.Errorf("%s: unknown path: %d", name, a.status)
		}
	}
}

// from asks over a connection that comes from another address.
func (r *rig) from(addr string, surface Surface, method, path string, headers ...string) answer {
	r.t.Helper()
	return r.sendFrom(addr, surface, method, path, "", headers...)
}

// sendFrom is from with a body.
func (r *rig) sendFrom(addr string, surface Surface, method, path, body string, headers ...string) answer {
	r.t.Helper()
	remote, err := net.ResolveTCPAddr("tcp", addr)
	must(r.t, err)
	mine, theirs := net.Pipe()
	done := make(chan struct{})
	app := r.s.App(surface)
	app.Handler() // builds the routes, as a listener does
	go func() { defer close(done); _ = app.Server().ServeConn(&elsewhere{theirs, remote}) }()
	defer func() { _ = mine.Close(); <-done }()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	go func() { _ = req.Write(mine) }()
	resp, err := http.ReadResponse(bufio.NewReader(mine), req)
	must(r.t, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	must(r.t, err)
	return answer{resp.StatusCode, resp.Header, got}
}

type elsewhere struct {
	net.Conn
	remote net.Addr
}

func (e *elsewhere) RemoteAddr() net.Addr { return e.remote }

func TestAFormNeedsTheTokenOfItsSession(t *testing.T) {
	r := newRig(t)
	s, other := r.session("amina", staff.Registrar), r.session("omar", staff.Registrar)
	cookie := "__Host-waypost-8443=" + s.Token
	const person = `{"given_name":"Layla"}`
	post := func(headers ...string) answer {
		return r.ask(Network, "POST", "/api/v1/people", person, append([]string{"Host", "10.0.0.1:8443", "Cookie", cookie, "Content-Type", "application/json"}, headers...)...)
	}
	for name, headers := range map[string][]string{
		"none": nil, "empty": {"X-CSRF-Token", ""}, "wrong": {"X-CSRF-Token", "x"}, "somebody else's": {"X-CSRF-Token", other.CSRF},
	} {
		if a := post(headers...); a.status != 403 || a.problem(t).Key != "fault.api.csrf" {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	if a := post("X-CSRF-Token", s.CSRF); a.status != 201 {
		t.Errorf("right: %d %s", a.status, a.body)
	}
	// A page's form carries it in a field.
	form := func(csrf string) answer {
		return r.ask(Network, "POST", "/signout", "csrf="+csrf, "Host", "10.0.0.1:8443", "Cookie", cookie, "Content-Type", "application/x-www-form-urlencoded")
	}
	if a := form("x"); a.status != 403 {
		t.Errorf("form: %d", a.status)
	}
	if a := form(s.CSRF); a.status != 303 {
		t.Errorf("form: %d", a.status)
	}
	if a := post("X-CSRF-Token", s.CSRF); a.status != 401 || a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("after signing out: %d", a.status)
	}
}

func TestOtherSitesPagesAreRefused(t *testing.T) {
	r := newRig(t)
	s := r.session("amina", staff.Registrar)
	send := func(path string, headers ...string) int {
		body, kind := `{"given_name":"Layla"}`, "application/json"
		if path == "/signin" {
			body, kind = "user=amina&passphrase=x", "application/x-www-form-urlencoded"
		}
		return r.ask(Network, "POST", path, body, append([]string{"Host", "10.0.0.1:8443", "Content-Type", kind,
			"Cookie", "__Host-waypost-8443=" + s.Token, "X-CSRF-Token", s.CSRF, "Accept", "application/json"}, headers...)...).status
	}
	for _, bad := range [][]string{
		{"Origin", "https://evil.example"}, {"Origin", "http://10.0.0.1:8443"}, {"Origin", "https://10.0.0.1:9443"}, {"Origin", "https://10.0.0.1"},
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "cross-site", "Origin", "https://10.0.0.1:8443"}, {"Sec-Fetch-Site", "odd"},
	} {
		for _, path := range []string{"/api/v1/people", "/signin"} {
			if got := send(path, bad...); got != 403 {
				t.Errorf("%s %v: %d", path, bad, got)
			}
		}
	}
	for _, good := range [][]string{
		{}, {"Origin", "https://10.0.0.1:8443"}, {"Origin", "null"}, {"Sec-Fetch-Site", "same-origin", "Origin", "null"}, {"Sec-Fetch-Site", "none"},
	} {
		if got := send("/api/v1/people", good...); got != 201 {
			t.Errorf("%v: %d", good, got)
		}
	}
	// null may come from a page in a sandbox: without the session's token it is nothing.
	if got := send("/api/v1/people", "Origin", "null", "X-CSRF-Token", ""); got != 403 {
		t.Errorf("null without a token: %d", got)
	}
}

func TestSessionCookiesAreSafe(t *testing.T) {
	r := newRig(t)
	r.session("amina", staff.Registrar)
	form := "user=amina&passphrase=" + strings.ReplaceAll(testPassphrase, " ", "+")
	for _, tt := range []struct {
		surface Surface
		host    string
		name    string
		secure  bool
	}{
		{Network, "10.0.0.1:8443", "__Host-waypost-8443", true}, {Network, "waypost.internal", "__Host-waypost", true},
		{Loopback, "127.0.0.1:8080", "waypost-8080", false}, {Loopback, "localhost", "waypost", false},
	} {
		a := r.ask(tt.surface, "POST", "/signin", form, "Host", tt.host, "Content-Type", "application/x-www-form-urlencoded")
		resp := http.Response{Header: a.header}
		cookies := resp.Cookies()
		if a.status != 303 || len(cookies) != 2 {
			t.Fatalf("%s: %d %v", tt.host, a.status, a.header)
		}
		c, device := cookies[0], cookies[1]
		if want := strings.Replace(tt.name, "waypost", "waypost-device", 1); device.Name != want || device.Secure != tt.secure || !device.HttpOnly ||
			device.SameSite != http.SameSiteStrictMode || device.Path != "/" || device.Domain != "" || device.MaxAge < 1 {
			t.Errorf("%s: %v", tt.host, device)
		}
		if c.Name != tt.name || c.Secure != tt.secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 0 || !c.Expires.IsZero() {
			t.Errorf("%s: %v", tt.host, c)
		}
	}
}

func TestAPanicTellsNobodyAnything(t *testing.T) {
	r := newRig(t)
	app := r.s.newApp(Network, []route{
		{method: "GET", path: "/api/v1/boom", policy: public(), where: onAPI, handle: func(*visit) error { panic("Layla Haddad") }},
		{method: "GET", path: "/boom", policy: public(), handle: func(v *visit) error { return fmt.Errorf("Layla Haddad: %w", io.EOF) }},
	})
	a := r.send(app, "GET", "/api/v1/boom", "")
	if p := a.problem(t); a.status != 500 || p.Key != "fault.internal" || strings.Contains(string(a.body), "Layla") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	hardened(t, "panic", a.header)
	if log := r.log.String(); strings.Contains(log, "Layla") || !strings.Contains(log, "type=string") || !strings.Contains(log, "middleware_test.go:") {
		t.Fatalf("log: %s", log)
	}
	if a := r.send(app, "GET", "/boom", "", "Accept", "text/html"); a.status != 500 || strings.Contains(string(a.body), "Layla") || !strings.Contains(string(a.body), "<html") {
		t.Fatalf("%d %s", a.status, a.body)
	}
}

func TestLogsHoldNoPathsOrQueries(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Registrar)
	r.call(key, "GET", "/api/v1/people?q=Layla", "")
	r.call(key, "GET", "/api/v1/people/aaaaaaaaaaaaaaaa?x=Layla", "")
	r.call(key, "POST", "/api/v1/people", `{"given_name":"Layla"}`)
	r.call(key, "GET", "/Layla", "")
	log := r.log.String()
	for _, secret := range []string{"Layla", "aaaaaaaa", key} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
	for _, want := range []string{"route=/api/v1/people/:id", "route=none", "status=201", "method=GET", "surface=network"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
}

func TestBearerKeys(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Caseworker)
	for auth, want := range map[string]int{
		"": 401, "Bearer": 401, "Bearer ": 401, "Bearer wpk_": 401, "Bearer " + key + "x": 401, "Basic " + key: 401, "bearer " + key: 200, "Bearer " + key: 200,
	} {
		a := r.ask(Network, "GET", "/api/v1/people", "", "Authorization", auth)
		if a.status != want || want == 401 && a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%q: %d", auth, a.status)
		}
	}
	if a := r.call(key, "POST", "/api/v1/people", `{"given_name":"Layla"}`); a.status != 403 || a.problem(t).Key != "fault.staff.not_allowed" {
		t.Errorf("a caseworker registers: %d", a.status)
	}
	// A session beside a wrong key does not help.
	s := r.session("amina", staff.Lead)
	if a := r.ask(Network, "GET", "/api/v1/people", "", "Host", "localhost", "Cookie", "__Host-waypost="+s.Token, "Authorization", "Bearer wrong"); a.status != 401 {
		t.Errorf("a wrong key with a session: %d", a.status)
	}
	keys, err := r.box.desks.Staff.Keys(r.s.ctx, staff.Operator())
	must(t, err)
	for _, k := range keys {
		must(t, r.box.desks.Staff.RevokeKey(r.s.ctx, staff.Operator(), k.ID))
	}
	if a := r.call(key, "GET", "/api/v1/people", ""); a.status != 401 {
		t.Errorf("a revoked key: %d", a.status)
	}
}

func TestStatesHaveTheirOwnStatus(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Lead)
	for state, want := range map[string]int{stateNew: 409, stateLocked: 423, stateOpening: 503, stateOpen: 200, stateReadOnly: 200} {
		r.box.set(state)
		if a := r.call(key, "GET", "/api/v1/people", ""); a.status != want {
			t.Errorf("%s: %d", state, a.status)
		} else if again := a.header.Get("Retry-After"); (state == stateOpening) != (again != "") {
			t.Errorf("%s: come back in %q seconds", state, again)
		}
		a := r.ask(Public, "GET", "/healthz", "")
		if a.status != 200 || string(a.body) != `{"state":"`+state+`"}` {
			t.Errorf("health of %s: %d %s", state, a.status, a.body)
		}
	}
	for class, want := range map[fault.Class]int{fault.ReadOnly: 503, fault.Full: 507, fault.Busy: 429} {
		app := r.s.newApp(Network, []route{{method: "GET", path: "/api/v1/x", policy: public(), where: onAPI, handle: func(*visit) error {
			return fault.New(class, "fault.internal")
		}}})
		if a := r.send(app, "GET", "/api/v1/x", ""); a.status != want || a.problem(t).Class != string(class) {
			t.Errorf("%s: %d", class, a.status)
		}
	}
}

func TestUnknownAddressesAndMethods(t *testing.T) {
	r := newRig(t)
	if a := r.ask(Network, "GET", "/api/v1/nothing", "", "Accept", "text/html"); a.status != 404 || a.problem(t).Key != "fault.api.not_found" {
		t.Errorf("call: %d", a.status)
	}
	if a := r.ask(Network, "GET", "/nothing", "", "Accept", "text/html"); a.status != 404 || !strings.Contains(string(a.body), "<html") {
		t.Errorf("page: %d %s", a.status, a.body)
	}
	a := r.ask(Network, "DELETE", "/api/v1/people", "")
	if a.status != 405 || a.problem(t).Key != "fault.api.method" {
		t.Errorf("method: %d", a.status)
	}
	for _, m := range []string{"GET", "HEAD", "POST"} {
		if !strings.Contains(a.header.Get("Allow"), m) {
			t.Errorf("Allow: %q", a.header.Get("Allow"))
		}
	}
	if a := r.ask(Network, "BREW", "/", ""); a.status != 501 {
		t.Errorf("unknown method: %d", a.status)
	}
	if a := r.ask(Network, "GET", "/people", "", "Accept", "text/html"); a.status != 303 || a.header.Get("Location") != "/signin?to=%2Fpeople" {
		t.Errorf("sign-in first: %d %s", a.status, a.header.Get("Location"))
	}
}

func TestSentencesComeInTheLanguageAskedFor(t *testing.T) {
	r := newRig(t)
	seen := map[string]bool{}
	for _, lang := range []string{"en", "es", "fr", "ar"} {
		a := r.ask(Network, "GET", "/api/v1/people", "", "Accept-Language", lang)
		seen[a.problem(t).Detail] = true
		if a.header.Get("Content-Language") != lang {
			t.Errorf("%s: %s", lang, a.header.Get("Content-Language"))
		}
	}
	if len(seen) != 4 {
		t.Errorf("sentences: %v", seen)
	}
	a, b := r.ask(Network, "GET", "/api/v1/people", ""), r.ask(Network, "GET", "/api/v1/people", "", "Accept-Language", "tlh")
	if a.header.Get("Content-Language") != "en" || b.header.Get("Content-Language") != "en" {
		t.Error("English is for whom nothing fits")
	}
}
