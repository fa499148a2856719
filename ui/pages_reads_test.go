package ui

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// enter registers somebody at this machine, so that nobody's own registrations are
// exempt.
func (b *pageBox) enter(t *testing.T, given string) string {
	t.Helper()
	added, err := b.desks.Registration.Add(t.Context(), staff.Operator(), registration.Person{GivenName: given, FamilyName: "Tum"}, registration.Request{})
	must(t, err)
	return added.ID.String()
}

func TestWhoLookedIsSeenByThoseResponsible(t *testing.T) {
	box, s := newPageServer(t)
	rosa, omar := box.enter(t, "Rosa"), box.enter(t, evil)
	lead := signedInAs(t, box, s, "Lena", staff.Lead)
	lead.get("/reads").wants(200, "0 records opened", "2 names in lists") // of the first page
	clerk := signedInAs(t, box, s, "Amina", staff.Registrar)
	clerk.get("/people/" + rosa).wants(200).lacks("/reads")
	clerk.get("/people/" + rosa).get("/people/" + rosa + "/edit").wants(200)
	clerk.get("/people?q=Tum").wants(200)
	clerk.get("/people/" + omar)
	for _, path := range []string{"/reads", "/people/" + rosa + "/reads"} {
		clerk.get(path).wants(403)
	}
	lead.get("/people/"+rosa).wants(200, "Who looked").get("/people/"+rosa+"/reads").wants(200, "Rosa Tum", "Amina", "Lena", "opened")
	if n := strings.Count(string(lead.body), "<li>"); n < 2 {
		t.Errorf("%d looks", n)
	}
	lead.get("/reads").wants(200, "Amina", "2 records opened", "names in lists").lacks(evil)
	by := box.readerOf(t, lead, "Amina")
	lead.get(by).wants(200, "Rosa Tum", "names in lists").lacks(evil, "<script>alert")
	lead.get("/people/aaaaaaaaaaaaaaaa/reads").wants(200, "Nobody looked")
	lead.get("/reads/x").wants(404)
	lead.get(by+"?after=!!").wants(200, "Rosa Tum")

	// Whom somebody registered just now they may look at without a trace.
	clerk.get("/people/new").post("/people", url.Values{"save": {"1"}, "members.0.given_name": {"Fresh"}}).wants(200, "Fresh")
	lead.get(by).wants(200).lacks("Fresh")
}

// readerOf is the address of somebody's looks, from the list of all.
func (b *pageBox) readerOf(t *testing.T, lead *browser, user string) string {
	t.Helper()
	accounts, err := b.desks.Staff.List(t.Context(), staff.Operator())
	must(t, err)
	for _, a := range accounts {
		if a.User == user {
			if path := "/reads/" + a.ID.String(); strings.Contains(string(lead.get("/reads").body), path) {
				return path
			}
		}
	}
	t.Fatal("no reader " + user)
	return ""
}

func TestReadingTooFastStopsUntilALeadSaysSo(t *testing.T) {
	box, s := newPageServer(t)
	lead := signedInAs(t, box, s, "Lena", staff.Lead)
	clerk := signedInAs(t, box, s, "Amina", staff.Registrar)
	other := signedInAs(t, box, s, "Bo", staff.Registrar)
	var ids []string
	for i := range 125 {
		ids = append(ids, box.enter(t, fmt.Sprint("P", i)))
	}
	for _, id := range ids[:31] {
		clerk.get("/people/" + id).wants(200)
	}
	lead.get("/").wants(200, "Amina opened 31 records within an hour")
	other.get("/").lacks("Amina opened")
	for _, id := range ids[31:120] {
		clerk.get("/people/" + id).wants(200)
	}
	clerk.get("/people/"+ids[120]).wants(429, "until your lead lets you go on").lacks("P120")
	clerk.get("/people/"+ids[0]).wants(200, "P0 Tum") // seen before
	clerk.get("/verify").wants(200)
	clerk.get("/people/new").wants(200)
	other.get("/people/" + ids[120]).wants(200)
	lead.get("/reads").wants(200, "Reading is stopped for them")
	by := box.readerOf(t, lead, "Amina")
	lead.get("/reads").post(by+"/goon", nil).wants(200, "A lead let them go on")
	clerk.get("/people/"+ids[120]).wants(200, "P120")
	lead.get("/reads").post(by+"/seen", nil).wants(200).lacks("Faster than the work needs")
	lead.get("/").lacks("Amina opened")
}

