package ui

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
)

// letterbox is an intake that keeps what it is told.
type letterbox struct {
	got  []string
	fail error
}

func (l *letterbox) Opened() (bool, error) { return true, nil }

func (l *letterbox) TakeIn(_ context.Context, _ staff.Actor, n staff.Narrow, about oplog.ID, codes []string, note string) error {
	if l.fail == nil {
		l.got = append(l.got, fmt.Sprint(n, about, codes, note))
	}
	return l.fail
}

func (l *letterbox) has(t *testing.T, texts ...string) {
	t.Helper()
	all := strings.Join(l.got, "\n")
	for _, text := range texts {
		if !strings.Contains(all, text) {
			t.Errorf("%q was not passed on: %s", text, all)
		}
	}
}

const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>`

func TestTellingTheProtectionTeam(t *testing.T) {
	box, s := newPageServer(t)
	takes := &letterbox{}
	b := signedInAs(t, box, s, "Amina", staff.Registrar)
	b.get("/people/new").wants(200).lacks("Something to tell")
	box.desks.Registration.SetIntake(takes)

	// A refused form keeps what was typed; a saved one never shows it again.
	b.get("/people/new").wants(200, "Something to tell the protection team")
	b.post("/people", url.Values{"save": {"1"}, "family_name": {"Tum"}, "members.0.given_name": {"Rosa"}, "members.0.age": {"many"}, "members.0.tell.codes": {"torture", "hiv"}, "members.0.tell.note": {"Qvzk " + evil}}).
		wants(400, "Qvzk").lacks(evil, "<script>alert", "<img src=x")
	if len(takes.got) != 0 {
		t.Fatal(takes.got)
	}
	if v := b.fields("/people"); strings.Join(v["members.0.tell.codes"], " ") != "torture hiv" || v.Get("members.0.tell.note") != "Qvzk "+evil {
		t.Fatal("what was typed is lost", v)
	}
	b.post("/people", url.Values{"save": {"1"}, "members.0.age": {"31"}}).wants(200, "Rosa Tum", "Passed on to the protection team").lacks("Qvzk")
	path := b.path
	takes.has(t, "protection"+strings.TrimPrefix(path, "/people/"), "[torture]", "Qvzk", "medical", "[hiv]")
	b.get(path).wants(200).lacks("Passed on", "Qvzk")

	// A household, with a code in a value that programs could send.
	b.get("/people/new")
	b.post("/people", url.Values{"save": {"1"}, "family_name": {"Lux"}, "members.0.given_name": {"Ana"}, "members.1.given_name": {"Bo"}, "members.1.tell.codes": {"unaccompanied"}}).
		wants(200, "Saved: 2 people", "Passed on")
	takes.has(t, "child", "[unaccompanied]")

	// On the page of a person, with nothing and with something.
	b.get(path).post(path+"/tell", nil).wants(400, "Choose at least one point").lacks("Passed on")
	b.post(path+"/tell", url.Values{"tell.note": {"Qvzk2 afraid"}}).wants(200, "Passed on").lacks("Qvzk2")
	takes.has(t, "Qvzk2 afraid")

	// While correcting: alone, and together with a correction.
	before := len(takes.got)
	b.get(path+"/edit").post(path+"/edit", url.Values{"tell.codes": {"detention"}}).wants(200, "Passed on")
	b.get(path+"/edit").post(path+"/edit", url.Values{"tell.note": {"Qvzk3"}, "phone": {"+502 5550 1234"}}).wants(200, "Passed on", "+502 5550 1234").lacks("Qvzk3")
	if len(takes.got) != before+2 {
		t.Error(takes.got[before:])
	}
	takes.fail = fault.New(fault.Internal, "fault.internal")
	b.get(path+"/edit").post(path+"/edit", url.Values{"tell.note": {"Qvzk4"}, "phone": {"+502 1111 1111"}})
	if b.status != 500 {
		t.Errorf("%d", b.status)
	}
	b.get(path).wants(200, "+502 5550 1234").lacks("+502 1111 1111", "Qvzk4")
}

func TestAnyDeskTells(t *testing.T) {
	box, s := newPageServer(t)
	takes := &letterbox{}
	b := signedInAs(t, box, s, "Info", staff.Information)
	b.get("/tell").wants(200, "There is no protection desk on this box yet")
	box.desks.Registration.SetIntake(takes)
	b.get("/tell").post("/tell", url.Values{"tell.codes": {"at_risk"}, "tell.note": {"Qvzk a man follows her"}}).wants(200, "Passed on").lacks("Qvzk")
	takes.has(t, "[at_risk]", "Qvzk a man follows her", oplog.ID{}.String())
	b.get("/tell").wants(200).lacks("Passed on")
	b.post("/tell", url.Values{"tell.codes": {"wheelchair"}}).wants(400)
	added, err := box.desks.Registration.Add(t.Context(), staff.Operator(), registration.Person{GivenName: "Rosa"}, registration.Request{})
	must(t, err)
	d := signedInAs(t, box, s, "Dist", staff.Coordinator)
	path := "/people/" + added.ID.String()
	d.get(path).wants(200, "Something to tell").post(path+"/tell", url.Values{"tell.codes": {"violence"}}).wants(200, "Passed on", "Rosa")
	takes.has(t, added.ID.String())
}

func TestNotesComeBackOnce(t *testing.T) {
	box, s := newPageServer(t)
	box.desks.Registration.SetIntake(&letterbox{})
	b := signedInAs(t, box, s, "Amina", staff.Registrar)
	form := url.Values{"save": {"1"}, "family_name": {"Tum"}, "members.0.given_name": {"Rosa"}, "members.0.more.notes": {"كانت معتقلة"}}
	b.get("/people/new").post("/people", form).wants(400, "Nothing is saved yet", "Save as it is", "كانت معتقلة", `href="#f-members-0-tell"`)
	if n, _ := box.desks.Registration.Counts(t.Context()); n.People != 0 {
		t.Fatal("saved before anybody said so")
	}
	b.post("/people", url.Values{"save": {"1"}}).wants(200, "Rosa Tum", "كانت معتقلة")
	path := b.path
	// What stood there before is nobody's to be warned about; what is new is.
	b.get(path+"/edit").post(path+"/edit", url.Values{"phone": {"+502 5550 1234"}}).wants(200, "+502 5550 1234")
	b.get(path+"/edit").post(path+"/edit", url.Values{"notes": {"HIV"}}).wants(400, "Save as it is")
	b.post(path+"/edit", url.Values{"notes": {"hearing aids"}}).wants(200, "hearing aids")
	b.get("/people/new").post("/people", url.Values{"save": {"1"}, "members.0.given_name": {"Viola"}, "members.0.more.notes": {"plays the violin"}}).wants(200, "Viola")
}

// Fifty canaries through pages and calls: nothing of them in any answer, log line or
// record of the register.
func TestNothingPassedOnIsShownAgain(t *testing.T) {
	r := newRig(t)
	takes := &letterbox{}
	r.box.desks.Registration.SetIntake(takes)
	key, lead := r.key(staff.Registrar), r.key(staff.Lead)
	var answers bytes.Buffer
	var ids []string
	for i := range 25 {
		word := []string{"victim of trafficking", "TR-PI", "survivor of rape", "HIV positive", "unaccompanied minor"}[i%5]
		a := r.call(key, "POST", "/api/v1/people", fmt.Sprintf(`{"given_name":"N%d","needs":["diet","%s qvzka%dx"]}`, i, word, i), "Idempotency-Key", fmt.Sprint("k", i))
		if a.status != 201 || !strings.Contains(string(a.body), `"passed_on":1`) {
			t.Fatalf("%d %s", a.status, a.body)
		}
		var p personJSON
		a.into(t, &p)
		ids = append(ids, p.ID)
		answers.Write(a.body)
		a = r.call(key, "PATCH", "/api/v1/people/"+p.ID, fmt.Sprintf(`{"notes":"tall; SV-VA qvzkb%dx","needs":["diet","wheelchair","gbv qvzkc%dx"]}`, i, i))
		if a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		answers.Write(a.body)
	}
	a := r.call(key, "POST", "/api/v1/households", `{"members":[{"given_name":"A"},{"given_name":"B","needs":["TRAUMA qvzkdx"]}],"relations":["head","UAM"]}`)
	if a.status != 201 || !strings.Contains(string(a.body), `"passed_on":2`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	answers.Write(a.body)
	for _, path := range []string{"/api/v1/people?limit=200", "/api/v1/people?q=qvzk", "/api/v1/people?q=trafficking", "/api/v1/people/" + ids[0]} {
		answers.Write(r.call(lead, "GET", path, "").body)
	}
	answers.WriteString(r.log.String())
	said := regexp.MustCompile(`[a-z2-7]{16,}`).ReplaceAllString(strings.ToLower(answers.String()), "") // numbers made by chance hold any three letters
	for _, word := range []string{"qvzk", "traffick", "TR-PI", "rape", "HIV", "unaccomp", "SV-VA", "gbv", "TRAUMA", "UAM"} {
		if strings.Contains(said, strings.ToLower(word)) {
			t.Errorf("%s is in an answer or the log", word)
		}
	}
	kept := strings.Join(takes.got, "\n")
	if n := strings.Count(kept, "qvzk"); n != 76 {
		t.Errorf("%d of 76 were passed on", n)
	}
	box2 := newRig(t) // nobody takes it in: refused, and the answer does not repeat it
	a = box2.call(box2.key(staff.Registrar), "POST", "/api/v1/people", `{"given_name":"N","needs":["torture qvzk"]}`)
	if p := a.problem(t); a.status != 400 || p.Fields["needs"] == "" || strings.Contains(string(a.body), "tortur") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// The script compares as the box does: the same cases, the same words.
func TestTheScriptWatchesAsTheBoxDoes(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node to run a script with")
	}
	_, s := newPageServer(t)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "words"), []byte(s.watcher.words), 0o600))
	source, err := os.ReadFile("static/watch.mjs")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "watch.mjs"), source, 0o600))
	cases, err := filepath.Abs("../appliance/registration/testdata/watch.json")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "run.mjs"), []byte(`import { finder } from './watch.mjs';
import fs from 'node:fs';
const finds = finder(fs.readFileSync('words', 'utf8'));
const cases = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
for (const c of cases) if (finds(c.text) !== c.warn) console.log(c.lang, c.text);
console.log('cases', cases.length);
`), 0o600))
	cmd := exec.Command(node, "run.mjs", cases)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "cases ") {
		t.Errorf("%v\n%s", err, out)
	}
}
