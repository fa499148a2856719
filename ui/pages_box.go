package ui

import (
	"html/template"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
)

// lockPage asks once, in plain words. Everybody who is signed in may lock the box: in an
// emergency there is no time to look for the lead, and what it costs is typing five words.
func (v *visit) lockPage() error { return v.render("box/lock", nil) }

func (v *visit) lockNow() error {
	if err := v.lock(); err != nil {
		return v.reshow("box/lock", nil, newForm(), err, nil)
	}
	v.dropCookie(v.sessionCookie())
	v.clearSiteData("cache")
	return v.redirect("/")
}

// lock locks the box, and ends what shows anything of it. A program's key may not do it:
// whoever found one could keep a site from working. While nobody has written down the
// words of a new box it is refused, because nobody could open it again.
func (v *visit) lock() error {
	if v.actor.Key {
		return fault.New(fault.Denied, "fault.api.key_person")
	}
	if v.s.words.waiting() {
		return fault.New(fault.Conflict, "fault.ui.words_waiting")
	}
	err := v.s.config.Box.Lock(v.s.ctx)
	if err == nil {
		v.over()
	}
	return err
}

// over ends every event stream, and the connection: the process may be about to be
// replaced.
func (v *visit) over() {
	v.s.streams.endAll()
	v.c.Response().SetConnectionClose()
}

// postLock is the call of programs on this machine and of page sessions.
func postLock(v *visit) error {
	if err := v.lock(); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]string{"state": v.s.config.Box.State()})
}

// boxPage lists the ways to open the box.
type boxPage struct {
	Ways  []wayLine
	Makes []wayLine // what can be made, or made anew
	Kit   bool      // the box was opened with its recovery kit
	Shut  bool      // the way it was opened does not reach root and issuer
	Mode  string    // what the box may do to its own keys in an emergency, in words
}

// wayLine is one way. Again: there is one already, and it stops working.
type wayLine struct {
	Kind, Name, Why string
	Removable       bool
	Again           bool
	Old             bool // made before, or by somebody with the kit: it lets nobody in
}

// madePage shows a new way once.
type madePage struct {
	Kind  string
	Words wordList
	QR    template.HTML // of the recovery kit, which is printed; empty for other ways
	Date  string        // of the printing; empty while nobody knows it
}

// makeable are the kinds a page makes, the most useful first.
func makeable() []string {
	return []string{identity.SlotRecovery, identity.SlotStick, identity.SlotWords}
}

func wayOf(w *view, kind string) wayLine {
	return wayLine{Kind: kind, Name: w.Label("box.way", kind), Why: w.T("box.way." + kind + ".why")}
}

func (v *visit) boxModel() (boxPage, error) {
	kinds, err := v.s.config.Box.Slots(v.s.ctx, v.actor)
	if err != nil {
		return boxPage{}, err
	}
	m := boxPageOf(&view{Lang: v.lang}, kinds)
	inner, err := v.desks().Identity.InnerWays()
	if err != nil {
		return boxPage{}, err
	}
	m.mark(inner)
	c, err := v.desks().Identity.Ceremony()
	m.Kit, m.Shut = c.Kit, c.Shut
	if err != nil {
		return m, err
	}
	m.Mode = v.emergencyInWords()
	return m, nil
}

// emergencyInWords is what this box may do to its own keys; empty in practice.
func (v *visit) emergencyInWords() string {
	e, err := v.s.config.Box.Emergency(v.s.ctx, v.actor)
	if err != nil {
		return ""
	}
	return v.lang.Text("emergency.mode."+e.Mode, nil)
}

// mark tells of the ways that open the records alone although they need not.
func (m *boxPage) mark(inner []string) {
	for i := range m.Ways {
		m.Ways[i].Old = m.Ways[i].Kind != identity.SlotRecovery && !slices.Contains(inner, m.Ways[i].Kind)
	}
}

func boxPageOf(w *view, kinds []string) (m boxPage) {
	there := map[string]bool{}
	for _, kind := range kinds {
		there[kind] = true
		way := wayLine{Kind: kind, Name: kind}
		if w.Lang.Has("box.way." + kind) {
			way = wayOf(w, kind)
		}
		way.Removable = len(kinds) > 1
		m.Ways = append(m.Ways, way)
	}
	for _, kind := range makeable() {
		way := wayOf(w, kind)
		way.Again = there[kind]
		m.Makes = append(m.Makes, way)
	}
	return m
}

func (v *visit) boxPage() error {
	m, err := v.boxModel()
	if err != nil {
		return err
	}
	return v.render("box/box", m)
}

