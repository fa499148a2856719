package ui

import (
	"net/url"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

// pageRoutes are the pages, their forms and what they need to look right.
func (s *Server) pageRoutes() []route {
	return []route{
		{method: "GET", path: "/", policy: public(), where: onPublic, handle: (*visit).first},
		{method: "GET", path: "/welcome", policy: public(), where: onPublic, handle: (*visit).welcome},
		{method: "GET", path: "/static/:hash/:file", policy: public(), where: onPublic, handle: (*visit).staticFile},
		{method: "GET", path: "/lang/:tag", policy: public(), where: onPublic, handle: (*visit).chooseLanguage},
		{method: "GET", path: "/start", policy: claim(), handle: (*visit).startPage},
		{method: "POST", path: "/start", policy: claim(), guess: byClaim, handle: (*visit).start},
		{method: "GET", path: "/join", policy: claim(), handle: (*visit).joinPage},
		{method: "POST", path: "/join", policy: claim(), guess: byClaim, limit: photoLimit, handle: (*visit).join},
		{method: "GET", path: "/practise", policy: claim(), handle: (*visit).practisePage},
		{method: "POST", path: "/practise", policy: claim(), guess: byClaim, handle: (*visit).practise},
		{method: "GET", path: "/restore", policy: claim(), handle: (*visit).restorePage},
		{method: "POST", path: "/restore", policy: claim(), guess: byClaim, handle: (*visit).restore},
		{method: "GET", path: "/restore/progress", policy: public(), handle: (*visit).restoreProgress},
		{method: "GET", path: "/unlock", policy: unlock(), handle: (*visit).unlockPage},
		{method: "POST", path: "/unlock", policy: unlock(), guess: byUnlock, handle: (*visit).open},
		{method: "GET", path: "/signin", policy: public(), handle: (*visit).signInPage},
		{method: "POST", path: "/signin", policy: public(), guess: bySignIn, handle: (*visit).enter},
		{method: "POST", path: "/signout", policy: signedIn(), handle: (*visit).leave},
		{method: "GET", path: "/words", policy: signedIn(), handle: (*visit).showWords},
		{method: "POST", path: "/words", policy: signedIn(), handle: (*visit).wroteWords},

		{method: "GET", path: "/people", policy: need(staff.ReadPeople), handle: (*visit).search},
		{method: "GET", path: "/people/new", policy: need(staff.RegisterPeople), handle: (*visit).familyPage},
		{method: "POST", path: "/people", policy: need(staff.RegisterPeople), handle: (*visit).saveFamily},
		{method: "GET", path: "/people/:id", policy: need(staff.ReadPeople), handle: (*visit).person},
		{method: "GET", path: "/people/:id/edit", policy: need(staff.CorrectPeople), handle: (*visit).editPage},
		{method: "POST", path: "/people/:id/edit", policy: need(staff.CorrectPeople), handle: (*visit).edit},
		{method: "POST", path: "/people/:id/keep", policy: need(staff.CorrectPeople), handle: (*visit).keep},
		{method: "GET", path: "/people/:id/photo", policy: need(staff.ReadPeople), handle: getPhoto},
		{method: "POST", path: "/people/:id/photo", policy: need(staff.CorrectPeople), limit: uploadLimit, handle: (*visit).savePhoto},
		{method: "POST", path: "/people/:id/tell", policy: need(staff.SealIntake), handle: (*visit).tellPerson},
		{method: "GET", path: "/tell", policy: need(staff.SealIntake), handle: (*visit).tellPage},
		{method: "POST", path: "/tell", policy: need(staff.SealIntake), handle: (*visit).tellNobody},
		{method: "GET", path: "/people/:id/card", policy: need(staff.IssueTokens), handle: (*visit).cardPage},
		{method: "POST", path: "/people/:id/card", policy: need(staff.IssueTokens), handle: (*visit).issueCard},
		{method: "GET", path: "/households/:id", policy: need(staff.ReadPeople), handle: (*visit).household},
		{method: "GET", path: "/households/:id/add", policy: need(staff.RegisterPeople), handle: (*visit).memberPage},
		{method: "POST", path: "/households/:id/add", policy: need(staff.RegisterPeople), handle: (*visit).addMember},
		{method: "GET", path: "/households/:id/cards", policy: need(staff.IssueTokens), handle: (*visit).householdSheet},
		{method: "POST", path: "/households/:id/cards", policy: need(staff.IssueTokens), handle: (*visit).issueHousehold},
		{method: "GET", path: "/cards", policy: need(staff.IssueTokens), handle: (*visit).sheet},

		{method: "GET", path: "/verify", policy: need(staff.VerifyTokens), handle: (*visit).verifyPage},
		{method: "POST", path: "/verify", policy: need(staff.VerifyTokens), limit: photoLimit, handle: (*visit).verify},

		{method: "GET", path: "/mesh", policy: need(staff.SeeMesh), handle: (*visit).mesh},
		{method: "GET", path: "/mesh/invite", policy: need(staff.InviteNodes), handle: func(v *visit) error { return v.redirect("/mesh") }}, // the page of an invitation, opened again: its code was shown once
		{method: "GET", path: "/mesh/:node", policy: need(staff.SeeMesh), handle: (*visit).meshNodePage},
		{method: "POST", path: "/mesh/invite", policy: need(staff.InviteNodes), handle: (*visit).invite},
		{method: "POST", path: "/mesh/:node/confirm", policy: need(staff.ConfirmNodes), handle: (*visit).confirm},

		{method: "GET", path: "/lock", policy: signedIn(), handle: (*visit).lockPage},
		{method: "POST", path: "/lock", policy: signedIn(), handle: (*visit).lockNow},
		{method: "GET", path: "/box", policy: need(staff.ManageBox), handle: (*visit).boxPage},
		{method: "POST", path: "/box/add", policy: need(staff.ManageBox), handle: (*visit).addWay},
		{method: "POST", path: "/box/remove", policy: need(staff.ManageBox), handle: (*visit).removeWay},
		{method: "GET", path: "/wipe", policy: need(staff.ManageBox), handle: (*visit).wipePage},
		{method: "POST", path: "/wipe", policy: need(staff.ManageBox), guess: bySignIn, handle: (*visit).wipe},
		{method: "GET", path: "/drill", policy: need(staff.HoldCeremony), handle: (*visit).drillPage},
		{method: "POST", path: "/drill", policy: need(staff.HoldCeremony), limit: photoLimit, handle: (*visit).drill},
		{method: "GET", path: "/backup", policy: need(staff.KeepBackups), handle: (*visit).backupPage},
		{method: "POST", path: "/backup", policy: need(staff.KeepBackups), handle: (*visit).startBackup},
		{method: "POST", path: "/backup/stop", policy: need(staff.KeepBackups), handle: (*visit).stopBackup},
		{method: "GET", path: "/restored", policy: signedIn(), handle: (*visit).restoredPage},
		{method: "POST", path: "/restored", policy: need(staff.KeepBackups), handle: (*visit).reopen},

		{method: "GET", path: "/help", policy: public(), where: onPublic, handle: (*visit).help},
		{method: "GET", path: "/help/:topic", policy: public(), where: onPublic, handle: (*visit).helpTopic},
	}
}

// places are the main places, in the order of a working day. Tiles of the home
// page are made from the same list: those of everybody's work first, large, then those of
// whoever runs the site, because a lead has fourteen and registers people too.
var places = []struct {
	path, key, icon, alt string
	action               staff.Action
	nav                  bool // also in the bar on top
	runs                 bool // of whoever runs the site
}{
	{"/people/new", "nav.register", "add", "n", staff.RegisterPeople, true, false},
	{"/people", "nav.find", "search", "k", staff.ReadPeople, true, false},
	{"/verify", "nav.check", "check", "s", staff.VerifyTokens, true, false},
	{"/tell", "nav.tell", "edit", "", staff.SealIntake, false, false},
	{"/desk", "nav.desk", "people", "", staff.WorkSealed, true, false},
	{"/mesh", "nav.posts", "posts", "", staff.SeeMesh, true, false},
	{"/staff", "nav.staff", "staff", "", staff.ManageStaff, false, true},
	{"/box", "nav.box", "lock", "", staff.ManageBox, false, true},
	{"/backup", "nav.backup", "backup", "", staff.KeepBackups, false, true},
	{"/approvals", "nav.approvals", "check", "", staff.ErasePeople, false, true},
	{"/reads", "nav.reads", "history", "", staff.SeeReads, false, true},
	{"/ceremony", "nav.ceremony", "check", "", staff.HoldCeremony, false, true},
	{"/drill", "nav.drill", "check", "", staff.HoldCeremony, false, true},
	{"/officers", "nav.officers", "lock", "", staff.BreakGlass, false, true},
	{"/second", "nav.second", "check", "", staff.SignForFiles, false, false},
}

// navFor is the bar on top: only what this person may use.
func navFor(a staff.Actor, path string) []navItem {
	var out []navItem
	for _, p := range places {
		if p.nav && a.Can(p.action) {
			out = append(out, navItem{Path: p.path, Key: p.key, Icon: p.icon, Alt: p.alt, Here: p.path == path})
		}
	}
	return out
}

// chooseLanguage keeps the choice for a year and goes back to where it was made.
func (v *visit) chooseLanguage() error {
	chosen := v.s.config.Catalog.For(v.param("tag")).Tag()
	if chosen != v.param("tag") {
		return fault.New(fault.NotFound, "fault.ui.no_page")
	}
	v.setCookie(languageCookie, chosen, languageKept)
	return v.redirect(ownPath(v.query("to")))
}

// ownPath is to, when it is a path of this box, and otherwise the first page: a
// link from outside must not lead somebody on to another site.
func ownPath(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		return "/"
	}
	return to
}
