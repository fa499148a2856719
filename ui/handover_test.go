package ui

import (
	"archive/zip"
	"bytes"
	"io"
	"net/url"
	"strings"
	"testing"

	filippo "filippo.io/age"

	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/ui/locale"
)

// From a file that somebody works in to a closed file in their hands and the words in
// another's, then to nothing at all, with pages alone and no script.
func TestTwoPeopleOnPages(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Lead)
	var added struct{ ID string }
	r.call(key, "POST", "/api/v1/people", `{"given_name":"Rosa","family_name":"Ixchel"}`).into(t, &added)
	lead, cora := r.session("lead", staff.Lead), r.session("cora", staff.Coordinator)
	mina, noor := r.session("mina", staff.Caseworker), r.session("noor", staff.Caseworker)
	caseworker := string(passphraseFor(staff.Caseworker))
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
	want := func(what string, a answer, status int) string {
		t.Helper()
		if a.status != status {
			t.Fatalf("%s: %d %s", what, a.status, a.body)
		}
		if title := between(string(a.body), "<title>", "</title>"); strings.Contains(title, "Rosa") || strings.Contains(strings.ToLower(title), "protect") || strings.Contains(title, "Qvzk") {
			t.Errorf("%s: the title says %q", what, title)
		}
		return string(a.body)
	}
	want("begun", page(lead, "POST", "/box/desks", "officers", lead.Actor.ID.String(), "officers", cora.Actor.ID.String(), "workers", mina.Actor.ID.String()), 303)
	a := page(mina, "POST", "/desk", "desk", "protection", "note", "Qvzknote of hers", "person", added.ID)
	want("opened", a, 303)
	at := a.header.Get("Location")
	if body := want("the file", page(mina, "GET", at), 200); !strings.Contains(body, at+"/out") || !strings.Contains(body, at+"/end") {
		t.Error("no way to it")
	}
	want("the form", page(mina, "GET", at+"/out"), 200)
	ask := []string{"to", "Qvzkcourt", "basis", "order 17/2026 of it", "agreed", "yes", "passphrase", caseworker}
	if body := want("refused", page(mina, "POST", at+"/out", "to", "Qvzkcourt", "basis", "short", "agreed", "no", "passphrase", caseworker), 400); !strings.Contains(body, "Qvzkcourt") || strings.Contains(body, caseworker) {
		t.Error("what was typed is gone, or the passphrase is not")
	}
	want("wrong passphrase", page(mina, "POST", at+"/out", "to", "Qvzkcourt", "basis", "order 17/2026 of it", "agreed", "yes", "passphrase", "no such words"), 403)
	want("outside the file", page(noor, "POST", at+"/out", ask...), 404)
	want("asked", page(mina, "POST", at+"/out", ask...), 303)
	second := between(want("the lead's list", page(lead, "GET", "/second"), 200), `<a href="/second/`, `"`)
	if body := want("acts", page(lead, "GET", "/acts"), 200); strings.Contains(body, "Qvzk") || !strings.Contains(body, "/second/"+second) {
		t.Error("the list of all acts says too much, or nothing")
	}
	want("on the other page", page(lead, "GET", "/acts/"+second), 404)
	want("not hers", page(noor, "GET", "/second/"+second), 404)
	if body := want("the call", page(lead, "GET", "/api/v1/approvals"), 200); strings.Contains(body, "Qvzk") || strings.Contains(body, second) {
		t.Error("a call says what is shown where sealed files are, and nowhere else")
	}
	for _, end := range []string{"confirm", "decline"} {
		want(end+" where the officers are", page(lead, "POST", "/officers/"+second+"/"+end, "passphrase", testPassphrase), 404)
		a := r.ask(Network, "POST", "/api/v1/approvals/"+second+"/"+end, `{"user":"lead","passphrase":"`+testPassphrase+`"}`, "Host", "localhost", "Content-Type", "application/json")
		want(end+" by a call", a, 404)
	}
	if body := want("one act", page(lead, "GET", "/second/"+second), 200); !strings.Contains(body, "Qvzkcourt") || strings.Contains(body, "Qvzknote") || strings.Contains(body, "Rosa") {
		t.Error("the lead reads too little, or the file")
	}
	want("own", page(mina, "POST", "/second/"+second+"/confirm", "passphrase", caseworker), 403)
	want("too early", page(mina, "POST", "/second/"+second+"/take"), 404)
	body := want("agreed", page(lead, "POST", "/second/"+second+"/confirm", "passphrase", testPassphrase), 200)
	var five []string
	for _, w := range strings.Split(between(body, `translate="no">`, `</ol>`), "<li>")[1:] {
		five = append(five, strings.TrimSuffix(w, "</li>"))
	}
	words := strings.Join(five, " ")
	if len(five) != 5 {
		t.Fatalf("%q", five)
	}
	want("once", page(lead, "POST", "/second/"+second+"/confirm", "passphrase", testPassphrase), 404)
	want("the lead takes", page(lead, "POST", "/second/"+second+"/take"), 403)
	want("by its address alone", page(mina, "GET", "/second/"+second+"/take"), 405)
	if body := want("ready", page(mina, "GET", "/second"), 200); !strings.Contains(body, second+"/take") || strings.Contains(body, five[0]+"</li>") {
		t.Error("not ready, or with the words")
	}
	a = page(mina, "POST", "/second/"+second+"/take")
	if a.status != 200 || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Disposition") != `attachment; filename="file.age"` || bytes.Contains(a.body, []byte("Qvzk")) {
		t.Fatalf("%d %v", a.status, a.header)
	}
	want("again", page(mina, "POST", "/second/"+second+"/take"), 404)
	openWith, err := filippo.NewScryptIdentity(words)
	must(t, err)
	plain, err := filippo.Decrypt(bytes.NewReader(a.body), openWith)
	must(t, err)
	raw, err := io.ReadAll(plain)
	must(t, err)
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	must(t, err)
	for i, name := range []string{"record.json", "record.txt", "receipt.txt"} {
		f, err := z.File[i].Open()
		must(t, err)
		text, err := io.ReadAll(f)
		must(t, err)
		if z.File[i].Name != name || !bytes.Contains(text, []byte("Qvzkcourt")) || bytes.Contains(text, []byte("Qvzknote")) != (i < 2) || bytes.Contains(text, []byte("Rosa")) != (i < 2) {
			t.Errorf("%s: %s", name, text)
		}
	}
	receipt := between(want("the file again", page(mina, "GET", at), 200), `href="`+at+`/receipt/`, `"`)
	if body := want("receipt", page(mina, "GET", at+"/receipt/"+receipt), 200); !strings.Contains(body, "Qvzkcourt") || strings.Contains(body, "Qvzknote") || strings.Contains(body, "Rosa") {
		t.Error("a receipt says to whom and not what")
	}
	want("no receipt", page(mina, "GET", at+"/receipt/aaaaaaaaaaaaaaaa"), 404)
	if body := want("officers", page(cora, "GET", "/officers"), 200); !strings.Contains(body, "Handed over") || strings.Contains(body, "Qvzk") {
		t.Error("the officers do not hear of it, or of too much")
	}
	if body := want("home", page(cora, "GET", "/"), 200); !strings.Contains(body, "handed over in the last seven days") {
		t.Error("nothing on the officer's first page")
	}
	if body := want("who looked", page(lead, "GET", "/reads/"+mina.Actor.ID.String()), 200); !strings.Contains(body, "A sealed file") || strings.Contains(body, strings.TrimPrefix(at, "/desk/")) {
		t.Error("who looked says nothing, or which file")
	}
	// Other officers: the same two, with new keys.
	both := []string{"officers", lead.Actor.ID.String(), "officers", cora.Actor.ID.String(), "passphrase", testPassphrase}
	want("one officer", page(lead, "POST", "/officers/change", both[2:]...), 400)
	want("changed by a caseworker", page(mina, "POST", "/officers/change", both...), 403)
	want("asked", page(lead, "POST", "/officers/change", both...), 303)
	turn := between(want("officers", page(cora, "GET", "/officers"), 200), `action="/officers/`, `/confirm"`)
	want("alone", page(lead, "POST", "/officers/"+turn+"/confirm", "passphrase", testPassphrase), 403)
	want("agreed", page(cora, "POST", "/officers/"+turn+"/confirm", "passphrase", testPassphrase), 303)
	// Erased, taken back, and erased again.
	want("her desk", page(mina, "GET", "/desk"), 200)
	want("form", page(mina, "GET", at+"/end"), 200)
	want("asked", page(mina, "POST", at+"/end", "reason", "opened twice for one", "passphrase", caseworker), 303)
	second = between(want("waits", page(cora, "GET", "/second"), 200), `<a href="/second/`, `"`)
	want("declined", page(cora, "POST", "/second/"+second+"/decline"), 303)
	want("asked again", page(mina, "POST", at+"/end", "reason", "opened twice for one", "passphrase", caseworker), 303)
	second = between(want("waits", page(cora, "GET", "/second"), 200), `<a href="/second/`, `"`)
	want("agreed", page(cora, "POST", "/second/"+second+"/confirm", "passphrase", testPassphrase), 303)
	want("gone", page(mina, "GET", at), 404)
	if body := want("the desk", page(mina, "GET", "/desk"), 200); strings.Contains(body, `href="`+at) || !strings.Contains(body, "Two people erased") {
		t.Error("mina is not told, or it still opens")
	}
	id := strings.TrimPrefix(at, "/desk/")
	if body := want("erasures", page(lead, "GET", "/approvals"), 200); !strings.Contains(body, "a sealed file") || strings.Contains(body, "Rosa") {
		t.Error("the lead does not see that it is a file")
	}
	want("one erasure", page(lead, "GET", "/erasures/"+id), 200)
	if a := page(lead, "POST", "/erasures/"+id+"/undo", "passphrase", testPassphrase); a.status != 303 || a.header.Get("Location") != "/approvals" {
		t.Errorf("taken back: %d %s", a.status, a.header.Get("Location"))
	}
	want("back", page(mina, "GET", at), 200)
	for _, word := range []string{"Qvzk", "Rosa", "protection", five[0] + " " + five[1], id} {
		if strings.Contains(r.log.String(), word) {
			t.Errorf("the log says %s", word)
		}
	}
}

