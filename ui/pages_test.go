package ui

import (
	"bytes"
	"cmp"
	"context"
	"image/png"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
	"github.com/waypost/waypost/ui/locale"
)

// pageBox is an apiBox that can also be claimed.
type pageBox struct {
	*apiBox
	started []any // what the first pages asked for
	words   []string
	tokens  map[string]string // cookies of the browser whose session is to rest
	fail    error
}

const testClaim = "K7QF-3MXP"

func (b *pageBox) CheckClaim(code string) error {
	if code != testClaim {
		return fault.New(fault.Denied, "fault.node.claim_wrong")
	}
	return nil
}

func (b *pageBox) begin(claim, lead string, what any) (Started, error) {
	if err := b.CheckClaim(claim); err != nil {
		return Started{}, err
	}
	if b.fail != nil {
		return Started{}, b.fail
	}
	b.set(stateOpen)
	b.started = append(b.started, what)
	ctx := context.Background()
	if _, err := b.desks.Staff.Add(ctx, staff.Operator(), staff.NewAccount{User: lead, Role: staff.Lead, Passphrase: []byte(testPassphrase)}); err != nil {
		return Started{}, err
	}
	session, err := b.desks.Staff.SignIn(ctx, lead, []byte(testPassphrase))
	return Started{Words: b.words, Session: session}, err
}

func (b *pageBox) StartSite(_ context.Context, s StartSite) (Started, error) {
	return b.begin(s.Claim, s.Lead, s)
}

func (b *pageBox) JoinSite(_ context.Context, j JoinSite) (Started, error) {
	started, err := b.begin(j.Claim, j.Lead, j)
	started.Compare = []string{"anchor", "basket", "candle", "drop-down", "eagle"}
	return started, err
}

func (b *pageBox) Practise(_ context.Context, claim string) (Started, error) {
	started, err := b.begin(claim, "practice", claim)
	started.Words = nil
	return started, err
}

// browser is somebody without scripts: it keeps cookies, follows redirects and
// sends forms as they stand on the page.
type browser struct {
	t       *testing.T
	s       *Server
	surface Surface
	cookies map[string]string
	accept  string
	host    string // empty: localhost:8080

	path   string
	status int
	body   []byte
}

func newBrowser(t *testing.T, s *Server) *browser {
	return &browser{t: t, s: s, surface: Loopback, cookies: map[string]string{}, accept: "en"}
}

func newPageServer(t *testing.T) (*pageBox, *Server) {
	t.Helper()
	box := &pageBox{apiBox: newAPIBox(t), words: galleryWords}
	catalog := locale.New()
	s, err := New(Config{Box: box, Catalog: catalog, Clock: clock.System(), Logger: slog.New(slog.DiscardHandler), Version: "test"})
	must(t, err)
	t.Cleanup(s.Close)
	return box, s
}

func (b *browser) do(method, path, contentType string, body []byte) *browser {
	b.t.Helper()
	for range 5 {
		req := httptest.NewRequest(method, path, bytes.NewReader(body))
		req.Host = cmp.Or(b.host, "localhost:8080")
		req.Header.Set("Accept", "text/html")
		req.Header.Set("Accept-Language", b.accept)
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		for name, value := range b.cookies {
			req.Header.Add("Cookie", name+"="+value)
		}
		resp, err := b.s.App(b.surface).Test(req, -1)
		must(b.t, err)
		b.body, err = io.ReadAll(resp.Body)
		must(b.t, err)
		must(b.t, resp.Body.Close())
		for _, c := range resp.Cookies() {
			b.cookies[c.Name] = c.Value
			if c.MaxAge < 0 {
				delete(b.cookies, c.Name)
			}
		}
		b.path, b.status = path, resp.StatusCode
		switch resp.StatusCode {
		case 303:
			path, _, _ = strings.Cut(resp.Header.Get("Location"), "#")
			method, contentType, body = "GET", "", nil
		case 307:
			path = resp.Header.Get("Location")
		default:
			return b
		}
	}
	b.t.Fatalf("redirects without end at %s", path)
	return b
}

