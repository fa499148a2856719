package identity

import "syscall"

// notDumped keeps mem out of core files (madvise(2), MADV_DONTDUMP).
func notDumped(mem []byte) { _ = syscall.Madvise(mem, 0x10) }
