package ui

import (
	"bytes"
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// whose says for every route with an id in its path whose ids it may be given. A route
// that is not here fails the test: it has to be thought about.
//
//	public    nobody's
//	site      a record of this site: everybody whose role may, whoever wrote it
//	assigned  a sealed file: those who work in it, and for all others it does not exist
//	second    what somebody asked for: whoever may, and never the one who asked
//	box       a node of the deployment
//	letter    what lies aside of what this box took in while it was locked
//	account   an account or key of this site
//	looked    whoever was looked at: looks outlive an erasure, so there may be nobody any more
var whose = map[string]string{
	"/static/:hash/:file": "public", "/lang/:tag": "public", "/help/:topic": "public",

	"/people/:id": "site", "/people/:id/edit": "site", "/people/:id/keep": "site", "/people/:id/photo": "site", "/people/:id/tell": "site",
	"/people/:id/card": "site", "/people/:id/erase": "site", "/people/:id/reads": "looked", "/people/:id/copies": "site", "/api/v1/people/:id/copies": "site",
	"/households/:id": "site", "/households/:id/add": "site", "/households/:id/cards": "site",
	"/erasures/:id": "site", "/erasures/:id/undo": "site", "/erasures/:id/finish": "site",
	"/api/v1/people/:id": "site", "/api/v1/people/:id/photo": "site", "/api/v1/households/:id": "site", "/api/v1/people/:id/tokens": "site",
	"/api/v1/tokens/:id/qr.svg": "site", "/api/v1/tokens/:id/qr.png": "site", "/api/v1/people/:id/erase": "site",
	"/api/v1/erasures/:id/undo": "site", "/api/v1/erasures/:id/finish": "site",

	"/desk/:id": "assigned", "/desk/:id/note": "assigned", "/desk/:id/assign": "assigned", "/desk/:id/unassign": "assigned",
	"/desk/:id/link": "assigned", "/desk/:id/close": "assigned", "/desk/:id/out": "assigned", "/desk/:id/end": "assigned", "/desk/:id/receipt/:number": "assigned",

	"/acts/:id": "second", "/acts/:id/confirm": "second", "/acts/:id/decline": "second",
	"/second/:id": "second", "/second/:id/confirm": "second", "/second/:id/decline": "second", "/second/:id/take": "second",
	"/approvals/:id": "second", "/approvals/:id/confirm": "second", "/approvals/:id/decline": "second",
	"/api/v1/approvals/:id/confirm": "second", "/api/v1/approvals/:id/decline": "second",
	"/officers/:id/confirm": "second", "/officers/:id/decline": "second", "/openings/:id": "second", "/openings/:id/confirm": "second", "/openings/:id/decline": "second",

	"/mesh/:node": "box", "/mesh/:node/confirm": "box", "/lost/:node": "box", "/lost/:node/suspend": "box", "/lost/:node/lift": "box", "/lost/:node/revoke": "box", "/lost/:node/held": "box",
	"/api/v1/lost/:node": "box", "/api/v1/lost/:node/held": "box", "/api/v1/lost/:node/suspend": "box", "/api/v1/lost/:node/lift": "box", "/api/v1/lost/:node/revoke": "box",

	"/night/aside/:name/again": "letter", "/night/aside/:name/form": "letter",

	"/staff/badge/:id": "account", "/reads/:who": "account", "/reads/:who/goon": "account", "/reads/:who/seen": "account",
}

// foreign is a rig with people of every kind and somebody for every right.
type foreign struct {
	*rig
	person, household, file string
	mina, noor, lead, cora  staff.Session // mina works in the file, noor does not
}

const foreignName = "Qvzkrosa"

func newForeign(t *testing.T) *foreign {
	t.Helper()
	f := &foreign{rig: newRig(t)}
	key := f.key(staff.Lead)
	var one, home struct{ ID string }
	f.call(key, "POST", "/api/v1/people", `{"given_name":"`+foreignName+`"}`).into(t, &one)
	f.call(key, "POST", "/api/v1/households", `{"members":[{"given_name":"`+foreignName+`"},{"given_name":"`+foreignName+`"}]}`).into(t, &home)
	f.person, f.household = one.ID, home.ID
	f.lead, f.cora = f.session("lead", staff.Lead), f.session("cora", staff.Coordinator)
	f.mina, f.noor = f.session("mina", staff.Caseworker), f.session("noor", staff.Caseworker)
	form := url.Values{
		"csrf": {f.lead.CSRF}, "officers": {f.lead.Actor.ID.String(), f.cora.Actor.ID.String()},
		"workers": {f.mina.Actor.ID.String(), f.noor.Actor.ID.String()},
	}
	if a := f.as(f.lead, "POST", "/box/desks", form); a.status != fiber.StatusSeeOther {
		t.Fatalf("%d %s", a.status, a.body)
	}
	about, err := oplog.ParseID(f.person)
	must(t, err)
	id, err := f.box.desks.Sealed.Open(context.Background(), f.mina, staff.NarrowProtection, about, foreignName+" said so", time.Time{})
	must(t, err)
	f.file = id.String()
	return f
}

// as sends a page's request as somebody whose phone trusts the box.
func (f *foreign) as(s staff.Session, method, path string, form url.Values) answer {
	f.t.Helper()
	body := ""
	if method == "POST" {
		if form == nil {
			form = url.Values{"csrf": {s.CSRF}}
		}
		body = form.Encode()
	}
	return f.ask(Network, method, path, body, "Host", "localhost", "Accept", "text/html", "Content-Type", fiber.MIMEApplicationForm,
		"Cookie", "__Host-waypost="+s.Token+"; "+trusting(f.s), "X-CSRF-Token", s.CSRF)
}

// able is somebody who may use a route at all.
func (f *foreign) able(rt route) staff.Session {
	if rt.narrow {
		return f.noor
	}
	return f.lead
}

// TestSomebodyElsesID gives every route with an id all the ids it has no business with: of
// another kind, of nobody, of a sealed file, and what is no id at all.
func TestSomebodyElsesID(t *testing.T) {
	onceOver(t)
	f := newForeign(t)
	ids := map[string]string{
		"a person": f.person, "a household": f.household, "a sealed file": f.file, "an account": f.mina.Actor.ID.String(),
		"this node": f.box.vault.NodeID().String(), "nobody": oplog.NewID().String(),
		"a path": "..%2F..%2Faccounts", "a zero byte": "%00", "a long one": strings.Repeat("a", 4000), "letters": "%D8%B1%D9%88%D8%B2%D8%A7", "a template": "%7B%7B.%7D%7D",
	}
	fits := map[string][]string{
		"site": {"a person", "a household"}, "box": {"this node"}, "account": {"an account"},
		"looked": {"a person", "a household", "a sealed file", "this node", "nobody"},
	}
	asked := 0
	for _, rt := range f.s.routes() {
		if !strings.Contains(rt.path, ":") {
			continue
		}
		kind, known := whose[rt.path]
		if !known {
			t.Errorf("nobody said whose ids %s %s may be given", rt.method, rt.path)
			continue
		}
		if kind == "public" {
			continue
		}
		for name, id := range ids {
			if slices.Contains(fits[kind], name) || kind == "account" && name == "this node" {
				continue
			}
			a := f.as(f.able(rt), rt.method, filled(rt.path, id), nil)
			asked++
			if a.status < 400 && a.status != fiber.StatusSeeOther || a.status >= 500 || bytes.Contains(a.body, []byte(foreignName)) {
				t.Errorf("%s %s with %s: %d", rt.method, rt.path, name, a.status)
			}
			if a.status == fiber.StatusSeeOther && !strings.HasPrefix(a.header.Get("Location"), "/wake") && rt.method == "GET" {
				t.Errorf("%s %s with %s goes on to %s", rt.method, rt.path, name, a.header.Get("Location"))
			}
		}
	}
	t.Logf("%d cells", asked)
}

func filled(path, id string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, ":") {
			parts[i] = id
		}
	}
	return strings.Join(parts, "/")
}

// TestASealedFileOfOthersDoesNotExist: on every route of it, for whoever is not assigned,
// it answers what a number nobody has answers, to the byte.
func TestASealedFileOfOthersDoesNotExist(t *testing.T) {
	f := newForeign(t)
	if a := f.as(f.mina, "GET", "/desk/"+f.file, nil); a.status != 200 || !bytes.Contains(a.body, []byte(foreignName)) {
		t.Fatalf("not even for its own: %d", a.status)
	}
	none := oplog.NewID().String()
	for _, rt := range f.s.routes() {
		if whose[rt.path] != "assigned" {
			continue
		}
		for name, s := range map[string]staff.Session{"a colleague": f.noor, "the lead": f.lead, "the coordinator": f.cora, "nobody": {}} {
			there, absent := f.as(s, rt.method, filled(rt.path, f.file), nil), f.as(s, rt.method, filled(rt.path, none), nil)
			if there.status != absent.status || there.status < 300 || !bytes.Equal(bytes.ReplaceAll(there.body, []byte(f.file), nil), bytes.ReplaceAll(absent.body, []byte(none), nil)) {
				t.Errorf("%s %s: %s can tell that it is there: %d and %d", rt.method, rt.path, name, there.status, absent.status)
			}
		}
	}
}
