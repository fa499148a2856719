package ui

import (
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
)

// What is around sealed files: opening the desks, and the officers. Passing something on is
// in pages_tell.go.

// beginPage opens the sealed desks of a deployment.
type beginPage struct {
	Here, Open        bool
	Officers, Workers []personChoice
	Asked             bool // it waits for a second person
}

func (v *visit) beginModel() (m beginPage, err error) {
	d := v.desks()
	if m.Open, err = d.Sealed.Opened(); err != nil {
		return m, err
	}
	m.Here = d.Sealed.MayBegin()
	all, err := d.Staff.Directory()
	if err != nil {
		return m, err
	}
	for _, w := range all {
		one := choices([]staff.Worker{w})[0]
		one.Name += " · " + v.lang.Text("staff.role."+string(w.Role), nil)
		switch {
		case w.Off:
		case w.Actor().Can(staff.BreakGlass):
			m.Officers = append(m.Officers, one)
		case w.Actor().Can(staff.WorkSealed):
			m.Workers = append(m.Workers, one)
		}
	}
	return m, nil
}

func (v *visit) beginPage() error {
	m, err := v.beginModel()
	if err != nil {
		return err
	}
	return v.render("sealed/begin", m)
}

func (v *visit) beginDesks() error {
	m, err := v.beginModel()
	if err != nil {
		return err
	}
	var setup sealed.Setup
	if setup.Officers, err = v.accounts("officers"); err == nil {
		setup.Workers, err = v.accounts("workers")
	}
	switch {
	case err != nil:
	case m.Open:
		var s staff.Session
		if s, err = v.own(); err == nil {
			_, err = v.desks().Sealed.AskAgain(s, setup)
			m.Asked = err == nil
		}
	default:
		err = v.desks().Sealed.Begin(v.s.ctx, v.actor, setup)
	}
	if err != nil {
		return v.reshow("sealed/begin", m, v.sent(), err, nil)
	}
	if m.Asked {
		return v.render("sealed/begin", m)
	}
	return v.redirect("/box/desks")
}

// officersPage is for the officers.
type officersPage struct {
	Officers []personChoice
	Share    bool
	Small    bool // there are none
	Broken   []brokenLine
	Out      []brokenLine
	Waiting  []waitingLine
	Desks    []string
	Workers  []personChoice
	May      []personChoice // who could be an officer
}

type brokenLine struct {
	At            time.Time
	First, Second string
	Parcel        string // of a hand-over
}

type waitingLine struct {
	ID, Action, Text, By string
	At                   time.Time
	Own                  bool
}

func (v *visit) officersModel() (m officersPage, err error) {
	s, err := v.own()
	if err != nil {
		return m, err
	}
	o, err := v.desks().Sealed.Officers(s)
	if err != nil {
		return m, err
	}
	m = officersPage{Officers: choices(o.Officers), Share: o.Share, Small: len(o.Officers) == 0}
	for _, b := range o.Broken {
		m.Broken = append(m.Broken, brokenLine(b))
	}
	for _, b := range o.Out {
		b.Parcel = inFours(b.Parcel[:min(len(b.Parcel), 16)])
		m.Out = append(m.Out, brokenLine(b))
	}
	w := v.words()
	for _, a := range v.desks().Staff.Acts(v.actor) {
		if !ofOfficers(a.Act) {
			continue
		}
		m.Waiting = append(m.Waiting, waitingLine{
			ID: a.ID.String(), Action: "/officers/" + a.ID.String(), Text: w.actText(a.Act), By: a.ByName, At: a.At, Own: a.By == v.actor.ID,
		})
	}
	for _, n := range staff.Narrows() {
		m.Desks = append(m.Desks, string(n))
	}
	all, err := v.desks().Staff.Directory()
	for _, one := range all {
		switch {
		case one.Off:
		case one.Actor().Can(staff.WorkSealed):
			m.Workers = append(m.Workers, choices([]staff.Worker{one})...)
		case one.Actor().Can(staff.BreakGlass):
			m.May = append(m.May, choices([]staff.Worker{one})...)
		}
	}
	return m, err
}

