package ui

import (
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/staff"
)

// TestKeysCrossTheWireToBrowsersThatTrustTheBox: sealed files and the papers of the ceremony
// are refused to a browser behind a warning, whoever is signed in on it.
func TestKeysCrossTheWireToBrowsersThatTrustTheBox(t *testing.T) {
	r := newRig(t)
	routes, apps := stubbed(r)
	lead, worker := r.session("lead", staff.Lead), r.session("mina", staff.Caseworker)
	guarded := 0
	for _, rt := range routes {
		if strings.HasPrefix(rt.path, "/ceremony/") && !rt.trusts || strings.HasPrefix(rt.path, "/desk") && !rt.narrow {
			t.Errorf("%s %s is for any browser", rt.method, rt.path)
		}
		if !rt.trusts && !rt.narrow {
			continue
		}
		guarded++
		s := lead
		if rt.policy.action == staff.WorkSealed {
			s = worker
		}
		ask := func(more string) int {
			return r.send(apps[Network], rt.method, concrete(rt.path), "", "Host", "localhost", "Cookie", "__Host-waypost="+s.Token+more, "X-CSRF-Token", s.CSRF).status
		}
		if got := ask(""); got != fiber.StatusForbidden && got != fiber.StatusSeeOther {
			t.Errorf("%s %s behind a warning: %d", rt.method, rt.path, got)
		}
		if got := ask("; " + trusting(r.s)); got != fiber.StatusNoContent {
			t.Errorf("%s %s from a browser that trusts the box: %d", rt.method, rt.path, got)
		}
	}
	if guarded < 20 {
		t.Errorf("only %d routes are guarded", guarded)
	}
}
