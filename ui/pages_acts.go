package ui

import (
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// actRoutes are what waits for a second person: anything that staff.Desk.AskAct took.
// Which of it somebody sees is their role's; everybody signed in may look.
func (s *Server) actRoutes() []route {
	return []route{
		{method: "GET", path: "/acts", policy: signedIn(), handle: (*visit).acts},
		{method: "GET", path: "/acts/:id", policy: signedIn(), handle: (*visit).act},
		{method: "POST", path: "/acts/:id/confirm", policy: signedIn(), guess: bySignature, handle: (*visit).confirmAct},
		{method: "POST", path: "/acts/:id/decline", policy: signedIn(), handle: (*visit).declineAct},
	}
}

// actLine is one act that waits.
type actLine struct {
	Path, Text, By string
	At             time.Time
	Own            bool // asked for by whoever looks
}

// actsPage is the list; Done says what was just done.
type actsPage struct {
	Waiting []actLine
	Done    string
}

// actLines are the acts that whoever looks may agree to, or asked for.
func (v *visit) actLines() (out []actLine) {
	for _, a := range v.desks().Staff.Acts(v.actor) {
		out = append(out, v.actLine(a))
	}
	return out
}

func (v *visit) actLine(a staff.Waiting) actLine {
	w := &view{Lang: v.lang}
	if aboutFile(a.Act) { // what it says is for the pages of sealed files
		return actLine{Path: "/second/" + a.ID.String(), Text: w.T("second." + a.Act.Purpose), By: a.ByName, At: a.At, Own: a.By == v.actor.ID}
	}
	return actLine{Path: "/acts/" + a.ID.String(), Text: w.actText(a.Act), By: a.ByName, At: a.At, Own: a.By == v.actor.ID}
}

// actText is what the second person agrees to. A desk is called as pages call it.
func (w *view) actText(a staff.Act) string {
	args := slices.Clone(a.Args)
	for i, arg := range args {
		if n, is := arg.(staff.Narrow); is {
			args[i] = w.Label("sealed.desk", string(n))
		}
	}
	return w.T(a.Key, args...)
}

func (v *visit) acts() error {
	m := actsPage{Waiting: v.actLines()}
	if v.query("done") != "" {
		m.Done = v.lang.Text("acts.done", nil)
	}
	return v.render("staff/acts", m)
}

// actAlerts says on the home page what waits for whoever looks.
func (v *visit) actAlerts() (out []alertLine) {
	n := 0
	for _, l := range v.actLines() {
		if !l.Own {
			n++
		}
	}
	if n > 0 {
		w := &view{Lang: v.lang}
		out = append(out, alertLine{Tone: "warn", Text: w.T("home.acts", "Count", n), Link: "/acts"})
	}
	return out
}

func (v *visit) theAct() (actLine, oplog.ID, error) {
	id, err := v.subject("fault.staff.no_act")
	if err != nil {
		return actLine{}, id, err
	}
	for _, a := range v.desks().Staff.Acts(v.actor) {
		if a.ID == id && !aboutFile(a.Act) {
			return v.actLine(a), id, nil
		}
	}
	return actLine{}, id, fault.New(fault.NotFound, "fault.staff.no_act")
}

func (v *visit) act() error {
	l, _, err := v.theAct()
	if err != nil {
		return err
	}
	return v.render("staff/act", l)
}

// confirmAct is the second half: the passphrase is asked for at that moment.
func (v *visit) confirmAct() error {
	l, id, err := v.theAct()
	if err != nil {
		return err
	}
	s, done, err := v.ownHand()
	defer done()
	if err == nil {
		err = v.desks().Staff.ConfirmAct(v.s.ctx, s, id)
	}
	if err != nil {
		return v.reshow("staff/act", l, newForm(), err, nil)
	}
	return v.redirect("/acts?done=1")
}

func (v *visit) declineAct() error {
	_, id, err := v.theAct()
	if err != nil {
		return err
	}
	if err := v.desks().Staff.DeclineAct(v.actor, id); err != nil {
		return err
	}
	return v.redirect("/acts")
}
