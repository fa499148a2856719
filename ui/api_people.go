package ui

import (
	"bytes"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
)

// request makes a write repeatable when the client asked for it. Faults: Invalid
// "fault.api.key_long".
func (v *visit) request() (registration.Request, error) {
	key := clean(v.c.Get("Idempotency-Key"))
	if len(key) > maxIdempotencyKey {
		return registration.Request{}, fault.New(fault.Invalid, "fault.api.key_long", "Max", maxIdempotencyKey)
	}
	body := v.body
	if body == nil {
		body = []byte{}
	}
	return registration.Request{Key: key, Body: body}, nil
}

// postPerson registers one person.
func postPerson(v *visit) error {
	req, doc, err := v.write()
	if err != nil {
		return err
	}
	p, err := registration.DecodePerson(bytes.NewReader(doc))
	if err != nil {
		return err
	}
	added, err := v.desks().Registration.Add(v.s.ctx, v.actor, p, req)
	if err != nil {
		return err
	}
	v.c.Location("/api/v1/people/" + added.ID.String())
	return v.json(fiber.StatusCreated, added)
}

// write is what every writing call with a document begins with.
func (v *visit) write() (registration.Request, []byte, error) {
	req, err := v.request()
	if err != nil {
		return req, nil, err
	}
	doc, err := v.document()
	return req, doc, err
}

// onlyID is how a list names something it does not show in full.
type onlyID struct {
	ID oplog.ID `json:"id"`
}

// postHousehold registers all members of a household, or none.
func postHousehold(v *visit) error {
	req, doc, err := v.write()
	if err != nil {
		return err
	}
	h, err := registration.DecodeHousehold(bytes.NewReader(doc))
	if err != nil {
		return err
	}
	added, err := v.desks().Registration.AddHousehold(v.s.ctx, v.actor, h, req)
	if err != nil {
		return err
	}
	answer := struct {
		ID      oplog.ID `json:"id"`
		Members []onlyID `json:"members"`

		PassedOn int `json:"passed_on,omitempty"`
	}{ID: added.ID, Members: []onlyID{}, PassedOn: added.PassedOn}
	for _, m := range added.Members {
		answer.Members = append(answer.Members, onlyID{m})
	}
	v.c.Location("/api/v1/households/" + added.ID.String())
	return v.json(fiber.StatusCreated, answer)
}

func getPerson(v *visit) error {
	id, err := v.id("id")
	if err != nil {
		return err
	}
	record, err := v.desks().Registration.Get(v.s.ctx, v.actor, id)
	if err == nil {
		err = v.look(staff.LookedAt, record)
	}
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, record)
}

// patchPerson corrects the fields that the document names and answers with the
// person as they stand.
func patchPerson(v *visit) error {
	req, doc, err := v.write()
	if err != nil {
		return err
	}
	id, err := v.id("id")
	if err != nil {
		return err
	}
	patch, err := registration.DecodePatch(bytes.NewReader(doc))
	if err != nil {
		return err
	}
	before, err := v.desks().Registration.Get(v.s.ctx, v.actor, id)
	if err == nil {
		err = v.look(staff.LookedAt, before) // the answer is the whole person
	}
	if err != nil {
		return err
	}
	record, err := v.desks().Registration.Correct(v.s.ctx, v.actor, id, patch, req)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, record)
}

func getHousehold(v *visit) error {
	id, err := v.id("id")
	if err != nil {
		return err
	}
	household, err := v.desks().Registration.Household(v.s.ctx, v.actor, id)
	if err == nil {
		err = v.look(staff.LookedAt, household.Members...)
	}
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, household)
}

// list is one part of a list; Next is null at its end.
type list[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"`
}

// getPeople searches; without q it lists everybody, the latest first.
func getPeople(v *visit) error {
	limit := 0
	if s := v.query("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > registration.MaxPage {
			return fault.New(fault.Invalid, "fault.api.fields").With("limit", "fault.api.limit", "Max", registration.MaxPage)
		}
		limit = n
	}
	page, err := v.desks().Registration.Search(v.s.ctx, v.actor, v.query("q"), limit, v.query("cursor"))
	if err != nil {
		return err
	}
	if err := v.lookThrough(page.Items, true); err != nil {
		return err
	}
	answer := list[registration.Record]{Items: page.Items}
	if page.Next != "" {
		answer.Next = &page.Next
	}
	return v.json(fiber.StatusOK, answer)
}
