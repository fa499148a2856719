package ui

import (
	"bytes"
	"mime/multipart"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// send posts the multipart form of the page with a file in it.
func (b *browser) send(action, field string, content []byte, change url.Values) *browser {
	b.t.Helper()
	values := b.fields(action)
	for name, v := range change {
		values[name] = v
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, all := range values {
		for _, v := range all {
			must(b.t, w.WriteField(name, v))
		}
	}
	part, err := w.CreateFormFile(field, "file")
	must(b.t, err)
	_, err = part.Write(content)
	must(b.t, err)
	must(b.t, w.Close())
	return b.do("POST", action, w.FormDataContentType(), body.Bytes())
}

var (
	wordOnPage = regexp.MustCompile(`<li>([a-z-]+)</li>`)
	lineOnPage = regexp.MustCompile(`<li>((?:[0-9A-Z]{4}-){4}[0-9A-Z]{4})</li>`)
)

func (b *browser) found(what *regexp.Regexp) (out []string) {
	for _, m := range what.FindAllSubmatch(b.body, -1) {
		out = append(out, string(m[1]))
	}
	return out
}

// Seven people in a room, with a phone and a printer.
func TestAFullCeremonyOnPages(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Lead)
	b.get("/").wants(200, "Practice data only", "Decide who may let boxes in")
	b.get("/ceremony").wants(200, "With seven people", "Whoever finds the sheet can take the whole operation over")
	b.do("GET", "/ceremony/shares", "", nil).wants(409)
	b.get("/ceremony").post("/ceremony/begin", url.Values{"variant": {"full"}}).wants(200, "A second person")
	b.post("/ceremony/issuer", nil).wants(200, "shown only now", "waypost-issuer-2.wpissuer")
	words := b.found(wordOnPage)
	if len(words) != 10 {
		t.Fatal(words)
	}
	b.get("/ceremony").wants(200, "type your ten words").lacks(strings.Join(words, "</li><li>"))
	b.post("/ceremony/words", url.Values{"words": {"other words"}}).wants(403, "not the ten words").lacks("other words")
	b.post("/ceremony/words", url.Values{"words": {"1. " + strings.ToUpper(strings.Join(words, ", "))}}).wants(200, "Print 5 papers")
	b.get("/ceremony/issuer-file")
	file := bytes.Clone(b.body)
	if b.status != 200 || len(file) < 200 {
		t.Fatal(b.status)
	}
	lines := b.get("/ceremony/shares").wants(200, "Paper 5 of 5", "Nobody may ever hold two").found(lineOnPage)
	if len(lines) != 45 {
		t.Fatalf("%d lines", len(lines))
	}
	paper := func(n int) string { return strings.Join(lines[9*(n-1):9*n], "\n") }
	b.get("/ceremony")
	slip := strings.Replace(paper(1), lines[3], "0000"+lines[3][4:], 1)
	b.post("/ceremony/read", url.Values{"text": {slip}}).wants(400, "Line 4 is not as it was printed", lines[0])
	b.post("/ceremony/read", url.Values{"text": {strings.ToLower(paper(1))}}).wants(200, "Print 4 papers")
	// The second is photographed, the third sent as a file.
	share, err := identity.ParseShare(paper(2))
	must(t, err)
	code, err := tokens.QR(share.Code(), tokens.Small)
	must(t, err)
	b.send("/ceremony/read", "photo", code.PNG(6), nil).wants(200, "Print 3 papers")
	share, err = identity.ParseShare(paper(3))
	must(t, err)
	b.send("/ceremony/read", "photo", share.File(), nil).wants(200, "Print 2 papers")
	b.do("GET", "/ceremony/shares", "", nil).wants(200).lacks("Paper 1 of 5", lines[0])
	b.get("/ceremony").lacks("Take it off now")
	b.get("/ceremony").post("/ceremony/read", url.Values{"text": {paper(4)}}).wants(200, "Print 1 paper")
	b.post("/ceremony/read", url.Values{"text": {paper(5)}}).wants(200, "Take the main key off this box")
	b.post("/ceremony/finish", nil).wants(200, "on five papers and on no box").lacks("Practice data only")
	if box.vault.RootOnBox() {
		t.Fatal("the root is still here")
	}
	b.get("/").wants(200).lacks("Practice data only")
	newBrowser(t, s).get("/signin").wants(200).lacks("Practice data only")

	// The drill looks at one paper, the kit and the stick.
	kit, err := box.vault.Recovery()
	must(t, err)
	stick, err := box.vault.KeyStick()
	must(t, err)
	b.get("/drill").wants(200, "Not everything on this list was tried yet", "The recovery kit", "One of the five papers")
	b.post("/drill", url.Values{"what": {"kit"}, "words": {"wrong words"}}).wants(403, "do not open this box")
	b.get("/drill").post("/drill", url.Values{"what": {"kit"}, "words": {testPassphrase}}).wants(400, "another of its ways")
	b.get("/drill").post("/drill", url.Values{"what": {"kit"}, "words": {kit}}).wants(200, "Noted:</b> The recovery kit", "Amina")
	b.post("/drill", url.Values{"what": {"share"}, "text": {slip}}).wants(400, "Line 4")
	b.get("/drill").post("/drill", url.Values{"what": {"share"}, "text": {paper(5)}}).wants(200, "Noted:</b> One of the five papers")
	b.post("/drill", url.Values{"what": {"calls"}}).wants(200, "Noted:</b> Who is called")
	b.post("/drill", url.Values{"what": {"backup"}, "result": {"bad"}}).wants(200, "does not work")
	b.post("/drill", url.Values{"what": {"words"}, "words": {testPassphrase}}).wants(200)
	b.send("/drill", "file", stick.Text(), url.Values{"what": {"stick"}}).wants(200, "Noted:</b> The key stick")
	b.post("/drill", url.Values{"what": {"backup"}}).wants(200).lacks("pill bad", "not tried yet")
}

func TestASmallTeamsCeremonyOnPages(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Coordinator)
	b.get("/ceremony").post("/ceremony/begin", url.Values{"variant": {"small"}}).wants(200, "Print the sheet")
	words := b.get("/ceremony/sheet").wants(200, "Whoever finds this sheet").found(wordOnPage)
	if lines := b.found(lineOnPage); len(lines) != 4 || len(words) != 5 {
		t.Fatal(lines, words)
	}
	sheet, err := identity.ParseRootSheet([]byte(strings.Join(b.found(lineOnPage), "\n")))
	must(t, err)
	b.get("/ceremony").post("/ceremony/sheet-words", url.Values{"words": {"no such words"}}).wants(400, "not the words at the foot")
	b.post("/ceremony/sheet-words", url.Values{"words": {strings.Join(words, " ")}}).wants(200, "Take the main key off this box")
	b.post("/ceremony/finish", nil).wants(200, "on one sheet and on no box", "Hold it again")
	b.send("/ceremony/root", "photo", sheet.Text(), nil).wants(200, "It is still on this box")
	if !box.vault.RootOnBox() {
		t.Fatal("the root did not come back")
	}
}

func TestWhoHoldsTheCeremony(t *testing.T) {
	box, s := newPageServer(t)
	for _, role := range []staff.Role{staff.Registrar, staff.Caseworker, staff.Carrier} {
		signedInAs(t, box, s, "Somebody"+string(role), role).get("/ceremony").wants(403)
	}
	b := signedInAs(t, box, s, "Amina", staff.Lead)
	b.get("/ceremony").do("POST", "/ceremony/begin", "application/x-www-form-urlencoded", []byte("csrf=wrong&variant=full")).wants(403)
	b.get("/ceremony/install").wants(200, "This box can let others in.")
}
