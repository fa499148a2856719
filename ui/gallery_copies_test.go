package ui

import (
	"time"

	"github.com/waypost/waypost/appliance/control"
)

// galleryCopies is where a record is kept: at this post, at a clinic for hours, by a clock
// nobody had set at the harbour, in parts at a third, and at one that was shut out.
func galleryCopies() control.Copies {
	before := func(d time.Duration) *time.Time { t := galleryTime.Add(-d); return &t }
	return control.Copies{
		Facts: 4, OnlyHere: 0,
		Whole: []control.CopyAt{
			{Node: "a", Number: 2, Site: "Clinic", Facts: 4, Since: before(3 * time.Hour), Sure: true, Heard: before(0), Connected: true, Reads: true},
			{Node: "b", Number: 3, Site: "الميناء", Facts: 4, Since: before(50 * time.Hour), Heard: before(26 * time.Hour), Reads: true},
		},
		Part:     []control.CopyAt{{Node: "c", Number: 4, Site: "River post", Facts: 3, Since: before(90 * time.Hour), Sure: true, Heard: before(80 * time.Hour)}},
		Apart:    []control.CopyAt{{Node: "d", Number: 5, Site: "", Facts: 2, Heard: before(200 * time.Hour), Apart: "shut"}, {Node: "e", Number: 1, Site: "North gate", Facts: 4, Apart: "twin"}},
		Posts:    []control.CopyAt{{Node: "a", Number: 2, Site: "Clinic", Reads: true}, {Node: "b", Number: 3, Site: "الميناء", Reads: true}},
		Partners: []control.CopyAt{{Node: "f", Number: 6, Facts: 4, Since: before(time.Hour), Sure: true, Heard: before(0), Connected: true, Carries: true}, {Node: "g", Number: 7, Carries: true}},
	}
}

func copyPictures() []picture {
	site := SiteInfo{Site: "North gate", Number: 1, Node: galleryID(20).String()}
	kept := func(s speaker, c control.Copies, roles ...roleLine) copiesPage {
		m := copiesPageOf(s, site, c)
		m.Name, m.Back, m.MayMesh = "Rosa Ixchel Tum", "/people/x", true
		m.Roles = append([]roleLine{
			{Role: s.Label("staff.role", "lead"), Count: s.T("copies.accounts", "Count", 2)},
			{Role: s.Label("staff.role", "registrar"), Count: s.T("copies.accounts", "Count", 11)},
		}, roles...)
		return m
	}
	gone := control.Gone{
		Facts: 212, People: 61, Changed: 4, Households: 17, Cards: 58, Photos: 40, Letters: 2, Oldest: new(galleryTime.Add(-9 * time.Hour)), Newest: new(galleryTime.Add(-4 * time.Minute)),
		Closest: &control.CopyAt{Node: "b", Number: 3, Site: "الميناء", Heard: new(galleryTime.Add(-26 * time.Hour))},
		Backup:  &control.LastBackup{Made: galleryTime.Add(-49 * time.Hour), Ops: 9000, Since: 212},
		Logs: []control.LogCopies{
			{Node: site.Node, Site: "North gate", Facts: 8004, OnlyHere: 212}, {Node: "a", Site: "Clinic", Facts: 640, Copies: galleryCopies().Whole}, {Facts: 12, Copies: galleryCopies().Whole[:1]},
		},
	}
	return []picture{
		{name: "copies", page: "people/copies", data: func(s speaker) any { m := kept(s, galleryCopies()); m.Photo = s.T("copies.photo_here"); return m }},
		{name: "copies-only-here", page: "people/copies", data: func(s speaker) any {
			m := kept(s, control.Copies{Facts: 4, OnlyHere: 4, Gone: 1}, roleLine{Role: s.Label("staff.role", "medical"), Count: s.T("copies.accounts", "Count", 1), Names: []string{"Mina", "نور"}})
			m.Photo = s.T("copies.photo_coming")
			return m
		}},
		{name: "copies-practice", page: "people/copies", data: func(s speaker) any { m := kept(s, control.Copies{Facts: 1, OnlyHere: 1}); m.Practice = true; return m }},
		{name: "gone", page: "mesh/gone", data: func(s speaker) any {
			m := gonePageOf(s, site, gone)
			m.ListOf, m.MayKeep, m.More = true, true, "/mesh/gone?after=x"
			for i, l := range lines(s, galleryFamily()) {
				m.People = append(m.People, gonePerson{l, i > 0})
			}
			return m
		}},
		{name: "gone-nothing", page: "mesh/gone", data: func(s speaker) any {
			return gonePageOf(s, site, control.Gone{Backup: &control.LastBackup{Made: galleryTime, Ops: 9000}, Logs: gone.Logs[1:]})
		}},
		{name: "gone-alone", page: "mesh/gone", data: func(s speaker) any {
			g := gone
			g.Closest, g.Backup, g.Logs = nil, nil, gone.Logs[:1]
			return gonePageOf(s, site, g)
		}},
		{name: "gone-no-person", page: "mesh/gone", data: func(s speaker) any {
			return gonePageOf(s, site, control.Gone{Facts: 3, Closest: &galleryCopies().Whole[0], Backup: gone.Backup, Logs: gone.Logs[:1]})
		}},
	}
}
