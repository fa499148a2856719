package ui

import (
	"time"

	"github.com/waypost/waypost/appliance/staff"
)

// tellPictures are the ways of passing something on, and the warning beside a note.
func tellPictures() []picture {
	warned := func(v *view) *form {
		f := newForm()
		f.set("members.0.given_name", "Rosa")
		f.set("members.0.more.notes", "was detained")
		f.set(noted, "1")
		f.warned, f.warns["members.0.more.notes"] = true, true
		return f
	}
	return []picture{
		{name: "tell", page: "people/tell", data: func(speaker) any { return tellModel{Once: "once", Codes: sensitiveCodes(), Takes: true} }},
		{name: "tell-told", page: "people/tell", data: func(speaker) any { return tellModel{Once: "once", Codes: sensitiveCodes(), Takes: true, Told: true} }},
		{name: "tell-nobody-takes", page: "people/tell", data: func(speaker) any { return tellModel{Once: "once"} }},
		{name: "tell-empty", page: "people/tell", data: func(speaker) any { return tellModel{Once: "once", Codes: sensitiveCodes(), Takes: true} }, form: func(v *view) *form {
			f := topOf("fault.registration.invalid")(v)
			f.errors["tell.codes"] = v.T("registration.problem.aside_empty")
			return f
		}},
		{name: "family-warned", page: "people/new", form: warned, data: func(s speaker) any { return familyOf(s, 1) }},
		{name: "family-no-intake", page: "people/new", frame: func(v *view) { v.tells = false }, data: func(s speaker) any {
			m := familyOf(s, 1)
			m.TellCodes = nil
			return m
		}},
		{name: "person-told", page: "people/person", data: func(s speaker) any {
			m := personModelOf(s, galleryFamily()[3], nil)
			m.Told = true
			return m
		}},
	}
}

// readPictures are the pages of who looked at whom.
func readPictures() []picture {
	looks := func(s speaker, names ...string) (out []seenLine) {
		for i, name := range names {
			out = append(out, seenLine{At: galleryTime.Add(-time.Duration(i) * time.Hour), Name: name, Path: "/reads/x", What: s.T("reads.what.open"), Site: "North gate"})
		}
		return out
	}
	return []picture{
		{name: "reads", page: "reads/list", data: func(speaker) any {
			return readsPage{
				Alarms: []alarmLine{
					{Name: "سعيد", Path: "/reads/a", Alarm: staff.Alarm{Opened: 121, Listed: 240, Since: galleryTime, Stopped: true}},
					{Name: "Bo", Path: "/reads/b", Alarm: staff.Alarm{Opened: 131, Listed: 20, Since: galleryTime.Add(-time.Hour), Stopped: true, GoesOn: true}},
					{Name: "Amina K.", Path: "/reads/c", Own: true, Alarm: staff.Alarm{Opened: 122, Since: galleryTime}},
				},
				Readers: []readerLine{{"سعيد", "/reads/a", 121, 240, galleryTime}, {"kiosk", "/reads/k", 1, 1, galleryTime.Add(-time.Hour)}}, Whole: true,
			}
		}},
		{name: "reads-none", page: "reads/list", data: func(speaker) any { return readsPage{Whole: true} }},
		{name: "reads-person", page: "reads/person", data: func(s speaker) any {
			return seenPage{Name: "Rosa Ixchel Tum", Back: "/people/x", More: "/people/x/reads?after=y", Lines: looks(s, "Amina K.", "سعيد")}
		}},
		{name: "reads-reader", page: "reads/reader", data: func(s speaker) any {
			lines := looks(s, "Rosa Ixchel Tum", "محمد عبد الله", galleryID(4).String())
			lines[2].Path = ""
			return seenPage{Name: "سعيد", Back: "/reads", Lines: lines}
		}},
	}
}
