package ui

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

// carryBox is what a test box carries.
type carryBox struct {
	order       control.BundleOrder
	read        string
	removed     bool
	took        []byte
	carrying    control.Bundle
	carryFailed error
}

const (
	testStick = "/media/stick"
	testFile  = "/media/stick/data-7f3a91.bin"
)

func (b *carryBox) WriteBundle(_ context.Context, a staff.Actor, o control.BundleOrder) error {
	b.order = o
	return a.Must(staff.SeeMesh)
}

func (b *carryBox) ReadBundle(_ context.Context, a staff.Actor, file string, remove bool) error {
	b.read, b.removed = file, remove
	b.carrying.Number++
	return a.Must(staff.SeeMesh)
}

func (b *carryBox) TakeBundle(_ context.Context, a staff.Actor, sent io.Reader, _ int64) (string, error) {
	var err error
	if b.took, err = io.ReadAll(sent); err != nil && len(b.took) == 0 { // what came is kept
		return "", fault.New(fault.Invalid, "fault.bundle.empty").Wrap(err)
	}
	return "/data/bundles/taken.part", a.Must(staff.SeeMesh)
}

func (b *carryBox) Bundle(_ context.Context, a staff.Actor, o control.BundleOrder) (string, func(context.Context, io.Writer) error, error) {
	b.order = o
	if o.For == "9" {
		return "", nil, fault.New(fault.NotFound, "fault.identity.no_such_node")
	}
	return "data-7f3a91.bin", func(_ context.Context, w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(bytes.Repeat([]byte("x"), 300_000)))
		return err
	}, a.Must(staff.SeeMesh)
}

func (b *carryBox) BundleState(context.Context) (control.Bundle, error) {
	return b.carrying, b.carryFailed
}
func (b *carryBox) StopBundle(_ context.Context, a staff.Actor) error { return a.Must(staff.SeeMesh) }
func (b *carryBox) BundlePlaces() []control.BackupPlace {
	return []control.BackupPlace{{Folder: testStick, File: testStick, Free: 8 << 30}}
}
func (b *carryBox) BundleFiles() []control.BundleFile {
	return []control.BundleFile{{File: testFile, Bytes: 262_872}}
}

// Files go onto sticks that were offered and come from files that were offered: a page must
// not read and write where the command line may.
func TestRecordsAreCarriedWhereItWasOffered(t *testing.T) {
	r := newRig(t)
	rosa := r.session("rosa", staff.Registrar)
	if a := r.page(rosa, "POST", "/carry/take", url.Values{"for": {"any"}, "where": {"/etc"}}); a.status != 404 || r.box.order.File != "" {
		t.Fatalf("%d into %q", a.status, r.box.order.File)
	}
	if a := r.page(rosa, "POST", "/carry/take", url.Values{"for": {"2"}, "where": {testStick}, "bare": {"yes"}}); a.status != 303 || r.box.order != (control.BundleOrder{File: testStick, For: "2", Bare: true}) {
		t.Fatalf("%d %+v", a.status, r.box.order)
	}
	if a := r.page(rosa, "POST", "/carry/stick", url.Values{"file": {"/etc/passwd"}}); a.status != 404 || r.box.read != "" {
		t.Fatalf("%d from %q", a.status, r.box.read)
	}
	if a := r.page(rosa, "POST", "/carry/stick", url.Values{"file": {testFile}}); a.status != 303 || r.box.read != testFile || r.box.removed {
		t.Fatalf("%d from %q", a.status, r.box.read)
	}
	for _, role := range []staff.Role{staff.Distributor, staff.Medical, staff.Information} {
		s := r.session(string(role), role)
		if a := r.page(s, "GET", "/carry", nil); a.status != 403 {
			t.Errorf("%s: %d", role, a.status)
		}
	}
	if a := r.page(r.session("cora", staff.Carrier), "GET", "/carry", nil); a.status != 200 {
		t.Errorf("a carrier may not carry: %d", a.status)
	}
}

func TestAFileGoesToAPhone(t *testing.T) {
	r := newRig(t)
	rosa := r.session("rosa", staff.Registrar)
	for range maxSent + 2 {
		a := r.page(rosa, "POST", "/carry/take", url.Values{"for": {"any"}, "where": {"phone"}})
		if a.status != 200 || len(a.body) != 300_000 || a.header.Get("Content-Disposition") != "attachment; filename=data-7f3a91.bin" {
			t.Fatalf("%d, %d bytes, %v", a.status, len(a.body), a.header)
		}
	}
	if a := r.page(rosa, "POST", "/carry/take", url.Values{"for": {"9"}, "where": {"phone"}}); a.status != 404 || !strings.Contains(string(a.body), "No post with this id") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if n := r.s.sent.Load(); n != 0 {
		t.Fatalf("%d are still being sent", n)
	}
}

// bring sends a form with a file; the token comes first, as the page has it.
func (r *rig) bring(s staff.Session, csrf string, size int) answer {
	r.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	if csrf != "" {
		must(r.t, w.WriteField("csrf", csrf))
	}
	if size >= 0 {
		f, err := w.CreateFormFile("file", "data-7f3a91.bin")
		must(r.t, err)
		_, err = f.Write(bytes.Repeat([]byte{7}, size))
		must(r.t, err)
	}
	if csrf == "" {
		must(r.t, w.WriteField("csrf", s.CSRF)) // too late
	}
	must(r.t, w.Close())
	return r.ask(Network, "POST", "/carry/bring", body.String(), "Host", "localhost", "Cookie", "__Host-waypost="+s.Token, "Content-Type", w.FormDataContentType())
}

