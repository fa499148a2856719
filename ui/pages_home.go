package ui

import (
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/staff"
)

// homePage is the page a working day starts from.
type homePage struct {
	People, Households, Today uint64
	Alerts                    []alertLine
	Mesh                      *meshLine // nil in practice, and for those who may not see other posts
	Tiles, Runs               []tile    // the work; and what whoever runs the site does
	Counting                  bool      // the box has just started: there are more people than these
	ShowLast                  bool
	Last                      []personLine
	Carries                   bool   // it carries for others: no figures of people, but how much it holds
	Ops                       uint64 // facts it holds
}

type alertLine struct {
	Tone, Text string
	Link       string // where to do something about it; empty when not on a page
}

type tile struct {
	Path, Key, Why, Icon string // Why: a sentence below it; only for the work
	First                bool   // the most used one
}

// lastShown is how many of the last registered people the home page lists.
const lastShown = 8

func (v *visit) home() error {
	status, err := v.s.config.Box.Status(v.s.ctx)
	if err != nil {
		return err
	}
	m := homePage{People: status.People, Households: status.Households, Today: status.Today, Counting: status.Counting}
	m.Carries, m.Ops = v.actor.Carries, status.Ops
	m.ShowLast = v.actor.Can(staff.ReadPeople) && !status.Counting // a page to register from is worth more than the latest names
	m.Tiles, m.Runs = tilesFor(v.actor)
	if v.actor.Can(staff.SeeStatus) {
		m.Alerts = v.alertLines(status)
	}
	if _, waiting := v.s.words.of(v.actor); waiting {
		m.Alerts = append([]alertLine{{Tone: "bad", Text: v.lang.Text("home.words", nil), Link: "/words"}}, m.Alerts...)
	}
	if v.actor.Can(staff.ErasePeople) {
		alerts, err := v.eraseAlerts()
		if err != nil {
			return err
		}
		m.Alerts = append(m.Alerts, alerts...)
	}
	m.Alerts = append(m.Alerts, v.actAlerts()...)
	if v.actor.Can(staff.BreakGlass) {
		alerts, err := v.sealedAlerts()
		if err != nil {
			return err
		}
		m.Alerts = append(m.Alerts, alerts...)
	}
	if v.actor.Can(staff.SeeReads) {
		alerts, err := v.readAlerts()
		if err != nil {
			return err
		}
		m.Alerts = append(m.Alerts, alerts...)
	}
	if v.actor.Can(staff.SeeMesh) && !status.Practice {
		line := meshLineOf(&view{Lang: v.lang}, status)
		m.Mesh = &line
	}
	if m.ShowLast {
		page, err := v.desks().Registration.Recent(v.s.ctx, v.actor, lastShown, "")
		if err != nil {
			return err
		}
		if err := v.looking(staff.Look{What: staff.LookedThrough, Named: v.others(page.Items), Cards: true}); err != nil { // the same few for everybody
			return err
		}
		w := v.words()
		for _, r := range page.Items {
			m.Last = append(m.Last, w.line(r))
		}
	}
	return v.render("home/home", m)
}

func tilesFor(a staff.Actor) (work, runs []tile) {
	for _, p := range places {
		if !a.Can(p.action) {
			continue
		}
		if p.runs {
			runs = append(runs, tile{Path: p.path, Key: p.key, Icon: p.icon})
			continue
		}
		work = append(work, tile{Path: p.path, Key: p.key, Why: p.key + ".why", Icon: p.icon, First: len(work) == 0})
	}
	return append(work, tile{Path: "/help", Key: "nav.help", Why: "nav.help.why", Icon: "help"}), runs
}

