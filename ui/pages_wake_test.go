package ui

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/staff"
)

const testPIN = "482915"

// rests lets every session of the box rest, as after twenty quiet minutes.
func (b *pageBox) rests(t *testing.T, all bool) {
	t.Helper()
	for name, token := range b.tokens {
		if strings.HasPrefix(name, "waypost") && !strings.Contains(name, "device") {
			b.desks.Staff.Rest(token, all)
		}
	}
}

// A registrar is called away in the middle of a form. The form they send afterwards waits
// behind the PIN and goes on as it was typed.
func TestAFormGoesOnBehindThePIN(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "amina", staff.Registrar)
	b.get("/me").wants(200, "PIN on this device")
	b.post("/me/pin", url.Values{"pin": {"111111"}}).wants(400, "one of the first that anybody would try")
	b.post("/me/pin", url.Values{"pin": {testPIN}}).wants(200, "The PIN works from now on", "You have a PIN")
	box.tokens = b.cookies
	b.get("/people/new")
	typed := url.Values{"members.0.given_name": {"Rosa"}, "family_name": {"Ixchel Tum"}, "members.0.age": {"37"}, "save": {"1"}}
	box.rests(t, true)
	b.post("/people", typed).wants(401, "Go on working", "What you typed is kept", "Your PIN").lacks("Rosa", "Ixchel", "/people/new")
	b.post("/wake", url.Values{"pin": {"999998"}}).wants(403, "This is not the PIN. You have 4 tries left", "What you typed is kept")
	b.get("/lang/es?to=/people/new").wants(200, "Lo que escribió se conserva").get("/lang/en?to=/people/new").wants(200, "What you typed is kept")
	b.post("/wake", url.Values{"pin": {testPIN}}).wants(200, "Rosa", "Ixchel Tum")
	if b.path == "/people" {
		t.Fatal("it was not saved")
	}
	// A page asked for meanwhile comes after the PIN.
	box.rests(t, true)
	b.get("/people?q=rosa").wants(200, "Go on working").lacks("Rosa Ixchel")
	b.post("/wake", url.Values{"pin": {testPIN}}).wants(200, "Rosa")
	if b.path != "/people?q=rosa" {
		t.Fatal(b.path)
	}
	b.get("/").wants(200, "Sign out")
	box.rests(t, true)
	b.get("/").wants(200, "Go on working")
	for range 4 {
		b.post("/wake", url.Values{"pin": {"999998"}}).wants(403)
	}
	b.post("/wake", url.Values{"pin": {"999998"}}).wants(403, "Five wrong PINs", "Sign in").lacks("Your PIN")
	b.get("/people").wants(200, "Sign in")
}

// Without a PIN the passphrase does it, and somebody else may sign in instead.
func TestThePassphraseWakesAPage(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "amina", staff.Lead)
	box.tokens = b.cookies
	box.rests(t, true)
	b.get("/staff").wants(200, "Go on working", "Passphrase").lacks("Your PIN")
	b.post("/wake", url.Values{"pin": {"wrong words"}}).wants(403, "wrong")
	b.post("/wake", url.Values{"pin": {testPassphrase}}).wants(200, "Staff", "Add somebody")
	box.rests(t, true)
	b.get("/staff").post("/wake/leave", nil).wants(200, "Sign in").get("/staff").wants(200, "Sign in")
}

// What a page without input hands over comes back to that page, field by field, with the
// name of the field that was being typed in, and never a secret.
func TestWhatWasTypedComesBackToItsPage(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "amina", staff.Registrar)
	b.get("/me").post("/me/pin", url.Values{"pin": {testPIN}}).wants(200)
	csrf := b.get("/people/new").fields("/people").Get("csrf")
	box.tokens = b.cookies
	hold := url.Values{"csrf": {csrf}, "_path": {"/people/new"}, "_focus": {"notes"}, "_all": {"1"}, "notes": {"half a sen"}, "passphrase": {"secret"}}
	for range 2 { // also when the box counted faster than the page
		b.do("POST", "/wake/hold", "application/x-www-form-urlencoded", []byte(hold.Encode())).wants(204)
		b.get("/people").wants(200, "Go on working", "What you typed is kept")
	}
	b.get("/wake?to=/people/new").post("/wake", url.Values{"pin": {testPIN}}).wants(200, "Register")
	if b.path != "/people/new" {
		t.Fatal(b.path)
	}
	var got struct {
		Focus  string
		Fields map[string][]string
	}
	must(t, json.Unmarshal(b.get("/wake/held?path=/people/new").wants(200).body, &got))
	if got.Focus != "notes" || got.Fields["notes"][0] != "half a sen" || got.Fields["passphrase"] != nil || got.Fields["csrf"] != nil {
		t.Fatalf("%+v", got)
	}
	b.get("/wake/held?path=/people/new").wants(404)
	forged := url.Values{"csrf": {"x"}, "notes": {"planted"}}
	b.do("POST", "/wake/hold", "application/x-www-form-urlencoded", []byte(forged.Encode())).wants(403)
}

