package browser

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// TestBrowserReadsCards: a printed card comes back as a photo, from a hand scanner
// and before a camera, and each time it is genuine.
func TestBrowserReadsCards(t *testing.T) {
	needsChromium(t)
	dir := t.TempDir()
	reel := filepath.Join(dir, "camera.y4m") // Chromium opens it when the camera starts
	b := openedBox(t, "North gate")
	ctx, seen := phone(t, []string{b.http}, chromedp.Flag("use-fake-device-for-media-stream", true),
		chromedp.Flag("use-fake-ui-for-media-stream", true), chromedp.Flag("use-file-for-fake-video-capture", reel))
	run(t, ctx, "signing in", signIn(b.http))
	card := printed(t, ctx, b)
	text := strings.TrimSpace(waypost(t, "token", "read", keep(t, filepath.Join(dir, "card.png"), card)))
	if !strings.HasPrefix(text, "WP1:") {
		t.Fatalf("the card says %q", text)
	}
	t.Run("photo", func(t *testing.T) { readsPhotos(t, ctx, seen, b, dir, card) })
	t.Run("scanner", func(t *testing.T) { readsScans(t, ctx, b, text) })
	seen.quiet(t, "reading cards")
	t.Run("camera", func(t *testing.T) {
		film(t, reel, handheld{width: 640, height: 480, degrees: 5, scale: 1.0, noise: 6}.photo(opened(t, card)))
		readsByCamera(t, ctx, seen, b, dir)
	})
	seen.check(t)
	seen.quiet(t, "the camera")
}

// printed registers somebody and gives a picture of their card.
func printed(t *testing.T, ctx context.Context, b box) []byte {
	t.Helper()
	var png []byte
	run(t, ctx, "somebody with a card", register(b.http, "Rosa", "Ixchel"), press(`form[action$="/card"] button`, ".cr80"))
	shot(t, ctx, "card")
	run(t, ctx, "the card", chromedp.Screenshot(".cr80", &png, chromedp.ByQuery))
	return png
}

