package bundle

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/waypost/waypost/appliance/fault"
)

// writeFault says what a person with a stick can do about an error of the medium. Faults
// of ours are kept.
func writeFault(err error, file string) error {
	var own *fault.Error
	if errors.As(err, &own) {
		return err
	}
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
		return fault.New(fault.Full, "fault.bundle.full", "File", file).Wrap(err)
	case is(syscall.EFBIG):
		return fault.New(fault.TooLarge, "fault.bundle.too_large_here", "File", file).Wrap(err)
	case is(syscall.EIO, syscall.ENODEV, syscall.ENXIO, syscall.ESTALE, fs.ErrNotExist):
		return fault.New(fault.Unavailable, "fault.bundle.gone", "File", file).Wrap(err)
	}
	return fault.New(fault.Unavailable, "fault.bundle.cannot_write", "File", file).Wrap(err)
}

func readFault(err error) error {
	return fault.New(fault.Unavailable, "fault.bundle.cannot_read").Wrap(err)
}

func stopped(ctx context.Context) error {
	return fault.New(fault.Unavailable, "fault.bundle.stopped").Wrap(context.Cause(ctx))
}

// frontFault sorts what can be wrong before anything of a file was opened. Without a key
// one file looks like any other: of another operation, for another post, or no bundle.
func frontFault(err error, read int64) error {
	switch {
	case errors.Is(err, errNoSlot):
		return fault.New(fault.Invalid, "fault.bundle.not_ours").Wrap(err)
	case ended(err) && read == 0:
		return fault.New(fault.Invalid, "fault.bundle.empty").Wrap(err)
	case ended(err):
		return fault.New(fault.Invalid, "fault.bundle.short").Wrap(err)
	}
	return readFault(err)
}

// partFault sorts what can be wrong with a part. begun: the first one was read, and so it
// is known what there should be.
func (r Result) partFault(err error, begun bool) error {
	var own *fault.Error
	switch {
	case errors.As(err, &own):
		return err
	case errors.Is(err, errVersion):
		return fault.New(fault.Unsupported, "fault.bundle.newer").Wrap(err)
	case errors.Is(err, errSigned):
		return fault.New(fault.Denied, "fault.bundle.forged").Wrap(err)
	case errors.Is(err, errChunk), errors.Is(err, errRecords), errors.Is(err, errHead):
		return r.broken("damaged", begun).Wrap(err)
	case ended(err):
		return r.broken("cut", begun).Wrap(err)
	}
	return readFault(err)
}

// broken says how far a file could be used.
func (r Result) broken(how string, begun bool) *fault.Error {
	key := "fault.bundle." + how
	switch {
	case !begun && how == "cut":
		return fault.New(fault.Invalid, "fault.bundle.short")
	case !begun:
		return fault.New(fault.Invalid, key+"_whole")
	case r.Ops >= r.OpsOf:
		return fault.New(fault.Invalid, key+"_photos", "Read", r.Pieces, "Of", r.PiecesOf)
	}
	return fault.New(fault.Invalid, key, "Read", r.Ops, "Of", r.OpsOf)
}
