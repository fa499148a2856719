package ui

import (
	"net/url"
	"strconv"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
)

// copyPages say where records are kept, who could read them and what would be lost with
// this box.
func (s *Server) copyPages() []route {
	return []route{
		{method: "GET", path: "/people/:id/copies", policy: need(staff.ReadPeople), handle: (*visit).copies},
		{method: "GET", path: "/mesh/gone", policy: need(staff.SeeMesh), handle: (*visit).gone},
	}
}

// keptLine says in a few words where a record is kept; nil where boxes have no neighbours.
type keptLine struct {
	Tone, Text, Path string
	Loud             bool // it wants somebody's eye
}

// copyLine is one post and what it holds.
type copyLine struct {
	Site, Number     string
	Here, Connected  bool
	Since, Heard     time.Time
	Unsure           bool
	Apart, Part, Why string // in words; empty when they do not apply
}

// copiesPage is where the record of one person is kept and who could read it.
type copiesPage struct {
	Name, Back         string
	Kept               keptLine
	Lost               string // that some of it was damaged here, in words
	Photo              string // about the photo, in words; empty when there is none
	Whole, Part, Apart []copyLine
	Roles              []roleLine
	Readers, Carriers  []copyLine
	Partners           []copyLine // relays, each with what it holds
	Practice           bool
	MayMesh            bool
}

// roleLine is a role at this post and who works as it.
type roleLine struct {
	Role, Count string
	Names       []string // for those who may list staff
}

// copiesOf asks where the record of somebody is: what is written about them, and about the
// household they are in.
func (v *visit) copiesOf(r registration.Record) (control.Copies, error) {
	subjects := []oplog.ID{r.ID}
	if r.Household != nil {
		subjects = append(subjects, *r.Household)
	}
	return v.s.config.Box.Copies(v.s.ctx, subjects...)
}

// keptOf is the line on the page of a person. A page is shown without it rather than not.
func (v *visit) keptOf(r registration.Record) *keptLine {
	if v.s.config.Box.Site().Practice {
		return nil
	}
	c, err := v.copiesOf(r)
	if err != nil {
		v.s.config.Logger.Warn("where a record is kept cannot be told", "err", err)
		return nil
	}
	line := keptLineOf(&view{Lang: v.lang}, c)
	if r.Photo != "" && !line.Loud { // no box is told who has a photo
		w := &view{Lang: v.lang}
		line.Text += w.T("list.comma") + w.T("copies.kept.photo")
	}
	line.Path = "/people/" + r.ID.String() + "/copies"
	return &line
}

func keptLineOf(w *view, c control.Copies) keptLine {
	switch {
	case c.OnlyHere == c.Facts:
		return keptLine{Tone: "bad", Text: w.T("copies.only_here"), Loud: true}
	case c.OnlyHere > 0:
		return keptLine{Tone: "bad", Text: w.T("copies.newest_only_here"), Loud: true}
	case len(c.Whole) == 0:
		return keptLine{Tone: "warn", Text: w.T("copies.parts")}
	}
	return keptLine{Tone: "good", Text: w.T("copies.kept", "Count", len(c.Whole)+1)}
}

func (v *visit) copies() error {
	id, err := v.subject("fault.registration.no_person")
	if err != nil {
		return err
	}
	r, err := v.desks().Registration.Get(v.s.ctx, v.actor, id)
	if err != nil {
		return err
	}
	if err := v.lookThrough([]registration.Record{r}, false); err != nil {
		return err
	}
	c, err := v.copiesOf(r)
	if err != nil {
		return err
	}
	roles, err := v.roleLines()
	if err != nil {
		return err
	}
	w := v.words()
	m := copiesPageOf(w, v.s.config.Box.Site(), c)
	m.Name, m.Back, m.Roles, m.MayMesh = w.name(r.Person), "/people/"+id.String(), roles, v.actor.Can(staff.SeeMesh)
	if at := v.photoAt(r); at != "none" {
		m.Photo = w.T("copies.photo_" + at)
	}
	return v.render("people/copies", m)
}

