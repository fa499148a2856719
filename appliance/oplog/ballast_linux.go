package oplog

import (
	"errors"
	"os"
	"syscall"
)

// allocate gives a file real blocks. Where the file system cannot do that in one step
// (FAT) it is written.
func allocate(f *os.File, size int64) error {
	err := syscall.Fallocate(int(f.Fd()), 0, 0, size) //nolint:gosec // a file number
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return writeZeros(f, size)
	}
	return err
}
