package ui

import (
	"net/url"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/staff/stafftest"
)

const passkeyPage = "https://waypost.internal:8443"

// trustingPhone is somebody signed in under the box's name on a phone that trusts it.
func trustingPhone(t *testing.T, box *pageBox, s *Server, user string, role staff.Role) *browser {
	t.Helper()
	signedInAs(t, box, s, user, role)
	b := newBrowser(t, s)
	b.surface, b.host = Network, "waypost.internal:8443"
	b.cookies["__Host-waypost-8443-rung"] = testBrowser
	b.cookies["__Host-waypost-8443-proof"] = s.rungs.proof(testBrowser, s.config.Clock.Now())
	b.get("/").post("/signin", url.Values{"user": {user}, "passphrase": {string(passphraseFor(role))}}).wants(200, "Sign out", user)
	return b
}

// asks sends what passkey.mjs sends first, and gives the question.
func (b *browser) asks(form, start string, change url.Values) []byte {
	b.t.Helper()
	page, path := b.body, b.path
	values := b.fields(form)
	for name, v := range change {
		values[name] = v
	}
	b.do("POST", start, "application/x-www-form-urlencoded", []byte(values.Encode()))
	got := b.body
	b.body, b.path = page, path
	return got
}

// setUp sets a passkey up.
func (b *browser) setUp(phone *stafftest.Phone) *browser {
	b.t.Helper()
	options := b.get("/me").wants(200, "Set up a passkey").asks("/me/passkey", "/me/passkey/start", nil)
	return b.post("/me/passkey", url.Values{"credential": {string(phone.Make(passkeyPage, options))}})
}

// opens answers the page that asks who is there.
func (b *browser) opens(phone *stafftest.Phone) *browser {
	b.t.Helper()
	options := b.asks("/wake/passkey", "/wake/passkey/start", nil)
	return b.post("/wake/passkey", url.Values{"credential": {string(phone.Use(passkeyPage, options))}})
}

func (b *browser) rest(box *pageBox, all bool) {
	b.t.Helper()
	box.desks.Staff.Rest(b.cookies["__Host-waypost-8443"], all)
}

// A registrar is called away in the middle of a form. The form they send afterwards waits
// behind the passkey and goes on as it was typed.
func TestAFormGoesOnBehindThePasskey(t *testing.T) {
	box, s := newPageServer(t)
	b := trustingPhone(t, box, s, "amina", staff.Registrar)
	phone := stafftest.New()
	b.setUp(phone).wants(200, "The passkey works from now on", "made", "Take this passkey away", "PIN on this device")
	b.get("/people/new")
	typed := url.Values{"members.0.given_name": {"Rosa"}, "family_name": {"Ixchel Tum"}, "members.0.age": {"37"}, "save": {"1"}}
	b.rest(box, true)
	b.post("/people", typed).wants(401, "Go on working", "What you typed is kept", "Go on with my passkey", "Passphrase").lacks("Rosa", "Your PIN")
	b.opens(stafftest.New()).wants(403, "This passkey did not open the page", "What you typed is kept", "Go on with my passkey")
	b.opens(phone).wants(200, "Rosa", "Ixchel Tum")
	if b.path == "/people" {
		t.Fatal("it was not saved")
	}
	// What is sealed closes after a minute; a passkey opens that too, and goes where somebody was.
	b.rest(box, false)
	b.get("/wake?to=/help").wants(200, "Go on with my passkey")
	b.opens(phone).wants(200)
	if b.path != "/help" {
		t.Fatal(b.path)
	}
	// The passphrase stays, without any script.
	b.rest(box, true)
	b.get("/people?q=rosa").wants(200, "Go on working").lacks("Rosa Ixchel")
	b.post("/wake", url.Values{"pin": {testPassphrase}}).wants(200, "Rosa")
	// A copy of the passkey is refused, and the page says so.
	old := *phone
	old.Count = 1
	b.rest(box, true)
	b.get("/people").opens(&old).wants(403, "its counter went back").lacks("Go on with my passkey")
	b.post("/wake", url.Values{"pin": {testPassphrase}}).get("/me").wants(200, "Refused: its counter went back")
	b.post("/me/passkey/remove", nil).wants(200).lacks("Take this passkey away")
}

func TestFiveWrongPasskeysEndTheSession(t *testing.T) {
	box, s := newPageServer(t)
	b := trustingPhone(t, box, s, "amina", staff.Registrar)
	b.setUp(stafftest.New()).wants(200)
	b.rest(box, true)
	b.get("/people")
	for range 4 {
		b.opens(stafftest.New()).wants(403)
	}
	b.opens(stafftest.New()).wants(403, "Five wrong tries", "Sign in").lacks("Go on with my passkey")
	b.get("/people").wants(200, "Sign in")
}

