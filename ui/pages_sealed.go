package ui

import (
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/sealed"
	"github.com/waypost/waypost/appliance/staff"
)

// The pages of sealed files. Their addresses and titles say nothing about what the files
// are about: somebody who looks over a shoulder, or finds a phone, sees a list of work.

// sealedPages are the pages of sealed files.
func (s *Server) sealedPages() []route {
	work, box, glass := need(staff.WorkSealed), need(staff.ManageBox), need(staff.BreakGlass)
	return []route{
		{method: "GET", path: "/desk", policy: work, narrow: true, handle: (*visit).desk},
		{method: "POST", path: "/desk", policy: work, narrow: true, handle: (*visit).openFile},
		{method: "GET", path: "/desk/new", policy: work, narrow: true, handle: (*visit).newFile},
		{method: "GET", path: "/desk/access", policy: work, narrow: true, handle: (*visit).access},
		{method: "POST", path: "/desk/access/give", policy: work, narrow: true, handle: (*visit).giveAccess},
		{method: "POST", path: "/desk/access/change", policy: work, narrow: true, handle: (*visit).changeAccess},
		{method: "GET", path: "/desk/:id", policy: work, narrow: true, handle: (*visit).file1},
		{method: "POST", path: "/desk/:id/note", policy: work, narrow: true, handle: (*visit).noteFile},
		{method: "POST", path: "/desk/:id/assign", policy: work, narrow: true, handle: (*visit).assignFile},
		{method: "POST", path: "/desk/:id/unassign", policy: work, narrow: true, handle: (*visit).unassignFile},
		{method: "POST", path: "/desk/:id/link", policy: work, narrow: true, handle: (*visit).linkFile},
		{method: "POST", path: "/desk/:id/close", policy: work, narrow: true, handle: (*visit).closeFile},
		{method: "GET", path: "/box/desks", policy: box, handle: (*visit).beginPage},
		{method: "POST", path: "/box/desks", policy: box, handle: (*visit).beginDesks},
		{method: "GET", path: "/officers", policy: glass, handle: (*visit).officers},
		{method: "POST", path: "/officers/ask", policy: glass, guess: bySignature, handle: (*visit).askGlass},
		{method: "POST", path: "/officers/change", policy: glass, guess: bySignature, handle: (*visit).askTurn},
		{method: "POST", path: "/officers/:id/confirm", policy: glass, guess: bySignature, handle: (*visit).confirmGlass},
		{method: "POST", path: "/officers/:id/decline", policy: glass, handle: (*visit).declineGlass},
	}
}

// own is the person's own session, which has their keys. Fault: Unauthenticated
// "fault.staff.sign_in" for anybody without one.
func (v *visit) own() (staff.Session, error) {
	if v.session == nil {
		return staff.Session{}, fault.New(fault.Unauthenticated, "fault.staff.sign_in")
	}
	return *v.session, nil
}

// fileLine is a file in a list.
type fileLine struct {
	Path, ID, Desk  string
	Number          string // the whole id
	Name            string // of the person; empty where the register does not say
	Began, Due      time.Time
	Late            bool // it should have been done by now
	Marked, Exposed bool
	Dropped         int
	Waiting, Closed bool
	Erased          bool
}

// deskPage is somebody's work.
type deskPage struct {
	Waiting, Mine, Closed []fileLine
	Erased                []fileLine
	Shut                  []string // desks without keys
	Keyless               []string // desks this person was not given the keys of
	Contested             bool
	MayOpen               bool
}

func (s speaker) narrow(n staff.Narrow) string { return s.Label("sealed.desk", string(n)) }

// fileLine says how a file stands.
func (s speaker) fileLine(x sealed.Item, name string) fileLine {
	id := x.ID.String()
	return fileLine{
		Path: "/desk/" + id, ID: fileNumber(id), Number: id, Desk: s.narrow(x.Narrow), Name: name, Began: x.Began, Due: x.Due, Late: !x.Due.IsZero() && x.Due.Before(s.now),
		Marked: x.Marked, Exposed: x.Exposed, Dropped: x.Dropped, Waiting: x.Waiting, Closed: x.Closed, Erased: x.Erased,
	}
}