func (b *browser) get(path string) *browser { b.t.Helper(); return b.do("GET", path, "", nil) }

// post sends the form of the page whose action is given, with some fields changed.
func (b *browser) post(action string, change url.Values) *browser {
	b.t.Helper()
	values := b.fields(action)
	for name, v := range change {
		values[name] = v
	}
	return b.do("POST", action, "application/x-www-form-urlencoded", []byte(values.Encode()))
}

// fields are the values a form has as it stands; its buttons are not pressed.
func (b *browser) fields(action string) url.Values {
	b.t.Helper()
	root, err := html.Parse(bytes.NewReader(b.body))
	must(b.t, err)
	for n := range root.Descendants() {
		if n.Data != "form" || attr(n, "method") != "post" || attr(n, "action") != action {
			continue
		}
		values := url.Values{}
		for d := range n.Descendants() {
			switch {
			case d.Data == "input" && attr(d, "type") == "file":
			case d.Data == "input" && (attr(d, "type") != "radio" && attr(d, "type") != "checkbox" || hasAttr(d, "checked")):
				values.Add(attr(d, "name"), attr(d, "value"))
			case d.Data == "textarea":
				values.Add(attr(d, "name"), textOf(d))
			case d.Data == "option" && hasAttr(d, "selected"):
				values.Add(attr(within(d, "select"), "name"), attr(d, "value"))
			}
		}
		return values
	}
	b.t.Fatalf("no form for %s on %s:\n%s", action, b.path, b.body)
	return nil
}

// unmarked takes out the marks around foreign text.
var unmarked = strings.NewReplacer(firstStrongIsolate, "", popIsolate, "")

func (b *browser) wants(status int, texts ...string) *browser {
	b.t.Helper()
	plain := unmarked.Replace(html.UnescapeString(string(b.body)))
	if b.status != status {
		b.t.Fatalf("%s answered %d, not %d:\n%s", b.path, b.status, status, inMain(plain))
	}
	for _, text := range texts {
		if !strings.Contains(plain, text) {
			b.t.Fatalf("%s does not say %q:\n%s", b.path, text, inMain(plain))
		}
	}
	return b
}

func (b *browser) lacks(texts ...string) *browser {
	b.t.Helper()
	for _, text := range texts {
		if strings.Contains(unmarked.Replace(string(b.body)), text) {
			b.t.Fatalf("%s says %q:\n%s", b.path, text, inMain(string(b.body)))
		}
	}
	return b
}

// inMain is the part of a page worth reading in a failed test.
func inMain(page string) string {
	if _, tail, ok := strings.Cut(page, "<main"); ok {
		page, _, _ = strings.Cut(tail, "</main>")
	}
	return page
}

// signedInAs is a browser of somebody with a role.
func signedInAs(t *testing.T, box *pageBox, s *Server, user string, role staff.Role) *browser {
	t.Helper()
	_, err := box.desks.Staff.Add(context.Background(), staff.Operator(), staff.NewAccount{User: user, Role: role, Passphrase: passphraseFor(role)})
	must(t, err)
	b := newBrowser(t, s)
	b.get("/").wants(200, "Sign in")
	b.post("/signin", url.Values{"user": {user}, "passphrase": {string(passphraseFor(role))}}).wants(200, "Sign out", user, "Confidentiality undertaking")
	return b.post("/undertaking", nil).wants(200, "Sign out", user)
}

