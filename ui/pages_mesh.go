package ui

import (
	"html/template"
	"strconv"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// meshPage is who else is there and what is kept where.
type meshPage struct {
	Line                  meshLine
	Compare               []compareBox
	Peers                 []peerLine
	Held                  []heldLine
	MayInvite, MayConfirm bool
	MaySuspend            bool
	MayOpen               bool // another, locked box
}

// compareBox is a node whose words nobody has compared; Site is empty until the name
// has arrived.
type compareBox struct {
	ID, Site string
	Words    wordList
	Said     bool // here; this box itself waits for the other
}

type peerLine struct {
	Site, Number, State, Tone string
	Confirmed                 bool
	Last                      time.Time
	Behind, Ahead             string // in words; empty when nothing
	Shut                      string // in words, when nobody deals with it
	Carries, Waiting          string // in words: it cannot read what it holds; what it took in locked
	Lost                      string // where somebody who may says that it is lost
}

// heldLine is where the records of one post are kept.
type heldLine struct {
	From, Count, On, Tone string
}

// invitePage is an invitation, shown once.
type invitePage struct {
	Code    string
	QR      template.HTML
	Expires time.Time
	Minutes int
}

// invitationTime is how long an invitation from a page can be used.
const invitationTime = 10 * time.Minute

func (v *visit) mesh() error {
	m, err := v.meshModel()
	if err != nil {
		return err
	}
	return v.render("mesh/mesh", m)
}

func (v *visit) meshModel() (meshPage, error) {
	status, err := v.s.config.Box.Status(v.s.ctx)
	if err != nil {
		return meshPage{}, err
	}
	holdings, err := v.s.config.Box.Holdings(v.s.ctx)
	if err != nil {
		return meshPage{}, err
	}
	w := &view{Lang: v.lang}
	site := v.s.config.Box.Site()
	m := meshPage{
		Line: meshLineOf(w, status), MayConfirm: v.actor.Can(staff.ConfirmNodes),
		MayOpen:   v.actor.Can(staff.OpenNodes) && !site.Practice,
		MayInvite: v.actor.Can(staff.InviteNodes) && site.CanInvite && !site.Practice, MaySuspend: v.actor.Can(staff.SuspendNodes) && !site.Practice,
	}
	for _, p := range status.Peers {
		l := peerLineOf(w, p)
		switch {
		case !m.MaySuspend:
		case p.Standing != "":
			l.Lost = "/lost/" + p.Node
		default:
			l.Lost = "/lost/" + p.Node + "/suspend"
		}
		m.Peers = append(m.Peers, l)
		if len(p.Words) > 0 && p.Standing == "" && (!p.Confirmed || !site.Confirmed) {
			m.Compare = append(m.Compare, compareBox{ID: p.Node, Site: p.Site, Words: wordList{p.Words, true}, Said: p.Confirmed})
		}
	}
	m.Held = heldLines(w, status, holdings)
	return m, nil
}

func peerLineOf(w *view, p control.Peer) peerLine {
	l := peerLine{Site: siteName(w, p.Site), Number: strconv.Itoa(int(p.Number)), Confirmed: p.Confirmed, Last: p.LastContact, Tone: "warn", State: w.T("mesh.away")}
	if p.State == "connected" {
		l.Tone, l.State = "good", w.T("mesh.connected")
		if p.Locked {
			l.Tone, l.State = "warn", w.T("mesh.locked")
		}
	}
	if p.Carries {
		l.Carries = w.T("mesh.carries")
	}
	if p.Waiting > 0 {
		l.Waiting = w.T("mesh.locked.waiting", "Count", p.Waiting)
	}
	switch p.Standing {
	case "suspended":
		l.Shut = w.T("lost.state.suspended")
	case "revoked":
		l.Shut = w.T("lost.state.revoked")
	}
	if p.Behind > 0 {
		l.Behind = w.T("mesh.behind", "Count", p.Behind)
	}
	if p.Ahead > 0 {
		l.Ahead = w.T("mesh.ahead", "Count", p.Ahead)
	}
	return l
}

// siteName says something for a post whose name has not arrived yet.
func siteName(w *view, name string) string {
	if name == "" {
		return w.T("mesh.no_name")
	}
	return name
}

// heldLines says for the records of each post how many nodes hold all of them, this
// one included. Posts may have several logs; each is said for itself.
func heldLines(w *view, s control.Status, holdings []Holding) []heldLine {
	names := map[string]string{s.Node: w.T("mesh.this")}
	for _, p := range s.Peers {
		names[p.Node] = siteName(w, p.Site)
	}
	var out []heldLine
	for _, h := range holdings {
		others := 0 // whether the list names this node too or not
		for _, holder := range h.Holders {
			if holder != s.Node {
				others++
			}
		}
		l := heldLine{From: names[h.Node], Count: strconv.FormatUint(h.Seq, 10), Tone: "good", On: w.T("mesh.held.nodes", "Count", others+1)}
		if l.From == "" {
			l.From = w.T("mesh.no_name")
		}
		if others == 0 {
			l.Tone, l.On = "bad", w.T("mesh.held.only_here")
		}
		out = append(out, l)
	}
	return out
}

// invite makes an invitation. It is the answer itself and not a page to come back
// to: the code is a secret, and a second look makes a new one.
func (v *visit) invite() error {
	area := ""
	switch {
	case v.form("apart") == "yes":
		area = "new"
	case v.form("carrier") == "yes":
		area = "none"
	}
	inv, err := v.s.config.Box.Invite(v.s.ctx, v.actor, invitationTime, area)
	if err != nil {
		m, modelErr := v.meshModel()
		if modelErr != nil {
			return modelErr
		}
		return v.reshow("mesh/mesh", m, newForm(), err, nil)
	}
	return v.render("mesh/invite", invitePage{
		Code: inv.Code, Expires: inv.Expires, Minutes: int(invitationTime / time.Minute),
		QR: template.HTML(tokens.SVG(inv.Code, tokens.Quiet)), //nolint:gosec // drawn by us from modules
	})
}

func (v *visit) confirm() error {
	if err := v.s.config.Box.Confirm(v.s.ctx, v.actor, v.param("node")); err != nil {
		m, modelErr := v.meshModel()
		if modelErr != nil {
			return modelErr
		}
		return v.reshow("mesh/mesh", m, newForm(), err, nil)
	}
	return v.redirect("/mesh")
}
