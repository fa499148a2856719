package tui

import (
	"slices"
	"strings"

	"github.com/waypost/waypost/appliance/control"
)

// overviewScreen is the first screen. Other posts come first, alerts last; where
// the terminal is small each gives up lines before the other vanishes.
func (m model) overviewScreen(room int) []string {
	if m.status.State == "new" || m.status.State == "locked" || m.status.State == "opening" {
		return m.closedScreen()
	}
	switch {
	case m.width >= wideFrom:
		return m.overviewWide(room)
	case m.width <= narrowUpTo:
		return m.overviewNarrow(room)
	}
	third := (m.width - 4) / 3
	figures := beside(2, []int{third, third, third}, m.people(), m.records(), m.disk())
	left := room - len(figures) - 2
	posts := max(3, left-1-min(len(m.alerts())+1, left/2))
	out := append(figures, "")
	out = append(out, m.peerBlock(m.width, posts)...)
	out = append(out, "")
	return append(out, m.alertBlock(m.width, room-len(out))...)
}

func (m model) overviewWide(room int) []string {
	right := 44
	left := m.width - right - 4
	side := m.people()
	side = append(append(side, ""), m.records()...)
	side = append(append(side, ""), m.disk()...)
	main := m.peerBlock(left, max(3, room/2))
	main = append(main, "")
	main = append(main, m.alertBlock(left, room-len(main))...)
	return beside(4, []int{left, right}, main, side)
}

func (m model) overviewNarrow(room int) []string {
	s := m.status
	line := func(key, value string) string {
		return apart(m.say(key), m.look.strong.Render(value), m.width)
	}
	alone := m.look.strong
	if s.OnlyHere > 0 {
		alone = m.look.bad
	}
	figures := []string{
		line("tui.people", m.say("tui.people_short", "People", count(s.People), "Today", count(s.Today))),
		apart(m.say("tui.only_here_short"), alone.Render(count(s.OnlyHere)), m.width),
		line("tui.disk", m.say("tui.free", "Free", bytesText(s.Disk.Free))),
	}
	left := room - len(figures)
	posts := max(2, left-min(len(m.alerts())+1, max(3, left/2)))
	list := m.peerBlock(m.width, posts)
	gap := []string{}
	if len(list)+len(figures)+len(m.alerts())+4 <= room {
		gap = append(gap, "")
	}
	out := slices.Concat(list, gap, figures, gap)
	return append(out, m.alertBlock(m.width, room-len(out))...)
}

// closedScreen says what to do with a node that is new or locked.
func (m model) closedScreen() []string {
	out := []string{""}
	for _, l := range wrap(m.say("tui.is_"+m.status.State, "Percent", m.percent()), m.width-2) {
		out = append(out, " "+l)
	}
	return append(out, "", " "+m.say("tui.disk")+"  "+m.say("tui.free_of", "Free", bytesText(m.status.Disk.Free), "Total", bytesText(m.status.Disk.Total)))
}

// percent is how far the node is with reading its journal again.
func (m model) percent() int {
	if m.status.Rebuild == nil {
		return 0
	}
	return m.status.Rebuild.Percent
}

func (m model) people() []string {
	s := m.status
	return []string{
		m.heading("tui.people"),
		m.say("tui.people_all", "Count", s.People, "N", count(s.People)),
		m.say("tui.people_today", "Count", s.Today, "N", count(s.Today)),
	}
}

func (m model) records() []string {
	s := m.status
	here := m.say("tui.only_here", "Count", s.OnlyHere, "N", count(s.OnlyHere))
	if s.OnlyHere > 0 {
		here = m.look.bad.Render(here)
	}
	out := []string{m.heading("tui.records"), m.say("tui.records_all", "Count", s.Ops, "N", count(s.Ops)), here}
	if n := s.Pieces.Lacking; n > 0 {
		out = append(out, m.say("tui.photos_coming", "Count", n))
	}
	return out
}

func (m model) disk() []string {
	d := m.status.Disk
	return []string{
		m.heading("tui.disk"),
		m.say("tui.free_of", "Free", bytesText(d.Free), "Total", bytesText(d.Total)),
		m.say("tui.journal", "Size", bytesText(d.Journal)),
	}
}

// peerBlock is the list of other posts in at most lines lines.
func (m model) peerBlock(width, lines int) []string {
	peers := m.peers()
	out := []string{m.peerHeading(width)}
	if len(peers) == 0 {
		return append(out, fit(m.look.muted.Render(m.say("tui.alone")), width))
	}
	room := max(lines-1, 1)
	if len(peers) > room {
		room--
	}
	for _, p := range peers[:min(room, len(peers))] {
		out = append(out, m.peerLine(p, width))
	}
	if more := len(peers) - room; more > 0 {
		out = append(out, m.look.muted.Render(m.say("tui.more_posts", "Count", more)))
	}
	return out
}

// alertBlock is the alerts in at most lines lines, each cut to one.
func (m model) alertBlock(width, lines int) []string {
	list := m.alerts()
	if len(list) == 0 {
		return []string{m.heading("tui.alerts"), m.look.good.Render("✓ " + m.say("tui.no_alerts"))}
	}
	out := []string{m.heading("tui.alerts")}
	room := max(lines-1, 1)
	if len(list) > room {
		room--
	}
	for _, a := range list[:min(room, len(list))] {
		out = append(out, fit(m.alertLine(a), width))
	}
	if more := len(list) - room; more > 0 {
		out = append(out, m.look.muted.Render(m.say("tui.more_alerts", "Count", more)))
	}
	return out
}

func (m model) alertLine(a control.Alert) string {
	if a.Level == "danger" {
		return m.look.bad.Render("▲ " + m.alertText(a))
	}
	return m.look.warn.Render("! " + m.alertText(a))
}

// alertText is the sentence in the person's language; a newer node may send one
// this program does not know, then its English text.
func (m model) alertText(a control.Alert) string {
	if !m.lang.Has(a.Key) && a.Text != "" {
		return control.Plain(a.Text)
	}
	return strings.TrimSpace(control.Plain(m.lang.Text(a.Key, a.Values())))
}
