package ui

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
)

// page asks for a page, or sends its form, as somebody who is signed in.
func (r *rig) page(s staff.Session, method, path string, form url.Values) answer {
	r.t.Helper()
	h := []string{"Host", "localhost", "Cookie", "__Host-waypost=" + s.Token}
	body := ""
	if form != nil {
		form.Set("csrf", s.CSRF)
		body = form.Encode()
		h = append(h, "Content-Type", "application/x-www-form-urlencoded")
	}
	return r.ask(Network, method, path, body, h...)
}

// After a restore nobody reads people, whoever they are and however they ask; taking
// people in goes on. Two people end that.
func TestNobodyReadsPeopleAfterARestore(t *testing.T) {
	r := newRig(t)
	lead, other := r.session("lea", staff.Lead), r.session("omar", staff.Registrar)
	key := r.key(staff.Registrar)
	given := "Secretname"
	added, err := r.box.desks.Registration.AddHousehold(context.Background(), lead.Actor, registration.NewHousehold{
		Members: []registration.Person{{GivenName: given}},
	}, registration.Request{})
	must(t, err)
	id := added.Members[0].String()
	r.box.close(&control.Restored{Made: time.Unix(0, 0)})

	page := r.page
	for _, s := range []staff.Session{lead, other} {
		for _, path := range []string{"/people?q=Secret", "/people/" + id, "/people/" + id + "/edit", "/people/" + id + "/card"} {
			a := page(s, "GET", path, nil)
			if a.status != 403 || strings.Contains(string(a.body), given) {
				t.Errorf("%s: %d", path, a.status)
			}
		}
		home := page(s, "GET", "/", nil)
		if home.status != 200 || strings.Contains(string(home.body), given) {
			t.Errorf("home: %d", home.status)
		}
		if a := page(s, "GET", "/people/new", nil); a.status != 200 {
			t.Errorf("no intake: %d", a.status)
		}
		if a := page(s, "GET", "/restored", nil); a.status != 200 {
			t.Errorf("no reason: %d", a.status)
		}
	}
	for _, path := range []string{"/api/v1/people?q=Secret", "/api/v1/people/" + id} {
		a := r.call(key, "GET", path, "")
		if p := a.problem(t); a.status != 403 || p.Key != "fault.staff.restored" || p.Hint == "" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := r.call(key, "POST", "/api/v1/people", `{"given_name":"New"}`); a.status != 201 {
		t.Errorf("no intake: %d %s", a.status, a.body)
	}

	for name, f := range map[string]url.Values{
		"herself":             {"user": {"lea"}, "second": {testPassphrase}, "passphrase": {testPassphrase}},
		"a wrong word":        {"user": {"omar"}, "second": {"not these words at all"}, "passphrase": {testPassphrase}},
		"somebody unknown":    {"user": {"nobody"}, "second": {testPassphrase}, "passphrase": {testPassphrase}},
		"whoever finds phone": {"user": {"omar"}, "second": {testPassphrase}},
		"a wrong own word":    {"user": {"omar"}, "second": {testPassphrase}, "passphrase": {"not these words at all"}},
	} {
		if a := page(lead, "POST", "/restored", f); a.status != 403 || r.box.Restored() == nil {
			t.Errorf("opened by %s: %d", name, a.status)
		}
	}
	if a := page(other, "POST", "/restored", url.Values{"user": {"lea"}, "second": {testPassphrase}, "passphrase": {testPassphrase}}); a.status != 403 || r.box.Restored() == nil {
		t.Errorf("opened by a registrar: %d", a.status)
	}
	if a := r.call(r.key(staff.Lead), "POST", "/restored", ""); a.status/100 == 2 || r.box.Restored() == nil {
		t.Errorf("opened by a key: %d", a.status)
	}
	if a := page(lead, "POST", "/restored", url.Values{"user": {"omar"}, "second": {testPassphrase}, "passphrase": {testPassphrase}}); a.status != 303 || r.box.Restored() != nil {
		t.Fatalf("not opened: %d %s", a.status, a.body)
	}
	if a := page(other, "GET", "/people/"+id, nil); a.status != 200 || !strings.Contains(string(a.body), given) {
		t.Errorf("still closed: %d", a.status)
	}
	if a := page(lead, "GET", "/backup", nil); a.status != 200 || !strings.Contains(string(a.body), "opened the records of people at") {
		t.Errorf("nobody learns who opened it: %d", a.status)
	}
}

// A page writes onto sticks that were offered, and nowhere else.
func TestABackupGoesWhereItWasOffered(t *testing.T) {
	r := newRig(t)
	lead := r.session("lea", staff.Lead)
	send := func(file string) answer {
		return r.ask(Network, "POST", "/backup", url.Values{"csrf": {lead.CSRF}, "file": {file}}.Encode(),
			"Host", "localhost", "Cookie", "__Host-waypost="+lead.Token, "Content-Type", "application/x-www-form-urlencoded")
	}
	if a := send("/etc/passwd"); a.status != 404 || r.box.backedUp != "" {
		t.Fatalf("%d, into %q", a.status, r.box.backedUp)
	}
	if a := send("/media/stick/waypost-1-2026-11-24.wpb"); a.status != 303 || r.box.backedUp == "" {
		t.Fatalf("%d, into %q", a.status, r.box.backedUp)
	}
	r.box.transfer = control.Backup{Running: true, Step: "writing", Done: 1, Total: 2}
	a := r.ask(Network, "GET", "/backup", "", "Host", "localhost", "Cookie", "__Host-waypost="+lead.Token)
	if a.status != 200 || a.header.Get("Refresh") == "" || !strings.Contains(string(a.body), "50 %") {
		t.Fatalf("%d %s", a.status, a.body)
	}
}
