//go:build unix

package badgerstore

import (
	"os"
	"syscall"
)

// locked tries the lock Badger takes on its folder and gives it back.
func locked(dir *os.File) bool {
	return syscall.Flock(int(dir.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}
