package ui

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// nightBox is the part of the test box that works while it is locked.
type nightBox struct {
	letters  Letters
	families []registration.NewHousehold
	counts   []registration.Gate
	refuse   error
	trust    tokens.Trust

	aside  []AsideLetter
	inside registration.NewHousehold // of all of them
	why    error
}

func (b *nightBox) AsideLetters(context.Context, staff.Actor) ([]AsideLetter, error) {
	return b.aside, nil
}

func (b *nightBox) lies(name string) (int, error) {
	i := slices.IndexFunc(b.aside, func(l AsideLetter) bool { return l.Name == name })
	if i < 0 {
		return i, fault.New(fault.NotFound, "fault.node.no_letter")
	}
	return i, nil
}

func (b *nightBox) RetryAside(_ context.Context, _ staff.Actor, name string) error {
	i, err := b.lies(name)
	if err != nil {
		return err
	}
	if r := b.aside[i].Reason; r != nil {
		return r
	}
	b.aside = slices.Delete(b.aside, i, i+1)
	return nil
}

func (b *nightBox) AsideForm(_ context.Context, _ staff.Actor, name string) (registration.NewHousehold, error, error) {
	i, err := b.lies(name)
	if err == nil && b.aside[i].Narrow {
		err = fault.New(fault.Denied, "fault.node.letter_narrow")
	}
	return b.inside, b.why, err
}

func (b *nightBox) CompleteAside(_ context.Context, _ staff.Actor, name string, save func() error) error {
	i, err := b.lies(name)
	if err != nil {
		return err
	}
	if err := save(); err != nil {
		return err
	}
	b.aside = slices.Delete(b.aside, i, i+1)
	return nil
}

func (b *nightBox) Letters() Letters { return b.letters }

func (b *nightBox) left() (uint64, error) {
	if b.refuse != nil {
		return 0, b.refuse
	}
	b.letters.Waiting++
	return uint64(b.letters.Waiting), nil //nolint:gosec // small
}

func (b *nightBox) LeaveHousehold(_ context.Context, _ string, h registration.NewHousehold, _ bool) (uint64, error) {
	if err := registration.CheckLeft(h, time.Unix(1<<30, 0), true); err != nil {
		return 0, err
	}
	b.families = append(b.families, h)
	return b.left()
}

func (b *nightBox) LeaveCount(_ context.Context, _ string, g registration.Gate, _ bool) (uint64, error) {
	b.counts = append(b.counts, g)
	return b.left()
}

func (b *nightBox) Trust() (tokens.Trust, error) {
	if b.trust.Root == nil {
		return tokens.Trust{}, fault.New(fault.NotFound, "fault.node.no_trust")
	}
	return b.trust, nil
}

func (b *nightBox) WaysToOpen() []string { return []string{identity.SlotLead, identity.SlotPeers} }

func (b *nightBox) AskToOpen(bool) (OpenAsk, error) {
	r := identity.OpenRequest{Node: identity.NodeID{1}}
	return OpenAsk{Text: r.Text(), Words: r.Words(), Node: r.Node.String()}, nil
}

func (b *nightBox) TakeAnswer(_ context.Context, answer string) error {
	return fault.New(fault.Invalid, "fault.identity.bad_open_answer").With("answer", "fault.identity.bad_open_answer")
}

func lockedOf(s speaker) any {
	m := lockedPage{Asks: true, Waiting: 12}
	for _, kind := range []string{"passphrase", "stick", "peers"} {
		m.Ways = append(m.Ways, s.T("locked.way."+kind))
	}
	return m
}

