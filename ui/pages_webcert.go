package ui

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

// webcertRoutes are the page and the calls of the certificate that the pages are served with.
func (s *Server) webcertRoutes() []route {
	call := func(method, path string, handle func(*visit) error) route {
		return route{method: method, path: "/operator/webcert" + path, policy: byOperator(), where: onOperator, handle: handle}
	}
	return []route{
		{method: "GET", path: "/box/webcert", policy: need(staff.ManageBox), handle: (*visit).webcertPage},
		{method: "POST", path: "/box/webcert/request", policy: need(staff.ManageBox), handle: (*visit).requestWebcert},
		{method: "GET", path: "/box/webcert/request.csr", policy: need(staff.ManageBox), handle: (*visit).webcertRequest},
		{method: "POST", path: "/box/webcert/install", policy: need(staff.ManageBox), handle: (*visit).installWebcert},
		{method: "POST", path: "/box/webcert/remove", policy: need(staff.ManageBox), handle: (*visit).removeWebcert},
		call("GET", "", operatorWebcert), call("POST", "/request", operatorRequestWebcert),
		call("POST", "/install", operatorInstallWebcert), call("POST", "/remove", operatorRemoveWebcert),
	}
}

// webcertModel shows both certificates.
type webcertModel struct {
	Own         wordList
	Fingerprint string
	Until       string
	Public      *publicLine
	Requested   []string
}

// publicLine is the public certificate. Ends: it has to be asked for again soon.
type publicLine struct {
	Names       []string
	Issuer      string
	From, Until string
	Ends        bool
}

// endsSoon is how long before its end a public certificate should be asked for again: a
// stick may be on its way for weeks.
const endsSoon = 30 * 24 * time.Hour

func webcertOf(c control.WebCert, now time.Time) webcertModel {
	m := webcertModel{Own: wordList{c.Words, true}, Fingerprint: grouped(c.Fingerprint), Until: c.NotAfter.Format(time.DateOnly), Requested: c.Requested}
	if p := c.Public; p != nil {
		m.Public = &publicLine{
			Names: p.Names, Issuer: p.Issuer, From: p.NotBefore.Format(time.DateOnly), Until: p.NotAfter.Format(time.DateOnly),
			Ends: p.NotAfter.Sub(now) < endsSoon,
		}
	}
	return m
}

func (v *visit) webcertModel() (webcertModel, error) {
	c, err := v.s.config.Box.WebCert(v.s.ctx)
	return webcertOf(c, v.s.config.Clock.Now()), err
}

func (v *visit) webcertPage() error {
	m, err := v.webcertModel()
	if err != nil {
		return err
	}
	return v.render("box/webcert", m)
}

// requestWebcert makes the request; the page then has a link to it.
func (v *visit) requestWebcert() error {
	f := v.sent()
	if _, err := v.s.config.Box.RequestWebCert(v.s.ctx, v.actor, namesIn(f.Value("names"))); err != nil {
		return v.webcertRefused(f, err)
	}
	return v.redirect("/box/webcert")
}

// webcertRequest hands the request to the browser: it is no secret.
func (v *visit) webcertRequest() error {
	c, err := v.s.config.Box.WebCert(v.s.ctx)
	if err == nil && c.CSR == "" {
		err = fault.New(fault.NotFound, "fault.identity.webcert_none")
	}
	if err != nil {
		return err
	}
	v.c.Set(fiber.HeaderContentType, "application/octet-stream")
	v.c.Set(fiber.HeaderContentDisposition, `attachment; filename="request.csr"`)
	return v.c.SendString(c.CSR)
}

// namesIn parts what was typed into one field.
func namesIn(names string) []string {
	return strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' })
}

func (v *visit) installWebcert() error {
	chain, err := v.file("chain")
	if err == nil {
		_, err = v.s.config.Box.InstallWebCert(v.s.ctx, v.actor, chain)
	}
	if err != nil {
		return v.webcertRefused(newForm(), err)
	}
	return v.redirect("/box/webcert")
}

func (v *visit) removeWebcert() error {
	if err := v.s.config.Box.RemoveWebCert(v.s.ctx, v.actor); err != nil {
		return v.webcertRefused(newForm(), err)
	}
	return v.redirect("/box/webcert")
}

func (v *visit) webcertRefused(f *form, err error) error {
	m, modelErr := v.webcertModel()
	if modelErr != nil {
		return modelErr
	}
	return v.reshow("box/webcert", m, f, err, nil)
}

func operatorWebcert(v *visit) error {
	c, err := v.s.config.Box.WebCert(v.s.ctx)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, c)
}

func operatorRequestWebcert(v *visit) error {
	var in struct {
		Names []string `json:"names"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	csr, err := v.s.config.Box.RequestWebCert(v.s.ctx, v.actor, in.Names)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusCreated, map[string]string{"csr": string(csr)})
}

func operatorInstallWebcert(v *visit) error {
	var in struct {
		Chain []byte `json:"chain"`
	}
	if err := v.decode(&in); err != nil {
		return err
	}
	c, err := v.s.config.Box.InstallWebCert(v.s.ctx, v.actor, in.Chain)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, c)
}

func operatorRemoveWebcert(v *visit) error {
	if err := v.s.config.Box.RemoveWebCert(v.s.ctx, v.actor); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]bool{"removed": true})
}