func TestFirstRun(t *testing.T) {
	box, s := newPageServer(t)
	box.set(stateNew)
	b := newBrowser(t, s)
	b.get("/").wants(200, "Claim code").lacks("Start a site")
	b.get("/?claim=WRONG").wants(403, "This is not the claim code of this box").lacks("/start")
	b.get("/start?claim=WRONG").wants(403, "Claim code")
	b.get("/?claim="+testClaim).wants(200, "Start a site", "Join a site", "Practise")
	b.get("/start?claim=" + testClaim)
	b.post("/start", url.Values{"deployment": {"Côte"}, "site": {""}, "lead": {"Amina"}}).wants(400, "This is needed", `value="Côte"`, `value="Amina"`, testClaim)
	b.post("/start", url.Values{"site": {"North gate"}}).wants(200, "harbor", "yo-yo", "I have written them down", "10.42.0.1").lacks("/lang/")
	if len(box.started) != 1 || box.started[0] != (StartSite{testClaim, "Côte", "North gate", "Amina"}) {
		t.Fatalf("started with %v", box.started)
	}
	b.post("/words", nil).wants(200, "Sign out", "Amina", "Who opens this box at night").lacks("five words of this box")
	b.post("/night/choose", url.Values{"way": {"never"}}).wants(400, "Choose one of the three")
	b.post("/night/choose", url.Values{"way": {"stick"}}).wants(200, "Key stick")
	b.get("/night/choose").wants(200, `value="stick" required checked`)
	b.post("/night/choose", url.Values{"way": {"peers"}}).wants(200, "no other box whose words were compared")
	b.get("/night/choose").post("/night/choose", url.Values{"way": {"wait"}}).wants(200, "Confidentiality undertaking").lacks("Nobody is registered yet")
	b.get("/people").wants(200, "I promise this")
	b.get("/")
	b.post("/undertaking", nil).wants(200, "Sign out", "Amina", "Nobody is registered yet").lacks("five words of this box")
	b.get("/words").wants(200, "Nobody is registered yet")
	newBrowser(t, s).get("/start?claim="+testClaim).wants(200, "Sign in") // the box is taken
}

func TestJoiningAndPractising(t *testing.T) {
	box, s := newPageServer(t)
	box.set(stateNew)
	b := newBrowser(t, s)
	b.get("/join?claim=" + testClaim)
	box.fail = fault.New(fault.Gone, "fault.node.claim_over")
	b.post("/join", url.Values{"code": {"WPI1ABC"}, "site": {"Harbour"}, "lead": {"Bo"}}).wants(410, "used up", `value="Harbour"`, `value="WPI1ABC"`)
	box.fail = nil
	b.post("/join", url.Values{"code": {"WPI1\n AB C"}}).wants(200, "harbor", "Now compare", "drop-down")
	if j, _ := box.started[0].(JoinSite); j.Code != "WPI1ABC" {
		t.Fatalf("joined with %v", box.started)
	}
	box.set(stateNew)
	b = newBrowser(t, s)
	b.get("/practise?claim="+testClaim).wants(200, "made-up")
	b.post("/practise", nil).wants(200, "Sign out").lacks("harbor")
}

func TestOpeningALockedBox(t *testing.T) {
	box, s := newPageServer(t)
	box.set(stateLocked)
	b := newBrowser(t, s)
	for _, path := range []string{"/", "/people", "/mesh", "/verify", "/staff"} {
		b.get(path).wants(200, "Open this box").lacks("/people/new")
	}
	b.post("/unlock", url.Values{"words": {"wrong words"}}).wants(403).lacks("wrong words")
	b.post("/unlock", url.Values{"words": {"1. Correct, 2. horse\n3. battery 4. staple"}}).wants(200, "Sign in")
}

