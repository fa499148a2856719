package ui

import (
	"bytes"
	"errors"
	"mime"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// qrDots is the size of a module in a PNG, in pixels: 318 pixels for a card's code,
// sharp on a phone and at 300 dpi about 27 mm in print.
const qrDots = 6

// postToken makes a card for a person: the first one, or one that takes the place
// of those before. There is nothing to say about it, so the body is empty or {}.
func postToken(v *visit) error {
	req, err := v.request()
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(v.body)) > 0 {
		if err := v.decode(&struct{}{}); err != nil {
			return err
		}
	}
	id, err := v.id("id")
	if err != nil {
		return err
	}
	card, err := v.desks().Tokens.Issue(v.s.ctx, v.actor, id, tokens.IssueOptions{Once: tokens.Request{Key: req.Key, Body: req.Body}})
	if err != nil {
		return err
	}
	return v.json(fiber.StatusCreated, struct {
		Token      string `json:"token"`
		Typed      string `json:"typed"`
		Generation uint8  `json:"generation"`
		QR         string `json:"qr"`
		Expires    string `json:"expires"`
	}{card.Text, card.Typed, card.Generation, "/api/v1/tokens/" + id.String() + "/qr.svg", card.Expires.Format("2006-01-02")})
}

// code is the QR code of the card that somebody holds now. The address has the id
// of the person, never the card itself: addresses end up in histories and logs.
func (v *visit) code() (tokens.Code, error) {
	id, err := v.id("id")
	if err != nil {
		return tokens.Code{}, err
	}
	card, ok, err := v.desks().Tokens.Current(v.s.ctx, v.actor, id)
	if err != nil {
		return tokens.Code{}, err
	}
	if !ok || card.Text == "" {
		return tokens.Code{}, fault.New(fault.NotFound, "fault.api.no_card")
	}
	return tokens.QR(card.Text, tokens.Standard)
}

func getQRSVG(v *visit) error {
	code, err := v.code()
	if err != nil {
		return err
	}
	v.c.Set(fiber.HeaderContentType, "image/svg+xml")
	return v.c.Send(code.SVG(tokens.Quiet))
}

func getQRPNG(v *visit) error {
	code, err := v.code()
	if err != nil {
		return err
	}
	v.c.Set(fiber.HeaderContentType, "image/png")
	return v.c.Send(code.PNG(qrDots))
}

// postVerify says what the text of a card is worth.
func postVerify(v *visit) error {
	var asked struct {
		Text *string `json:"text"`
	}
	if err := v.decode(&asked); err != nil {
		return err
	}
	if asked.Text == nil {
		return fault.New(fault.Invalid, "fault.api.fields").With("text", "fault.api.field_missing")
	}
	return v.verdict(*asked.Text)
}

// verdict judges a card. Who may read people sees whose it is, others only the id.
func (v *visit) verdict(text string) error {
	result, err := v.desks().Tokens.Verify(v.s.ctx, v.actor, text)
	if err != nil {
		return err
	}
	answer := struct {
		Verdict    tokens.Verdict `json:"verdict"`
		Reason     string         `json:"reason"`
		ReasonKey  string         `json:"reason_key"`
		Person     any            `json:"person,omitempty"`
		Generation uint8          `json:"generation"`
	}{Verdict: result.Verdict, Reason: say(v.lang, result.Reason, nil), ReasonKey: result.Reason, Generation: result.Generation}
	if result.Person != nil {
		answer.Person = onlyID{*result.Person}
		record, err := v.cardHolder(result)
		switch {
		case err == nil && record != nil:
			answer.Person = record
		case err != nil && fault.ClassOf(err) != fault.NotFound:
			return err
		}
	}
	return v.json(fiber.StatusOK, answer)
}

// cardHolder is the person a card belongs to; nil for somebody who may not read.
func (v *visit) cardHolder(result tokens.Result) (*registration.Record, error) {
	if !v.actor.Can(staff.ReadPeople) {
		return nil, nil
	}
	record, err := v.desks().Registration.Get(v.s.ctx, v.actor, *result.Person)
	if err == nil {
		err = v.lookAtCard(record)
	}
	if err != nil {
		return nil, err
	}
	return &record, nil
}

// postPhoto finds a card's code in a photo and judges it: the photo is the body,
// or the part "photo" of a multipart form.
func postPhoto(v *visit) error {
	photo, err := v.photo()
	if err != nil {
		return err
	}
	text, err := v.desks().Tokens.Read(v.s.ctx, v.actor, bytes.NewBuffer(photo))
	if err != nil {
		return err
	}
	return v.verdict(text)
}

func (v *visit) photo() ([]byte, error) {
	kind, _, err := mime.ParseMediaType(v.c.Get(fiber.HeaderContentType))
	switch {
	case err == nil && kind == fiber.MIMEMultipartForm:
		return v.file("photo")
	case err == nil && (strings.HasPrefix(kind, "image/") || kind == fiber.MIMEOctetStream):
		if len(v.body) == 0 {
			return nil, fault.New(fault.Invalid, "fault.api.no_file")
		}
		return v.body, nil
	}
	return nil, fault.New(fault.Unsupported, "fault.api.photo_type").Wrap(errors.Join(err))
}
