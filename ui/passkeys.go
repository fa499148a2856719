package ui

import (
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

// A passkey wakes a session as a PIN does (staff.Desk.WakeByPasskey). Browsers know passkeys
// only of names, so they are offered on pages under waypost.internal, and only to a browser
// that trusts the box. passkey.mjs asks the box for the question, the browser for the answer,
// and sends that as a form; without scripts the PIN and the passphrase stay.

// passkeyRoutes set passkeys up, take them away and wake with them.
func (s *Server) passkeyRoutes() []route {
	return []route{
		{method: "POST", path: "/me/passkey/start", policy: signedIn(), guess: bySignature, trusts: true, handle: (*visit).startPasskey},
		{method: "POST", path: "/me/passkey", policy: signedIn(), limit: passkeyForm, trusts: true, handle: (*visit).addPasskey},
		{method: "POST", path: "/me/passkey/remove", policy: signedIn(), handle: (*visit).removePasskey},
		// The sign-in of these two rests, so whether the browser trusts the box is asked inside.
		{method: "POST", path: "/wake/passkey/start", policy: public(), handle: (*visit).startWake},
		{method: "POST", path: "/wake/passkey", policy: public(), limit: passkeyForm, guess: byWaking, handle: (*visit).wakeByPasskey},
	}
}

// passkeyForm is how long a form with an answer may be: encoded, with the token and the page.
const passkeyForm = 2 * staff.MaxPasskeyAnswer

// passkeyOrigin is the page's origin as a browser writes it, where passkeys may be used.
// Faults: Conflict "fault.staff.passkey_elsewhere", Denied "fault.ui.rung".
func (v *visit) passkeyOrigin() (string, error) {
	host := strings.ToLower(strings.Clone(string(v.c.Request().Host())))
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = host, ""
	}
	switch {
	case !v.secure() || !staff.PasskeyHost(name):
		return "", fault.New(fault.Conflict, "fault.staff.passkey_elsewhere")
	case !v.onRung():
		return "", fault.New(fault.Denied, rungFault)
	case port == "" || port == "443":
		return "https://" + name, nil
	}
	return "https://" + net.JoinHostPort(name, port), nil
}

// passkeyAddress is where this box is asked under the name: at the port of this page where
// that is encrypted, otherwise at the one it tells people.
func (v *visit) passkeyAddress() string {
	port := ""
	if v.secure() {
		_, port, _ = net.SplitHostPort(strings.Clone(string(v.c.Request().Host())))
	} else if addresses := v.addresses(); len(addresses) > 0 {
		if u, err := url.Parse(addresses[0]); err == nil {
			port = u.Port()
		}
	}
	if port == "" || port == "443" {
		return "https://" + staff.PasskeyDomain + "/"
	}
	return "https://" + net.JoinHostPort(staff.PasskeyDomain, port) + "/"
}

// passkeysOn is the part of one's own account.
type passkeysOn struct {
	Can       bool   // one can be set up on this page
	Elsewhere string // the address where it could be; empty where it is not the address
	All       []passkeyLine
}

type passkeyLine struct {
	ID, Label    string
	Made         time.Time
	Here, Copied bool
}

func (v *visit) passkeysModel() passkeysOn {
	_, err := v.passkeyOrigin()
	m := passkeysOn{Can: err == nil}
	if err != nil && fault.Of(err).Key != rungFault {
		m.Elsewhere = v.passkeyAddress()
	}
	for _, k := range v.desks().Staff.Passkeys(v.session.Token) {
		l := passkeyLine{ID: k.ID, Label: k.Label, Made: k.Made, Here: k.Here, Copied: k.Copied}
		if l.Label == "" {
			l.Label = v.lang.Text("sessions.unknown", nil)
		}
		m.All = append(m.All, l)
	}
	return m
}

// startPasskey gives the question for a new passkey, after the passphrase where it is due.
func (v *visit) startPasskey() error {
	passphrase := v.secret("passphrase")
	defer clear(passphrase)
	if v.session == nil {
		return v.notSignedIn()
	}
	origin, err := v.passkeyOrigin()
	if err != nil {
		return err
	}
	options, err := v.desks().Staff.AskPasskey(v.asking(), v.session.Token, origin, plainly(passphrase))
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, json.RawMessage(options))
}

func (v *visit) addPasskey() error {
	if v.session == nil {
		return v.notSignedIn()
	}
	if _, err := v.passkeyOrigin(); err != nil {
		return v.showMe("", newForm(), err)
	}
	if err := v.desks().Staff.AddPasskey(v.asking(), v.session.Token, v.secret("credential")); err != nil {
		return v.showMe("", newForm(), err)
	}
	return v.showMe(v.lang.Text("me.passkey.done", nil), nil, nil)
}

func (v *visit) removePasskey() error {
	if v.session == nil {
		return v.notSignedIn()
	}
	if err := v.desks().Staff.RemovePasskey(v.actor, v.form("id")); err != nil {
		return v.showMe("", newForm(), err)
	}
	return v.redirect("/me")
}

// offersPasskey tells whether the page that wakes a session offers a passkey.
func (v *visit) offersPasskey() bool {
	_, err := v.passkeyOrigin()
	return err == nil && v.resting != nil && v.resting.Passkey
}

// startWake gives the question for a passkey that wakes. To whoever has no session that rests
// it says what it says to everybody without one.
func (v *visit) startWake() error {
	if v.resting == nil || v.desks() == nil {
		return fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	if err := v.sentCSRF(v.resting.CSRF); err != nil {
		return err
	}
	origin, err := v.passkeyOrigin()
	if err != nil {
		return err
	}
	options, err := v.desks().Staff.AskWake(v.cookie(v.sessionCookie()), origin)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, json.RawMessage(options))
}

// wakeByPasskey takes the answer, and goes on as after a PIN.
func (v *visit) wakeByPasskey() error {
	return v.wakeBy(func(token string) (staff.Session, error) {
		if _, err := v.passkeyOrigin(); err != nil {
			return staff.Session{}, err
		}
		return v.desks().Staff.WakeByPasskey(v.asking(), token, v.secret("credential"))
	})
}
