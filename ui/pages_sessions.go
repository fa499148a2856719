package ui

import (
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// sessionRoutes are one's own account and where people are signed in.
func (s *Server) sessionRoutes() []route {
	lead := need(staff.ManageStaff)
	return []route{
		{method: "GET", path: "/me", policy: signedIn(), handle: (*visit).mePage},
		{method: "POST", path: "/me/pin", policy: signedIn(), guess: bySignature, handle: (*visit).setPIN},
		{method: "POST", path: "/me/pin/forget", policy: signedIn(), handle: (*visit).forgetPIN},
		{method: "POST", path: "/me/passphrase", policy: signedIn(), guess: bySignature, handle: (*visit).changePassphrase},
		{method: "POST", path: "/me/end", policy: signedIn(), handle: (*visit).endOwn},
		{method: "POST", path: "/me/end-others", policy: signedIn(), handle: (*visit).endOthers},
		{method: "GET", path: "/me/badge", policy: signedIn(), handle: (*visit).ownBadge},
		{method: "GET", path: "/staff/sessions", policy: lead, handle: (*visit).sessionsPage},
		{method: "POST", path: "/staff/sessions/end", policy: lead, handle: (*visit).endAny},
	}
}

// sessionLine is one place where somebody is signed in.
type sessionLine struct {
	ID, User, Label string
	Since, Used     time.Time
	This, Rests     bool
	PIN             bool
}

// mePage is one's own account.
type mePage struct {
	Role     string
	Sessions []sessionLine
	HasPIN   bool
	Asks     bool // a new PIN takes the passphrase
	Narrow   []string
	Words    bool // a new passphrase is drawn by the box
	Done     string
	Passkeys passkeysOn
}

func (v *visit) sessionLines(all bool) ([]sessionLine, error) {
	token := ""
	if v.session != nil {
		token = v.session.Token
	}
	sessions, err := v.desks().Staff.Sessions(v.actor, token, all)
	if err != nil {
		return nil, err
	}
	var out []sessionLine
	for _, s := range sessions {
		l := sessionLine{ID: s.ID.String(), User: s.User, Label: s.Label, Since: s.Started, Used: s.Used, This: s.This, Rests: s.Rests, PIN: s.PIN}
		if l.Label == "" {
			l.Label = v.lang.Text("sessions.unknown", nil)
		}
		out = append(out, l)
	}
	return out, nil
}

func (v *visit) meModel() (mePage, error) {
	if v.session == nil { // a program's key is nobody to have a page
		return mePage{}, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	lines, err := v.sessionLines(false)
	if err != nil {
		return mePage{}, err
	}
	w := &view{Lang: v.lang}
	m := mePage{
		Role: w.Label("staff.role", string(v.actor.Role)), Sessions: lines, HasPIN: v.desks().Staff.HasPIN(v.session.Token),
		Asks: v.desks().Staff.NeedsPassphrase(v.session.Token), Words: len(v.actor.Role.Narrows()) > 0,
		Passkeys: v.passkeysModel(),
	}
	for _, n := range v.actor.Opened() {
		m.Narrow = append(m.Narrow, w.Label("staff.narrow", string(n)))
	}
	return m, nil
}

func (v *visit) mePage() error { return v.showMe("", nil, nil) }

// showMe shows the page, with what was done or with a form that was refused.
func (v *visit) showMe(done string, f *form, why error) error {
	m, err := v.meModel()
	if err != nil {
		return err
	}
	m.Done = done
	if why != nil {
		return v.reshow("staff/me", m, f, why, nil)
	}
	return v.render("staff/me", m)
}

func (v *visit) setPIN() error {
	pin, passphrase := v.secret("pin"), v.secret("passphrase")
	defer clear(pin)
	defer clear(passphrase)
	if v.session == nil {
		return v.notSignedIn()
	}
	if err := v.desks().Staff.SetPIN(v.asking(), v.session.Token, plainly(passphrase), pin); err != nil {
		return v.showMe("", newForm(), err)
	}
	return v.showMe(v.lang.Text("me.pin.done", nil), nil, nil)
}

// plainly is a passphrase as it was made, where five words were typed untidily.
func plainly(secret []byte) []byte {
	if plain := plainWords(string(secret)); strings.Count(plain, " ") == 4 {
		return []byte(plain)
	}
	return secret
}

func (v *visit) forgetPIN() error {
	if v.session != nil {
		v.desks().Staff.ForgetPIN(v.session.Token)
	}
	return v.redirect("/me")
}

// changePassphrase takes a new one, or draws five words where the role needs them or
// nothing was typed; those are shown once.
func (v *visit) changePassphrase() error {
	old, fresh := v.secret("passphrase"), v.secret("new")
	defer clear(old)
	defer clear(fresh)
	if v.session == nil {
		return v.notSignedIn()
	}
	words, fresh, err := drawn(v.actor.Role, fresh)
	if err == nil {
		err = v.desks().Staff.ChangePassphrase(v.asking(), *v.session, old, fresh)
		if err != nil && fault.Of(err).Key == "fault.staff.wrong_sign_in" && string(plainly(old)) != string(old) {
			err = v.desks().Staff.ChangePassphrase(v.asking(), *v.session, plainly(old), fresh)
		}
	}
	if err != nil {
		f := newForm()
		return v.showMe("", f, err)
	}
	if words != nil {
		return v.render("staff/words", staffWords{Words: wordList{Words: words}, User: v.actor.Name, Own: true})
	}
	return v.showMe(v.lang.Text("me.passphrase.done", nil), nil, nil)
}

// drawn is the passphrase to use, and its words where the box drew them.
func drawn(r staff.Role, typed []byte) (words []string, passphrase []byte, err error) {
	if len(typed) > 0 && len(r.Narrows()) == 0 {
		return nil, typed, nil
	}
	words, err = staff.GeneratePassphrase()
	return words, []byte(strings.Join(words, " ")), err
}

func (v *visit) endOwn() error {
	id, err := v.sessionID()
	if err == nil {
		err = v.desks().Staff.EndSession(v.actor, id)
	}
	if err != nil {
		return v.showMe("", newForm(), err)
	}
	return v.redirect("/me")
}

func (v *visit) endOthers() error {
	if v.session != nil {
		v.desks().Staff.EndOthers(v.actor, v.session.Token)
	}
	return v.redirect("/me")
}

func (v *visit) sessionID() (staff.ID, error) {
	id, err := oplog.ParseBy(v.form("id"))
	if err != nil {
		return id, fault.New(fault.NotFound, "fault.staff.no_session").Wrap(err)
	}
	return id, nil
}

// sessionsPage is where everybody at this box is signed in.
type sessionsPage struct{ Sessions []sessionLine }

func (v *visit) sessionsPage() error {
	lines, err := v.sessionLines(true)
	if err != nil {
		return err
	}
	return v.render("staff/sessions", sessionsPage{lines})
}

func (v *visit) endAny() error {
	id, err := v.sessionID()
	if err == nil {
		err = v.desks().Staff.EndSession(v.actor, id)
	}
	if err != nil {
		lines, linesErr := v.sessionLines(true)
		if linesErr != nil {
			return linesErr
		}
		return v.reshow("staff/sessions", sessionsPage{lines}, newForm(), err, nil)
	}
	return v.redirect("/staff/sessions")
}
