package ui

import (
	"bytes"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/tokens"
)

// An invitation is read off the other box's page by a photo: nobody types a hundred signs.
// The photo is looked at for whoever has the claim, and what was typed besides stays.
func TestAnInvitationIsReadOffAPhoto(t *testing.T) {
	box, s := newPageServer(t)
	box.set(stateNew)
	b := newBrowser(t, s)
	code := "WPI1" + strings.Repeat("QSAW6MJSG4XDALRQFYYT", 5)
	join := func(claim, typed string, photo []byte) *browser {
		b.get("/join?claim=" + testClaim)
		once := b.fields("/join").Get("once")
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for name, value := range map[string]string{"claim": claim, "once": once, "code": typed, "site": "Harbour", "lead": "Bo"} {
			must(t, w.WriteField(name, value))
		}
		part, err := w.CreateFormFile("photo", "code.png")
		must(t, err)
		_, err = part.Write(photo)
		must(t, err)
		must(t, w.Close())
		return b.do("POST", "/join", w.FormDataContentType(), body.Bytes())
	}
	picture := tokens.PNG(code, 6)
	join(testClaim, "", []byte("no picture")).wants(415, `value="Harbour"`)
	join("0000-0000", "", picture).lacks("Now compare")
	join(testClaim, "", nil).wants(400, `value="Harbour"`)
	if len(box.started) != 0 {
		t.Fatalf("joined with %v", box.started)
	}
	join(testClaim, "", picture).wants(200, "Now compare")
	if j, _ := box.started[0].(JoinSite); j.Code != code {
		t.Fatalf("joined with %v", box.started)
	}
}
