package ui

import (
	"context"
	"html/template"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// Two people at this box open another one. The first looks at its request and signs, the
// second signs, and then this box hands over what the other gave it to keep.

// openPurpose is what the two sign for.
const openPurpose = identity.PurposeOpen

// openingsKept is how many answers are kept to be shown again.
const openingsKept = 50

// openings remember which act opens which box, and the answers. An answer opens one box
// for whoever made the request and nobody else.
type openings struct {
	mu   sync.Mutex
	all  map[oplog.ID]*openingAct
	line []oplog.ID // the oldest first
}

type openingAct struct {
	asking identity.Asking
	answer string // empty until both have signed
}

func (o *openings) keep(id oplog.ID, act *openingAct) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[oplog.ID]*openingAct{}
	}
	if o.all[id] != nil { // asked for twice: it waits with the first
		return
	}
	if o.line = append(o.line, id); len(o.line) > openingsKept {
		delete(o.all, o.line[0])
		o.line = o.line[1:]
	}
	o.all[id] = act
}

func (o *openings) answered(act *openingAct, answer string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	act.answer = answer
}

func (o *openings) get(id oplog.ID) (openingAct, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if act := o.all[id]; act != nil {
		return *act, true
	}
	return openingAct{}, false
}

// openingsPage is where a request is brought to.
type openingsPage struct {
	Waiting []askedLine
	Past    []openedLine
}

// askedLine is a box that waits for a second person.
type askedLine struct {
	Path, Site, By string
	Number         uint16
	At             time.Time
	Own            bool
}

// openedLine is a box that was opened.
type openedLine struct {
	Site, First, Second string
	At                  time.Time
}

func (v *visit) openingsModel() (openingsPage, error) {
	m, desks := openingsPage{}, v.desks()
	for _, a := range desks.Staff.Acts(v.actor) {
		act, ok := v.s.openings.get(a.ID)
		if a.Act.Purpose == openPurpose && ok {
			m.Waiting = append(m.Waiting, askedLine{
				Path: "/openings/" + a.ID.String(), Site: act.asking.Box.Site, Number: act.asking.Box.Number, By: a.ByName, At: a.At, Own: a.By == v.actor.ID,
			})
		}
	}
	past, err := desks.Identity.Openings()
	if err != nil {
		return m, err
	}
	nodes, err := desks.Identity.Nodes()
	sites := map[oplog.ID]string{}
	for _, n := range nodes {
		sites[n.ID] = n.Site
	}
	name := func(hand []byte) string { return desks.Staff.NameOf(staff.Hand(hand).Signer()) }
	for _, o := range past[:min(len(past), 20)] {
		m.Past = append(m.Past, openedLine{Site: first(sites[o.Box], o.Box.String()), First: name(o.First), Second: name(o.Second), At: o.At})
	}
	return m, err
}

func (v *visit) openings() error {
	m, err := v.openingsModel()
	if err != nil {
		return err
	}
	return v.render("night/openings", m)
}

// openingPage is one request: to look at and sign first, to confirm second, or with its
// answer.
type openingPage struct {
	Site      string
	Number    uint16
	Words     wordList
	LastHeard time.Time // zero: never, since this box was started
	Request   string    // to be signed by the first person; empty later
	Action    string    // of what waits for the second
	By        string
	Own       bool
	Answer    string
	QR        template.HTML
}

func (v *visit) openingModel(a identity.Asking) openingPage {
	m := openingPage{Site: first(a.Box.Site, a.Box.ID.String()), Number: a.Box.Number, Words: wordList{a.Request.Words(), true}}
	if status, err := v.s.config.Box.Status(v.s.ctx); err == nil {
		for _, p := range status.Peers {
			if p.Node == a.Box.ID.String() {
				m.LastHeard = p.LastContact
			}
		}
	}
	return m
}

