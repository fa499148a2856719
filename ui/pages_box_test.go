package ui

import (
	"bytes"
	"context"
	"encoding/hex"
	"mime/multipart"
	"net/url"
	"slices"
	"testing"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// upload sends a file as a form without scripts does.
func (b *browser) upload(action, field, name string, content []byte) *browser {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreateFormFile(field, name)
	must(b.t, err)
	_, err = part.Write(content)
	must(b.t, err)
	must(b.t, w.Close())
	return b.do("POST", action, w.FormDataContentType(), body.Bytes())
}

func TestAnybodyWhoIsSignedInLocksTheBox(t *testing.T) {
	box, s := newPageServer(t)
	b, other := signedInAs(t, box, s, "Amina", staff.Distributor), signedInAs(t, box, s, "Bo", staff.Registrar)
	b.get("/").get("/lock").wants(200, "Lock this box now", "Everybody is signed out")
	if box.State() != stateOpen {
		t.Fatal("looking locked it")
	}
	b.post("/lock", nil).wants(200, "Open this box")
	if box.State() != stateLocked || b.cookies["waypost-8080"] != "" {
		t.Fatalf("%s, cookies %v", box.State(), b.cookies)
	}
	other.get("/people").wants(200, "Open this box").lacks("Sign out")
	other.do("POST", "/people", "application/x-www-form-urlencoded", []byte("members.0.given_name=X")).wants(423, "This box is locked")
}

func TestLockingNeedsTheForm(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Registrar)
	b.do("POST", "/lock", "application/x-www-form-urlencoded", []byte("csrf=wrong")).wants(403)
	newBrowser(t, s).do("POST", "/lock", "application/x-www-form-urlencoded", nil).wants(401)
	if box.State() != stateOpen {
		t.Fatal("locked all the same")
	}
}

// Locked before its words were written down, nobody would open it again.
func TestABoxWhoseWordsWaitIsNotLocked(t *testing.T) {
	box, s := newPageServer(t)
	box.set(stateNew)
	b := newBrowser(t, s)
	b.get("/?claim=" + testClaim).get("/start?claim=" + testClaim)
	b.post("/start", url.Values{"deployment": {"Coast"}, "site": {"North gate"}, "lead": {"Amina"}}).wants(200, "harbor")
	b.get("/lock").post("/lock", nil).wants(409, "not written down yet")
	if box.State() != stateOpen {
		t.Fatal("locked")
	}
	b.get("/words").post("/words", nil)
	b.get("/lock").post("/lock", nil).wants(200, "Open this box")
}

func TestWaysToOpenTheBox(t *testing.T) {
	box, s := newPageServer(t)
	signedInAs(t, box, s, "Bo", staff.Registrar).get("/box").wants(403)
	b := signedInAs(t, box, s, "Amina", staff.Lead)
	b.get("/box").wants(200, "The first five words", "The only one left")
	b.do("POST", "/box/remove", "application/x-www-form-urlencoded", []byte("kind=passphrase&csrf="+url.QueryEscape(b.fields("/box/add").Get("csrf")))).
		wants(409, "This is the last way")
	add := func(kind string) *browser { return b.get("/box").post("/box/add", url.Values{"kind": {kind}}) }
	add("recovery").wants(200, "Write down these words")
	if words := bytes.Count(b.body, []byte("<li>")); words < 10 {
		t.Fatalf("%d words", words)
	}
	b.get("/box").lacks("The only one left")
	add("king").wants(400)
	add("stick")
	file := slices.Clone(b.body)
	if k, err := identity.ParseKeyFile(file); err != nil || k.Node != box.vault.NodeID() {
		t.Fatalf("%v: %s", err, file)
	}
	b.get("/box").post("/box/remove", url.Values{"kind": {"recovery"}}).wants(200, "Key stick")
	if got := box.ways(); !slices.Equal(got, []string{"passphrase", "stick"}) {
		t.Fatal(got)
	}
	openByStick(t, box, newBrowser(t, s), file)
}

// openByStick opens a locked box with a file, by a form that needs no scripts.
func openByStick(t *testing.T, box *pageBox, b *browser, file []byte) {
	t.Helper()
	box.set(stateLocked)
	b.get("/").wants(200, "Open it with a key stick")
	b.upload("/unlock", "key", "x.wpkey", []byte("no key")).wants(400, "This is not a key file")
	b.upload("/unlock", "key", "", nil).wants(400, "file")
	b.upload("/unlock", "key", "x.wpkey", bytes.Repeat([]byte("x"), strangerLimit)).wants(413)
	other, err := box.vault.KeyStick()
	must(t, err)
	b.upload("/unlock", "key", "x.wpkey", other.Text()).wants(403, "This key file does not open this box").lacks(hex.EncodeToString(other.Key[:]))
	if box.State() != stateLocked {
		t.Fatal("opened")
	}
	b.upload("/unlock", "key", "x.wpkey", file).wants(200, "Sign in")
}

func TestWipingAsksForPassphraseAndWord(t *testing.T) {
	box, s := newPageServer(t)
	signedInAs(t, box, s, "Bo", staff.Registrar).get("/wipe").wants(403)
	b := signedInAs(t, box, s, "Amina", staff.Lead)
	b.get("/wipe").wants(200, "not allowed beforehand", "/box/emergency").lacks("Type the name")
	box.emergency.Mode = identity.EmergencyDestroy
	wipe := func(passphrase, word string) *browser {
		return b.get("/wipe").post("/wipe", url.Values{"passphrase": {passphrase}, "word": {word}})
	}
	b.get("/wipe").wants(200, "nobody can ever read", "North gate")
	wipe(testPassphrase, "yes").wants(400, "neither the name").lacks(testPassphrase)
	wipe("not this one", "wipe").wants(403)
	if box.State() != stateOpen || identity.Wiped(box.dir) {
		t.Fatal("wiped")
	}
	wipe(testPassphrase, "North gate").wants(200, "The keys are destroyed")
	if !identity.Wiped(box.dir) || b.cookies["waypost-8080"] != "" {
		t.Fatal("not wiped")
	}
}

// A command that was under way when the box was locked hears that, and not that
// something broke.
func TestALockInTheMiddleIsSaid(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Registrar)
	must(t, r.box.log.Close())
	if p := r.call(key, "POST", "/api/v1/people", `{"given_name":"Omar"}`).problem(t); p.Key != "fault.oplog.closed" || p.Status != 503 {
		t.Fatalf("open: %+v", p)
	}
	v := &visit{s: r.s}
	if v.desks() == nil {
		t.Fatal("no desks")
	}
	must(t, r.box.Lock(context.Background()))
	if v.desks() == nil {
		t.Fatal("a visit lost its desks")
	}
	err := r.box.log.Do(t.Context(), staff.ID{1}, func(*oplog.Tx) error { return nil })
	if f, status := v.asFault(err); f.Key != "fault.identity.closed" || status != 423 {
		t.Fatalf("%v %d", f, status)
	}
}
