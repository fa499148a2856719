package browser

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// thumb gives the browser an authenticator that verifies whoever is there, as a phone with a
// fingerprint does.
func thumb(id *webauthn.AuthenticatorID) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		if err := webauthn.Enable().Do(ctx); err != nil {
			return err
		}
		made, err := webauthn.AddVirtualAuthenticator(&webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		}).Do(ctx)
		*id = made
		return err
	})
}

// TestBrowserAPasskeyBringsBackTheField: a phone that trusts the box sets a passkey up under
// the box's name. The page closes over a half-typed form, the thumb opens it, and the cursor is
// where it was. At the box's address there is no passkey, and the page says so.
func TestBrowserAPasskeyBringsBackTheField(t *testing.T) {
	needsChromium(t)
	b := openedBox(t, "North gate")
	at, err := url.Parse(b.https)
	if err != nil {
		t.Fatal(err)
	}
	named := "https://waypost.internal:" + at.Port()
	ctx, seen := phone(t, []string{named, b.https}, chromedp.Env("HOME="+trustingHome(t, b.carried(t))),
		chromedp.Flag("host-resolver-rules", "MAP waypost.internal 127.0.0.1,MAP *.waypost.internal 127.0.0.1"))
	var finger webauthn.AuthenticatorID
	run(t, ctx, "its own clock and a thumb", chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(hurry).Do(ctx)
		return err
	}), thumb(&finger))
	run(t, ctx, "signing in", signIn(named))
	until(t, ctx, "the box knows that it is trusted", `!!document.querySelector('[data-rung][data-proven]')`)
	began := time.Now()
	run(t, ctx, "a passkey", see(named+"/me", `form[action="/me/passkey"] button.main`))
	shot(t, ctx, "passkey-me")
	run(t, ctx, "the thumb", press(`form[action="/me/passkey"] button.main`, ".box.good"))
	t.Logf("setting it up took %v", time.Since(began).Round(time.Millisecond))
	if text := read(t, ctx, "#passkeys"); !strings.Contains(text, "Take this passkey away") {
		t.Fatalf("the page says %q", text)
	}
	run(t, ctx, "half a family", see(named+"/people/new", `[name="members.0.given_name"]`), write(`[name="family_name"]`, "محمدي"), write(`[name="members.0.given_name"]`, "Mary"),
		chromedp.Focus(`[name="members.0.given_name"]`, chromedp.ByQuery), chromedp.Evaluate(`wait(20 * 60 + 2)`, nil), chromedp.WaitVisible(`form[action="/wake/passkey"] button.main`, chromedp.ByQuery))
	if text := read(t, ctx, "main"); strings.Contains(text, "Mary") || !strings.Contains(text, "What you typed is kept") {
		t.Fatalf("the page says %q", text)
	}
	shot(t, ctx, "passkey-wake")
	seen.forget()
	began = time.Now()
	run(t, ctx, "somebody else's thumb", webauthn.SetUserVerified(finger, false), press(`form[action="/wake/passkey"] button.main`, `[data-passkey-says]:not([hidden])`))
	run(t, ctx, "the thumb", webauthn.SetUserVerified(finger, true), press(`form[action="/wake/passkey"] button.main`, `[name="members.0.given_name"]`))
	t.Logf("waking by it took %v, with a wrong thumb before", time.Since(began).Round(time.Millisecond))
	until(t, ctx, "the same field", `document.activeElement.name === 'members.0.given_name' && document.activeElement.value === 'Mary' && document.querySelector('[name="family_name"]').value === 'محمدي'`)
	run(t, ctx, "taking it away", see(named+"/me", `form[action="/me/passkey/remove"] button`), press(`form[action="/me/passkey/remove"] button`, `#passkeys:not(:has(li))`))
	run(t, ctx, "in Arabic", see(named+"/lang/ar?to=%2Fme", `html[dir="rtl"] #passkeys`))
	shot(t, ctx, "passkey-me-ar")
	seen.quiet(t, "passkeys")
	run(t, ctx, "at its address", signIn(b.https), see(b.https+"/me", "#passkeys"))
	if text := read(t, ctx, "#passkeys"); !strings.Contains(text, named) || strings.Contains(text, "Set up a passkey") {
		t.Errorf("at an address the page says %q", text)
	}
	shot(t, ctx, "passkey-elsewhere")
	seen.check(t)
}
