//go:build unix

package mesh

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// shareAddress lets others on this machine listen on the same port, as everybody does
// who speaks multicast DNS.
func shareAddress(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) //nolint:gosec // a descriptor
	})
	if err != nil {
		return err
	}
	return failed
}
