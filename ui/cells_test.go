package ui

import (
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/staff"
)

// The matrix of routes_test.go has every route, role, state and surface. The tests here
// add what a route must not answer at all: other methods, and people of another site.

// onceOver leaves a test out where the race detector looks on: it asks thousands of cells one
// after the other, and the other run asks them all.
func onceOver(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("asked in the run without -short")
	}
}

// stubbed is the server's table with handlers that only say that somebody got through.
func stubbed(r *rig) ([]route, map[Surface]*fiber.App) {
	routes := r.s.routes()
	for i := range routes {
		routes[i].handle = func(v *visit) error { return v.c.SendStatus(fiber.StatusNoContent) }
	}
	apps := map[Surface]*fiber.App{}
	for s := range surfaceCount {
		apps[s] = r.s.newApp(s, routes)
	}
	return routes, apps
}

// TestOnlyTheDeclaredMethods asks for every path by every method there is, as the lead,
// with a key, as the operator and as nobody.
func TestOnlyTheDeclaredMethods(t *testing.T) {
	onceOver(t)
	r := newRig(t)
	routes, apps := stubbed(r)
	r.box.set(stateOpen)
	lead, key := r.session("lead", staff.Lead), r.key(staff.Lead)
	declared := map[string][]string{}
	for _, rt := range routes {
		declared[rt.path] = append(declared[rt.path], rt.method)
		if rt.method == "GET" && !rt.stream {
			declared[rt.path] = append(declared[rt.path], "HEAD")
		}
	}
	asked := 0
	for path, methods := range declared {
		for _, method := range append(slices.Clone(fiber.DefaultMethods), "PROPFIND", "get") {
			if slices.Contains(methods, method) {
				continue
			}
			for s := range surfaceCount {
				for _, as := range [][]string{nil, {"Authorization", "Bearer " + key}, {"Host", "localhost", "Cookie", "waypost=" + lead.Token + "; __Host-waypost=" + lead.Token, "X-CSRF-Token", lead.CSRF}} {
					asked++
					if got := r.send(apps[s], method, concrete(path), "", as...).status; got < 400 {
						t.Errorf("%s %s on %s: %d, and it is not declared", method, path, s, got)
					}
				}
			}
		}
	}
	t.Logf("%d cells, none answered", asked)
}

// TestAnotherSiteIsNobody: an account, a session and a key of one site are nothing at
// another, on no route, whatever the role there.
func TestAnotherSiteIsNobody(t *testing.T) {
	onceOver(t)
	here, there := newRig(t), newRig(t)
	routes, apps := stubbed(here)
	here.box.set(stateOpen)
	asked := 0
	for _, role := range staff.Roles() {
		s, key := there.session(string(role), role), there.key(role)
		for _, rt := range routes {
			for surface := range surfaceCount {
				if surface == Control {
					continue // whoever has the socket is the operator
				}
				nobody := here.send(apps[surface], rt.method, concrete(rt.path), "", "Host", "localhost").status
				for name, as := range map[string][]string{
					"session": {"Host", "localhost", "Cookie", "waypost=" + s.Token + "; __Host-waypost=" + s.Token, "X-CSRF-Token", s.CSRF},
					"key":     {"Host", "localhost", "Authorization", "Bearer " + key},
				} {
					asked++
					got := here.send(apps[surface], rt.method, concrete(rt.path), "", as...).status
					if got != nobody && (got < 400 || nobody < 400) {
						t.Errorf("%s %s on %s: a %s of a %s of another site gets %d, nobody gets %d", rt.method, rt.path, surface, name, role, got, nobody)
					}
				}
			}
		}
	}
	for _, user := range []string{"lead", "registrar"} {
		a := here.ask(Loopback, "POST", "/signin", "user="+user+"&passphrase="+strings.ReplaceAll(testPassphrase, " ", "+"), "Host", "localhost", "Content-Type", fiber.MIMEApplicationForm)
		if a.status == fiber.StatusSeeOther {
			t.Errorf("%s of another site signs in here", user)
		}
	}
	t.Logf("%d cells, all as nobody", asked)
}
