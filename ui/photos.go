package ui

import (
	"encoding/json"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
)

// postUpload takes in a photo of a person and answers with its id: the photo is the
// body, or the part "photo" of a multipart form.
func postUpload(v *visit) error {
	image, err := v.photo()
	if err != nil {
		return err
	}
	id, err := v.desks().Registration.Upload(v.s.ctx, v.actor, image)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusCreated, struct {
		ID string `json:"id"`
	}{id})
}

// getPhoto sends the photo of a person; which in the query is one of several that
// nobody has chosen between. It is kept in no browser's store.
func getPhoto(v *visit) error {
	id, err := v.id("id")
	if err != nil {
		return err
	}
	image, err := v.desks().Registration.Photo(v.s.ctx, v.actor, id, v.query("which"))
	if err != nil {
		return err
	}
	r, err := v.desks().Registration.Get(v.s.ctx, v.actor, id)
	if err == nil {
		err = v.look(staff.LookedAt, r)
	}
	if err != nil {
		return err
	}
	v.c.Set(fiber.HeaderContentType, "image/jpeg")
	v.c.Set(fiber.HeaderCacheControl, "no-store")
	return v.c.Send(image)
}

// photoBox is the photo on a person's page.
type photoBox struct {
	Src     string // empty when there is none to show
	Coming  bool   // it is on its way from another post
	There   bool   // there is one, here or on its way
	MayEdit bool
}

func (v *visit) photoBox(r registration.Record, mayEdit bool) photoBox {
	b := photoBox{There: r.Photo != "", MayEdit: mayEdit}
	switch {
	case !b.There:
	case v.desks().Registration.PhotoHere(r):
		b.Src = photoPath(r, r.Photo)
	default:
		b.Coming = true
	}
	return b
}

// photoPath is where a photo is; with its id in it, so that another photo has another
// address.
func photoPath(r registration.Record, photo string) string {
	return "/people/" + r.ID.String() + "/photo?which=" + photo
}

// savePhoto takes the photo of the form as the person's photo, or takes theirs away.
func (v *visit) savePhoto() error {
	id, err := v.subject("fault.registration.no_person")
	if err != nil {
		return err
	}
	desk := v.desks().Registration
	photo := "null"
	if v.form("remove") == "" {
		image, err := v.file("photo")
		if err == nil {
			photo, err = desk.Upload(v.s.ctx, v.actor, image)
		}
		if err != nil {
			m, again := v.personModel(id)
			if again != nil {
				return again
			}
			return v.reshow("people/person", m, newForm(), err, func(string) string { return "photo" })
		}
		quoted, err := json.Marshal(photo)
		if err != nil {
			return err
		}
		photo = string(quoted)
	}
	patch := registration.Patch{Fields: map[string]json.RawMessage{"photo": json.RawMessage(photo)}, Seen: v.form("seen")}
	if _, err := desk.Correct(v.s.ctx, v.actor, id, patch, registration.Request{}); err != nil {
		return err
	}
	return v.redirect("/people/" + id.String())
}
