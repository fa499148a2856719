package ui

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// queue is a listener that hands out prepared connections.
type queue struct {
	net.Listener
	conns []net.Conn
}

func (q *queue) Accept() (net.Conn, error) {
	if len(q.conns) == 0 {
		return nil, errors.New("no more")
	}
	c := q.conns[0]
	q.conns = q.conns[1:]
	return c, nil
}

// dialled is a connection from somewhere that notes its end.
type dialled struct {
	net.Conn
	addr   net.Addr
	mu     sync.Mutex
	closed bool
}

func (d *dialled) ended() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

func (d *dialled) RemoteAddr() net.Addr { return d.addr }

func (d *dialled) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}

func from(addr string) *dialled {
	return &dialled{addr: &net.TCPAddr{IP: net.ParseIP(addr), Port: 1}}
}

func TestNobodyTakesAllConnections(t *testing.T) {
	near := []netip.Prefix{netip.MustParsePrefix("fd01::/64")}
	for _, tt := range []struct {
		name  string
		addrs []string
		want  []bool
	}{
		{"one address", []string{"10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2"}, []bool{true, true, false, true}},
		{"a network of IPv6 we stand in", []string{"fd01::1", "fd01::1", "fd01::1", "fd01::2", "fd01::3", "fd00::1"}, []bool{true, true, false, true, false, true}},
		{"the link", []string{"fe80::1", "fe80::1", "fe80::1", "fe80::2", "fe80::3", "fd00::1"}, []bool{true, true, false, true, false, true}},
		{"one network of IPv6", []string{"fd00::1", "fd00::2", "fd00::3", "fd00:0:0:1::1"}, []bool{true, true, false, true}},
		{"IPv4 in IPv6", []string{"::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1"}, []bool{true, true, false}},
		{"this machine", []string{"127.0.0.1", "127.0.0.1", "::1", "127.0.0.1", "127.0.0.1", "127.0.0.1"}, []bool{true, true, true, true, false, false}},
		{"all", []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}, []bool{true, true, true, true, true, false}},
	} {
		var conns []*dialled
		q := &queue{}
		for _, a := range tt.addrs {
			conns = append(conns, from(a))
			q.conns = append(q.conns, conns[len(conns)-1])
		}
		l := limitConns(q, slog.New(slog.DiscardHandler)).(*limited)
		l.perAddress, l.perNetwork, l.here, l.ours, l.seats.most = 2, 3, 4, func() []netip.Prefix { return near }, 5
		taken := map[net.Conn]net.Conn{}
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			taken[c.(*counted).Conn] = c
		}
		for i, c := range conns {
			if _, ok := taken[c]; ok != tt.want[i] || c.ended() == tt.want[i] {
				t.Errorf("%s: connection %d taken %v, closed %v", tt.name, i, ok, c.ended())
			}
		}
		for _, c := range taken {
			_ = c.Close()
			_ = c.Close() // a second close gives no second place
		}
		if l.seats.taken != 0 || len(l.seats.by) != 0 {
			t.Errorf("%s: left %d %v", tt.name, l.seats.taken, l.seats.by)
		}
	}
}

// roomless is a listener of a machine without room, as often as it is told.
type roomless struct {
	net.Listener
	errs []error
	next net.Conn
}

func (s *roomless) Accept() (net.Conn, error) {
	if len(s.errs) > 0 {
		err := s.errs[0]
		s.errs = s.errs[1:]
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
	}
	return s.next, nil
}

func (s *roomless) Close() error { return nil }

// Too many open files is no reason to stop serving: the server behind it ends at the
// first error.
func TestAMachineWithoutRoomGoesOnListening(t *testing.T) {
	log := &syncBuffer{}
	want := from("10.0.0.1")
	s := &roomless{errs: []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED}, next: want}
	l := limitConns(s, slog.New(slog.NewTextHandler(log, nil))).(*limited)
	l.pause = time.Microsecond
	conn, err := l.Accept()
	if err != nil || conn.(*counted).Conn != want {
		t.Fatalf("%v %v", conn, err)
	}
	if got := log.String(); len(got) == 0 || len(got) > 200 {
		t.Errorf("not one line: %q", got)
	}
	s.errs = []error{syscall.EBADF}
	if _, err := l.Accept(); !errors.Is(err, syscall.EBADF) {
		t.Fatalf("another error: %v", err)
	}
	s.errs = []error{syscall.EMFILE}
	l.pause = time.Hour
	done := make(chan error)
	go func() { _, err := l.Accept(); done <- err }()
	must(t, l.Close())
	must(t, l.Close())
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Fatalf("closed while it waits: %v", err)
	}
}

func TestOurNetworks(t *testing.T) {
	for _, p := range ourNetworks() {
		if p.Bits() != 64 || !p.Addr().Is6() || p.Masked() != p {
			t.Error(fmt.Sprint(p))
		}
	}
}

// TestACrowdMakesRoomForOneMore: all places are taken by a few, and somebody new comes.
func TestACrowdMakesRoomForOneMore(t *testing.T) {
	q := &queue{}
	var conns []*dialled
	for _, a := range []string{"10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.3", "10.0.0.2"} {
		conns = append(conns, from(a))
		q.conns = append(q.conns, conns[len(conns)-1])
	}
	l := limitConns(q, slog.New(slog.DiscardHandler)).(*limited)
	l.perAddress, l.seats.most = 3, 5
	var taken []net.Conn
	for {
		c, err := l.Accept()
		if err != nil {
			break
		}
		taken = append(taken, c)
	}
	if len(taken) != 6 || taken[5].(*counted).Conn != conns[5] {
		t.Fatalf("%d got a place", len(taken))
	}
	until(t, "the oldest of the crowd is closed", func() bool { return conns[0].ended() })
	for i, want := range []bool{true, false, false, false, false, false, true} { // the last is of a crowd itself
		if conns[i].ended() != want {
			t.Errorf("connection %d ended: %v", i, !want)
		}
	}
	for _, c := range taken {
		_ = c.Close()
	}
	if l.seats.taken != 0 || len(l.open) != 0 {
		t.Errorf("%d places and %d lists are left", l.seats.taken, len(l.open))
	}
}
