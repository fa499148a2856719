package ui

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
)

func sealedPictures() []picture {
	mina := staff.Worker{ID: staff.ID{1, 2, 3}, User: "Mina H.", Site: "North gate", Role: staff.Caseworker}
	noor := staff.Worker{ID: staff.ID{4, 5, 6}, User: "نور", Site: "الميناء", Role: staff.Caseworker}
	gone := staff.Worker{ID: staff.ID{7}, User: "Bo L.", Site: "Harbour", Role: staff.Caseworker, Off: true}
	item := func(n byte, change func(*sealed.Item)) sealed.Item {
		x := sealed.Item{ID: galleryID(n), Narrow: staff.NarrowProtection, About: galleryID(1), Began: galleryTime.Add(-time.Hour)}
		change(&x)
		return x
	}
	all := sealed.List{Items: []sealed.Item{
		item(31, func(x *sealed.Item) { x.Waiting = true }), item(32, func(x *sealed.Item) { x.Waiting, x.Exposed, x.Narrow = true, true, staff.NarrowChild }),
		item(33, func(x *sealed.Item) { x.Due = galleryTime.Add(-24 * time.Hour) }), item(34, func(x *sealed.Item) { x.Due, x.Marked, x.Dropped = galleryTime.Add(72*time.Hour), true, 2 }),
		item(35, func(x *sealed.Item) { x.Closed = true }), item(36, func(x *sealed.Item) { x.Erased, x.About = true, oplog.ID{} }),
	}, Narrows: []sealed.NarrowInfo{{Narrow: staff.NarrowProtection, Open: true, Mine: true}, {Narrow: staff.NarrowChild, Open: true}, {Narrow: staff.NarrowMedical}}, Contested: true}
	name := func(oplog.ID) string { return "Rosa Ixchel Tum" }
	line := func(kind string, change func(*sealed.Line)) sealed.Line {
		l := sealed.Line{Kind: kind, By: mina.ID, ByName: mina.User, At: galleryTime.Add(-time.Hour), Hand: true}
		change(&l)
		return l
	}
	nothing := func(*sealed.Line) {}
	file := sealed.File{
		ID: galleryID(33), Narrow: staff.NarrowProtection, About: galleryID(1), Codes: []string{"at_risk"}, Began: galleryTime.Add(-50 * time.Hour), Due: galleryTime.Add(24 * time.Hour),
		Mine: true, Members: []staff.Worker{mina, noor}, Others: []staff.Worker{gone}, Marked: true, Exposed: true, Dropped: 1, Shut: 2,
		Lines: []sealed.Line{
			line("taken_in", func(l *sealed.Line) {
				l.Text, l.Codes, l.Hand, l.Unsure = "Somebody waits for her at the gate.", []string{"at_risk"}, false, true
			}),
			line("opened", nothing), line("noted", func(l *sealed.Line) {
				l.Text, l.Due = "She sleeps in block 4.\nلا تسأل أمام أحد.", galleryTime
			}),
			line("assigned", func(l *sealed.Line) { l.Who, l.Name = noor.ID, noor.User }), line("marked", func(l *sealed.Line) { l.Name, l.Text = noor.User, "Mina is in hospital." }),
			line("looked", func(l *sealed.Line) { l.Marked = true }), line("handed_over", func(l *sealed.Line) { l.Text, l.Out = "Court of appeal", &sealed.Receipt{Number: galleryID(40)} }), line("foretold", func(l *sealed.Line) { l.ByName = "" }),
		},
	}
	waiting := sealed.File{ID: galleryID(31), Narrow: staff.NarrowChild, Began: galleryTime, Intake: true, Waiting: true, Lines: file.Lines[:1]}
	access := []sealed.Access{{Narrow: staff.NarrowProtection, Epoch: 3, Mine: true, Holders: []staff.Worker{mina, gone}, Others: []staff.Worker{noor}}, {Narrow: staff.NarrowChild, Epoch: 1, Holders: []staff.Worker{noor}}}
	desks := []string{"protection", "child", "medical", "tracing"}
	two := choices([]staff.Worker{mina, noor})
	return []picture{
		{name: "desk", page: "sealed/desk", data: func(s speaker) any { return s.deskPage(all, name) }},
		{name: "desk-empty", page: "sealed/desk", data: func(speaker) any { return deskPage{MayOpen: true} }},
		{name: "desk-new", page: "sealed/new", data: func(speaker) any {
			return newFilePage{Desks: desks[:2], Person: galleryID(1).String(), Name: "Rosa Ixchel Tum"}
		}},
		{name: "desk-new-refused", page: "sealed/new", form: topOf("fault.sealed.bad_day"), data: func(speaker) any { return newFilePage{Desks: desks[:2]} }},
		{name: "desk-file", page: "sealed/file", data: func(s speaker) any {
			m := s.filePage(file, mina.ID)
			m.Name = "Rosa Ixchel Tum"
			return m
		}},
		{name: "desk-file-waiting", page: "sealed/file", data: func(s speaker) any {
			m := s.filePage(waiting, mina.ID)
			m.Files = []fileLine{s.fileLine(all.Items[2], "Rosa Ixchel Tum")}
			return m
		}},
		{name: "desk-access", page: "sealed/access", data: func(s speaker) any { return s.accessPage(access) }},
		{name: "desks-begin", page: "sealed/begin", data: func(speaker) any { return beginPage{Here: true, Officers: two, Workers: two} }},
		{name: "desks-open", page: "sealed/begin", data: func(speaker) any { return beginPage{Here: true, Open: true, Officers: two} }},
		{name: "desks-elsewhere", page: "sealed/begin", data: func(speaker) any { return beginPage{} }},
		{name: "desks-asked", page: "sealed/begin", data: func(speaker) any { return beginPage{Here: true, Open: true, Asked: true} }},
		{name: "officers", page: "sealed/officers", data: func(s speaker) any {
			return officersPage{Officers: two, Share: true, Desks: desks, Workers: two, Broken: []brokenLine{{galleryTime, "Amina K.", "Bo L.", ""}}, Out: []brokenLine{{galleryTime, "Mina H.", "Bo L.", "9f86 d081 884c 7d65"}},
				Waiting: []waitingLine{{ID: "x", Action: "/officers/x", Text: s.T("sealed.act.glass", "Name", "نور", "Desk", s.Label("sealed.desk", "protection"), "Which", galleryID(33).String(), "Reason", "Mina is in hospital."), By: "Amina K.", At: galleryTime},
					{ID: "y", Action: "/officers/y", Text: s.T("sealed.act.again", "Officers", "Amina K., Bo L.", "Workers", "نور"), By: "Bo L.", At: galleryTime, Own: true}}}
		}},
		{name: "officers-change", page: "sealed/officers", form: func(v *view) *form {
			f := topOf("fault.sealed.officers_apart")(v)
			f.set("officers", two[0].Value)
			return f
		}, data: func(s speaker) any {
			return officersPage{Officers: two, Share: true, Desks: desks, Workers: two, May: two, Waiting: []waitingLine{{ID: "x", Action: "/officers/x", Text: s.T("sealed.act.turn", "Officers", "Amina K., نور"), By: "Bo L.", At: galleryTime}}}
		}},
		{name: "officers-none", page: "sealed/officers", data: func(speaker) any { return officersPage{Small: true} }},
	}
}

