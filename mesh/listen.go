package mesh

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

// Limits before anybody has proved anything.
const (
	maxHandshakes  = 8  // at once
	maxWaiting     = 64 // connections not yet authenticated, waiting ones included
	maxWaitingFrom = 24 // of these, from one address
	handshakeTime  = 5 * time.Second
	maxLinks       = 512
	maxLinksAPeer  = 4
)

// listenBoth opens one TCP port and the UDP port of the same number. Faults:
// Conflict "fault.mesh.port_taken", Invalid "fault.mesh.bad_address".
func listenBoth(listen string) (net.Listener, *net.UDPConn, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, nil, fault.New(fault.Invalid, "fault.mesh.bad_address", "Address", listen).Wrap(err)
	}
	tries := 1
	if port == "0" {
		tries = 50 // a free TCP port may be taken for UDP
	}
	for range tries {
		var tcp net.Listener
		if tcp, err = net.Listen("tcp", listen); err != nil {
			break
		}
		number := tcp.Addr().(*net.TCPAddr).Port
		var udp net.PacketConn
		if udp, err = net.ListenPacket("udp", net.JoinHostPort(host, strconv.Itoa(number))); err == nil {
			return tcp, udp.(*net.UDPConn), nil
		}
		_ = tcp.Close()
	}
	return nil, nil, fault.New(fault.Conflict, "fault.mesh.port_taken", "Address", listen).Wrap(err)
}

// counted is a TCP connection that knows how much went through it, TLS included.
type counted struct {
	net.Conn
	in, out atomic.Uint64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Add(uint64(n))
	return n, err
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.out.Add(uint64(n))
	return n, err
}

// gate keeps count of connections that have not proved who they are.
type gate struct {
	mu    sync.Mutex
	total int
	from  map[string]int
	slots chan struct{}
}

func newGate() *gate {
	return &gate{from: map[string]int{}, slots: make(chan struct{}, maxHandshakes)}
}

func (g *gate) enter(host string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= maxWaiting || g.from[host] >= maxWaitingFrom {
		return false
	}
	g.total++
	g.from[host]++
	return true
}

func (g *gate) leave(host string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.from[host]--; g.from[host] <= 0 {
		delete(g.from, host)
	}
}

// acceptLoop takes connections until the listener closes.
func (m *Mesh) acceptLoop() {
	for {
		c, err := m.tcp.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || m.ctx.Err() != nil {
				return
			}
			// Out of file descriptors or the like: wait for better times.
			m.quiet.warn("mesh cannot accept", "err", err)
			if !m.sleep(200 * time.Millisecond) {
				return
			}
			continue
		}
		host := hostOf(c.RemoteAddr())
		if !m.gate.enter(host) {
			_ = c.Close()
			continue
		}
		if !m.goDo(func() { m.welcome(c, host) }) {
			m.gate.leave(host)
			_ = c.Close()
		}
	}
}

// welcome lets one connection authenticate and hands it to what it asked for.
func (m *Mesh) welcome(c net.Conn, host string) {
	conn, raw, err := m.handshake(c)
	m.gate.leave(host)
	if err != nil {
		_ = c.Close()
		m.quiet.debug("mesh refused a connection", "err", err)
		return
	}
	switch conn.ConnectionState().NegotiatedProtocol {
	case protoExchange:
		cert, err := peerCert(conn.ConnectionState(), m.creds.root)
		if err != nil {
			_ = conn.Close()
			return
		}
		m.runLink(conn, raw, cert, "")
	case protoGossip:
		m.transport.receive(conn)
	case protoJoin:
		m.serveJoin(conn, host)
	default:
		_ = conn.Close()
	}
}

// handshake proves both sides within the limits of the gate.
func (m *Mesh) handshake(c net.Conn) (*tls.Conn, *counted, error) {
	ctx, cancel := context.WithTimeout(m.ctx, handshakeTime)
	defer cancel()
	select {
	case m.gate.slots <- struct{}{}:
		defer func() { <-m.gate.slots }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	raw := &counted{Conn: c}
	conn := tls.Server(raw, m.creds.server)
	return conn, raw, conn.HandshakeContext(ctx)
}

// hostOf is the address without port and zone brackets.
func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}
