package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/ui"
	"github.com/waypost/waypost/ui/locale"
)

// serveOptions are the flags of `waypost serve`.
type serveOptions struct {
	Data, HTTP, HTTPS, Mesh, Advertise string
	Opener                             opener // how the folder is opened at once; nothing: it starts locked
	Log                                string // json or text
	Link                               string // control.LinkUsual or LinkLow for this run; empty: as the folder says
	Discover                           *bool  // likewise; nil: as the folder says
}

// closeWithin is how long a stop may take (contract: SIGTERM closes within 5 s).
const closeWithin = 4 * time.Second

// serving is a box that answers: listeners, pages, control socket.
type serving struct {
	box    *box
	server *ui.Server
	errs   chan error
	doors
	renewal *renewal
}

// runServe serves the folder until ctx ends. It prints one line on stdout when
// everything answers; all else goes to stderr.
func runServe(ctx context.Context, o serveOptions, stdout, stderr io.Writer) error {
	ownerOnly()
	limitMemory()
	logger := newLogger(o.Log, stderr)
	catalog := locale.New()
	from, err := inherited()
	if err != nil {
		return err
	}
	if from.lock == nil {
		if from.lock, err = lockedFolder(o.Data); err != nil {
			return err
		}
	}
	defer from.lock.Close()
	b, secret, err := openBox(ctx, o, from.renewed, logger)
	if err != nil {
		return err
	}
	defer b.Close()
	for {
		again, err := serveOnce(ctx, b, secret, catalog, o, from, logger, stdout, stderr)
		if !again {
			return err
		}
		from, secret = b.stay(), nil // it could not be replaced, so it goes on as it is
	}
}

// serveOnce serves until ctx ends, or until the process is to be replaced and could not
// be; then again is true.
func serveOnce(ctx context.Context, b *box, secret []byte, catalog *locale.Catalog, o serveOptions, from heritage, logger *slog.Logger, stdout, stderr io.Writer) (again bool, err error) {
	s, err := listenAll(b, catalog, o, from, logger)
	if err != nil {
		return false, err
	}
	// The pages answer already, and say how far it is.
	if err := b.openFirst(secret); err != nil {
		err = errors.Join(err, s.stop(logger))
		if ctx.Err() != nil {
			err = nil // told to stop before it was open
		}
		return false, err
	}
	b.doze()
	greet(stderr, catalog, b, s)
	if !from.renewed { // whoever started it has read this line
		fmt.Fprintf(stdout, "ready http=http://%s https=https://%s mesh=%s\n",
			reachable(s.http.Addr().String()), reachable(s.https.Addr().String()), reachable(b.meshAddr))
	}
	select {
	case <-ctx.Done():
	case err = <-s.errs:
		logger.Error("a listener ended", "err", err)
	case <-s.renewal.due:
		if err := s.stop(logger); err != nil {
			return false, err
		}
		err := s.renewal.replace()
		logger.Warn("the process could not be replaced, so parts of what it remembers stay in its memory", "err", err)
		return true, nil
	}
	return false, errors.Join(err, s.stop(logger))
}

// listenAll opens every door: loopback or plain HTTP, HTTPS, the control socket.
func listenAll(b *box, catalog *locale.Catalog, o serveOptions, from heritage, logger *slog.Logger) (*serving, error) {
	s := &serving{box: b, errs: make(chan error, 4), doors: from.doors}
	remembered := readPorts(o.Data)
	var err error
	if s.http == nil {
		if s.http, err = listenTCP(o.HTTP, remembered.HTTP); err != nil {
			return nil, err
		}
		if s.https, err = listenTCP(o.HTTPS, remembered.HTTPS); err != nil {
			return nil, errors.Join(err, s.http.Close())
		}
	}
	b.httpPort, b.httpsPort = portOf(s.http.Addr()), portOf(s.https.Addr())
	b.httpsHost, _, _ = net.SplitHostPort(o.HTTPS) // listenTCP took it, so it splits
	now := ports{HTTP: b.httpPort, HTTPS: b.httpsPort, Mesh: b.meshPort}
	if now != remembered {
		if err := now.write(o.Data); err != nil {
			return nil, fault.New(fault.Unavailable, "fault.node.cannot_write", "File", portsFile(o.Data)).Wrap(err)
		}
	}
	s.server, err = ui.New(ui.Config{Box: b, Catalog: catalog, Clock: b.clock, Logger: logger.With("part", "ui"), Version: version()})
	if err != nil {
		return nil, err
	}
	if s.control == nil {
		if s.control, err = listenControl(o.Data); err != nil {
			return nil, err
		}
	}
	s.renewal = newRenewal(s.doors, from.lock)
	b.renewable(s.renewal)
	secure := tls.NewListener(s.https, &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: b.leaf, NextProtos: []string{"http/1.1"}})
	s.serve(ui.Loopback, s.http)
	s.serve(ui.Network, secure)
	s.serve(ui.Control, s.control)
	return s, nil
}

func (s *serving) serve(surface ui.Surface, ln net.Listener) {
	go func() {
		if err := s.server.Serve(surface, ln); err != nil {
			s.errs <- err
		}
	}()
}

// stop ends live streams, then the listeners, all within closeWithin; the box is
// closed by the caller, after nothing can ask it any more.
func (s *serving) stop(logger *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, net.ErrClosed) {
		logger.Warn("closing a listener", "err", err)
	}
	return nil
}

// listenControl opens the socket of the node's own verbs, readable by its user only.
func listenControl(dir string) (net.Listener, error) {
	path, err := control.PrepareSocket(dir)
	if err != nil {
		return nil, err
	}
	// The folder's lock is ours, so a socket left there belongs to a dead process.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "fault.node.cannot_listen", "Address", path).Wrap(err)
	}
	return ln, os.Chmod(path, 0o600)
}

// openBox finds out in which state the folder is and reads the secret that it will be
// opened with, when a passphrase or key file was given. A renewed process was locked by
// somebody, so it stays locked, and nothing keeps it from coming back.
func openBox(ctx context.Context, o serveOptions, renewed bool, logger *slog.Logger) (*box, []byte, error) {
	c := clock.System()
	web, err := identity.OpenWeb(filepath.Join(o.Data, "web"), c)
	if err != nil {
		return nil, nil, err
	}
	meshAddr, err := pickMesh(o.Mesh, readPorts(o.Data).Mesh)
	if err != nil && renewed {
		meshAddr, err = o.Mesh, nil // the mesh itself tries again and says so
	}
	if err != nil {
		return nil, nil, err
	}
	b := &box{dir: o.Data, advertise: o.Advertise, linkFlag: o.Link, discoverFlag: o.Discover, meshListen: meshAddr, clock: c, logger: logger, web: web, started: c.Now(), ctx: ctx}
	b.meshAddr, b.meshPort = advertised(meshAddr, o.Advertise)
	if err := removePractice(o.Data); err != nil {
		return nil, nil, err
	}
	if !identity.Exists(o.Data) {
		b.claim, err = newClaim(c)
		return b, nil, err
	}
	if renewed || o.Opener == (opener{}) {
		return b, nil, nil
	}
	secret, err := o.Opener.secret(&app{})
	return b, secret, err
}

// openFirst opens the box with the secret it was started with, and waits for all of it;
// without one it stays as it is.
func (b *box) openFirst(secret []byte) error {
	if secret == nil {
		return nil
	}
	done, err := b.unlock(secret)
	clear(secret)
	if err != nil || done == nil {
		return err
	}
	return <-done
}

func newLogger(format string, w io.Writer) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}
