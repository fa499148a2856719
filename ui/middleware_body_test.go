package ui

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/staff"
)

// client asks over one real connection, and tells whether it was kept.
func (r *rig) client(addr string, req *http.Request) (answer, bool) {
	r.t.Helper()
	reused := false
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
	resp, err := http.DefaultClient.Do(req.WithContext(httptrace.WithClientTrace(context.Background(), trace)))
	must(r.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(r.t, err)
	return answer{resp.StatusCode, resp.Header, body}, reused
}

// A form field of 10 MB, as bad input: one sentence with a 413, whoever sends it,
// and the same connection goes on.
func TestALargeFormGetsItsSentence(t *testing.T) {
	r := newRig(t)
	addr := r.listen(Loopback)
	s := r.session("amina", staff.Registrar)
	field := strings.Repeat("x", 10<<20)
	var parts bytes.Buffer
	w := multipart.NewWriter(&parts)
	must(t, w.WriteField("csrf", s.CSRF))
	must(t, w.WriteField("given_name", field))
	must(t, w.Close())
	tests := []struct {
		name, path, kind, body string
		chunked                bool
	}{
		{"form", "/people", fiber.MIMEApplicationForm, "csrf=" + s.CSRF + "&given_name=" + field, false},
		{"multipart", "/people", w.FormDataContentType(), parts.String(), false},
		{"chunked", "/people", fiber.MIMEApplicationForm, "csrf=" + s.CSRF + "&given_name=" + field, true},
		{"sign-in", "/signin", fiber.MIMEApplicationForm, "user=" + field, false},
		{"call", "/api/v1/people", fiber.MIMEApplicationJSON, `{"given_name":"` + field + `"}`, false},
	}
	for _, tt := range tests {
		for _, accept := range []string{"text/html", "application/json"} {
			body := io.Reader(strings.NewReader(tt.body))
			if tt.chunked {
				body = struct{ io.Reader }{body}
			}
			req, err := http.NewRequest(http.MethodPost, "http://"+addr+tt.path, body)
			must(t, err)
			_, port, err := net.SplitHostPort(addr)
			must(t, err)
			req.Header.Set("Cookie", "waypost-"+port+"="+s.Token)
			req.Header.Set("X-CSRF-Token", s.CSRF)
			req.Header.Set("Content-Type", tt.kind)
			req.Header.Set("Accept", accept)
			a, _ := r.client(addr, req)
			if a.status != 413 {
				t.Fatalf("%s %s: %d %.200s", tt.name, accept, a.status, a.body)
			}
			hardened(t, tt.name, a.header)
			next, err := http.NewRequest(http.MethodGet, "http://"+addr+"/healthz", nil)
			must(t, err)
			if a, reused := r.client(addr, next); a.status != 200 || !reused {
				t.Errorf("%s %s: afterwards %d, same connection %v", tt.name, accept, a.status, reused)
			}
		}
	}
}

// Somebody who may not ask hears that, and not how large a body may be.
func TestARefusalComesBeforeTheBody(t *testing.T) {
	r := newRig(t)
	addr := r.listen(Loopback)
	req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/api/v1/people", strings.NewReader(strings.Repeat("x", 10<<20)))
	must(t, err)
	if a, _ := r.client(addr, req); a.status != 401 {
		t.Fatalf("%d", a.status)
	}
}

func TestASlowBodyIsGivenUp(t *testing.T) {
	r := newRig(t)
	r.s.wait = 300 * time.Millisecond
	addr := r.listen(Loopback)
	key := r.key(staff.Registrar)
	for _, sent := range []int{1, 9 << 10} { // less and more than Fiber reads ahead
		conn, err := net.Dial("tcp", addr)
		must(t, err)
		defer conn.Close()
		_, err = fmt.Fprintf(conn, "POST /api/v1/people HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n%s",
			key, strings.Repeat(" ", sent))
		must(t, err)
		must(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		if resp.StatusCode != fiber.StatusRequestTimeout || !resp.Close {
			t.Errorf("after %d bytes: %d, close %v", sent, resp.StatusCode, resp.Close)
		}
		hardened(t, "slow", resp.Header)
		_ = resp.Body.Close()
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/healthz", nil)
	must(t, err)
	if a, _ := r.client(addr, req); a.status != 200 {
		t.Errorf("others: %d", a.status)
	}
}

func TestBrokenForms(t *testing.T) {
	r := newRig(t)
	s := r.session("amina", staff.Registrar)
	many := strings.Repeat("a=b&", maxFields+1)
	var parts bytes.Buffer
	w := multipart.NewWriter(&parts)
	for range maxParts + 1 {
		must(t, w.WriteField("a", "b"))
	}
	must(t, w.Close())
	for name, tt := range map[string]struct {
		kind, body string
		want       int
	}{
		"bad escape":      {fiber.MIMEApplicationForm, "a=%zz", 400},
		"not UTF-8":       {fiber.MIMEApplicationForm, "a=%ff%fe", 400},
		"many fields":     {fiber.MIMEApplicationForm, many, 400},
		"many parts":      {w.FormDataContentType(), parts.String(), 400},
		"no boundary":     {fiber.MIMEMultipartForm, "x", 400},
		"cut off":         {fiber.MIMEMultipartForm + "; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nabc", 400},
		"JSON for a page": {fiber.MIMEApplicationJSON, `{"given_name":"Layla"}`, 415},
		"no type":         {"", "a=b", 415},
	} {
		a := r.ask(Network, "POST", "/people", tt.body, "Host", "localhost", "Content-Type", tt.kind,
			"Cookie", "__Host-waypost="+s.Token, "X-CSRF-Token", s.CSRF, "Accept", "text/html")
		if a.status != tt.want || !strings.Contains(string(a.body), "<html") {
			t.Errorf("%s: %d %.200s", name, a.status, a.body)
		}
	}
}

// Fiber's strings point into memory that the next request overwrites. Many people
// at once must not get each other's names.
func TestNamesNeverMix(t *testing.T) {
	r := newRig(t)
	addr := r.listen(Loopback)
	key := r.key(staff.Registrar)
	const writers, each = 8, 12
	errs := make(chan error, writers)
	for w := range writers {
		go func() {
			errs <- func() error {
				for n := range each {
					name := fmt.Sprintf("Name%dx%d", w, n)
					id, err := r.register(addr, key, name)
					if err != nil {
						return err
					}
					if err := r.readBack(addr, key, id, name); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range writers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for w := range writers {
		for n := range each {
			name := fmt.Sprintf("Name%dx%d", w, n)
			a := r.call(key, "GET", "/api/v1/people?q="+name, "")
			if got := strings.Count(string(a.body), `"`+name+`"`); got != 1 {
				t.Fatalf("%s is there %d times", name, got)
			}
		}
	}
}

func (r *rig) register(addr, key, name string) (string, error) {
	var added struct {
		ID string `json:"id"`
	}
	err := ask(http.MethodPost, "http://"+addr+"/api/v1/people", key, `{"given_name":"`+name+`","notes":"`+strings.Repeat(name, 20)+`"}`, &added)
	return added.ID, err
}

func (r *rig) readBack(addr, key, id, name string) error {
	var p struct {
		Name  string `json:"given_name"`
		Notes string `json:"notes"`
	}
	if err := ask(http.MethodGet, "http://"+addr+"/api/v1/people/"+url.PathEscape(id), key, "", &p); err != nil {
		return err
	}
	if p.Name != name || p.Notes != strings.Repeat(name, 20) {
		return fmt.Errorf("%s became %s", name, p.Name)
	}
	return nil
}

// FuzzForm feeds bodies to the form parsers: whatever is taken is UTF-8 and small.
func FuzzForm(f *testing.F) {
	f.Add("application/x-www-form-urlencoded", []byte("a=b&c=%D9%84&a=d"))
	f.Add("multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a\"\r\n\r\nabc\r\n--x--\r\n"))
	f.Add("multipart/form-data; boundary=\"\"", []byte("----"))
	app := fiber.New()
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		c := app.AcquireCtx(newFastCtx())
		defer app.ReleaseCtx(c)
		c.Request().Header.Set(fiber.HeaderContentType, kind)
		v := &visit{c: c, body: body, route: &route{limit: 1}}
		if v.parseForm() != nil {
			return
		}
		total := 0
		for name, values := range v.fields {
			for range values {
				total++
			}
			if got := v.form(name); strings.ToValidUTF8(got, "") != got {
				t.Fatalf("%q", got)
			}
		}
		if total > maxFields+1 {
			t.Fatalf("%d fields", total)
		}
	})
}

// What comes after a long body lies in the memory of the one before, and has nothing of it.
func TestRoomForLongBodiesIsUsedAgain(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Registrar)
	for i := range 20 {
		mark := fmt.Sprintf("Qvzk%02d", i)
		pad := strings.Repeat(" ", strangerLimit+(19-i)*(40<<10)) // each shorter than the one before
		a := r.call(key, "POST", "/api/v1/people", pad+`{"given_name":"`+mark+`"}`)
		var made struct{ ID string }
		if a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		a.into(t, &made)
		if a = r.call(key, "GET", "/api/v1/people/"+made.ID, ""); strings.Count(string(a.body), "Qvzk") != 1 || !strings.Contains(string(a.body), mark) {
			t.Fatalf("%s: %s", mark, a.body)
		}
	}
	v := &visit{room: longRooms.Get().(*[]byte)}
	v.body = (*v.room)[:copy(*v.room, "Qvzk typed by somebody")]
	room := v.room
	v.free()
	if bytes.Contains(*room, []byte("Q")) || v.body != nil {
		t.Error("what was typed stays in the memory")
	}
}

// TestFewHoldAPlaceWithAMiddlingBody: 500 connections that each keep the last byte of 60 KB
// back hold places, and no more than there are; whoever sends a short form goes on.
func TestFewHoldAPlaceWithAMiddlingBody(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Registrar)
	middling := `{"given_name":"Middling","notes":"` + strings.Repeat("a", 2*shortBody) + `"}`
	net := func(body string) int {
		return r.ask(Network, "POST", "/api/v1/people", body, "Host", "localhost", "Authorization", "Bearer "+key, "Content-Type", "application/json").status
	}
	if got := net(middling); got == 429 {
		t.Fatal("one alone")
	}
	for i := range middlingLine {
		if !r.s.middling.enter(share{fmt.Sprint(i), 1}) {
			t.Fatal("a place was not given back")
		}
	}
	for i := range unknownLine {
		if !r.s.unknown.enter(share{fmt.Sprint(i), 1}) {
			t.Fatal("a place was taken")
		}
	}
	if got := net(middling); got != 429 {
		t.Errorf("one too many: %d", got)
	}
	if got := net(`{"given_name":"Short"}`); got != 201 {
		t.Errorf("a short one: %d", got)
	}
	if a := r.ask(Network, "POST", "/signin", "user="+strings.Repeat("a", 2*shortBody), "Host", "localhost", "Content-Type", fiber.MIMEApplicationForm); a.status != 429 {
		t.Errorf("a stranger: %d", a.status)
	}
	if a := r.ask(Loopback, "POST", "/api/v1/people", middling, "Host", "localhost", "Authorization", "Bearer "+key, "Content-Type", "application/json"); a.status == 429 {
		t.Error("at this machine itself nobody is kept waiting by the network")
	}
}

// Whoever waits for a place gets it when it is given back, and does not wait for ever.
func TestAPlaceIsWaitedFor(t *testing.T) {
	p := newSeats(1)
	me := share{"me", 1}
	if !p.enter(me) || p.enterWithin(time.Millisecond, me) {
		t.Fatal("two in one place")
	}
	got := make(chan bool)
	for range 2 {
		go func() {
			ok := p.enterWithin(time.Minute, me)
			if ok {
				p.leave(me)
			}
			got <- ok
		}()
	}
	p.leave(me)
	for range 2 {
		if !<-got {
			t.Error("nobody told who waits")
		}
	}
}

// TestLongBodiesTakeTurns: what is longer than almost any form needs a place, so that a
// crowd of them does not take the memory; ordinary forms go on.
func TestLongBodiesTakeTurns(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Registrar)
	long := `{"given_name":"Long","notes":"` + strings.Repeat("a", 2*strangerLimit) + `"}`
	if a := r.call(key, "POST", "/api/v1/people", long); a.status == 429 {
		t.Fatalf("one alone: %s", a.body)
	}
	for i := range lengthyLine {
		if !r.s.lengthy.enter(share{fmt.Sprint(i), 1}) {
			t.Fatal("a place was not given back")
		}
	}
	if a := r.call(key, "POST", "/api/v1/people", long); a.status != 429 {
		t.Errorf("one too many: %d %s", a.status, a.body)
	}
	if a := r.call(key, "POST", "/api/v1/people", `{"given_name":"Short"}`); a.status != 201 {
		t.Errorf("a short one: %d %s", a.status, a.body)
	}
}
