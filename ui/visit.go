package ui

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
	"golang.org/x/text/unicode/norm"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/station"
	"github.com/waypost/waypost/ui/locale"
)

// visit is one request, read once at the boundary: whatever leaves it is a copy,
// so no handler can hold on to memory that the next request overwrites. A visit
// ends when its handler returns; nothing of it goes into a goroutine.
type visit struct {
	c       *fiber.Ctx
	s       *Server
	actor   staff.Actor      // nobody, unless the policy asked for somebody
	session *staff.Session   // nil without a page session
	resting *staff.Resting   // whose session has to be woken first; nil when none has
	refused *fault.Error     // why a form was shown again; nil when none was
	found   *station.Station // see desks
	lang    locale.Language
	surface Surface
	route   *route // nil when there is none

	key    string              // the bearer key, to look again during a stream
	body   []byte              // what was sent, once readBody ran
	fields map[string][]string // of a form
	files  map[string][]byte   // of a multipart form
	large  func()              // gives back the place of a large body; nil without one
	long   func()              // … and that of one above strangerLimit
	middle func()              // … and that of one above shortBody
	room   *[]byte             // memory that body lies in and others use after it; nil when it has its own
}

// visitKey is where Fiber keeps the visit of a request.
const visitKey = "waypost.visit"

// visit is the visit of a request; made on first use, so also for a request so
// broken that no middleware saw it.
func (s *Server) visit(c *fiber.Ctx, surface Surface) *visit {
	if v, ok := c.Locals(visitKey).(*visit); ok {
		return v
	}
	if surface == Loopback && (!fromHere(c) || proxied(c)) {
		surface = Public
	}
	v := &visit{c: c, s: s, surface: surface}
	v.lang = s.config.Catalog.For(v.languages()...)
	c.Locals(visitKey, v)
	return v
}

// fromHere tells whether a request comes from this machine. The unspecified
// address is what a connection inside the process has; nobody can connect from it
// over a network.
func fromHere(c *fiber.Ctx) bool {
	ip := c.Context().RemoteIP()
	return ip.IsLoopback() || ip.IsUnspecified()
}

// proxied tells whether a request came through something that passes requests on.
// Then it may come from anywhere, although the connection is from this machine. What
// such a header says is not believed, only that it is there.
func proxied(c *fiber.Ctx) (found bool) {
	c.Request().Header.VisitAll(func(name, _ []byte) {
		switch n := strings.ToLower(string(name)); {
		case strings.HasPrefix(n, "x-forwarded-"), n == "forwarded", n == "via", n == "x-real-ip":
			found = true
		}
	})
	return found
}

// isCall tells a call by a program from a page in a browser.
func (v *visit) isCall() bool {
	path := v.c.Path()
	if v.surface == Control || path == "/healthz" || strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/operator/") {
		return true
	}
	accept := v.c.Get(fiber.HeaderAccept)
	return strings.Contains(accept, "json") && !strings.Contains(accept, "html")
}

// languages are what the person wants to read, best first: their choice on a
// page, then what the browser says.
func (v *visit) languages() []string {
	var out []string
	if tag := v.cookie(languageCookie); tag != "" {
		out = append(out, tag)
	}
	return append(out, v.c.Get(fiber.HeaderAcceptLanguage))
}

// desks are the desks of the open box; nil in other states, which a policy that
// asks for somebody signed in rules out. Once found they stay for the visit: the box may
// be locked in the middle of it, and then they refuse.
func (v *visit) desks() *station.Station {
	if v.found == nil {
		v.found = v.s.config.Box.Desks()
	}
	return v.found
}

// carries tells whether this box carries for others and cannot read what it carries.
func (v *visit) carries() bool {
	d := v.desks()
	return d != nil && d.Identity != nil && d.Identity.Carries()
}

// signedIn tells whether somebody is known to ask.
func (v *visit) signedIn() bool { return v.actor.ID != staff.ID{} }

// form is a field of the form that was sent: copied, in Unicode normal form C,
// without space around it. Empty when it is not there.
func (v *visit) form(name string) string {
	if all := v.fields[name]; len(all) > 0 {
		return clean(all[0])
	}
	return ""
}

// formAll is every value of a field that may come several times.
func (v *visit) formAll(name string) []string {
	out := make([]string, 0, len(v.fields[name]))
	for _, value := range v.fields[name] {
		out = append(out, clean(value))
	}
	return out
}

// has tells whether the form has the field at all, even an empty one.
func (v *visit) has(name string) bool { return len(v.fields[name]) > 0 }

// secret is a form field that is not touched: a passphrase may begin with a space.
// The caller overwrites it when done.
func (v *visit) secret(name string) []byte {
	if all := v.fields[name]; len(all) > 0 {
		return []byte(all[0])
	}
	return nil
}

// file is an uploaded file: the part of that name of a multipart form. Faults:
// Invalid "fault.api.no_file".
func (v *visit) file(name string) ([]byte, error) {
	if f := v.files[name]; len(f) > 0 {
		return f, nil
	}
	return nil, fault.New(fault.Invalid, "fault.api.no_file")
}

