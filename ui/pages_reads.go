package ui

import (
	"context"
	"encoding/base64"
	"net/url"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
)

// readPages are the pages of who looked at whom.
func (s *Server) readPages() []route {
	may := need(staff.SeeReads)
	return []route{
		{method: "GET", path: "/reads", policy: may, handle: (*visit).reads},
		{method: "GET", path: "/reads/:who", policy: may, handle: (*visit).readsBy},
		{method: "POST", path: "/reads/:who/goon", policy: may, handle: (*visit).letGoOn},
		{method: "POST", path: "/reads/:who/seen", policy: may, handle: (*visit).sawAlarm},
		{method: "GET", path: "/people/:id/reads", policy: may, handle: (*visit).readsOf},
	}
}

// alarmLine is somebody who read faster than the work needs.
type alarmLine struct {
	Name, Path string
	Own        bool // it is the visitor
	staff.Alarm
}

// readerLine is one account or key in the list of all.
type readerLine struct {
	Name, Path     string
	Opened, Listed int
	Last           time.Time
}

// readsPage is who looked how much.
type readsPage struct {
	Alarms  []alarmLine
	Readers []readerLine
	Whole   bool
}

// seenLine is one look.
type seenLine struct {
	At         time.Time
	Name, Path string // of the reader, or of the person
	What, Site string
}

// seenPage is the looks at one person or of one reader.
type seenPage struct {
	Name, Back, More string
	Lines            []seenLine
}

// seenShown is how many looks one page has.
const seenShown = 50

func (v *visit) reads() error {
	alarms, err := v.desks().Staff.Alarms(v.actor)
	if err != nil {
		return err
	}
	readers, whole, err := v.desks().Staff.Readers(v.s.ctx, v.actor)
	if err != nil {
		return err
	}
	m := readsPage{Whole: whole}
	for _, a := range alarms {
		m.Alarms = append(m.Alarms, alarmLine{Name: v.readerName(a.By), Path: readerPath(a.By), Own: a.By == v.actor.ID, Alarm: a})
	}
	for _, r := range readers {
		m.Readers = append(m.Readers, readerLine{v.readerName(r.By), readerPath(r.By), r.Opened, r.Listed, r.Last})
	}
	return v.render("reads/list", m)
}

func readerPath(by staff.ID) string { return "/reads/" + by.String() }

// readerName is what an account or key is called, its id when nobody here knows.
func (v *visit) readerName(by staff.ID) string {
	if name := v.desks().Staff.NameOf(by); name != "" {
		return name
	}
	return by.String()
}

// who is the reader in the path.
func (v *visit) who() (staff.ID, error) {
	by, err := oplog.ParseBy(v.param("who"))
	if err != nil {
		return by, fault.New(fault.NotFound, "fault.ui.no_page").Wrap(err)
	}
	return by, nil
}

// part is the cursor in the query; one that is none begins at the start.
func (v *visit) part() []byte {
	after, err := base64.RawURLEncoding.DecodeString(v.query("after"))
	if err != nil || len(after) > 100 {
		return nil
	}
	return after
}

func nextPart(path string, next []byte) string {
	if next == nil {
		return ""
	}
	return path + "?" + url.Values{"after": {base64.RawURLEncoding.EncodeToString(next)}}.Encode()
}

// readsBy is what one account or key looked at. The people's names are themselves a list
// that somebody looks through.
func (v *visit) readsBy() error {
	by, err := v.who()
	if err != nil {
		return err
	}
	seen, next, err := v.desks().Staff.LooksBy(v.s.ctx, v.actor, by, seenShown, v.part())
	if err != nil {
		return err
	}
	m := seenPage{Name: v.readerName(by), Back: "/reads", More: nextPart(readerPath(by), next)}
	w := v.words()
	var shown []registration.Record
	for _, s := range seen {
		l := v.seenLine(s)
		if s.What == staff.TookOut {
			l.Name = w.T("reads.file")
		} else if s.Person.IsZero() {
			l.Name = w.T("reads.names", "Count", s.Names)
		} else if r, err := v.desks().Registration.Get(v.s.ctx, v.actor, s.Person); err == nil {
			l.Name, l.Path = w.name(r.Person), "/people/"+s.Person.String()
			shown = append(shown, r)
		} else {
			l.Name = s.Person.String() // erased, or not here yet
		}
		m.Lines = append(m.Lines, l)
	}
	if err := v.lookThrough(shown, false); err != nil {
		return err
	}
	return v.render("reads/reader", m)
}

// readsOf is who looked at one person, also one who was erased.
func (v *visit) readsOf() error {
	id, err := v.subject("fault.registration.no_person")
	if err != nil {
		return err
	}
	path := "/people/" + id.String()
	seen, next, err := v.desks().Staff.LooksAt(v.s.ctx, v.actor, id, seenShown, v.part())
	if err != nil {
		return err
	}
	m := seenPage{Name: id.String(), Back: "/reads", More: nextPart(path+"/reads", next)}
	if r, err := v.desks().Registration.Get(v.s.ctx, v.actor, id); err == nil {
		if err := v.lookThrough([]registration.Record{r}, false); err != nil {
			return err
		}
		m.Name, m.Back = v.words().name(r.Person), path
	}
	for _, s := range seen {
		l := v.seenLine(s)
		l.Name, l.Path = v.readerName(s.By), readerPath(s.By)
		m.Lines = append(m.Lines, l)
	}
	return v.render("reads/person", m)
}

// seenLine says when, how and where; not yet who or whom.
func (v *visit) seenLine(s staff.Seen) seenLine {
	w := v.words()
	l := seenLine{At: s.At, What: w.T("reads.what." + string(s.What))}
	if s.API {
		l.What = w.T("reads.what.api", "What", l.What)
	}
	if n, ok := v.desks().Identity.Author(s.Log); ok {
		l.Site = siteName(w.view, n.Site)
	}
	return l
}

func (v *visit) letGoOn() error  { return v.settleAlarm(v.desks().Staff.LetGoOn) }
func (v *visit) sawAlarm() error { return v.settleAlarm(v.desks().Staff.SawAlarm) }

func (v *visit) settleAlarm(settle func(context.Context, staff.Actor, staff.ID) error) error {
	by, err := v.who()
	if err != nil {
		return err
	}
	if err := settle(v.s.ctx, v.actor, by); err != nil {
		return err
	}
	return v.redirect("/reads")
}

// readAlerts says on the home page who reads faster than the work needs.
func (v *visit) readAlerts() (out []alertLine, err error) {
	alarms, err := v.desks().Staff.Alarms(v.actor)
	w := &view{Lang: v.lang}
	for _, a := range alarms {
		line := alertLine{Tone: "warn", Text: w.T("home.reads", "Who", v.readerName(a.By), "Count", a.Opened), Link: "/reads"}
		if a.Opened == 0 || a.Listed/fewNames > a.Opened {
			line.Text = w.T("home.reads_names", "Who", v.readerName(a.By), "Count", a.Listed)
		}
		if a.Stopped && !a.GoesOn {
			line.Tone = "bad"
		}
		out = append(out, line)
	}
	return out, err
}

// fewNames is how many names in a list weigh as much as one record opened, where one of
// the two is to be told.
const fewNames = 50