// fileNumber is the part of an id that people say to each other.
func fileNumber(id string) string { return id[:4] + "-" + id[4:8] }

func (s speaker) deskPage(l sealed.List, name func(oplog.ID) string) deskPage {
	m := deskPage{Contested: l.Contested}
	for _, x := range l.Items {
		line := s.fileLine(x, name(x.About))
		switch {
		case x.Erased:
			m.Erased = append(m.Erased, line)
		case x.Closed:
			m.Closed = append(m.Closed, line)
		case x.Waiting:
			m.Waiting = append(m.Waiting, line)
		default:
			m.Mine = append(m.Mine, line)
		}
	}
	for _, n := range l.Narrows {
		switch {
		case !n.Open:
			m.Shut = append(m.Shut, s.narrow(n.Narrow))
		case !n.Mine:
			m.MayOpen = true
			m.Keyless = append(m.Keyless, s.narrow(n.Narrow))
		default:
			m.MayOpen = true
		}
	}
	return m
}

// personName is what a person is called, for those who may read the register.
func (v *visit) personName(id oplog.ID) string {
	if id.IsZero() {
		return ""
	}
	if line := v.readable(&id); line != nil {
		return line.Name
	}
	return ""
}

func (v *visit) desk() error {
	s, err := v.own()
	if err != nil {
		return err
	}
	l, err := v.desks().Sealed.List(v.s.ctx, s)
	if err != nil {
		return err
	}
	return v.render("sealed/desk", v.words().deskPage(l, v.personName))
}

// newFilePage begins a file.
type newFilePage struct {
	Desks  []string
	Person string // id; empty: nobody
	Name   string
}

func (v *visit) newFileModel(person string) (newFilePage, oplog.ID, error) {
	m := newFilePage{}
	for _, n := range staff.Narrows() {
		if v.actor.Opens(n) {
			m.Desks = append(m.Desks, string(n))
		}
	}
	if person == "" {
		return m, oplog.ID{}, nil
	}
	id, err := oplog.ParseID(person)
	if err != nil {
		return m, id, fault.New(fault.NotFound, "fault.registration.no_person")
	}
	m.Person, m.Name = id.String(), v.personName(id)
	return m, id, nil
}

func (v *visit) newFile() error {
	m, _, err := v.newFileModel(v.query("person"))
	if err != nil {
		return err
	}
	return v.render("sealed/new", m)
}

func (v *visit) openFile() error {
	s, err := v.own()
	if err != nil {
		return err
	}
	f := v.sent()
	m, about, err := v.newFileModel(f.Value("person"))
	if err != nil {
		return err
	}
	due, err := dayOf(f.Value("due"))
	var id oplog.ID
	if err == nil {
		id, err = v.desks().Sealed.Open(v.s.ctx, s, staff.Narrow(f.Value("desk")), about, f.Value("note"), due)
	}
	if err != nil {
		return v.reshow("sealed/new", m, f, err, nil)
	}
	return v.redirect("/desk/" + id.String())
}

// dayOf reads a day as people type it, 2026-06-01; empty is none. Fault: Invalid
// "fault.sealed.bad_day".
func dayOf(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil || day.Year() < 2000 || day.Year() > 2200 {
		return time.Time{}, fault.New(fault.Invalid, "fault.sealed.bad_day").With("due", "fault.sealed.bad_day")
	}
	return day.Add(12 * time.Hour), nil
}

// entryLine is an entry of a file.
type entryLine struct {
	Kind, What, By, Text, Name string
	Codes                      []string
	At, Due                    time.Time
	Unsure, Marked, Hand       bool
	File                       string
	Receipt                    string // of a hand-over
}

type personChoice struct{ Value, Name, Site string }

// filePage is one file.
type filePage struct {
	Path, ID, Desk        string
	Number                string // the whole id
	Person, Name          string
	Codes                 []string
	Began, Due            time.Time
	Marked, Exposed       bool
	Dropped, Shut         int
	Waiting, Closed, Mine bool
	Members, Others       []personChoice
	Me                    string // the one who looks, to take what waits
	Files                 []fileLine
	Lines                 []entryLine
}