// photoAt is where the photo of somebody is as far as this box can tell: none, here or
// coming. Nobody tells a box which others have it.
func (v *visit) photoAt(r registration.Record) string {
	switch {
	case r.Photo == "":
		return "none"
	case v.desks().Registration.PhotoHere(r):
		return "here"
	}
	return "coming"
}

func copiesPageOf(w speaker, site SiteInfo, c control.Copies) copiesPage {
	m := copiesPage{Kept: keptLineOf(w.view, c), Practice: site.Practice}
	if c.Gone > 0 {
		m.Lost = w.T("copies.lost", "Count", c.Gone)
	}
	m.Whole = append(m.Whole, copyLine{Site: site.Site, Number: strconv.Itoa(int(site.Number)), Here: true})
	for _, at := range c.Whole {
		m.Whole = append(m.Whole, w.copyLine(at))
	}
	for _, at := range c.Part {
		l := w.copyLine(at)
		l.Part = w.T("copies.part_of", "Facts", at.Facts, "Of", c.Facts)
		m.Part = append(m.Part, l)
	}
	for _, at := range c.Apart {
		m.Apart = append(m.Apart, w.copyLine(at))
	}
	for _, at := range c.Posts {
		m.Readers = append(m.Readers, w.copyLine(at))
	}
	for _, at := range c.Partners {
		l := w.copyLine(at)
		switch {
		case at.Facts == 0:
			l.Part = w.T("copies.partners.nothing")
		case at.Facts < c.Facts:
			l.Part = w.T("copies.part_of", "Facts", at.Facts, "Of", c.Facts)
		}
		m.Partners = append(m.Partners, l)
	}
	for _, list := range [][]control.CopyAt{c.Whole, c.Part} {
		for _, at := range list {
			if !at.Reads && !at.Carries {
				m.Carriers = append(m.Carriers, w.copyLine(at))
			}
		}
	}
	return m
}

// copyLine says who a holder is.
func (s speaker) copyLine(at control.CopyAt) copyLine {
	l := copyLine{Site: postName(s.view, at.Site, at.Number, at.Carries), Number: numberBeside(at.Site, at.Number), Connected: at.Connected, Unsure: at.Since != nil && !at.Sure}
	if at.Since != nil {
		l.Since = *at.Since
	}
	if at.Heard != nil {
		l.Heard = *at.Heard
	}
	switch at.Apart {
	case "":
	case "twin":
		l.Apart, l.Why = s.T("copies.twin"), s.T("copies.twin.why")
	default:
		l.Apart, l.Why = s.T("copies.shut"), s.T("copies.shut.why")
	}
	return l
}

// roleLines count who works here and may look people up; whoever may list staff reads
// their names.
func (v *visit) roleLines() ([]roleLine, error) {
	counts, err := v.desks().Staff.WhoMay(v.actor, staff.ReadPeople)
	if err != nil {
		return nil, err
	}
	names := map[staff.Role][]string{}
	if v.actor.Can(staff.ManageStaff) {
		accounts, err := v.desks().Staff.List(v.s.ctx, v.actor)
		if err != nil {
			return nil, err
		}
		for _, a := range accounts {
			if !a.Disabled {
				names[a.Role] = append(names[a.Role], a.User)
			}
		}
	}
	w := &view{Lang: v.lang}
	var out []roleLine
	for _, c := range counts {
		l := roleLine{Role: w.Label("staff.role", string(c.Role)), Count: w.T("copies.accounts", "Count", c.Accounts), Names: names[c.Role]}
		if c.Keys > 0 {
			l.Count += w.T("list.comma") + w.T("copies.keys", "Count", c.Keys)
		}
		out = append(out, l)
	}
	return out, nil
}

// gonePage is what would be lost were this box gone now.
type gonePage struct {
	control.Gone
	Nothing        bool
	Only           string // how much that is, in words
	Lines          []fact
	Neighbour      *copyLine
	BackupAt       time.Time
	BackupSince    string // what is not in it, in words; empty when all is
	Logs           []goneLog
	Unsure         bool // some of the times are by a clock nobody had set
	People         []gonePerson
	More           string
	ListOf         bool // the visitor may read the names
	MayKeep, Drill bool
	Practice       bool
	Now            time.Time
}

