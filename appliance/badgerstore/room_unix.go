//go:build linux || darwin || freebsd

package badgerstore

import "syscall"

// full reports whether the disk of dir has less than roomToOpen left.
func full(dir string) bool {
	var st syscall.Statfs_t
	return syscall.Statfs(dir, &st) == nil && uint64(max(st.Bavail, 0))*uint64(st.Bsize) < roomToOpen
}
