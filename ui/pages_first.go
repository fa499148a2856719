package ui

import (
	"bytes"
	"context"
	"html/template"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/tokens"
)

// languageKept is how long a browser remembers the language.
const languageKept = 365 * 24 * time.Hour

// claimPage carries the claim code from page to page of the first run, and names the
// form, so that sending it twice begins one box and shows its words twice.
type claimPage struct{ Claim, Once string }

// wordsPage shows what is shown once.
type wordsPage struct {
	Words     wordList
	Compare   wordList
	User      string
	Addresses []string
}

// wordList is a list of words, in a few columns where they are only compared.
type wordList struct {
	Words []string
	Few   bool
}

// welcomePage is what plain HTTP from the network shows.
type welcomePage struct {
	Address string   // where to go; empty when this box has no address
	Others  []string // further addresses
	QR      template.HTML
	Words   wordList // of the box's certificate authority
}

// first is GET /: what to do here depends on the state of the box and on who asks.
func (v *visit) first() error {
	if v.surface == Public {
		return v.welcome()
	}
	switch v.s.config.Box.State() {
	case stateNew:
		return v.firstRun()
	case stateLocked:
		return v.unlockPage()
	case stateOpening:
		return v.openingPage()
	}
	switch {
	case v.resting != nil && v.resting.Rests:
		return v.redirect("/wake?to=/")
	case !v.signedIn():
		return v.signInPage()
	case !v.mayReadPeople():
		return v.redirect("/undertaking")
	}
	return v.home()
}

// firstRun asks for the claim code, and once there is a right one, for what to do.
func (v *visit) firstRun() error {
	code := v.query("claim")
	f := newForm()
	f.set("claim", code)
	if code == "" {
		return v.renderForm("first/claim", nil, f)
	}
	if err := v.lookAt(code); err != nil {
		return v.reshow("first/claim", nil, f, err, nil)
	}
	return v.render("first/choose", claimPage{Claim: code})
}

// lookAt compares a claim code that came with a link. It costs nothing of the tries
// by a form: a picture on a foreign page could spend those.
func (v *visit) lookAt(code string) error {
	return v.try(v.s.guesses.look, func() error { return v.s.config.Box.CheckClaim(code) })
}

// claimed shows a page of the first run, or asks for the code when it is wrong.
func (v *visit) claimed(page string) error {
	code := v.query("claim")
	if err := v.lookAt(code); err != nil {
		f := newForm()
		f.set("claim", code)
		return v.reshow("first/claim", nil, f, err, nil)
	}
	return v.render(page, claimPage{code, newOnce()})
}

func (v *visit) startPage() error    { return v.claimed("first/start") }
func (v *visit) joinPage() error     { return v.claimed("first/join") }
func (v *visit) practisePage() error { return v.claimed("first/practise") }

// firstTime is how long starting or joining may take: Argon2id on a small board,
// and for joining a few tries to reach the other box.
const firstTime = 2 * time.Minute

// start starts a site and shows the words.
func (v *visit) start() error {
	f := v.sent()
	model := claimPage{f.Value("claim"), f.Value("once")}
	if v.missing(f, "deployment", "site", "lead") {
		v.c.Status(fault.Invalid.Status())
		return v.renderForm("first/start", model, f)
	}
	return v.begin("first/start", f, func(ctx context.Context, box Box) (Started, error) {
		return box.StartSite(ctx, StartSite{Claim: model.Claim, Deployment: f.Value("deployment"), Site: f.Value("site"), Lead: f.Value("lead")})
	})
}

// join joins a site and shows the words, with those to compare. The invitation is typed,
// or is a photo of the other box's page; a photo is looked at for whoever has the claim.
func (v *visit) join() error {
	f := v.sent()
	model := claimPage{f.Value("claim"), f.Value("once")}
	if photo, err := v.file("photo"); err == nil {
		if err := v.lookAt(model.Claim); err != nil {
			return v.reshow("first/join", model, f, err, nil)
		}
		code, err := v.s.scanner.Decode(v.s.ctx, bytes.NewReader(photo))
		if err != nil {
			return v.reshow("first/join", model, f, err, nil)
		}
		f.set("code", code)
	}
	if v.missing(f, "code", "site", "lead") {
		v.c.Status(fault.Invalid.Status())
		return v.renderForm("first/join", model, f)
	}
	code := strings.Join(strings.Fields(f.Value("code")), "") // pasted over several lines
	return v.begin("first/join", f, func(ctx context.Context, box Box) (Started, error) {
		return box.JoinSite(ctx, JoinSite{Claim: model.Claim, Code: code, Site: f.Value("site"), Lead: f.Value("lead")})
	})
}

// practise opens the throw-away site; there is nothing to write down.
func (v *visit) practise() error {
	f := v.sent()
	return v.begin("first/practise", f, func(ctx context.Context, box Box) (Started, error) {
		return box.Practise(ctx, f.Value("claim"))
	})
}