func keep(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readsPhotos(t *testing.T, ctx context.Context, seen *traffic, b box, dir string, card []byte) {
	whole := opened(t, card)
	blank := image.NewGray(image.Rect(0, 0, 320, 240))
	for i, c := range []struct {
		name, file string
		data       []byte
		genuine    bool
	}{
		{"as printed", "card.png", card, true},
		{"by hand", "hand.jpg", asJPEG(t, handheld{width: 1200, height: 900, degrees: -8, scale: 1.4, noise: 18}.photo(whole)), true},
		{"upside down", "down.jpg", asJPEG(t, handheld{width: 1000, height: 1000, degrees: 171, scale: 1.2, noise: 12}.photo(whole)), true},
		{"no photo at all", "noise.jpg", bytes.Repeat([]byte{0xff, 0xd8, 3, 1, 4, 1, 5}, 900), false},
		{"a table", "table.jpg", asJPEG(t, handheld{width: 800, height: 600, scale: 1, noise: 30}.photo(blank)), false},
	} {
		path := keep(t, filepath.Join(dir, fmt.Sprintf("%d-%s", i, c.file)), c.data)
		end := "#problem"
		if c.genuine {
			end = ".verdict.good"
		}
		run(t, ctx, c.name, see(b.http+"/verify", "#f-photo"), chromedp.SetUploadFiles("#f-photo", []string{path}, chromedp.ByQuery), chromedp.WaitVisible(end, chromedp.ByQuery))
		shot(t, ctx, "photo-"+strings.ReplaceAll(c.name, " ", "-"))
		said := read(t, ctx, end)
		if strings.Contains(said, "fault.") || len(strings.Fields(said)) < 2 {
			t.Errorf("%s: the page says %q", c.name, said)
		}
		if !c.genuine {
			seen.forget() // the refusal itself
			continue
		}
		seen.quiet(t, c.name)
		if main := read(t, ctx, "main"); !strings.Contains(main, "Rosa") {
			t.Errorf("%s: genuine, but of nobody: %q", c.name, main)
		}
	}
}

// readsScans: a hand scanner is a quick keyboard. It may type into the field, or
// anywhere when somebody touched the page before.
func readsScans(t *testing.T, ctx context.Context, b box, text string) {
	run(t, ctx, "into the field", see(b.http+"/verify", "#f-text"))
	until(t, ctx, "the field waits for the scanner", `document.activeElement.id === 'f-text'`)
	run(t, ctx, "scanning", chromedp.KeyEvent(text+"\r"), chromedp.WaitVisible(".verdict.good", chromedp.ByQuery))
	// All keys at once: what a driver does between two of them is not the page's to judge.
	scan := fmt.Sprintf(`document.activeElement.blur(); for (const key of [...%q, 'Enter']) document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true })); 1`, text)
	run(t, ctx, "next card", see(b.http+"/verify", "#f-text"), chromedp.WaitReady(`form[data-photo]`, chromedp.ByQuery))
	until(t, ctx, "the script runs", `document.activeElement.id === 'f-text'`)
	run(t, ctx, "anywhere on the page", chromedp.Evaluate(scan, nil), chromedp.WaitVisible(".verdict.good", chromedp.ByQuery))
	shot(t, ctx, "genuine")
}

// detector stands in for the BarcodeDetector of phones, which Chromium has on Android
// and not on Linux: each look goes out to this test, and the node's own reader reads it.
const detector = `window.BarcodeDetector = class {
  static async getSupportedFormats() { return ['qr_code']; }
  async detect(eye) {
    const c = document.createElement('canvas');
    c.width = eye.videoWidth; c.height = eye.videoHeight;
    c.getContext('2d').drawImage(eye, 0, 0);
    return new Promise((done) => {
      window.readFrame = (rawValue) => done(rawValue ? [{ rawValue }] : []);
      window.look(c.toDataURL('image/png'));
    });
  }
};`

func readsByCamera(t *testing.T, ctx context.Context, seen *traffic, b box, dir string) {
	var own bool
	run(t, ctx, "a browser without a detector", see(b.http+"/verify", "#f-photo"), chromedp.Evaluate(`'BarcodeDetector' in window`, &own))
	if !own {
		run(t, ctx, "the box looks", press("[data-camera]", ".verdict.good"))
		seen.forget() // the pictures without a card
	}
	bin := program(t)
	chromedp.ListenTarget(ctx, func(ev any) {
		if e, ok := ev.(*runtime.EventBindingCalled); ok && e.Name == "look" {
			go answer(ctx, bin, filepath.Join(dir, "frame.png"), e.Payload)
		}
	})
	run(t, ctx, "a phone with a detector", runtime.AddBinding("look"), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(detector).Do(ctx)
		return err
	}))
	run(t, ctx, "the camera", see(b.http+"/verify", "[data-camera]"))
	shot(t, ctx, "camera-offered")
	run(t, ctx, "scanning", press("[data-camera]", ".verdict.good"))
	if main := read(t, ctx, "main"); !strings.Contains(main, "Rosa") {
		t.Errorf("genuine, but of nobody: %q", main)
	}
}

// answer reads one look of the camera and tells the page; an empty text is "nothing yet".
func answer(ctx context.Context, bin, path, url string) {
	text := ""
	_, data, _ := strings.Cut(url, ",")
	if raw, err := base64.StdEncoding.DecodeString(data); err == nil && os.WriteFile(path, raw, 0o600) == nil {
		if out, err := exec.CommandContext(ctx, bin, "token", "read", path).Output(); err == nil {
			text = strings.TrimSpace(string(out))
		}
	}
	// The page may be gone already: then nobody waits for the answer.
	_ = chromedp.Run(ctx, chromedp.Evaluate(fmt.Sprintf(`window.readFrame(%q)`, text), nil))
}
