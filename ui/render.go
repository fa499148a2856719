package ui

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/ui/locale"
)

//go:embed templates
var templateFiles embed.FS

// pages are the parsed templates and the assets they point to. Safe for concurrent use.
// A page is put together when it is asked for first: each has a copy of all shared parts,
// and a box shows a few of its pages every day and most of them never.
type pages struct {
	base   *template.Template            // layout and shared parts; never executed
	mu     sync.Mutex                    // guards set
	set    map[string]*template.Template // by page name, such as "people/person"; those asked for so far
	assets assets
	gzips  sync.Pool // of *gzip.Writer: one is 800 KB, too much to make for every page
}

// pageNames are the pages there are, one file templates/<name>.html each.
// newPages fails when this list and the folder differ, so that a page can be
// neither forgotten nor left behind.
func pageNames() []string {
	return []string{
		"first/claim", "first/choose", "first/start", "first/join", "first/practise", "first/words", "first/restore", "first/restoring", "backup/backup", "backup/restored",
		"locked/gate", "locked/family", "locked/check", "locked/open",
		"night/list", "night/aside", "night/choose", "night/boxes", "night/openings", "night/opening",
		"entry/unlock", "entry/opening", "entry/signin", "entry/wake", "entry/welcome",
		"home/home", "home/error",
		"people/search", "people/new", "people/person", "people/edit", "people/household", "people/member", "people/tell", "people/copies",
		"cards/card", "cards/sheet",
		"verify/verify", "verify/result",
		"mesh/mesh", "mesh/node", "mesh/invite", "mesh/gone", "mesh/find", "mesh/links", "carry/carry",
		"staff/staff", "staff/words", "staff/colleagues", "staff/sessions", "staff/me", "staff/undertaking", "staff/badge", "staff/acts", "staff/act",
		"phone/phone", "phone/offline",
		"box/lock", "box/box", "box/webcert", "box/made", "box/wipe", "box/wiped", "box/emergency", "box/losses",
		"ceremony/ceremony", "ceremony/issuer", "ceremony/shares", "ceremony/sheet", "ceremony/install", "drill/drill",
		"reads/list", "reads/person", "reads/reader",
		"erase/ask", "erase/list", "erase/approval", "erase/erasure",
		"lost/ask", "lost/list", "lost/sheet", "lost/held",
		"sealed/desk", "sealed/new", "sealed/file", "sealed/access", "sealed/begin", "sealed/officers", "sealed/out", "sealed/end", "sealed/second", "sealed/agree", "sealed/agreed", "sealed/receipt",
		"help/index", "help/topic",
	}
}

// newPages parses the layout and the shared parts, and looks whether every page is there.
func newPages() (*pages, error) {
	a, err := loadAssets(staticFiles)
	if err != nil {
		return nil, err
	}
	p := &pages{set: map[string]*template.Template{}, assets: a}
	p.base, err = template.New("base").Funcs(p.funcs()).ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	left := map[string]bool{}
	found, err := fs.Glob(templateFiles, "templates/*/*.html")
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		left[strings.TrimSuffix(strings.TrimPrefix(f, "templates/"), ".html")] = true
	}
	for _, name := range pageNames() {
		if !left[name] {
			return nil, fmt.Errorf("the page %s has no template", name)
		}
		delete(left, name)
	}
	for name := range left {
		return nil, fmt.Errorf("the template %s belongs to no page", name)
	}
	return p, nil
}

// page is a page with its copy of the shared parts, ready to be executed. A name that is
// none of pageNames is an error, and so is a template that cannot be parsed, which the
// gallery finds.
func (p *pages) page(name string) (*template.Template, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.set[name]; t != nil {
		return t, nil
	}
	t, err := p.base.Clone()
	if err == nil {
		t, err = t.ParseFS(templateFiles, "templates/"+name+".html")
	}
	if err != nil {
		return nil, err
	}
	p.set[name] = t
	return t, nil
}

func (p *pages) funcs() template.FuncMap {
	return template.FuncMap{
		"icon": icon, "mark": mark, "shape": shape,
		"asset": func(name string) (string, error) {
			if a := p.assets[name]; a != nil {
				return a.url, nil
			}
			return "", fmt.Errorf("no asset %s", name)
		},
		"add": func(a, b int) int { return a + b },
	}
}

