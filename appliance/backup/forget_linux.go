package backup

import (
	"golang.org/x/sys/unix"

	"github.com/waypost/waypost/appliance/files"
)

// forget asks the system to drop what it keeps of a flushed file in memory, so that
// reading it back reads the medium. It is a wish: where it is not granted the file is
// still compared with its checksums.
func forget(f files.File) {
	if d, ok := f.(interface{ Fd() uintptr }); ok {
		_ = unix.Fadvise(int(d.Fd()), 0, 0, unix.FADV_DONTNEED) //nolint:gosec // a file descriptor
	}
}
