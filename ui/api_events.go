package ui

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

const (
	maxStreams    = 50               // event streams open at once,
	personStreams = 18               // … of one person or key,
	tokenStreams  = 6                // … of one session or key: what a browser opens to a host
	heartbeat     = 15 * time.Second // a comment line, so that a dead client is noticed
	streamPace    = time.Second      // at most one event in this time
	writePatience = 10 * time.Second // for one piece to reach its client
)

// streams is the register of open event streams.
type streams struct {
	seats *seats
	mu    sync.Mutex
	by    map[string][]*stream // of one session or key, the oldest first
	done  chan struct{}
	over  bool
}

func newStreams() *streams {
	return &streams{seats: newSeats(maxStreams), by: map[string][]*stream{}, done: make(chan struct{})}
}

// enter takes a place; false when there is none or the server stops. Somebody who has
// all of theirs gives up the oldest: a client that left is noticed only at the second
// heartbeat, and one that comes back on a bad network must not wait for that.
func (s *streams) enter(st *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	if mine := s.by[st.holder]; len(mine) >= tokenStreams {
		close(mine[0].evicted)
		s.drop(mine[0])
	}
	st.shares = []share{{st.person, personStreams}}
	if !s.seats.enter(st.shares...) {
		return false
	}
	s.by[st.holder] = append(s.by[st.holder], st)
	return true
}

// leave gives the place back.
func (s *streams) leave(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(st)
}

// drop takes a stream off the register, once.
func (s *streams) drop(st *stream) {
	mine := s.by[st.holder]
	i := slices.Index(mine, st)
	if i < 0 {
		return
	}
	if mine = slices.Delete(mine, i, i+1); len(mine) == 0 {
		delete(s.by, st.holder)
	} else {
		s.by[st.holder] = mine
	}
	s.seats.leave(st.shares...)
}

// endAll ends every stream there is; new ones may come.
func (s *streams) endAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, mine := range s.by {
		for _, st := range slices.Clone(mine) {
			close(st.evicted)
			s.drop(st)
		}
	}
}

// close ends every stream.
func (s *streams) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over = true
		close(s.done)
	}
}

// counts is an event: how much each desk holds. Nothing of any person.
type counts struct {
	Ops          uint64 `json:"ops"`
	Registration struct {
		People     uint64 `json:"people"`
		Households uint64 `json:"households"`
		Counting   bool   `json:"counting,omitempty"` // there are more than these
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
	holder  string // session or key
	person  string
	shares  []share
	evicted chan struct{} // closed when a newer one of the holder took the place
	changes <-chan struct{}
	stop    func()
	valid   func() bool // whether whoever opened it may still listen
	last    string
	more    bool // what was said last is not all: the box still counts
}

// getEvents sends an event "counts" at once and after every change, at most one a
// second, until the client leaves, the server stops, or whoever listens may not
// any more.
func getEvents(v *visit) error {
	st := &stream{
		s: v.s, conn: v.c.Context().Conn(), holder: v.holder(), person: v.actor.ID.String(), evicted: make(chan struct{}), valid: v.s.mayListen(v),
	}
	if !v.s.streams.enter(st) {
		return fault.New(fault.Busy, "fault.api.streams")
	}
	st.changes, st.stop = v.s.config.Box.Watch()
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
			session, ok := desks.Staff.Peek(token) // a stream keeps nobody signed in
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
	defer st.s.streams.leave(st)
	defer st.stop()
	for {
		if !st.valid() || st.send(w) != nil {
			return
		}
		select { // the pace, so that an import does not flood a phone
		case <-st.s.config.Clock.After(st.s.pace):
		case <-st.evicted:
			return
		case <-st.s.streams.done:
			return
		}
		if !st.wait(w) {
			return
		}
	}
}

// wait returns at the next change; false when the stream is over. That a box has counted
// everybody is no change of its records, so nothing tells of it.
func (st *stream) wait(w *bufio.Writer) bool {
	if st.more {
		return true
	}
	for {
		select {
		case <-st.changes:
			return true
		case <-st.evicted:
			return false
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
	st.more = status.Counting
	c.Registration.Counting = st.more
	c.Mesh.Nodes, c.Mesh.OnlyHere = len(status.Peers), status.OnlyHere
	for _, p := range status.Peers {
		if p.Reached() {
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
