package ui

import (
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
)

// enrolled lets another node in, whose words were compared.
func (b *apiBox) enrolled(t *testing.T) identity.NodeID {
	t.Helper()
	inv, err := b.vault.Invite(0, nil)
	must(t, err)
	code, err := identity.ParseInvitation(inv.Code)
	must(t, err)
	a, err := identity.NewApplicant(code)
	must(t, err)
	_, cert, err := b.vault.Admit(a.Request())
	must(t, err)
	must(t, b.desks.Identity.Enrolled(t.Context(), cert))
	return cert.ID()
}

// Three taps shut a box out; the sheet names nobody who was registered; two people shut it
// out for good.
func TestABoxIsLostOnPages(t *testing.T) {
	r := newRig(t)
	r.call(r.key(staff.Lead), "POST", "/api/v1/people", `{"given_name":"Rosa","family_name":"Planted"}`)
	node := r.box.enrolled(t).String()
	first, second, registrar := r.session("first", staff.Lead), r.session("second", staff.Coordinator), r.session("reg", staff.Registrar)
	get := func(s staff.Session, path string, want int) string {
		t.Helper()
		a := r.ask(Network, "GET", path, "", "Host", "localhost", "Cookie", "__Host-waypost="+s.Token)
		if a.status != want {
			t.Fatalf("GET %s: %d", path, a.status)
		}
		return string(a.body)
	}
	post := func(s staff.Session, path string, fields url.Values, want int) {
		t.Helper()
		form := url.Values{"csrf": {s.CSRF}}
		maps.Copy(form, fields)
		a := r.ask(Network, "POST", path, form.Encode(), "Host", "localhost", "Cookie", "__Host-waypost="+s.Token, "Content-Type", "application/x-www-form-urlencoded")
		if a.status != want {
			t.Fatalf("POST %s: %d\n%s", path, a.status, a.body)
		}
	}
	get(registrar, "/lost/"+node+"/suspend", 403)

	if page := get(first, "/lost/"+node+"/suspend", 200); !strings.Contains(page, "/lost/"+node+"/suspend") {
		t.Fatal(page)
	}
	post(first, "/lost/"+node+"/suspend", nil, 303)
	sheet := get(first, "/lost/"+node, 200)
	for _, want := range []string{"shut out for now", "40", "bea"} {
		if !strings.Contains(sheet, want) {
			t.Errorf("the sheet does not say %q", want)
		}
	}
	if strings.Contains(sheet, "Planted") || strings.Contains(sheet, "Rosa") {
		t.Error("the sheet names somebody who was registered")
	}
	if !r.box.desks.Identity.Shut(r.box.node(node)) {
		t.Fatal("not shut out")
	}
	if list := get(second, "/lost", 200); !strings.Contains(list, "/lost/"+node) {
		t.Error("not in the list")
	}

	secret := url.Values{"passphrase": {testPassphrase}}
	post(first, "/lost/"+node+"/lift", url.Values{"passphrase": {"wrong"}}, 403)
	post(first, "/lost/"+node+"/lift", secret, 303)
	if r.box.desks.Identity.Shut(r.box.node(node)) {
		t.Fatal("still shut out")
	}
	post(first, "/lost/"+node+"/suspend", nil, 303)
	post(first, "/lost/"+node+"/revoke", secret, 303)
	if page := get(first, "/lost/"+node, 200); !strings.Contains(page, "second person") {
		t.Error("it does not say that it waits")
	}
	if r.box.desks.Identity.StandingOf(r.box.node(node)) != identity.StandingSuspended {
		t.Fatal("one person did it")
	}
	post(second, "/lost/"+node+"/revoke", url.Values{"passphrase": {"wrong"}}, 403)
	post(second, "/lost/"+node+"/revoke", secret, 303)
	if r.box.desks.Identity.StandingOf(r.box.node(node)) != identity.StandingRevoked {
		t.Fatal("two people did not do it")
	}
	get(first, "/lost/0000000000000000", 404)

	// What it wrote behind the cut: several at once, by two people.
	held := "/lost/" + node + "/held"
	post(first, held, url.Values{"op": {"00:7", "01:7"}}, 403)
	post(first, held, secret, 404)
	post(first, held, url.Values{"op": {"00:7", "01:7", "09:9"}, "passphrase": {testPassphrase}}, 303)
	acts := r.box.desks.Staff.Acts(second.Actor)
	if len(r.box.released) != 0 || len(acts) != 1 {
		t.Fatalf("one person released %v; %d wait", r.box.released, len(acts))
	}
	post(first, "/acts/"+acts[0].ID.String()+"/confirm", secret, 403)
	post(second, "/acts/"+acts[0].ID.String()+"/confirm", secret, 303)
	if len(r.box.released) != 2 || r.box.released[1].Log != "01" {
		t.Errorf("released %v", r.box.released)
	}
}
