package ui

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/waypost/waypost/appliance/fault"
)

// securityHeaders go on every answer, whatever it is. There is no inline script
// and no other origin, so the policy needs no exceptions. HSTS stays away: the
// names and addresses of a box change with the network it stands in, and a
// browser would remember the wrong one.
var securityHeaders = [...][2]string{
	{"Content-Security-Policy", "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"},
	{"Cross-Origin-Opener-Policy", "same-origin"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Referrer-Policy", "no-referrer"},
	{"Permissions-Policy", "camera=(self), microphone=(), geolocation=(), usb=(), payment=()"},
	{"X-Content-Type-Options", "nosniff"},
	{"X-Frame-Options", "DENY"},
	{"Cache-Control", "no-store"},
}

// guard runs before Fiber. Fiber answers a method it does not know by itself,
// so the headers and that answer have to come from here.
func (s *Server) guard(ctx *fasthttp.RequestCtx, next fasthttp.RequestHandler) {
	harden(&ctx.Response.Header)
	if !slices.Contains(fiber.DefaultMethods, string(ctx.Method())) {
		lang := s.config.Catalog.For(string(ctx.Request.Header.Peek(fiber.HeaderAcceptLanguage)))
		p := problemOf(fault.New(fault.Invalid, "fault.api.method"), lang)
		p.status(fiber.StatusNotImplemented)
		ctx.SetStatusCode(p.Status)
		ctx.SetContentType(problemType)
		ctx.SetBody(p.bytes())
		return
	}
	next(ctx)
}

// harden sets the headers every answer has. A handler may set another
// Cache-Control afterwards.
func harden(h *fasthttp.ResponseHeader) {
	for _, kv := range securityHeaders {
		h.Set(kv[0], kv[1])
	}
}

// watched gives the request a number, writes it to the log when it is over, and
// reads what is left of its body, so that a client which is still sending hears
// the answer. The log has the pattern of the route, never the path: ids of
// people and what was searched for stay out of it.
func (s *Server) watched(surface Surface) fiber.Handler {
	return func(c *fiber.Ctx) error {
		began := s.config.Clock.Now()
		v := s.visit(c, surface)
		var id [6]byte
		_, _ = rand.Read(id[:])
		number := hex.EncodeToString(id[:])
		c.Set(fiber.HeaderXRequestID, number)
		if err := c.Next(); err != nil {
			if err := v.failed(err); err != nil {
				return err
			}
		}
		v.drain()
		pattern := "none"
		if v.route != nil {
			pattern = v.route.path
		}
		level := slog.LevelInfo
		if c.Response().StatusCode() >= fiber.StatusInternalServerError {
			level = slog.LevelWarn
		}
		s.config.Logger.LogAttrs(c.Context(), level, "request", slog.String("id", number), slog.String("method", strings.Clone(c.Method())),
			slog.String("route", pattern), slog.String("surface", v.surface.String()), slog.Int("status", c.Response().StatusCode()),
			slog.Int64("ms", s.config.Clock.Now().Sub(began).Milliseconds()))
		return nil
	}
}

// recovered turns a panic into an internal fault. Only its type and place are
// logged: its value may hold what somebody typed.
func (s *Server) recovered(surface Surface) fiber.Handler {
	return func(c *fiber.Ctx) (err error) {
		defer func() {
			if p := recover(); p != nil {
				where := place()
				s.config.Logger.Error("panic", "type", fmt.Sprintf("%T", p), "at", where)
				c.Response().ResetBody()
				err = s.visit(c, surface).failed(fault.New(fault.Internal, "fault.internal"))
			}
		}()
		return c.Next()
	}
}

// place is the file and line a panic came from: the first frame after the
// runtime's own.
func place() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	panicking := false
	for {
		f, more := frames.Next()
		if f.Function == "runtime.gopanic" {
			panicking = true
		} else if panicking && !strings.HasPrefix(f.Function, "runtime.") {
			return f.File + ":" + fmt.Sprint(f.Line)
		}
		if !more {
			return "unknown"
		}
	}
}

// checked refuses what no route should see: a compressed body, which a server
// that inflates it pays for a thousandfold; a host name that is not ours, behind
// which another site's script could be asking (DNS rebinding); and, on plain
// HTTP from elsewhere, all but the public pages.
func (s *Server) checked(surface Surface) fiber.Handler {
	return func(c *fiber.Ctx) error {
		v := s.visit(c, surface)
		if encoding := c.Get(fiber.HeaderContentEncoding); encoding != "" {
			return fault.New(fault.Unsupported, "fault.api.encoded")
		}
		if !s.ours(string(c.Request().Host())) {
			return fault.New(fault.Denied, "fault.api.host")
		}
		err := c.Next()
		if v.surface == Public && v.route == nil && unknown(err) {
			return v.notPublic()
		}
		return err
	}
}

// ours tells whether a Host header names this box: by any address, because a name is
// what it takes to ask from another site's page, or by a name of its own. Names of the
// local network that somebody else may take (RFC 6762) are not its own.
func (s *Server) ours(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
		return true
	}
	own := []string{"localhost", "waypost.internal", "waypost.local"}
	if s.hostname != "" {
		short, _, _ := strings.Cut(s.hostname, ".")
		own = append(own, s.hostname, short+".local")
	}
	return slices.Contains(own, host) || s.publicName(host) || s.numbered(host) || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".waypost.internal")
}

// numbered tells whether host is the name this machine gets where another one with
// its name is in the network already: "post-2.local" (RFC 6762, section 9).
func (s *Server) numbered(host string) bool {
	short, _, _ := strings.Cut(s.hostname, ".")
	number, ok := strings.CutPrefix(strings.TrimSuffix(host, ".local"), short+"-")
	return ok && short != "" && strings.HasSuffix(host, ".local") && len(number) <= 3 && number != "" && strings.Trim(number, "0123456789") == ""
}

// notPublic says where the box can be reached safely.
func (v *visit) notPublic() error {
	if addresses := v.addresses(); len(addresses) > 0 {
		return fault.New(fault.Denied, "fault.api.https_only", "Address", addresses[0])
	}
	return fault.New(fault.Denied, "fault.api.https_only_unknown")
}

// unknown tells whether err says that there is no such route.
func unknown(err error) bool {
	e, ok := err.(*fiber.Error) //nolint:errorlint // Fiber returns it bare
	return ok && (e.Code == fiber.StatusNotFound || e.Code == fiber.StatusMethodNotAllowed)
}
