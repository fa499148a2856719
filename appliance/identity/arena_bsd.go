//go:build darwin || freebsd || netbsd || openbsd

package identity

// notDumped: core files are switched off for the whole process (RLIMIT_CORE).
func notDumped([]byte) {}
