package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/waypost/waypost/appliance/staff"
)

// payloads are what somebody types who wants a page to run it: every way in is tried
// behind every way out of where the text stands. The vectors are of the kinds that the
// OWASP cross-site scripting filter evasion sheet lists (cheatsheetseries.owasp.org,
// 2026-11-30); "wpx" marks them.
func payloads() (out []string) {
	vectors := []string{
		`<script>wpx()</script>`, `<script src=//wpx.example></script>`, `<img src=x onerror=wpx()>`, `<svg onload=wpx()>`,
		`<svg><script>wpx()</script></svg>`, `<body onload=wpx()>`, `<iframe src=javascript:wpx()>`, `<iframe srcdoc="<script>wpx()</script>">`,
		`<object data=javascript:wpx()>`, `<embed src=javascript:wpx()>`, `<a href=javascript:wpx()>x</a>`, `<a href="java&#10;script:wpx()">x</a>`,
		`<form action=javascript:wpx()><button>x</button>`, `<button formaction=javascript:wpx()>x</button>`, `<input autofocus onfocus=wpx()>`,
		`<details open ontoggle=wpx()>`, `<video src=x onerror=wpx()>`, `<audio src=x onerror=wpx()>`, `<math><mi xlink:href="javascript:wpx()">x</mi></math>`,
		`<meta http-equiv=refresh content="0;url=javascript:wpx()">`, `<base href=//wpx.example/>`, `<link rel=stylesheet href=//wpx.example/x.css>`,
		`<style>@import "//wpx.example"</style>`, `<div style="background:url(javascript:wpx())">`, `<template><script>wpx()</script></template>`,
		`<noscript><p title="</noscript><img src=x onerror=wpx()>">`, `<textarea><script>wpx()</script>`, `<!--><script>wpx()</script>-->`,
		`javascript:wpx()`, `data:text/html,<script>wpx()</script>`, `{{"<script>wpx()</script>"}}`, `${wpx()}`, `\u003cscript\u003ewpx()\u003c/script\u003e`,
		`&lt;script&gt;wpx()&lt;/script&gt;`, `%3Cscript%3Ewpx()%3C/script%3E`, "<scr\x00ipt>wpx()</scr\x00ipt>", `=HYPERLINK("http://wpx.example","x")`,
		"\x1b]0;wpx\x07\x1b[2J", "\u009b31mwpx", "wpx\u202egnp.exe",
	}
	for _, before := range []string{"", `">`, `'>`, `</textarea></title></script>`, `-->`} {
		for _, v := range vectors {
			out = append(out, before+v)
		}
	}
	return out
}

// elements is what a page is built of: each element with the names of its attributes,
// and the values of those that name an address. Text and values do not count.
func elements(t *testing.T, page []byte) (out []string) {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	must(t, err)
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		line := n.Data
		for _, a := range n.Attr {
			line += " " + a.Key
		}
		out = append(out, line)
	}
	return out
}

// harmless fails when a page has anything that could run or that asks elsewhere.
func harmless(t *testing.T, where string, page []byte) {
	t.Helper()
	for _, found := range harm(t, page) {
		t.Errorf("%s: %s", where, found)
	}
}

// wpxHost is an address at the payloads' own host.
var wpxHost = regexp.MustCompile(`^([a-z][a-z0-9+.-]*:)?//[^/]*wpx`)

