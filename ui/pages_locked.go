package ui

import (
	"bytes"
	"fmt"
	"html/template"
	"strconv"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/tokens"
)

// What a box does while nobody has opened it. Nobody can sign in to it then, so these
// pages are for whoever stands at the gate: they take in and show nothing that was taken
// in. What a stranger on the Wi-Fi could write is bounded here and in the letterbox, and
// staff look through it once the box is open.

// passing is for whoever is at a locked box, over an encrypted connection or at the box
// itself.
func passing() policy { return policy{who: passer} }

// lockedPages are the pages of a locked box, besides the one that opens it.
func (s *Server) lockedPages() []route {
	return []route{
		{method: "GET", path: "/gate", policy: passing(), handle: (*visit).gatePage},
		{method: "POST", path: "/gate", policy: passing(), handle: (*visit).countGate},
		{method: "GET", path: "/gate/family", policy: passing(), handle: (*visit).gateFamilyPage},
		{method: "POST", path: "/gate/family", policy: passing(), handle: (*visit).takeInFamily},
		{method: "GET", path: "/gate/check", policy: passing(), handle: (*visit).gateCheckPage},
		{method: "POST", path: "/gate/check", policy: passing(), limit: photoLimit, handle: (*visit).gateCheck},
		{method: "GET", path: "/gate/open", policy: unlock(), handle: (*visit).askOpenPage},
		{method: "POST", path: "/gate/open", policy: unlock(), guess: byUnlock, limit: photoLimit, handle: (*visit).takeAnswer},
	}
}

// lockedPage is the page that opens a box, with what it can do until then.
type lockedPage struct {
	Ways    []string // how this box is opened, in words: what its unlock file says to everybody
	Asks    bool     // another box was given the means to open this one
	Waiting int
	Records uint64 // facts of other posts
	Full    bool   // it takes no more of those
}

func (v *visit) lockedModel() lockedPage {
	m := lockedPage{}
	if v.here() { // how many came by night is nobody's who merely stands in the network
		l := v.s.config.Box.Letters()
		m.Waiting, m.Records, m.Full = l.Waiting, l.Records, l.RecordsFull
	}
	for _, kind := range v.s.config.Box.WaysToOpen() {
		if key := "locked.way." + kind; v.lang.Has(key) {
			m.Ways = append(m.Ways, v.lang.Text(key, nil))
		}
		m.Asks = m.Asks || kind == identity.SlotPeers
	}
	return m
}

// letters bounds who fills the letterbox. Whoever stands at the box itself is not bounded.
type letters struct{ each, all *budget }

// A gate counts a family in ten seconds; a phone that sends more is no gate.
func newLetters() letters {
	return letters{each: newBudget("fault.api.letters", 60, 8*time.Second), all: newBudget("fault.api.letters", 300, 2*time.Second)}
}

// leaving takes what one letter costs whoever brings it.
func (v *visit) leaving() error {
	client, now := v.client(), v.s.config.Clock.Now()
	if client == "" {
		return nil
	}
	if wait := v.s.letters.each.take(client, now); wait > 0 {
		return used(v.s.letters.each, wait)
	}
	if wait := v.s.letters.all.take(everybody, now); wait > 0 {
		v.s.letters.each.giveBack(client)
		return used(v.s.letters.all, wait)
	}
	return nil
}

// here tells whether somebody is at the box itself.
func (v *visit) here() bool { return v.client() == "" }

// gateModel is the page that counts.
type gateModel struct {
	Once   string
	Tally  *Letters // what whoever looks may see of what was counted; nil: nothing
	Own    bool     // it is what this phone counted, not all
	Number uint64   // under which the last one waits; 0 when none was left just now
}

func (v *visit) gateModel() gateModel {
	m, all := gateModel{Once: newOnce(), Number: v.left()}, v.s.config.Box.Letters()
	if m.Tally = &all; !v.here() {
		m.Tally, m.Own = v.s.gates.of(v.cookie(v.cookieName(gateCookie)), all.Shift), true
	}
	return m
}

