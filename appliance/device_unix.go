//go:build unix

package main

import (
	"os"
	"syscall"
)

// deviceOf is the disk a path is on; 0 when it cannot be asked.
func deviceOf(path string) uint64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev) //nolint:unconvert,gosec // int32 on some systems
	}
	return 0
}