func nightPictures() []picture {
	gate := func(number uint64) func(speaker) any {
		return func(speaker) any {
			return gateModel{Once: "once", Number: number, Own: number > 0, Tally: &Letters{Waiting: 12, Families: 9, Adults: 15, Children: 11, Infants: 3}}
		}
	}
	request := identity.OpenRequest{Node: galleryID(22), Nonce: [16]byte{1}}
	opening := openingPage{Site: "الميناء", Number: 3, Words: wordList{galleryWords, true}, LastHeard: galleryTime.Add(-3 * time.Hour)}
	with := func(change func(*openingPage)) func(speaker) any {
		return func(speaker) any {
			m := opening
			change(&m)
			return m
		}
	}
	answer := "WPA1" + strings.Repeat("MFRGGZDFMZTWQ2LK", 11)
	return []picture{
		{name: "gate", page: "locked/gate", frame: closed, data: gate(0)},
		{name: "gate-counted", page: "locked/gate", frame: closed, data: gate(12)},
		{name: "gate-stranger", page: "locked/gate", frame: closed, data: func(speaker) any { return gateModel{Once: "once"} }},
		{name: "gate-wrong", page: "locked/gate", frame: closed, data: gate(0), form: func(v *view) *form {
			f := newForm()
			f.set("urgent", "yes")
			f.top, f.errors["adults"] = v.T("fault.registration.invalid"), v.T("registration.problem.gate_nobody")
			return f
		}},
		{name: "gate-family", page: "locked/family", frame: closed, data: func(s speaker) any { return gateFamily{familyModel: familyOf(s, 2), Waiting: 12, Number: 12} }},
		{name: "gate-family-full", page: "locked/family", frame: closed, form: topOf("fault.letterbox.full"), data: func(s speaker) any { return gateFamily{familyModel: familyOf(s, 1)} }},
		{name: "gate-check", page: "locked/check", frame: closed, data: func(speaker) any { return gateResult{} }},
		{name: "gate-check-genuine", page: "locked/check", frame: closed, data: func(s speaker) any {
			return gateResult{Tone: "good", Word: s.T("tokens.verdict.genuine"), Reason: s.T("locked.check.half"), Expires: "2027-11-24", Half: true}
		}},
		{name: "gate-check-not-ours", page: "locked/check", frame: closed, data: func(s speaker) any {
			return gateResult{Tone: "bad", Word: s.T("tokens.verdict.not-ours"), Reason: s.T("tokens.reason.not_ours")}
		}},
		{name: "gate-open", page: "locked/open", frame: closed, data: func(speaker) any {
			return askOpenOf(OpenAsk{Text: request.Text(), Words: request.Words()})
		}},
		{name: "gate-open-wrong", page: "locked/open", frame: closed, form: topOf("fault.identity.other_open_answer"), data: func(speaker) any {
			return askOpenOf(OpenAsk{Text: request.Text(), Words: request.Words()})
		}},
		{name: "night", page: "night/list", data: func(s speaker) any { return galleryNight(s) }},
		{name: "night-aside", page: "night/aside", data: func(s speaker) any {
			at := galleryTime
			var m asidePage
			for i, l := range []AsideLetter{
				{Number: 7, Kind: "household", At: at, Reason: fault.New(fault.Invalid, "fault.registration.no_intake"), Narrow: true},
				{Number: 9, Kind: "household", At: at, Unsure: true, Reason: fault.New(fault.Invalid, "fault.registration.invalid"), Form: true},
				{Number: 12, Kind: "count", At: at}, {Number: 15, At: at, Reason: fault.New(fault.Invalid, "fault.letterbox.broken")},
			} {
				l.Name = fmt.Sprintf("%010d-aa", i)
				m.Letters = append(m.Letters, asideLineOf(s.view, l))
			}
			return m
		}},
		{name: "night-aside-none", page: "night/aside", data: func(speaker) any { return asidePage{Done: true} }},
		{name: "night-empty", page: "night/list", data: func(speaker) any { return nightPage{} }},
		{name: "night-choose", page: "night/choose", data: func(speaker) any { return choosePage{Ways: identity.NightWays()} }},
		{name: "night-chosen", page: "night/choose", data: func(speaker) any { return choosePage{Ways: identity.NightWays(), Way: "stick", Keepers: 2} }},
		{name: "night-boxes", page: "night/boxes", data: func(speaker) any {
			return keepersPage{Given: true, Boxes: []keeperLine{{ID: galleryID(21).String(), Site: "Harbour", Number: 2, On: true}, {ID: galleryID(22).String(), Site: "عيادة", Number: 3}}}
		}},
		{name: "night-boxes-none", page: "night/boxes", data: func(speaker) any { return keepersPage{} }},
		{name: "openings", page: "night/openings", data: func(speaker) any {
			return openingsPage{
				Waiting: []askedLine{{Path: "/openings/x", Site: "Harbour", By: "Bo L.", Number: 2, At: galleryTime}},
				Past:    []openedLine{{Site: "عيادة", First: "Amina K.", Second: "Bo L.", At: galleryTime.Add(-30 * time.Hour)}},
			}
		}},
		{name: "openings-bad", page: "night/openings", data: func(speaker) any { return openingsPage{} }, form: topOf("fault.identity.bad_open_request")},
		{name: "opening-first", page: "night/opening", data: with(func(m *openingPage) { m.Request = request.Text() })},
		{name: "opening-own", page: "night/opening", data: with(func(m *openingPage) { m.Action, m.By, m.Own = "/openings/x", "Amina K.", true })},
		{name: "opening-second", page: "night/opening", data: with(func(m *openingPage) { m.Action, m.By = "/openings/x", "Bo L." }), form: topOf("fault.staff.act_made")},
		{name: "opening-answer", page: "night/opening", data: with(func(m *openingPage) { m.Answer, m.QR = answer, svg(answer) })},
	}
}

