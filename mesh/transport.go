package mesh

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Limits of what reaches memberlist: it buffers up to 20 MB a stream by itself.
const (
	maxStreams  = 8
	streamBytes = 1 << 20
	streamTime  = 10 * time.Second
	packetQueue = 128
)

// transport lets memberlist use the mesh's one port: packets over its UDP side,
// streams over mutually authenticated TLS.
type transport struct {
	m       *Mesh
	sieve   *sieve
	packets chan *memberlist.Packet
	traffic gossipTraffic
	streams chan net.Conn

	mu     sync.Mutex
	open   map[*stream]struct{}
	inward int
	closed bool
	routes map[string]string // memberlist name -> where its node's exchange link says it is
}

// gossipTraffic counts what memberlist sends, and of streams opened here both
// directions, TLS included. IP, UDP and TCP headers are not.
type gossipTraffic struct {
	packets, packetBytes, streams, streamBytes atomic.Uint64
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

func newTransport(m *Mesh, keys [][32]byte) (*transport, error) {
	s, err := newSieve(keys...)
	return &transport{
		m: m, sieve: s, packets: make(chan *memberlist.Packet, packetQueue), streams: make(chan net.Conn, maxStreams),
		open: map[*stream]struct{}{}, routes: map[string]string{},
	}, err
}

// FinalAdvertiseAddr is the first address we tell others that is an IP address;
// memberlist knows only one, the routes know better.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	for _, a := range advertised(t.m.advertise, t.m.tcp.Addr().(*net.TCPAddr)) {
		if ap, err := netip.ParseAddrPort(a); err == nil {
			return net.IP(ap.Addr().AsSlice()), int(ap.Port()), nil
		}
	}
	return net.IPv4(127, 0, 0, 1), t.m.tcp.Addr().(*net.TCPAddr).Port, nil
}

func (t *transport) route(a memberlist.Address) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r, ok := t.routes[a.Name]; ok && a.Name != "" {
		return r
	}
	return a.Addr
}

// learn and forget keep the routes in step with the exchange links.
func (t *transport) learn(name, addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if addr != "" {
		t.routes[name] = addr
	}
}

func (t *transport) forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.routes, name)
}

// WriteTo sends a packet.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress sends a packet to where the named member was last reached.
func (t *transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	ap, err := netip.ParseAddrPort(t.route(a))
	if err != nil {
		return time.Time{}, err
	}
	t.m.pace.debit(nil, len(b))
	t.traffic.packets.Add(1)
	t.traffic.packetBytes.Add(uint64(len(b)))
	_, err = t.m.udp.WriteToUDPAddrPort(b, ap)
	return t.m.clock.Now(), err
}

// PacketCh is where memberlist reads packets.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh is where memberlist reads streams.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// DialTimeout opens a stream.
func (t *transport) DialTimeout(addr string, d time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, d)
}

// DialAddressTimeout opens a stream to a node of this deployment.
func (t *transport) DialAddressTimeout(a memberlist.Address, d time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.m.ctx, min(d, dialTime))
	defer cancel()
	tcp, err := t.m.dialTCP(ctx, t.route(a))
	if err != nil {
		return nil, err
	}
	c := &counted{Conn: tcp}
	conn := tls.Client(c, t.m.creds.client(protoGossip))
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	s := &stream{Conn: conn, t: t, kinds: gossipSays, raw: c}
	if !t.add(s) {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	return s, nil
}

// receive hands an authenticated stream to memberlist, within the limits.
func (t *transport) receive(conn net.Conn) {
	_ = conn.SetDeadline(t.m.clock.Now().Add(streamTime))
	s := &stream{Conn: conn, t: t, kinds: gossipAsks, inward: true}
	if !t.add(s) {
		_ = conn.Close()
		return
	}
	select {
	case t.streams <- s:
	case <-t.m.ctx.Done():
		_ = s.Close()
	}
}

func (t *transport) add(s *stream) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || s.inward && t.inward >= maxStreams {
		return false
	}
	if s.inward {
		t.inward++
	}
	t.open[s] = struct{}{}
	return true
}

func (t *transport) remove(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.open[s]; ok {
		delete(t.open, s)
		if s.raw != nil {
			t.traffic.streams.Add(1)
			t.traffic.streamBytes.Add(s.raw.in.Load() + s.raw.out.Load())
		}
		if s.inward {
			t.inward--
		}
	}
}

// Shutdown closes the UDP side and every stream.
func (t *transport) Shutdown() error {
	t.mu.Lock()
	t.closed = true
	open := make([]*stream, 0, len(t.open))
	for s := range t.open {
		open = append(open, s)
	}
	t.mu.Unlock()
	for _, s := range open {
		_ = s.Close()
	}
	return t.m.udp.Close()
}

// packetLoop reads packets and drops what the sieve holds back. A full queue drops
// too: gossip is repeated.
func (m *Mesh) packetLoop() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := m.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			if m.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			if !m.sleep(50 * time.Millisecond) {
				return
			}
			continue
		}
		if err := m.transport.sieve.packet(buf[:n], m.elapsed()); err != nil {
			if errors.Is(err, errGossip) {
				m.quiet.debug("mesh refused a gossip packet", "from", from)
			}
			continue
		}
		p := &memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: net.UDPAddrFromAddrPort(from), Timestamp: m.clock.Now()}
		select {
		case m.transport.packets <- p:
		default:
		}
	}
}

// stream is a gossip connection on which either end says one thing.
type stream struct {
	net.Conn
	t      *transport
	kinds  []byte // what the other end may say
	inward bool
	raw    *counted // of a stream opened here

	// Used by the one goroutine that reads.
	rest  []byte // of the frame that passed the sieve
	ended error  // what Read answers when nothing is left
}

// Read gives memberlist the other end's frame, once all of it has come and passed
// the sieve, and nothing after it.
func (s *stream) Read(b []byte) (int, error) {
	if s.ended == nil {
		if s.rest, s.ended = s.t.sieve.frame(s.Conn, s.kinds); s.ended == nil {
			s.ended = io.EOF
		} else if errors.Is(s.ended, errGossip) {
			s.t.m.quiet.debug("mesh refused a gossip stream", "from", s.RemoteAddr())
		}
	}
	if len(s.rest) == 0 {
		return 0, s.ended
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Write counts what memberlist says; it does not wait.
func (s *stream) Write(b []byte) (int, error) {
	s.t.m.pace.debit(nil, len(b))
	return s.Conn.Write(b)
}

// Close is net.Conn's.
func (s *stream) Close() error {
	s.t.remove(s)
	return s.Conn.Close()
}
