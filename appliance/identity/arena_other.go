//go:build !(darwin || freebsd || linux || netbsd || openbsd)

package identity

// lockedMemory is plain memory where we know no call that locks it.
func lockedMemory(size int) (mem []byte, locked bool) { return make([]byte, size), false }

func unlockMemory([]byte) {}
