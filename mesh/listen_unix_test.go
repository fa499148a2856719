//go:build unix

package mesh

import (
	"net"
	"syscall"
	"testing"
)

// TestTheSystemDoesNotPingForUs at either end.
func TestTheSystemDoesNotPingForUs(t *testing.T) {
	l, err := listenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := (&Mesh{}).dialTCP(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialled.Close()
	taken, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for end, c := range map[string]net.Conn{"dialled": dialled, "taken": taken} {
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		alive := -1
		if cerr := raw.Control(func(fd uintptr) {
			alive, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
		}); cerr != nil || err != nil {
			t.Fatal(cerr, err)
		}
		if alive != 0 {
			t.Errorf("the connection that was %s is kept alive by the system", end)
		}
	}
}
