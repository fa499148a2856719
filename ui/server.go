package ui

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/tokens"
	"github.com/waypost/waypost/ui/locale"
)

// Surface is one way in. What may be asked, and how somebody proves who they
// are, depends on it.
type Surface int

// The surfaces. A listener has one; a request on Loopback that turns out to come
// from elsewhere, or through a proxy, is treated as Public.
const (
	Loopback Surface = iota // plain HTTP from this machine itself: everything works
	Network                 // HTTPS from anywhere: everything works
	Public                  // plain HTTP from elsewhere: no sign-in and no personal data
	Control                 // the control socket: whoever can open it is the operator
	surfaceCount
)

// String names the surface for logs.
func (s Surface) String() string {
	if s < 0 || s >= surfaceCount {
		return "unknown"
	}
	return [...]string{"loopback", "network", "public", "control"}[s]
}

// Config is what a Server is made of. All fields but Version are needed.
type Config struct {
	Box     Box
	Catalog *locale.Catalog
	Clock   clock.Clock
	Logger  *slog.Logger
	Version string // of the program, shown at the foot of pages
}

// Server answers pages and calls on every surface. Safe for concurrent use.
type Server struct {
	config   Config
	pages    *pages
	hostname string // of this machine, in lower case

	ctx               context.Context // ends with Close: commands of a server that stops
	cancel            context.CancelFunc
	streams           *streams
	guesses           guessing // wrong tries
	opening           opening  // claims and unlocks at work or waiting
	uploads           *seats   // large bodies held in memory
	lengthy           *seats   // … and those above strangerLimit
	middling, unknown *seats   // … and those above shortBody, by people who work here and by others
	words             newWords
	sent              atomic.Int32  // bundles on their way to phones
	brokeOff          atomic.Int64  // the number after the bundle that did not arrive whole; 0 for none
	rungs             *rungs        // which browsers trust the box
	watcher           watcher       // of notes
	wait              time.Duration // readTimeout
	pace              time.Duration // streamPace

	mu   sync.Mutex
	apps map[Surface]*fiber.App

	gates    gates           // what phones counted at the gate of a locked box
	letters  letters         // who fills the letterbox of a locked box
	scanner  *tokens.Scanner // for photos while no desk is open
	openings openings        // of other boxes, by two people at this one
}

// Limits of what clients may send and hold. Times are in the Fiber configuration
// of newApp.
const (
	bodyLimit     = 1 << 20                             // of a form or a JSON document
	strangerLimit = 64 << 10                            // of a form from somebody who is not signed in
	photoLimit    = tokens.MaxPhotoBytes + 64<<10       // of the body with a photo, wrapping included
	uploadLimit   = registration.MaxPhotoBytes + 64<<10 // … and with a photo of a person
	importLimit   = 8 << 20                             // of one part of a list
	drainLimit    = 32 << 20                            // read and thrown away, so that a client hears why it was refused
	openingLine   = 8                                   // claims and unlocks of the network in line; each takes a second of Argon2id
	openingHere   = 4                                   // … and of this machine
	lengthyLine   = 12                                  // bodies above strangerLimit at once: 12 MB at worst
	middlingLine  = 96                                  // bodies above shortBody at once: 6 MB at worst
	unknownLine   = 48                                  // … from strangers: 3 MB
	uploadLine    = 3                                   // bodies above bodyLimit at once: 36 MB at worst, 24 MB of one key
	uploadWait    = 5 * time.Second                     // for a place among them
	concurrency   = 512                                 // connections of one surface
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 30 * time.Second
)