func galleryNight(s speaker) nightPage {
	family := galleryFamily()
	at := galleryTime.Add(-5 * time.Hour)
	return nightPage{
		May: true, Waiting: 2, Aside: []string{"0000000007-0123456789abcdef0123456789abcdef"},
		Arrivals: []arrivalLine{
			{ID: galleryID(1).String(), Path: "/households/x", Name: s.name(family[0].Person), Site: "North gate", Number: 1, People: 4, At: at},
			{ID: galleryID(2).String(), Path: "/people/y", Name: s.name(family[1].Person), Site: "North gate", Number: 3, People: 1, At: at, Unsure: true, Looked: true, By: "Amina K."},
		},
		Counts: []countLine{
			{Number: 2, At: at, Site: "North gate", Adults: 2, Children: 3, Urgent: true, Code: "K7QF-3MXP-9AZ2"},
			{Number: 4, At: at, Children: 1, Alone: true, Unsure: true},
		},
	}
}

// gatePost sends a form of the gate from somebody in the network.
func gatePost(r *rig, surface Surface, path string, form url.Values) answer {
	return r.ask(surface, "POST", path, form.Encode(), "Host", "localhost", "Content-Type", "application/x-www-form-urlencoded")
}

func TestTheGateOfALockedBox(t *testing.T) {
	r := newRig(t)
	r.box.set(stateLocked)
	a := gatePost(r, Network, "/gate", url.Values{"adults": {"٢"}, "children": {"1"}, "urgent": {"yes"}, "once": {"a"}})
	if a.status != 303 || a.header.Get("Location") != "/gate?n=1" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if g := r.box.counts[0]; g.Adults != 2 || g.Children != 1 || !g.Urgent || g.Alone {
		t.Errorf("%+v", g)
	}
	a = gatePost(r, Network, "/gate/family", url.Values{"family_name": {"Tum"}, "members.0.given_name": {"Rosa"}, "members.0.sex": {"female"}, "members.1.given_name": {"Luz"}, "rows": {"5"}, "save": {"1"}})
	if a.status != 303 || a.header.Get("Location") != "/gate/family?n=2" || len(r.box.families[0].Members) != 2 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for name, form := range map[string]url.Values{
		"nobody": {"adults": {""}}, "no number": {"adults": {"many"}}, "a bad code": {"adults": {"1"}, "code": {"ABCD"}},
	} {
		if a := gatePost(r, Network, "/gate", form); a.status != 400 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	if a := gatePost(r, Network, "/gate/family", url.Values{"members.0.given_name": {"Rosa"}, "members.0.age": {"200"}}); a.status != 400 || !strings.Contains(string(a.body), `value="Rosa"`) {
		t.Errorf("a wrong age: %d", a.status)
	}
	for _, field := range []string{"members.0.tell.codes", "members.0.tell.note"} {
		before := len(r.box.families)
		a := gatePost(r, Network, "/gate/family", url.Values{"members.0.given_name": {"Rosa"}, field: {"torture"}})
		if a.status != 400 || !strings.Contains(string(a.body), "Nothing was taken in") || !strings.Contains(string(a.body), `value="Rosa"`) || len(r.box.families) != before {
			t.Errorf("%s: %d", field, a.status)
		}
	}
	r.box.refuse = fault.New(fault.Full, "fault.letterbox.full")
	if a := gatePost(r, Network, "/gate/family", url.Values{"members.0.given_name": {"Rosa"}}); a.status != 507 || !strings.Contains(string(a.body), `value="Rosa"`) {
		t.Errorf("full: %d", a.status)
	}
	if a := gatePost(r, Public, "/gate", url.Values{"adults": {"1"}}); a.status < 400 {
		t.Errorf("over plain HTTP: %d", a.status)
	}
	r.box.set(stateOpen)
	if a := gatePost(r, Network, "/gate", url.Values{"adults": {"1"}}); a.status != 409 {
		t.Errorf("an open box: %d", a.status)
	}
}

// What was counted at night is shown on the box's own screen, and to a phone what that phone
// counted; whoever else stands in the network sees nothing of it.
func TestStrangersDoNotSeeWhatWasCounted(t *testing.T) {
	r := newRig(t)
	r.box.set(stateLocked)
	r.box.letters = Letters{Waiting: 5, Families: 4123, Adults: 7121, Children: 3457, Infants: 2239}
	see := func(surface Surface, cookie string) string {
		t.Helper()
		headers := []string{"Host", "10.42.0.1:8443"}
		if cookie != "" {
			headers = append(headers, "Cookie", cookie)
		}
		a := r.from("10.42.0.77:4000", surface, "GET", "/gate", headers...)
		if surface == Loopback {
			a = r.ask(surface, "GET", "/gate", "", "Host", "localhost")
		}
		if a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return string(a.body)
	}
	count := func(cookie, once string) (set string) {
		t.Helper()
		form := url.Values{"adults": {"31"}, "children": {"57"}, "once": {once}}
		headers := []string{"Host", "10.42.0.1:8443", "Content-Type", "application/x-www-form-urlencoded"}
		if cookie != "" {
			headers = append(headers, "Cookie", cookie)
		}
		a := r.sendFrom("10.42.0.77:4000", Network, "POST", "/gate", form.Encode(), headers...)
		if a.status != 303 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		set, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
		return set
	}
	all := []string{"4123", "7121", "3457", "2239"}
	seen := func(page string, figures ...string) bool {
		return slices.ContainsFunc(figures, func(f string) bool { return strings.Contains(page, ">"+f+"<") })
	}
	if !seen(see(Loopback, ""), all...) {
		t.Error("the box's own screen does not show it")
	}
	if page := see(Network, ""); seen(page, all...) || strings.Contains(page, "figures") {
		t.Error("a stranger sees what was counted")
	}
	mine := count("", "a")
	if !strings.HasPrefix(mine, "__Host-waypost-gate-8443=") {
		t.Fatalf("cookie %q", mine)
	}
	if again := count(mine, "b"); again != "" {
		t.Errorf("one phone is two: %q", again)
	}
	if page := see(Network, mine); !seen(page, "62") || !seen(page, "114") || seen(page, all...) {
		t.Error("a phone does not see what it counted, or sees more")
	}
	for _, cookie := range []string{"", "__Host-waypost-gate-8443=", "__Host-waypost-gate-8443=" + strings.Repeat("0", 32)} {
		if page := see(Network, cookie); seen(page, append(all, "62")...) {
			t.Errorf("with the cookie %q a stranger sees it", cookie)
		}
	}
	r.box.letters.Shift++
	if page := see(Network, mine); seen(page, "62") {
		t.Error("what was filed meanwhile is shown on")
	}
}

// A form sent twice is counted once, and no number of phones takes memory without end.
func TestTalliesOfPhones(t *testing.T) {
	var g gates
	now := time.Unix(1e9, 0)
	first := g.counted("", 1, 7, registration.Gate{Adults: 2}, now)
	g.counted(first, 1, 7, registration.Gate{Adults: 2}, now)
	g.counted(first, 1, 8, registration.Gate{Infants: 1}, now.Add(time.Hour))
	if sum := g.of(first, 1); sum == nil || sum.Families != 2 || sum.Adults != 2 || sum.Infants != 1 {
		t.Fatalf("%+v", sum)
	}
	for i := range 3 * maxGates {
		g.counted("", 1, uint64(i), registration.Gate{Adults: 1}, now)
	}
	if len(g.all) != maxGates || g.of(first, 1) == nil {
		t.Fatalf("%d phones, or the one at work was forgotten", len(g.all))
	}
}

// A stranger in the network fills their own share and no more; whoever is at the box goes on.
func TestAFloodAtTheGate(t *testing.T) {
	r := newRig(t)
	r.box.set(stateLocked)
	taken := 0
	for i := range 100 {
		a := gatePost(r, Network, "/gate", url.Values{"adults": {"1"}, "once": {fmt.Sprint(i)}})
		switch a.status {
		case 303:
			taken++
		case 429:
		default:
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if taken != 60 {
		t.Errorf("%d were taken from one phone", taken)
	}
	if a := gatePost(r, Loopback, "/gate", url.Values{"adults": {"1"}}); a.status != 303 {
		t.Errorf("at the box: %d %s", a.status, a.body)
	}
}

func TestCardsAtALockedGate(t *testing.T) {
	r := newRig(t)
	key, text := r.key("lead"), ""
	var added, token struct{ ID, Token string }
	r.call(key, "POST", "/api/v1/people", `{"given_name":"Ana"}`).into(t, &added)
	r.call(key, "POST", "/api/v1/people/"+added.ID+"/tokens", `{}`).into(t, &token)
	text = token.Token
	r.box.set(stateLocked)
	check := func(text string) string {
		return string(gatePost(r, Network, "/gate/check", url.Values{"text": {text}}).body)
	}
	if body := check(text); !strings.Contains(body, "does not know yet") && !strings.Contains(body, "what cards are checked with") {
		t.Errorf("without trust: %s", body)
	}
	r.box.trust = tokens.Trust{Root: r.box.vault.Root(), Nodes: []identity.NodeCert{r.box.vault.Cert()}}
	for given, want := range map[string]string{
		text: "It cannot tell whether a card was replaced", "WP1:XYZ": `verdict bad`, "K7QF-3MXP-9AZ2": "verify", text[:len(text)-3] + "000": "verdict bad",
	} {
		if body := check(given); !strings.Contains(body, want) {
			t.Errorf("%s: no %q in %s", given, want, body)
		}
	}
	r.box.trust.Nodes = nil
	if body := check(text); !strings.Contains(body, "verdict warn") || strings.Contains(body, "verdict good") {
		t.Errorf("an unknown issuer: %s", body)
	}
}

// What is no request of a box that gave this one the means is refused in a sentence, and
// nobody signs anything.
func TestOpeningsThatCannotBe(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Lead)
	b.get("/openings").wants(200, "Open another box")
	b.post("/openings", url.Values{"request": {"hello"}}).wants(400, "not a request of a locked box", "hello")
	mine := identity.OpenRequest{Deployment: box.vault.Deployment(), Node: box.vault.NodeID()}
	b.get("/openings").post("/openings", url.Values{"request": {mine.Text()}}).wants(409, "was not given the means")
	b.get("/openings").post("/openings", url.Values{"request": {identity.OpenRequest{}.Text()}}).wants(403)
	b.get("/openings/aaaaaaaaaaaaaaaa").wants(404, "not waiting any more")
	b.get("/night").wants(200, "Taken in while locked")
	if acts := box.desks.Staff.Acts(staff.Operator()); len(acts) != 0 {
		t.Errorf("%+v", acts)
	}
}

// What could not be filed is listed without what is in it, tried again, and completed as a
// form; a letter with something narrow in it is shown to nobody.
func TestWhatLiesAsideIsSeenTo(t *testing.T) {
	box, s := newPageServer(t)
	const name, narrow = "0000000007-0123456789abcdef0123456789abcdef", "0000000009-0123456789abcdef0123456789abcdef"
	bad := fault.New(fault.Invalid, "fault.registration.invalid").With("members.0.age", "registration.problem.age")
	reset := func() {
		box.aside = []AsideLetter{
			{Name: name, Number: 7, Kind: "household", Reason: bad, Form: true},
			{Name: narrow, Number: 9, Kind: "household", Reason: fault.New(fault.Invalid, "fault.registration.no_intake"), Narrow: true},
		}
	}
	reset()
	age := 30
	box.inside = registration.NewHousehold{Members: []registration.Person{
		{GivenName: "Planted", FamilyName: "Rosa", Sex: "female", Age: &age, Needs: []string{"wheelchair"}, Languages: []string{"ar", "en"}, Origin: "Homs",
			Documents: []registration.Document{{Type: "passport", Number: "N1"}}, Consent: []registration.Consent{{Purpose: "registration", Given: true}}}, {GivenName: "Omar"},
	}, Relations: []string{"head", "spouse"}}
	box.why = bad
	reg, b := signedInAs(t, box, s, "Bo", staff.Registrar), signedInAs(t, box, s, "Amina", staff.Lead)
	reg.get("/night/aside").wants(403)
	b.get("/night/aside").wants(200, "Number 7", "protection team alone", name+"/form").lacks("Planted", narrow+"/form")
	b.get("/night/aside").post("/night/aside/"+narrow+"/again", nil).wants(400, "no protection desk").lacks("Planted")
	b.get("/night/aside/"+narrow+"/form").wants(403, "shown to nobody here").lacks("Planted")
	b.get("/night/aside/0000000001-00/form").wants(404)
	b.get("/night/aside/"+name+"/form").wants(200, `value="Planted"`, `value="Omar"`, `value="Homs"`, "/night/aside/"+name+"/form")
	form := b.fields("/night/aside/" + name + "/form")
	form.Set("members.0.age", "200")
	form.Set("save", "1")
	b.post("/night/aside/"+name+"/form", form).wants(400, `value="Planted"`)
	if len(box.aside) != 2 {
		t.Fatal("a letter is gone though nothing was saved")
	}
	form = b.get("/night/aside/" + name + "/form").fields("/night/aside/" + name + "/form")
	form.Set("members.0.age", "31")
	form.Set("save", "1")
	b.post("/night/aside/"+name+"/form", form).wants(200, "Planted", "Omar")
	if len(box.aside) != 1 || box.aside[0].Name != narrow {
		t.Fatalf("%+v", box.aside)
	}
	box.aside[0].Reason = nil
	b.get("/night/aside").wants(200, "Nothing speaks against").post("/night/aside/"+narrow+"/again", nil).wants(200, "It is filed", "Nothing is kept aside")
}