func TestPlainWords(t *testing.T) {
	for typed, want := range map[string]string{
		"one two": "one two", "1. One, 2. Two\n3) yo-yo": "one two yo-yo", "- one - two": "one two", "  ": "", "t-shirt;drop-down": "t-shirt drop-down",
	} {
		if got := plainWords(typed); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

func TestSigningInAndOut(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Registrar)
	b.get("/staff").wants(403)
	b.get("/people/new").post("/signout", nil).wants(200, "Sign in").lacks("Sign out")
	b.get("/people").wants(200, "Sign in")
	b.post("/signin", url.Values{"user": {"Amina"}, "passphrase": {"not this one"}}).wants(403, `value="Amina"`).lacks("not this one")
}

func TestTheLanguageIsKept(t *testing.T) {
	_, s := newPageServer(t)
	b := newBrowser(t, s)
	b.get("/").wants(200, `lang="en"`)
	b.get("/lang/ar?to=/help").wants(200, `lang="ar"`, `dir="rtl"`)
	b.get("/").wants(200, `lang="ar"`)
	if b.get("/lang/xx"); b.status != 404 {
		t.Fatal("a language nobody speaks was chosen")
	}
	for _, to := range []string{"//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "evil"} {
		if got := ownPath(to); got != "/" {
			t.Errorf("%s leads to %s", to, got)
		}
	}
	if ownPath("/people?q=a+b") != "/people?q=a+b" {
		t.Error("a path of our own is not kept")
	}
}

var personPath = regexp.MustCompile(`^/people/[a-z2-7]{16}$`)

func TestRegisteringAFamilyWithoutScripts(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Registrar)
	b.get("/people/new")
	if got := bytes.Count(b.body, []byte("data-row=")); got != firstRows {
		t.Fatalf("%d rows", got)
	}
	b.post("/people", url.Values{"family_name": {"Tum"}, "members.0.given_name": {"Rosa"}, "more": {"1"}}).wants(200, `value="Rosa"`, `value="Tum"`)
	if got := bytes.Count(b.body, []byte("data-row=")); got != firstRows+moreRows {
		t.Fatalf("%d rows after asking for more", got)
	}
	// A gap between the rows, a wrong age in the third and a country nobody knows.
	b.post("/people", url.Values{
		"save": {"1"}, "members.2.given_name": {"محمد"}, "members.2.age": {"many"}, "members.2.sex": {"male"}, "members.2.needs": {"wheelchair"}, "nationality": {"Narnia"},
	}).wants(400, "Problem:", "Person 3: ", `href="#f-members-2-age"`, `id="f-members-2-age-err"`, `value="many"`, `value="محمد"`, `value="Narnia"`)
	if v := b.fields("/people"); v.Get("members.2.needs") != "wheelchair" || v.Get("members.2.sex") != "male" {
		t.Fatalf("something typed is lost: %v", v)
	}
	b.post("/people", url.Values{"save": {"1"}, "members.2.age": {"٤١"}, "nationality": {"guatemala"}, "languages": {"Spanish, K’iche’"}, "consent": {"registration"}}).
		wants(200, "Saved: 2 people", "Rosa Tum", "محمد Tum", "41 years", "Head of the household")
	saved := b.path
	if !strings.HasPrefix(saved, "/households/") {
		t.Fatal(saved)
	}
	page, err := box.desks.Registration.Search(context.Background(), staff.Operator(), "Rosa", 5, "")
	must(t, err)
	if r := page.Items[0]; r.Nationality != "GTM" || len(r.Languages) != 2 || r.Languages[1] != "quc" || len(r.Consent) != 1 {
		t.Fatalf("registered as %+v", r.Person)
	}
}

func TestSavingTwiceRegistersOnce(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Registrar)
	b.get("/people/new")
	form := b.fields("/people")
	form.Set("members.0.given_name", "Rosa")
	form.Set("save", "1")
	send := func() *browser {
		return b.do("POST", "/people", "application/x-www-form-urlencoded", []byte(form.Encode()))
	}
	first := send().wants(200, "Rosa").path
	if second := send().path; second != first || !personPath.MatchString(first) {
		t.Fatalf("%s, then %s", first, second)
	}
	form.Set("members.0.given_name", "Ana")
	send().wants(409, "already saved", `value="Ana"`)
	if n, _ := box.desks.Registration.Counts(t.Context()); n.People != 1 {
		t.Fatalf("%d people", n.People)
	}
}

