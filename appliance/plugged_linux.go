package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// plugged reports whether the disk a path is on is still known to the system. File systems
// without a disk (major number 0) are taken to be there.
func plugged(path string) bool {
	dev := deviceOf(path)
	major, minor := unix.Major(dev), unix.Minor(dev)
	if major == 0 {
		return true
	}
	_, err := os.Stat("/sys/dev/block/" + strconv.FormatUint(uint64(major), 10) + ":" + strconv.FormatUint(uint64(minor), 10))
	return err == nil || !sysKnown()
}

// sysKnown reports whether the system tells of disks at all: in a container it may not.
func sysKnown() bool {
	list, err := os.ReadDir("/sys/dev/block")
	return err == nil && len(list) > 0
}
