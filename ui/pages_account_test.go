package ui

import (
	"html/template"

	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

func accountPictures() []picture {
	lines := []sessionLine{
		{ID: "a", User: "Amina K.", Label: "Android · Chrome", Since: galleryTime, Used: galleryTime, This: true, PIN: true},
		{ID: "b", User: "سعيد", Label: "Windows · Firefox", Since: galleryTime, Used: galleryTime, Rests: true},
	}
	acts := func(s speaker) []actLine {
		return []actLine{
			{Path: "/acts/x", Text: s.T("acts.one"), By: "Bo L.", At: galleryTime},
			{Path: "/acts/y", Text: s.T("acts.one"), By: "سعيد", At: galleryTime, Own: true},
		}
	}
	me := func(change func(*mePage)) func(s speaker) any {
		return func(s speaker) any {
			m := mePage{Role: s.Label("staff.role", "caseworker"), Sessions: lines}
			change(&m)
			return m
		}
	}
	promise := func(given bool) func(s speaker) any {
		return func(s speaker) any { return undertakingPage{To: "/", Points: s.undertakingPoints(), Given: given} }
	}
	wake := func(pin, held bool) func(speaker) any {
		return func(speaker) any {
			return wakeModel{To: "/people", User: "Amina K.", PIN: pin, CSRF: "form-key", Held: held}
		}
	}
	keys := passkeysOn{Can: true, All: []passkeyLine{
		{ID: "a", Label: "Android · Chrome", Made: galleryTime, Here: true}, {ID: "b", Label: "Windows · Edge", Made: galleryTime, Copied: true},
	}}
	colleague := colleagueLine{Person: "x", User: "Bo L.", Role: "Registrar", Code: "registrar", Site: "الميناء", Path: "/staff?person=x"}
	return []picture{
		{name: "wake-pin", page: "entry/wake", frame: stranger, data: wake(true, true)},
		{name: "wake-wrong", page: "entry/wake", frame: stranger, data: wake(true, false), form: topOf("fault.staff.pin_easy")},
		{name: "wake-passphrase", page: "entry/wake", frame: stranger, data: wake(false, false)},
		{name: "wake-passkey", page: "entry/wake", frame: stranger, data: func(speaker) any {
			return wakeModel{To: "/people", User: "Amina K.", PIN: true, Passkey: true, CSRF: "form-key"}
		}, form: topOf("fault.staff.passkey_copied")},
		{name: "staff-colleague", page: "staff/staff", data: func(s speaker) any {
			m := staffOf(s, "")
			m.Colleague = colleague
			return m
		}},
		{name: "staff-words", page: "staff/words", frame: func(v *view) { v.NoSwitch = true }, data: func(speaker) any { return staffWords{Words: wordList{Words: galleryWords}, User: "سعيد"} }},
		{name: "staff-words-own", page: "staff/words", frame: func(v *view) { v.NoSwitch = true }, data: func(speaker) any { return staffWords{Words: wordList{Words: galleryWords}, Own: true} }},
		{name: "colleagues", page: "staff/colleagues", data: func(speaker) any { return colleaguesPage{[]colleagueLine{colleague}} }},
		{name: "colleagues-none", page: "staff/colleagues", data: func(speaker) any { return colleaguesPage{} }},
		{name: "sessions", page: "staff/sessions", data: func(speaker) any { return sessionsPage{lines} }},
		{name: "me", page: "staff/me", frame: func(v *view) { v.Idle = pageIdle }, data: me(func(m *mePage) { m.HasPIN, m.Asks = true, true })},
		{name: "me-words", page: "staff/me", data: me(func(m *mePage) { m.Words, m.Narrow = true, []string{"Child files"} })},
		{name: "me-passkeys", page: "staff/me", data: me(func(m *mePage) { m.HasPIN, m.Asks, m.Passkeys = true, true, keys })},
		{name: "me-passkey-elsewhere", page: "staff/me", data: me(func(m *mePage) { m.Passkeys.Elsewhere = "https://waypost.internal:8443/" })},
		{name: "undertaking", page: "staff/undertaking", data: promise(false)},
		{name: "undertaking-given", page: "staff/undertaking", data: promise(true)},
		{name: "badge", page: "staff/badge", data: func(s speaker) any {
			return badgePage{User: "سعيد", Role: s.Label("staff.role", "registrar"), Site: "North gate", Code: "K7Q-F3M-XP0", Back: "/staff",
				QR: template.HTML(tokens.SVG(staff.BadgeText("K7Q-F3M-XP0"), tokens.Quiet))}
		}},
		{name: "acts", page: "staff/acts", data: func(s speaker) any { return actsPage{Waiting: acts(s), Done: s.T("acts.done")} }},
		{name: "acts-none", page: "staff/acts", data: func(speaker) any { return actsPage{} }},
		{name: "act", page: "staff/act", data: func(s speaker) any { return acts(s)[0] }},
		{name: "act-own", page: "staff/act", data: func(s speaker) any { return acts(s)[1] }, form: topOf("fault.staff.act_made")},
	}
}
