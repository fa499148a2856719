package ui

import (
	"errors"
	"net"
	"testing"
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
	closed bool
}

func (d *dialled) RemoteAddr() net.Addr { return d.addr }
func (d *dialled) Close() error         { d.closed = true; return nil }

func from(addr string) *dialled {
	return &dialled{addr: &net.TCPAddr{IP: net.ParseIP(addr), Port: 1}}
}

func TestNobodyTakesAllConnections(t *testing.T) {
	for _, tt := range []struct {
		name  string
		addrs []string
		want  []bool
	}{
		{"one address", []string{"10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2"}, []bool{true, true, false, true}},
		{"one network of IPv6", []string{"fd00::1", "fd00::2", "fd00::3", "fd00:0:0:1::1"}, []bool{true, true, false, true}},
		{"IPv4 in IPv6", []string{"::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1"}, []bool{true, true, false}},
		{"this machine", []string{"127.0.0.1", "127.0.0.1", "::1", "127.0.0.1", "127.0.0.1", "127.0.0.1"}, []bool{true, true, true, true, true, false}},
		{"all", []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}, []bool{true, true, true, true, true, false}},
	} {
		var conns []*dialled
		q := &queue{}
		for _, a := range tt.addrs {
			conns = append(conns, from(a))
			q.conns = append(q.conns, conns[len(conns)-1])
		}
		l := &limited{Listener: q, from: map[string]int{}, perAddress: 2, most: 5}
		taken := map[net.Conn]net.Conn{}
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			taken[c.(*counted).Conn] = c
		}
		for i, c := range conns {
			if _, ok := taken[c]; ok != tt.want[i] || c.closed == tt.want[i] {
				t.Errorf("%s: connection %d taken %v, closed %v", tt.name, i, ok, c.closed)
			}
		}
		for _, c := range taken {
			_ = c.Close()
			_ = c.Close() // a second close gives no second place
		}
		if l.total != 0 || len(l.from) != 0 {
			t.Errorf("%s: left %d %v", tt.name, l.total, l.from)
		}
	}
}