// view is what every template gets: the frame around the page and, as D, the
// page's own model. Templates only read it.
type view struct {
	Lang     locale.Language
	Page     string // "people/person"
	Path     string // of the request, for the language switch
	Query    string // of the request, likewise: the claim code, what was searched for
	State    string // of the box: new, locked, opening, open or read-only
	Site     SiteInfo
	User     string // who is signed in; empty when nobody
	CSRF     string
	Nav      []navItem
	Alarms   int       // things on the home page that want a lead's eye
	Practice bool      // made-up people only, gone at the next start
	Open     bool      // the box holds records: the practice-data banner applies
	Holder   bool      // may hold the ceremony and go through the drill
	NoSwitch bool      // the language switch would lose what is shown only once
	Rung     *rungLine // nil on the box itself
	Idle     int       // seconds without input after which the page closes by itself; zero: never
	Form     *form
	watch    string // words of notes, for a script
	tells    bool   // something can be passed on from here; see tellView
	Now      time.Time
	D        any
}

// navItem is one of the main places.
type navItem struct {
	Path, Key, Icon string
	Alt             string // with Alt, the letter that opens it
	Here            bool
}

// T is the sentence for key in the page's language; args alternate names and
// values. Text values are isolated (Unicode FSI and PDI), so that an Arabic name
// in an English sentence, or the other way round, cannot reorder it.
func (v *view) T(key string, args ...any) string { return sentence(v.Lang, key, args) }

// isolates keep a value's direction to itself (UAX 9, 2.4).
const (
	firstStrongIsolate = "\u2068"
	popIsolate         = "\u2069"
)

func sentence(lang locale.Language, key string, args []any) string {
	if len(args) == 0 {
		return lang.Text(key, nil)
	}
	m := make(map[string]any, len(args)/2)
	for i := 0; i+1 < len(args); i += 2 {
		m[fmt.Sprint(args[i])] = isolated(args[i+1])
	}
	return lang.Text(key, m)
}

func isolated(value any) any {
	if s, ok := value.(string); ok {
		return firstStrongIsolate + s + popIsolate
	}
	return value
}

// faultText is the sentence of a fault, and faultHint what to do now; the hint is
// empty when the fault has none.
func (v *view) faultText(f *fault.Error) string { return faultSentence(v.Lang, f.Key, f.Args) }

func (v *view) faultHint(f *fault.Error) string {
	if key := f.Key + ".hint"; v.Lang.Has(key) {
		return faultSentence(v.Lang, key, f.Args)
	}
	return ""
}

// faultSentence says a fault's key. A key nobody translated is a mistake of ours:
// the person reads the sentence for such mistakes and never a key.
func faultSentence(lang locale.Language, key string, args map[string]any) string {
	if !lang.Has(key) {
		return lang.Text("fault.internal", nil)
	}
	safe := make(map[string]any, len(args))
	for k, a := range args {
		safe[k] = isolated(a)
	}
	return lang.Text(key, safe)
}

// Can tells whether a nav place is offered; templates use it for links inside pages.
func (v *view) Can(path string) bool {
	return slices.ContainsFunc(v.Nav, func(n navItem) bool { return n.Path == path })
}

// Languages are the self-names for the switch.
func (v *view) Languages() []locale.Named { return locale.Languages() }

// SwitchTo is the address that changes the language and comes back here.
func (v *view) SwitchTo(tag string) string {
	to := v.Path
	if v.Query != "" {
		to += "?" + v.Query
	}
	return "/lang/" + tag + "?to=" + url.QueryEscape(to)
}

// When writes a moment for people: date and time of this box, in Latin digits. An
// unknown moment is said in words.
func (v *view) When(t time.Time) string {
	if t.IsZero() || t.Year() < 2000 {
		return v.T("time.unknown")
	}
	return t.Local().Format("2006-\u206001-\u206002\u00a015:04") // in one piece: torn at a hyphen it reads backwards in Arabic
}