// Answers that are none, of every size, are refused and break nothing.
func TestWhatIsNoAnswerSetsNothingUp(t *testing.T) {
	box, s := newPageServer(t)
	b := trustingPhone(t, box, s, "amina", staff.Registrar)
	for name, answer := range map[string]string{"nothing": "", "no JSON": "{", "an array": "[1]", "long": strings.Repeat("a", staff.MaxPasskeyAnswer+1)} {
		b.get("/me").asks("/me/passkey", "/me/passkey/start", nil)
		if b.post("/me/passkey", url.Values{"credential": {answer}}); b.status != 400 {
			t.Errorf("%s: %d", name, b.status)
		}
		b.wants(400, "The passkey was not taken", "Set up a passkey")
	}
	b.get("/me").post("/me/passkey", url.Values{"credential": {strings.Repeat("a", passkeyForm)}}).wants(413)
}

// TestWherePasskeysAreOffered: under the box's name, encrypted, to a browser that trusts the
// box; everywhere else the page says why not, and nothing is asked.
func TestWherePasskeysAreOffered(t *testing.T) {
	box, s := newPageServer(t)
	signedInAs(t, box, s, "amina", staff.Registrar)
	for _, c := range []struct {
		name    string
		surface Surface
		host    string
		trusts  bool
		says    string
	}{
		{"the name", Network, "waypost.internal:8443", true, "Set up a passkey"},
		{"the name at the usual port", Network, "waypost.internal", true, "Set up a passkey"},
		{"a name of its own below it", Network, "n1.waypost.internal:8443", true, "Set up a passkey"},
		{"a browser behind a warning", Network, "waypost.internal:8443", false, "Passkeys work once this phone trusts the box"},
		{"an address", Network, "10.42.0.1:8443", true, "Passkeys work only where the box is opened under its name"},
		{"another name", Network, "waypost.local:8443", true, "https://waypost.internal:8443/"},
		{"the box itself", Loopback, "localhost:8080", false, "https://waypost.internal:8443/"},
		{"the name, not encrypted", Loopback, "waypost.internal", false, "Passkeys work only where"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBrowser(t, s)
			b.surface, b.host = c.surface, c.host
			if c.trusts {
				_, port, _ := strings.Cut(c.host, ":")
				name := strings.TrimSuffix("__Host-waypost-"+port, "-")
				b.cookies[name+"-rung"], b.cookies[name+"-proof"] = testBrowser, s.rungs.proof(testBrowser, s.config.Clock.Now())
			}
			b.get("/").post("/signin", url.Values{"user": {"amina"}, "passphrase": {testPassphrase}}).wants(200, "Sign out")
			b.get("/me").wants(200, c.says, "PIN on this device")
			can := c.says == "Set up a passkey"
			if got := strings.Contains(string(b.body), "passkey.mjs"); got != can {
				t.Errorf("the script: %v", got)
			}
			csrf := b.fields("/me/pin").Get("csrf")
			for _, path := range []string{"/me/passkey/start", "/me/passkey"} {
				b.do("POST", path, "application/x-www-form-urlencoded", []byte(url.Values{"csrf": {csrf}}.Encode()))
				if refused := b.status == 403 || b.status == 409; refused == can {
					t.Errorf("%s: %d", path, b.status)
				}
			}
			for cookie, token := range b.cookies {
				if strings.Contains(cookie, "waypost") && !strings.Contains(cookie, "device") {
					box.desks.Staff.Rest(token, true)
				}
			}
			b.get("/people").wants(200, "Go on working").lacks("Go on with my passkey")
			csrf = b.fields("/wake").Get("csrf")
			b.do("POST", "/wake/passkey/start", "application/x-www-form-urlencoded", []byte(url.Values{"csrf": {csrf}}.Encode()))
			if want := map[bool]int{true: 404, false: 409}[can]; b.status != want && !(c.host == "waypost.internal:8443" && !c.trusts && b.status == 403) {
				t.Errorf("a question to wake: %d", b.status)
			}
			b.do("POST", "/wake/passkey/start", "application/x-www-form-urlencoded", nil).wants(403)
			b.do("POST", "/wake/passkey", "application/x-www-form-urlencoded", nil).wants(403)
		})
	}
	nobody := newBrowser(t, s)
	nobody.surface, nobody.host = Network, "waypost.internal:8443"
	if nobody.do("POST", "/wake/passkey/start", "application/x-www-form-urlencoded", nil); strings.Contains(string(nobody.body), "challenge") {
		t.Errorf("%d %s", nobody.status, nobody.body)
	}
	nobody.do("POST", "/wake/passkey", "application/x-www-form-urlencoded", nil).wants(200, "Sign in")
}

// Long after signing in the passphrase is asked for, and a wrong one is a try.
func TestALatePasskeyTakesThePassphraseToo(t *testing.T) {
	box, s := newPageServer(t)
	b := trustingPhone(t, box, s, "amina", staff.Registrar)
	b.get("/me").post("/me/pin", url.Values{"pin": {testPIN}}).wants(200)
	if got := b.get("/me").wants(200, "f-passkey-passphrase").asks("/me/passkey", "/me/passkey/start", url.Values{"passphrase": {"wrong"}}); strings.Contains(string(got), "challenge") || b.status != 403 {
		t.Fatalf("%d %s", b.status, got)
	}
	options := b.get("/me").asks("/me/passkey", "/me/passkey/start", url.Values{"passphrase": {testPassphrase}})
	b.post("/me/passkey", url.Values{"credential": {string(stafftest.New().Make(passkeyPage, options))}}).wants(200, "The passkey works from now on")
}
