package ui

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/fault"
)

// A browser runs a service worker only from a site whose certificate it trusts; not behind a
// warning that somebody clicked through. That is how a box knows which phones have its
// certificate: words are typed, and sealed files are shown, only where a worker of this box
// has run.
//
//	page    POST /phone/rung            the box gives the browser a random id in a cookie
//	page    register('/sw.js')          the browser fetches the script, and says that it is
//	                                    a worker's; so only then a secret stands in it
//	worker  POST /phone/proof secret    it was run: the box gives the proof in a cookie
//
// The secret is HMAC(key of this start, id), the proof the same over id and time, so nothing
// is kept for each browser and nobody can fill the memory or push somebody out. Behind a
// clicked-through warning the browser fetches the script too, and throws it away (proven in
// ui/browser). The box asks again after proofLife, and after each start.
//
// It guards against a habit: people who click warnings away would do so for whoever stands
// between them and the box too. It is no guard against a page that was tampered with, or
// against a program that says what browsers say.

// Cookies of a browser. Both are of this host alone and end with the browser.
const (
	browserCookie = "rung"  // which browser: 32 random bytes
	proofCookie   = "proof" // that a worker has run in it: until when, and the box's word for it
)

// proofLife is how long the proof counts: a long shift.
const proofLife = 12 * time.Hour

// rungs vouches for browsers. Its key lives as long as the process.
type rungs struct{ key [32]byte }

func newRungs() *rungs {
	r := &rungs{}
	_, _ = rand.Read(r.key[:])
	return r
}

func (r *rungs) mac(what, browser, more string) string {
	h := hmac.New(sha256.New, r.key[:])
	h.Write([]byte(what + "\x00" + browser + "\x00" + more))
	return hex.EncodeToString(h.Sum(nil))
}

// secret is what stands in the worker's script of a browser.
func (r *rungs) secret(browser string) string { return r.mac("worker", browser, "") }

// proof is the cookie that says a worker has run, until proofLife from now.
func (r *rungs) proof(browser string, now time.Time) string {
	until := strconv.FormatInt(now.Add(proofLife).Unix(), 10)
	return until + "." + r.mac("proof", browser, until)
}

// proven reads that cookie. A clock that was set back does not make it last longer.
func (r *rungs) proven(browser, proof string, now time.Time) bool {
	text, mac, _ := strings.Cut(proof, ".")
	until, err := strconv.ParseInt(text, 10, 64)
	if err != nil || !isBrowser(browser) || !hmac.Equal([]byte(mac), []byte(r.mac("proof", browser, text))) {
		return false
	}
	left := time.Unix(until, 0).Sub(now)
	return left > 0 && left <= proofLife
}

// isBrowser reports whether a cookie is one we gave.
func isBrowser(id string) bool {
	b, err := base64.RawURLEncoding.DecodeString(id)
	return err == nil && len(b) == 32
}

// rungCookie is the full name of one of the cookies; see sessionCookie.
func (v *visit) rungCookie(name string) string { return v.sessionCookie() + "-" + name }

// onRung reports whether this browser has shown that it trusts the box. A browser on the
// box itself need not.
func (v *visit) onRung() bool {
	switch v.surface {
	case Loopback, Control:
		return true
	case Public:
		return false
	}
	return v.s.rungs.proven(v.cookie(v.rungCookie(browserCookie)), v.cookie(v.rungCookie(proofCookie)), v.s.config.Clock.Now())
}

// rungFits refuses what may only be done from a browser that trusts the box: sending words
// that open it, the papers of the ceremony, and everything of the narrow desks. A program with a key is no browser; the
// first run is before anybody could have installed anything.
func (v *visit) rungFits() error {
	needed := v.route.narrow || v.route.trusts || v.route.policy.who == opener && v.route.unsafe()
	if !needed || v.key != "" || v.onRung() {
		return nil
	}
	return fault.New(fault.Denied, rungFault)
}

const rungFault = "fault.ui.rung"

// startRung gives the browser its id. An id that it has already stays, so that its worker
// need not be fetched anew.
func (v *visit) startRung() error {
	if v.secure() && !isBrowser(v.cookie(v.rungCookie(browserCookie))) {
		id := make([]byte, 32)
		_, _ = rand.Read(id)
		v.setCookie(v.rungCookie(browserCookie), base64.RawURLEncoding.EncodeToString(id), 0)
	}
	return v.c.SendStatus(fiber.StatusNoContent)
}

