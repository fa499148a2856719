package mesh

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

type applicant string

func (a applicant) Request() []byte { return []byte(a) }

// codeFor is what an invitation of n carries, as far as the mesh looks.
func (n *node) codeFor(addrs ...string) pinned {
	return pinned{addrs: addrs, pins: func(k ed25519.PublicKey) bool {
		pub, ok := n.keys.Signer().Public().(ed25519.PublicKey)
		return ok && k.Equal(pub)
	}}
}

func isFault(t testing.TB, err error, class fault.Class, key string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Class != class || f.Key != key {
		t.Errorf("got %v, want %s %s", err, class, key)
	}
}

func TestJoinAndExchange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t, founding(w))
	a.log.writeN(50)
	inv, err := a.mesh.Invite(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	code, err := identity.ParseInvitation(inv.Code)
	if err != nil {
		t.Fatal(err)
	}
	app := w.holding(inv)
	reply, err := Join(context.Background(), code, app)
	if err != nil {
		t.Fatal(err)
	}
	if a.book.enrolled != 1 || len(a.mesh.Peers()) != 1 || a.mesh.Peers()[0].State != Away {
		t.Errorf("enrolled %d, peers %+v", a.book.enrolled, a.mesh.Peers())
	}
	if again, err := Join(context.Background(), code, app); err != nil || len(again) == 0 {
		t.Errorf("the same node asking again, its answer lost: %v", err)
	}
	dir := t.TempDir()
	v, err := app.Accept(dir, clock.System(), reply, "Second", passphrase())
	if err != nil {
		t.Fatal(err)
	}
	if err := Remember(dir, code.Addrs...); err != nil {
		t.Fatal(err)
	}
	b := &node{t: t, log: newMemLog(), keys: keysOf(v), book: &book{}, dir: dir}
	b.again()
	wait(t, "the new node holds everything", func() bool { return same(a.log, b.log) })
	if x, y := a.peer(b).Words, b.peer(a).Words; len(x) != 5 || strings.Join(x, " ") != strings.Join(y, " ") {
		t.Errorf("words %v and %v", x, y)
	}
}

func TestInvitationWorksOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t, founding(w))
	inv, err := a.mesh.Invite(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	code := a.codeFor("127.0.0.1:1", a.addr) // the first address does not answer
	if _, err := join(context.Background(), code, w.holding(inv)); err != nil {
		t.Fatal(err)
	}
	_, err = join(context.Background(), code, w.holding(inv))
	isFault(t, err, fault.Conflict, "fault.identity.invitation_used")
	_, err = join(context.Background(), code, applicant("guess"))
	isFault(t, err, fault.Invalid, "fault.identity.bad_request")
	if a.mesh.Refusals() != 2 || len(a.mesh.Refused()) != 2 || a.mesh.Refused()[0].Key != "fault.identity.invitation_used" {
		t.Errorf("the inviter saw %+v", a.mesh.Refused())
	}
	if a.book.refused != 2 {
		t.Errorf("%d refusals told to the register", a.book.refused)
	}
}

func TestJoinRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t, founding(w))
	inv, err := a.mesh.Invite(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		app := w.holding(inv)
		wg.Go(func() { _, errs[i] = join(context.Background(), a.codeFor(a.addr), app) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("two joins with one invitation: %v", errs)
	}
}

func TestJoinFailsClearly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, other := w.start(t, founding(w)), w.start(t)
	_, err := join(context.Background(), a.codeFor("127.0.0.1:1"), applicant("x"))
	isFault(t, err, fault.Unavailable, "fault.mesh.unreachable")
	_, err = join(context.Background(), a.codeFor(), applicant("x"))
	isFault(t, err, fault.Unavailable, "fault.mesh.unreachable")
	_, err = join(context.Background(), a.codeFor(other.addr), applicant("x"))
	isFault(t, err, fault.Denied, "fault.mesh.wrong_node")
	a.book.fail = fault.New(fault.Full, "fault.oplog.disk_full", "MB", 12)
	_, err = join(context.Background(), a.codeFor(a.addr), w.applicant())
	isFault(t, err, fault.Full, "fault.oplog.disk_full")
	if fault.Of(err).Args["MB"] != 12.0 {
		t.Errorf("arguments %v", fault.Of(err).Args)
	}
}

// TestLostAnswerIsAskedForAgain: the first connection breaks before the answer.
func TestLostAnswerIsAskedForAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t, founding(w))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		creds, err := newCredentials(w.founder, (&book{}).Outcast)
		if err != nil {
			return
		}
		c, err := l.Accept()
		if err != nil {
			return
		}
		conn := tls.Server(c, creds.server)
		_, _ = readJoinRequest(conn)
		_ = conn.Close()
		_ = l.Close()
	}()
	if _, err := join(context.Background(), a.codeFor(l.Addr().String(), a.addr), w.applicant()); err != nil {
		t.Fatal(err)
	}
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
