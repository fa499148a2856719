package ui

import (
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

// lossesPages are for the day when records were damaged and nobody can give them back.
func (s *Server) lossesPages() []route {
	may := need(staff.ManageBox)
	return []route{
		{method: "GET", path: "/losses", policy: may, handle: (*visit).lossesPage},
		{method: "POST", path: "/losses", policy: may, guess: bySignIn, handle: (*visit).acceptLosses},
	}
}

// lossesPage says what is lost, and what somebody knows to be.
func (v *visit) lossesPage() error {
	m, err := v.s.config.Box.Losses(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	return v.render("box/losses", m)
}

// acceptLosses takes the warning away. It asks for the lead's own passphrase: whoever
// finds a phone must not be able to hide that records are missing.
func (v *visit) acceptLosses() error {
	f := v.sent()
	delete(f.values, "passphrase")
	refused := func(err error) error {
		m, lossesErr := v.s.config.Box.Losses(v.s.ctx, v.actor)
		if lossesErr != nil {
			return lossesErr
		}
		return v.reshow("box/losses", m, f, err, nil)
	}
	secret := v.secret("passphrase")
	defer clear(secret)
	if err := v.sameSomebody(secret); err != nil {
		return refused(err)
	}
	_, err := v.s.config.Box.AcceptLosses(v.s.ctx, v.actor)
	if err != nil && fault.Of(err).Key != "fault.identity.nothing_lost" { // they came back, or it was sent twice
		return refused(err)
	}
	return v.redirect("/losses")
}