// lookAtOpening shows which box asks. Nothing is signed yet.
func (v *visit) lookAtOpening() error {
	f := v.sent()
	text, err := v.textOrPhoto("request")
	var asking identity.Asking
	if err == nil {
		asking, err = v.desks().Identity.LookAtRequest(text)
	}
	if err != nil {
		m, modelErr := v.openingsModel()
		if modelErr != nil {
			return modelErr
		}
		return v.reshow("night/openings", m, f, err, nil)
	}
	m := v.openingModel(asking)
	m.Request = asking.Request.Text()
	return v.render("night/opening", m)
}

// askOpening is the first signature.
func (v *visit) askOpening() error {
	f := v.sent()
	delete(f.values, "passphrase")
	asking, err := v.desks().Identity.LookAtRequest(f.Value("request"))
	if err != nil {
		return err
	}
	s, done, err := v.ownHand()
	defer done()
	var id oplog.ID
	if err == nil {
		id, err = v.wantOpening(s, asking)
	}
	if err != nil {
		m := v.openingModel(asking)
		m.Request = asking.Request.Text()
		return v.reshow("night/opening", m, f, err, nil)
	}
	return v.redirect("/openings/" + id.String())
}

// wantOpening writes the first half down.
func (v *visit) wantOpening(s staff.Session, asking identity.Asking) (oplog.ID, error) {
	act, desk, kept := &openingAct{asking: asking}, v.desks().Identity, &v.s.openings
	id, err := v.desks().Staff.AskAct(s, staff.Act{
		Purpose: openPurpose, Action: staff.OpenNodes, Body: asking.Request.Bytes(), Key: "openings.act", Args: []any{"Site", asking.Box.Site},
	}, func(ctx context.Context, by staff.ID, one, two staff.Hand) error {
		answer, err := desk.AnswerRequest(ctx, by, asking.Request, one, two)
		if err == nil {
			kept.answered(act, answer)
		}
		return err
	})
	if err == nil {
		kept.keep(id, act)
	}
	return id, err
}

// waitingOpening is an act of this kind that waits, with who asked for it.
func (v *visit) waitingOpening(id oplog.ID) (staff.Waiting, bool) {
	for _, a := range v.desks().Staff.Acts(v.actor) {
		if a.ID == id && a.Act.Purpose == openPurpose {
			return a, true
		}
	}
	return staff.Waiting{}, false
}

func (v *visit) openingOf() (oplog.ID, openingPage, error) {
	gone := fault.New(fault.NotFound, "fault.staff.no_act")
	id, err := oplog.ParseID(v.param("id"))
	if err != nil {
		return id, openingPage{}, gone
	}
	act, ok := v.s.openings.get(id)
	if !ok {
		return id, openingPage{}, gone
	}
	m := v.openingModel(act.asking)
	m.Action = "/openings/" + id.String()
	if act.answer != "" {
		m.Answer, m.QR = act.answer, template.HTML(tokens.SVG(act.answer, tokens.Quiet)) //nolint:gosec // drawn by us from modules
		return id, m, nil
	}
	waiting, ok := v.waitingOpening(id)
	if !ok {
		return id, openingPage{}, gone
	}
	m.By, m.Own = waiting.ByName, waiting.By == v.actor.ID
	return id, m, nil
}

func (v *visit) opening() error {
	_, m, err := v.openingOf()
	if err != nil {
		return err
	}
	return v.render("night/opening", m)
}

// confirmOpening is the second signature; the answer is shown on the page it leads to.
func (v *visit) confirmOpening() error {
	id, m, err := v.openingOf()
	if err != nil {
		return err
	}
	s, done, err := v.ownHand()
	defer done()
	if err == nil {
		err = v.desks().Staff.ConfirmAct(v.s.ctx, s, id)
	}
	if err != nil {
		return v.reshow("night/opening", m, newForm(), err, nil)
	}
	return v.redirect("/openings/" + id.String())
}

func (v *visit) declineOpening() error {
	id, err := oplog.ParseID(v.param("id"))
	if err != nil {
		return fault.New(fault.NotFound, "fault.staff.no_act")
	}
	if err := v.desks().Staff.DeclineAct(v.actor, id); err != nil {
		return err
	}
	return v.redirect("/openings")
}
