package ui

import (
	"html/template"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// badgePage is a badge to print, of the size of a card. It says who somebody is and
// proves nothing.
type badgePage struct {
	User, Role, Site, Code string
	QR                     template.HTML
	Back                   string
}

func (v *visit) badge(a staff.Account, back string) error {
	w := &view{Lang: v.lang}
	return v.render("staff/badge", badgePage{
		User: a.User, Role: w.Label("staff.role", string(a.Role)), Site: a.Site, Code: a.Badge, Back: back,
		QR: template.HTML(tokens.SVG(staff.BadgeText(a.Badge), tokens.Quiet)), //nolint:gosec // drawn by us from modules
	})
}

func (v *visit) ownBadge() error {
	a, ok := v.desks().Staff.Own(v.actor)
	if !ok {
		return fault.New(fault.NotFound, "fault.staff.no_such_user")
	}
	return v.badge(a, "/me")
}

// staffBadge is somebody else's, for the lead who prints it.
func (v *visit) staffBadge() error {
	accounts, err := v.desks().Staff.List(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if a.ID.String() == v.param("id") {
			return v.badge(a, "/staff")
		}
	}
	return fault.New(fault.NotFound, "fault.staff.no_such_user")
}
