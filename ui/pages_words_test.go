package ui

import (
	"net/url"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/staff"
)

// The answer with the words may never arrive: the form is sent again, or the lead
// looks again, until somebody says that they are written down.
func TestWordsAreShownUntilTheyAreWrittenDown(t *testing.T) {
	box, s := newPageServer(t)
	box.set(stateNew)
	b := newBrowser(t, s).get("/start?claim=" + testClaim)
	form := b.fields("/start")
	form.Set("deployment", "Relief")
	form.Set("site", "North")
	form.Set("lead", "Amina")
	send := func(b *browser) *browser {
		b.t.Helper()
		return b.do("POST", "/start", "application/x-www-form-urlencoded", []byte(form.Encode()))
	}
	// Tapped twice: the second answer is the one that is shown.
	both := make(chan *browser, 2)
	for range 2 {
		go func() { both <- send(newBrowser(t, s)) }()
	}
	for range 2 {
		(<-both).wants(200, "harbor")
	}
	again := send(newBrowser(t, s)).wants(200, "harbor", "Amina")
	if len(box.started) != 1 {
		t.Fatalf("begun %d times", len(box.started))
	}
	again.get("/").wants(200, "Confidentiality").post("/undertaking", nil).wants(200, "five words of this box", "/words").get("/words").wants(200, "harbor")
	// Nobody else: another form with the same claim code, another person.
	other := url.Values{"claim": {testClaim}, "once": {strings.Repeat("0", 24)}, "deployment": {"X"}, "site": {"X"}, "lead": {"X"}}
	newBrowser(t, s).do("POST", "/start", "application/x-www-form-urlencoded", []byte(other.Encode())).lacks("harbor")
	signedInAs(t, box, s, "Bo", staff.Lead).get("/").lacks("/words").get("/words").lacks("harbor")
	again.get("/words").post("/words", nil).wants(200, "Sign out")
	send(newBrowser(t, s)).lacks("harbor")
	again.get("/words").lacks("harbor")
}

// Two names of opposite scripts keep to themselves and follow the page.
func TestNamesOfTwoScripts(t *testing.T) {
	for _, c := range []struct{ given, family, dir, want string }{
		{"Rosa", "Ixchel", "rtl", "Rosa Ixchel"},
		{"محمد", "حداد", "ltr", "محمد حداد"},
		{"محمد", "Haddad-Khalil", "ltr", "\u200e\u2068محمد\u2069 \u2068Haddad-Khalil\u2069"},
		{"Rosa", "حداد", "rtl", "\u200f\u2068Rosa\u2069 \u2068حداد\u2069"},
		{"", "حداد", "ltr", " حداد"},
		{"Rosa", "", "ltr", "Rosa "},
	} {
		if got := apart(c.given, c.family, c.dir); got != c.want {
			t.Errorf("%q %q: %q", c.given, c.family, got)
		}
	}
}