func TestPlainTextObeysNobody(t *testing.T) {
	if got := plainText("a\x1b[31m\u009bb\r\nc\x00"); got != "a [31m b \nc " {
		t.Errorf("%q", got)
	}
}

// What somebody wrote is never a line that an entry, or a field, begins with.
func TestNobodyWritesAnEntryIntoAParcel(t *testing.T) {
	catalog := locale.New()
	w := speaker{&view{Lang: catalog.For("en")}, galleryTime}
	forged := "said\n-- 2026-01-01T00:00:00Z · a note · somebody else"
	h := sealed.Handed{To: "Court" + forged, Basis: forged, Unasked: forged, AskedBy: forged, Person: forged, Entries: []sealed.HandedEntry{{Kind: "noted", Name: "mina" + forged, Text: forged}}}
	for _, p := range w.papers(h) {
		begun := 0
		for _, line := range strings.Split(string(p.Body), "\r\n") {
			if strings.HasPrefix(line, "--") {
				begun++
			}
			if strings.Contains(line, "\n") {
				t.Errorf("%s: %q", p.Name, line)
			}
		}
		if want := map[string]int{"record.txt": 1}[p.Name]; begun != want {
			t.Errorf("%s has %d entries: %s", p.Name, begun, p.Body)
		}
	}
}
