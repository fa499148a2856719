package ui

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/staff"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestNoRouteWithoutAPolicy(t *testing.T) {
	ok := func(*visit) error { return nil }
	tests := map[string][]route{
		"no policy":                  {{method: "GET", path: "/x", handle: ok}},
		"need without an action":     {{method: "GET", path: "/x", policy: need(""), handle: ok}},
		"no handler":                 {{method: "GET", path: "/x", policy: public()}},
		"sign-in over plain HTTP":    {{method: "GET", path: "/x", policy: signedIn(), where: onPublic, handle: ok}},
		"operator call on the web":   {{method: "GET", path: "/x", policy: byOperator(), where: onAPI, handle: ok}},
		"page on the control socket": {{method: "GET", path: "/x", policy: public(), where: onOperator, handle: ok}},
		"words without a limit":      {{method: "POST", path: "/x", policy: unlock(), handle: ok}},
		"a code without a limit":     {{method: "POST", path: "/x", policy: claim(), handle: ok}},
		"sealed files to all staff":  {{method: "GET", path: "/x", policy: signedIn(), narrow: true, handle: ok}},
		"sealed files to programs":   {{method: "GET", path: "/x", policy: need(staff.WorkSealed), where: onAPI, narrow: true, handle: ok}},
		"people in over plain HTTP":  {{method: "POST", path: "/x", policy: passing(), where: onPublic, handle: ok}},
		"twice":                      {{method: "GET", path: "/x", policy: public(), handle: ok}, {method: "GET", path: "/x", policy: public(), handle: ok}},
	}
	for name, routes := range tests {
		if checkRoutes(routes) == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := checkRoutes([]route{{method: "GET", path: "/x", policy: public(), handle: ok}}); err != nil {
		t.Error(err)
	}
}

// TestWhoMayAskWhat walks every route as everybody in every state. The handlers
// are replaced by one that answers 204, so what is pinned is who gets through.
// The golden file is for reading; the rules are checked here once more, apart
// from the code that enforces them.
func TestWhoMayAskWhat(t *testing.T) {
	onceOver(t)
	r := newRig(t)
	routes := r.s.routes()
	for i := range routes {
		routes[i].handle = func(v *visit) error { return v.c.SendStatus(fiber.StatusNoContent) }
	}
	apps := map[Surface]*fiber.App{}
	for s := range surfaceCount {
		apps[s] = r.s.newApp(s, routes)
	}
	keys, people := map[staff.Role]string{}, map[staff.Role]staff.Session{}
	for _, role := range staff.Roles() {
		keys[role], people[role] = r.key(role), r.session(string(role), role)
	}
	session := people[staff.Registrar]
	var golden strings.Builder
	for _, rt := range routes {
		for _, state := range []string{stateNew, stateLocked, stateOpening, stateOpen, stateReadOnly} {
			r.box.set(state)
			fmt.Fprintf(&golden, "%s %s %s:", rt.method, rt.path, state)
			body := ""
			ask := func(name string, surface Surface, headers ...string) {
				got := r.send(apps[surface], rt.method, concrete(rt.path), body, headers...).status
				fmt.Fprintf(&golden, " %s=%d", name, got)
				if want := through(rt, state, surface, name); want != (got == fiber.StatusNoContent) {
					t.Errorf("%s %s in state %s by %s: status %d", rt.method, rt.path, state, name, got)
				}
			}
			ask("nobody", Network)
			for _, role := range staff.Roles() {
				s := people[role]
				if rt.policy.who == person { // TestAnOpenPageSignsNoErasureOverTheAPI has them without
					body = fmt.Sprintf(`{"passphrase":%q}`, passphraseFor(role))
				}
				ask(string(role), Network, "Host", "localhost", "Cookie", "__Host-waypost="+s.Token+"; "+trusting(r.s), "X-CSRF-Token", s.CSRF, "Content-Type", "application/json")
			}
			body = ""
			for _, role := range staff.Roles() {
				ask(string(role)+"/key", Network, "Authorization", "Bearer "+keys[role])
			}
			ask("registrar/here", Loopback, "Host", "localhost", "Cookie", "waypost="+session.Token, "X-CSRF-Token", session.CSRF)
			ask("plain", Public, "Authorization", "Bearer "+keys[staff.Lead])
			ask("operator", Control)
			golden.WriteByte('\n')
		}
	}
	compareGolden(t, "matrix.golden", golden.String())
}

// through is what the matrix should say.
func through(rt route, state string, surface Surface, name string) bool {
	on := rt.on()
	if surface == Public || surface == Control {
		if !on.has(surface) {
			return false
		}
	} else if !on.has(Loopback) && !on.has(Network) {
		return false
	}
	open := state == stateOpen || state == stateReadOnly
	name, key := strings.CutSuffix(name, "/key")
	if key && (!strings.HasPrefix(rt.path, "/api/") || slices.Contains(personal, rt.policy.action)) {
		name = "nobody" // pages know no keys
	}
	trusts := surface != Network || name != "nobody" // see the cookies above
	switch rt.policy.who {
	case anybody:
		return true
	case claimant:
		return state == stateNew
	case opener:
		return state == stateLocked && (trusts || !rt.unsafe())
	case passer:
		return state == stateLocked || state == stateOpening
	case signed:
		return open && name != "nobody"
	case allowed:
		name, _, _ = strings.Cut(name, "/")
		role := staff.Role(name)
		if name == "operator" {
			role = staff.Lead
		}
		return open && name != "nobody" && staff.Actor{ID: staff.ID{1}, Role: role}.Can(rt.policy.action)
	case person: // neither a key nor whoever sits at the box is somebody's own hand
		role, _, _ := strings.Cut(name, "/")
		return open && name != "nobody" && name != "operator" && staff.Actor{ID: staff.ID{1}, Role: staff.Role(role)}.Can(rt.policy.action)
	case operator:
		return surface == Control
	}
	return false
}

// concrete fills the parameters of a path with an id nobody has.
func concrete(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, ":") {
			parts[i] = "aaaaaaaaaaaaaaaa"
		}
	}
	return strings.Join(parts, "/")
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll("testdata", 0o750))
		must(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file) //nolint:gosec // a fixed folder
	must(t, err)
	if got != string(want) {
		g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := range min(len(g), len(w)) {
			if g[i] != w[i] {
				t.Fatalf("%s line %d:\n got %s\nwant %s\n(-update writes it anew)", name, i+1, g[i], w[i])
			}
		}
		t.Fatalf("%s: %d lines, want %d (-update writes it anew)", name, len(g), len(w))
	}
}