// Day is a day, without its hour.
func (v *view) Day(t time.Time) string {
	return t.UTC().Format("2006-\u206001-\u206002")
}

// Stamp is a moment for machines, as the datetime attribute wants it.
func (v *view) Stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Ago says roughly how long ago t was. A clock that went back says "just now".
func (v *view) Ago(t time.Time) string {
	if t.IsZero() {
		return v.T("time.never")
	}
	switch d := v.Now.Sub(t); {
	case d < time.Minute:
		return v.T("time.now")
	case d < time.Hour:
		return v.T("time.minutes", "Count", int(d/time.Minute))
	case d < 48*time.Hour:
		return v.T("time.hours", "Count", int(d/time.Hour))
	default:
		return v.T("time.days", "Count", int(d/(24*time.Hour)))
	}
}

// Code shows what a sentence has between backquotes, commands to type, as such.
func (v *view) Code(text string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		part = template.HTMLEscapeString(part)
		if i%2 == 1 {
			part = `<code class="code" dir="ltr">` + part + `</code>`
		}
		b.WriteString(part)
	}
	return template.HTML(b.String()) //nolint:gosec // every part was escaped
}

// Label is the word for a code of a list, such as registration.sex and "female". A
// code without a word of its own is shown as it was written.
func (v *view) Label(list, code string) string {
	if key := list + "." + code; v.Lang.Has(key) {
		return v.Lang.Text(key, nil)
	}
	return code
}

// render sends a whole page. data is the page's own model.
func (v *visit) render(page string, data any) error {
	return v.renderForm(page, data, nil)
}

// renderForm is render with a form that was sent and what is wrong with it.
func (v *visit) renderForm(page string, data any, f *form) error {
	html, err := v.s.pages.render(v.view(page, data, f))
	if err != nil {
		return fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	v.c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	v.c.Set(fiber.HeaderCacheControl, "no-store") // people's data stays out of every cache
	v.c.Set(fiber.HeaderContentLanguage, v.lang.Tag())
	v.c.Set(fiber.HeaderVary, fiber.HeaderAcceptEncoding)
	if len(html) > gzipWorthwhile && takesGzip(v.c.Get(fiber.HeaderAcceptEncoding)) {
		v.c.Set(fiber.HeaderContentEncoding, "gzip")
		return v.c.Send(v.s.pages.squeeze(html))
	}
	return v.c.Send(html)
}

// gzipWorthwhile: below one packet nothing gets faster.
const gzipWorthwhile = 1200

// squeeze compresses a page. That a page holds a secret (the form key) beside what
// was typed is safe to compress because the session cookie is SameSite: nobody
// else's page can make the browser ask for it again and again.
func (p *pages) squeeze(html []byte) []byte {
	var b bytes.Buffer
	w, ok := p.gzips.Get().(*gzip.Writer)
	if !ok {
		w = gzip.NewWriter(nil)
	}
	w.Reset(&b)
	_, _ = w.Write(html)
	_ = w.Close()
	p.gzips.Put(w)
	return b.Bytes()
}

// render runs a template into memory first, so that a mistake in it never leaves
// half a page.
func (p *pages) render(data *view) ([]byte, error) {
	t, err := p.page(data.Page)
	if err != nil {
		return nil, fmt.Errorf("no page %s: %w", data.Page, err)
	}
	if data.Form == nil {
		data.Form = &form{}
	}
	data.Form.lang = data.Lang
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout.html", data); err != nil {
		return nil, fmt.Errorf("page %s: %w", data.Page, err)
	}
	return steady(tidy(b.Bytes())), nil
}

// steady puts U+FFFD where a control character would reach a screen or a printer. What is
// typed is cleaned where it comes in; this holds for whatever came another way.
func steady(html []byte) []byte {
	control := func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r >= 0x7f && r < 0xa0
	}
	if bytes.IndexFunc(html, control) < 0 {
		return html
	}
	return bytes.Map(func(r rune) rune {
		if control(r) {
			return utf8.RuneError
		}
		return r
	}, html)
}

