package ui

import (
	"bytes"
	"html/template"
	"mime"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// ceremonyPages are the pages on which it is decided who may let boxes in. All but the
// first carry keys of the operation, so they are for browsers that trust the box.
func (s *Server) ceremonyPages() []route {
	return []route{
		{method: "GET", path: "/ceremony", policy: need(staff.HoldCeremony), handle: (*visit).ceremonyPage},
		{method: "POST", path: "/ceremony/begin", policy: need(staff.HoldCeremony), trusts: true, handle: (*visit).ceremonyBegin},
		{method: "POST", path: "/ceremony/issuer", policy: need(staff.HoldCeremony), trusts: true, handle: (*visit).ceremonyIssuer},
		{method: "GET", path: "/ceremony/issuer-file", policy: need(staff.HoldCeremony), trusts: true, handle: (*visit).ceremonyIssuerFile},
		{method: "POST", path: "/ceremony/words", policy: need(staff.HoldCeremony), trusts: true, handle: (*visit).ceremonyWords},
		{method: "GET", path: "/ceremony/shares", policy: need(staff.HoldCeremony), trusts: true, handle: (*visit).ceremonyShares},
		{method: "POST", path: "/ceremony/read", policy: need(staff.HoldCeremony), trusts: true, limit: photoLimit, handle: (*visit).ceremonyReadBack},
		{method: "GET", path: "/ceremony/sheet", policy: need(staff.HoldCeremony), trusts: true, handle: (*visit).ceremonySheet},
		{method: "POST", path: "/ceremony/sheet-words", policy: need(staff.HoldCeremony), trusts: true, handle: (*visit).ceremonySheetWords},
		{method: "POST", path: "/ceremony/finish", policy: need(staff.HoldCeremony), trusts: true, handle: (*visit).ceremonyFinish},
		{method: "POST", path: "/ceremony/root", policy: need(staff.HoldCeremony), trusts: true, limit: photoLimit, handle: (*visit).ceremonyRoot},
		{method: "GET", path: "/ceremony/install", policy: need(staff.HoldCeremony), trusts: true, handle: (*visit).installPage},
		{method: "POST", path: "/ceremony/install", policy: need(staff.HoldCeremony), trusts: true, handle: (*visit).install},
	}
}

// ceremonyPage is where the ceremony is, and what can be done now.
type ceremonyPage struct {
	Step, Variant string
	Papers        []paperLine // which were read back
	Left          int         // that were not
	Kit, Shut     bool
	MayInstall    bool // no issuer lives here, and one could
	Enrols        bool
	Issuers       int
}

// paperLine is one paper of the root.
type paperLine struct {
	Number int
	Read   bool
}

// issuerPage shows the words of the second issuer once.
type issuerPage struct {
	Words wordList
	Name  string
}

// papersPage are papers to be printed, one on each page.
type papersPage struct {
	Date   string // of the printing; empty while nobody knows it
	Papers []paperPage
	Words  wordList // of the foot of a root sheet
}

// paperPage is one of them.
type paperPage struct {
	Number int
	QR     template.HTML
	Lines  []string
}

// ceremony is the desk, for those who may hold one: never a program with a key.
func (v *visit) ceremonyDesk() (*identity.Desk, error) {
	if v.actor.Key {
		return nil, fault.New(fault.Denied, "fault.api.key_person")
	}
	if err := v.actor.Must(staff.HoldCeremony); err != nil {
		return nil, err
	}
	return v.desks().Identity, nil
}

func (v *visit) ceremonyModel() (ceremonyPage, error) {
	d, err := v.ceremonyDesk()
	if err != nil {
		return ceremonyPage{}, err
	}
	c, err := d.Ceremony()
	return ceremonyPageOf(c), err
}

func ceremonyPageOf(c identity.Ceremony) ceremonyPage {
	m := ceremonyPage{
		Step: c.Step, Variant: c.Variant, Kit: c.Kit, Shut: c.Shut, Enrols: c.Enrols, MayInstall: !c.Enrols && !c.Kit && !c.Root,
		Issuers: len(c.Held.Issuers),
	}
	for i, read := range c.Read {
		m.Papers = append(m.Papers, paperLine{i + 1, read})
		if !read {
			m.Left++
		}
	}
	return m
}

func (v *visit) ceremonyPage() error {
	m, err := v.ceremonyModel()
	if err != nil {
		return err
	}
	return v.render("ceremony/ceremony", m)
}

// ceremonyDo takes one step and shows the page again, or what was wrong with it.
func (v *visit) ceremonyDo(step func(*identity.Desk) error) error {
	d, err := v.ceremonyDesk()
	if err != nil {
		return err
	}
	if err := step(d); err != nil {
		m, modelErr := v.ceremonyModel()
		if modelErr != nil {
			return modelErr
		}
		f := v.sent()
		delete(f.values, "words") // a secret is not sent back to the screen
		return v.reshow("ceremony/ceremony", m, f, err, nil)
	}
	return v.redirect("/ceremony")
}

func (v *visit) ceremonyBegin() error {
	return v.ceremonyDo(func(d *identity.Desk) error { return d.BeginCeremony(v.form("variant")) })
}

// ceremonyIssuer makes the second issuer. Its words are in this answer and nowhere else.
func (v *visit) ceremonyIssuer() error {
	d, err := v.ceremonyDesk()
	if err != nil {
		return err
	}
	made, err := d.MakeIssuer()
	if err != nil {
		return v.ceremonyDo(func(*identity.Desk) error { return err })
	}
	return v.render("ceremony/issuer", issuerPage{wordList{Words: made.Words}, made.Name()})
}

func (v *visit) ceremonyIssuerFile() error {
	d, err := v.ceremonyDesk()
	if err != nil {
		return err
	}
	name, file, err := d.IssuerFile()
	if err != nil {
		return err
	}
	return v.download(name, file)
}

// download hands a file to the browser.
func (v *visit) download(name string, content []byte) error {
	v.c.Set(fiber.HeaderContentType, "application/octet-stream")
	v.c.Set(fiber.HeaderContentDisposition, mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	v.c.Set(fiber.HeaderCacheControl, "no-store")
	return v.c.Send(content)
}

func (v *visit) ceremonyWords() error {
	secret := v.secret("words")
	defer clear(secret)
	return v.ceremonyDo(func(d *identity.Desk) error {
		return d.ReadBackIssuer(identity.From(v.s.ctx, v.client()), []byte(plainWords(string(secret))))
	})
}

func (v *visit) ceremonyShares() error {
	d, err := v.ceremonyDesk()
	if err != nil {
		return err
	}
	shares, err := d.Shares()
	if err != nil {
		return err
	}
	m := papersPage{Date: v.today()}
	for _, s := range shares {
		qr, err := paperQR(s.Code())
		if err != nil {
			return err
		}
		m.Papers = append(m.Papers, paperPage{Number: s.Number, QR: qr, Lines: s.Lines()})
	}
	return v.render("ceremony/shares", m)
}

// paperQR is the code of a paper: the strongest that is still large enough to be read from
// a print of a phone.
func paperQR(text string) (template.HTML, error) {
	code, err := tokens.QR(text, tokens.Small)
	return template.HTML(code.SVG(tokens.Quiet)), err //nolint:gosec // drawn by us
}

// today is the day for a paper, when the clock is known to be right.
func (v *visit) today() string {
	if !v.s.config.Clock.Sure() {
		return ""
	}
	return v.s.config.Clock.Now().Local().Format("2006-01-02")
}

// paperText is a paper as it was typed, or photographed, or sent as a file.
func (v *visit) paperText() (string, error) {
	raw, err := v.file("photo")
	switch {
	case err != nil:
		return v.form("text"), nil
	case utf8.Valid(raw): // a text file: no picture is one
		return string(raw), nil
	}
	return v.desks().Tokens.Read(v.s.ctx, v.actor, bytes.NewReader(raw))
}

func (v *visit) ceremonyReadBack() error {
	return v.ceremonyDo(func(d *identity.Desk) error {
		text, err := v.paperText()
		if err == nil {
			_, err = d.ReadBackShare(text)
		}
		return err
	})
}

func (v *visit) ceremonySheet() error {
	d, err := v.ceremonyDesk()
	if err != nil {
		return err
	}
	sheet, err := d.Sheet()
	if err != nil {
		return err
	}
	defer clear(sheet.Seed)
	qr, err := paperQR(sheet.Code())
	if err != nil {
		return err
	}
	return v.render("ceremony/sheet", papersPage{
		Date: v.today(), Papers: []paperPage{{QR: qr, Lines: sheet.Lines()}}, Words: wordList{sheet.CheckWords(), true},
	})
}

func (v *visit) ceremonySheetWords() error {
	return v.ceremonyDo(func(d *identity.Desk) error { return d.ReadBackSheet(plainWords(v.form("words"))) })
}

func (v *visit) ceremonyFinish() error {
	return v.ceremonyDo(func(d *identity.Desk) error { return d.FinishCeremony(v.s.ctx, v.actor.ID) })
}

// ceremonyRoot takes the root back from a sheet that was written out earlier.
func (v *visit) ceremonyRoot() error {
	return v.ceremonyDo(func(d *identity.Desk) error {
		text, err := v.paperText()
		if err != nil {
			return err
		}
		sheet, err := identity.ParseRootSheet([]byte(text))
		if err != nil {
			return err
		}
		return d.TakeRoot(sheet)
	})
}

func (v *visit) installPage() error {
	m, err := v.ceremonyModel()
	if err != nil {
		return err
	}
	return v.render("ceremony/install", m)
}

// install makes an issuer live on this box.
func (v *visit) install() error {
	d, err := v.ceremonyDesk()
	if err != nil {
		return err
	}
	secret := v.secret("words")
	defer clear(secret)
	file, err := v.file("file")
	if err == nil {
		_, err = d.InstallIssuer(identity.From(v.s.ctx, v.client()), file, []byte(plainWords(string(secret))))
	}
	if err != nil {
		m, modelErr := v.ceremonyModel()
		if modelErr != nil {
			return modelErr
		}
		return v.reshow("ceremony/install", m, newForm(), err, nil)
	}
	return v.redirect("/ceremony")
}

// nameOf is who did something here; the id when the account is not of this site.
func (v *visit) nameOf(by oplog.By) string {
	accounts, err := v.desks().Staff.List(v.s.ctx, v.actor)
	if err != nil {
		return ""
	}
	for _, a := range accounts {
		if a.ID == by {
			return a.User
		}
	}
	return ""
}
