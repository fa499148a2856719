package oplog

import (
	"context"
	"errors"

	"github.com/waypost/waypost/appliance/fault"
)

func errInternal(what string) *fault.Error {
	return fault.New(fault.Internal, "fault.oplog.internal").Wrap(errors.New(what))
}

// errStore is a failure of the view store; a fault from below stays as it is.
func errStore(err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		return err
	}
	return fault.New(fault.Unavailable, "fault.oplog.store").Wrap(err)
}

// errPartial is why nobody reads views that are being filled.
func (l *Log) errPartial() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.readOnly != nil { // they will not be filled before the next start
		return fault.New(fault.Unavailable, "fault.oplog.store").Wrap(l.readOnly)
	}
	return fault.New(fault.Unavailable, "fault.oplog.rebuilding")
}

// errFiles is a failure to read or make journal files.
func errFiles(err error) error {
	return fault.New(fault.Unavailable, "fault.oplog.files").Wrap(err)
}

func errReadOnly(err error) error {
	return fault.New(fault.ReadOnly, "fault.oplog.read_only").Wrap(err)
}

// errNearlyFull says before anything is written that there is no room, and how much it takes.
func errNearlyFull(need uint64, err error) error {
	return fault.New(fault.Full, "fault.oplog.disk_nearly_full", "MB", megabytes(need)).Wrap(err)
}

func errFull(err error) error { return fault.New(fault.Full, "fault.oplog.disk_full").Wrap(err) }

func errClosed() error { return fault.New(fault.Unavailable, "fault.oplog.closed") }

func errCancelled(ctx context.Context) error {
	return fault.New(fault.Unavailable, "fault.oplog.cancelled").Wrap(context.Cause(ctx))
}

func errBadBatch(err error) error {
	return fault.New(fault.Invalid, "fault.oplog.bad_batch").Wrap(err)
}

func errGap(log LogID, have, first uint64) error {
	return fault.New(fault.Conflict, "fault.oplog.gap", "Log", log.String(), "Have", have, "First", first)
}

func errStranger(err error) error {
	return fault.New(fault.Denied, "fault.oplog.stranger").Wrap(err)
}

// errTooLarge is a payload or a command over its limit, in bytes.
func errTooLarge(limit int) error {
	return fault.New(fault.TooLarge, "fault.oplog.too_large", "Limit", limit)
}

func errTooMany() error {
	return fault.New(fault.TooLarge, "fault.oplog.too_many", "Limit", MaxBatchOps)
}
