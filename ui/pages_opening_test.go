package ui

import (
	"testing"

	"github.com/waypost/waypost/appliance/staff"
)

// While the box reads its records again every page says how far it is, and comes back
// by itself without scripts.
func TestABoxThatIsBeingOpened(t *testing.T) {
	box, s := newPageServer(t)
	box.set(stateOpening)
	b := newBrowser(t, s)
	for _, path := range []string{"/", "/people", "/unlock", "/signin"} {
		b.get(path).wants(200, "Reading the records again: 41", `<meta http-equiv="refresh" content="3">`, `<progress`).lacks("/people/new")
	}
	b.get("/help").wants(200).lacks("refresh")
	box.set(stateOpen)
	b.get("/").wants(200, "Sign in").lacks("refresh")
}

// A box that has just started and still reads who is there is worked with: home says so
// where its figures and its latest names would be, and registering leads to the person.
func TestHomeWhileTheBoxStillCounts(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Lead)
	b.get("/people/new")
	form := b.fields("/people")
	form.Set("members.0.given_name", "Rosa")
	form.Set("save", "1")
	box.counting.Store(true)
	b.do("POST", "/people", "application/x-www-form-urlencoded", []byte(form.Encode())).wants(200, "Rosa")
	b.get("/").wants(200, "1+", "/people/new", "still reading its list of people").lacks("Last registered", "Rosa", "Nobody")
	box.counting.Store(false)
	b.get("/").wants(200, "Last registered", "Rosa").lacks("1+", "still reading")
}
