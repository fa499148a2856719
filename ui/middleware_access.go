package ui

import (
	"crypto/subtle"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

// serve runs a route: may it be asked here, in this state, by this somebody;
// then the body is read, then the form is checked, then whoever guesses pays for it
// and stands in line, then the handler runs. In this order a stranger costs little,
// learns nothing and keeps nobody waiting by being slow.
func (v *visit) serve() error {
	if !v.route.on().has(v.surface) {
		if v.surface == Public {
			return v.notPublic()
		}
		return fiber.ErrNotFound
	}
	if err := v.stateFits(); err != nil {
		return err
	}
	if err := v.identify(); err != nil {
		if v.mayHold(err) {
			return v.holdForm(err)
		}
		return err
	}
	if err := v.rungFits(); err != nil {
		return err
	}
	if v.route.unsafe() {
		if err := v.sameOrigin(); err != nil {
			return err
		}
		if v.route.raw {
			return v.route.handle(v)
		}
		defer v.free() // what readBody takes
		if err := v.readBody(); err != nil {
			return err
		}
		if err := v.csrfFits(); err != nil {
			return err
		}
		v.unhold()
	}
	if v.route.guess == nil {
		return v.route.handle(v)
	}
	return v.try(v.route.guess(&v.s.guesses), v.handleInLine)
}

// handleInLine runs a handler that compares a secret. For claims and unlocks it
// waits for its turn; signing in has a line of its own (identity.Stretch).
func (v *visit) handleInLine() error {
	if v.route.policy.who == person {
		done, err := v.inPerson()
		defer done()
		if err != nil {
			return err
		}
	}
	if who := v.route.policy.who; who == claimant || who == opener {
		leave, err := v.inLine()
		if err != nil {
			return err
		}
		defer leave()
	}
	return v.route.handle(v)
}

// stateFits refuses a route that does not belong to the box's state.
func (v *visit) stateFits() error {
	state := v.s.config.Box.State()
	switch v.route.policy.who {
	case claimant:
		// A form sent twice may come when the box is begun; see newWords.
		if state != stateNew && !(v.route.unsafe() && v.s.words.waiting()) {
			return wrongState(state)
		}
	case opener:
		if state != stateLocked {
			return wrongState(state)
		}
	case passer:
		if state != stateLocked && state != stateOpening {
			return wrongState(state)
		}
	case signed, allowed, person:
		if state == stateNew || state == stateLocked || state == stateOpening || v.desks() == nil {
			return wrongState(state)
		}
	}
	return nil
}

func wrongState(state string) error {
	switch state {
	case stateNew:
		return fault.New(fault.Conflict, "fault.api.new")
	case stateLocked:
		return fault.New(fault.Locked, "fault.api.locked")
	case stateOpening:
		return fault.New(fault.Unavailable, "fault.api.opening")
	}
	return fault.New(fault.Conflict, "fault.api.open_already")
}

// identify finds out who asks and whether they may. A page for anybody still
// learns who is signed in, to show them their own home.
func (v *visit) identify() error {
	closed := v.s.config.Box.Restored() != nil
	carries := v.carries()
	defer func() { v.actor.Closed, v.actor.Carries = closed, carries }()
	if v.surface == Control {
		v.actor = staff.Operator()
		return nil
	}
	if v.surface == Public {
		return nil
	}
	if err := v.recognise(); err != nil && v.route.policy.who != anybody {
		return err
	}
	switch v.route.policy.who {
	case signed:
		if !v.signedIn() {
			return v.notSignedIn()
		}
	case person:
		if v.resting != nil && v.resting.Rests && v.key == "" {
			return v.notSignedIn()
		}
	case allowed:
		action := v.route.policy.action
		if !v.signedIn() {
			return v.notSignedIn()
		}
		// Whoever may not go there at all is told so, and not asked for their words first.
		if v.route.narrow && v.actor.Can(action) && (v.session == nil || !v.session.Narrow) {
			return fault.New(fault.Unauthenticated, "fault.ui.narrow_resting")
		}
		if slices.Contains(aboutPeople, action) && !v.mayReadPeople() && v.actor.Can(action) {
			return fault.New(fault.Denied, "fault.ui.undertaking")
		}
		if v.actor.Key && slices.Contains(personal, action) {
			return fault.New(fault.Denied, "fault.api.key_person")
		}
		v.actor.Closed, v.actor.Carries = closed, carries
		return v.actor.Must(action)
	}
	return nil
}

// notSignedIn says why nobody is: a session that rests is woken, not begun anew.
func (v *visit) notSignedIn() error {
	if v.resting != nil && v.resting.Rests {
		return fault.New(fault.Unauthenticated, "fault.ui.resting")
	}
	return fault.New(fault.Unauthenticated, "fault.staff.sign_in")
}

// aboutPeople are the actions that show or touch what people told; whoever does them has
// signed the undertaking first.
var aboutPeople = []staff.Action{staff.ReadPeople, staff.RegisterPeople, staff.CorrectPeople, staff.ErasePeople, staff.UndoErasures, staff.ImportPeople,
	staff.IssueTokens, staff.VerifyTokens, staff.SealIntake, staff.WorkSealed, staff.BreakGlass, staff.SignForFiles, staff.SeeReads}

// mayReadPeople reports whether whoever asks has signed the undertaking, or needs not: a
// program's key and the operator are nobody to sign, and in practice nobody is real.
func (v *visit) mayReadPeople() bool {
	return v.session == nil || v.session.Undertaken || v.s.config.Box.Site().Practice
}

// personal is what a person answers for: a key in a program's settings must not make
// accounts, keys or nodes, whatever its role.
var personal = []staff.Action{staff.ManageStaff, staff.ManageKeys, staff.InviteNodes, staff.ConfirmNodes, staff.ManageBox, staff.KeepBackups, staff.ErasePeople, staff.UndoErasures,
	staff.WorkSealed, staff.BreakGlass, staff.SignForFiles, staff.SuspendNodes, staff.RevokeNodes, staff.OpenNodes, staff.HoldCeremony, staff.SeeReads}

// recognise takes a bearer key before a page session: a program that shows a key
// means the key. Pages are for people and know no keys.
func (v *visit) recognise() error {
	desks := v.desks()
	if desks == nil {
		return nil
	}
	if header := v.c.Get(fiber.HeaderAuthorization); header != "" && strings.HasPrefix(v.route.path, "/api/") {
		scheme, key, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return fault.New(fault.Unauthenticated, "fault.api.scheme")
		}
		v.key = strings.Clone(strings.TrimSpace(key))
		actor, err := desks.Staff.KeyActor(v.key)
		if err != nil {
			return err
		}
		v.actor = actor
		return nil
	}
	token := v.cookie(v.sessionCookie())
	if token == "" {
		return nil
	}
	find := desks.Staff.Session
	switch {
	case v.route.stream: // a page left open must not keep somebody signed in
		find = desks.Staff.Peek
	case v.c.Get(lookHeader) != "":
		find = desks.Staff.Glance
	}
	if session, ok := find(token); ok {
		v.session, v.actor = &session, session.Actor
	}
	if resting, ok := desks.Staff.Resting(token); ok {
		v.resting = &resting
	}
	return nil
}

