package backup

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/waypost/waypost/appliance/fault"
)

// writeFault says what a person with a stick can do about an error of the medium.
// left is how much was still to be written.
func (o Options) writeFault(err error, left int64) error {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	switch {
	case is(syscall.ENOSPC, syscall.EDQUOT):
		return full(o.File, uint64(max(left, 0)), err)
	case is(syscall.EFBIG):
		return fault.New(fault.TooLarge, "fault.backup.too_large_here", "File", o.File).Wrap(err)
	case is(syscall.EIO, syscall.ENODEV, syscall.ENXIO, syscall.ESTALE, fs.ErrNotExist):
		return fault.New(fault.Unavailable, "fault.backup.gone", "File", o.File).Wrap(err)
	}
	return fault.New(fault.Unavailable, "fault.backup.cannot_write", "File", o.File).Wrap(err)
}

// full says how much room is missing, in whole MB, at least one.
func full(file string, need uint64, err error) error {
	return fault.New(fault.Full, "fault.backup.full", "File", file, "MB", need>>20+1).Wrap(err)
}

func readFault(err error) error {
	return fault.New(fault.Unavailable, "fault.backup.cannot_read").Wrap(err)
}

func stopped(ctx context.Context) error {
	return fault.New(fault.Unavailable, "fault.backup.stopped").Wrap(context.Cause(ctx))
}
