package ui

import (
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

// lostPages are for the day when a box is stolen, seized or simply gone: Other posts, this
// post, "This box is lost", and it is shut out.
func (s *Server) lostPages() []route {
	may, both := need(staff.SuspendNodes), need(staff.RevokeNodes)
	return []route{
		{method: "GET", path: "/lost", policy: may, handle: (*visit).lost},
		{method: "GET", path: "/lost/:node", policy: may, handle: (*visit).lostSheet},
		{method: "GET", path: "/lost/:node/suspend", policy: may, handle: (*visit).suspendPage},
		{method: "POST", path: "/lost/:node/suspend", policy: may, handle: (*visit).suspend},
		{method: "POST", path: "/lost/:node/lift", policy: may, guess: bySignature, handle: (*visit).lift},
		{method: "POST", path: "/lost/:node/revoke", policy: both, guess: bySignature, handle: (*visit).revoke},
		{method: "GET", path: "/lost/:node/held", policy: may, handle: (*visit).heldBack},
		{method: "POST", path: "/lost/:node/held", policy: both, guess: bySignature, handle: (*visit).release},
	}
}

// lostPage lists the boxes that are shut out, and the issuers where there are several.
type lostPage struct {
	Boxes   []lostLine
	Issuers []issuerLine
}

// issuerLine is an issuer, by the sites where it lives, or by its id.
type issuerLine struct{ ID, Name, State, Tone string }

// lostLine is one of them, in a list.
type lostLine struct {
	control.LostBox
	Path, Name, State, Tone, Heard string
	Waiting                        []string // names of those not known to have heard
}

// incidentPage is the sheet of one box, to be printed.
type incidentPage struct {
	Incident control.Incident
	lostLine
	Shut, MayRevoke, Agree bool // Agree: somebody else has asked that it be revoked
	Asking                 bool // whoever looks has asked
}

func (v *visit) lost() error {
	boxes, err := v.s.config.Box.Lost(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	m, w := lostPage{}, &view{Lang: v.lang}
	for _, b := range boxes {
		m.Boxes = append(m.Boxes, lostLineOf(w, b))
	}
	if m.Issuers, err = v.issuerLines(w); err != nil {
		return err
	}
	return v.render("lost/list", m)
}

func (v *visit) issuerLines(w *view) (out []issuerLine, err error) {
	all, err := v.s.config.Box.Issuers(v.s.ctx, v.actor)
	if err != nil || len(all) < 2 {
		return nil, err
	}
	for _, i := range all {
		out = append(out, issuerLineOf(w, i))
	}
	return out, nil
}

func issuerLineOf(w *view, i control.Issuer) issuerLine {
	l := issuerLine{ID: i.ID, Name: strings.Join(i.Sites, ", "), Tone: "good", State: w.T("lost.issuers.good")}
	switch {
	case i.Revoked:
		l.Tone, l.State = "bad", w.T("lost.issuers.revoked")
	case i.Words > 0:
		l.Tone, l.State = "warn", w.T("lost.issuers.asked")
	case i.Own:
		l.State = w.T("lost.issuers.here")
	}
	return l
}

func lostLineOf(w *view, b control.LostBox) lostLine {
	l := lostLine{LostBox: b, Path: "/lost/" + b.Node, Name: postName(w, b.Site, b.Number, false), Tone: "warn"}
	switch b.Standing {
	case "suspended":
		l.State = w.T("lost.state.suspended")
	case "revoked":
		l.Tone, l.State = "bad", w.T("lost.state.revoked")
	default:
		l.Tone, l.State = "good", w.T("lost.state.good")
	}
	l.Heard = w.T("lost.known", "Count", len(b.Known))
	for _, s := range b.Unheard {
		l.Waiting = append(l.Waiting, siteName(w, s))
	}
	slices.Sort(l.Waiting)
	if l.LostBox.At = siteName(w, b.At); b.At == "" {
		l.LostBox.At = ""
	}
	if b.By == "operator" { // a name nobody can have: it was said with a verb
		l.LostBox.By = w.T("lost.by_verb")
	}
	return l
}

func (v *visit) incidentModel() (incidentPage, error) {
	i, err := v.s.config.Box.Incident(v.s.ctx, v.actor, v.param("node"))
	if err != nil {
		return incidentPage{}, err
	}
	w := &view{Lang: v.lang}
	m := incidentPage{Incident: i, lostLine: lostLineOf(w, i.LostBox), Shut: i.Standing != "", MayRevoke: v.actor.Can(staff.RevokeNodes) && i.Standing != "revoked"}
	m.Asking = i.Asked != "" && i.Asked == v.actor.Name
	m.Agree = i.Asked != "" && !m.Asking
	return m, nil
}

func (v *visit) lostSheet() error {
	m, err := v.incidentModel()
	if err != nil {
		return err
	}
	return v.render("lost/sheet", m)
}

func (v *visit) suspendPage() error {
	m, err := v.incidentModel()
	if err != nil {
		return err
	}
	if m.Shut {
		return v.redirect(m.Path)
	}
	return v.render("lost/ask", m)
}

// suspend asks for no passphrase: whoever stands there with a thief in the yard has no
// time, and an issuer takes it back.
func (v *visit) suspend() error {
	m, err := v.incidentModel()
	if err != nil {
		return err
	}
	if err := v.s.config.Box.Suspend(v.s.ctx, v.actor, m.Incident.Node); err != nil {
		return v.reshow("lost/ask", m, newForm(), err, nil)
	}
	return v.redirect(m.Path)
}

// lift asks for the passphrase: whoever finds a phone must not give a thief the keys back.
func (v *visit) lift() error {
	m, err := v.incidentModel()
	if err != nil {
		return err
	}
	_, done, err := v.ownHand()
	defer done()
	if err == nil {
		err = v.s.config.Box.Lift(v.s.ctx, v.actor, m.Incident.Node)
	}
	if err != nil && fault.Of(err).Key != "fault.identity.not_suspended" { // sent twice
		return v.reshow("lost/sheet", m, newForm(), err, nil)
	}
	return v.redirect(m.Path)
}

// revoke is one of the two halves, whichever is missing.
func (v *visit) revoke() error {
	m, err := v.incidentModel()
	if err != nil {
		return err
	}
	s, done, err := v.ownHand()
	defer done()
	switch {
	case err != nil:
	case m.Agree:
		err = v.s.config.Box.AgreeRevoke(v.s.ctx, s, m.Incident.Node)
	default:
		_, err = v.s.config.Box.AskRevoke(v.s.ctx, s, m.Incident.Node)
	}
	if err != nil {
		return v.reshow("lost/sheet", m, newForm(), err, nil)
	}
	return v.redirect(m.Path)
}

// heldPage lists what a revoked box wrote that does not count.
type heldPage struct {
	Path, Name string
	Ops        []heldOpLine
	MayRelease bool
}

type heldOpLine struct {
	control.HeldOp
	Text   string
	Chosen bool
}

// Value names it in the form.
func (l heldOpLine) Value() string { return l.Log + ":" + strconv.FormatUint(l.Seq, 10) }

// maxHeldShown is how many are listed at once: those that are released make room.
const maxHeldShown = 200

func (v *visit) heldModel() (heldPage, error) {
	i, err := v.incidentModel()
	if err != nil {
		return heldPage{}, err
	}
	held, err := v.s.config.Box.Held(v.s.ctx, v.actor, i.Incident.Node)
	if err != nil {
		return heldPage{}, err
	}
	w := &view{Lang: v.lang}
	m := heldPage{Path: i.Path, Name: i.Name, MayRelease: v.actor.Can(staff.RevokeNodes) && v.s.config.Box.Site().CanInvite}
	for _, o := range held[:min(len(held), maxHeldShown)] {
		m.Ops = append(m.Ops, heldOpLine{HeldOp: o, Text: heldText(w, o.Kind)})
	}
	return m, nil
}

// heldText says what a fact is about, in words: whoever decides asks those who worked there
// what they did at that time.
func heldText(w *view, kind string) string {
	if key := "lost.held." + kind; w.Lang.Has(key) {
		return w.T(key)
	}
	desk, _, _ := strings.Cut(kind, ".")
	switch desk {
	case "registration", "tokens", "staff", "identity":
		return w.T("lost.held." + desk)
	case "":
		return w.T("lost.held.unread")
	}
	return w.T("lost.held.other")
}

func (v *visit) heldBack() error {
	m, err := v.heldModel()
	if err != nil {
		return err
	}
	return v.render("lost/held", m)
}

// release asks that the chosen records count. A second person agrees, as to other acts.
func (v *visit) release() error {
	m, err := v.heldModel()
	if err != nil {
		return err
	}
	chosen := v.formAll("op")
	var ops []control.HeldOp
	for _, o := range m.Ops {
		if slices.Contains(chosen, o.Value()) {
			ops = append(ops, o.HeldOp)
		}
	}
	if len(ops) == 0 {
		return v.reshow("lost/held", m, newForm(), fault.New(fault.NotFound, "fault.identity.not_held"), nil)
	}
	s, done, err := v.ownHand()
	defer done()
	if err == nil {
		_, err = v.s.config.Box.AskRelease(v.s.ctx, s, v.param("node"), ops)
	}
	if err != nil {
		for i := range m.Ops { // what was chosen stays chosen
			m.Ops[i].Chosen = slices.Contains(chosen, m.Ops[i].Value())
		}
		return v.reshow("lost/held", m, newForm(), err, nil)
	}
	return v.redirect("/acts")
}
