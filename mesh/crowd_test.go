package mesh

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
)

// dialFrom connects from another address of this machine.
func dialFrom(t testing.TB, from, to string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp4", to)
	if err != nil {
		t.Skip("no second loopback address here:", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// inTime is a deadline that a peer who gives up after dialTime would call prompt.
func inTime() time.Time { return clock.System().Now().Add(dialTime * 2 / 3) }

// greetFrom makes an authenticated connection and reports how it went.
func greetFrom(t testing.TB, from, to string, cfg *tls.Config) error {
	t.Helper()
	c := dialFrom(t, from, to)
	_ = c.SetDeadline(inTime())
	return tls.Client(c, cfg).Handshake()
}

func TestSilentConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	node := as(t, w.keys(), protoExchange)
	for round, crowd := range [][]string{{"127.0.0.2"}, {"127.0.0.2", "127.0.0.3", "127.0.0.4"}} {
		for range maxWaitingFrom + 1 {
			for _, from := range crowd {
				dialFrom(t, from, a.addr)
			}
		}
		for _, from := range []string{"127.0.0.9", crowd[0]} {
			if err := greetFrom(t, from, a.addr, node); err != nil {
				t.Errorf("round %d, from %s: %v", round, from, err)
			}
		}
	}
}

// A peer that has begun is not pushed out by the many that come after it from
// elsewhere.
func TestCrowdDoesNotPushOutOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	one := dialFrom(t, "127.0.0.9", a.addr)
	for range maxWaiting {
		for _, from := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"} {
			dialFrom(t, from, a.addr)
		}
	}
	_ = one.SetDeadline(inTime())
	if err := tls.Client(one, as(t, w.keys(), protoExchange)).Handshake(); err != nil {
		t.Error(err)
	}
}

func TestSilenceIsCutShort(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	silent := dialFrom(t, "127.0.0.1", a.addr)
	guest := guestOf(t, a)
	for what, c := range map[string]net.Conn{"without a word": silent, "without a request": guest} {
		_ = c.SetReadDeadline(clock.System().Now().Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("%s: still there (%v)", what, err)
		}
	}
	wait(t, "both places are free again", func() bool { return len(waiting(a)) == 0 })
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

func waiting(n *node) []*caller {
	n.mesh.gate.mu.Lock()
	defer n.mesh.gate.mu.Unlock()
	return n.mesh.gate.callers
}

// guestOf has shaken hands with n as a node without a certificate, and says nothing more.
func guestOf(t testing.TB, n *node) net.Conn {
	t.Helper()
	c, err := dialPinned(context.Background(), n.addr, n.codeFor(n.addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestSilentGuestsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t, founding(w))
	first := guestOf(t, a)
	for range 2 * maxWaitingFrom {
		guestOf(t, a)
	}
	_ = first.SetReadDeadline(clock.System().Now().Add(joinReadTime / 2))
	if _, err := first.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the first of many is still there (%v)", err)
	}
	ctx, cancel := context.WithDeadline(context.Background(), inTime())
	defer cancel()
	if _, err := joinOnce(ctx, a.codeFor(a.addr), w.applicant()); err != nil {
		t.Error(err)
	}
}

// closing is a connection of which only the closing counts.
type closing struct {
	net.Conn
	gone bool
}

func (c *closing) Close() error { c.gone = true; return nil }

func TestGateLimits(t *testing.T) {
	t.Parallel()
	var g gate
	enter := func(host string, known bool) (*caller, *closing) {
		conn, a := &closing{}, netip.MustParseAddr(host)
		c := &caller{conn: conn, host: a, from: oneAddress(a), known: known}
		g.enter(c)
		return c, conn
	}
	first, firstConn := enter("10.0.0.1", false)
	for range maxWaitingFrom {
		enter("10.0.0.1", false)
	}
	if len(g.callers) != maxWaitingFrom || !firstConn.gone {
		t.Errorf("%d from one address", len(g.callers))
	}
	g.leave(first) // has gone already
	_, alone := enter("10.0.0.2", false)
	for i := range maxWaiting {
		enter(fmt.Sprintf("10.1.%d.%d", i%2, i%4), false)
	}
	if len(g.callers) != maxStrangers || alone.gone {
		t.Errorf("%d strangers", len(g.callers))
	}
	_, known := enter("10.0.0.3", true)
	for i := range maxWaiting {
		enter(fmt.Sprintf("10.2.0.%d", i), false)
		enter(fmt.Sprintf("10.3.0.%d", i%10), true)
	}
	if len(g.callers) != maxWaiting || known.gone {
		t.Errorf("%d in all", len(g.callers))
	}
}

func TestOneAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"10.0.0.1:5":             "10.0.0.1/32",
		"[::ffff:10.0.0.1]:5":    "10.0.0.1/32",
		"[2001:db8:1:2:3::4]:5":  "2001:db8:1:2::/64",
		"[fe80::1:2:3:4%eth0]:5": "fe80::1:2:3:4/128",
		"[fe81::9]:5":            "fe81::9/128",
	} {
		ap := netip.MustParseAddrPort(in)
		if got := oneAddress(hostOf(net.TCPAddrFromAddrPort(ap))).String(); got != want {
			t.Errorf("%s: %s, not %s", in, got, want)
		}
	}
}

func TestKnownHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t, seeded("10.7.0.1:5"))
	a.mesh.learnCards([][]byte{mustCard(t, w.keys(), "[2001:db8::7]:7946", "box.example:7946")}, nil)
	got := a.mesh.knownHosts()
	if len(got) != 2 || !got[netip.MustParseAddr("10.7.0.1")] || !got[netip.MustParseAddr("2001:db8::7")] {
		t.Errorf("%v", got)
	}
}

func mustCard(t testing.TB, k *keys, addrs ...string) []byte {
	t.Helper()
	c, err := makeCard(k, 1, addrs)
	if err != nil {
		t.Fatal(err)
	}
	return c.raw
}
