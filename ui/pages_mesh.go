package ui

import (
	"html/template"
	"slices"
	"strconv"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// meshPage is who else is there and what is kept where.
type meshPage struct {
	Line                  meshLine
	Compare               []compareBox
	Picture               template.HTML
	Legend                []legendLine
	Peers                 []peerLine
	Air                   string   // how many boxes are on the air, in words; empty without a mesh
	Alarms                []string // why it hears nobody, or should not go on so
	Warnings              []string
	Forks                 []forkLine
	HeldBack              []heldBackLine
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

// meshRights are what whoever looks may do about it.
type meshRights struct{ confirm, invite, suspend, open bool }

func (v *visit) meshModel() (meshPage, error) {
	status, err := v.s.config.Box.Status(v.s.ctx)
	if err != nil {
		return meshPage{}, err
	}
	holdings, err := v.s.config.Box.Holdings(v.s.ctx)
	if err != nil {
		return meshPage{}, err
	}
	site := v.s.config.Box.Site()
	may := meshRights{
		confirm: v.actor.Can(staff.ConfirmNodes), open: v.actor.Can(staff.OpenNodes) && !site.Practice,
		invite: v.actor.Can(staff.InviteNodes) && site.CanInvite && !site.Practice, suspend: v.actor.Can(staff.SuspendNodes) && !site.Practice,
	}
	return meshPageOf(&view{Lang: v.lang}, status, holdings, site.Confirmed, may), nil
}

func meshPageOf(w *view, s control.Status, holdings []Holding, confirmed bool, may meshRights) meshPage {
	m := meshPage{
		Line: meshLineOf(w, s), Picture: meshPicture(w, s), Legend: meshLegend(w, s), Peers: peerLinesOf(w, s, may.suspend),
		Forks: forkLinesOf(w, s), HeldBack: heldBackLinesOf(w, s, may.suspend), Held: heldLines(w, s, holdings),
		MayInvite: may.invite, MayConfirm: may.confirm, MaySuspend: may.suspend, MayOpen: may.open,
	}
	if s.Members > 0 && len(s.Peers) > 0 {
		m.Air = w.T("mesh.air", "Count", s.Members, "Known", len(s.Peers)+1)
	}
	doubled := 0
	for _, p := range s.Peers {
		if p.Doubled {
			doubled++
		}
		if len(p.Words) > 0 && p.Standing == "" && (!p.Confirmed || !confirmed) {
			m.Compare = append(m.Compare, compareBox{ID: p.Node, Site: compareName(w, p), Words: wordList{p.Words, true}, Said: p.Confirmed})
		}
	}
	for _, a := range s.MeshAlarms() {
		m.Alarms = append(m.Alarms, say(w.Lang, a.Key, a.Values()))
	}
	if doubled > 0 {
		m.Warnings = append(m.Warnings, w.T("alert.double", "Count", doubled))
	}
	if !s.Clock.Sure && len(s.Peers) > 0 { // the others' clocks are measured against it
		m.Warnings = append(m.Warnings, w.T("alert.clock"))
	}
	return m
}

// meshNodePage is everything known of one post.
func (v *visit) meshNodePage() error {
	status, err := v.s.config.Box.Status(v.s.ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(status.Peers, func(p control.Peer) bool { return p.Node == v.param("node") })
	if i < 0 {
		return fault.New(fault.NotFound, "fault.identity.no_such_node")
	}
	holdings, err := v.s.config.Box.Holdings(v.s.ctx)
	if err != nil {
		return err
	}
	may := meshRights{suspend: v.actor.Can(staff.SuspendNodes) && !status.Practice, open: v.actor.Can(staff.OpenNodes) && !status.Practice}
	return v.render("mesh/node", nodePageOf(&view{Lang: v.lang}, status, holdings, status.Peers[i], may))
}

// heldLines says for the records of each post how many nodes hold all of them, this
// one included. Posts may have several logs; each is said for itself.
func heldLines(w *view, s control.Status, holdings []Holding) []heldLine {
	names := siteNames(w, s)
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