// param is a part of the path, decoded; what is no UTF-8 is empty.
func (v *visit) param(name string) string {
	s, err := url.PathUnescape(v.c.Params(name))
	if err != nil {
		return ""
	}
	return clean(s)
}

// query is a value of the query string, as form.
func (v *visit) query(name string) string { return clean(v.c.Query(name)) }

// clean copies s, so that nothing points into the request. Control characters go, but for
// those that part lines: a form that is shown again would hand a terminal its commands.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Clone(strings.TrimSpace(norm.NFC.String(s)))
}

// redirect sends the browser on to a page of this box, by GET.
func (v *visit) redirect(path string) error { return v.c.Redirect(path, fiber.StatusSeeOther) }

// csrf is the token that every form of the session carries in its field "csrf";
// empty without a session.
func (v *visit) csrf() string {
	if v.session == nil {
		return ""
	}
	return v.session.CSRF
}

// addresses are where phones can open this box, best first. A box may stand in
// two networks that do not reach each other: the address by which somebody came
// is the one that surely works for them.
func (v *visit) addresses() []string {
	all := v.s.config.Box.Addresses()
	came, _, err := net.SplitHostPort(v.c.Context().LocalAddr().String())
	if err != nil {
		return all
	}
	same := func(address string) int {
		if u, err := url.Parse(address); err == nil && u.Hostname() == came {
			return 0
		}
		return 1
	}
	return slices.SortedStableFunc(slices.Values(all), func(a, b string) int { return same(a) - same(b) })
}

// secure tells whether the connection is encrypted.
func (v *visit) secure() bool { return v.surface == Network }

// languageCookie holds the language somebody chose.
const languageCookie = "waypost-lang"

// sessionCookie is the name of the cookie with the session. Cookies do not know
// ports (RFC 6265, section 8.5), so that two boxes on one machine would sign each
// other's people out; the port in the name keeps them apart. The prefix makes a
// browser accept it from an encrypted connection to this very host only.
func (v *visit) sessionCookie() string {
	return v.cookieName("waypost")
}

// deviceCookie is the name of the cookie by which the node knows this browser again. It
// opens nothing by itself; see staff.Device.
func (v *visit) deviceCookie() string { return v.cookieName("waypost-device") }

func (v *visit) cookieName(name string) string {
	if v.secure() {
		name = "__Host-" + name
	}
	if _, port, err := net.SplitHostPort(string(v.c.Request().Host())); err == nil && port != "" {
		name += "-" + port
	}
	return strings.Clone(name)
}

// cookie is a cookie's value, copied; empty when it is not there.
func (v *visit) cookie(name string) string { return strings.Clone(v.c.Cookies(name)) }

// setCookie keeps a value in the browser: never readable by scripts, never sent
// along from another site. A keep of zero lasts until the browser is closed.
func (v *visit) setCookie(name, value string, keep time.Duration) {
	v.c.Cookie(&fiber.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(keep / time.Second), SessionOnly: keep == 0,
		Secure: v.secure(), HTTPOnly: true, SameSite: fiber.CookieSameSiteStrictMode,
	})
}

// dropCookie takes a cookie out of the browser.
func (v *visit) dropCookie(name string) {
	v.c.Cookie(&fiber.Cookie{
		Name: name, Path: "/", Expires: fasthttp.CookieExpireDelete,
		Secure: v.secure(), HTTPOnly: true, SameSite: fiber.CookieSameSiteStrictMode,
	})
}

// signIn makes the session the visitor's, in a new cookie. A session that was
// there before ends: nobody can plant one.
func (v *visit) signIn(session staff.Session) {
	v.endSession()
	v.session, v.actor = &session, session.Actor
	v.setCookie(v.sessionCookie(), session.Token, 0)
	if session.Device != "" {
		v.setCookie(v.deviceCookie(), session.Device, staff.DeviceKept)
	}
}

// asking is for whom and on which device a passphrase or a PIN is compared.
func (v *visit) asking() context.Context { return v.askingOn(false) }

// askingOnce is for one signature: no session stays behind.
func (v *visit) askingOnce() context.Context { return v.askingOn(true) }

func (v *visit) askingOn(once bool) context.Context {
	on := staff.Device{Cookie: v.cookie(v.deviceCookie()), Agent: strings.Clone(v.c.Get(fiber.HeaderUserAgent)), Once: once}
	return staff.OnDevice(identity.From(v.s.ctx, v.client()), on)
}

// signOut ends the session on the node and in the browser.
func (v *visit) signOut() {
	v.endSession()
	v.session, v.actor = nil, staff.Actor{}
	v.dropCookie(v.sessionCookie())
}

func (v *visit) endSession() {
	if old, desks := v.cookie(v.sessionCookie()), v.desks(); old != "" && desks != nil {
		desks.Staff.SignOut(old)
	}
}
