//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// canRenew: the system has execve.
const canRenew = true

// keepOpen gives a second descriptor of an open file or listener, which survives execve.
func keepOpen(from any) (fd int, err error) {
	c, ok := from.(syscall.Conn)
	if !ok {
		return 0, errors.New("no descriptor")
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var dupErr error
	err = raw.Control(func(own uintptr) { fd, dupErr = syscall.Dup(int(own)) })
	return fd, errors.Join(err, dupErr)
}

func closeOnExec(fd int) { syscall.CloseOnExec(fd) }

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = syscall.Close(fd)
	}
}

// execAgain starts the running program once more in this process.
func execAgain(env []string) error {
	// On Linux the program itself, even when its file was replaced by an update.
	err := syscall.Exec("/proc/self/exe", os.Args, env)
	if path, pathErr := os.Executable(); pathErr == nil {
		err = syscall.Exec(path, os.Args, env)
	}
	return err
}