// proveRung takes the secret from the worker.
func (v *visit) proveRung() error {
	browser := v.cookie(v.rungCookie(browserCookie))
	if !v.secure() || !isBrowser(browser) || !hmac.Equal([]byte(v.form("secret")), []byte(v.s.rungs.secret(browser))) {
		return fault.New(fault.Denied, rungFault)
	}
	v.setCookie(v.rungCookie(proofCookie), v.s.rungs.proof(browser, v.s.config.Clock.Now()), 0)
	return v.c.SendStatus(fiber.StatusNoContent)
}

// forgetRung takes everything of this box off the phone, as far as a box can: the worker,
// what it keeps, cookies with the session. The installed certificate only its person can
// remove.
func (v *visit) forgetRung() error {
	v.signOut()
	v.dropCookie(v.rungCookie(browserCookie))
	v.dropCookie(v.rungCookie(proofCookie))
	v.clearSiteData("cache", "storage")
	return v.redirect("/phone")
}

// clearSiteData makes the browser drop what it keeps of this box (W3C Clear Site Data).
// Browsers do it on encrypted connections they trust.
func (v *visit) clearSiteData(what ...string) {
	if v.secure() {
		v.c.Set("Clear-Site-Data", `"`+strings.Join(what, `", "`)+`"`)
	}
}

//go:embed static/worker.js
var workerSource string

// workerScript is the service worker with what it keeps filled in. Its bytes, and the name
// of what it keeps, change exactly when a file of the shell does, or the secret.
func (p *pages) workerScript(secret string) string {
	keep := []string{offlinePath}
	sum := sha256.New()
	for _, a := range p.assets {
		keep = append(keep, a.url)
	}
	slices.Sort(keep)
	for _, url := range keep {
		sum.Write([]byte(url + "\n"))
	}
	sum.Write([]byte(workerSource))
	return strings.NewReplacer(
		"'%SHELL%'", literal("shell-"+hex.EncodeToString(sum.Sum(nil)[:6])), "'%KEEP%'", literal(keep),
		"'%OFFLINE%'", literal(offlinePath), "'%SECRET%'", literal(secret),
	).Replace(workerSource)
}

func literal(value any) string {
	b, err := json.Marshal(value)
	if err != nil { // strings always encode
		return "''"
	}
	return string(b)
}

// offlinePath is the page that the worker shows when the box does not answer.
const offlinePath = "/phone/offline"

// worker serves GET /sw.js. The secret goes to the browser's own fetch of a worker's script
// alone. "Service-Worker: script" is what browsers have always sent with it (Service Workers,
// section 4.1); newer ones add Sec-Fetch-Dest, which no script of a page can set.
func (v *visit) worker() error {
	secret, browser := "", v.cookie(v.rungCookie(browserCookie))
	dest := v.c.Get("Sec-Fetch-Dest")
	if v.secure() && isBrowser(browser) && v.c.Get("Service-Worker") == "script" && (dest == "" || dest == "serviceworker") {
		secret = v.s.rungs.secret(browser)
	}
	v.c.Set(fiber.HeaderContentType, assetTypes[".mjs"])
	v.c.Set(fiber.HeaderCacheControl, "no-store")
	script := []byte(v.s.pages.workerScript(secret))
	if takesGzip(v.c.Get(fiber.HeaderAcceptEncoding)) { // browsers look for a new one after every page
		v.c.Set(fiber.HeaderContentEncoding, "gzip")
		script = v.s.pages.squeeze(script)
	}
	return v.c.Send(script)
}

// rungLine says at the foot of a page on which rung a phone is; nil on the box itself.
type rungLine struct {
	Now    int  // 0 plain, 1 encrypted, 2 its certificate is installed, 3 a public one
	Proven bool // a worker has run in this browser
}

// Script reports whether the page may try the next rung.
func (r *rungLine) Script() bool { return r.Now > 0 }

// Gated tells whether what needs a browser that trusts the box cannot be done from this one.
func (w *view) Gated() bool { return w.Rung != nil && !w.Rung.Proven }

// RungNow is the line at the foot of a page.
func (w *view) RungNow() string { return w.T("rung." + strconv.Itoa(w.Rung.Now)) }

func (v *visit) rungLine() *rungLine {
	switch {
	case v.surface == Public:
		return &rungLine{}
	case v.surface != Network:
		return nil
	}
	r := &rungLine{Now: 1, Proven: v.onRung()}
	switch {
	case v.s.publicName(hostOf(string(v.c.Request().Host()))):
		r.Now = 3
	case r.Proven:
		r.Now = 2
	}
	return r
}
