//go:build !(linux || darwin || freebsd)

package badgerstore

// full is not asked here: the system says so when a file is written.
func full(string) bool { return false }
