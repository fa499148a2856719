package ui

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

func erasePictures() []picture {
	form := func(v *view) *form {
		f := newForm()
		f.set("reason", "danger")
		return f
	}
	approval := func(own bool) func(s speaker) any {
		return func(s speaker) any {
			return approvalPage{
				approvalLine: approvalLine{Path: "/approvals/x", Name: "Rosa Ixchel Tum", Reason: s.T("staff.erase.reason.danger") + ": سلامة", By: "Bo L.", At: galleryTime, Own: own},
				Person:       "/people/x", Action: "/approvals/x", Household: own,
			}
		}
	}
	names := map[oplog.ID]string{galleryID(20): "North gate", galleryID(21): "الميناء", galleryID(22): "Clinic"}
	erased := func(e staff.Erasure, lead bool) func(s speaker) any {
		e.Person, e.At, e.By = galleryID(1), galleryTime, []string{"Bo L.", "سعيد"}
		return func(s speaker) any {
			m := s.erasurePage(e, names)
			m.MayUndo, m.MayFinish = lead && len(e.DoneAt) == 0, lead && !e.Final
			return m
		}
	}
	return []picture{
		{name: "erase-ask", page: "erase/ask", form: form, data: func(speaker) any {
			return erasePage{Name: "Rosa Ixchel Tum", Path: "/people/x", Action: "/people/x/erase", Reasons: staff.EraseReasons()}
		}},
		{name: "erase-approval", page: "erase/approval", data: approval(false)},
		{name: "erase-approval-own", page: "erase/approval", data: approval(true), form: topOf("fault.staff.erase_made")},
		{name: "erase-list", page: "erase/list", data: func(s speaker) any {
			m := approvalsPage{Waiting: []approvalLine{approval(true)(s).(approvalPage).approvalLine}}
			for i, e := range []staff.Erasure{
				{Trusted: true, Left: 71 * time.Hour}, {Trusted: false}, {Final: true, Trusted: true}, {Here: true, Pending: []oplog.ID{{1}, {2}}}, {Here: true},
			} {
				e.Person, e.At = galleryID(byte(i+1)), galleryTime
				m.Erasures = append(m.Erasures, s.erasureLine(e))
			}
			return m
		}},
		{name: "erase-list-empty", page: "erase/list", data: func(speaker) any { return approvalsPage{} }},
		{name: "erasure-hidden", page: "erase/erasure", data: erased(staff.Erasure{Trusted: true, Left: 70 * time.Hour, Pending: []oplog.ID{galleryID(20), galleryID(21)}}, true)},
		{name: "erasure-pending", page: "erase/erasure", data: erased(staff.Erasure{Trusted: true, Here: true, DoneAt: []oplog.ID{galleryID(20)}, Pending: []oplog.ID{galleryID(21), galleryID(22)}}, false)},
		{name: "erasure-untrusted", page: "erase/erasure", data: erased(staff.Erasure{Pending: []oplog.ID{galleryID(20)}}, true)},
		{name: "erasure-over", page: "erase/erasure", data: erased(staff.Erasure{Trusted: true, Over: true, Pending: []oplog.ID{galleryID(20)}}, true)},
	}
}

