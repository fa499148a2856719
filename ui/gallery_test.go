package ui

import (
	"bytes"
	"html/template"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
	"github.com/waypost/waypost/ui/locale"
)

// The gallery is every page in every state it can have, made from literals: no
// login, no journal, no clock. Each picture is kept as golden HTML in English and
// Arabic and checked, in all languages, for what every page must have.

// picture is one page in one state. frame changes the frame around it.
type picture struct {
	name, page string
	data       func(s speaker) any
	form       func(v *view) *form
	frame      func(v *view)
}

// galleryTime is when all pictures were taken.
var galleryTime = time.Date(2026, 11, 24, 8, 30, 0, 0, time.UTC)

// galleryView is the frame of a signed-in lead on an open box.
func galleryView(lang locale.Language, p picture) *view {
	v := &view{
		Lang: lang, Page: p.page, Path: "/", State: stateOpen, User: "Amina K.", CSRF: "form-key", Open: true, Now: galleryTime,
		Site: SiteInfo{Deployment: "Coast response", Site: "North gate", Number: 1, Confirmed: true, CanInvite: true},
		Nav:  navFor(staff.Operator(), "/"), tells: true,
	}
	if p.frame != nil {
		p.frame(v)
	}
	if p.form != nil {
		v.Form = p.form(v)
	}
	if p.data != nil {
		v.D = p.data(speaker{v, galleryTime})
	}
	return v
}

func stranger(v *view) { v.User, v.CSRF, v.Nav = "", "", nil }

func unclaimed(v *view) {
	stranger(v)
	v.State, v.Open, v.Site = stateNew, false, SiteInfo{}
}

func closed(v *view) {
	stranger(v)
	v.State, v.Open, v.Site = stateLocked, false, SiteInfo{}
}

func beingOpened(v *view) {
	stranger(v)
	v.State, v.Open, v.Site = stateOpening, false, SiteInfo{}
}

func galleryID(n byte) oplog.ID { return oplog.ID{n, 7, 7, 7, 7, 7, 7, 7, 7, n} }

func age(n int) *int { return &n }

// galleryFamily is a household of made-up people with names in several scripts.
func galleryFamily() []registration.Record {
	household := galleryID(9)
	people := []registration.Person{
		{GivenName: "Rosa", FamilyName: "Ixchel Tum", Sex: "female", BirthDate: "1988-02-03", Precision: "day", Nationality: "GTM", Languages: []string{"quc", "es"},
			Phone: "+502 5550 1234", MotherName: "Juana Tum", Origin: "Nebaj", Destination: "Tapachula", ArrivedAt: "2026-11-23", Needs: []string{"interpreter", "lower_bunk"},
			Documents: []registration.Document{{Type: "national_id", Number: "2547 88123 0101", Issuer: "RENAP"}},
			Consent:   []registration.Consent{{Purpose: "registration", Given: true}, {Purpose: "referral"}}, Notes: "Speaks with a soft voice.\nAsk twice."},
		{GivenName: "محمد", FamilyName: "عبد الله", Sex: "male", Age: age(41), Precision: "estimated"},
		{GivenName: "မင်းမင်း", Sex: "male", Age: age(1), Precision: "year"},
		{NameUnknown: true, Description: "Girl of about six, red coat, two plaits, does not speak", Sex: "female", Age: age(6), Precision: "estimated"},
	}
	relations := []string{"head", "spouse", "child", "other"}
	var out []registration.Record
	for i, p := range people {
		out = append(out, registration.Record{
			ID: galleryID(byte(i + 1)), Household: &household, Relation: relations[i], Person: p, Site: "North gate",
			RegisteredAt: galleryTime.Add(-time.Hour), RegisteredBy: "Amina K.", Version: "v1",
		})
	}
	return out
}

// conflicted is the first of the family, corrected at two posts at once.
func conflicted() registration.Record {
	r := galleryFamily()[0]
	at := galleryTime.Add(-20 * time.Minute)
	versions := func(a, b any) []registration.Version {
		return []registration.Version{{Value: a, At: at, By: "Amina K.", Site: "North gate"}, {Value: b, At: at.Add(time.Minute), By: "Bo L.", Site: "Harbour"}}
	}
	r.Conflicts = []registration.Conflict{
		{Field: "given_name", Versions: versions("Rosa", "Rosalía")},
		{Field: "birth_date", Versions: versions("1988-02-03", nil)},
		{Field: "age", Versions: versions(nil, age(37))},
	}
	return r
}

