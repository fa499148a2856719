package ui

import (
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
)

// erasePages are the pages of erasing people.
func (s *Server) erasePages() []route {
	may, undo := need(staff.ErasePeople), need(staff.UndoErasures)
	return []route{
		{method: "GET", path: "/people/:id/erase", policy: may, handle: (*visit).erasePage},
		{method: "POST", path: "/people/:id/erase", policy: may, guess: bySignature, handle: (*visit).erase},
		{method: "GET", path: "/approvals", policy: may, handle: (*visit).approvals},
		{method: "GET", path: "/approvals/:id", policy: may, handle: (*visit).approval},
		{method: "POST", path: "/approvals/:id/confirm", policy: may, guess: bySignature, handle: (*visit).confirmErasure},
		{method: "POST", path: "/approvals/:id/decline", policy: may, handle: (*visit).declineErasure},
		{method: "GET", path: "/erasures/:id", policy: may, handle: (*visit).erasure},
		{method: "POST", path: "/erasures/:id/undo", policy: undo, guess: bySignature, handle: (*visit).undoErasure},
		{method: "POST", path: "/erasures/:id/finish", policy: undo, guess: bySignature, handle: (*visit).finishErasure},
	}
}

// eraseAlerts says on the home page what waits for a second person.
func (v *visit) eraseAlerts() (out []alertLine, err error) {
	c, err := v.desks().Staff.Counts(v.s.ctx)
	w := &view{Lang: v.lang}
	if c.Waiting > 0 {
		out = append(out, alertLine{Tone: "warn", Text: w.T("home.approvals", "Count", c.Waiting), Link: "/approvals"})
	}
	return out, err
}

// erasePage asks why and for the passphrase.
type erasePage struct {
	Name, Path, Action string
	Reasons            []string
}

func (v *visit) eraseModel() (erasePage, error) {
	id, err := v.subject("fault.registration.no_person")
	if err != nil {
		return erasePage{}, err
	}
	r, err := v.desks().Registration.Get(v.s.ctx, v.actor, id)
	if err != nil {
		return erasePage{}, err
	}
	if err := v.lookThrough([]registration.Record{r}, false); err != nil {
		return erasePage{}, err
	}
	path := "/people/" + id.String()
	return erasePage{Name: v.words().name(r.Person), Path: path, Action: path + "/erase", Reasons: staff.EraseReasons()}, nil
}

func (v *visit) erasePage() error {
	m, err := v.eraseModel()
	if err != nil {
		return err
	}
	return v.render("erase/ask", m)
}

// erase writes the first half and shows what waits now.
func (v *visit) erase() error {
	m, err := v.eraseModel()
	if err != nil {
		return err
	}
	f := v.sent()
	delete(f.values, "passphrase")
	id, err := v.subject("fault.registration.no_person")
	if err != nil {
		return err
	}
	s, done, err := v.ownHand()
	defer done()
	if err != nil {
		return v.reshow("erase/ask", m, f, err, nil)
	}
	approval, err := v.desks().Registration.Erase(v.s.ctx, s, id, f.Value("reason"), f.Value("text"))
	if err != nil {
		return v.reshow("erase/ask", m, f, err, nil)
	}
	return v.redirect("/approvals/" + approval.String())
}

// approvalLine is a request in a list.
type approvalLine struct {
	Path, Name, Reason, By string
	At                     time.Time
	Own                    bool
}

// erasureLine is an erasure in a list: no name is left.
type erasureLine struct {
	Path, ID, State, Tone string
	At                    time.Time
	File                  bool // a sealed file
}

type approvalsPage struct {
	Waiting  []approvalLine
	Erasures []erasureLine
}

