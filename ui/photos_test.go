package ui

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
)

// picture of one colour, as a camera would send it.
func colouredPhoto(t *testing.T, w, h int, c color.Color) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, c)
		}
	}
	var out bytes.Buffer
	must(t, jpeg.Encode(&out, img, nil))
	return out.Bytes()
}

// sendPhoto fills in the form of a person's page as a browser without scripts does.
func (b *browser) sendPhoto(at string, fields url.Values, photo []byte) *browser {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name := range fields {
		must(b.t, w.WriteField(name, fields.Get(name)))
	}
	part, err := w.CreateFormFile("photo", "p.jpg")
	must(b.t, err)
	_, err = part.Write(photo)
	must(b.t, err)
	must(b.t, w.Close())
	return b.do("POST", at+"/photo", w.FormDataContentType(), body.Bytes())
}

// address of the picture on the page.
func (b *browser) face() string {
	b.t.Helper()
	_, rest, ok := strings.Cut(string(b.body), `<img class="face" src="`)
	if !ok {
		b.t.Fatalf("no photo on %s", b.path)
	}
	address, _, _ := strings.Cut(rest, `"`)
	return address
}

func TestAPhotoWithoutScripts(t *testing.T) {
	box, s := newPageServer(t)
	b := signedInAs(t, box, s, "Amina", staff.Registrar)
	at := onePerson(b, url.Values{"members.0.given_name": {"Rosa"}}).path
	b.get(at + "/photo").wants(404)
	b.get(at)
	form := b.fields(at + "/photo")
	b.sendPhoto(at, form, colouredPhoto(t, 1600, 1200, color.RGBA{200, 0, 0, 255})).wants(200, "Rosa", "Remove the photo")
	b.get(b.face())
	img, err := jpeg.Decode(bytes.NewReader(b.body))
	if err != nil || img.Bounds().Dx() != 1024 || img.Bounds().Dy() != 768 {
		t.Fatalf("%v %v", img, err)
	}
	// The other form of the same page was open elsewhere: both photos stand, and
	// somebody chooses.
	b.sendPhoto(at, form, colouredPhoto(t, 40, 30, color.RGBA{0, 0, 200, 255})).wants(200, "Photo: two versions")
	first := b.face()
	b.post(at+"/keep", nil).wants(200).lacks("two versions")
	if b.get(at); b.face() == "" || first == "" {
		t.Fatal("no photo is left")
	}
	b.sendPhoto(at, b.get(at).fields(at+"/photo"), []byte("no picture")).wants(415, "Problem:", "Take or choose a photo")
	b.sendPhoto(at, b.get(at).fields(at+"/photo"), make([]byte, registration.MaxPhotoBytes+1)).wants(413)
	fields := b.get(at).fields(at + "/photo")
	fields.Set("remove", "yes")
	b.do("POST", at+"/photo", "application/x-www-form-urlencoded", []byte(fields.Encode())).wants(200).lacks("Remove the photo", `class="face"`)

	// Who may not read people sees no photo, and nobody without the right adds one.
	b.sendPhoto(at, b.get(at).fields(at+"/photo"), colouredPhoto(t, 40, 30, color.White)).wants(200)
	info := signedInAs(t, box, s, "Ines", staff.Information)
	info.get(at + "/photo").wants(403)
	hand := signedInAs(t, box, s, "Hadi", staff.Coordinator)
	hand.get(at).wants(200, `class="face"`).lacks("Save the photo", "Remove the photo")
}

func TestUploadsByCall(t *testing.T) {
	r := newRig(t)
	key := r.key(staff.Registrar)
	const v1 = "/api/v1"
	var up, person struct{ ID, Photo string }
	photo := colouredPhoto(t, 300, 500, color.RGBA{0, 128, 0, 255})
	a := r.call(key, "POST", v1+"/uploads", string(photo), "Content-Type", "image/jpeg")
	if a.into(t, &up); a.status != 201 || up.ID == "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	body := `{"given_name":"Lu","photo":"` + up.ID + `"}`
	a = r.call(key, "POST", v1+"/people", body, "Idempotency-Key", "k1")
	if a.into(t, &person); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	// The same request again writes nothing and answers the same.
	if again := r.call(key, "POST", v1+"/people", body, "Idempotency-Key", "k1"); again.status != 201 || !bytes.Contains(again.body, []byte(person.ID)) {
		t.Fatalf("%d %s", again.status, again.body)
	}
	// A photo is one person's.
	if other := r.call(key, "POST", v1+"/people", `{"given_name":"Mo","photo":"`+up.ID+`"}`); other.status != 400 || other.problem(t).Fields["photo"] == "" {
		t.Fatalf("%d %s", other.status, other.body)
	}
	if r.call(key, "GET", v1+"/people/"+person.ID, "").into(t, &person); person.Photo != up.ID {
		t.Fatalf("photo %q", person.Photo)
	}
	a = r.call(key, "GET", v1+"/people/"+person.ID+"/photo", "")
	if a.status != 200 || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "image/jpeg" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	for _, bad := range []string{`{"photo":"0123456789abcdef0123456789abcdef"}`, `{"photo":"../keys"}`, `{"photo":7}`} {
		if a := r.call(key, "PATCH", v1+"/people/"+person.ID, bad); a.status != 400 || a.problem(t).Fields["photo"] == "" {
			t.Errorf("%s: %d %s", bad, a.status, a.body)
		}
	}
	// What was read can be sent back; null takes it away.
	if a := r.call(key, "PATCH", v1+"/people/"+person.ID, `{"photo":"`+up.ID+`","phone":"555 12"}`); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := r.call(key, "PATCH", v1+"/people/"+person.ID, `{"photo":null}`); a.status != 200 || bytes.Contains(a.body, []byte(up.ID)) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := r.call(key, "GET", v1+"/people/"+person.ID+"/photo", ""); a.status != 404 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if _, err := r.box.desks.Registration.Upload(context.Background(), staff.Actor{}, photo); err == nil {
		t.Error("nobody may upload")
	}
	if a := r.call(r.key(staff.Distributor), "POST", v1+"/uploads", string(photo), "Content-Type", "image/jpeg"); a.status != 403 {
		t.Errorf("%d", a.status)
	}
}
