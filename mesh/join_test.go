//go:build firstlight

package mesh

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

type applicant string

func (a applicant) Request() []byte { return []byte(a) }

// codeFor is what an invitation of n carries, as far as the mesh looks.
func (n *node) codeFor(addrs ...string) pinned {
	return pinned{addrs: addrs, pins: func(k ed25519.PublicKey) bool { return k.Equal(n.keys.key.Public()) }}
}

func isFault(t testing.TB, err error, class fault.Class, key string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Class != class || f.Key != key {
		t.Errorf("got %v, want %s %s", err, class, key)
	}
}

func TestJoinOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	a.keys.admit("secret")
	code := a.codeFor("127.0.0.1:1", a.addr) // the first address does not answer
	reply, err := join(context.Background(), code, applicant("secret"))
	if err != nil || string(reply) != "welcome" {
		t.Fatalf("%q %v", reply, err)
	}
	if a.book.enrolled != 1 {
		t.Error("the enrolment was not recorded")
	}
	_, err = join(context.Background(), code, applicant("secret"))
	isFault(t, err, fault.Conflict, "fault.identity.invitation_used")
	if fault.Of(err).Args["Minutes"] != 10.0 {
		t.Errorf("arguments %v", fault.Of(err).Args)
	}
	_, err = join(context.Background(), code, applicant("guess"))
	isFault(t, err, fault.Denied, "fault.identity.invitation_unknown")
	if a.mesh.Refusals() != 2 || len(a.mesh.Refused()) != 2 || a.mesh.Refused()[0].Key != "fault.identity.invitation_used" {
		t.Errorf("the inviter saw %+v", a.mesh.Refused())
	}
	if a.book.refused != 2 {
		t.Errorf("%d refusals recorded", a.book.refused)
	}
	if len(a.mesh.Peers()) != 1 {
		t.Errorf("the admitted node is not listed: %v", a.mesh.Peers())
	}
}

func TestJoinRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	a.keys.admit("secret")
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		wg.Go(func() { _, errs[i] = join(context.Background(), a.codeFor(a.addr), applicant("secret")) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("two joins with one invitation: %v", errs)
	}
}

func TestJoinFailsClearly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, other := w.start(t), w.start(t)
	_, err := join(context.Background(), a.codeFor("127.0.0.1:1"), applicant("x"))
	isFault(t, err, fault.Unavailable, "fault.mesh.unreachable")
	_, err = join(context.Background(), a.codeFor(), applicant("x"))
	isFault(t, err, fault.Unavailable, "fault.mesh.unreachable")
	_, err = join(context.Background(), a.codeFor(other.addr), applicant("x"))
	isFault(t, err, fault.Denied, "fault.mesh.wrong_node")
	a.keys.admit("y")
	a.book.fail = fault.New(fault.Full, "fault.oplog.disk_full")
	_, err = join(context.Background(), a.codeFor(a.addr), applicant("y"))
	isFault(t, err, fault.Full, "fault.oplog.disk_full")
	_, err = join(context.Background(), a.codeFor(a.addr), applicant(strings.Repeat("x", maxJoinRequest+1)))
	isFault(t, err, fault.Internal, "fault.mesh.join_interrupted")
}

func TestTooManyRequestsFromOneAddress(t *testing.T) {
	t.Parallel()
	r := rate{from: map[string]time.Duration{}}
	n := 0
	for r.allow("10.0.0.1", 0) {
		if n++; n > 100 {
			t.Fatal("no limit")
		}
	}
	if n != joinBurst || !r.allow("10.0.0.2", 0) || !r.allow("10.0.0.1", joinRefill) || r.allow("10.0.0.1", joinRefill) {
		t.Errorf("%d at once", n)
	}
}

func TestOversizedJoinRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	conn, err := dialPinned(context.Background(), a.addr, a.codeFor(a.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(clock.System().Now().Add(20 * time.Second))
	if _, err := conn.Write(binary.BigEndian.AppendUint16(nil, maxJoinRequest+1)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("answered with %d bytes", n)
	}
	if a.mesh.Refusals() != 0 {
		t.Error("a malformed request is no refusal")
	}
}

func TestRefusalsFromTheWireAreNotTrusted(t *testing.T) {
	t.Parallel()
	for in, ok := range map[string]bool{
		`{"class":"gone","key":"fault.identity.expired","args":{"Minutes":10}}`: true,
		`{"class":"gone","key":"<script>"}`:                                     false,
		`{"class":"gone","key":"fault.x"}`:                                      false,
		`nonsense`:                                                              false,
	} {
		var f *fault.Error
		if got := errors.As(unwireFault([]byte(in)), &f); got != ok {
			t.Errorf("%s: %v", in, got)
		}
	}
	err := unwireFault([]byte(`{"class":"gone","key":"fault.a.b","args":{"A":{"x":1},"B":"` + strings.Repeat("x", 200) + `","C":"ok"}}`))
	if args := fault.Of(err).Args; len(args) != 1 || args["C"] != "ok" {
		t.Errorf("args %v", args)
	}
}

func FuzzJoinAnswer(f *testing.F) {
	f.Add(joinAnswer(0, []byte("welcome")))
	f.Add(joinAnswer(1, wireFault(fault.New(fault.Gone, "fault.identity.expired", "Minutes", 10))))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		reply, err := readJoinAnswer(bytes.NewReader(b))
		if err == nil && len(reply) > maxJoinReply {
			t.Fatal("longer than allowed")
		}
		_, _ = readJoinRequest(bytes.NewReader(b))
	})
}
