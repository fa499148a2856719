package ui

import (
	"crypto/subtle"
	"sync"

	"github.com/waypost/waypost/appliance/staff"
)

// newWords are the words of a box that was just begun. They are kept in memory until
// somebody says that they are written down: the answer that carried them may be lost
// on a bad network, and without them nobody opens the box after the next start.
//
// They are shown again to two: to whoever sends the very form that began the box once
// more (its "once" is a secret of that page), and to the lead who was signed in by it.
type newWords struct {
	beginning sync.Mutex // held from before the box is begun until its words are kept

	mu      sync.Mutex
	working int    // forms at it, or waiting for their turn
	once    string // empty: none are waiting
	page    wordsPage
	session staff.Session
}

// turn waits until no other form begins a box; done ends the turn.
func (w *newWords) turn() (done func()) {
	w.mu.Lock()
	w.working++
	w.mu.Unlock()
	w.beginning.Lock()
	return func() {
		w.beginning.Unlock()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.working--
	}
}

func (w *newWords) keep(once string, page wordsPage, session staff.Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.once, w.page, w.session = once, page, session
}

// waiting reports whether words are waiting to be written down, or soon will be.
func (w *newWords) waiting() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.once != "" || w.working > 0
}

// again gives them to the form that began the box.
func (w *newWords) again(once string) (wordsPage, staff.Session, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ok := w.once != "" && subtle.ConstantTimeCompare([]byte(once), []byte(w.once)) == 1
	if !ok {
		return wordsPage{}, staff.Session{}, false
	}
	return w.page, w.session, true
}

// of gives them to the lead they belong to.
func (w *newWords) of(a staff.Actor) (wordsPage, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.once == "" || a.Key || a.ID != w.session.Actor.ID {
		return wordsPage{}, false
	}
	return w.page, true
}

func (w *newWords) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.once, w.page, w.session = "", wordsPage{}, staff.Session{}
}

// wordsAgain answers a form that was sent twice. The session is the one of the first
// answer and goes on.
func (v *visit) wordsAgain(once string) (bool, error) {
	page, session, ok := v.s.words.again(once)
	if !ok {
		return false, nil
	}
	v.session, v.actor = &session, session.Actor
	v.setCookie(v.sessionCookie(), session.Token, 0)
	return true, v.render("first/words", page)
}

// showWords shows the words once more while nobody has said that they are written down.
func (v *visit) showWords() error {
	page, ok := v.s.words.of(v.actor)
	if !ok {
		return v.redirect("/")
	}
	return v.render("first/words", page)
}

// wroteWords forgets the words: somebody wrote them down.
func (v *visit) wroteWords() error {
	page, ok := v.s.words.of(v.actor)
	if !ok {
		return v.redirect("/")
	}
	v.s.words.forget()
	if v.actor.Can(staff.ManageBox) { // who opens it when the lead is asleep, and then the words to compare
		return v.redirect("/night/choose")
	}
	if len(page.Compare.Words) > 0 {
		return v.redirect("/mesh")
	}
	return v.redirect("/")
}
