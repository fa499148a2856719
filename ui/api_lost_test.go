package ui

import (
	"fmt"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
)

// handBody is a document with somebody's hand; more begins it, and ends with a comma.
func handBody(user, more string) string {
	return fmt.Sprintf(`{%s"user":%q,"passphrase":%q}`, more, user, testPassphrase)
}

// bySession is a call by a page session.
func (r *rig) bySession(s staff.Session, method, path, body string) answer {
	r.t.Helper()
	return r.ask(Network, method, path, body, "Host", "localhost", "Content-Type", "application/json", "Cookie", "__Host-waypost="+s.Token, "X-CSRF-Token", s.CSRF)
}

// looks is a GET by a page session, checked against the document.
func (c *contract) looks(s staff.Session, path, concrete, schema string, into any) {
	c.t.Helper()
	a := c.bySession(s, "GET", concrete, "")
	if c.seen["GET "+path+" 200"] = a.status == 200; a.status != 200 {
		c.t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	c.fits(path, c.doc.at("components", "schemas", schema), a.body)
	a.into(c.t, into)
}

// losing walks the calls for a lost box: one person shuts it out, two shut it out for good.
func (c *contract) losing(key string) {
	c.t.Helper()
	const lost = "/api/v1/lost"
	node := c.box.enrolled(c.t).String()
	lead := c.session("loser", staff.Lead)
	c.session("finder", staff.Coordinator)
	var sheet control.Incident
	c.looks(lead, lost+"/:node", lost+"/"+node, "Incident", &sheet)
	if sheet.Standing != "" {
		c.t.Fatalf("%+v", sheet)
	}
	call := func(verb, body string, want int) answer {
		return c.try(key, "POST", lost+"/:node/"+verb, lost+"/"+node+"/"+verb, body, want)
	}
	call("suspend", `{}`, 403)
	call("suspend", `{"user":"loser","passphrase":"wrong"}`, 403)
	call("suspend", handBody("loser", `"reason":"x",`), 400)
	call("suspend", handBody("loser", ""), 200)
	var boxes struct{ Items []control.LostBox }
	if c.looks(lead, lost, lost, "LostBoxes", &boxes); len(boxes.Items) != 1 || boxes.Items[0].Node != node || boxes.Items[0].Standing != "suspended" {
		c.t.Fatalf("%+v", boxes)
	}
	call("lift", `{}`, 403)
	call("lift", handBody("loser", ""), 200)
	if a := c.bySession(lead, "POST", lost+"/"+node+"/suspend", ""); a.status != 200 { // as its page asks for nothing more
		c.t.Fatalf("%d %s", a.status, a.body)
	}
	for _, verb := range []string{"lift", "revoke"} {
		if a := c.bySession(lead, "POST", lost+"/"+node+"/"+verb, `{}`); a.status != 403 {
			c.t.Errorf("an open page alone signs %s: %d %s", verb, a.status, a.body)
		}
	}
	var asked struct{ Approval string }
	call("revoke", handBody("loser", ""), 202).into(c.t, &asked)
	if c.box.desks.Identity.StandingOf(c.box.node(node)) != identity.StandingSuspended {
		c.t.Fatal("one person did it")
	}
	confirm := "/api/v1/approvals/" + asked.Approval + "/confirm"
	c.try(key, "POST", "/api/v1/approvals/:id/confirm", confirm, handBody("loser", ""), 403)
	c.try(key, "POST", "/api/v1/approvals/:id/confirm", confirm, handBody("finder", ""), 200)
	if c.box.desks.Identity.StandingOf(c.box.node(node)) != identity.StandingRevoked {
		c.t.Fatal("two people did not do it")
	}
	var held struct{ Items []control.HeldOp }
	c.looks(lead, lost+"/:node/held", lost+"/"+node+"/held", "HeldBack", &held)
	c.try(key, "GET", lost+"/:node", lost+"/"+node, "", 403) // a program's key
}

// emergency decides that the box may destroy its keys: one asks, another agrees.
func (c *contract) emergency(key string) {
	c.t.Helper()
	const path = "/api/v1/box/emergency"
	lead := c.session("calm", staff.Lead)
	c.session("sober", staff.Coordinator)
	mode := func(want string) {
		c.t.Helper()
		var e control.Emergency
		if c.looks(lead, path, path, "Emergency", &e); e.Mode != want {
			c.t.Fatalf("%+v", e)
		}
	}
	mode("lock")
	c.try(key, "POST", "/api/v1/box/destroy", "/api/v1/box/destroy", handBody("calm", `"word":"wipe",`), 409)
	c.try(key, "POST", path, path, `{"mode":"destroy"}`, 403)
	if a := c.bySession(lead, "POST", path, `{"mode":"destroy"}`); a.status != 403 {
		c.t.Errorf("an open page alone decides: %d %s", a.status, a.body)
	}
	c.try(key, "POST", path, path, handBody("calm", `"mode":"all",`), 400)
	c.try(key, "POST", path, path, handBody("sober", `"mode":"destroy",`), 403)
	var asked struct{ Approval string }
	c.try(key, "POST", path, path, handBody("calm", `"mode":"destroy",`), 202).into(c.t, &asked)
	mode("lock")
	confirm := "/api/v1/approvals/" + asked.Approval + "/confirm"
	c.try(key, "POST", "/api/v1/approvals/:id/confirm", confirm, handBody("sober", ""), 200)
	mode("destroy")
	c.try(key, "POST", path, path, handBody("calm", `"mode":"lock",`), 200)
	mode("lock")
}

// destroying is the last call of all.
func (c *contract) destroying(key string) {
	c.t.Helper()
	const path = "/api/v1/box/destroy"
	c.box.set(stateOpen)
	c.box.emergency.Mode = identity.EmergencyDestroy
	c.try(key, "POST", path, path, handBody("calm", `"word":"yes",`), 400)
	c.try(key, "POST", path, path, `{"word":"wipe","user":"calm","passphrase":"wrong"}`, 403)
	c.try(key, "POST", path, path, handBody("sober", `"word":"wipe",`), 403)
	calm, err := c.box.desks.Staff.SignIn(c.t.Context(), "calm", []byte(testPassphrase))
	must(c.t, err)
	if a := c.bySession(calm, "POST", path, `{"word":"wipe"}`); a.status != 403 {
		c.t.Errorf("an open page alone destroys: %d %s", a.status, a.body)
	}
	if identity.Wiped(c.box.dir) {
		c.t.Fatal("destroyed")
	}
	c.try(key, "POST", path, path, handBody("calm", `"word":"wipe",`), 200)
	if !identity.Wiped(c.box.dir) {
		c.t.Fatal("not destroyed")
	}
}

// Two people decide on a page what a box may do to its own keys; the page that destroys them
// does nothing before.
func TestAnEmergencyIsDecidedOnPages(t *testing.T) {
	r := newRig(t)
	lead, second, reg := r.session("lead", staff.Lead), r.session("second", staff.Coordinator), r.session("reg", staff.Registrar)
	page := func(s staff.Session, method, path, form string, want int) string {
		t.Helper()
		a := r.ask(Network, method, path, "csrf="+s.CSRF+"&"+form, "Host", "localhost", "Accept", "text/html", "Content-Type", "application/x-www-form-urlencoded", "Cookie", "__Host-waypost="+s.Token+"; "+trusting(r.s))
		if a.status != want {
			t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
		}
		return string(a.body) + a.header.Get("Location")
	}
	secret := "passphrase=" + strings.ReplaceAll(testPassphrase, " ", "+")
	page(reg, "GET", "/box/emergency", "", 403)
	if box := page(lead, "GET", "/box", "", 200); !strings.Contains(box, "Lock, and destroy nothing") {
		t.Error("the page of the box does not say what it may do")
	}
	page(lead, "POST", "/wipe", secret+"&word=wipe", 409)
	page(lead, "POST", "/box/emergency", "mode=destroy&passphrase=wrong", 403)
	page(lead, "POST", "/box/emergency", "mode=&"+secret, 400)
	page(lead, "POST", "/box/emergency", "mode=pulled&"+secret, 400) // a pulled stick locks, and never more
	act := page(lead, "POST", "/box/emergency", "mode=destroy&"+secret, 303)
	act = act[strings.LastIndex(act, "/acts/"):]
	if text := page(second, "GET", act, "", 200); !strings.Contains(text, "may destroy its own keys when its lead asks for it") {
		t.Error(text)
	}
	if r.box.emergency.Mode != identity.EmergencyLock {
		t.Fatal("one person decided")
	}
	page(second, "POST", act+"/confirm", secret, 303)
	if r.box.emergency.Mode != identity.EmergencyDestroy {
		t.Fatal("two people did not decide")
	}
	if text := page(lead, "GET", "/wipe", "", 200); !strings.Contains(text, "Bring back a backup") || !strings.Contains(text, "Type the name of this site") {
		t.Error("the page does not say what remains, or asks for nothing")
	}
	page(lead, "POST", "/box/emergency", "mode=lock&"+secret, 303)
	page(lead, "POST", "/wipe", secret+"&word=wipe", 409)
	if identity.Wiped(r.box.dir) {
		t.Fatal("destroyed")
	}
}
