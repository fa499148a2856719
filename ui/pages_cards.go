package ui

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// cardState is what a person's page says about their card.
type cardState struct {
	Typed, Until string
	Expired      bool
	Nth          int // 1 for the first card
	At           time.Time
}

// cardFace is what is printed on a card: nothing about the person, so that a lost
// card tells a stranger nothing.
type cardFace struct {
	QR                        template.HTML // the large one, that stands much damage
	Spare                     template.HTML // the small one, in the opposite corner
	Name, Typed, Until, Month string
}

// cardPage is one card to print.
type cardPage struct {
	Name, Back string
	Face       cardFace
}

// sheetPage is many cards on A4.
type sheetPage struct {
	Back  string
	Faces []cardFace
}

// maxSheet is how many cards one page prints: ten sheets of ten.
const maxSheet = 100

// cardState is nil for somebody without a card.
func (v *visit) cardState(person oplog.ID) (*cardState, error) {
	c, ok, err := v.desks().Tokens.Current(v.s.ctx, v.actor, person)
	if err != nil || !ok {
		return nil, err
	}
	return &cardState{
		Typed: c.Typed, Until: c.Expires.Format(time.DateOnly), Nth: int(c.Generation) + 1, At: c.IssuedAt,
		Expired: v.s.config.Clock.Sure() && v.s.config.Clock.Now().After(c.Expires.AddDate(0, 0, 1)),
	}, nil
}

// face draws a card. Its words are in the language of whoever prints it. A crease
// across one of the codes leaves the other.
func (v *visit) face(c tokens.Card) (cardFace, error) {
	large, err := tokens.QR(c.Text, tokens.Strong)
	if err != nil {
		return cardFace{}, err
	}
	return cardFace{
		QR:    template.HTML(large.SVG(tokens.Quiet)),          //nolint:gosec // drawn by us from modules
		Spare: template.HTML(tokens.SVG(c.Text, tokens.Quiet)), //nolint:gosec // as above
		Name:  v.lang.Text("app.name", nil), Typed: c.Typed,
		Until: v.lang.Text("card.face.until", nil), Month: fmt.Sprintf("%02d / %d", c.Expires.Month(), c.Expires.Year()),
	}, nil
}

func (v *visit) cardPage() error {
	id, err := v.subject("fault.registration.no_person")
	if err != nil {
		return err
	}
	r, err := v.desks().Registration.Get(v.s.ctx, v.actor, id)
	if err != nil {
		return err
	}
	c, ok, err := v.desks().Tokens.Current(v.s.ctx, v.actor, id)
	if err != nil {
		return err
	}
	at := "/people/" + id.String()
	if !ok {
		return v.redirect(at)
	}
	if err := v.look(staff.LookedToPrint, r); err != nil {
		return err
	}
	face, err := v.face(c)
	if err != nil {
		return err
	}
	return v.render("cards/card", cardPage{Name: v.words().name(r.Person), Back: at, Face: face})
}

// issueCard makes the first card, or the next one when it was lost.
func (v *visit) issueCard() error {
	id, err := v.subject("fault.registration.no_person")
	if err != nil {
		return err
	}
	options := tokens.IssueOptions{Once: tokens.Request{Key: onceKey(v.form("once"))}}
	if _, err := v.desks().Tokens.Issue(v.s.ctx, v.actor, id, options); err != nil {
		return savedBefore(err)
	}
	return v.redirect("/people/" + id.String() + "/card")
}

// issueHousehold makes a card for every member who has none, and shows all.
func (v *visit) issueHousehold() error {
	id, err := v.subject("fault.registration.no_household")
	if err != nil {
		return err
	}
	h, err := v.desks().Registration.Household(v.s.ctx, v.actor, id)
	if err != nil {
		return err
	}
	for _, r := range h.Members {
		_, has, err := v.desks().Tokens.Current(v.s.ctx, v.actor, r.ID)
		if err != nil {
			return err
		}
		if has {
			continue
		}
		// The key makes two presses of the button one card each, also when they race.
		once := tokens.Request{Key: onceKey("first-card-" + r.ID.String())}
		if _, err := v.desks().Tokens.Issue(v.s.ctx, v.actor, r.ID, tokens.IssueOptions{Once: once}); err != nil {
			return savedBefore(err)
		}
	}
	return v.redirect("/households/" + id.String() + "/cards")
}

func (v *visit) householdSheet() error {
	id, err := v.subject("fault.registration.no_household")
	if err != nil {
		return err
	}
	h, err := v.desks().Registration.Household(v.s.ctx, v.actor, id)
	if err != nil {
		return err
	}
	if err := v.look(staff.LookedToPrint, h.Members...); err != nil {
		return err
	}
	ids := make([]oplog.ID, 0, len(h.Members))
	for _, r := range h.Members {
		ids = append(ids, r.ID)
	}
	return v.showSheet(ids, "/households/"+id.String())
}

// sheet is GET /cards?ids=a,b: cards of anybody, for people who were registered at
// different times.
func (v *visit) sheet() error {
	var ids []oplog.ID
	for part := range strings.SplitSeq(v.query("ids"), ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		id, err := oplog.ParseID(part)
		if err != nil {
			return fault.New(fault.NotFound, "fault.registration.no_person").Wrap(err)
		}
		if ids = append(ids, id); len(ids) == maxSheet {
			break
		}
	}
	var found []registration.Record
	for _, id := range ids {
		if r, err := v.desks().Registration.Get(v.s.ctx, v.actor, id); err == nil {
			found = append(found, r)
		}
	}
	if err := v.look(staff.LookedToPrint, found...); err != nil {
		return err
	}
	return v.showSheet(ids, "/people")
}

func (v *visit) showSheet(ids []oplog.ID, back string) error {
	m := sheetPage{Back: back}
	for _, id := range ids[:min(len(ids), maxSheet)] {
		c, ok, err := v.desks().Tokens.Current(v.s.ctx, v.actor, id)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		face, err := v.face(c)
		if err != nil {
			return err
		}
		m.Faces = append(m.Faces, face)
	}
	return v.render("cards/sheet", m)
}

// readable is a person's line for somebody who may read people, nil for others.
func (v *visit) readable(id *oplog.ID) *personLine {
	if id == nil || !v.actor.Can(staff.ReadPeople) {
		return nil
	}
	var r registration.Record
	r, err := v.desks().Registration.Get(v.s.ctx, v.actor, *id)
	if err != nil || v.lookAtCard(r) != nil {
		return nil // the card is known before its person has arrived
	}
	line := v.words().line(r)
	return &line
}
