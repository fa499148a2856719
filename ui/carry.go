package ui

import (
	"context"
	"io"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/staff"
)

// Courier is the part of a Box that writes and reads bundles: files that carry records to
// posts that cannot be heard. One at a time. Faults of all that start something: Denied,
// Locked, Busy "fault.bundle.busy", Conflict "fault.bundle.practice".
type Courier interface {
	// WriteBundle begins to write one into a file or folder of this machine. Faults:
	// Invalid "fault.backup.name", NotFound "fault.identity.no_such_node".
	WriteBundle(ctx context.Context, a staff.Actor, o control.BundleOrder) error
	// ReadBundle begins to read one from a file of this machine. remove says that the file
	// is this box's own copy, which goes when it was read.
	ReadBundle(ctx context.Context, a staff.Actor, file string, remove bool) error
	// TakeBundle copies one that somebody sends into a file of this box and returns its
	// name. size is negative when it is not known. Faults: Full, Unavailable.
	TakeBundle(ctx context.Context, a staff.Actor, sent io.Reader, size int64) (file string, err error)
	// Bundle makes one ready to be sent: it is written to out as it goes, whoever the
	// returned function is called by.
	Bundle(ctx context.Context, a staff.Actor, o control.BundleOrder) (name string, send func(context.Context, io.Writer) error, err error)
	// BundleState is how far the bundle is, or the last one; its fault when it failed, and
	// then what it counts is good all the same.
	BundleState(ctx context.Context) (control.Bundle, error)
	// StopBundle stops it. What was read stays.
	StopBundle(ctx context.Context, a staff.Actor) error
	// BundlePlaces are the sticks one can be written to, and BundleFiles those that lie on
	// them.
	BundlePlaces() []control.BackupPlace
	BundleFiles() []control.BundleFile
}