func TestNobodyInTheForm(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Registrar)
	b.get("/people/new").post("/people", url.Values{"save": {"1"}, "family_name": {"Tum"}}).wants(400, "There is nobody in this form yet", `value="Tum"`)
	b.get("/people?q=Zeinab+Tum").wants(200, "Nobody found", "Register this person")
	b.get("/people/new?name=Zeinab+Tum").wants(200, `value="Zeinab"`, `value="Tum"`)
}

// onePerson registers somebody and opens their page.
func onePerson(b *browser, fields url.Values) *browser {
	b.t.Helper()
	b.get("/people/new")
	fields.Set("save", "1")
	b.post("/people", fields).wants(200)
	if !personPath.MatchString(b.path) {
		b.t.Fatalf("landed on %s", b.path)
	}
	return b
}

func TestCorrecting(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Registrar)
	at := onePerson(b, url.Values{"family_name": {"Tum"}, "members.0.given_name": {"Rosa"}, "members.0.age": {"30"}, "consent": {"registration", "statistics"}}).path
	b.get(at+"/edit").wants(200, `value="Rosa"`)
	b.post(at+"/edit", url.Values{"phone": {"no number"}, "given_name": {"Rosalía"}}).wants(400, `value="no number"`, `value="Rosalía"`, "not a phone number")
	b.post(at+"/edit", url.Values{"phone": {"+502 5550"}, "consent": {"registration"}, "documents.0.type": {"passport"}, "documents.0.number": {"A1"}}).
		wants(200, "Rosalía Tum", "+502 5550", "A1", "Passport")
	page, err := box.desks.Registration.Search(context.Background(), staff.Operator(), "Rosalía", 5, "")
	must(t, err)
	r := page.Items[0]
	if len(r.Consent) != 2 || !r.Consent[0].Given || r.Consent[1].Given || r.Consent[0].By == "" {
		t.Fatalf("consent: %+v", r.Consent)
	}
	if r.Age == nil || *r.Age != 30 || r.AgeAt == "" {
		t.Fatalf("the age changed: %v %q", r.Age, r.AgeAt)
	}
	ops := box.log.Stats().Ops
	b.get(at+"/edit").post(at+"/edit", nil).wants(200, "Rosalía Tum")
	if box.log.Stats().Ops != ops {
		t.Error("a form that changed nothing wrote something")
	}
}

func TestTwoCorrectionsOfOneFieldAreShownAndSettled(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Registrar)
	at := onePerson(b, url.Values{"members.0.given_name": {"Rosa"}, "members.0.age": {"30"}}).path
	b.get(at + "/edit")
	stale := b.fields(at + "/edit")
	b.get(at + "/edit") // somebody else opens the same form
	b.post(at+"/edit", url.Values{"given_name": {"Rosalía"}, "age": {"31"}}).wants(200, "Rosalía").lacks("two versions")
	stale.Set("given_name", "Rosalba")
	b.do("POST", at+"/edit", "application/x-www-form-urlencoded", []byte(stale.Encode())).wants(200, "Given name: two versions", "Rosalía", "Rosalba")
	b.lacks("Date of birth: two versions") // that one was left alone

	// Correcting something else settles nothing.
	b.get(at+"/edit").post(at+"/edit", url.Values{"phone": {"555 12"}}).wants(200, "555 12", "two versions")
	// A button of a page that is out of date does nothing.
	keep := b.fields(at + "/keep")
	keep.Set("pick", "0000000000000000")
	b.do("POST", at+"/keep", "application/x-www-form-urlencoded", []byte(keep.Encode())).wants(409, "settled this in the meantime")
	b.get(at).post(at+"/keep", nil).wants(200).lacks("two versions")
	b.get("/people?q=Rosal").lacks("Two versions")
}