// From nobody having keys to a file that was opened, taken, written and closed, with pages
// alone and no script. Titles, addresses and the log say nothing.
func TestSealedFilesOnPages(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Lead)
	var added struct{ ID string }
	r.call(key, "POST", "/api/v1/people", `{"given_name":"Rosa","family_name":"Ixchel"}`).into(t, &added)
	lead, cora, reg := r.session("lead", staff.Lead), r.session("cora", staff.Coordinator), r.session("reg", staff.Registrar)
	mina, noor := r.session("mina", staff.Caseworker), r.session("noor", staff.Caseworker)
	page := func(s staff.Session, method, path string, fields ...string) answer {
		form := url.Values{"csrf": {s.CSRF}}
		for i := 0; i+1 < len(fields); i += 2 {
			form.Add(fields[i], fields[i+1])
		}
		body := ""
		if method == "POST" {
			body = form.Encode()
		}
		return r.ask(Network, method, path, body, "Host", "localhost", "Cookie", "__Host-waypost="+s.Token+"; "+trusting(r.s), "Content-Type", "application/x-www-form-urlencoded")
	}
	pass := "/people/" + added.ID + "/tell"
	if a := page(reg, "GET", "/people/"+added.ID); strings.Contains(string(a.body), pass) {
		t.Error("offered while nobody reads it")
	}
	if a := page(reg, "POST", pass, "tell.note", "Qvzkwaits at the gate"); a.status != 400 {
		t.Errorf("passed on to nobody: %d", a.status)
	}
	if a := page(lead, "POST", "/box/desks", "officers", lead.Actor.ID.String()); a.status != 400 {
		t.Errorf("one officer: %d", a.status)
	}
	if a := page(lead, "POST", "/box/desks", "officers", lead.Actor.ID.String(), "officers", cora.Actor.ID.String(), "workers", mina.Actor.ID.String()); a.status != 303 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := page(reg, "GET", "/people/"+added.ID); !strings.Contains(string(a.body), pass) {
		t.Errorf("no way from the person's page: %d %s", a.status, a.body)
	}
	if a := page(reg, "POST", pass, "tell.codes", "trafficking", "tell.note", "Qvzkwaits at the gate"); a.status != 303 || strings.Contains(string(a.body), "Qvzk") {
		t.Errorf("%d %s", a.status, a.body)
	}
	a := page(mina, "GET", "/desk")
	at := between(string(a.body), `<a href="/desk/`, `"`)
	if a.status != 200 || len(at) != 16 || strings.Contains(string(a.body), "Qvzk") {
		t.Fatalf("%d %q", a.status, at)
	}
	at = "/desk/" + at
	for _, s := range []staff.Session{lead, cora, reg} {
		if a := page(s, "GET", at); a.status != 403 {
			t.Errorf("%s: %d", s.Actor.Role, a.status)
		}
	}
	if a := page(noor, "GET", at); a.status != 404 {
		t.Errorf("noor, who has no keys: %d", a.status)
	}
	if a := page(mina, "GET", at); a.status != 200 || !strings.Contains(string(a.body), "Qvzkwaits at the gate") || !strings.Contains(string(a.body), "Rosa Ixchel") {
		t.Errorf("%d %s", a.status, a.body)
	} else if title := between(string(a.body), "<title>", "</title>"); strings.Contains(strings.ToLower(title), "protect") || strings.Contains(title, "Rosa") {
		t.Errorf("the title says %q", title)
	}
	if a := page(mina, "POST", at+"/assign", "who", mina.Actor.ID.String()); a.status != 303 {
		t.Errorf("taken: %d", a.status)
	}
	if a := page(mina, "POST", at+"/note", "note", "Qvzknote", "due", "tomorrow"); a.status != 400 || !strings.Contains(string(a.body), "Qvzknote") {
		t.Errorf("no day: %d", a.status)
	}
	if a := page(mina, "POST", at+"/note", "note", "Qvzknote", "due", "2026-06-03"); a.status != 303 {
		t.Errorf("noted: %d", a.status)
	}
	if a := page(mina, "POST", at+"/assign", "who", noor.Actor.ID.String()); a.status != 303 {
		t.Errorf("added: %d", a.status)
	}
	if a := page(noor, "GET", at); a.status != 200 || !strings.Contains(string(a.body), "Qvzknote") {
		t.Errorf("noor: %d", a.status)
	}
	if a := page(mina, "POST", at+"/unassign", "who", noor.Actor.ID.String()); a.status != 303 || page(noor, "GET", at).status != 404 {
		t.Errorf("taken off: %d", a.status)
	}
	if a := page(mina, "POST", "/desk", "desk", "child", "note", "Qvzkchild", "person", added.ID); a.status != 303 || !strings.HasPrefix(a.header.Get("Location"), "/desk/") {
		t.Errorf("opened: %d", a.status)
	}
	if a := page(mina, "POST", "/desk", "desk", "medical", "note", "x"); a.status != 403 {
		t.Errorf("a desk that is not hers: %d", a.status)
	}
	if a := page(mina, "POST", "/desk/access/give", "desk", "protection", "who", noor.Actor.ID.String()); a.status != 303 {
		t.Errorf("given: %d", a.status)
	}
	if a := page(mina, "POST", "/desk/access/change", "desk", "protection", "without", noor.Actor.ID.String()); a.status != 303 {
		t.Errorf("changed: %d", a.status)
	}
	if a := page(mina, "POST", at+"/close", "why", "done"); a.status != 303 {
		t.Errorf("closed: %d", a.status)
	}
	// Two officers let noor in.
	if a := page(lead, "POST", "/officers/ask", "desk", "protection", "which", strings.TrimPrefix(at, "/desk/"), "to", noor.Actor.ID.String(), "reason", "mina is in hospital", "passphrase", testPassphrase); a.status != 303 {
		t.Errorf("asked: %d %s", a.status, a.body)
	}
	waiting := page(cora, "GET", "/officers")
	if !strings.Contains(string(waiting.body), "into a sealed file of \u2068Protection\u2069") {
		t.Errorf("cora is not told which desk: %s", waiting.body)
	}
	act := between(string(waiting.body), `action="/officers/`, `/confirm"`)
	if a := page(lead, "POST", "/officers/"+act+"/confirm", "passphrase", testPassphrase); a.status != 403 {
		t.Errorf("alone: %d", a.status)
	}
	if a := page(cora, "POST", "/officers/"+act+"/confirm", "passphrase", testPassphrase); a.status != 303 {
		t.Errorf("agreed: %d %s", a.status, a.body)
	}
	if a := page(noor, "GET", at); a.status != 200 || !strings.Contains(string(a.body), "mina is in hospital") {
		t.Errorf("noor, after two officers: %d", a.status)
	}
	if a := page(cora, "GET", "/"); !strings.Contains(string(a.body), `href="/officers"`) {
		t.Error("an officer is not told")
	}
	for _, word := range []string{"Qvzk", "Rosa", "protection", "hospital", strings.TrimPrefix(at, "/desk/")} {
		if strings.Contains(r.log.String(), word) {
			t.Errorf("the log says %s", word)
		}
	}
}

// between is what stands between two marks; empty when it does not.
func between(s, from, to string) string {
	_, s, ok := strings.Cut(s, from)
	if !ok {
		return ""
	}
	s, _, ok = strings.Cut(s, to)
	if !ok {
		return ""
	}
	return s
}

func TestADayAsPeopleTypeIt(t *testing.T) {
	for text, ok := range map[string]bool{"": true, "2026-06-01": true, "2026-6-1": false, "tomorrow": false, "1999-01-01": false, "9999-01-01": false} {
		if _, err := dayOf(text); (err == nil) != ok || err != nil && fault.ClassOf(err) != fault.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}
