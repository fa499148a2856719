package mesh

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Limits of what reaches memberlist: it buffers up to 20 MB a stream by itself.
const (
	maxStreams    = 8
	streamBytes   = 1 << 20
	streamTime    = 10 * time.Second
	packetQueue   = 128
	leastPacket   = 1 + 12 + 16 + 1 // version, nonce, tag and one byte: AES-GCM as memberlist frames it
	packetVersion = 1               // memberlist's encryption version without padding; 0 is the old one
)

// transport lets memberlist use the mesh's one port: packets over its UDP side,
// streams over mutually authenticated TLS.
type transport struct {
	m       *Mesh
	packets chan *memberlist.Packet
	streams chan net.Conn

	mu     sync.Mutex
	open   map[*stream]struct{}
	inward int
	closed bool
	routes map[string]string // memberlist name -> where its node's exchange link says it is
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

func newTransport(m *Mesh) *transport {
	return &transport{
		m: m, packets: make(chan *memberlist.Packet, packetQueue), streams: make(chan net.Conn, maxStreams),
		open: map[*stream]struct{}{}, routes: map[string]string{},
	}
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
	c, err := t.m.dialTCP(ctx, t.route(a))
	if err != nil {
		return nil, err
	}
	conn := tls.Client(c, t.m.creds.client(protoGossip))
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	s := &stream{Conn: conn, t: t, left: streamBytes}
	if !t.add(s) {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	return s, nil
}

// receive hands an authenticated stream to memberlist, within the limits.
func (t *transport) receive(conn *tls.Conn) {
	_ = conn.SetDeadline(t.m.clock.Now().Add(streamTime))
	s := &stream{Conn: conn, t: t, left: streamBytes, inward: true}
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

// packetLoop reads packets and drops what cannot be one of ours before memberlist
// sees it. A full queue drops too: gossip is repeated.
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
		if n < leastPacket || buf[0] != packetVersion {
			continue
		}
		p := &memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: net.UDPAddrFromAddrPort(from), Timestamp: m.clock.Now()}
		select {
		case m.transport.packets <- p:
		default:
		}
	}
}

// stream is a gossip connection that may carry only so much.
type stream struct {
	net.Conn
	t      *transport
	left   int // bytes it may still read; read by one goroutine at a time
	inward bool
}

var errStream = errors.New("mesh: gossip stream over its limit")

// Read is net.Conn's, within the limit.
func (s *stream) Read(b []byte) (int, error) {
	if s.left <= 0 {
		return 0, errStream
	}
	n, err := s.Conn.Read(b[:min(len(b), s.left)])
	s.left -= n
	return n, err
}

// Close is net.Conn's.
func (s *stream) Close() error {
	s.t.remove(s)
	return s.Conn.Close()
}