// A look is there before its answer: whoever reads through the API is in the list, and
// pages through everybody only so far.
func TestCallsAreRecordedAndCounted(t *testing.T) {
	r := newRig(t)
	for i := range 40 {
		_, err := r.box.desks.Registration.Add(t.Context(), staff.Operator(), registration.Person{GivenName: fmt.Sprint("P", i)}, registration.Request{})
		must(t, err)
	}
	key := r.key(staff.Registrar)
	var page struct{ Items []personJSON }
	r.call(key, "GET", "/api/v1/people?limit=25", "").into(t, &page)
	actor, err := r.box.desks.Staff.KeyActor(key)
	must(t, err)
	boss := staff.Operator()
	seen, _, err := r.box.desks.Staff.LooksBy(t.Context(), boss, actor.ID, 100, nil)
	must(t, err)
	if len(seen) != 25 || !seen[0].API || seen[0].What != staff.LookedAt {
		t.Fatalf("%d %+v", len(seen), seen[0])
	}
	for _, path := range []string{"/api/v1/people/" + page.Items[0].ID, "/api/v1/people/aaaaaaaaaaaaaaaa"} {
		r.call(key, "GET", path, "")
	}
	if seen, _, _ = r.box.desks.Staff.LooksBy(t.Context(), boss, actor.ID, 100, nil); len(seen) != 25 {
		t.Errorf("%d looks", len(seen))
	}
}

// Whatever shows a person is recorded, on pages and in calls; nothing else is.
func TestEveryWayToAPersonIsRecorded(t *testing.T) {
	box, s := newPageServer(t)
	h, err := box.desks.Registration.AddHousehold(t.Context(), staff.Operator(), registration.NewHousehold{Members: []registration.Person{{GivenName: "Rosa"}, {GivenName: "Bo"}}}, registration.Request{})
	must(t, err)
	rosa, home := h.Members[0].String(), h.ID.String()
	_, err = box.desks.Tokens.Issue(t.Context(), staff.Operator(), h.Members[0], tokens.IssueOptions{})
	must(t, err)
	r := &rig{t: t, box: box.apiBox, s: s, log: &syncBuffer{}}
	for path, want := range map[string]staff.Looked{
		"/people/" + rosa: staff.LookedAt, "/people/" + rosa + "/edit": staff.LookedAt, "/people/" + rosa + "/card": staff.LookedToPrint,
		"/households/" + home: staff.LookedThrough, "/households/" + home + "/cards": staff.LookedToPrint, "/cards?ids=" + rosa: staff.LookedToPrint,
		"/people?q=Rosa": staff.LookedThrough, "/": staff.LookedThrough,
		"/people/new": "", "/verify": "", "/tell": "", "/mesh": "", "/people/aaaaaaaaaaaaaaaa": "", "/help": "",
		"GET /api/v1/people/" + rosa: staff.LookedAt, "PATCH /api/v1/people/" + rosa: staff.LookedAt, "GET /api/v1/households/" + home: staff.LookedAt,
		"GET /api/v1/people": staff.LookedAt, "GET /api/v1/people?q=nobody": "",
	} {
		actor, key := staff.Actor{ID: oplog.NewBy(), Role: staff.Registrar}, ""
		if method, address, call := strings.Cut(path, " "); call {
			key = r.key(staff.Registrar)
			actor, err = box.desks.Staff.KeyActor(key)
			must(t, err)
			body := ""
			if method == "PATCH" {
				body = `{"phone":"+502 5550 1234"}`
			}
			if a := r.call(key, method, address, body); a.status != 200 {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		} else {
			b := signedInAs(t, box, s, "U"+path, staff.Registrar)
			accounts, err := box.desks.Staff.List(t.Context(), staff.Operator())
			must(t, err)
			for _, a := range accounts {
				if a.User == "U"+path {
					actor.ID = a.ID
				}
			}
			b.get(path)
		}
		seen, _, err := box.desks.Staff.LooksBy(t.Context(), staff.Operator(), actor.ID, 50, nil)
		must(t, err)
		found := want == ""
		for _, l := range seen {
			found = found || l.What == want
			if want == "" && l.What != staff.LookedThrough { // the first page they saw lists the latest names
				t.Errorf("%s is recorded: %+v", path, l)
			}
		}
		if !found {
			t.Errorf("%s is not recorded: %+v", path, seen)
		}
	}
}
