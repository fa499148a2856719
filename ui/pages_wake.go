package ui

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

// A session that nobody used rests (see staff.Desk.Wake). A page asked for meanwhile
// waits behind the page that wakes it; a form sent meanwhile is held and goes on from
// where it was, so that nothing is typed twice. A page with scripts closes by itself, and
// hands over what was being typed in the same way (lock.mjs).

// wakeRoutes wake a session that rests.
func (s *Server) wakeRoutes() []route {
	return []route{
		{method: "GET", path: "/wake", policy: public(), handle: (*visit).wakePage},
		{method: "POST", path: "/wake", policy: public(), guess: byWaking, handle: (*visit).wake},
		{method: "POST", path: "/wake/leave", policy: public(), handle: (*visit).leaveResting},
		{method: "POST", path: "/wake/stay", policy: signedIn(), handle: (*visit).stay},
		{method: "POST", path: "/wake/hold", policy: public(), limit: 2 * strangerLimit, handle: (*visit).holdTyped},
		{method: "GET", path: "/wake/held", policy: signedIn(), handle: (*visit).held},
	}
}

// Seconds without input after which a page closes by itself.
const (
	pageIdle   = 20 * 60
	narrowIdle = 60
)

// wakeModel is the page that wakes a session.
type wakeModel struct {
	To      string // where to go on
	User    string
	PIN     bool   // asked for; otherwise the passphrase
	CSRF    string // of the session that rests: it is nobody's page session
	Held    bool   // something was sent or typed, and is kept
	Passkey bool   // offered too
}

// mayHold tells whether a form came for a session that only has to be woken.
func (v *visit) mayHold(err error) bool {
	key := fault.Of(err).Key
	return (key == "fault.ui.resting" || key == "fault.ui.narrow_resting") && v.route.unsafe() && v.key == "" && !v.isCall() && v.resting != nil
}

// holdForm keeps a form that came to a session that rests, and shows the page that wakes it in
// its place. One with a secret in it is not kept: its page is shown again afterwards.
func (v *visit) holdForm(why error) error {
	if err := v.sameOrigin(); err != nil {
		return err
	}
	defer v.free()
	if err := v.readBody(); err != nil {
		return err
	}
	if err := v.sentCSRF(v.resting.CSRF); err != nil {
		return err
	}
	path := strings.Clone(v.c.Path())
	kept := v.route.guess == nil && !slices.ContainsFunc(secretFields, v.has) && v.fields != nil &&
		v.desks().Staff.Hold(v.cookie(v.sessionCookie()), staff.Held{Path: path, Sent: true, Fields: v.fields})
	to := v.pageOf(path)
	if kept {
		to = path
	}
	v.c.Status(fault.ClassOf(why).Status())
	return v.render("entry/wake", v.wakeModel(to, kept))
}

// pageOf is a page that a form was on, or else the first one.
func (v *visit) pageOf(path string) string {
	for _, try := range []string{path, backTo(path)} {
		for _, r := range v.s.routes() {
			if r.method == fiber.MethodGet && r.path == try || try == path && r.method == fiber.MethodGet && r.path == v.route.path {
				return try
			}
		}
	}
	return "/"
}

// secretFields are never held: whoever types a secret is asked for it again.
var secretFields = []string{"passphrase", "words", "pin", "new", "credential"}

// unhold puts a form that was held in the place of the one that woke the session.
func (v *visit) unhold() {
	if v.session == nil || !v.has("held") || v.isCall() {
		return
	}
	if h, ok := v.desks().Staff.Unhold(v.session.Token, v.c.Path(), true); ok {
		v.fields = h.Fields
	}
}

func (v *visit) wakeModel(to string, held bool) wakeModel {
	return wakeModel{To: to, User: v.resting.Actor.Name, PIN: v.resting.PIN, CSRF: v.resting.CSRF, Held: held, Passkey: v.offersPasskey()}
}

func (v *visit) wakePage() error {
	to := ownPath(v.query("to"))
	if v.resting == nil {
		if v.signedIn() {
			return v.redirect(to)
		}
		return v.redirect("/signin?to=" + strings.ReplaceAll(to, "&", "%26"))
	}
	_, _, held := v.desks().Staff.HeldFor(v.cookie(v.sessionCookie()))
	return v.render("entry/wake", v.wakeModel(to, held))
}

// wake compares the PIN, or the passphrase where there is none.
func (v *visit) wake() error {
	return v.wakeBy(func(token string) (staff.Session, error) {
		secret := v.secret("pin")
		defer clear(secret)
		session, err := v.desks().Staff.Wake(v.asking(), token, secret)
		if err != nil && !v.resting.PIN && fault.ClassOf(err) != fault.Busy {
			if plain := plainWords(string(secret)); plain != string(secret) && strings.Count(plain, " ") == 4 {
				return v.desks().Staff.Wake(v.asking(), token, []byte(plain))
			}
		}
		return session, err
	})
}

