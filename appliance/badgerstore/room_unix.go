//go:build linux || darwin || freebsd

package badgerstore

import "syscall"

// full reports whether the disk of dir has less than roomToOpen left. A file system
// that does not say how large it is counts as having room.
func full(dir string) bool {
	var st syscall.Statfs_t
	return syscall.Statfs(dir, &st) == nil && st.Blocks > 0 && uint64(max(st.Bavail, 0))*uint64(st.Bsize) < roomToOpen
}
