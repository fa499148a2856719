//go:build darwin || freebsd || linux || netbsd || openbsd

package identity

import "syscall"

// lockedMemory maps size bytes outside the heap and keeps them out of the swap; locked
// is false where the system refuses (ulimit -l).
func lockedMemory(size int) (mem []byte, locked bool) {
	mem, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return make([]byte, size), false
	}
	notDumped(mem)
	return mem, syscall.Mlock(mem) == nil
}

// unlockMemory gives back what the system may lock, which is little.
func unlockMemory(mem []byte) { _ = syscall.Munlock(mem) }
