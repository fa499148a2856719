package ui

import (
	"net"
	"sync"
)

// Connections somebody may hold open at a time. A browser opens six to a host;
// several phones behind one address are rare in a camp's own network. The total
// stays under what Fiber takes, so that a full house is turned away here, where
// it costs nothing.
const (
	connsPerAddress = 64
	connsTotal      = concurrency - 16
)

// limitConns wraps a listener so that no single address can take all
// connections. Connections past the limit are closed at once. Connections from
// this machine and over a socket only count for the total.
func limitConns(ln net.Listener) net.Listener {
	return &limited{Listener: ln, from: map[string]int{}, perAddress: connsPerAddress, most: connsTotal}
}

type limited struct {
	net.Listener
	perAddress, most int

	mu    sync.Mutex
	total int
	from  map[string]int
}

// Accept waits for the next connection within the limits.
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := addressOf(conn)
		if l.enter(address) {
			return &counted{Conn: conn, leave: sync.OnceFunc(func() { l.leave(address) })}, nil
		}
		_ = conn.Close()
	}
}

// addressOf is who a connection counts for. An IPv6 network gives one device a
// whole /64 to choose addresses from (RFC 8981), so that counts as one.
func addressOf(conn net.Conn) string {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() {
		return ""
	}
	if v4 := tcp.IP.To4(); v4 != nil {
		return v4.String()
	}
	return tcp.IP.Mask(net.CIDRMask(64, 128)).String()
}

func (l *limited) enter(address string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= l.most || address != "" && l.from[address] >= l.perAddress {
		return false
	}
	l.total++
	if address != "" {
		l.from[address]++
	}
	return true
}

func (l *limited) leave(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if address == "" {
		return
	}
	if l.from[address]--; l.from[address] <= 0 {
		delete(l.from, address)
	}
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
