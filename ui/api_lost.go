package ui

import (
	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// lostAPI is what the pages for a lost box do, for programs. No key may: shutting a box out
// is somebody's word. Where a page asks for the passphrase the call does, from a page
// session too. Letting what was held back count again is on its page alone.
func (s *Server) lostAPI() []route {
	const lost = "/api/v1/lost"
	may := need(staff.SuspendNodes)
	signs := func(path string, p policy, handle func(*visit) error) route {
		return route{method: "POST", path: lost + path, policy: p, where: onAPI, guess: bySignature, handle: handle}
	}
	return []route{
		{method: "GET", path: lost, policy: may, where: onAPI, handle: operatorLost},
		{method: "GET", path: lost + "/:node", policy: may, where: onAPI, handle: getIncident},
		{method: "GET", path: lost + "/:node/held", policy: may, where: onAPI, handle: getHeld},
		signs("/:node/suspend", byPerson(staff.SuspendNodes).orPage(), postSuspend),
		signs("/:node/lift", byPerson(staff.SuspendNodes), postLift),
		signs("/:node/revoke", byPerson(staff.RevokeNodes), postRevoke),
	}
}

// getIncident is the incident sheet: it names nobody who was registered.
func getIncident(v *visit) error { return v.incident(v.param("node")) }

// getHeld lists what a revoked box wrote that does not count; as much as its page shows.
func getHeld(v *visit) error {
	if _, err := v.s.config.Box.Incident(v.s.ctx, v.actor, v.param("node")); err != nil { // of no such node nothing is held
		return err
	}
	held, err := v.s.config.Box.Held(v.s.ctx, v.actor, v.param("node"))
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, list[control.HeldOp]{Items: held[:min(len(held), maxHeldShown)]})
}

// handed reads a document that holds nothing but somebody's hand, and refuses one without:
// an open page alone signs nothing here.
func (v *visit) handed() error {
	if err := v.onlyHand(); err != nil {
		return err
	}
	if _, secret := v.credentials(); len(secret) == 0 {
		return fault.New(fault.Denied, "fault.staff.own_hand")
	}
	return nil
}

// postSuspend asks for no passphrase from a page session, as its page does not.
func postSuspend(v *visit) error {
	if err := v.onlyHand(); err != nil {
		return err
	}
	if err := v.s.config.Box.Suspend(v.s.ctx, v.actor, v.param("node")); err != nil {
		return err
	}
	return getIncident(v)
}

func postLift(v *visit) error {
	if err := v.handed(); err != nil {
		return err
	}
	if err := v.s.config.Box.Lift(v.s.ctx, v.actor, v.param("node")); err != nil {
		return err
	}
	return getIncident(v)
}

// postRevoke is the first half of two; the second is POST /approvals/{id}/confirm.
func postRevoke(v *visit) error {
	if err := v.handed(); err != nil {
		return err
	}
	act, err := v.s.config.Box.AskRevoke(v.s.ctx, *v.session, v.param("node"))
	if err != nil {
		return err
	}
	v.c.Location("/acts/" + act.String())
	return v.json(fiber.StatusAccepted, struct {
		Approval oplog.ID `json:"approval"`
	}{act})
}
