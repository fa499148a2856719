package ui

import (
	"context"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/oplog"
)

// Copier is the part of a Box that knows where records are kept. It asks nobody's
// permission: routes do. Faults of all: Locked, and those of the journal.
type Copier interface {
	// Copies says which posts hold what is written down about some subjects. It is cheap
	// enough for every page about a person.
	Copies(ctx context.Context, subjects ...oplog.ID) (control.Copies, error)
	// Gone says what would be lost with this box. It may take as long as reading what no
	// other post holds.
	Gone(ctx context.Context) (control.Gone, error)
	// GonePeople lists the people among that by id, at most so many behind one of them; next is
	// what to ask for behind, empty at the end.
	GonePeople(ctx context.Context, after string, most int) (people []control.GonePerson, next string, err error)
}
