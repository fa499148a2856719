package ui

import (
	"context"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/staff"
)

// Links is the part of a Box that is about how it reaches others.
type Links interface {
	// Link says how the connection to others is used, in every state.
	Link(ctx context.Context) (control.Link, error)
	// SetLink changes it, keeps it and says what counts now. Faults: Denied for all but the
	// lead, Invalid "fault.node.link_profile", Unavailable "fault.node.cannot_write".
	SetLink(ctx context.Context, a staff.Actor, l control.Link) (control.Link, error)
	// Places are where others reach this box and where it looks for them. Faults: Locked,
	// Unavailable without a mesh.
	Places(ctx context.Context, a staff.Actor) (control.Places, error)
	// LookAt dials an address somebody gave and says which node is there. Faults: those of
	// Places, Denied, and those of mesh.Mesh.Look.
	LookAt(ctx context.Context, a staff.Actor, addr string) (node string, err error)
	// ForgetPlace stops looking at one. Faults: those of Places, Denied, NotFound
	// "fault.mesh.no_seed".
	ForgetPlace(ctx context.Context, a staff.Actor, addr string) error
}