func choices(all []staff.Worker) (out []personChoice) {
	for _, w := range all {
		name := w.User
		if name == "" {
			name = w.ID.String()
		}
		out = append(out, personChoice{w.ID.String(), name, w.Site})
	}
	return out
}

func (s speaker) filePage(f sealed.File, me staff.ID) filePage {
	id := f.ID.String()
	m := filePage{
		Path: "/desk/" + id, ID: fileNumber(id), Number: id, Desk: s.narrow(f.Narrow), Codes: f.Codes, Began: f.Began, Due: f.Due, Marked: f.Marked, Exposed: f.Exposed,
		Dropped: f.Dropped, Shut: f.Shut, Waiting: f.Waiting, Closed: f.Closed, Mine: f.Mine, Members: choices(f.Members), Others: choices(f.Others), Me: me.String(),
	}
	if !f.About.IsZero() {
		m.Person = "/people/" + f.About.String()
	}
	for _, l := range f.Lines {
		e := entryLine{
			Kind: l.Kind, By: l.ByName, Text: l.Text, Name: l.Name, Codes: l.Codes, At: l.At, Due: l.Due, Unsure: l.Unsure, Marked: l.Marked, Hand: l.Hand,
			What: s.T("sealed.entry.unknown"),
		}
		if key := "sealed.entry." + l.Kind; s.Lang.Has(key) {
			e.What = s.T(key)
		}
		if e.By == "" {
			e.By = l.By.String()
		}
		if !l.File.IsZero() {
			e.File = "/desk/" + l.File.String()
		}
		if l.Out != nil {
			e.Receipt = m.Path + "/receipt/" + l.Out.Number.String()
		}
		m.Lines = append(m.Lines, e)
	}
	slices.Reverse(m.Lines)
	return m
}

// file1 shows a file: that it was looked at is written first.
func (v *visit) file1() error { return v.showFile(newForm(), nil) }

// showFile shows it with a form that was refused.
func (v *visit) showFile(form *form, refused error) error {
	s, err := v.own()
	if err != nil {
		return err
	}
	id, err := v.subject("fault.sealed.no_file")
	if err != nil {
		return err
	}
	f, err := v.desks().Sealed.Read(v.s.ctx, s, id)
	if err != nil {
		return err
	}
	m := v.words().filePage(f, v.actor.ID)
	m.Name = v.personName(f.About)
	if f.Waiting {
		l, err := v.desks().Sealed.List(v.s.ctx, s)
		if err != nil {
			return err
		}
		for _, x := range l.Items {
			if !x.Waiting && !x.Closed && !x.Erased && x.Narrow == f.Narrow {
				m.Files = append(m.Files, v.words().fileLine(x, v.personName(x.About)))
			}
		}
	}
	if refused != nil {
		return v.reshow("sealed/file", m, form, refused, nil)
	}
	return v.render("sealed/file", m)
}

// change does something to a file and shows it again.
func (v *visit) change(do func(s staff.Session, id oplog.ID) error) error {
	s, err := v.own()
	if err != nil {
		return err
	}
	id, err := v.subject("fault.sealed.no_file")
	if err != nil {
		return err
	}
	err = do(s, id)
	switch fault.ClassOf(err) {
	case "":
		return v.redirect("/desk/" + id.String())
	case fault.Invalid, fault.NotFound, fault.Conflict:
		return v.showFile(v.sent(), err)
	}
	return err
}

func (v *visit) noteFile() error {
	return v.change(func(s staff.Session, id oplog.ID) error {
		due, err := dayOf(v.form("due"))
		if err != nil {
			return err
		}
		return v.desks().Sealed.Note(v.s.ctx, s, id, v.form("note"), due)
	})
}

