package ui

import (
	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/staff"
)

// copyCalls are what the pages about copies say, for programs.
func (s *Server) copyCalls() []route {
	const v1 = "/api/v1"
	return []route{
		{method: "GET", path: v1 + "/people/:id/copies", policy: need(staff.ReadPeople), where: onAPI, handle: getCopies},
		{method: "GET", path: v1 + "/mesh/gone", policy: need(staff.SeeMesh), where: onAPI, handle: getGone},
		{method: "GET", path: v1 + "/mesh/gone/people", policy: need(staff.ReadPeople), where: onAPI, handle: getGonePeople},
	}
}

// copiesAnswer is what GET /people/{id}/copies says; nothing of it is from the record.
type copiesAnswer struct {
	control.Copies
	Roles []staff.RoleCount `json:"roles"` // of this node that may look people up
	Photo string            `json:"photo"` // none, here or coming; whether other posts have it is not known, and it is not counted
}

func getCopies(v *visit) error {
	id, err := v.id("id")
	if err != nil {
		return err
	}
	r, err := v.desks().Registration.Get(v.s.ctx, v.actor, id)
	if err != nil {
		return err
	}
	c, err := v.copiesOf(r)
	if err != nil {
		return err
	}
	roles, err := v.desks().Staff.WhoMay(v.actor, staff.ReadPeople)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, copiesAnswer{c, roles, v.photoAt(r)})
}

func getGone(v *visit) error {
	g, err := v.s.config.Box.Gone(v.s.ctx)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, g)
}

// gonePart is how many people one part of the list has.
const gonePart = 200

func getGonePeople(v *visit) error {
	people, next, err := v.s.config.Box.GonePeople(v.s.ctx, v.query("cursor"), gonePart)
	if err != nil {
		return err
	}
	answer := list[control.GonePerson]{Items: []control.GonePerson{}}
	answer.Items = append(answer.Items, people...)
	if next != "" {
		answer.Next = &next
	}
	return v.json(fiber.StatusOK, answer)
}