// lookHeader is sent by a page that looks again by itself while somebody is there.
const lookHeader = "X-Waypost-Look"

// sameOrigin refuses a changing request that another site's page sends with the
// person's own cookies. Browsers say where a request comes from in
// Sec-Fetch-Site (Fetch Metadata), older ones in Origin; a program says neither.
// Our own pages send "Origin: null" because of Referrer-Policy: no-referrer
// (Fetch, section "append a request Origin header"), so null proves nothing; then
// the token of the session decides, or the secret that the form asks for.
func (v *visit) sameOrigin() error {
	if v.surface == Control || v.key != "" {
		return nil
	}
	foreign := fault.New(fault.Denied, "fault.api.cross_origin")
	switch site := v.c.Get("Sec-Fetch-Site"); site {
	case "same-origin", "none":
		return nil
	case "":
	default:
		return foreign
	}
	origin := v.c.Get(fiber.HeaderOrigin)
	if origin == "" || origin == "null" {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host != string(v.c.Request().Host()) || (u.Scheme == "https") != v.secure() {
		return foreign
	}
	return nil
}

// csrfFits compares the token of the session with the one that was sent, in the
// field "csrf" of a form or in the header X-CSRF-Token. Whoever shows a bearer
// key needs none, nor does a form that is open to anybody: it asks for a secret
// of its own and takes nothing from the session.
func (v *visit) csrfFits() error {
	who := v.route.policy.who
	if v.session == nil || v.key != "" || who != signed && who != allowed && who != person {
		return nil
	}
	return v.sentCSRF(v.session.CSRF)
}

// sentCSRF compares what was sent with the token of a session.
func (v *visit) sentCSRF(want string) error {
	sent := v.c.Get("X-CSRF-Token")
	if all := v.fields["csrf"]; sent == "" && len(all) == 1 {
		sent = all[0]
	}
	if want == "" || subtle.ConstantTimeCompare([]byte(sent), []byte(want)) != 1 {
		return fault.New(fault.Denied, "fault.api.csrf")
	}
	return nil
}
