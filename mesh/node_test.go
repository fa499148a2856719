package mesh

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
)

// node is one appliance of a test.
type node struct {
	t    testing.TB
	mesh *Mesh
	log  *memLog
	keys *keys
	book *book
	dir  string
	addr string // what others dial
}

type nodeOption func(*Config, *node)

func founding(w *world) nodeOption {
	return func(c *Config, n *node) { n.keys = w.founder; c.Vault = w.founder }
}
func advertising(a string) nodeOption { return func(c *Config, _ *node) { c.Advertise = a } }
func listening(a string) nodeOption   { return func(c *Config, _ *node) { c.Listen = a } }
func seeded(addrs ...string) nodeOption {
	return func(c *Config, n *node) {
		if err := Remember(c.Dir, addrs...); err != nil {
			n.t.Fatal(err)
		}
	}
}

func testLogger() *slog.Logger {
	if os.Getenv("MESH_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// start starts a node of w; again restarts n with what it has on disk.
func (w *world) start(t testing.TB, opts ...nodeOption) *node {
	t.Helper()
	n := &node{t: t, log: newMemLog(), keys: w.keys(), book: &book{}, dir: t.TempDir()}
	n.again(opts...)
	return n
}

func (n *node) again(opts ...nodeOption) {
	n.t.Helper()
	c := Config{Vault: n.keys, Log: n.log, Desk: n.book, Clock: clock.System(), Listen: "127.0.0.1:0", Dir: n.dir,
		Logger: testLogger().With("at", n.keys.cert.Number)}
	for _, o := range opts {
		o(&c, n)
	}
	m, err := Start(context.Background(), c)
	if err != nil {
		n.t.Fatal(err)
	}
	n.mesh = m
	m.mu.Lock()
	n.addr = m.card.addrs[0]
	m.mu.Unlock()
	n.t.Cleanup(n.close)
}

func (n *node) close() {
	if err := n.mesh.Close(); err != nil {
		n.t.Error(err)
	}
}

// linked reports whether n has a working link with each of the others.
func (n *node) linked(others ...*node) bool {
	n.mesh.mu.Lock()
	defer n.mesh.mu.Unlock()
	for _, o := range others {
		p := n.mesh.peers[o.keys.NodeID()]
		if p == nil || !p.linked() || !p.links[0].whole {
			return false
		}
	}
	return true
}

func (n *node) peer(o *node) Peer {
	for _, p := range n.mesh.Peers() {
		if p.Node == o.keys.NodeID() {
			return p
		}
	}
	return Peer{}
}

// wait polls until ok or a generous deadline.
func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	c := clock.System()
	end := c.Now().Add(40 * time.Second)
	for !ok() {
		if c.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		<-c.After(2 * time.Millisecond)
	}
}

// relay stands before a node's port, TCP and UDP, and can hold everything back as
// a cut cable does: connections stay open and nothing passes.
type relay struct {
	t      testing.TB
	target string
	tcp    net.Listener
	udp    *net.UDPConn
	mu     sync.Mutex
	pass   chan struct{} // closed while things pass
	conns  []net.Conn
	pipes  atomic.Int32 // directions that are open
}

func newRelay(t testing.TB) *relay {
	t.Helper()
	tcp, udp, err := listenBoth("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{t: t, tcp: tcp, udp: udp, pass: make(chan struct{})}
	close(r.pass)
	t.Cleanup(r.close)
	return r
}

func (r *relay) addr() string { return r.tcp.Addr().String() }

// to starts relaying to target.
func (r *relay) to(target string) {
	r.target = target
	go r.accept()
	go r.packets()
}

func (r *relay) gate() chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pass
}

func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pass = make(chan struct{})
}

func (r *relay) heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.pass:
	default:
		close(r.pass)
	}
}

func (r *relay) keep(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, c)
}

func (r *relay) close() {
	r.heal()
	_ = r.tcp.Close()
	_ = r.udp.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
}

func (r *relay) accept() {
	for {
		in, err := r.tcp.Accept()
		if err != nil {
			return
		}
		r.keep(in)
		go func() {
			<-r.gate()
			out, err := net.Dial("tcp", r.target)
			if err != nil {
				_ = in.Close()
				return
			}
			r.keep(out)
			go r.pipe(in, out)
			r.pipe(out, in)
		}()
	}
}

func (r *relay) pipe(to, from net.Conn) {
	r.pipes.Add(1)
	defer r.pipes.Add(-1)
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		<-r.gate()
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (r *relay) packets() {
	target, err := net.ResolveUDPAddr("udp", r.target)
	if err != nil {
		return
	}
	buf := make([]byte, 64<<10)
	for {
		n, _, err := r.udp.ReadFromUDP(buf)
		if err != nil {
			return
		}
		select {
		case <-r.gate():
			_, _ = r.udp.WriteToUDP(buf[:n], target)
		default:
		}
	}
}

// behind starts a node that others reach through a relay only.
func (w *world) behind(t testing.TB, opts ...nodeOption) (*node, *relay) {
	t.Helper()
	r := newRelay(t)
	n := w.start(t, append(opts, advertising(r.addr()))...)
	r.to(n.mesh.Addr())
	return n, r
}

func (n *node) String() string { return fmt.Sprint(n.keys.cert.Number) }
