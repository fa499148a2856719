package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// plugged reports whether the disk a path is on is still known to the system. File systems
// without a disk (major number 0) are taken to be there.
func plugged(path string) bool {
	return !unplugged(deviceOf(path))
}

// unplugged reports whether the system tells of disks, and not of this one.
func unplugged(dev uint64) bool {
	major, minor := unix.Major(dev), unix.Minor(dev)
	if major == 0 {
		return false
	}
	_, err := os.Stat("/sys/dev/block/" + strconv.FormatUint(uint64(major), 10) + ":" + strconv.FormatUint(uint64(minor), 10))
	return err != nil && sysKnown()
}

// knowsSticks reports whether a stick that was pulled out can be told from one that was
// taken out of the file system.
func knowsSticks() bool { return sysKnown() }

// sysKnown reports whether the system tells of disks at all: in a container it may not.
func sysKnown() bool {
	list, err := os.ReadDir("/sys/dev/block")
	return err == nil && len(list) > 0
}
