package ui

import (
	"context"
	"html/template"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// linkRoutes are the pages and calls about how this box reaches others.
func (s *Server) linkRoutes() []route {
	call := func(method, path string, handle func(*visit) error) route {
		return route{method: method, path: "/operator" + path, policy: byOperator(), where: onOperator, handle: handle}
	}
	return []route{
		{method: "GET", path: "/mesh/find", policy: need(staff.SeeMesh), handle: (*visit).findPage},
		{method: "POST", path: "/mesh/find", policy: need(staff.InviteNodes), limit: photoLimit, handle: (*visit).lookAtPlace},
		{method: "POST", path: "/mesh/find/forget", policy: need(staff.InviteNodes), handle: (*visit).forgetPlace},
		{method: "GET", path: "/mesh/links", policy: need(staff.ManageBox), handle: (*visit).linksPage},
		{method: "POST", path: "/mesh/links", policy: need(staff.ManageBox), handle: (*visit).setLinks},
		call("GET", "/link", operatorLink), call("POST", "/link", operatorSetLink),
		call("GET", "/places", operatorPlaces), call("POST", "/places", operatorLookAt), call("POST", "/places/forget", operatorForgetPlace),
	}
}

// findPage is where this box can be reached, and where it looks for others.
type findPage struct {
	Own            []string
	QR             template.HTML
	Seeds          []string
	Discover       bool
	MayAdd, MaySet bool
	Found          string // the site of the box that was just found
}

func (v *visit) findModel() (findPage, error) {
	p, err := v.s.config.Box.Places(v.s.ctx, v.actor)
	m := findPage{Own: p.Addresses, Seeds: p.Seeds, Discover: p.Discover, MayAdd: v.actor.Can(staff.InviteNodes), MaySet: v.actor.Can(staff.ManageBox)}
	if len(m.Own) > 0 {
		m.QR = template.HTML(tokens.SVG(strings.Join(m.Own, " "), tokens.Quiet)) //nolint:gosec // drawn by us from modules
	}
	return m, err
}

func (v *visit) findPage() error {
	m, err := v.findModel()
	if err != nil {
		return err
	}
	return v.render("mesh/find", m)
}

// lookAtPlace dials an address somebody typed or read off another box's page.
func (v *visit) lookAtPlace() error {
	f := v.sent()
	text, err := v.textOrPhoto("address")
	var node string
	if err == nil {
		node, err = v.s.config.Box.LookAt(v.s.ctx, v.actor, text)
	}
	m, modelErr := v.findModel()
	if modelErr != nil {
		return modelErr
	}
	if err != nil {
		return v.reshow("mesh/find", m, f, err, nil)
	}
	if m.Found, err = v.siteNamed(v.s.ctx, node); err != nil {
		return err
	}
	return v.render("mesh/find", m)
}

// siteNamed is what the site of a node is called, as far as it is known here.
func (v *visit) siteNamed(ctx context.Context, node string) (string, error) {
	status, err := v.s.config.Box.Status(ctx)
	if err != nil {
		return "", err
	}
	w := &view{Lang: v.lang}
	for _, p := range status.Peers {
		if p.Node == node {
			return peerName(w, p), nil
		}
	}
	return siteName(w, ""), nil
}

func (v *visit) forgetPlace() error {
	if err := v.s.config.Box.ForgetPlace(v.s.ctx, v.actor, v.form("address")); err != nil {
		m, modelErr := v.findModel()
		if modelErr != nil {
			return modelErr
		}
		return v.reshow("mesh/find", m, newForm(), err, nil)
	}
	return v.redirect("/mesh/find")
}

// linksPage is how the connection to others is used.
type linksPage struct {
	Restart bool
	Rates   []string
}

// rates are the limits that can be chosen, in kB a second. One that was set with the
// command line stands after them.
var rates = []string{"0", "2", "8", "32", "128", "512"}

// linksForm shows what is in force.
func linksForm(l control.Link) *form {
	f := newForm()
	f.set("profile", l.Profile)
	f.set("out", strconv.FormatUint(l.Out/1000, 10))
	f.set("in", strconv.FormatUint(l.In/1000, 10))
	if l.Photos {
		f.set("photos", "yes")
	}
	if l.Discover {
		f.set("discover", "yes")
	}
	return f
}

func (v *visit) linksPage() error {
	l, err := v.s.config.Box.Link(v.s.ctx)
	if err != nil {
		return err
	}
	return v.renderForm("mesh/links", linksPage{Restart: l.Restart, Rates: rates}, linksForm(l))
}

func (v *visit) setLinks() error {
	f := v.sent()
	rate := func(name string) uint64 {
		n, _ := strconv.ParseUint(f.Value(name), 10, 30) // a form shows numbers only; anything else is no limit
		return n * 1000
	}
	l := control.Link{
		Profile: f.Value("profile"), Photos: f.Has("photos", "yes"), Discover: f.Has("discover", "yes"), Out: rate("out"), In: rate("in"),
	}
	if _, err := v.s.config.Box.SetLink(v.s.ctx, v.actor, l); err != nil {
		return v.reshow("mesh/links", linksPage{Rates: rates}, f, err, nil)
	}
	return v.redirect("/mesh/links")
}

func operatorLink(v *visit) error {
	l, err := v.s.config.Box.Link(v.s.ctx)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, l)
}

func operatorSetLink(v *visit) error {
	var in control.Link
	if err := v.decode(&in); err != nil {
		return err
	}
	l, err := v.s.config.Box.SetLink(v.s.ctx, v.actor, in)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, l)
}

func operatorPlaces(v *visit) error {
	p, err := v.s.config.Box.Places(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, p)
}

// placeCall is the body of a call about one address.
type placeCall struct {
	Address string `json:"address"`
}

func operatorLookAt(v *visit) error {
	var in placeCall
	if err := v.decode(&in); err != nil {
		return err
	}
	node, err := v.s.config.Box.LookAt(v.s.ctx, v.actor, in.Address)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]string{"node": node})
}

func operatorForgetPlace(v *visit) error {
	var in placeCall
	if err := v.decode(&in); err != nil {
		return err
	}
	if err := v.s.config.Box.ForgetPlace(v.s.ctx, v.actor, in.Address); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, in)
}