// A note that was being typed in a sealed file when its page closed is given back to
// nobody before what is sealed is open again: the rest of the session goes on for longer.
func TestATypedNoteWaitsForThePIN(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "nadia", staff.Caseworker)
	b.get("/me").post("/me/pin", url.Values{"pin": {testPIN}}).wants(200)
	csrf := b.get("/me").fields("/me/pin").Get("csrf")
	box.tokens = b.cookies
	for _, path := range []string{"/desk/aaaaaaaaaaaaaaaa", "/desk/new?person=aaaaaaaaaaaaaaaa", "/desk/access"} {
		hold := url.Values{"csrf": {csrf}, "_path": {path}, "_focus": {"note"}, "note": {"what Rosa said"}}
		b.do("POST", "/wake/hold", "application/x-www-form-urlencoded", []byte(hold.Encode())).wants(204)
		b.get("/wake/held?path=" + url.QueryEscape(path)).lacks("Rosa")
		b.get("/wake?to="+url.QueryEscape(path)).post("/wake", url.Values{"pin": {testPIN}})
		b.get("/wake/held?path="+url.QueryEscape(path)).wants(200, "what Rosa said")
	}
}

// A narrow page asks after a minute while ordinary pages go on; a page that looks again by
// itself keeps nothing sealed open.
func TestANarrowPageAsksAgain(t *testing.T) {
	r := newRig(t)
	c := r.session("nadia", staff.Caseworker)
	app := r.s.newApp(Network, []route{
		{method: "GET", path: "/sealed", policy: need(staff.WorkSealed), narrow: true, handle: func(v *visit) error { return v.render("home/home", homePage{}) }},
		{method: "GET", path: "/plain", policy: signedIn(), handle: func(v *visit) error { return v.c.SendStatus(204) }},
	})
	ask := func(path string, headers ...string) answer {
		return r.send(app, "GET", path, "", append(headers, "Host", "localhost", "Accept", "text/html", "Cookie", "__Host-waypost="+c.Token+"; "+trusting(r.s))...)
	}
	if a := ask("/sealed"); a.status != 200 || !strings.Contains(string(a.body), `data-idle="60"`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	r.box.desks.Staff.Rest(c.Token, false)
	for range 2 {
		if a := ask("/sealed"); a.status != 303 || a.header.Get("Location") != "/wake?to=%2Fsealed" {
			t.Fatalf("%d %v", a.status, a.header)
		}
		if a := ask("/plain"); a.status != 204 {
			t.Fatalf("an ordinary page: %d", a.status)
		}
	}
	if a := r.send(app, "GET", "/sealed", "", "Accept", "application/json", "Host", "localhost", "Cookie", "__Host-waypost="+c.Token); a.problem(t).Key != "fault.ui.narrow_resting" {
		t.Fatalf("%s", a.body)
	}
	// Whoever may not go there is not asked for words that would not help.
	o := r.session("omar", staff.Registrar)
	r.box.desks.Staff.Rest(o.Token, false)
	if a := r.send(app, "GET", "/sealed", "", "Accept", "application/json", "Host", "localhost", "Cookie", "__Host-waypost="+o.Token); a.status != 403 || a.problem(t).Key != "fault.staff.not_allowed" {
		t.Fatalf("%d %s", a.status, a.body)
	}
}

// Until somebody has signed the undertaking no page and no call shows them people.
func TestNobodySeesPeopleBeforeTheUndertaking(t *testing.T) {
	box, s := newPageServer(t)
	ctx := context.Background()
	_, err := box.desks.Staff.Add(ctx, staff.Operator(), staff.NewAccount{User: "amina", Role: staff.Lead, Passphrase: []byte(testPassphrase)})
	must(t, err)
	b := newBrowser(t, s)
	b.get("/").post("/signin", url.Values{"user": {"amina"}, "passphrase": {testPassphrase}}).wants(200, "I promise this")
	for _, p := range []string{"/", "/people", "/people/new", "/verify", "/cards", "/approvals"} {
		if b.get(p); p != "/approvals" {
			b.wants(200, "I promise this")
		}
	}
	for _, p := range []string{"/mesh", "/staff", "/me", "/help", "/box"} {
		b.get(p).wants(200).lacks("I promise this")
	}
	b.get("/undertaking?to=/people").post("/undertaking", nil).wants(200, "Find")
	b.get("/staff").wants(200, "Undertaking accepted on")
	// A lead writes a signature on paper down for somebody else.
	_, err = box.desks.Staff.Add(ctx, staff.Operator(), staff.NewAccount{User: "omar", Role: staff.Registrar, Passphrase: []byte(testPassphrase)})
	must(t, err)
	b.get("/staff").wants(200, "undertaking not signed")
	b.post("/staff/paper", url.Values{"date": {"yesterday"}}).wants(400, "This day cannot be right")
	b.get("/staff").post("/staff/paper", url.Values{"date": {"2026-11-24"}}).wants(200, "Undertaking signed on paper on")
}

func TestStaffGetWordsAndResets(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "amina", staff.Lead)
	narrow := func(role, of, value string) *browser {
		return b.get("/staff").post("/staff", url.Values{"user": {"Refused"}, "role": {role}, "narrow." + of: {value}})
	}
	for _, role := range []string{"registrar", "lead", "medical"} {
		narrow(role, "caseworker", "protection").wants(400, "belongs to another role", `value="Refused"`)
	}
	narrow("registrar", "registrar", "protection").wants(400, "belongs to another role")
	narrow("caseworker", "caseworker", "medical").wants(400, "cannot be given that kind")
	b.get("/staff").wants(200, "Only a part, for: Caseworker").lacks("narrow.registrar", "narrow.lead", "narrow.medical", `narrow.caseworker" value="protection" checked`)
	b.get("/staff").post("/staff", url.Values{"user": {"Nadia"}, "role": {"caseworker"}, "narrow.caseworker": {"child"}, "passphrase": {"of my own"}}).wants(200, "Five words to sign in", "Nadia")
	words := listed(b)
	nadia := newBrowser(t, s)
	nadia.get("/").post("/signin", url.Values{"user": {"nadia"}, "passphrase": {words}}).wants(200, "Sign out", "I promise this")
	nadia.get("/me").wants(200, "Child files").lacks("Protection files")
	b.get("/staff").wants(200, "Child files").post("/staff/reset", nil).wants(403, "wrong")
	b.post("/staff/reset", url.Values{"passphrase": {testPassphrase}}).wants(200, "Five words to sign in")
	if again := listed(b); again == words {
		t.Fatal("the same words")
	}
	nadia.get("/me").wants(200, "Sign in")
	b.get("/staff/colleagues").wants(200, "Nobody from another post")
	b.get("/staff/badge/nothing").wants(404)
	b.get("/me/badge").wants(200, "amina", "<svg")
	b.get("/staff/sessions").wants(200, "amina")
	b.get("/acts").wants(200, "Nothing is waiting for you")
}

