package ui

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/staff"
)

// events opens a stream over a real connection.
func (r *rig) events(addr string, headers ...string) (*http.Response, *bufio.Scanner) {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/api/v1/events", nil)
	must(r.t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Client{Timeout: time.Minute}).Do(req) //nolint:bodyclose // closed below
	must(r.t, err)
	r.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp, bufio.NewScanner(resp.Body)
}

// next is the data of the next event; false at the end of the stream.
func next(t *testing.T, s *bufio.Scanner) (counts, bool) {
	t.Helper()
	var c counts
	for s.Scan() {
		if data, ok := strings.CutPrefix(s.Text(), "data: "); ok {
			must(t, json.Unmarshal([]byte(data), &c))
			return c, true
		}
	}
	return c, false
}

func TestEventsTellOfChanges(t *testing.T) {
	r := newRig(t)
	r.s.pace = time.Millisecond
	addr := r.listen(Loopback)
	key := r.key(staff.Registrar)
	resp, s := r.events(addr, "Authorization", "Bearer "+key)
	hardened(t, "events", resp.Header)
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("%v", resp.Header)
	}
	if c, ok := next(t, s); !ok || c.Registration.People != 0 {
		t.Fatalf("%+v %v", c, ok)
	}
	r.add(key, `{"given_name":"Layla"}`)
	c, ok := next(t, s)
	if !ok || c.Registration.People != 1 {
		t.Fatalf("%+v %v", c, ok)
	}
	// Revoked: the stream ends at the next change.
	keys, err := r.box.desks.Staff.Keys(r.s.ctx, staff.Operator())
	must(t, err)
	for _, k := range keys {
		must(t, r.box.desks.Staff.RevokeKey(r.s.ctx, staff.Operator(), k.ID))
	}
	for ok {
		_, ok = next(t, s)
	}
	if err := s.Err(); err != nil {
		t.Fatalf("the stream broke: %v", err)
	}
}

// Figures of a box that still counts say so, and the right ones follow by themselves.
func TestEventsFollowABoxThatStillCounts(t *testing.T) {
	r := newRig(t)
	r.s.pace = time.Millisecond
	key := r.key(staff.Registrar)
	r.box.counting.Store(true)
	_, s := r.events(r.listen(Loopback), "Authorization", "Bearer "+key)
	if c, ok := next(t, s); !ok || !c.Registration.Counting {
		t.Fatalf("%+v %v", c, ok)
	}
	r.box.counting.Store(false)
	if c, ok := next(t, s); !ok || c.Registration.Counting {
		t.Fatalf("%+v %v", c, ok)
	}
}

func TestEventsEndWithTheServerAndTheSession(t *testing.T) {
	r := newRig(t)
	r.s.pace = time.Millisecond
	addr := r.listen(Loopback)
	session := r.session("amina", staff.Information)
	_, port, _ := strings.Cut(addr, ":")
	cookie := []string{"Cookie", "waypost-" + port + "=" + session.Token}
	_, mine := r.events(addr, cookie...)
	if _, ok := next(t, mine); !ok {
		t.Fatal("no event")
	}
	r.box.desks.Staff.SignOut(session.Token)
	r.key(staff.Lead) // a change
	for ok := true; ok; {
		_, ok = next(t, mine)
	}
	resp, _ := r.events(addr, cookie...)
	if resp.StatusCode != 401 {
		t.Fatalf("after signing out: %d", resp.StatusCode)
	}
	_, operators := r.events(addr, "Authorization", "Bearer "+r.key(staff.Lead))
	if _, ok := next(t, operators); !ok {
		t.Fatal("no event")
	}
	r.s.Close()
	for ok := true; ok; {
		_, ok = next(t, operators)
	}
}

func TestEventStreamsAreCounted(t *testing.T) {
	s := newStreams()
	one := func(n int) *stream {
		who := fmt.Sprint(n)
		return &stream{holder: who, person: who, evicted: make(chan struct{})}
	}
	first := one(0)
	for n := range maxStreams {
		st := first
		if n > 0 {
			st = one(n)
		}
		if !s.enter(st) {
			t.Fatal("full too early")
		}
	}
	if s.enter(one(maxStreams)) {
		t.Fatal("one too many")
	}
	s.leave(first)
	s.leave(first) // giving back twice frees one place
	if !s.enter(one(maxStreams)) {
		t.Fatal("a free place is not given away")
	}
	if s.enter(one(maxStreams + 1)) {
		t.Fatal("one place was given back twice")
	}
	s.close()
	s.close()
	s.leave(first)
	if s.enter(one(0)) {
		t.Fatal("a stream on a server that stops")
	}
}

// A stream gives its place back when its client goes away, however often.
func TestPlacesOfEventStreamsComeBack(t *testing.T) {
	r := newRig(t)
	r.s.pace = time.Millisecond
	addr := r.listen(Loopback)
	key := r.key(staff.Registrar)
	for range 3 {
		resp, s := r.events(addr, "Authorization", "Bearer "+key)
		next(t, s)
		_ = resp.Body.Close()
	}
	deadline := time.Now().Add(30 * time.Second)
	for n := 0; ; n++ {
		r.key(staff.Carrier) // a change, at which the stream finds its client gone
		r.s.streams.seats.mu.Lock()
		open := r.s.streams.seats.taken
		r.s.streams.seats.mu.Unlock()
		if open == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d streams are still open", open)
		}
		<-clock.System().After(50 * time.Millisecond)
	}
}
