package ui

import (
	"encoding/json"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

// Some actions are signed by the person who does them: a program's key is nobody,
// and neither is whoever stands at the machine. A call for such an action takes the name
// and passphrase of the person in its document, and then whatever key came with it counts
// for nothing. With a page session the name may be left out, never the passphrase: as on
// the pages, a phone left lying about signs nothing.

// byPerson is for calls that a person signs; their role must cover the action.
func byPerson(a staff.Action) policy { return policy{who: person, action: a} }

// orPage is for calls to which an open page is enough.
func (p policy) orPage() policy {
	p.plain = true
	return p
}

// inPerson finds the person and opens their session for this call. done closes it.
// The undertaking is not asked for: signing shows nobody. Faults: Unauthenticated without
// anything, Denied "fault.staff.own_hand" for a key or an open page alone, those of
// staff.Desk.SignIn and Actor.Must.
func (v *visit) inPerson() (done func(), err error) {
	done = func() {}
	user, secret := v.credentials()
	defer clear(secret)
	if user == "" && v.key == "" && v.session != nil {
		user = v.ownName(secret)
	}
	switch {
	case user != "" || len(secret) > 0:
		session, err := v.desks().Staff.SignIn(v.askingOnce(), user, secret)
		if err != nil {
			return done, err
		}
		token := session.Token
		done = func() { v.desks().Staff.SignOut(token) }
		v.session, v.actor = &session, session.Actor
	case v.key != "" || v.surface == Control:
		return done, fault.New(fault.Denied, "fault.staff.own_hand")
	case v.session == nil:
		return done, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	case !v.route.policy.plain:
		return done, fault.New(fault.Denied, "fault.staff.own_hand")
	}
	return done, v.actor.Must(v.route.policy.action)
}

// ownName is the name of whoever the page session is, when they sent a passphrase.
func (v *visit) ownName(secret []byte) string {
	if len(secret) == 0 {
		return ""
	}
	return v.session.Actor.Name
}

// credentials are the name and passphrase in the document, if it has any. What is
// wrong with the document is said where it is read.
func (v *visit) credentials() (user string, secret []byte) {
	var in struct {
		User       string `json:"user"`
		Passphrase string `json:"passphrase"`
	}
	if len(v.body) == 0 || json.Unmarshal(v.body, &in) != nil {
		return "", nil
	}
	return clean(in.User), []byte(in.Passphrase)
}

// ownHand signs in whoever fills in a form once more: the passphrase is asked for at
// the moment that counts, so that a phone left lying about signs nothing. The session
// it gives is for one signature; close it.
func (v *visit) ownHand() (s staff.Session, done func(), err error) {
	secret := v.secret("passphrase")
	defer clear(secret)
	ctx := v.askingOnce()
	s, err = v.desks().Staff.SignIn(ctx, v.actor.Name, secret)
	if err != nil && fault.ClassOf(err) != fault.Busy {
		if plain := plainWords(string(secret)); plain != string(secret) && strings.Count(plain, " ") == 4 {
			s, err = v.desks().Staff.SignIn(ctx, v.actor.Name, []byte(plain))
		}
	}
	if err != nil {
		return s, func() {}, err
	}
	return s, func() { v.desks().Staff.SignOut(s.Token) }, nil
}