// harm is what could run in a page, or ask elsewhere.
func harm(t *testing.T, page []byte) (found []string) {
	t.Helper()
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if i := bytes.IndexFunc(page, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r >= 0x7f && r < 0xa0
	}); i >= 0 {
		say("a raw control character: %q", page[max(0, i-30):min(len(page), i+30)])
	}
	root, err := html.Parse(bytes.NewReader(page))
	must(t, err)
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "iframe", "object", "embed", "base", "style", "applet", "math", "template":
			say("an element <%s>", n.Data)
		case "script":
			if !strings.HasPrefix(attr(n, "src"), "/") || strings.HasPrefix(attr(n, "src"), "//") || textOf(n) != "" {
				say("a script from %q: %s", attr(n, "src"), textOf(n))
			}
		case "meta":
			if strings.EqualFold(attr(n, "http-equiv"), "refresh") && strings.Contains(attr(n, "content"), "wpx") {
				say("it goes on to %s", attr(n, "content"))
			}
		}
		for _, a := range n.Attr {
			value := strings.ToLower(strings.Join(strings.Fields(a.Val), ""))
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "srcdoc":
				say("<%s %s=%q>", n.Data, a.Key, a.Val)
			case slices.Contains([]string{"href", "src", "action", "formaction", "data", "poster"}, a.Key) &&
				(strings.HasPrefix(value, "javascript:") || strings.HasPrefix(value, "data:text") || wpxHost.MatchString(value)):
				say("<%s %s=%q>", n.Data, a.Key, a.Val)
			}
		}
	}
	return found
}

// TestHarmIsSeen holds the payloads against a page that shows them as they are.
func TestHarmIsSeen(t *testing.T) {
	missed := 0
	for _, p := range payloads() {
		if strings.Contains(p, "<") && len(harm(t, []byte("<html><body><p>"+p+"</p></body></html>"))) == 0 {
			missed++
			t.Logf("nothing runs: %q", p)
		}
	}
	if missed > 12 { // these run nowhere: inside a textarea, or no markup after what closes one
		t.Errorf("%d payloads would not be noticed", missed)
	}
}

// sayPerson is a person with one text in every field that takes text.
func sayPerson(text string, leave map[string]bool) string {
	p := map[string]any{}
	for _, name := range []string{"given_name", "family_name", "father_name", "mother_name", "origin", "destination", "place", "notes", "phone", "nationality", "sex"} {
		p[name] = text
	}
	p["other_names"], p["languages"], p["needs"] = []string{text}, []string{text}, []string{text}
	p["documents"] = []map[string]string{{"type": text, "number": text, "issuer": text}}
	for name := range leave {
		delete(p, name)
	}
	raw, _ := json.Marshal(p)
	return string(raw)
}

// registers puts the text into every field that takes it, and gives the person.
func registers(t *testing.T, r *rig, key, text string) (id string, taken bool) {
	t.Helper()
	leave := map[string]bool{}
	for range 20 {
		a := r.call(key, "POST", "/api/v1/people", sayPerson(text, leave))
		if a.status == 201 {
			var made struct{ ID string }
			a.into(t, &made)
			return made.ID, true
		}
		p, before := a.problem(t), len(leave)
		for field := range p.Fields {
			name, _, _ := strings.Cut(field, ".")
			leave[strings.TrimRight(name, "0123456789[]")] = true
		}
		if a.status != 400 || len(leave) == before {
			t.Fatalf("%q: %d %s", text, a.status, a.body)
		}
		if leave["given_name"] && leave["family_name"] {
			return "", false
		}
	}
	t.Fatalf("%q: no end of wrong fields", text)
	return "", false
}