// left is the number that the page before told.
func (v *visit) left() uint64 {
	n, _ := strconv.ParseUint(v.query("n"), 10, 32)
	return n
}

func (v *visit) gatePage() error { return v.render("locked/gate", v.gateModel()) }

// countGate takes a head count in.
func (v *visit) countGate() error {
	f := v.sent()
	m := v.gateModel()
	g := registration.Gate{
		Adults: v.number(f, "adults"), Children: v.number(f, "children"), Infants: v.number(f, "infants"),
		Urgent: f.Has("urgent", "yes"), Alone: f.Has("alone", "yes"),
	}
	if code := f.Value("code"); code != "" {
		typed, err := tokens.ParseTyped(code)
		if err != nil {
			return v.reshow("locked/gate", m, f, err, func(string) string { return "code" })
		}
		g.Code = typed
	}
	err := g.Check()
	if err == nil {
		err = v.leaving()
	}
	var number uint64
	if err == nil {
		number, err = v.s.config.Box.LeaveCount(v.s.ctx, onceKey(f.Value("once")), g, v.here())
	}
	if err != nil {
		m.Once = first(f.Value("once"), m.Once)
		return v.reshow("locked/gate", m, f, err, nil)
	}
	if !v.here() {
		cookie := v.s.gates.counted(v.cookie(v.cookieName(gateCookie)), v.s.config.Box.Letters().Shift, number, g, v.s.config.Clock.Now())
		if cookie != "" {
			v.setCookie(v.cookieName(gateCookie), cookie, 0)
		}
	}
	return v.redirect("/gate?n=" + fmt.Sprint(number))
}

// number reads a small number in the digits of any script; nothing is zero, and what is no
// number is one that is refused.
func (v *visit) number(f *form, name string) int {
	if n := v.age(f, name); n != nil {
		return *n
	}
	return 0
}

// gateFamily is the short form of a locked box.
type gateFamily struct {
	familyModel
	Waiting int
	Number  uint64
}

func (v *visit) gateFamilyModel(f *form, rows int) gateFamily {
	return gateFamily{familyModel: v.familyModel(f, rows), Waiting: v.s.config.Box.Letters().Waiting, Number: v.left()}
}

func (v *visit) gateFamilyPage() error {
	f := newForm()
	f.set("once", newOnce())
	return v.renderForm("locked/family", v.gateFamilyModel(f, firstRows), f)
}

// takeInFamily seals everybody in the form. The answer is a number and no name: the box
// cannot read them any more.
func (v *visit) takeInFamily() error {
	f := v.sent()
	rows, _ := strconv.Atoi(f.Value("rows"))
	if rows < 1 {
		rows = firstRows
	}
	if f.Value("more") != "" && f.Value("save") == "" {
		return v.renderForm("locked/family", v.gateFamilyModel(f, rows+moreRows), f)
	}
	h, used := v.family(f, rows)
	if len(h.Members) == 0 {
		f.errors[memberRowOf(0).Given] = v.lang.Text("registration.problem.name_required", nil)
		f.top = v.lang.Text("family.nobody", nil)
		v.c.Status(fault.Invalid.Status())
		return v.renderForm("locked/family", v.gateFamilyModel(f, rows), f)
	}
	err := untold(h)
	if err == nil {
		err = v.leaving()
	}
	var number uint64
	if err == nil {
		number, err = v.s.config.Box.LeaveHousehold(v.s.ctx, onceKey(f.Value("once")), h, v.here())
	}
	if err != nil {
		return v.reshow("locked/family", v.gateFamilyModel(f, rows), f, err, func(name string) string { return formName(name, used) })
	}
	return v.redirect("/gate/family?n=" + fmt.Sprint(number))
}

