package ui

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

const (
	maxStreams    = 50               // event streams open at once
	heartbeat     = 15 * time.Second // a comment line, so that a dead client is noticed
	streamPace    = time.Second      // at most one event in this time
	streamIdle    = 20 * time.Minute // without any other request, a page session's stream ends
	writePatience = 10 * time.Second // for one piece to reach its client
)

// streams is the register of open event streams, and when each page session was
// last used for something else than a stream: a forgotten open page must not keep
// somebody signed in.
type streams struct {
	mu    sync.Mutex
	n     int
	used  map[string]time.Time // by session token
	done  chan struct{}
	ended bool
}

func newStreams() *streams { return &streams{used: map[string]time.Time{}, done: make(chan struct{})} }

// enter takes a place; false when all are taken or the server stops.
func (s *streams) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.n >= maxStreams {
		return false
	}
	s.n++
	return true
}

func (s *streams) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n--
}

// close ends every stream.
func (s *streams) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.ended = true
		close(s.done)
	}
}

// seen notes that a session was used, and forgets those nobody uses.
func (s *streams) seen(token string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[token] = now
	if len(s.used) > 1000 {
		for t, at := range s.used {
			if now.Sub(at) > streamIdle {
				delete(s.used, t)
			}
		}
	}
}

// idle tells whether a session was used for nothing but streams too long.
func (s *streams) idle(token string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.used[token]
	return ok && now.Sub(at) > streamIdle
}

// counts is an event: how much each desk holds. Nothing of any person.
type counts struct {
	Ops          uint64 `json:"ops"`
	Registration struct {
		People     uint64 `json:"people"`
		Households uint64 `json:"households"`
	} `json:"registration"`
	Mesh struct {
		Nodes     int    `json:"nodes"`
		Connected int    `json:"connected"`
		OnlyHere  uint64 `json:"only_here"`
	} `json:"mesh"`
}

// stream is all an event stream needs after its request is over.
type stream struct {
	s       *Server
	conn    net.Conn
	changes <-chan struct{}
	stop    func()
	valid   func() bool // whether whoever opened it may still listen
	last    string
}

// getEvents sends an event "counts" at once and after every change, at most one a
// second, until the client leaves, the server stops, or whoever listens may not
// any more.
func getEvents(v *visit) error {
	if !v.s.streams.enter() {
		return fault.New(fault.Busy, "fault.api.streams")
	}
	changes, stop := v.s.config.Box.Watch()
	st := &stream{s: v.s, conn: v.c.Context().Conn(), changes: changes, stop: stop, valid: v.s.mayListen(v)}
	v.c.Set(fiber.HeaderContentType, "text/event-stream; charset=utf-8")
	v.c.Set("X-Accel-Buffering", "no")
	// A deadline of the handler's own replaces the one for whole answers.
	_ = v.c.Context().SetWriteDeadline(clock.System().Now().Add(writePatience))
	v.c.Context().SetBodyStreamWriter(st.run)
	return nil
}

// mayListen looks again at what the request was let in by. It holds copies only.
func (s *Server) mayListen(v *visit) func() bool {
	box, key, by := s.config.Box, v.key, v.actor.ID
	token := ""
	if v.session != nil {
		token = v.session.Token
	}
	return func() bool {
		desks := box.Desks()
		if desks == nil {
			return false
		}
		var actor staff.Actor
		switch {
		case key != "":
			found, err := desks.Staff.KeyActor(key)
			if err != nil {
				return false
			}
			actor = found
		case token != "":
			if s.streams.idle(token, s.config.Clock.Now()) {
				return false
			}
			session, ok := desks.Staff.Session(token)
			if !ok {
				return false
			}
			actor = session.Actor
		default:
			return true // the operator
		}
		return actor.ID == by
	}
}

// run writes events; it runs after the handler returned, in a goroutine of its own.
func (st *stream) run(w *bufio.Writer) {
	defer st.s.streams.leave()
	defer st.stop()
	for {
		if !st.valid() || st.send(w) != nil {
			return
		}
		select { // the pace, so that an import does not flood a phone
		case <-st.s.config.Clock.After(st.s.pace):
		case <-st.s.streams.done:
			return
		}
		if !st.wait(w) {
			return
		}
	}
}

// wait returns at the next change; false when the stream is over.
func (st *stream) wait(w *bufio.Writer) bool {
	for {
		select {
		case <-st.changes:
			return true
		case <-st.s.streams.done:
			return false
		case <-st.s.config.Clock.After(heartbeat):
			if !st.valid() || st.write(w, ": alive\n\n") != nil {
				return false
			}
		}
	}
}

// send writes an event when something is different from the last one.
func (st *stream) send(w *bufio.Writer) error {
	ctx, cancel := context.WithTimeout(st.s.ctx, writePatience)
	defer cancel()
	status, err := st.s.config.Box.Status(ctx)
	if err != nil {
		return err
	}
	var c counts
	c.Ops, c.Registration.People, c.Registration.Households = status.Ops, status.People, status.Households
	c.Mesh.Nodes, c.Mesh.OnlyHere = len(status.Peers), status.OnlyHere
	for _, p := range status.Peers {
		if p.State == "connected" {
			c.Mesh.Connected++
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	event := string(b)
	if event == st.last {
		return nil
	}
	st.last = event
	return st.write(w, fmt.Sprintf("event: counts\ndata: %s\n\n", strings.ReplaceAll(event, "\n", " ")))
}

// write sends one piece. The deadline moves with every piece, so that a stream may
// last while a client that stopped reading does not hold its place.
func (st *stream) write(w *bufio.Writer, text string) error {
	if st.conn != nil {
		if err := st.conn.SetWriteDeadline(clock.System().Now().Add(writePatience)); err != nil {
			return err
		}
	}
	if _, err := w.WriteString(text); err != nil {
		return err
	}
	return w.Flush()
}