func TestHouseholdsGrow(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Registrar)
	b.get("/people/new").post("/people", url.Values{"save": {"1"}, "family_name": {"Tum"}, "members.0.given_name": {"Rosa"}, "members.1.given_name": {"Juan"}})
	at, _, _ := strings.Cut(b.path, "?")
	b.get(at+"/add").wants(200, `value="Tum"`)
	b.post(at+"/add", url.Values{"given_name": {"Eva"}, "age": {"900"}}).wants(400, `value="Eva"`, `id="f-age-err"`)
	b.post(at+"/add", url.Values{"age": {"9"}}).wants(200, "Eva Tum", "3 people", "Child")
	b.get("/households/zzzz").wants(404)
	b.get("/people/zzzz").wants(404)
	b.get("/people/zzzz/edit").wants(404)
}

func TestCardsArePrintedReissuedAndChecked(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Registrar)
	b.get("/people/new").post("/people", url.Values{"save": {"1"}, "family_name": {"Tum"}, "members.0.given_name": {"Rosa"}, "members.1.given_name": {"Juan"}})
	home, _, _ := strings.Cut(b.path, "?")
	b.post(home+"/cards", nil).wants(200, "2 cards on A4")
	if got := bytes.Count(b.body, []byte("cr80")); got != 2 {
		t.Fatalf("%d cards", got)
	}
	b.lacks("Rosa", "Juan") // no name on a card
	codes := regexp.MustCompile(`class="typed">([0-9A-Z-]{14})<`).FindAllStringSubmatch(string(b.body), -1)
	if len(codes) != 2 {
		t.Fatalf("%d codes on two cards", len(codes))
	}
	b.get(home).wants(200, codes[0][1], codes[1][1]) // whose card is whose
	ops := box.log.Stats().Ops
	b.get(home).post(home+"/cards", nil).wants(200)
	if box.log.Stats().Ops != ops {
		t.Fatal("printing again made new cards")
	}
	page, err := box.desks.Registration.Search(context.Background(), staff.Operator(), "Rosa", 1, "")
	must(t, err)
	id := page.Items[0].ID
	at := "/people/" + id.String()
	old, _, err := box.desks.Tokens.Current(context.Background(), staff.Operator(), id)
	must(t, err)
	b.get(at+"/card").wants(200, old.Typed)
	b.get("/cards?ids="+id.String()+",%20"+page.Items[0].ID.String()).wants(200, "2 cards")
	b.get("/cards?ids=zz").wants(404)

	b.get("/verify").post("/verify", url.Values{"text": {old.Text}}).wants(200, "Genuine card", "Rosa Tum", "verdict good")
	b.post("/verify", url.Values{"text": {strings.ToLower(old.Typed)}}).wants(200, "Found in the register", "not verified", "Rosa Tum", "verdict warn")
	b.post("/verify", url.Values{"text": {"nonsense"}}).wants(200, "Not readable as a card", "verdict bad").lacks("Rosa")
	b.post("/verify", url.Values{"text": {" "}}).wants(400, "This is needed")

	b.get(at).post(at+"/card", nil).wants(200, old.Typed)
	b.get("/verify").post("/verify", url.Values{"text": {old.Text}}).wants(200, "Old card", "verdict warn")
}

func TestAPhotoOfACard(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Registrar)
	at := onePerson(b, url.Values{"members.0.given_name": {"Rosa"}}).path
	b.post(at+"/card", nil).wants(200)
	page, err := box.desks.Registration.Search(context.Background(), staff.Operator(), "Rosa", 1, "")
	must(t, err)
	card, _, err := box.desks.Tokens.Current(context.Background(), staff.Operator(), page.Items[0].ID)
	must(t, err)
	picture := tokens.PNG(card.Text, 6)
	if _, err := png.Decode(bytes.NewReader(picture)); err != nil {
		t.Fatal(err)
	}
	photo := func(data []byte) *browser {
		csrf := b.get("/verify").fields("/verify").Get("csrf")
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		must(t, w.WriteField("csrf", csrf))
		part, err := w.CreateFormFile("photo", "card.png")
		must(t, err)
		_, err = part.Write(data)
		must(t, err)
		must(t, w.Close())
		return b.do("POST", "/verify", w.FormDataContentType(), body.Bytes())
	}
	photo(picture).wants(200, "Genuine card", "Rosa")
	photo([]byte("no picture")).wants(415, "Problem:", "Photo of the card")
}