// goneLog is where the records of one post are kept.
type goneLog struct {
	From, Count, Only string
	Copies            []copyLine
	More              string // how many others hold it too, in words
}

// mostHolders are named of each log; on a page for fifty posts nobody reads more.
const mostHolders = 5

// gonePerson is one of the people concerned.
type gonePerson struct {
	personLine
	Whole bool
}

func (v *visit) gone() error {
	g, err := v.s.config.Box.Gone(v.s.ctx)
	if err != nil {
		return err
	}
	w := v.words()
	m := gonePageOf(w, v.s.config.Box.Site(), g)
	m.MayKeep, m.Drill = v.actor.Can(staff.KeepBackups), v.actor.Can(staff.HoldCeremony)
	if m.ListOf = v.actor.Can(staff.ReadPeople); m.ListOf && g.People+g.Changed > 0 {
		if err := v.gonePeople(w, &m); err != nil {
			return err
		}
	}
	return v.render("mesh/gone", m)
}

// gonePeople fills in one part of the list.
func (v *visit) gonePeople(w speaker, m *gonePage) error {
	people, next, err := v.s.config.Box.GonePeople(v.s.ctx, v.query("after"), pageSize)
	if err != nil {
		return err
	}
	var shown []registration.Record
	for _, p := range people {
		id, err := oplog.ParseID(p.ID)
		if err != nil {
			return err
		}
		r, err := v.desks().Registration.Get(v.s.ctx, v.actor, id)
		if fault.ClassOf(err) == fault.NotFound {
			continue // erased a moment ago
		}
		if err != nil {
			return err
		}
		shown = append(shown, r)
		m.People = append(m.People, gonePerson{w.line(r), p.Whole})
	}
	if next != "" {
		m.More = "/mesh/gone?" + url.Values{"after": {next}}.Encode()
	}
	return v.lookThrough(shown, false)
}

func gonePageOf(w speaker, site SiteInfo, g control.Gone) gonePage {
	m := gonePage{Gone: g, Nothing: g.Facts == 0 && g.Letters == 0, Practice: site.Practice, Now: w.now}
	m.Only = w.T("gone.only", "Count", g.Facts+uint64(g.Letters)) //nolint:gosec // a count
	for _, x := range []struct {
		key string
		n   int
	}{
		{"gone.people", g.People}, {"gone.changed", g.Changed}, {"gone.households", g.Households}, {"gone.cards", g.Cards}, {"gone.photos", g.Photos}, {"gone.letters", g.Letters},
	} {
		if x.n == 0 {
			continue // what is lost is what is read here
		}
		m.Lines = append(m.Lines, fact{Label: w.T(x.key), Value: strconv.Itoa(x.n), Code: true})
	}
	if g.Closest != nil {
		l := w.copyLine(*g.Closest)
		m.Neighbour = &l
	}
	if g.Backup != nil {
		m.BackupAt = g.Backup.Made
		if g.Backup.Since > 0 {
			m.BackupSince = w.T("gone.backup.since", "Count", g.Backup.Since)
		}
	}
	for _, x := range g.Logs {
		l := goneLog{From: postName(w.view, x.Site, x.Number, x.Carries), Count: w.T("gone.logs.count", "Count", x.Facts)}
		if x.Node != "" && x.Node == site.Node {
			l.From = w.T("mesh.this")
		}
		if x.OnlyHere > 0 {
			l.Only = w.T("gone.only", "Count", x.OnlyHere)
		}
		for _, at := range x.Copies[:min(len(x.Copies), mostHolders)] {
			l.Copies = append(l.Copies, w.copyLine(at))
			m.Unsure = m.Unsure || at.Since != nil && !at.Sure
		}
		if more := len(x.Copies) - mostHolders; more > 0 {
			l.More = w.T("gone.logs.more", "Count", more)
		}
		m.Logs = append(m.Logs, l)
	}
	return m
}

// lineView is one line of a list with the frame it stands in.
type lineView struct {
	V *view
	L copyLine
}

// Line hands a line to a template with what says things in the page's language.
func (v *view) Line(l copyLine) lineView { return lineView{v, l} }
