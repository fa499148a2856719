package ui

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/waypost/waypost/appliance/clock"
)

// Connections somebody may hold open at a time. A browser opens six to a host;
// several phones behind one address are rare in a camp's own network. The total
// stays under what Fiber takes, so that a full house is turned away here, where
// it costs nothing.
const (
	connsPerAddress = 32
	connsPerNetwork = 256 // a /64 of IPv6 that is a network of many devices
	connsTotal      = concurrency - 16
	connsHere       = connsTotal // from this machine and over a socket: programs open many at once
)

// acceptPause is how long to wait when the machine has no room for a connection.
const acceptPause = 200 * time.Millisecond

// limitConns wraps a listener so that no single address can take all connections, nor
// several together keep somebody else out: when all places are taken, the oldest
// connection of the most crowded address makes room for a newcomer from a quieter one.
// Connections past the limit of their own address are closed at once.
func limitConns(ln net.Listener, logger *slog.Logger) net.Listener {
	return &limited{
		Listener: ln, logger: logger, seats: newSeats(connsTotal), done: make(chan struct{}), pause: acceptPause, ours: ourNetworks,
		perAddress: connsPerAddress, perNetwork: connsPerNetwork, here: connsHere, open: map[string][]*counted{},
	}
}

type limited struct {
	net.Listener
	logger                       *slog.Logger
	seats                        *seats
	perAddress, perNetwork, here int
	pause                        time.Duration
	ours                         func() []netip.Prefix

	closing sync.Once
	done    chan struct{}

	mu   sync.Mutex
	open map[string][]*counted // by who they count for first, the oldest first
}

// Accept waits for the next connection within the limits. A machine that is out of
// file descriptors or memory gets better when clients leave: that is waited for,
// because for the server an error here is the end.
func (l *limited) Accept() (net.Conn, error) {
	short := false
	for {
		conn, err := l.Listener.Accept()
		switch {
		case err != nil && !passes(err):
			return nil, err
		case err != nil:
			if !short {
				l.logger.Warn("cannot take a connection", "err", err)
			}
			short = true
			select {
			case <-clock.System().After(l.pause):
			case <-l.done:
				return nil, net.ErrClosed
			}
			continue
		}
		short = false
		shares := l.shares(conn)
		if l.seats.enter(shares...) || l.makeRoom(shares[0].who) && l.seats.enter(shares...) {
			return l.seat(conn, shares), nil
		}
		_ = conn.Close()
	}
}

// seat notes a connection that has its place.
func (l *limited) seat(conn net.Conn, shares []share) *counted {
	c, who := &counted{Conn: conn}, shares[0].who
	c.leave = sync.OnceFunc(func() {
		l.seats.leave(shares...)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.open[who] = slices.DeleteFunc(l.open[who], func(o *counted) bool { return o == c })
		if len(l.open[who]) == 0 {
			delete(l.open, who)
		}
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[who] = append(l.open[who], c)
	return c
}

// makeRoom closes the oldest connection of whoever holds most, if all places are taken
// and who holds fewer. This machine is not asked to leave: whoever works at it would be.
func (l *limited) makeRoom(who string) bool {
	if !l.seats.full() {
		return false
	}
	l.mu.Lock()
	var oldest *counted
	most := len(l.open[who]) + 1
	for name, conns := range l.open {
		if name != "" && len(conns) > most {
			most, oldest = len(conns), conns[0]
		}
	}
	l.mu.Unlock()
	if oldest == nil {
		return false
	}
	oldest.leave()
	go func() { _ = oldest.Close() }() // TLS says goodbye, and somebody who reads nothing keeps it waiting
	return true
}

// Close stops listening.
func (l *limited) Close() error {
	l.closing.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// passes tells whether an error of Accept goes away by itself.
func passes(err error) bool {
	return slices.ContainsFunc([]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED},
		func(e error) bool { return errors.Is(err, e) })
}

// shares are what a connection counts for. Far away a whole /64 is one client, who
// chooses among its addresses. Near by it is the network that everybody here stands
// in, so the address counts, and the network has a limit of its own.
func (l *limited) shares(conn net.Conn) []share {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() {
		return []share{{"", l.here}}
	}
	a, _ := netip.AddrFromSlice(tcp.IP)
	if a = a.Unmap(); !a.Is6() {
		return []share{{a.String(), l.perAddress}}
	}
	near := a.IsLinkLocalUnicast() || slices.ContainsFunc(l.ours(), func(p netip.Prefix) bool { return p.Contains(a) })
	if !near {
		return []share{{network(a).String(), l.perAddress}}
	}
	return []share{{a.String(), l.perAddress}, {network(a).String(), l.perNetwork}}
}

// ourNetworks are the /64 that this machine's interfaces stand in. It is asked for
// every connection by IPv6, because a box is carried from network to network.
func ourNetworks() []netip.Prefix {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []netip.Prefix
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Is6() && !ip.Is4In6() {
				out = append(out, network(ip))
			}
		}
	}
	return out
}

// counted gives its place back when it is closed.
type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