func TestRolesSeeWhatTheyMayUse(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Dara", staff.Distributor)
	b.get("/").wants(200, "Check a card").lacks("Find people", "/people/new", "/mesh", "/staff")
	for _, path := range []string{"/people", "/people/new", "/mesh", "/staff"} {
		b.get(path).wants(403, "Your role")
	}
	in := signedInAs(t, box, s, "Info", staff.Information)
	in.get("/").wants(200, "Help").lacks("Last registered")
	in.get("/people").wants(403)
}

func TestTheMeshPage(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Lead)
	b.get("/mesh").wants(200, "This box is alone", "only this box")
	box.peers = []control.Peer{{Node: "abc", Number: 2, Site: "Harbour", State: "away", Words: galleryWords, Behind: 5}}
	b.get("/mesh").wants(200, "Harbour", "away", "violin", "lacks 5 of our records", "never")
	b.post("/mesh/abc/confirm", nil).wants(200, "Other posts")
	b.get("/mesh").post("/mesh/invite", nil).wants(200, "WPI1TEST", "10 minutes", "<svg")
}

func TestStaffAreAddedAndSwitchedOff(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Lead)
	b.get("/staff").wants(200, "Amina", "Registrar")
	b.post("/staff", url.Values{"user": {"Bo"}, "role": {"registrar"}, "passphrase": {"short"}}).wants(400, `value="Bo"`).lacks("short\"")
	b.post("/staff", url.Values{"user": {"Bo"}, "role": {"registrar"}, "passphrase": {testPassphrase}}).wants(200, "Bo can sign in now").lacks(testPassphrase)
	b.post("/staff", url.Values{"user": {"Cy"}, "role": {"king"}, "passphrase": {testPassphrase}}).wants(400, "There is no such role", `value="Cy"`)
	newBrowser(t, s).get("/").post("/signin", url.Values{"user": {"Bo"}, "passphrase": {testPassphrase}}).wants(200, "Sign out")
	b.get("/staff").post("/staff/disable", url.Values{"user": {"Bo"}}).wants(200, "switched off")
	newBrowser(t, s).get("/").post("/signin", url.Values{"user": {"Bo"}, "passphrase": {testPassphrase}}).wants(403)
}

func TestHelpIsThereForEverybody(t *testing.T) {
	_, s := newPageServer(t)
	b := newBrowser(t, s)
	b.surface = Public
	b.get("/").wants(200, "https://10.42.0.1:8443/", "not protected").lacks("passphrase")
	b.get("/help").wants(200, "When something goes wrong")
	for _, name := range helpTopics() {
		if b.get("/help/" + name).wants(200); bytes.Count(b.body, []byte("<li>")) < 3+len(locale.Languages()) {
			t.Errorf("help on %s is thin", name)
		}
	}
	b.get("/help/nothing").wants(404, "no such page")
}

func TestNamesAreNeverMarkup(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Registrar)
	const evil = `"><script>alert(1)</script>`
	at := onePerson(b, url.Values{"members.0.given_name": {evil}, "members.0.more.notes": {"</textarea><img src=x onerror=alert(1)>"}}).path
	for _, path := range []string{at, at + "/edit", "/people?q=" + url.QueryEscape(evil), "/", "/people/new?name=" + url.QueryEscape(evil)} {
		b.get(path).wants(200).lacks("<script>alert", "<img")
	}
}