// TestNothingTypedEverRuns puts 200 payloads into every field, looks at every page there
// is as somebody who may see it, and compares what each is built of with the page of a
// person with plain names: a payload that became an element or an attribute shows.
func TestNothingTypedEverRuns(t *testing.T) {
	onceOver(t)
	all := payloads()
	if len(all) < 200 {
		t.Fatalf("only %d payloads", len(all))
	}
	r := newRig(t)
	key := r.key(staff.Lead)
	lead := r.session("lead", staff.Lead)
	cookie := []string{"Host", "localhost", "Accept", "text/html", "Cookie", "waypost=" + lead.Token}
	see := func(path string) answer { return r.ask(Loopback, "GET", path, "", cookie...) }
	plain, _ := registers(t, r, key, "Wpx")
	var paths []string
	for _, rt := range r.s.routes() {
		if rt.method == "GET" && rt.on().has(Loopback) && !rt.stream && strings.Count(rt.path, ":") == 1 && strings.HasPrefix(rt.path, "/people/") {
			if a := see(strings.Replace(rt.path, ":id", plain, 1)); a.status == 200 && strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
				paths = append(paths, rt.path)
			}
		}
	}
	if len(paths) < 3 {
		t.Fatalf("only %v show a person", paths)
	}
	want := map[string][]string{}
	for _, path := range paths {
		want[path] = elements(t, see(strings.Replace(path, ":id", plain, 1)).body)
	}
	shown := 0
	for _, text := range all {
		id, taken := registers(t, r, key, text)
		if !taken {
			continue // no name could be made of it
		}
		shown++
		for _, path := range paths {
			a := see(strings.Replace(path, ":id", id, 1))
			where := fmt.Sprintf("%s with %q", path, text)
			harmless(t, where, a.body)
			for _, line := range elements(t, a.body) {
				if !slices.Contains(want[path], line) {
					t.Errorf("%s: an element that no plain name has: <%s>", where, line)
				}
			}
		}
		for _, path := range []string{"/people?q=", "/verify?text=", "/signin?next=", "/people/"} {
			harmless(t, path+text, see(path+url.QueryEscape(text)).body)
			harmless(t, path+text, see(path+url.PathEscape(text)).body)
		}
	}
	if shown < len(all)*3/4 {
		t.Errorf("only %d of %d payloads reached a page", shown, len(all))
	}
	t.Logf("%d payloads, %d of them in records, %d pages of each", len(all), shown, len(paths))
}

// TestNothingSentBackEverRuns sends every form of every page with payloads in all fields
// and looks at the answer, which mostly is the form again with what was typed.
func TestNothingSentBackEverRuns(t *testing.T) {
	onceOver(t)
	r := newRig(t)
	person, _ := registers(t, r, r.key(staff.Lead), "Wpx")
	lead := r.session("lead", staff.Lead)
	all := payloads()
	sent := 0
	for _, rt := range r.s.routes() {
		if rt.method != "POST" || !rt.on().has(Loopback) || strings.HasPrefix(rt.path, "/api/") || strings.HasPrefix(rt.path, "/lock") || strings.HasPrefix(rt.path, "/signout") {
			continue
		}
		path := strings.Replace(strings.Replace(rt.path, ":id", person, 1), ":", "", -1)
		form := url.Values{"csrf": {lead.CSRF}}
		for i, name := range formNames(t, r, lead, rt.path, person) {
			if name != "csrf" {
				form[name] = []string{all[(sent*7+i)%len(all)]}
			}
		}
		a := r.ask(Loopback, "POST", path, form.Encode(), "Host", "localhost", "Accept", "text/html", "Content-Type", "application/x-www-form-urlencoded",
			"Cookie", "waypost="+lead.Token, "Origin", "http://localhost")
		if strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			sent++
			harmless(t, "POST "+rt.path, a.body)
		}
	}
	if sent < 10 {
		t.Errorf("only %d forms answered with a page", sent)
	}
}

// formNames are the fields of the forms that go to a route, on the page it belongs to,
// and some that many forms have.
func formNames(t *testing.T, r *rig, s staff.Session, path, person string) []string {
	t.Helper()
	names := []string{"user", "name", "given_name", "family_name", "notes", "description", "reason", "text", "note", "site", "title"}
	for at := path; at != ""; at = at[:strings.LastIndex(at, "/")] {
		a := r.ask(Loopback, "GET", strings.Replace(at, ":id", person, 1), "", "Host", "localhost", "Accept", "text/html", "Cookie", "waypost="+s.Token)
		if a.status != 200 {
			continue
		}
		root, err := html.Parse(bytes.NewReader(a.body))
		must(t, err)
		for n := range root.Descendants() {
			if n.Type == html.ElementNode && slices.Contains([]string{"input", "textarea", "select"}, n.Data) && attr(n, "name") != "" {
				names = append(names, attr(n, "name"))
			}
		}
		break
	}
	slices.Sort(names)
	return slices.Compact(names)
}
