package ui

import (
	"strconv"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

// undertakingRoutes are the promise to keep to oneself what people told.
func (s *Server) undertakingRoutes() []route {
	return []route{
		{method: "GET", path: "/undertaking", policy: signedIn(), handle: (*visit).undertakingPage},
		{method: "POST", path: "/undertaking", policy: signedIn(), handle: (*visit).undertake},
		{method: "POST", path: "/staff/paper", policy: need(staff.ManageStaff), handle: (*visit).paper},
	}
}

// undertakingPage is its text, to accept or to print.
type undertakingPage struct {
	To     string
	Points []string
	Given  bool // accepted before
}

// undertakingPoints reads the text: undertaking.1, .2 and so on. Another text is another
// staff.UndertakingVersion.
func (v *view) undertakingPoints() []string {
	var out []string
	for n := 1; v.Lang.Has("undertaking." + strconv.Itoa(n)); n++ {
		out = append(out, v.T("undertaking."+strconv.Itoa(n)))
	}
	return out
}

func (v *visit) undertakingPage() error {
	m := undertakingPage{To: ownPath(v.query("to")), Points: (&view{Lang: v.lang}).undertakingPoints(), Given: v.session != nil && v.session.Undertaken}
	return v.render("staff/undertaking", m)
}

func (v *visit) undertake() error {
	if v.session == nil {
		return v.notSignedIn()
	}
	if err := v.desks().Staff.Undertake(v.s.ctx, *v.session); err != nil {
		return err
	}
	return v.redirect(ownPath(v.form("to")))
}

// paper writes down that somebody signed on paper.
func (v *visit) paper() error {
	day, err := time.Parse(time.DateOnly, v.form("date"))
	if err != nil {
		err = fault.New(fault.Invalid, "fault.staff.paper_date").With("date", "fault.staff.paper_date")
	} else {
		err = v.desks().Staff.UndertakenOnPaper(v.s.ctx, v.actor, v.form("user"), day)
	}
	return v.settledStaff(err)
}