func (v *visit) begin(page string, f *form, do func(context.Context, Box) (Started, error)) error {
	ctx, cancel := context.WithTimeout(v.s.ctx, firstTime)
	defer cancel()
	once := f.Value("once")
	defer v.s.words.turn()() // the same form may come twice at once
	if state := v.s.config.Box.State(); state != stateNew {
		if shown, err := v.wordsAgain(once); shown {
			return err
		}
		return wrongState(state)
	}
	started, err := do(ctx, v.s.config.Box)
	if err != nil {
		return v.reshow(page, claimPage{f.Value("claim"), f.Value("once")}, f, err, func(name string) string {
			if name == "user" { // the desk's name for it
				return "lead"
			}
			return name
		})
	}
	if started.Session.Token != "" {
		v.signIn(started.Session)
	}
	if len(started.Words) == 0 {
		return v.redirect("/")
	}
	shown := wordsPage{
		Words: wordList{Words: started.Words}, Compare: wordList{started.Compare, true},
		User: f.Value("lead"), Addresses: v.addresses(),
	}
	if once != "" {
		v.s.words.keep(once, shown, started.Session)
	}
	// Answered at once and not by a redirect: a browser that keeps no cookie sees them too.
	return v.render("first/words", shown)
}

func (v *visit) unlockPage() error { return v.render("entry/unlock", v.lockedModel()) }

// openingAgain is after how many seconds a page or a program asks again whether the
// box has read its records.
const openingAgain = 3

// openingModel says how far the box is. The page asks again by itself.
type openingModel struct{ Percent, Again int }

func (v *visit) openingPage() error {
	m := openingModel{Again: openingAgain}
	status, err := v.s.config.Box.Status(v.s.ctx)
	if err != nil {
		return err
	}
	if status.Rebuild != nil {
		m.Percent = status.Rebuild.Percent
	}
	return v.render("entry/opening", m)
}

// open opens a locked box. Words are taken however they were typed: numbered, with
// commas, on several lines, with capitals. What was typed is not shown again. The file of
// a key stick is taken instead of words, or pasted where the words go.
func (v *visit) open() error {
	file, err := v.file("key")
	switch {
	case err == nil:
		return v.openByFile(file)
	case v.has("key"): // no file was chosen
		return v.reshow("entry/unlock", v.lockedModel(), newForm(), err, nil)
	}
	secret := v.secret("words")
	defer clear(secret)
	err = v.s.config.Box.Unlock(v.s.ctx, secret)
	if err != nil && fault.ClassOf(err) == fault.Denied {
		if plain := plainWords(string(secret)); plain != string(secret) {
			err = v.s.config.Box.Unlock(v.s.ctx, []byte(plain))
		}
	}
	if err != nil {
		return v.reshow("entry/unlock", v.lockedModel(), newForm(), err, nil)
	}
	return v.redirect("/")
}

// openByFile does not try another file as if it held words.
func (v *visit) openByFile(file []byte) error {
	defer clear(file)
	_, err := identity.ParseKeyFile(file)
	if err == nil {
		err = v.s.config.Box.Unlock(v.s.ctx, file)
	}
	if err != nil {
		return v.reshow("entry/unlock", v.lockedModel(), newForm(), err, nil)
	}
	return v.redirect("/")
}

// plainWords brings five words into the form they were made in: numbers, commas
// and dots that came along from paper go away. A few words of the list have a
// hyphen, so that stays inside a word.
func plainWords(s string) string {
	words := strings.FieldsFunc(strings.ToLower(clean(s)), func(r rune) bool {
		return (r < 'a' || r > 'z') && r != '-'
	})
	for i := range words {
		words[i] = strings.Trim(words[i], "-")
	}
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// signInModel carries where somebody wanted to go.
type signInModel struct{ To string }

func (v *visit) signInPage() error {
	switch {
	case v.surface == Public:
		return v.welcome()
	case v.desks() == nil || v.c.Path() != "/" && v.signedIn():
		return v.redirect("/")
	}
	return v.render("entry/signin", signInModel{ownPath(v.query("to"))})
}

// enter signs somebody in. The lead's passphrase is five words, and those may be
// typed as untidily as when opening the box.
func (v *visit) enter() error {
	desks := v.desks()
	if desks == nil {
		return v.redirect("/")
	}
	f := v.sent()
	delete(f.values, "passphrase")
	secret := v.secret("passphrase")
	defer clear(secret)
	ctx := v.asking()
	session, err := desks.Staff.SignIn(ctx, f.Value("user"), secret)
	if err != nil && fault.ClassOf(err) != fault.Busy {
		if plain := plainWords(string(secret)); plain != string(secret) && strings.Count(plain, " ") == 4 {
			session, err = desks.Staff.SignIn(ctx, f.Value("user"), []byte(plain))
		}
	}
	if err != nil {
		return v.reshow("entry/signin", signInModel{ownPath(f.Value("to"))}, f, err, nil)
	}
	v.signIn(session)
	return v.redirect(ownPath(f.Value("to")))
}

func (v *visit) leave() error {
	v.signOut()
	v.clearSiteData("cache")
	return v.redirect("/")
}

// welcome is the whole of what plain HTTP shows to the network: where to go
// instead, and how a phone learns to trust this box.
func (v *visit) welcome() error {
	ca := v.s.config.Box.CA()
	m := welcomePage{Words: wordList{ca.Words, true}}
	if addresses := v.addresses(); len(addresses) > 0 {
		m.Address, m.Others = addresses[0], addresses[1:]
		m.QR = template.HTML(tokens.SVG(m.Address, tokens.Quiet)) //nolint:gosec // drawn by us from modules
	}
	return v.render("entry/welcome", m)
}
