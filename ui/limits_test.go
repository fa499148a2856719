package ui

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
)

const (
	outsider = "10.42.0.66:40000"
	owner    = "10.42.0.7:40000"
	here     = "127.0.0.1:40000"
)

// form sends a form from somewhere: over HTTPS, or over the loopback listener.
func (r *rig) form(from, path string, fields ...string) answer {
	r.t.Helper()
	values := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	surface := Network
	if from == here {
		surface = Loopback
	}
	return r.sendFrom(from, surface, "POST", path, values.Encode(), "Host", "localhost", "Accept", "text/html", "Content-Type", fiber.MIMEApplicationForm, "Cookie", trusting(r.s))
}

// refusedFor fails unless an answer is a 429 with a sentence and a time to wait.
func refusedFor(t *testing.T, a answer, most int, sentence string) {
	t.Helper()
	wait, err := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != fiber.StatusTooManyRequests || err != nil || wait < 1 || wait > most {
		t.Fatalf("status %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	if text := unmarked.Replace(string(a.body)); !strings.Contains(text, sentence) {
		t.Fatalf("no %q in %s", sentence, inMain(text))
	}
}

// A stranger who tries a name again and again keeps nobody out but himself, and
// whatever names he tries, his address is soon told to wait.
func TestAStrangerLocksOnlyHimselfOut(t *testing.T) {
	r := newRig(t)
	r.session("amina", staff.Lead)
	for range 5 {
		if a := r.form(outsider, "/signin", "user", "amina", "passphrase", "x"); a.status != 403 {
			t.Fatalf("a wrong passphrase: %d", a.status)
		}
	}
	refusedFor(t, r.form(outsider, "/signin", "user", " Amina", "passphrase", testPassphrase), 3600, "Too many wrong tries for this name")
	// Somebody else behind the same address signs in, until too many names are tried.
	r.session("omar", staff.Registrar)
	if a := r.form(outsider, "/signin", "user", "omar", "passphrase", testPassphrase); a.status != 303 {
		t.Fatalf("omar: %d", a.status)
	}
	for n := range 35 {
		r.form(outsider, "/signin", "user", fmt.Sprint("nobody", n), "passphrase", "x")
	}
	refusedFor(t, r.form(outsider, "/signin", "user", "omar", "passphrase", testPassphrase), 10, "Too many tries from this phone. Wait")
	for _, from := range []string{owner, here} {
		if a := r.form(from, "/signin", "user", "amina", "passphrase", testPassphrase); a.status != 303 {
			t.Fatalf("amina from %s: %d", from, a.status)
		}
	}
	// The flood never reached the desk a second time: its own count is what is full.
	if a := r.form(outsider, "/signin", "user", "amina", "passphrase", "x"); !strings.Contains(string(a.body), "Wait") {
		t.Fatal("no time to wait")
	}
}

// The box itself has its own count of wrong tries too.
func TestThisMachineHasItsOwnTries(t *testing.T) {
	r := newRig(t)
	r.session("amina", staff.Lead)
	for range 10 {
		r.form(here, "/signin", "user", "amina", "passphrase", "x")
	}
	if a := r.form(here, "/signin", "user", "amina", "passphrase", testPassphrase); a.status != 429 {
		t.Fatalf("the eleventh try here: %d", a.status)
	}
	if a := r.form(owner, "/signin", "user", "amina", "passphrase", testPassphrase); a.status != 303 {
		t.Fatalf("from the network: %d", a.status)
	}
}

func TestGuessesAtTheWordsAreFew(t *testing.T) {
	r := newRig(t)
	r.box.set(stateLocked)
	for range 5 {
		if a := r.form(outsider, "/unlock", "words", "x"); a.status != 403 {
			t.Fatalf("wrong words: %d", a.status)
		}
	}
	refusedFor(t, r.form(outsider, "/unlock", "words", testPassphrase), 30, "Too many tries from this phone. Wait")
	if r.box.State() != stateLocked {
		t.Fatal("opened without a try left")
	}
	if a := r.form(owner, "/unlock", "words", "x"); a.status != 403 {
		t.Fatalf("somebody else: %d", a.status)
	}
	if a := r.form(here, "/unlock", "words", testPassphrase); a.status != 303 || r.box.State() != stateOpen {
		t.Fatalf("at the box: %d", a.status)
	}
}

// claimRig is a new box whose code is testClaim.
func claimRig(t *testing.T) (*rig, *pageBox) {
	box, s := newPageServer(t)
	box.set(stateNew)
	return &rig{t: t, box: box.apiBox, s: s}, box
}

// Links with a wrong code spend nothing of what forms may try, and strangers nothing
// of what this machine may.
func TestStrangersCannotSpendTheClaimCode(t *testing.T) {
	r, box := claimRig(t)
	look := func(from, code string) answer {
		surface := Network
		if from == here {
			surface = Loopback
		}
		return r.from(from, surface, "GET", "/?claim="+code, "Host", "localhost", "Accept", "text/html")
	}
	for range 10 {
		if a := look(outsider, "ZZZZ-ZZZZ"); a.status != 403 || !strings.Contains(string(a.body), `name="claim"`) {
			t.Fatalf("a wrong link: %d", a.status)
		}
	}
	refusedFor(t, look(outsider, testClaim), 10, "Too many tries from this phone. Wait")
	for n := range 10 {
		if a := r.form(outsider, "/practise", "claim", fmt.Sprint("ZZZZ-", n)); a.status != 403 {
			t.Fatalf("try %d by a form: %d", n, a.status)
		}
	}
	refusedFor(t, r.form(outsider, "/practise", "claim", testClaim), 1800, "Too many wrong claim codes")
	if len(box.started) != 0 {
		t.Fatal("claimed without a try left")
	}
	for _, from := range []string{owner, here} {
		if a := look(from, testClaim); a.status != 200 || !strings.Contains(string(a.body), "/start?claim=") {
			t.Fatalf("the right code from %s: %d", from, a.status)
		}
	}
	// Together the network has an end; this machine goes on.
	r.s.guesses.claim.all.most = 20
	refusedFor(t, look(owner, testClaim), 1800, "Too many wrong claim codes")
	refusedFor(t, r.form(owner, "/start", "claim", testClaim, "deployment", "D", "site", "S", "lead", "L"), 1800, "Too many wrong claim codes")
	if a := r.form(here, "/start", "claim", testClaim, "deployment", "D", "site", "S", "lead", "L"); a.status != 200 || len(box.started) != 1 {
		t.Fatalf("at the box: %d", a.status)
	}
}

// What is wrong with the rest of the form costs no try.
func TestOnlyWrongCodesArePaidFor(t *testing.T) {
	r, _ := claimRig(t)
	for range 15 {
		if a := r.form(owner, "/start", "claim", testClaim, "site", ""); a.status != 400 {
			t.Fatalf("an empty form: %d", a.status)
		}
	}
	if len(r.s.guesses.claim.each.full)+len(r.s.guesses.claim.all.full) != 2 { // both full again, swept at the next try
		t.Fatal("a try was kept")
	}
	if wait := r.s.guesses.claim.each.take(clientOf(net.IPv4(10, 42, 0, 7)), clock.System().Now()); wait != 0 {
		t.Fatalf("a wait of %v", wait)
	}
}

// asked counts how often a box was asked for its state: once for each request that
// reached a route.
type asked struct {
	Box
	times atomic.Int64
}

func (b *asked) State() string { b.times.Add(1); return b.Box.State() }

// until waits for something another goroutine does.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// silent sends the beginning of a form with more to come, and no more.
func silent(t *testing.T, addr, path, kind, head string, length, sent int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n%s", path, kind, head, length, strings.Repeat("a", sent))
	must(t, err)
	return conn
}

// Whoever is slow to send a form keeps nobody from claiming or opening the box.
func TestSilentStrangersHoldNoPlaces(t *testing.T) {
	r, box := claimRig(t)
	watched := &asked{Box: box}
	r.s.config.Box = watched
	addr := r.listen(Network)
	for range 2 * openingLine {
		silent(t, addr, "/start", fiber.MIMEApplicationForm, "", 60000, 9<<10)
	}
	until(t, "the forms did not begin", func() bool { return watched.times.Load() >= 2*openingLine })
	for _, from := range []string{"127.0.0.1:1", owner, here} {
		if a := r.form(from, "/practise", "claim", "WRNG-WRNG"); a.status != 403 {
			t.Fatalf("from %s: %d", from, a.status)
		}
	}
	box.set(stateLocked)
	if a := r.form(owner, "/unlock", "words", testPassphrase); a.status != 303 {
		t.Fatalf("opening: %d", a.status)
	}
}

// One address has one place in the line of claims and unlocks, and this machine a
// line of its own.
func TestTheLineOfOpenersIsShared(t *testing.T) {
	r, box := claimRig(t)
	r.s.opening.turn <- struct{}{} // somebody is at it
	defer func() { <-r.s.opening.turn }()
	waiting := make(chan int, 2)
	line := r.s.opening.network
	for n := range 2 { // a form that was sent twice
		go func() { waiting <- r.form(outsider, "/practise", "claim", "WRNG-WRNG").status }()
		until(t, "not in line", func() bool { line.mu.Lock(); defer line.mu.Unlock(); return line.taken == n+1 })
	}
	third := make(chan answer, 1)
	go func() { third <- r.form(outsider, "/practise", "claim", "WRNG-WRNG") }()
	until(t, "a third one of one address waits too", func() bool { return len(third) == 1 })
	refusedFor(t, <-third, 30, "at the same time")
	if a := r.form(here, "/practise", "claim", testClaim); a.status != 303 || len(box.started) != 1 {
		t.Fatalf("at the box: %d", a.status)
	}
	if !line.enter(share{"10.42.0.7", 1}) {
		t.Fatal("no place for somebody else")
	}
	line.leave(share{"10.42.0.7", 1})
	r.s.Close() // the server stops: whoever waits hears so
	for range 2 {
		if got := <-waiting; got != 429 && got != 403 { // the turn may come just then
			t.Fatalf("whoever waited: %d", got)
		}
	}
}

// Who announces a large photo and sends little of it holds no place; who sends it has
// one, and only one.
func TestLargeUploadsAreShared(t *testing.T) {
	r := newRig(t)
	watched := &asked{Box: r.box}
	r.s.config.Box = watched
	addr := r.listen(Network)
	keys := make([]string, uploadLine+1)
	for i := range keys {
		keys[i] = r.key(staff.Registrar)
		silent(t, addr, "/api/v1/tokens/photo", "image/png", "Authorization: Bearer "+keys[i]+"\r\n", photoLimit, 9<<10)
	}
	until(t, "the photos did not begin", func() bool { return watched.times.Load() >= uploadLine+1 })
	photo := func(from, key string, size int) answer {
		surface := Network
		if from == here {
			surface = Loopback
		}
		return r.sendFrom(from, surface, "POST", "/api/v1/tokens/photo", strings.Repeat("x", size), "Host", "localhost", "Authorization", "Bearer "+key, "Content-Type", "image/png")
	}
	large := bodyLimit + 1<<10
	if a := photo(owner, keys[0], large); a.status != 415 {
		t.Fatalf("beside silent ones: %d %s", a.status, a.body)
	}
	silent(t, addr, "/api/v1/tokens/photo", "image/png", "Authorization: Bearer "+keys[0]+"\r\n", photoLimit, large)
	until(t, "no large body", func() bool { r.s.uploads.mu.Lock(); defer r.s.uploads.mu.Unlock(); return r.s.uploads.taken == 1 })
	for name, tt := range map[string]struct {
		from, key string
		size      int
		want      int
	}{
		"the same key":       {owner, keys[0], large, 415},
		"the same address":   {"127.0.0.1:1", keys[1], large, 415},
		"a small photo":      {"127.0.0.1:1", keys[0], 100 << 10, 415},
		"somebody else":      {owner, keys[1], large, 415},
		"at the box":         {here, keys[2], large, 415},
		"at the box, others": {here, keys[3], large, 415},
	} {
		a := photo(tt.from, tt.key, tt.size)
		if a.status != tt.want || (tt.want == 429) != (a.header.Get("Retry-After") != "") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestPagesKnowNoKeys(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Lead)
	for _, path := range []string{"/people", "/staff", "/mesh", "/people/new"} {
		if a := r.ask(Network, "GET", path, "", "Authorization", "Bearer "+key, "Accept", "text/html"); a.status != 303 || !strings.HasPrefix(a.header.Get("Location"), "/signin") {
			t.Errorf("GET %s: %d", path, a.status)
		}
	}
	body := url.Values{"user": {"bo"}, "role": {"lead"}, "passphrase": {testPassphrase}}.Encode()
	for _, path := range []string{"/staff", "/mesh/invite"} {
		if a := r.ask(Network, "POST", path, body, "Authorization", "Bearer "+key, "Content-Type", fiber.MIMEApplicationForm); a.status != 401 {
			t.Errorf("POST %s: %d", path, a.status)
		}
	}
	// A session counts on a page, whatever header comes along.
	s := r.session("amina", staff.Lead)
	if a := r.ask(Network, "GET", "/people", "", "Host", "localhost", "Cookie", "__Host-waypost="+s.Token, "Authorization", "Basic eDp5"); a.status != 200 {
		t.Errorf("a session: %d", a.status)
	}
}

// Accounts, keys and nodes are made by people, also where a call for it should come.
func TestAKeyIsNoPerson(t *testing.T) {
	r := newRig(t)
	key, s := r.key(staff.Lead), r.session("amina", staff.Lead)
	for _, action := range []staff.Action{staff.ManageStaff, staff.ManageKeys, staff.InviteNodes, staff.ConfirmNodes} {
		app := r.s.newApp(Network, []route{{method: "POST", path: "/api/v1/x", policy: need(action), where: onAPI, handle: func(v *visit) error { return v.c.SendStatus(204) }}})
		if a := r.send(app, "POST", "/api/v1/x", "", "Authorization", "Bearer "+key); a.status != 403 || a.problem(t).Key != "fault.api.key_person" {
			t.Errorf("%s by a key: %d", action, a.status)
		}
		if a := r.send(app, "POST", "/api/v1/x", "", "Host", "localhost", "Cookie", "__Host-waypost="+s.Token, "X-CSRF-Token", s.CSRF); a.status != 204 {
			t.Errorf("%s by a person: %d", action, a.status)
		}
	}
}

// Whose box this is, is for those who work here and whoever stands before it.
func TestStrangersDoNotLearnWhoseBoxThisIs(t *testing.T) {
	r := newRig(t)
	s := r.session("amina", staff.Registrar)
	shows := func(a answer) bool {
		return strings.Contains(string(a.body), "North gate") || strings.Contains(string(a.body), "<bdi>Test</bdi>")
	}
	html := []string{"Host", "localhost", "Accept", "text/html"}
	for _, path := range []string{"/", "/welcome", "/help", "/nowhere", "/people"} {
		if a := r.from(outsider, Loopback, "GET", path, html...); shows(a) || !strings.Contains(string(a.body), "Waypost") {
			t.Errorf("plain HTTP, %s: %d", path, a.status)
		}
		if a := r.from(outsider, Network, "GET", path, html...); shows(a) {
			t.Errorf("HTTPS, %s: %d", path, a.status)
		}
	}
	if a := r.from(outsider, Network, "GET", "/signin", html...); shows(a) || a.status != 200 {
		t.Errorf("the sign-in: %d", a.status)
	}
	if a := r.from(owner, Network, "GET", "/", append(html, "Cookie", "__Host-waypost="+s.Token)...); !shows(a) {
		t.Error("whoever works here does not see the name")
	}
	if a := r.from(here, Loopback, "GET", "/", html...); !shows(a) {
		t.Error("whoever stands before the box does not see the name")
	}
}

// Behind a proxy everybody comes from this machine.
func TestWhatCameThroughAProxyIsPublic(t *testing.T) {
	r := newRig(t)
	s := r.session("amina", staff.Lead)
	for _, header := range []string{"X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Anything", "Forwarded", "Via", "X-Real-IP"} {
		a := r.from(here, Loopback, "GET", "/people", "Host", "localhost", "Accept", "application/json", "Cookie", "waypost="+s.Token, header, "127.0.0.1")
		if a.status != 403 || a.problem(t).Key != "fault.api.https_only" {
			t.Errorf("%s: %d", header, a.status)
		}
	}
	if a := r.from(here, Loopback, "GET", "/people", "Host", "localhost", "Accept", "text/html", "Cookie", "waypost="+s.Token); a.status != 200 {
		t.Errorf("without a proxy: %d", a.status)
	}
}

// Somebody who opens page after page leaves places for the others.
func TestEventStreamsAreShared(t *testing.T) {
	r := newRig(t)
	addr := r.listen(Loopback)
	_, port, _ := net.SplitHostPort(addr)
	r.session("amina", staff.Registrar)
	open := func(s staff.Session) int {
		resp, _ := r.events(addr, "Cookie", "waypost-"+port+"="+s.Token)
		return resp.StatusCode
	}
	for n := range personStreams / tokenStreams {
		s, err := r.box.desks.Staff.SignIn(r.s.ctx, "amina", []byte(testPassphrase))
		must(t, err)
		oldest, _ := r.events(addr, "Cookie", "waypost-"+port+"="+s.Token)
		for range tokenStreams { // the last of them takes the place of the oldest
			if got := open(s); got != 200 {
				t.Fatalf("session %d: %d", n, got)
			}
		}
		if _, err := io.Copy(io.Discard, oldest.Body); err != nil {
			t.Fatalf("the oldest of session %d goes on: %v", n, err)
		}
	}
	more, err := r.box.desks.Staff.SignIn(r.s.ctx, "amina", []byte(testPassphrase))
	must(t, err)
	if got := open(more); got != 429 {
		t.Fatalf("one too many of a person: %d", got)
	}
	if got := open(r.session("omar", staff.Registrar)); got != 200 {
		t.Fatalf("somebody else: %d", got)
	}
	r.s.Close()
}

// A page left open must not keep somebody signed in: streams do not count as use,
// however many sessions there are.
func TestAStreamDoesNotKeepASessionAlive(t *testing.T) {
	r := newRig(t)
	r.s.pace = time.Millisecond
	fake := clock.NewFake(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC))
	desk, err := staff.Open(r.box.log, t.TempDir(), [32]byte{1}, fake, "North gate", r.box.vault.NodeID(), staff.WithCost(identity.TestCost()))
	must(t, err)
	t.Cleanup(desk.Close)
	r.box.desks.Staff = desk
	addr := r.listen(Loopback)
	_, port, _ := net.SplitHostPort(addr)
	s := r.session("amina", staff.Lead)
	resp, events := r.events(addr, "Cookie", "waypost-"+port+"="+s.Token)
	if _, ok := next(t, events); !ok {
		t.Fatalf("no event: %d", resp.StatusCode)
	}
	fake.Advance(15 * time.Minute)
	r.key(staff.Carrier) // a change
	if _, ok := next(t, events); !ok {
		t.Fatal("the stream ended too early")
	}
	fake.Advance(6 * time.Minute)
	r.key(staff.Carrier)
	for ok := true; ok; {
		_, ok = next(t, events)
	}
	if resp, _ := r.events(addr, "Cookie", "waypost-"+port+"="+s.Token); resp.StatusCode != 401 {
		t.Fatalf("opened again: %d", resp.StatusCode)
	}
}

func TestBudgetsRefill(t *testing.T) {
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	b := newBudget("fault.api.tries", 3, 30*time.Second)
	for range 3 {
		if b.take("a", at) != 0 {
			t.Fatal("used up too early")
		}
	}
	if got := b.take("a", at.Add(10*time.Second)); got != 20*time.Second {
		t.Fatalf("a wait of %v", got)
	}
	if b.take("b", at) != 0 {
		t.Fatal("somebody else waits")
	}
	b.giveBack("a")
	if b.take("a", at.Add(10*time.Second)) != 0 || b.take("a", at.Add(10*time.Second)) == 0 {
		t.Fatal("what was given back is one try")
	}
	b.giveBack("nobody")
	if b.take("a", at.Add(time.Hour)) != 0 || len(b.full) != 1 {
		t.Fatalf("%d clients are remembered for ever", len(b.full))
	}
}

func TestClients(t *testing.T) {
	for ip, want := range map[string]string{
		"10.42.0.7": "10.42.0.7", "::ffff:10.42.0.7": "10.42.0.7", "fd00::1": "fd00::/64", "fd00::ffff:1": "fd00::/64", "fe80::1": "fe80::/64", "127.0.0.1": "127.0.0.1",
	} {
		if got := clientOf(net.ParseIP(ip)); got != want {
			t.Errorf("%s is %s", ip, got)
		}
	}
	if got := retryAfter(fault.New(fault.Busy, "fault.staff.too_many_tries", "Count", 3)); got != 180 {
		t.Errorf("%d seconds", got)
	}
	if got := retryAfter(fault.New(fault.Busy, "fault.identity.busy")); got != 5 {
		t.Errorf("%d seconds", got)
	}
}