// overKeys are faults that say that the session is over.
var overKeys = []string{"fault.staff.pin_over", "fault.staff.passkey_over"}

// wakeBy wakes a session that rests in some way, and goes on where somebody was. What they
// had sent is sent on: 307 makes the browser repeat the form to its own address, where it is
// found again.
func (v *visit) wakeBy(way func(token string) (staff.Session, error)) error {
	desks, to := v.desks(), ownPath(v.form("to"))
	if desks == nil {
		return v.redirect("/")
	}
	if v.resting == nil {
		return v.redirect(to)
	}
	if err := v.sentCSRF(v.resting.CSRF); err != nil {
		return err
	}
	token := v.cookie(v.sessionCookie())
	path, sent, held := desks.Staff.HeldFor(token)
	session, err := way(token)
	switch f := fault.Of(err); {
	case err == nil:
	case slices.Contains(overKeys, f.Key) || f.Class == fault.Unauthenticated:
		v.resting = nil
		v.dropCookie(v.sessionCookie())
		return v.reshow("entry/signin", signInModel{to}, newForm(), err, nil)
	default:
		if now, ok := desks.Staff.Resting(token); ok { // a passkey may have been refused for good
			v.resting = &now
		}
		return v.reshow("entry/wake", v.wakeModel(to, held), newForm(), err, nil)
	}
	v.session, v.actor = &session, session.Actor
	switch {
	case held && sent:
		return v.c.Redirect(path, fiber.StatusTemporaryRedirect)
	case held && !sent && path == to:
		return v.redirect(to + "#held")
	}
	return v.redirect(to)
}

// leaveResting ends a session that rests, for somebody else to sign in.
func (v *visit) leaveResting() error {
	if v.resting != nil {
		if err := v.sentCSRF(v.resting.CSRF); err != nil {
			return err
		}
		v.resting = nil
		v.signOut()
	}
	return v.redirect("/signin")
}

// byWaking is what tries to wake are paid from; what counts are the session's own five.
func byWaking(g *guessing) tries { return g.wake }

// stay is sent while somebody types: the page goes on.
func (v *visit) stay() error { return v.c.SendStatus(fiber.StatusNoContent) }

// holdTyped takes what was being typed when a page closes, and lets its session rest. It
// may rest already: a page and the box do not count from the same moment.
func (v *visit) holdTyped() error {
	want := ""
	switch {
	case v.session != nil:
		want = v.session.CSRF
	case v.resting != nil:
		want = v.resting.CSRF
	}
	if err := v.sentCSRF(want); err != nil {
		return err
	}
	token := v.cookie(v.sessionCookie())
	fields := map[string][]string{}
	for name, values := range v.fields {
		if !strings.HasPrefix(name, "_") && name != "csrf" && !slices.Contains(secretFields, name) {
			fields[name] = values
		}
	}
	if len(fields) > 0 {
		v.desks().Staff.Hold(token, staff.Held{Path: ownPath(v.form("_path")), Focus: v.form("_focus"), Fields: fields})
	}
	v.desks().Staff.Rest(token, v.form("_all") != "")
	return v.c.SendStatus(fiber.StatusNoContent)
}

// narrowPath reports whether a path is of a page that shows what is sealed.
func (v *visit) narrowPath(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	return slices.ContainsFunc(v.s.routes(), func(r route) bool { return r.narrow && fiber.RoutePatternMatch(path, r.path) })
}

// held gives a page back what was typed in it; of a page that shows what is sealed only
// once that is open again, or whoever finds the phone would read the note.
func (v *visit) held() error {
	if v.session == nil {
		return v.notSignedIn()
	}
	path := ownPath(v.query("path"))
	if v.narrowPath(path) {
		if !v.session.Narrow {
			return fault.New(fault.Unauthenticated, "fault.ui.narrow_resting")
		}
		if !v.onRung() {
			return fault.New(fault.Denied, rungFault)
		}
	}
	h, ok := v.desks().Staff.Unhold(v.session.Token, path, false)
	if !ok {
		return fault.New(fault.NotFound, "fault.ui.no_page")
	}
	if h.Fields == nil {
		h.Fields = map[string][]string{}
	}
	return v.json(fiber.StatusOK, struct {
		Focus  string              `json:"focus"`
		Fields map[string][]string `json:"fields"`
	}{h.Focus, h.Fields})
}