// alertLinks say where a page can help with an alert of the box.
var alertLinks = map[string]string{
	"alert.erasures": "/approvals", "alert.unconfirmed": "/mesh", "alert.self_unconfirmed": "/mesh", "alert.root_on_box": "/ceremony", "alert.kit_opened": "/ceremony", "alert.ways_old": "/box", "alert.drill_due": "/drill",
	"alert.read_only": "/help/trouble", "alert.mesh_off": "/help/trouble", "alert.disk_low": "/help/trouble", "alert.disk_full": "/help/trouble", "alert.problems": "/help/trouble",
	"alert.lost": "/losses", "alert.lost_alone": "/losses", "alert.rebuilding": "/help/trouble", "alert.counting": "/help/trouble", "alert.arriving": "/help/trouble",
	"alert.restored": "/restored", "alert.restored_alone": "/restored", "alert.backup_none": "/backup", "alert.webcert_ends": "/box/webcert", "alert.webcert_clear": "/help/ladder", "alert.backup_old": "/backup",
	"alert.backup_behind": "/backup", "alert.twin": "/help/backup", "alert.copied": "/help/backup", "alert.double": "/help/backup", "alert.parted": "/help/backup",
	"alert.letters_waiting": "/night", "alert.letters_aside": "/night/aside", "alert.letters_foreign": "/help/night", "alert.taken_in": "/night", "alert.records_waiting": "/help/night", "alert.records_aside": "/help/night",
	"alert.clock": "/help/trouble", "alert.shut_out": "/lost", "alert.opaque": "/help/relay", "alert.emergency_lost": "/box/emergency", "alert.invitation_refused": "/help/posts",
}

// doors are the pages that not everybody who sees an alert may open, and what they
// read instead: nobody is sent to a page that turns them away.
var doors = map[string]struct {
	action  staff.Action
	instead string
}{
	"/approvals": {staff.ErasePeople, "/help/erase"}, "/mesh": {staff.SeeMesh, "/help/posts"}, "/ceremony": {staff.HoldCeremony, "/help/papers"}, "/drill": {staff.HoldCeremony, "/help/papers"},
	"/box": {staff.ManageBox, "/help/lock"}, "/box/emergency": {staff.ManageBox, "/help/lock"}, "/box/webcert": {staff.ManageBox, "/help/ladder"}, "/losses": {staff.ManageBox, "/help/trouble"}, "/backup": {staff.KeepBackups, "/help/backup"},
	"/restored": {staff.KeepBackups, "/help/backup"}, "/night": {staff.ReadPeople, "/help/night"}, "/night/aside": {staff.ManageBox, "/help/night"},
}

// alertLines says what the box wants a person to see. What only waits for another
// post stands in the mesh line, so it is not said twice.
func (v *visit) alertLines(s control.Status) []alertLine {
	var out []alertLine
	w := &view{Lang: v.lang}
	for _, a := range s.Alerts {
		if a.Key == "alert.only_here" {
			continue
		}
		tone := "warn"
		if a.Level == "danger" {
			tone = "bad"
		}
		args := make([]any, 0, 2*len(a.Args))
		for k, value := range a.Args {
			args = append(args, k, value)
		}
		link := alertLinks[a.Key]
		if d, ok := doors[link]; ok && !v.actor.Can(d.action) {
			link = d.instead
		}
		out = append(out, alertLine{Tone: tone, Text: w.T(a.Key, args...), Link: link})
	}
	return out
}

// meshLine is the state of the mesh in a few words.
type meshLine struct {
	Tone, Text string
	Alone      string // what only this box holds, in words; empty when nothing
	Safe       string // that others hold everything
	Coming     string // photos that are on their way here, in words; empty when none
}

func meshLineOf(w *view, s control.Status) meshLine {
	heard, total, key := 0, 0, "mesh.line"
	for _, p := range s.Peers {
		if p.Standing != "" {
			continue // nobody deals with it
		}
		total++
		if p.Reached() {
			heard++
		}
		if p.State == control.PeerRelayed {
			key = "mesh.line.heard" // not all of them are connected with this box
		}
	}
	line := meshLine{Tone: "good"}
	switch {
	case total == 0:
		line.Tone, line.Text = "warn", w.T("mesh.line.alone")
	case heard == 0:
		line.Tone, line.Text = "warn", w.T("mesh.line.none")
	default:
		line.Text = w.T(key, "Count", heard, "Total", total)
	}
	if s.OnlyHere > 0 {
		line.Alone = w.T("mesh.line.only_here", "Count", s.OnlyHere)
	} else if total > 0 {
		line.Safe = w.T("mesh.line.safe")
	}
	if n := s.Pieces.Lacking; n > 0 {
		line.Coming = w.T("mesh.photos.coming", "Count", n)
	}
	return line
}