// listed are the words on the page.
func listed(b *browser) string {
	b.t.Helper()
	_, tail, _ := strings.Cut(string(b.body), `<ol class="words`)
	_, tail, _ = strings.Cut(tail, ">")
	list, _, _ := strings.Cut(tail, "</ol>")
	words := strings.Fields(strings.NewReplacer("<li>", " ", "</li>", " ").Replace(list))
	if len(words) != 5 {
		b.t.Fatalf("words %q", words)
	}
	return strings.Join(words, " ")
}

func TestAnActIsConfirmedOnItsPage(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "amina", staff.Lead)
	signedInAs(t, box, s, "sami", staff.Coordinator)
	asker, err := box.desks.Staff.SignIn(context.Background(), "sami", []byte(testPassphrase))
	must(t, err)
	done := 0
	ask := func() {
		_, err := box.desks.Staff.AskAct(asker, staff.Act{Purpose: "x", Action: staff.RevokeNodes, Key: "help.signin.title"},
			func(context.Context, staff.ID, staff.Hand, staff.Hand) error { done++; return nil })
		must(t, err)
	}
	ask()
	b.get("/").wants(200, "1 request is waiting for you as the second person")
	act := firstLink(b.get("/acts").wants(200, "a stolen phone", "sami"), "/acts/")
	b.get(act).post(act+"/confirm", url.Values{"passphrase": {"wrong"}}).wants(403, "wrong")
	b.post(act+"/confirm", url.Values{"passphrase": {testPassphrase}}).wants(200, "It was done", "Nothing is waiting")
	ask()
	act = firstLink(b.get("/acts"), "/acts/")
	b.get(act).post(act+"/decline", nil).wants(200, "Nothing is waiting")
	b.get(act).wants(404, "not waiting any more")
	if done != 1 {
		t.Fatalf("done %d times", done)
	}
}

func firstLink(b *browser, prefix string) string {
	b.t.Helper()
	_, tail, ok := strings.Cut(string(b.body), `href="`+prefix)
	if !ok {
		b.t.Fatalf("no link to %s on %s", prefix, b.path)
	}
	id, _, _ := strings.Cut(tail, `"`)
	return prefix + id
}
