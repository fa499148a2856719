//go:build linux || darwin || freebsd

package badgerstore

import "syscall"

// full reports whether the disk of dir has less than need bytes left. A file system
// that does not say how large it is counts as having room.
func full(dir string, need uint64) bool {
	var st syscall.Statfs_t
	return syscall.Statfs(dir, &st) == nil && st.Blocks > 0 && uint64(max(st.Bavail, 0))*uint64(st.Bsize) < need
}

// diskSize is 0 when the system does not say.
func diskSize(dir string) uint64 {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return 0
	}
	return st.Blocks * uint64(st.Bsize) //nolint:gosec,unconvert // differs by system
}
