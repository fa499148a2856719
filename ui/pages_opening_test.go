package ui

import "testing"

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
