package mesh

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

// Limits before anybody has proved anything.
const (
	maxWaiting     = 64                      // connections not yet authenticated
	maxStrangers   = 48                      // of these, from addresses where no node is known
	maxWaitingFrom = 24                      // and from one address
	clientHello    = 1500 * time.Millisecond // one lost packet is sent again after a second (RFC 6298)
	handshakeTime  = dialTime                // the other side waits no longer either
	knownFor       = 2 * time.Second         // how long a list of known addresses is good
	maxLinks       = 512
	maxLinksAPeer  = 4
)

// listenTCP opens a port whose connections the system does not keep alive: the exchange pings
// by itself, and so seldom that the system's four probes a minute were most of what idle links
// under the low profile said.
func listenTCP(listen string) (net.Listener, error) {
	return (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), "tcp", listen)
}

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
		if tcp, err = listenTCP(listen); err != nil {
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

// caller is a connection that has not proved who it is.
type caller struct {
	conn  net.Conn
	host  netip.Addr
	from  netip.Prefix // what counts as one address
	known bool         // a node was reached or announced there
}

// gate holds the connections that have not proved who they are. When there is no
// room the newcomer gets a place and an old one loses it: somebody honest needs a
// place for a moment only, so silence never keeps anybody out.
type gate struct {
	mu      sync.Mutex
	callers []*caller // the oldest first
}

// enter gives c a place, and closes another caller if need be.
func (g *gate) enter(c *caller) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from, strangers := 0, 0
	for _, o := range g.callers {
		if o.from == c.from {
			from++
		}
		if !o.known {
			strangers++
		}
	}
	switch {
	case from >= maxWaitingFrom:
		g.drop(func(o *caller) bool { return o.from == c.from })
	case !c.known && strangers >= maxStrangers:
		g.drop(func(o *caller) bool { return !o.known })
	case len(g.callers) >= maxWaiting:
		g.drop(func(o *caller) bool { return !o.known || strangers == 0 })
	}
	g.callers = append(g.callers, c)
}

// drop closes the oldest of the most crowded address among those that may go, so
// that many connections from one place do not push out a single one from another.
func (g *gate) drop(may func(*caller) bool) {
	crowd := map[netip.Prefix]int{}
	for _, o := range g.callers {
		crowd[o.from]++
	}
	worst := -1
	for i, o := range g.callers {
		if may(o) && (worst < 0 || crowd[o.from] > crowd[g.callers[worst].from]) {
			worst = i
		}
	}
	if worst >= 0 {
		_ = g.callers[worst].conn.Close()
		g.callers = slices.Delete(g.callers, worst, worst+1)
	}
}

// leave gives the place of c back; it may have lost it already.
func (g *gate) leave(c *caller) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.callers = slices.DeleteFunc(g.callers, func(o *caller) bool { return o == c })
}

// oneAddress is what counts as one address: an IPv6 host may give itself any
// number of them below its /64. Link-local ones count singly, because there the
// whole local network shares one /64.
func oneAddress(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() && !a.IsLinkLocalUnicast() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // fails for the zero address only
	return p
}

// hostOf is the IP address at the other end, in one spelling; zero when there is none.
func hostOf(a net.Addr) netip.Addr {
	ap, _ := netip.ParseAddrPort(a.String())
	return ap.Addr().Unmap().WithZone("")
}

// knownHosts are the addresses where nodes were reached or have announced themselves.
func (m *Mesh) knownHosts() map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	add := func(addr string) {
		if ap, err := netip.ParseAddrPort(addr); err == nil {
			out[ap.Addr().Unmap().WithZone("")] = true
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.peers {
		for _, a := range p.addrs() {
			add(a)
		}
	}
	for a := range m.seeds {
		add(a)
	}
	return out
}

// acceptLoop takes connections until the listener closes.
func (m *Mesh) acceptLoop() {
	known, asked := m.knownHosts(), m.elapsed()
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
		if now := m.elapsed(); now-asked >= knownFor {
			known, asked = m.knownHosts(), now
		}
		p := &caller{conn: c, host: hostOf(c.RemoteAddr())}
		p.from = oneAddress(p.host)
		if p.known = known[p.host]; p.known {
			p.from = netip.PrefixFrom(p.host, p.host.BitLen()) // its neighbours do not count against it
		}
		m.gate.enter(p)
		if !m.goDo(func() { m.welcome(p) }) {
			m.gate.leave(p)
			_ = c.Close()
		}
	}
}

// welcome lets one connection authenticate and hands it to what it asked for.
func (m *Mesh) welcome(p *caller) {
	conn, raw, err := m.handshake(p)
	if err != nil || conn.ConnectionState().NegotiatedProtocol != protoJoin {
		m.gate.leave(p) // a guest has proved nothing yet
	}
	if err != nil {
		_ = p.conn.Close()
		m.quiet.debug("mesh refused a connection", "err", err)
		return
	}
	switch conn.ConnectionState().NegotiatedProtocol {
	case protoExchange:
		cert, err := peerCert(conn.ConnectionState(), m.root)
		if err != nil {
			_ = conn.Close()
			return
		}
		m.runLine(conn, raw, cert, "")
	case protoGossip:
		m.transport.receive(conn)
	case protoJoin:
		m.serveJoin(conn, p)
	default:
		_ = conn.Close()
	}
}

// handshake proves both sides. The first message has to come soon: whoever has
// something to say says it at once.
func (m *Mesh) handshake(p *caller) (*tls.Conn, *counted, error) {
	ctx, cancel := context.WithTimeout(m.ctx, handshakeTime)
	defer cancel()
	if err := p.conn.SetReadDeadline(m.clock.Now().Add(clientHello)); err != nil {
		return nil, nil, err
	}
	raw := &counted{Conn: p.conn}
	conn := tls.Server(raw, &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			if err := p.conn.SetReadDeadline(time.Time{}); err != nil { // ctx sets the limit from here
				return nil, err
			}
			return m.creds.server.GetConfigForClient(h)
		},
	})
	return conn, raw, conn.HandshakeContext(ctx)
}
