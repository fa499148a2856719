//go:build unix

package main

import (
	"os"
	"syscall"
)

// flock takes an exclusive lock that dies with the process.
func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// ownerOnly makes every file of this process readable by its user alone, and a
// crash leaves no memory on the disk: the keys are in it.
func ownerOnly() {
	syscall.Umask(0o077)
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) // a sandbox may forbid the call; then it has its own limit
	noDump()
}

// ownGroup keeps a terminal's Ctrl-C from reaching a child directly.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
