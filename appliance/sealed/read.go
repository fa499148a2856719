package sealed

import (
	"context"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/staff"
)

// Line is one entry as a page shows it.
type Line struct {
	Kind   string // one of the kinds of entries; unknown ones too
	By     staff.ID
	ByName string // empty for somebody not known here
	At     time.Time
	Unsure bool      // the clock had not been set
	Text   string    // a note, why it was closed, why it was opened in an emergency
	Codes  []string  // of what was passed on
	Due    time.Time // zero: none
	Who    staff.ID  // assigned, unassigned, or let in
	Name   string    // … and their name
	File   oplog.ID  // where it belongs, or came from
	Marked bool      // a look after an emergency opening
	Hand   bool      // somebody signed it; false for what was passed on
	Out    *Receipt  // of a hand-over
}

// File is a file as it was opened for one question. Nothing here keeps it.
type File struct {
	ID      oplog.ID
	Narrow  staff.Narrow
	About   oplog.ID // the person in the register; zero: nobody
	Codes   []string
	Began   time.Time
	Due     time.Time
	Closed  bool
	Marked  bool // opened in an emergency at some time: reads are marked since
	Exposed bool // may have been readable by somebody who left
	Intake  bool // it was passed on
	Waiting bool // … and nobody works in it yet
	Mine    bool
	Members []staff.Worker
	Others  []staff.Worker // who could be assigned
	Lines   []Line         // the oldest first
	Dropped int            // entries nobody may have written: somebody tried
	Shut    int            // entries from before or after this person's time
}

// Read opens a file. That it was opened is written into it and is on the disk before
// anything is given out: a journal that takes no writes refuses the read. Faults: those of
// Actor.Must, NotFound "fault.sealed.no_file", the log's own.
func (d *Desk) Read(ctx context.Context, s staff.Session, id oplog.ID) (File, error) {
	f, who, err := d.load(s, id)
	if err != nil {
		return File{}, err
	}
	if err := d.write(ctx, s, f, who, kindLooked, looked{Marked: f.marked}, nil); err != nil {
		return File{}, err
	}
	return f.public(s.Actor.ID, who), nil
}

func (f *file) public(me staff.ID, who people) File {
	out := File{
		ID: f.bind.file, Narrow: f.narrow, About: f.about, Codes: f.codes, Began: at(f.began), Due: at(f.due), Closed: f.closed || f.linked, Marked: f.marked,
		Exposed: f.exposed, Intake: f.intake, Mine: f.members[me], Dropped: f.dropped, Shut: f.shut,
	}
	group := groupOf(f.members)
	out.Waiting = len(group) == 0 && !out.Closed
	for _, id := range group {
		w, known := who[id]
		if !known {
			w.ID = id
		}
		out.Members = append(out.Members, w)
	}
	for _, w := range who {
		if w.Opens(f.narrow) && !w.Off && !f.members[w.ID] {
			out.Others = append(out.Others, w)
		}
	}
	slices.SortFunc(out.Others, byPlace)
	for i := range f.entries {
		if f.entries[i].Kind == kindKeyed {
			continue
		}
		out.Lines = append(out.Lines, f.line(&f.entries[i], who))
	}
	return out
}

func (f *file) line(e *entry, who people) Line {
	l := Line{Kind: e.Kind, By: e.By, ByName: who[e.By].User, At: at(e.At), Unsure: e.Unsure, Hand: e.signed}
	switch b := e.body.(type) {
	case *takenIn:
		l.Text, l.Codes = b.Note, b.Codes
	case *opened:
		l.Codes, l.Due = b.Codes, at(b.Due)
	case *noted:
		l.Text, l.Due = b.Text, at(b.Due)
	case *assigned:
		l.Who, l.Name = b.Who, who[b.Who].User
	case *closed:
		l.Text = b.Why
	case *looked:
		l.Marked = b.Marked
	case *linked:
		l.File = b.File
		if b.Intake != nil {
			l.Text, l.Codes = b.Intake.Note, b.Intake.Codes
		}
	case *handedOver:
		l.Text, l.Out = b.Request.To, b.receipt(e, who)
	case *marked:
		l.Text, l.Who, l.Name = b.Request.Reason, b.Request.To, who[b.Request.To].User
	}
	return l
}