func personModelOf(s speaker, r registration.Record, card *cardState) personPage {
	m := personPage{
		ID: r.ID.String(), Path: "/people/" + r.ID.String(), Name: s.name(r.Person), About: s.about(r.Person), Facts: s.facts(r.Person), Conflicts: s.conflicts(r),
		Card: card, Photo: photoBox{MayEdit: true}, MayCorrect: true, MayIssue: true, MayErase: true, MaySeeReads: true, TellCodes: sensitiveCodes(), Seen: "v1", Once: "once", By: r.RegisteredBy, Site: r.Site, At: r.RegisteredAt,
		Household: &householdBox{Path: "/households/" + galleryID(9).String(), Members: lines(s, galleryFamily()[1:])},
		Kept:      &keptLine{Tone: "good", Text: s.T("copies.kept", "Count", 3), Path: "/people/" + r.ID.String() + "/copies"},
	}
	for _, code := range r.Needs {
		m.NeedWords = append(m.NeedWords, s.Label("registration.need", code))
	}
	return m
}

func lines(s speaker, records []registration.Record) []personLine {
	var out []personLine
	for _, r := range records {
		out = append(out, s.line(r))
	}
	return out
}

func svg(text string) template.HTML { return template.HTML(tokens.SVG(text, tokens.Quiet)) } //nolint:gosec // ours

func faceOf(s speaker, typed string) cardFace {
	text := "WP1:" + strings.Repeat("6BF3K8", 20)
	large, err := tokens.QR(text, tokens.Strong)
	if err != nil {
		panic(err)
	}
	return cardFace{QR: template.HTML(large.SVG(tokens.Quiet)), Spare: svg(text), Name: "Waypost", Typed: typed, Until: s.T("card.face.until"), Month: "11 / 2027"}
}

func galleryLists(v *view) lists {
	return lists{
		Sexes: formSexes(), Relations: append([]string{""}, registration.Relations()...), Needs: registration.Needs(),
		Documents: append([]string{""}, registration.DocumentTypes()...), Purposes: registration.Purposes(),
		Precisions: append([]string{""}, registration.Precisions()...), Countries: countryNames(v.Lang),
		TellCodes: sensitiveCodes(),
	}
}