func TestAFileComesFromAPhone(t *testing.T) {
	r := newRig(t)
	rosa := r.session("rosa", staff.Registrar)
	if a := r.bring(rosa, rosa.CSRF, 5<<20); a.status != 303 || len(r.box.took) != 5<<20 || r.box.read != "/data/bundles/taken.part" || !r.box.removed {
		t.Fatalf("%d, %d bytes, %q", a.status, len(r.box.took), r.box.read)
	}
	r.box.took, r.box.read = nil, ""
	if a := r.bring(rosa, "another token", 10); a.status != 403 || r.box.took != nil {
		t.Fatalf("with a wrong token: %d", a.status)
	}
	if a := r.bring(rosa, "", 10); a.status != 403 || r.box.took != nil {
		t.Fatalf("without a token: %d", a.status)
	}
	if a := r.bring(rosa, rosa.CSRF, -1); a.status != 400 || r.box.took != nil {
		t.Fatalf("without a file: %d", a.status)
	}
	if a := r.bring(rosa, strings.Repeat("x", 4000), 10); a.status != 400 || r.box.took != nil {
		t.Fatalf("with a long token: %d", a.status)
	}
	if a := r.page(rosa, "POST", "/carry/bring", url.Values{"file": {"x"}}); a.status != 400 || r.box.took != nil {
		t.Fatalf("no form with a file: %d", a.status)
	}
	if a := r.bring(r.session("dora", staff.Distributor), "x", 10); a.status != 403 || r.box.took != nil {
		t.Fatalf("a distributor: %d", a.status)
	}
}

func TestThePageSaysHowFarItIs(t *testing.T) {
	r := newRig(t)
	rosa := r.session("rosa", staff.Registrar)
	r.box.carrying = control.Bundle{Running: true, Step: "reading", Done: 1, Total: 2}
	if a := r.page(rosa, "GET", "/carry", nil); a.status != 200 || a.header.Get("Refresh") == "" || !strings.Contains(string(a.body), "50 %") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	r.box.carrying = control.Bundle{Read: &control.BundleRead{From: "x", Number: 2, Ops: 80, OpsOf: 120, New: 70, People: 31}}
	r.box.carryFailed = fault.New(fault.Invalid, "fault.bundle.cut", "Read", 80, "Of", 120)
	a := r.page(rosa, "GET", "/carry", nil)
	for _, want := range []string{"the first 80 of 120 records were read", "Copy the file again", "31"} {
		if !strings.Contains(string(a.body), want) {
			t.Errorf("%q is not said: %s", want, a.body)
		}
	}
}

// The phone was carried away in the middle: nobody is there to be answered. Whoever opens
// the page afterwards reads what to do, and bringing the file again is all it takes.
func TestAFileThatBreaksOffIsAskedForAgain(t *testing.T) {
	r := newRig(t)
	rosa := r.session("rosa", staff.Registrar)
	said := func() bool {
		return strings.Contains(string(r.page(rosa, "GET", "/carry", nil).body), "did not arrive whole")
	}
	for name, size := range map[string]int{"in the middle": 1 << 20, "at once": 0} {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		must(t, w.WriteField("csrf", rosa.CSRF))
		f, err := w.CreateFormFile("file", "data-7f3a91.bin")
		must(t, err)
		_, err = f.Write(bytes.Repeat([]byte{7}, size))
		must(t, err) // and no end of the form
		r.ask(Network, "POST", "/carry/bring", body.String(), "Host", "localhost", "Cookie", "__Host-waypost="+rosa.Token, "Content-Type", w.FormDataContentType())
		if len(r.box.took) < size/2 {
			t.Errorf("%s: of %d bytes %d were kept", name, size, len(r.box.took))
		}
		if !said() || !said() {
			t.Errorf("%s: the page does not say that it broke off", name)
		}
		if a := r.bring(rosa, rosa.CSRF, 1000); a.status != 303 || said() {
			t.Errorf("%s: brought again: %d, still said: %v", name, a.status, said())
		}
	}
	if a := r.bring(rosa, rosa.CSRF, 0); a.status != 303 || said() {
		t.Errorf("an empty file is no broken connection: %d", a.status)
	}
	r.box.carrying.Written = &control.BundleWritten{For: "2"}
	if a := r.page(rosa, "GET", "/carry", nil); !strings.Contains(string(a.body), "that post lacks nothing") {
		t.Errorf("an empty file for a post is not explained: %s", a.body)
	}
}

// What failed before is not said again beside what fails now.
func TestOneFailureAtATime(t *testing.T) {
	r := newRig(t)
	rosa := r.session("rosa", staff.Registrar)
	r.box.carryFailed = fault.New(fault.Invalid, "fault.bundle.not_ours")
	if a := r.page(rosa, "POST", "/carry/stick", url.Values{"file": {"/gone"}}); !strings.Contains(string(a.body), "is not there any more") || strings.Contains(string(a.body), "cannot open this file") {
		t.Errorf("%s", a.body)
	}
}