// somebody is the account a form names. Fault: NotFound "fault.sealed.no_worker".
func (v *visit) somebody(field string) (staff.ID, error) {
	id, err := oplog.ParseBy(v.form(field))
	if err != nil {
		return id, fault.New(fault.NotFound, "fault.sealed.no_worker")
	}
	return id, nil
}

func (v *visit) assignFile() error {
	return v.change(func(s staff.Session, id oplog.ID) error {
		who, err := v.somebody("who")
		if err != nil {
			return err
		}
		return v.desks().Sealed.Assign(v.s.ctx, s, id, who)
	})
}

func (v *visit) unassignFile() error {
	s, err := v.own()
	if err != nil {
		return err
	}
	id, err := v.subject("fault.sealed.no_file")
	if err != nil {
		return err
	}
	who, err := v.somebody("who")
	if err != nil {
		return err
	}
	if err := v.desks().Sealed.Unassign(v.s.ctx, s, id, who); err != nil {
		return err
	}
	if who == v.actor.ID {
		return v.redirect("/desk")
	}
	return v.redirect("/desk/" + id.String())
}

func (v *visit) closeFile() error {
	return v.change(func(s staff.Session, id oplog.ID) error { return v.desks().Sealed.Close(v.s.ctx, s, id, v.form("why")) })
}

func (v *visit) linkFile() error {
	return v.change(func(s staff.Session, id oplog.ID) error {
		into, err := oplog.ParseID(v.form("file"))
		if err != nil {
			return fault.New(fault.NotFound, "fault.sealed.no_file")
		}
		return v.desks().Sealed.Link(v.s.ctx, s, id, into)
	})
}

// accessPage is who reads what is passed on.
type accessPage struct{ Desks []accessDesk }

type accessDesk struct {
	Code, Desk      string
	Epoch           uint32
	Mine            bool
	Holders, Others []personChoice
	Off             []string // they have the keys and their account ended
}

func (s speaker) accessPage(all []sealed.Access) accessPage {
	m := accessPage{}
	for _, a := range all {
		d := accessDesk{Code: string(a.Narrow), Desk: s.narrow(a.Narrow), Epoch: a.Epoch, Mine: a.Mine, Others: choices(a.Others)}
		for _, w := range a.Holders {
			if w.Off {
				d.Off = append(d.Off, w.User)
			} else {
				d.Holders = append(d.Holders, choices([]staff.Worker{w})...)
			}
		}
		m.Desks = append(m.Desks, d)
	}
	return m
}

func (v *visit) accessModel() (m accessPage, s staff.Session, err error) {
	if s, err = v.own(); err != nil {
		return m, s, err
	}
	all, err := v.desks().Sealed.Access(v.s.ctx, s)
	return v.words().accessPage(all), s, err
}

func (v *visit) access() error {
	m, _, err := v.accessModel()
	if err != nil {
		return err
	}
	return v.render("sealed/access", m)
}

func (v *visit) giveAccess() error {
	m, s, err := v.accessModel()
	if err != nil {
		return err
	}
	who, err := v.somebody("who")
	if err == nil {
		err = v.desks().Sealed.Give(v.s.ctx, s, staff.Narrow(v.form("desk")), who)
	}
	if err != nil {
		return v.reshow("sealed/access", m, v.sent(), err, nil)
	}
	return v.redirect("/desk/access")
}

// changeAccess begins new keys, without those who are ticked.
func (v *visit) changeAccess() error {
	m, s, err := v.accessModel()
	if err != nil {
		return err
	}
	without, err := v.accounts("without")
	if err == nil {
		err = v.desks().Sealed.Rotate(v.s.ctx, s, staff.Narrow(v.form("desk")), without)
	}
	if err != nil {
		return v.reshow("sealed/access", m, v.sent(), err, nil)
	}
	return v.redirect("/desk/access")
}

// accounts are those a form names under one field.
func (v *visit) accounts(field string) (out []staff.ID, err error) {
	for _, text := range v.formAll(field) {
		id, err := oplog.ParseBy(text)
		if err != nil {
			return nil, fault.New(fault.NotFound, "fault.sealed.no_worker")
		}
		out = append(out, id)
	}
	return out, nil
}