func familyOf(s speaker, rows int) familyModel {
	m := familyModel{Once: "once", Action: "/people", lists: galleryLists(s.view), Shared: s.Form != nil && s.Form.Value("nationality") != ""}
	for n := range rows {
		row := memberRowOf(n)
		if s.Form == nil {
			s.Form = newForm()
		}
		if s.Form.Value(row.Relation) == "" {
			s.Form.set(row.Relation, relationByOrder(n))
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

// wrongFamily is a form that was refused, with what was typed.
func wrongFamily(v *view) *form {
	f := newForm()
	f.set("family_name", "Ixchel Tum")
	f.set("nationality", "Narnia")
	for name, value := range map[string]string{
		"members.0.given_name": "Rosa", "members.0.sex": "female", "members.0.age": "two hundred", "members.1.given_name": "محمد",
		"members.1.needs": "wheelchair", "members.1.more.phone": "none",
	} {
		f.set(name, value)
	}
	f.top, f.hint = v.T("fault.registration.invalid"), v.T("fault.registration.invalid.hint")
	f.errors["members.0.age"] = v.T("registration.problem.age", "Max", 130)
	f.errors["members.1.more.phone"] = v.T("registration.problem.phone")
	f.errors["nationality"] = v.T("registration.problem.nationality", "Given", "NARNIA")
	return f
}

func topOf(key string) func(*view) *form {
	return func(v *view) *form {
		f := newForm()
		f.top = v.T(key)
		if v.Lang.Has(key + ".hint") {
			f.hint = v.T(key + ".hint")
		}
		return f
	}
}

func personFormOf(v *view, relation bool) personForm {
	m := personForm{lists: galleryLists(v), Once: "once", DocRows: []docRow{docRowOf(0), docRowOf(1)}}
	if !relation {
		m.Relations = nil
	}
	return m
}

var galleryWords = []string{"harbor", "violin", "cement", "gravel", "yo-yo"}

func galleryPeers() []control.Peer {
	return []control.Peer{
		{Node: galleryID(21).String(), Number: 2, Site: "Harbour", State: "connected", LastContact: galleryTime.Add(-20 * time.Second), Confirmed: true},
		{Node: galleryID(22).String(), Number: 3, Site: "عيادة", State: "away", LastContact: galleryTime.Add(-3 * time.Hour), Behind: 12, Ahead: 4, Words: galleryWords},
	}
}

func staffOf(s speaker, added string) staffPage {
	m := staffPage{Added: added, Accounts: []accountLine{
		{User: "Amina K.", Role: s.Label("staff.role", "lead"), Site: "North gate", Since: galleryTime},
		{User: "سعيد", Role: s.Label("staff.role", "registrar"), Site: "North gate", Since: galleryTime, MayDisable: true, MayReset: true, Badge: "/staff/badge/x"},
		{User: "Nadia", Role: s.Label("staff.role", "caseworker"), Narrow: []string{s.Label("staff.narrow", "child")}, Site: "North gate", Since: galleryTime, MayDisable: true, MayReset: true,
			Badge: "/staff/badge/y", Promised: galleryTime, OnPaper: true},
		{User: "Bo", Role: s.Label("staff.role", "distributor"), Site: "North gate", Since: galleryTime, Disabled: true},
	}}
	m.Roles = s.roleChoices()
	return m
}

func homeOf(s speaker, st control.Status, last []personLine, alerts ...alertLine) homePage {
	line := meshLineOf(s.view, st)
	work, runs := tilesFor(staff.Operator())
	return homePage{People: st.People, Households: st.Households, Today: st.Today, Mesh: &line, Tiles: work, Runs: runs, ShowLast: true, Last: last, Alerts: alerts}
}

func pictures() []picture {
	return slices.Concat(
		firstPictures(), peoplePictures(), cardPictures(), placePictures(), erasePictures(), copyPictures(), ceremonyPictures(), nightPictures(), phonePictures(),
		accountPictures(), readPictures(), linkPictures(), tellPictures(), sealedPictures(), handPictures(), nodePictures(), carryPictures(),
	)
}

func firstPictures() []picture {
	claimed := func(speaker) any { return claimPage{"K7QF-3MXP", "once"} }
	return []picture{
		{name: "claim", page: "first/claim", frame: unclaimed},
		{name: "claim-wrong", page: "first/claim", frame: unclaimed, form: topOf("fault.node.claim_wrong")},
		{name: "choose", page: "first/choose", frame: unclaimed, data: claimed},
		{name: "start", page: "first/start", frame: unclaimed, data: claimed},
		{name: "start-missing", page: "first/start", frame: unclaimed, data: claimed, form: func(v *view) *form {
			f := newForm()
			f.set("deployment", "Coast response")
			f.top, f.errors["site"], f.errors["lead"] = v.T("form.incomplete"), v.T("form.required"), v.T("form.required")
			return f
		}},
		{name: "join", page: "first/join", frame: unclaimed, data: claimed},
		{name: "practise", page: "first/practise", frame: unclaimed, data: claimed},
		{name: "words", page: "first/words", frame: func(v *view) { v.NoSwitch = true }, data: func(speaker) any {
			return wordsPage{Words: wordList{Words: galleryWords}, User: "Amina K.", Addresses: []string{"https://10.42.0.1:8443/"}}
		}},
		{name: "words-joined", page: "first/words", frame: func(v *view) { v.NoSwitch = true }, data: func(speaker) any {
			return wordsPage{Words: wordList{Words: galleryWords}, Compare: wordList{[]string{"anchor", "basket", "candle", "drop-down", "eagle"}, true}, User: "Bo", Addresses: []string{"https://10.42.0.2:8443/"}}
		}},
		{name: "restore", page: "first/restore", frame: unclaimed, data: func(speaker) any {
			return restorePage{Claim: "K7QF-3MXP", Files: []backupLine{
				{File: "/media/stick/waypost-1-2026-11-23.wpb", Name: "waypost-1-2026-11-23.wpb", Size: "412.8 MB", Made: galleryTime.Add(-20 * time.Hour), Number: 1},
				{File: "/media/stick/HARBOUR.wpb", Name: "HARBOUR.wpb", Size: "9.1 MB", Made: galleryTime.Add(-900 * time.Hour), Number: 3},
			}}
		}},
		{name: "restore-none", page: "first/restore", frame: unclaimed, data: func(speaker) any { return restorePage{Claim: "K7QF-3MXP"} }},
		{name: "restoring", page: "first/restoring", frame: unclaimed, data: func(s speaker) any {
			return transferOnly{transferPage{Step: s.T("backup.step.restoring"), Percent: 37, Known: true}}
		}},
		{name: "restoring-failed", page: "first/restoring", frame: unclaimed, data: func(s speaker) any {
			return transferOnly{transferPage{Failed: s.T("fault.backup.damaged"), Hint: s.T("fault.backup.damaged.hint")}}
		}},
		{name: "backup-never", page: "backup/backup", data: func(speaker) any { return backupPage{} }},
		{name: "backup", page: "backup/backup", data: func(s speaker) any {
			return backupPage{
				Last:     &control.LastBackup{Made: galleryTime.Add(-72 * time.Hour), Ops: 9000, Since: 412},
				Places:   []placeLine{{Folder: "/media/amina/STICK", File: "/media/amina/STICK/waypost-1-2026-11-24.wpb", Name: "STICK", Free: "12 GB"}},
				Reopened: []reopenedLine{{Text: s.T("backup.reopened", "First", "Bo L.", "Second", "سعيد", "Site", "North gate"), At: galleryTime}},
			}
		}},
		{name: "backup-running", page: "backup/backup", data: func(s speaker) any {
			return backupPage{Running: true, Transfer: transferPage{Step: s.T("backup.step.verifying"), Percent: 81, Known: true}}
		}},
		{name: "carry", page: "carry/carry", data: func(s speaker) any { return galleryCarry(s) }},
		{name: "carry-alone", page: "carry/carry", data: func(speaker) any { return carryPage{} }},
		{name: "carry-running", page: "carry/carry", data: func(s speaker) any {
			return carryPage{Running: true, Step: s.T("carry.step.reading"), Percent: 62, Known: true}
		}},
		{name: "carry-cut", page: "carry/carry", data: func(s speaker) any {
			m := galleryCarry(s)
			m.Failed, m.Hint = s.T("fault.bundle.cut", "Read", 8000, "Of", 12000), s.T("fault.bundle.cut.hint")
			return m
		}},
		{name: "carry-written", page: "carry/carry", data: func(s speaker) any {
			m := galleryCarry(s)
			m.Read, m.Answer, m.Written = nil, "", &control.BundleWritten{Ops: 12000, Pieces: 340, Left: 1}
			return m
		}},
		{name: "restored", page: "backup/restored", data: func(speaker) any { return restoredPage{Made: galleryTime.Add(-72 * time.Hour), Peers: 2, May: true} }},
		{name: "restored-alone", page: "backup/restored", data: func(speaker) any { return restoredPage{Made: galleryTime.Add(-72 * time.Hour)} }},
		{name: "unlock", page: "entry/unlock", frame: closed, data: lockedOf},
		{name: "unlock-wrong", page: "entry/unlock", frame: closed, data: lockedOf, form: topOf("fault.identity.wrong_passphrase")},
		{name: "unlock-key-wrong", page: "entry/unlock", frame: closed, data: lockedOf, form: topOf("fault.identity.wrong_key_file")},
		{name: "opening", page: "entry/opening", frame: beingOpened, data: func(speaker) any { return openingModel{41, openingAgain} }},
		{name: "signin", page: "entry/signin", frame: stranger, data: func(speaker) any { return signInModel{"/"} }},
		{name: "welcome", page: "entry/welcome", frame: stranger, data: func(speaker) any {
			return welcomePage{Address: "https://10.42.0.1:8443/", Others: []string{"https://[fe80::1]:8443/"}, QR: svg("https://10.42.0.1:8443/"), Words: wordList{galleryWords, true}}
		}},
		{name: "welcome-no-address", page: "entry/welcome", frame: closed, data: func(speaker) any { return welcomePage{Words: wordList{galleryWords, true}} }},
	}
}

func peoplePictures() []picture {
	card := &cardState{Typed: "K7QF-3MXP-9AZ2", Until: "2027-11-24", Nth: 2, At: galleryTime}
	return []picture{
		{name: "search-empty", page: "people/search", data: func(speaker) any { return searchPage{MayAdd: true} }},
		{name: "search", page: "people/search", data: func(s speaker) any {
			return searchPage{Q: "Tum", MayAdd: true, People: append(lines(s, galleryFamily()), s.line(conflicted())), More: "/people?q=Tum&after=x"}
		}},
		{name: "search-nobody", page: "people/search", data: func(speaker) any { return searchPage{Q: "زينب", MayAdd: true} }},
		{name: "family", page: "people/new", data: func(s speaker) any { return familyOf(s, 5) }},
		{name: "family-wrong", page: "people/new", form: wrongFamily, data: func(s speaker) any { return familyOf(s, 3) }},
		{name: "member", page: "people/member", data: func(s speaker) any {
			return memberModel{personForm: personFormOf(s.view, true), Action: "/households/x/add", Back: "/households/x"}
		}},
		{name: "edit", page: "people/edit",
			form: func(v *view) *form {
				f := newForm()
				speaker{v, galleryTime}.fill(f, galleryFamily()[0].Person)
				return f
			},
			data: func(s speaker) any {
				return editModel{personForm: personFormOf(s.view, false), Name: "Rosa Ixchel Tum", Action: "/people/x/edit", Back: "/people/x", Seen: "v1"}
			}},
		{name: "person", page: "people/person", data: func(s speaker) any { return personModelOf(s, galleryFamily()[0], card) }},
		{name: "person-photo", page: "people/person", data: func(s speaker) any {
			r := galleryFamily()[0]
			r.Photo = "c0ffee"
			r.Conflicts = []registration.Conflict{{Field: "photo", Versions: []registration.Version{
				{Value: "c0ffee", At: galleryTime, By: "Amina K.", Site: "North gate"}, {Value: nil, At: galleryTime, By: "Bo L.", Site: "Harbour"}}}}
			m := personModelOf(s, r, card)
			m.Photo = photoBox{Src: photoPath(r, r.Photo), There: true, MayEdit: true}
			return m
		}},
		{name: "person-photo-coming", page: "people/person", data: func(s speaker) any {
			m := personModelOf(s, galleryFamily()[0], card)
			m.Photo = photoBox{Coming: true, There: true}
			return m
		}},
		{name: "person-no-card", page: "people/person", data: func(s speaker) any {
			m := personModelOf(s, galleryFamily()[3], nil)
			m.Kept.Tone, m.Kept.Loud, m.Kept.Text = "bad", true, s.T("copies.only_here")
			return m
		}},
		{name: "person-conflict", page: "people/person", data: func(s speaker) any { return personModelOf(s, conflicted(), card) }},
		{name: "person-read-only-role", page: "people/person", data: func(s speaker) any {
			m := personModelOf(s, conflicted(), card)
			m.MayCorrect, m.MayIssue, m.MayErase, m.Household, m.Photo = false, false, false, nil, photoBox{}
			m.MaySeeReads, m.TellCodes = false, nil
			return m
		}},
		{name: "household", page: "people/household", data: func(s speaker) any {
			return householdPage{Path: "/households/x", Name: "Ixchel Tum", Members: lines(s, galleryFamily()), Saved: true, MayIssue: true, MayAdd: true, By: "Amina K.", Site: "North gate", At: galleryTime}
		}},
	}
}

func cardPictures() []picture {
	verdict := func(v tokens.Verdict, reason string, known bool) func(speaker) any {
		return func(s speaker) any {
			r := resultPage{Tone: tones[v], Word: s.T("tokens.verdict." + string(v)), Reason: s.T(reason), Expires: "2027-11-24"}
			if known {
				line := s.line(galleryFamily()[0])
				r.Person = &line
			}
			return r
		}
	}
	return []picture{
		{name: "card", page: "cards/card", data: func(s speaker) any {
			return cardPage{Name: "Rosa Ixchel Tum", Back: "/people/x", Face: faceOf(s, "K7QF-3MXP-9AZ2")}
		}},
		{name: "sheet", page: "cards/sheet", data: func(s speaker) any {
			m := sheetPage{Back: "/households/x"}
			for _, typed := range []string{"K7QF-3MXP-9AZ2", "0000-1111-2222", "ZZZZ-YYYY-XXXX"} {
				m.Faces = append(m.Faces, faceOf(s, typed))
			}
			return m
		}},
		{name: "sheet-empty", page: "cards/sheet", data: func(speaker) any { return sheetPage{Back: "/households/x"} }},
		{name: "verify", page: "verify/verify"},
		{name: "verify-no-code", page: "verify/verify", form: topOf("fault.tokens.no_code")},
		{name: "verdict-genuine", page: "verify/result", data: verdict(tokens.Genuine, "tokens.reason.genuine", true)},
		{name: "verdict-superseded", page: "verify/result", data: verdict(tokens.Superseded, "tokens.reason.superseded", true)},
		{name: "verdict-not-ours", page: "verify/result", data: verdict(tokens.NotOurs, "tokens.reason.not_ours", false)},
		{name: "verdict-typed", page: "verify/result", data: func(s speaker) any {
			line := s.line(galleryFamily()[1])
			return resultPage{Tone: "warn", Word: s.T("verify.typed.found"), Reason: s.T("verify.typed.found.why"), Person: &line}
		}},
	}
}

func placePictures() []picture {
	alone := control.Status{OnlyHere: 12, People: 12, Households: 4, Today: 12}
	many := control.Status{Node: galleryID(20).String(), Peers: galleryPeers(), OnlyHere: 3, Pieces: control.Pieces{Held: 40, Lacking: 2}, People: 1240, Households: 402, Today: 61}
	held := []Holding{
		{Node: galleryID(20).String(), Seq: 640, Holders: []string{galleryID(21).String()}},
		{Node: galleryID(22).String(), Seq: 88}, {Seq: 4, Holders: []string{"a", "b"}},
	}
	return []picture{
		{name: "home-empty", page: "home/home", data: func(s speaker) any { return homeOf(s, control.Status{}, nil) }},
		{name: "home", page: "home/home", data: func(s speaker) any { return homeOf(s, many, lines(s, galleryFamily())) }},
		{name: "home-alarms", page: "home/home", frame: func(v *view) { v.Alarms = 2 }, data: func(s speaker) any {
			return homeOf(s, alone, lines(s, galleryFamily()),
				alertLine{"bad", s.T("alert.root_on_box"), "/ceremony"}, alertLine{"bad", s.T("alert.self_unconfirmed"), "/mesh"}, alertLine{"warn", s.T("alert.clock"), ""})
		}},
		{name: "home-carrier", page: "home/home", data: func(speaker) any {
			work, runs := tilesFor(staff.Actor{ID: staff.ID{1}, Role: staff.Lead, Carries: true})
			return homePage{Carries: true, Ops: 31245, Tiles: work, Runs: runs}
		}},
		{name: "home-practice", page: "home/home", frame: func(v *view) { v.Practice = true }, data: func(s speaker) any {
			m := homeOf(s, control.Status{People: 300, Households: 90}, lines(s, galleryFamily()))
			m.Mesh = nil
			return m
		}},
		{name: "home-disk-full", page: "home/home", frame: func(v *view) { v.State, v.Site.ToFree = stateReadOnly, 37 }, data: func(s speaker) any {
			return homeOf(s, many, nil, alertLine{"bad", s.T("alert.disk_full", "MB", 37), "/help/trouble"})
		}},
		{name: "home-read-only", page: "home/home", frame: func(v *view) { v.State = stateReadOnly }, data: func(s speaker) any {
			return homeOf(s, many, nil, alertLine{"bad", s.T("alert.read_only"), "/help/trouble"})
		}},
		{name: "home-damaged", page: "home/home", data: func(s speaker) any {
			return homeOf(s, many, lines(s, galleryFamily()), alertLine{"bad", s.T("alert.lost_alone", "Count", 3), "/help/trouble"}, alertLine{"warn", s.T("alert.lost", "Count", 41), "/help/trouble"})
		}},
		{name: "error", page: "home/error", data: func(s speaker) any {
			return errorPage{Status: 404, Text: s.T("fault.registration.no_person"), Hint: s.T("fault.registration.no_person.hint")}
		}},
		{name: "error-stranger", page: "home/error", frame: stranger, data: func(s speaker) any {
			return errorPage{Status: 403, Text: s.T("fault.api.csrf"), Hint: s.T("fault.api.csrf.hint")}
		}},
		{name: "mesh-alone", page: "mesh/mesh", data: func(s speaker) any { return meshOf(s, alone, nil) }},
		{name: "mesh", page: "mesh/mesh", data: func(s speaker) any { return meshOf(s, many, held) }},
		{name: "mesh-eight", page: "mesh/mesh", data: func(s speaker) any { return meshOf(s, galleryEight(), held) }},
		{name: "mesh-twenty", page: "mesh/mesh", data: func(s speaker) any { return meshOf(s, galleryMany(19), held) }},
		{name: "mesh-fifty", page: "mesh/mesh", data: func(s speaker) any { return meshOf(s, galleryMany(49), held) }},
		{name: "mesh-node", page: "mesh/node", data: func(s speaker) any { return nodeOf(s, 2) }},
		{name: "mesh-node-relayed", page: "mesh/node", data: func(s speaker) any { return nodeOf(s, 5) }},
		{name: "mesh-node-new", page: "mesh/node", data: func(s speaker) any { return nodeOf(s, 8) }},
		{name: "mesh-node-revoked", page: "mesh/node", data: func(s speaker) any { return nodeOf(s, 9) }},
		{name: "invite", page: "mesh/invite", data: func(speaker) any {
			code := "WPI1" + strings.Repeat("MFRGGZDFMZTWQ2LK", 9)
			return invitePage{Code: code, QR: svg(code), Expires: galleryTime.Add(invitationTime), Minutes: 10}
		}},
		{name: "staff", page: "staff/staff", data: func(s speaker) any { return staffOf(s, "سعيد") }},
		{name: "staff-wrong", page: "staff/staff", data: func(s speaker) any { return staffOf(s, "") }, form: func(v *view) *form {
			f := newForm()
			f.set("user", "Bo")
			f.set("role", "registrar")
			f.top, f.errors["passphrase"] = v.T("form.incomplete"), v.T("form.required")
			return f
		}},
		{name: "lock", page: "box/lock"},
		{name: "lock-words-waiting", page: "box/lock", form: topOf("fault.ui.words_waiting")},
		{name: "box", page: "box/box", data: func(s speaker) any {
			m := boxPageOf(s.view, []string{"passphrase", "recovery", "stick", "deputy"})
			m.Mode = s.T("emergency.mode.lock")
			return m
		}},
		{name: "box-last", page: "box/box", frame: func(v *view) { v.Holder = true }, data: func(s speaker) any { return boxPageOf(s.view, []string{"passphrase"}) }, form: topOf("fault.identity.last_slot")},
		{name: "box-made", page: "box/made", data: func(speaker) any {
			return madePage{Kind: "recovery", Words: wordList{Words: append(galleryWords, galleryWords...)}, QR: svg("ten words"), Date: "2026-11-27"}
		}},
		{name: "box-made-words", page: "box/made", data: func(speaker) any { return madePage{Kind: "words", Words: wordList{Words: galleryWords}} }},
		{name: "box-by-kit", page: "box/box", data: func(s speaker) any {
			m := boxPageOf(s.view, []string{"passphrase", "recovery"})
			m.Kit, m.Shut = true, true
			m.mark(nil)
			return m
		}},
		{name: "lost", page: "lost/list", data: func(s speaker) any { return galleryLost(s) }},
		{name: "lost-none", page: "lost/list", data: func(speaker) any { return lostPage{} }},
		{name: "lost-ask", page: "lost/ask", data: func(s speaker) any { return galleryIncident(s, "") }},
		{name: "lost-sheet", page: "lost/sheet", data: func(s speaker) any { return galleryIncident(s, "suspended") }},
		{name: "lost-revoked", page: "lost/sheet", data: func(s speaker) any { return galleryIncident(s, "revoked") }},
		{name: "lost-held", page: "lost/held", data: func(s speaker) any { return galleryHeld(s) }},
		{name: "lost-held-none", page: "lost/held", data: func(speaker) any { return heldPage{Path: "/lost/x", Name: "Harbour"} }},
		{name: "losses", page: "box/losses", data: func(speaker) any { return galleryLosses() }},
		{name: "losses-none", page: "box/losses", data: func(speaker) any { return control.Losses{} }},
		{name: "emergency", page: "box/emergency", data: func(s speaker) any { return galleryEmergency(s, "lock") }},
		{name: "emergency-asked", page: "box/emergency", data: func(s speaker) any { return galleryEmergency(s, "asked") }},
		{name: "emergency-set", page: "box/emergency", data: func(s speaker) any { return galleryEmergency(s, "destroy") }},
		{name: "wipe", page: "box/wipe", data: func(speaker) any { return wipeModel{true} }},
		{name: "wipe-unset", page: "box/wipe", data: func(speaker) any { return wipeModel{} }, form: topOf("fault.node.emergency_off")},
		{name: "wipe-wrong-word", page: "box/wipe", data: func(speaker) any { return wipeModel{true} }, form: func(v *view) *form {
			f := newForm()
			f.set("word", "North")
			f.top, f.errors["word"] = v.T("form.incomplete"), v.T("box.wipe.word.wrong")
			return f
		}},
		{name: "wiped", page: "box/wiped", frame: unclaimed},
		{name: "help", page: "help/index", data: func(s speaker) any {
			m := helpIndex{Version: "v0.1.0"}
			for _, name := range helpTopics() {
				m.Topics = append(m.Topics, topicOf(s.Lang, name))
			}
			return m
		}},
		{name: "help-phones", page: "help/topic", frame: stranger, data: func(s speaker) any {
			t := topicOf(s.Lang, "phones")
			t.Words = wordList{galleryWords, true}
			return t
		}},
		{name: "help-papers", page: "help/topic", data: func(s speaker) any { return topicOf(s.Lang, "papers") }},
		{name: "help-trouble", page: "help/topic", data: func(s speaker) any { return topicOf(s.Lang, "trouble") }},
	}
}

// TestMain makes times on pages the same on every machine, before anything reads
// them: the server's own clock goroutine would race with a later change.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

func gallery(t *testing.T) (*pages, *locale.Catalog) {
	t.Helper()
	p, err := newPages()
	if err != nil {
		t.Fatal(err)
	}
	c := locale.New()
	return p, c
}

// assetHash is what changes in every page when the style sheet does.
var assetHash = regexp.MustCompile(`/static/[0-9a-f]{12}/`)

func TestGallery(t *testing.T) {
	onceOver(t)
	p, c := gallery(t)
	for _, lang := range c.All() {
		for _, pic := range pictures() {
			t.Run(lang.Tag()+"/"+pic.name, func(t *testing.T) {
				html, err := p.render(galleryView(lang, pic))
				if err != nil {
					t.Fatal(err)
				}
				inspect(t, html, lang)
				if lang.Tag() == "en" || lang.Tag() == "ar" {
					golden(t, filepath.Join("testdata", "gallery", lang.Tag(), pic.name+".html"), assetHash.ReplaceAll(html, []byte("/static/hash/")))
				}
			})
		}
	}
}

func TestGalleryShowsEveryPage(t *testing.T) {
	shown := map[string]bool{}
	for _, pic := range pictures() {
		shown[pic.page] = true
	}
	for _, name := range pageNames() {
		if !shown[name] {
			t.Errorf("no picture shows %s", name)
		}
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil { //nolint:gosec // a golden file is for everybody
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (write it with -update)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the page differs from %s; look at it, then run with -update", path)
	}
}

func galleryLosses() control.Losses {
	at := galleryTime
	return control.Losses{
		Lost:     []control.Loss{{Log: "a", From: 4, To: 15, Ops: 12, Site: "Harbour"}, {Log: "b", From: 1, To: 1, Ops: 1}},
		Accepted: []control.Loss{{Log: "c", From: 9, To: 10, Ops: 2, Site: "North gate", By: "Amina", At: &at}},
	}
}
