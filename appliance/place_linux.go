package main

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// steady are file systems whose inode numbers stay: ext, btrfs, xfs, f2fs, tmpfs. FAT
// makes them up anew at each mount, and network ones may do anything.
var steady = []int64{unix.EXT4_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC}

// placeOf says where the folder and the open file in it are.
func placeOf(dir string, f *os.File) (place, error) {
	p := place{Machine: machine()}
	var kind unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &kind); err != nil { //nolint:gosec // a file descriptor
		return p, err
	}
	if !slices.Contains(steady, int64(kind.Type)) { //nolint:unconvert // int32 on some machines
		return p, nil
	}
	var file, folder unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME, &file); err != nil { //nolint:gosec // as above
		return p, nil //nolint:nilerr // an old kernel: then the machine alone has to do
	}
	if err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_INO, &folder); err != nil {
		return p, err
	}
	p.Folder, p.File = folder.Ino, file.Ino
	if file.Mask&unix.STATX_BTIME != 0 {
		p.Made = file.Btime.Sec*1e9 + int64(file.Btime.Nsec)
	}
	return p, nil
}