// erasing checks the calls of erasing against the document.
func (c *contract) erasing(key, person, other string) {
	c.t.Helper()
	const v1 = "/api/v1"
	lead, second := c.session("eraser", staff.Lead), c.session("second", staff.Coordinator)
	by := func(user string) string { return fmt.Sprintf(`"user":%q,"passphrase":%q`, user, testPassphrase) }
	read := func(path, schema string) (items []map[string]any) {
		a := c.ask(Network, "GET", v1+path, "", "Host", "localhost", "Cookie", "__Host-waypost="+lead.Token)
		if c.seen["GET "+v1+path+" 200"] = a.status == 200; a.status != 200 {
			c.t.Fatalf("%s: %d %s", path, a.status, a.body)
		}
		c.fits(path, c.doc.at("components", "schemas", schema), a.body)
		var answer struct{ Items []map[string]any }
		must(c.t, json.Unmarshal(a.body, &answer))
		return answer.Items
	}
	ask := func(id string) string {
		var got struct{ Approval string }
		c.try(key, "POST", v1+"/people/:id/erase", v1+"/people/"+id+"/erase", `{"reason":"asked by her brother",`+by("eraser")+`}`, 202).into(c.t, &got)
		return got.Approval
	}
	c.try(key, "POST", v1+"/people/:id/erase", v1+"/people/"+person+"/erase", `{"reason":"own_wish"}`, 403)
	approval := ask(person)
	if w := read("/approvals", "Approvals"); len(w) != 1 || w[0]["reason"] != "other" || w[0]["text"] != "asked by her brother" || w[0]["own"] != true {
		c.t.Fatalf("%v", w)
	}
	confirm := v1 + "/approvals/" + approval + "/confirm"
	c.try(key, "POST", v1+"/approvals/:id/confirm", confirm, `{`+by("eraser")+`}`, 403)
	c.try(key, "POST", v1+"/approvals/:id/confirm", confirm, `{}`, 403)
	c.try(key, "POST", v1+"/approvals/:id/confirm", confirm, `{"user":"second","passphrase":"wrong"}`, 403)
	c.try(key, "POST", v1+"/approvals/:id/confirm", confirm, `{`+by("second")+`}`, 200)
	c.try(key, "GET", v1+"/people/:id", v1+"/people/"+person, "", 404)
	c.try(key, "POST", v1+"/erasures/:id/undo", v1+"/erasures/"+person+"/undo", `{`+by("second")+`}`, 403)
	c.try(key, "POST", v1+"/erasures/:id/undo", v1+"/erasures/"+person+"/undo", `{`+by("eraser")+`}`, 200)
	c.try(key, "GET", v1+"/people/:id", v1+"/people/"+person, "", 200)
	approval = ask(other)
	c.try(key, "POST", v1+"/approvals/:id/decline", v1+"/approvals/"+approval+"/decline", `{`+by("second")+`}`, 200)
	approval = ask(other)
	// A page session needs no passphrase, and its token.
	session := []string{"Host", "localhost", "Cookie", "__Host-waypost=" + second.Token}
	if a := c.ask(Network, "POST", v1+"/approvals/"+approval+"/confirm", "", session...); a.status != 403 || a.problem(c.t).Key != "fault.api.csrf" {
		c.t.Errorf("without the session's token: %d %s", a.status, a.body)
	}
	if a := c.ask(Network, "POST", v1+"/approvals/"+approval+"/confirm", "", append(session, "X-CSRF-Token", second.CSRF)...); a.status != 200 {
		c.t.Errorf("by a page session: %d %s", a.status, a.body)
	}
	c.acting(key, lead, second)
	c.try(key, "POST", v1+"/erasures/:id/finish", v1+"/erasures/"+other+"/finish", `{`+by("eraser")+`}`, 200)
	c.try(key, "POST", v1+"/erasures/:id/undo", v1+"/erasures/"+other+"/undo", `{`+by("eraser")+`}`, 410)
	if e := read("/erasures", "Erasures"); len(e) != 1 || e[0]["person"] != other || e[0]["final"] != true {
		c.t.Errorf("%v", e)
	}
}

