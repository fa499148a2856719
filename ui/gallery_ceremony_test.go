package ui

import (
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/identity"
)

// ceremonyPictures are the pages about the main key, its papers and the drill.
func ceremonyPictures() []picture {
	at := func(c identity.Ceremony) func(speaker) any {
		return func(speaker) any { return ceremonyPageOf(c) }
	}
	lines := strings.Split(strings.TrimSuffix(strings.Repeat("05A1-B2C3-D4E5-F6G7-H8J9\n", 9), "\n"), "\n")
	code := "WPSHARE1" + strings.Repeat("05A1B2C3D4E5F6G7H8J9", 9)
	full := identity.Ceremony{Variant: identity.CeremonyFull, Root: true, Enrols: true, Made: true}
	step := func(c identity.Ceremony, s string) identity.Ceremony { c.Step = s; return c }
	shares := step(full, identity.StepShares)
	shares.Read = []bool{true, false, true, false, false}
	holder := func(v *view) { v.Holder = true }
	return []picture{
		{name: "ceremony-choose", page: "ceremony/ceremony", frame: holder, data: at(step(full, identity.StepChoose))},
		{name: "ceremony-issuer", page: "ceremony/ceremony", data: at(step(full, identity.StepIssuer))},
		{name: "ceremony-words", page: "ceremony/ceremony", data: at(step(full, identity.StepWords)), form: topOf("fault.identity.issuer_words")},
		{name: "ceremony-shares", page: "ceremony/ceremony", data: at(shares), form: func(v *view) *form {
			f := newForm()
			f.set("text", strings.Join(lines, "\n"))
			f.top, f.hint = v.T("fault.identity.paper_line", "Line", 4), v.T("fault.identity.paper_line.hint")
			return f
		}},
		{name: "ceremony-sheet", page: "ceremony/ceremony", data: at(identity.Ceremony{Step: identity.StepSheet, Variant: identity.CeremonySmall, Root: true})},
		{name: "ceremony-finish", page: "ceremony/ceremony", data: at(step(full, identity.StepFinish))},
		{name: "ceremony-done", page: "ceremony/ceremony", frame: func(v *view) { v.Site.Ceremony = identity.CeremonyFull }, data: at(identity.Ceremony{Step: identity.StepDone, Variant: identity.CeremonyFull})},
		{name: "ceremony-gone", page: "ceremony/ceremony", data: at(identity.Ceremony{Step: identity.StepGone, Kit: true, Shut: true})},
		{name: "ceremony-ten-words", page: "ceremony/issuer", frame: func(v *view) { v.NoSwitch = true }, data: func(speaker) any {
			return issuerPage{wordList{Words: append(galleryWords, galleryWords...)}, "waypost-issuer-2.wpissuer"}
		}},
		{name: "papers", page: "ceremony/shares", data: func(speaker) any {
			m := papersPage{Date: "2026-11-27"}
			for n := range 5 {
				m.Papers = append(m.Papers, paperPage{Number: n + 1, QR: svg(code), Lines: lines})
			}
			return m
		}},
		{name: "paper-sheet", page: "ceremony/sheet", data: func(speaker) any {
			return papersPage{Papers: []paperPage{{QR: svg(code[:88]), Lines: lines[:4]}}, Words: wordList{galleryWords, true}}
		}},
		{name: "ceremony-install", page: "ceremony/install", data: func(speaker) any { return ceremonyPage{} }},
		{name: "drill", page: "drill/drill", data: func(s speaker) any {
			list := []identity.Drill{}
			for i, what := range identity.Drills() {
				list = append(list, identity.Drill{What: what, Good: i != 2, At: galleryTime.Add(-time.Duration(i) * 24 * time.Hour), Unsure: i == 3})
			}
			list[4].At = time.Time{}
			m := drillPageOf(s.view, list)
			m.Lines[0].By, m.Done = "Amina K.", identity.DrillKit
			return m
		}},
		{name: "drill-due", page: "drill/drill", data: func(s speaker) any {
			m := drillPageOf(s.view, []identity.Drill{{What: identity.DrillKit, Good: true, At: galleryTime}})
			m.Overdue = true
			return m
		}, form: topOf("fault.identity.wrong_passphrase")},
	}
}