// New checks the route table and readies the surfaces. It fails on a route
// without a policy and on one that is there twice.
func New(cfg Config) (*Server, error) {
	if cfg.Box == nil || cfg.Catalog == nil || cfg.Clock == nil || cfg.Logger == nil {
		return nil, fault.New(fault.Internal, "fault.internal").Wrap(fmt.Errorf("ui: incomplete configuration"))
	}
	s := &Server{
		config: cfg, streams: newStreams(), guesses: newGuessing(), opening: newOpening(), uploads: newSeats(uploadLine), lengthy: newSeats(lengthyLine),
		middling: newSeats(middlingLine), unknown: newSeats(unknownLine),
		wait: readTimeout, pace: streamPace, apps: map[Surface]*fiber.App{},
		letters: newLetters(), scanner: tokens.NewScanner(cfg.Clock),
		rungs: newRungs(), watcher: newWatcher(cfg.Catalog.All()),
	}
	var err error
	if s.pages, err = newPages(); err != nil {
		return nil, fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if name, err := os.Hostname(); err == nil {
		s.hostname = strings.ToLower(name)
	}
	if err := checkRoutes(s.routes()); err != nil {
		s.cancel()
		return nil, fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	return s, nil
}

// Serve answers a surface on a listener until Shutdown. TLS is the caller's: for
// Network the listener is one of crypto/tls. It bounds how many connections one
// address may hold.
func (s *Server) Serve(surface Surface, ln net.Listener) error {
	return s.App(surface).Listener(limitConns(ln, s.config.Logger))
}

// Shutdown ends streams, stops listening and waits for requests at work, until
// ctx ends; connections that idle are closed at once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Close()
	s.mu.Lock()
	apps := slices.Collect(maps.Values(s.apps))
	s.mu.Unlock()
	errs := make([]error, len(apps))
	var all sync.WaitGroup
	for i, app := range apps {
		all.Go(func() { errs[i] = app.ShutdownWithContext(ctx) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// App is the Fiber application of a surface; the same one every time. Serve gives
// it a listener.
func (s *Server) App(surface Surface) *fiber.App {
	s.mu.Lock()
	defer s.mu.Unlock()
	if app := s.apps[surface]; app != nil {
		return app
	}
	app := s.newApp(surface, s.routes())
	s.apps[surface] = app
	return app
}

// Close ends live streams and running commands. Call it before shutting the
// applications down: an open stream would hold them up. Safe to call twice.
func (s *Server) Close() {
	s.cancel()
	s.streams.close()
}

// routes is the whole table: what is not in it cannot be asked.
func (s *Server) routes() []route {
	return slices.Concat(
		s.pageRoutes(), s.ceremonyPages(), s.staffPages(), s.erasePages(), s.readPages(), s.copyPages(), s.sealedPages(), s.handPages(), s.lossesPages(), s.lostPages(), s.carryPages(), s.emergencyRoutes(), s.lockedPages(), s.nightPages(), s.asideRoutes(),
		s.phoneRoutes(), s.webcertRoutes(), s.linkRoutes(), s.apiRoutes(), s.operatorRoutes(), nightCalls(),
	)
}

// newApp builds the Fiber application. Bodies are streamed so that who asks is
// known before more than 8 KB of what they send is read (see visit.readBody).
func (s *Server) newApp(surface Surface, routes []route) *fiber.App {
	app := fiber.New(fiber.Config{
		Immutable: true, CaseSensitive: true, DisableStartupMessage: true,
		ReadTimeout: s.wait, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		Concurrency: concurrency, ReadBufferSize: 16 << 10,
		BodyLimit: drainLimit, StreamRequestBody: true, DisablePreParseMultipartForm: true,
		// Nothing a client says about a proxy is believed.
		EnableTrustedProxyCheck: true, TrustedProxies: []string{},
		ErrorHandler: func(c *fiber.Ctx, err error) error { return s.visit(c, surface).failed(err) },
	})
	app.Use(s.watched(surface), s.recovered(surface), s.checked(surface))
	for _, r := range inOrder(routes) {
		if r.on().has(surface) || surface == Loopback && r.on().has(Public) {
			s.add(app, surface, r)
		}
	}
	guarded := app.Handler()
	app.Server().Handler = func(ctx *fasthttp.RequestCtx) { s.guard(ctx, guarded) }
	return app
}

// add registers one route, and HEAD beside GET.
func (s *Server) add(app *fiber.App, surface Surface, r route) {
	handler := func(c *fiber.Ctx) error {
		v := s.visit(c, surface)
		v.route = &r
		return v.serve()
	}
	app.Add(r.method, r.path, handler)
	if r.method == fiber.MethodGet && !r.stream {
		app.Add(fiber.MethodHead, r.path, handler)
	}
}

// inOrder puts routes without parameters first, so that /people/new is not taken
// for a person.
func inOrder(routes []route) []route {
	out := slices.Clone(routes)
	slices.SortStableFunc(out, func(a, b route) int {
		return strings.Count(a.path, ":") + 100*strings.Count(a.path, "*") - strings.Count(b.path, ":") - 100*strings.Count(b.path, "*")
	})
	return out
}