// acting checks that acts of other kinds wait, are confirmed and are declined by the same
// calls.
func (c *contract) acting(key string, first, second staff.Session) {
	c.t.Helper()
	const v1 = "/api/v1/approvals"
	by := fmt.Sprintf(`{"user":"second","passphrase":%q}`, testPassphrase)
	done := 0
	ask := func(body string) string {
		id, err := c.box.desks.Staff.AskAct(first, staff.Act{Purpose: "revoke-node", Action: staff.RevokeNodes, Body: []byte(body), Key: "acts.one"},
			func(context.Context, staff.ID, staff.Hand, staff.Hand) error { done++; return nil })
		must(c.t, err)
		return id.String()
	}
	act := ask("a")
	a := c.ask(Network, "GET", v1, "", "Host", "localhost", "Cookie", "__Host-waypost="+second.Token)
	c.fits(v1, c.doc.at("components", "schemas", "Approvals"), a.body)
	if !strings.Contains(string(a.body), `"kind":"revoke-node","person":null`) || !strings.Contains(string(a.body), "A second person has to agree") {
		c.t.Errorf("%s", a.body)
	}
	c.try(key, "POST", v1+"/:id/confirm", v1+"/"+act+"/confirm", `{}`, 403)
	c.try(key, "POST", v1+"/:id/confirm", v1+"/"+act+"/confirm", fmt.Sprintf(`{"user":"eraser","passphrase":%q}`, testPassphrase), 403)
	if a := c.ask(Network, "POST", v1+"/"+act+"/confirm", "", "Host", "localhost", "Cookie", "__Host-waypost="+second.Token, "X-CSRF-Token", second.CSRF); a.status != 403 || done != 0 {
		c.t.Errorf("an open page agrees without the passphrase: %d %s", a.status, a.body)
	}
	c.try(key, "POST", v1+"/:id/confirm", v1+"/"+act+"/confirm", by, 200)
	c.try(key, "POST", v1+"/:id/confirm", v1+"/"+act+"/confirm", by, 404)
	act = ask("b")
	c.try(key, "POST", v1+"/:id/decline", v1+"/"+act+"/decline", by, 200)
	c.try(key, "POST", v1+"/:id/confirm", v1+"/"+act+"/confirm", by, 404)
	if done != 1 {
		c.t.Errorf("done %d times", done)
	}
}

// Two people at one box, with pages alone and no script.
func TestErasingOnPages(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Lead)
	var added struct{ ID string }
	r.call(key, "POST", "/api/v1/people", `{"given_name":"Rosa","family_name":"Planted"}`).into(t, &added)
	lead, second, reg := r.session("lead", staff.Lead), r.session("second", staff.Coordinator), r.session("reg", staff.Registrar)
	page := func(s staff.Session, method, path string, fields ...string) answer {
		form := url.Values{"csrf": {s.CSRF}}
		for i := 0; i+1 < len(fields); i += 2 {
			form.Set(fields[i], fields[i+1])
		}
		body := ""
		if method == "POST" {
			body = form.Encode()
		}
		return r.ask(Network, method, path, body, "Host", "localhost", "Cookie", "__Host-waypost="+s.Token, "Content-Type", "application/x-www-form-urlencoded")
	}
	at := "/people/" + added.ID
	if a := page(lead, "GET", at); !strings.Contains(string(a.body), at+"/erase") {
		t.Error("no way from the person's page")
	}
	if a := page(reg, "GET", at); strings.Contains(string(a.body), at+"/erase") {
		t.Error("a registrar is offered it")
	}
	if a := page(reg, "GET", at+"/erase"); a.status != 403 {
		t.Error("a registrar may ask", a.status)
	}
	if a := page(lead, "GET", at+"/erase"); a.status != 200 || !strings.Contains(string(a.body), "Rosa Planted") {
		t.Fatal(a.status)
	}
	if a := page(lead, "POST", at+"/erase", "reason", "danger", "text", "kept", "passphrase", "wrong"); a.status != 403 || !strings.Contains(string(a.body), "kept") {
		t.Errorf("a wrong passphrase: %d", a.status)
	}
	if a := page(lead, "POST", at+"/erase", "reason", "other", "passphrase", testPassphrase); a.status != 400 || !strings.Contains(string(a.body), "f-text-err") {
		t.Errorf("another reason without words: %d", a.status)
	}
	a := page(lead, "POST", at+"/erase", "reason", "danger", "passphrase", testPassphrase)
	waiting := a.header.Get("Location")
	if a.status != 303 || !strings.HasPrefix(waiting, "/approvals/") {
		t.Fatal(a.status, waiting)
	}
	if a := page(lead, "GET", waiting); a.status != 200 || strings.Contains(string(a.body), waiting+"/confirm") {
		t.Error("whoever asked is offered to confirm")
	}
	for _, p := range []string{"/", "/approvals"} {
		if a := page(second, "GET", p); a.status != 200 || !strings.Contains(string(a.body), "/approvals") {
			t.Errorf("%s does not lead there", p)
		}
	}
	if a := page(second, "POST", waiting+"/confirm", "passphrase", testPassphrase+"x"); a.status != 403 {
		t.Error("a wrong passphrase confirms", a.status)
	}
	a = page(second, "POST", waiting+"/confirm", "passphrase", testPassphrase)
	gone := a.header.Get("Location")
	if a.status != 303 || gone != "/erasures/"+added.ID {
		t.Fatal(a.status, gone)
	}
	if a := page(lead, "GET", gone); a.status != 200 || strings.Contains(string(a.body), "Planted") || !strings.Contains(string(a.body), "/undo") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := page(second, "GET", gone); strings.Contains(string(a.body), "/undo") {
		t.Error("a coordinator is offered to take it back")
	}
	if a := page(lead, "GET", at); a.status != 404 {
		t.Error("the person is still there", a.status)
	}
	if a := page(lead, "GET", "/people?q=Planted"); strings.Contains(string(a.body), "Rosa") {
		t.Error("the search finds them")
	}
	a = page(lead, "POST", gone+"/undo", "passphrase", testPassphrase)
	if a.status != 303 || a.header.Get("Location") != at || page(lead, "GET", at).status != 200 {
		t.Error("not taken back", a.status)
	}
	if strings.Contains(r.log.String(), "Planted") || strings.Contains(r.log.String(), testPassphrase) {
		t.Error("the log names them")
	}
}

