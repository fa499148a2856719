package sealed

import (
	"slices"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// AskErase is somebody who works in a file asking to erase it, with what was put into it. A
// lead or coordinator has to agree, who does not read it. Then it is hidden everywhere at
// once, and its payloads go as those of an erased person do: after the same wait, by the
// same keeper, and a lead can take it back until then. The reason is told to the second
// person and kept nowhere. Faults: those of Read, staff.AskAct and staff.AskFileErasure;
// Denied "fault.sealed.not_in"; Invalid "fault.sealed.reason"; Conflict
// "fault.sealed.no_second".
func (d *Desk) AskErase(s staff.Session, id oplog.ID, reason string) (oplog.ID, error) {
	reason = strings.TrimSpace(reason)
	if n := len([]rune(reason)); n < minReason || tooLong(reason, maxReason) {
		return oplog.ID{}, fault.New(fault.Invalid, "fault.sealed.reason", "Least", minReason, "Most", maxReason).
			With("reason", "fault.sealed.reason", "Least", minReason, "Most", maxReason)
	}
	f, who, err := d.load(s, id)
	if err != nil {
		return oplog.ID{}, err
	}
	if !f.members[s.Actor.ID] {
		return oplog.ID{}, fault.New(fault.Denied, "fault.sealed.not_in")
	}
	show := staff.Act{Key: "sealed.act.erase", Args: []any{"File", id.String(), "Desk", f.narrow, "Reason", reason}}
	for _, w := range who {
		if w.ID != s.Actor.ID && !w.Off && w.Actor().Can(staff.ErasePeople) {
			show.Only = append(show.Only, w.ID)
		}
	}
	if len(show.Only) == 0 {
		return oplog.ID{}, fault.New(fault.Conflict, "fault.sealed.no_second")
	}
	return d.o.Staff.AskFileErasure(s, d.subjects(s, f), show, func(by staff.ID) error {
		who, err := d.people()
		if err != nil {
			return err
		}
		if w, known := who[by]; !known || w.Off || !w.Actor().Can(staff.ErasePeople) {
			return fault.New(fault.Denied, "fault.sealed.not_second")
		}
		return nil
	})
}

// maxErased is how many subjects one erasure takes with it.
const maxErased = 16

// subjects are what goes with a file: itself, and what was passed on and put into it, as
// far as the one who asks can see that it belongs there. An entry alone does not make
// somebody else's file go.
func (d *Desk) subjects(s staff.Session, f *file) []oplog.ID {
	out := []oplog.ID{f.bind.file}
	for i := range f.entries {
		b, is := f.entries[i].body.(*linked)
		if !is || b.Intake == nil || len(out) == maxErased || slices.Contains(out, b.File) {
			continue
		}
		if from, _, err := d.load(s, b.File); err == nil && from.intake && from.linkedTo(f.bind.file) {
			out = append(out, b.File)
		}
	}
	return out
}

// linkedTo reports whether what was passed on was put into that file.
func (f *file) linkedTo(id oplog.ID) bool {
	return slices.ContainsFunc(f.entries, func(e entry) bool {
		b, is := e.body.(*linked)
		return is && b.Intake == nil && b.File == id
	})
}