// tidy drops the indentation and empty lines that template actions leave, which
// on a long form are a third of the bytes. Lines are kept apart, so no two words
// grow together; text areas keep their own lines because templates fill them on
// one line with what was typed, and indentation there is rare and harmless.
func tidy(html []byte) []byte {
	out := make([]byte, 0, len(html))
	inArea := false
	for line := range bytes.SplitSeq(html, []byte("\n")) {
		if inArea {
			out = append(append(out, line...), '\n')
		} else if line = bytes.TrimSpace(line); len(line) > 0 {
			out = append(append(out, line...), '\n')
		}
		if open, shut := bytes.LastIndex(line, []byte("<textarea")), bytes.LastIndex(line, []byte("</textarea>")); open != shut {
			inArea = open > shut
		}
	}
	return out
}

// view builds the frame around a page.
func (v *visit) view(page string, data any, f *form) *view {
	site := v.s.config.Box.Site()
	if !v.signedIn() && v.client() != "" { // strangers need not know whose box this is
		site.Deployment, site.Site = "", ""
	}
	state := v.s.config.Box.State()
	w := &view{
		Lang: v.lang, Page: page, Path: v.c.Path(), State: state, Site: site, Practice: site.Practice,
		Open: state == "open" || state == "read-only", Form: f, Now: v.s.config.Clock.Now(), D: data, Rung: v.rungLine(), watch: v.s.watcher.words,
		NoSwitch: page == "first/words" || page == "mesh/invite" || page == "ceremony/issuer" || page == "staff/words" || page == "sealed/agreed",
	}
	if v.c.Method() == fiber.MethodGet {
		w.Query = string(v.c.Request().URI().QueryString())
	} else {
		w.Path = backTo(w.Path)
		if claim := v.form("claim"); claim != "" { // the page is nothing without it
			w.Query = url.Values{"claim": {claim}}.Encode()
		}
	}
	w.CSRF = v.csrf()
	if v.signedIn() {
		w.User = v.actor.Name
		w.Holder = v.actor.Can(staff.HoldCeremony)
		w.Nav = navFor(v.actor, w.Path)
		w.Alarms = alarms(site)
		w.Idle = v.idle(page)
		w.tells = w.Open && v.desks() != nil && v.mayTell()
	}
	return w
}

// idle is after how many seconds without input a page closes by itself. One that shows
// words once stays: they would be lost.
func (v *visit) idle(page string) int {
	switch {
	case page == "first/words" || page == "staff/words" || page == "entry/wake":
		return 0
	case v.route != nil && v.route.narrow:
		return narrowIdle
	}
	return pageIdle
}

// backTo is the page a form lives on, for the language switch after a post.
func backTo(p string) string {
	for _, tail := range []string{
		"/keep", "/cards", "/card", "/confirm", "/decline", "/undo", "/finish", "/begin", "/words", "/sheet-words", "/read", "/root", "/issuer", "/disable", "/invite",
		"/looked", "/new/sign", "/reset", "/paper", "/pin", "/pin/forget", "/passphrase", "/end", "/end-others",
	} {
		if base, ok := strings.CutSuffix(p, tail); ok {
			return base
		}
	}
	if p == "/people" {
		return "/people/new"
	}
	return p
}

// alarms counts what a lead has to settle on this box.
func alarms(s SiteInfo) int {
	if s.Practice {
		return 0
	}
	n := 0
	if s.RootOnBox {
		n++
	}
	if !s.Confirmed {
		n++
	}
	return n
}

// pageError answers with a whole page that says what happened and what to do now.
func (v *visit) pageError(f *fault.Error) error {
	w := v.view("home/error", nil, nil)
	w.D = errorPage{Status: f.Class.Status(), Text: w.faultText(f), Hint: w.faultHint(f), Class: string(f.Class)}
	html, err := v.s.pages.render(w)
	if err != nil {
		return err
	}
	v.c.Status(f.Class.Status())
	v.c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	v.c.Set(fiber.HeaderCacheControl, "no-store")
	return v.c.Send(html)
}

// errorPage is the model of home/error.
type errorPage struct {
	Status     int
	Text, Hint string
	Class      string
}

// itoa is short for the many names that carry a row number.
func itoa(n int) string { return strconv.Itoa(n) }
