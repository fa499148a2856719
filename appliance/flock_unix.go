//go:build unix

package main

import (
	"os"
	"syscall"
)

// flock takes an exclusive lock that dies with the process.
func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// ownerOnly makes every file of this process readable by its user alone.
func ownerOnly() { syscall.Umask(0o077) }

// ownGroup keeps a terminal's Ctrl-C from reaching a child directly.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