// addWay makes a way to open the box. It is the answer itself: words are shown once, and
// a key file is handed to the browser once.
func (v *visit) addWay() error {
	made, err := v.s.config.Box.AddSlot(v.s.ctx, v.actor, v.form("kind"))
	if err != nil {
		return v.boxRefused(err)
	}
	if made.File != "" {
		return v.download(made.File, []byte(made.Secret))
	}
	m := madePage{Kind: made.Kind, Words: wordList{Words: strings.Fields(made.Secret)}}
	if made.Kind == identity.SlotRecovery {
		if m.QR, err = paperQR(made.Secret); err != nil {
			return err
		}
		m.Date = v.today()
	}
	return v.render("box/made", m)
}

func (v *visit) removeWay() error {
	if err := v.s.config.Box.RemoveSlot(v.s.ctx, v.actor, v.form("kind")); err != nil {
		return v.boxRefused(err)
	}
	return v.redirect("/box")
}

func (v *visit) boxRefused(err error) error {
	m, modelErr := v.boxModel()
	if modelErr != nil {
		return modelErr
	}
	return v.reshow("box/box", m, newForm(), err, nil)
}

// wipeWord may be typed instead of the site's name, in every language.
const wipeWord = "wipe"

// wipeModel is the page that destroys the keys. Set tells that this was decided before:
// without that there is nothing to press.
type wipeModel struct{ Set bool }

func (v *visit) wipeModel() (wipeModel, error) {
	e, err := v.s.config.Box.Emergency(v.s.ctx, v.actor)
	return wipeModel{e.Mode != identity.EmergencyLock.String()}, err
}

func (v *visit) wipePage() error {
	m, err := v.wipeModel()
	if err != nil {
		return err
	}
	return v.render("box/wipe", m)
}

// wipe asks for the lead's own passphrase, so that a phone left signed in is not enough,
// and for a word, so that nobody does it by a slip.
func (v *visit) wipe() error {
	f := v.sent()
	delete(f.values, "passphrase")
	secret := v.secret("passphrase")
	defer clear(secret)
	m, err := v.wipeModel()
	if err == nil && !m.Set {
		err = fault.New(fault.Conflict, "fault.node.emergency_off")
	}
	if err != nil {
		return v.reshow("box/wipe", m, f, err, nil)
	}
	if typed := f.Value("word"); typed != wipeWord && typed != v.s.config.Box.Site().Site {
		f.errors["word"], f.top = v.lang.Text("box.wipe.word.wrong", nil), v.lang.Text("form.incomplete", nil)
		v.c.Status(fault.Invalid.Status())
		return v.renderForm("box/wipe", m, f)
	}
	if err := v.sameSomebody(secret); err != nil {
		return v.reshow("box/wipe", m, f, err, nil)
	}
	if err := v.s.config.Box.Destroy(v.s.ctx, v.actor); err != nil {
		return v.reshow("box/wipe", m, f, err, nil)
	}
	v.over()
	v.session, v.actor = nil, staff.Actor{}
	v.dropCookie(v.sessionCookie())
	return v.render("box/wiped", nil)
}

// sameSomebody compares a passphrase with that of whoever is signed in. Words may be
// typed as untidily as when signing in. Faults: as of signing in.
func (v *visit) sameSomebody(secret []byte) error {
	desk := v.desks().Staff
	ctx := v.askingOnce()
	session, err := desk.SignIn(ctx, v.actor.Name, secret)
	if err != nil && fault.ClassOf(err) != fault.Busy {
		if plain := plainWords(string(secret)); plain != string(secret) && strings.Count(plain, " ") == 4 {
			session, err = desk.SignIn(ctx, v.actor.Name, []byte(plain))
		}
	}
	if err != nil {
		return err
	}
	desk.SignOut(session.Token)
	return nil
}

func operatorSlots(v *visit) error {
	kinds, err := v.s.config.Box.Slots(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusOK, list[string]{Items: append([]string{}, kinds...)})
}

func operatorAddSlot(v *visit) error {
	kind, err := v.kind()
	if err != nil {
		return err
	}
	made, err := v.s.config.Box.AddSlot(v.s.ctx, v.actor, kind)
	if err != nil {
		return err
	}
	return v.json(fiber.StatusCreated, made)
}

func operatorRemoveSlot(v *visit) error {
	kind, err := v.kind()
	if err != nil {
		return err
	}
	if err := v.s.config.Box.RemoveSlot(v.s.ctx, v.actor, kind); err != nil {
		return err
	}
	return v.json(fiber.StatusOK, map[string]string{"kind": kind})
}

func (v *visit) kind() (string, error) {
	var in struct {
		Kind string `json:"kind"`
	}
	err := v.decode(&in)
	return in.Kind, err
}

func operatorWipe(v *visit) error {
	if err := v.s.config.Box.Wipe(v.s.ctx, v.actor); err != nil {
		return err
	}
	v.over()
	return v.json(fiber.StatusOK, map[string]string{"state": v.s.config.Box.State()})
}
