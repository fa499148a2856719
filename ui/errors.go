package ui

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/ui/locale"
)

// problemType is how programs hear of a fault (RFC 9457).
const problemType = "application/problem+json"

// problem is a fault as a program reads it.
type problem control.Problem

// problemOf says a fault in a language. The type is a name, not an address: a box
// in a field has no page to point to, and the key never changes.
func problemOf(f *fault.Error, lang locale.Language) *problem {
	status := f.Class.Status()
	p := &problem{
		Type: "urn:waypost:" + f.Key, Title: http.StatusText(status), Status: status, Class: string(f.Class), Key: f.Key,
		Detail: say(lang, f.Key, f.Args),
	}
	if hint := f.Key + ".hint"; lang.Has(hint) {
		p.Hint = say(lang, hint, f.Args)
	}
	if len(f.Fields) > 0 {
		p.Fields = make(map[string]string, len(f.Fields))
		for _, field := range f.Fields {
			p.Fields[field.Name] = say(lang, field.Key, field.Args)
		}
	}
	return p
}

// say is a sentence for a program: without the marks that keep a value's
// direction on a page. A key nobody translated is a mistake of ours.
func say(lang locale.Language, key string, args map[string]any) string {
	if !lang.Has(key) {
		return lang.Text("fault.internal", nil)
	}
	return lang.Text(key, args)
}

// status overrides the status of the class, for what HTTP has a status of its own.
func (p *problem) status(code int) {
	p.Status, p.Title = code, http.StatusText(code)
}

func (p *problem) bytes() []byte {
	b, err := json.Marshal(p)
	if err != nil { // strings and numbers always encode
		return []byte(`{"status":500}`)
	}
	return b
}

// failed answers a fault: with a problem for a program, with a whole page for a
// browser. What went wrong inside is logged, never sent.
func (v *visit) failed(err error) error {
	f, status := v.asFault(err)
	if f.Class == fault.Internal {
		v.s.config.Logger.LogAttrs(v.c.Context(), slog.LevelError, "fault", slog.String("key", f.Key), slog.Any("err", f.Err))
	}
	harden(&v.c.Response().Header)
	if f.Class == fault.Unauthenticated {
		v.c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="waypost"`)
	}
	v.whenAgain(f)
	if v.isCall() {
		return v.problem(f, status)
	}
	if to := v.wayOut(f); to != "" {
		return v.redirect(to)
	}
	if err := v.pageError(f); err != nil {
		return v.problem(f, status)
	}
	v.c.Status(status)
	return nil
}

// whenAgain says to a client that is refused for now when it is worth to come back.
func (v *visit) whenAgain(f *fault.Error) {
	switch {
	case f.Class == fault.Busy:
		v.c.Set(fiber.HeaderRetryAfter, strconv.Itoa(retryAfter(f)))
	case f.Key == "fault.api.opening":
		v.c.Set(fiber.HeaderRetryAfter, strconv.Itoa(openingAgain))
	}
}

func (v *visit) problem(f *fault.Error, status int) error {
	p := problemOf(f, v.lang)
	p.status(status)
	v.c.Status(status)
	v.c.Set(fiber.HeaderContentType, problemType)
	v.c.Set(fiber.HeaderContentLanguage, v.lang.Tag())
	return v.c.Send(p.bytes())
}

// wayOut is where a browser goes instead of reading an error: to the first page
// when the box is in another state, to the sign-in when nobody is signed in.
// Something that was typed is never thrown away by a redirect.
func (v *visit) wayOut(f *fault.Error) string {
	if v.route == nil || v.route.unsafe() {
		return ""
	}
	switch {
	case f.Key == "fault.api.new" || f.Key == "fault.api.locked" || f.Key == "fault.api.opening" || f.Key == "fault.api.open_already":
		return "/"
	case f.Key == rungFault:
		return "/phone?to=" + url.QueryEscape(v.c.OriginalURL())
	case f.Key == "fault.ui.resting" || f.Key == "fault.ui.narrow_resting":
		return "/wake?to=" + url.QueryEscape(v.c.OriginalURL())
	case f.Key == "fault.ui.undertaking":
		return "/undertaking?to=" + url.QueryEscape(v.c.OriginalURL())
	case f.Class == fault.Unauthenticated:
		return "/signin?to=" + url.QueryEscape(v.c.OriginalURL())
	}
	return ""
}

// asFault turns any error into a fault and its HTTP status.
func (v *visit) asFault(err error) (*fault.Error, int) {
	var f *fiber.Error
	if !errors.As(err, &f) {
		known := fault.Of(err)
		if known.Key == "fault.oplog.closed" && v.s.config.Box.State() == stateLocked { // in the middle of a visit
			known = fault.New(fault.Locked, "fault.identity.closed").Wrap(err)
		}
		if known.Key == "fault.api.slow" {
			return known, fiber.StatusRequestTimeout
		}
		return known, known.Class.Status()
	}
	code := f.Code
	switch {
	case code == fiber.StatusNotFound:
		return fault.New(fault.NotFound, "fault.api.not_found"), code
	case code == fiber.StatusMethodNotAllowed:
		return fault.New(fault.Invalid, "fault.api.method"), code
	case code == fiber.StatusRequestEntityTooLarge:
		return fault.New(fault.TooLarge, "fault.api.too_large", "Kilobytes", bodyLimit>>10), code
	case code == fiber.StatusRequestHeaderFieldsTooLarge:
		return fault.New(fault.TooLarge, "fault.api.headers"), code
	case code == fiber.StatusRequestTimeout:
		return fault.New(fault.Unavailable, "fault.api.slow"), code
	case code < fiber.StatusInternalServerError:
		return fault.New(fault.Invalid, "fault.api.request").Wrap(err), fiber.StatusBadRequest
	}
	return fault.New(fault.Internal, "fault.internal").Wrap(err), fiber.StatusInternalServerError
}