// An open page is enough for the two halves of an erasure, which one lead takes back: programs
// rely on it. A phone that was left open on a table makes none final, and takes none back.
func TestAnOpenPageMakesNoErasureFinal(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Lead)
	var added struct{ ID string }
	r.call(key, "POST", "/api/v1/people", `{"given_name":"Rosa","family_name":"Planted"}`).into(t, &added)
	lead, second := r.session("lead", staff.Lead), r.session("second", staff.Coordinator)
	as := func(s staff.Session, path, body string) answer {
		return r.ask(Network, "POST", "/api/v1"+path, body, "Host", "localhost", "Cookie", "__Host-waypost="+s.Token, "X-CSRF-Token", s.CSRF, "Content-Type", "application/json")
	}
	own := fmt.Sprintf(`"passphrase":%q`, testPassphrase)
	refused := func(what string, s staff.Session, path string, bodies ...string) {
		t.Helper()
		for _, body := range bodies {
			if a := as(s, path, body); a.status != 403 || a.problem(t).Key != "fault.staff.own_hand" {
				t.Errorf("%s with %q: %d %s", what, body, a.status, a.body)
			}
		}
	}
	ask := func() string {
		t.Helper()
		var got struct{ Approval string }
		a := as(lead, "/people/"+added.ID+"/erase", `{"reason":"danger"}`)
		if a.status != 202 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		a.into(t, &got)
		return got.Approval
	}
	waiting := ask()
	if a := as(second, "/approvals/"+waiting+"/decline", ""); a.status != 200 {
		t.Errorf("declining: %d %s", a.status, a.body)
	}
	waiting = ask()
	if a := as(second, "/approvals/"+waiting+"/confirm", `{"passphrase":"not mine"}`); a.status != 403 {
		t.Errorf("another passphrase: %d", a.status)
	}
	if a := as(second, "/approvals/"+waiting+"/confirm", ""); a.status != 200 {
		t.Fatalf("confirming: %d %s", a.status, a.body)
	}
	refused("undoing", lead, "/erasures/"+added.ID+"/undo", "", "{}")
	refused("finishing", lead, "/erasures/"+added.ID+"/finish", "", "{}")
	if a := as(lead, "/erasures/"+added.ID+"/undo", `{"passphrase":"not mine"}`); a.status != 403 {
		t.Errorf("another passphrase: %d", a.status)
	}
	if a := as(lead, "/erasures/"+added.ID+"/undo", `{`+own+`}`); a.status != 200 {
		t.Errorf("undoing: %d %s", a.status, a.body)
	}
}