func (v *visit) approvals() error {
	waiting, err := v.desks().Staff.Approvals(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	erasures, err := v.desks().Staff.Erasures(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	m, w := approvalsPage{}, v.words()
	for _, a := range waiting {
		m.Waiting = append(m.Waiting, v.approvalLine(w, a))
	}
	for _, e := range erasures {
		m.Erasures = append(m.Erasures, w.erasureLine(e))
	}
	return v.render("erase/list", m)
}

func (v *visit) approvalLine(w speaker, a staff.Approval) approvalLine {
	l := approvalLine{
		Path: "/approvals/" + a.ID.String(), Reason: w.Label("staff.erase.reason", a.Reason), By: a.By, At: a.At, Own: a.ByID == v.actor.ID,
	}
	if r, err := v.desks().Registration.Get(v.s.ctx, v.actor, a.Person); err == nil && v.lookThrough([]registration.Record{r}, false) == nil {
		l.Name = w.name(r.Person)
	}
	if a.Text != "" {
		l.Reason += ": " + a.Text
	}
	return l
}

// erasureLine says how far an erasure is.
func (s speaker) erasureLine(e staff.Erasure) erasureLine {
	l := erasureLine{Path: "/erasures/" + e.Person.String(), ID: e.Person.String(), At: e.At, Tone: "warn", File: e.File}
	switch {
	case e.Here && len(e.Pending) == 0:
		l.Tone, l.State = "good", s.T("erase.state.done")
	case e.Here:
		l.State = s.T("erase.state.pending", "Count", len(e.Pending))
	case e.Final:
		l.State = s.T("erase.state.soon")
	case !e.Trusted || e.Over:
		l.Tone, l.State = "bad", s.T("erase.state.signing")
	default:
		l.State = s.T("erase.state.hidden", "Count", hours(e.Left))
	}
	return l
}

// approvalPage is one request, to confirm or decline.
type approvalPage struct {
	approvalLine
	Person, Action string
	Household      bool // goes with the person
}

func (v *visit) approvalModel() (approvalPage, oplog.ID, error) {
	id, err := v.subject("fault.staff.no_approval")
	if err != nil {
		return approvalPage{}, id, err
	}
	all, err := v.desks().Staff.Approvals(v.s.ctx, v.actor)
	if err != nil {
		return approvalPage{}, id, err
	}
	i := slices.IndexFunc(all, func(a staff.Approval) bool { return a.ID == id })
	if i < 0 {
		return approvalPage{}, id, fault.New(fault.NotFound, "fault.staff.no_approval")
	}
	l := v.approvalLine(v.words(), all[i])
	return approvalPage{approvalLine: l, Person: "/people/" + all[i].Person.String(), Action: l.Path, Household: all[i].Others > 0}, id, nil
}

func (v *visit) approval() error {
	m, _, err := v.approvalModel()
	if err != nil {
		return err
	}
	return v.render("erase/approval", m)
}

// confirmErasure writes the second half.
func (v *visit) confirmErasure() error {
	m, id, err := v.approvalModel()
	if err != nil {
		return err
	}
	s, done, err := v.ownHand()
	defer done()
	if err != nil {
		return v.reshow("erase/approval", m, newForm(), err, nil)
	}
	person, err := v.desks().Staff.ConfirmErasure(v.s.ctx, s, id)
	if err != nil {
		return v.reshow("erase/approval", m, newForm(), err, nil)
	}
	return v.redirect("/erasures/" + person.String())
}

func (v *visit) declineErasure() error {
	id, err := v.subject("fault.staff.no_approval")
	if err != nil {
		return err
	}
	if err := v.desks().Staff.DeclineErasure(v.s.ctx, v.actor, id); err != nil {
		return err
	}
	return v.redirect("/approvals")
}

// erasurePage is what became of an erasure.
type erasurePage struct {
	erasureLine
	By            []string
	Done, Pending []nodeLine
	MayUndo       bool
	MayFinish     bool
	Why           string // why an issuer has to sign; empty when nobody has to
}

// nodeLine is a node, by the name of its site and its id.
type nodeLine struct{ Site, ID string }

func (v *visit) erasureModel() (erasurePage, oplog.ID, error) {
	id, err := v.subject("fault.staff.no_erasure")
	if err != nil {
		return erasurePage{}, id, err
	}
	e, err := v.desks().Staff.ErasureOf(v.s.ctx, v.actor, id)
	if err != nil {
		return erasurePage{}, id, err
	}
	names := map[oplog.ID]string{}
	nodes, err := v.desks().Identity.Nodes()
	if err != nil {
		return erasurePage{}, id, err
	}
	w := v.words()
	for _, n := range nodes {
		names[n.ID] = siteName(w.view, n.Site)
	}
	undo := v.actor.Can(staff.UndoErasures)
	m := w.erasurePage(e, names)
	m.MayUndo = undo && !e.Final && len(e.DoneAt) == 0
	m.MayFinish = undo && !e.Final && v.s.config.Box.Site().CanInvite
	return m, id, nil
}

func (s speaker) erasurePage(e staff.Erasure, names map[oplog.ID]string) erasurePage {
	m := erasurePage{erasureLine: s.erasureLine(e)}
	for _, by := range e.By {
		if by != "" {
			m.By = append(m.By, by)
		}
	}
	for _, id := range e.DoneAt {
		m.Done = append(m.Done, nodeLine{names[id], id.String()})
	}
	for _, id := range e.Pending {
		m.Pending = append(m.Pending, nodeLine{names[id], id.String()})
	}
	switch {
	case e.Here || e.Final:
	case !e.Trusted:
		m.Why = s.T("erase.why.untrusted")
	case e.Over:
		m.Why = s.T("erase.why.over", "Count", staff.EraseCap)
	}
	return m
}

func (v *visit) erasure() error {
	m, _, err := v.erasureModel()
	if err != nil {
		return err
	}
	return v.render("erase/erasure", m)
}

func (v *visit) undoErasure() error {
	return v.settleErasure(func(s staff.Session, id oplog.ID) (string, error) {
		next := "/people/" + id.String()
		if e, err := v.desks().Staff.ErasureOf(v.s.ctx, v.actor, id); err == nil && e.File {
			next = "/approvals" // nobody here has a page of it
		}
		return next, v.desks().Staff.UndoErasure(v.s.ctx, s, id)
	})
}

func (v *visit) finishErasure() error {
	return v.settleErasure(func(s staff.Session, id oplog.ID) (string, error) {
		return "/erasures/" + id.String(), v.desks().Staff.FinishErasure(v.s.ctx, s, id)
	})
}

// settleErasure is what undoing and finishing share.
func (v *visit) settleErasure(do func(staff.Session, oplog.ID) (next string, err error)) error {
	m, id, err := v.erasureModel()
	if err != nil {
		return err
	}
	s, done, err := v.ownHand()
	defer done()
	next := ""
	if err == nil {
		next, err = do(s, id)
	}
	if err != nil {
		return v.reshow("erase/erasure", m, newForm(), err, nil)
	}
	return v.redirect(next)
}