// ofOfficers reports whether an act is agreed to on the officers' page: what it says is shown there.
func ofOfficers(a staff.Act) bool {
	return slices.Contains([]string{sealed.GlassPurpose, sealed.BeginPurpose, sealed.TurnPurpose}, a.Purpose)
}

// officersAct is the act that a form of that page is about. Fault: NotFound
// "fault.staff.no_act" for one that the page does not show.
func (v *visit) officersAct() (oplog.ID, error) {
	id, err := v.subject("fault.staff.no_act")
	if err == nil && !slices.ContainsFunc(v.desks().Staff.Acts(v.actor), func(a staff.Waiting) bool { return a.ID == id && ofOfficers(a.Act) }) {
		err = fault.New(fault.NotFound, "fault.staff.no_act")
	}
	return id, err
}

func (v *visit) officers() error {
	m, err := v.officersModel()
	if err != nil {
		return err
	}
	return v.render("sealed/officers", m)
}

func (v *visit) askGlass() error {
	return v.glass(func(s staff.Session) error {
		e := sealed.Emergency{What: sealed.GlassFile, Narrow: staff.Narrow(v.form("desk")), Reason: v.form("reason")}
		which := strings.ToLower(strings.TrimSpace(v.form("which")))
		if which == "" {
			e.What = sealed.GlassAccess
		} else {
			id, err := oplog.ParseID(which)
			if err != nil {
				return fault.New(fault.Invalid, "fault.sealed.bad_id").With("which", "fault.sealed.bad_id")
			}
			e.Which = id
		}
		var err error
		if e.To, err = v.somebody("to"); err != nil {
			return err
		}
		_, err = v.desks().Sealed.AskGlass(s, e)
		return err
	})
}

// askTurn asks for other officers: those that are ticked.
func (v *visit) askTurn() error {
	return v.glass(func(s staff.Session) error {
		next, err := v.accounts("officers")
		if err == nil {
			_, err = v.desks().Sealed.AskTurn(s, next)
		}
		return err
	})
}

func (v *visit) confirmGlass() error {
	return v.glass(func(s staff.Session) error {
		id, err := v.officersAct()
		if err != nil {
			return err
		}
		return v.desks().Staff.ConfirmAct(v.s.ctx, s, id)
	})
}

// glass does something an officer signs for.
func (v *visit) glass(do func(s staff.Session) error) error {
	s, done, err := v.ownHand()
	defer done()
	if err == nil {
		err = do(s)
	}
	if err == nil {
		return v.redirect("/officers")
	}
	f := v.sent()
	delete(f.values, "passphrase")
	m, modelErr := v.officersModel()
	if modelErr != nil {
		return modelErr
	}
	return v.reshow("sealed/officers", m, f, err, nil)
}

func (v *visit) declineGlass() error {
	id, err := v.officersAct()
	if err != nil {
		return err
	}
	if err := v.desks().Staff.DeclineAct(v.actor, id); err != nil {
		return err
	}
	return v.redirect("/officers")
}

// sealedAlerts says on the home page that files were opened in an emergency lately, and to
// a lead that the desks have no keys yet.
func (v *visit) sealedAlerts() (out []alertLine, err error) {
	d := v.desks().Sealed
	n, left, err := d.Alerts(v.actor)
	if err != nil {
		return nil, err
	}
	w := &view{Lang: v.lang}
	if n > 0 {
		out = append(out, alertLine{Tone: "warn", Text: w.T("home.glass", "Count", n), Link: "/officers"})
	}
	if left > 0 {
		out = append(out, alertLine{Tone: "warn", Text: w.T("home.out", "Count", left), Link: "/officers"})
	}
	return out, nil
}