// untold refuses what somebody tells the protection team in the form of a locked box, which
// has no such fields: a letter has no place for it, and nothing is left out without a word.
func untold(h registration.NewHousehold) error {
	for _, p := range h.Members {
		if len(p.Aside) > 0 {
			return fault.New(fault.Invalid, "fault.ui.gate_tell")
		}
	}
	return nil
}

// gateResult is a verdict of a locked box.
type gateResult struct {
	Tone, Word, Reason, Expires string
	Half                        bool // genuine, as far as a locked box can tell
}

func (v *visit) gateCheckPage() error { return v.render("locked/check", gateResult{}) }

// gateCheck judges a card by its signature and date alone.
func (v *visit) gateCheck() error {
	text := v.form("text")
	if photo, err := v.file("photo"); err == nil {
		if text, err = v.s.scanner.Decode(v.s.ctx, bytes.NewReader(photo)); err != nil {
			return v.reshow("locked/check", gateResult{}, newForm(), err, func(string) string { return "photo" })
		}
	}
	if text == "" {
		f := newForm()
		v.missing(f, "text")
		v.c.Status(fault.Invalid.Status())
		return v.renderForm("locked/check", gateResult{}, f)
	}
	if _, err := tokens.ParseTyped(text); err == nil {
		return v.render("locked/check", gateResult{Tone: "warn", Word: v.lang.Text("locked.check.typed", nil), Reason: v.lang.Text("locked.check.typed.why", nil)})
	}
	trust, err := v.s.config.Box.Trust()
	if err != nil {
		return v.reshow("locked/check", gateResult{}, newForm(), err, nil)
	}
	r := tokens.VerifyWith(text, trust, v.s.config.Clock)
	m := gateResult{Tone: tones[r.Verdict], Word: v.lang.Text("tokens.verdict."+string(r.Verdict), nil), Reason: v.lang.Text(r.Reason, nil)}
	if r.Verdict == tokens.Genuine {
		m.Half, m.Reason = true, v.lang.Text("locked.check.half", nil)
	}
	if m.Tone == "" {
		m.Tone = "bad" // a verdict of a later version: nobody is let through by oversight
	}
	if m.Tone != "bad" && !r.Expires.IsZero() {
		m.Expires = r.Expires.Format(time.DateOnly)
	}
	return v.render("locked/check", m)
}

// askOpen is the page with the request of a locked box.
type askOpen struct {
	Request string
	QR      template.HTML
	Words   wordList
}

func (v *visit) askOpenModel() (askOpen, error) {
	ask, err := v.s.config.Box.AskToOpen(false)
	if err != nil {
		return askOpen{}, err
	}
	return askOpenOf(ask), nil
}

func askOpenOf(ask OpenAsk) askOpen {
	return askOpen{Request: ask.Text, QR: template.HTML(tokens.SVG(ask.Text, tokens.Quiet)), Words: wordList{ask.Words, true}} //nolint:gosec // drawn by us from modules
}

func (v *visit) askOpenPage() error {
	m, err := v.askOpenModel()
	if err != nil {
		return err
	}
	return v.render("locked/open", m)
}

// takeAnswer opens the box with what another box answered, typed or as a photo of its
// screen. No page draws another request: somebody in the network could spoil the answer
// that is on its way.
func (v *visit) takeAnswer() error {
	m, err := v.askOpenModel()
	if err != nil {
		return err
	}
	text, err := v.textOrPhoto("answer")
	if err == nil {
		err = v.s.config.Box.TakeAnswer(v.s.ctx, text)
	}
	if err != nil {
		return v.reshow("locked/open", m, newForm(), err, nil)
	}
	return v.redirect("/")
}

// textOrPhoto is what was typed, or what a photo of a screen says.
func (v *visit) textOrPhoto(name string) (string, error) {
	photo, err := v.file("photo")
	if err != nil {
		return v.form(name), nil
	}
	return v.s.scanner.Decode(v.s.ctx, bytes.NewReader(photo))
}
