package tui

import (
	"strconv"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/waypost/waypost/appliance/control"
)

// The columns of the list of posts, in cells. The narrow list has no round trip.
const (
	contactCells = 12
	behindCells  = 9
	tripCells    = 8
	clockCells   = 9
)

// columns are how wide each column of the list is in width cells; 0 leaves one out. What
// is left is the site's.
func columns(width int) (contact, behind, trip, clock int) {
	switch {
	case width <= narrowUpTo:
		return 7, 6, 0, 0
	case width < 70:
		return contactCells, behindCells, 0, 0
	}
	return contactCells, behindCells, tripCells, clockCells
}

func (m model) peerHeading(width int) string {
	if width <= narrowUpTo {
		return m.heading("tui.posts")
	}
	contact, behind, trip, clock := columns(width)
	cells := padLeft(m.say("tui.contact"), contact) + " " + padLeft(m.say("tui.behind"), behind)
	if trip > 0 {
		cells += " " + padLeft(m.say("tui.trip"), trip) + " " + padLeft(m.say("tui.node.clock"), clock)
	}
	return pad(m.heading("tui.posts"), width-lipgloss.Width(cells)) + m.look.muted.Render(cells)
}

// peerLine is one post: shape of its state, site, when it was last heard, how many records
// of here it lacks, how far away it is and whether its clock is right. A long site gives
// way to the warning behind it.
func (m model) peerLine(p control.Peer, width int) string {
	contact, behind, trip, clock := columns(width)
	form := "ago"
	if width <= narrowUpTo {
		form = "short"
	}
	lag := padLeft(count(p.Behind), behind)
	switch {
	case p.Standing != "": // what it lacks it is never given
		lag = padLeft("-", behind)
	case p.Behind > 0:
		lag = m.look.warn.Render(lag)
	}
	cells := padLeft(m.ago(form, m.status.Clock.Now, p.LastContact), contact) + " " + lag
	if trip > 0 {
		cells += " " + padLeft(m.trip(p), trip) + " " + m.clockMark(p.Clock, clock)
	}
	name := width - lipgloss.Width(cells) - 1
	site, warning := m.peerShape(p)+" "+m.siteOf(p), ""
	if word, style := m.peerMark(p); word != "" {
		warning = " " + style.Render(word)
	}
	site = fit(site, name-lipgloss.Width(warning)) + warning
	return pad(site, name) + " " + cells
}

// peerShape is a sign for each state; the details say it in words.
func (m model) peerShape(p control.Peer) string {
	switch {
	case p.Standing != "":
		return m.look.bad.Render("×")
	case p.State == control.PeerConnected:
		return m.look.good.Render("●")
	case p.State == control.PeerRelayed:
		return m.look.good.Render("◆")
	}
	return m.look.warn.Render("○")
}

// peerState is the same in words.
func (m model) peerState(p control.Peer) string {
	switch {
	case p.Standing != "":
		return m.say("lost.state." + p.Standing)
	case p.State == control.PeerConnected:
		return m.say("cli.peer.connected")
	case p.State == control.PeerRelayed:
		return m.say("cli.peer.relayed")
	}
	return m.say("cli.peer.away")
}

// peerMark is the worst there is to say about a post, in a word or two; the details say it
// in whole. Beside it the site stays readable in the smallest terminal.
func (m model) peerMark(p control.Peer) (string, lipgloss.Style) {
	switch {
	case p.Doubled:
		return m.say("mesh.doubled"), m.look.bad
	case p.HeldBack > 0:
		return m.say("tui.mark.held", "Count", count(p.HeldBack)), m.look.warn
	case !p.Confirmed && p.Standing == "":
		return m.say("tui.unconfirmed"), m.look.bad
	case p.Locked:
		return m.say("tui.mark.locked"), m.look.warn
	case p.Carries && p.Site != "":
		return m.say("tui.mark.carries"), m.look.muted
	}
	return "", m.look.plain
}

func (m model) trip(p control.Peer) string {
	if p.RoundTrip == nil {
		return "-"
	}
	digits := 0
	if *p.RoundTrip < 10 {
		digits = 1
	}
	return m.say("mesh.trip", "MS", strconv.FormatFloat(*p.RoundTrip, 'f', digits, 64))
}

// clockMark is how far a clock is off, with a "!" where somebody should look and a "?"
// where nothing sure has set it.
func (m model) clockMark(c *control.PeerClock, width int) string {
	if c == nil {
		return padLeft("-", width)
	}
	off := c.Apart()
	text := "="
	if off.Abs() >= control.ClockSlack {
		sign := "+"
		if off < 0 {
			sign = "-"
		}
		text = sign + m.span(off.Abs())
	}
	if !c.Sure {
		text += "?"
	}
	if c.Wrong() {
		return m.look.bad.Render(padLeft("! "+text, width))
	}
	return padLeft(text, width)
}

// clockText is the same in words.
func (m model) clockText(c *control.PeerClock) string {
	if c == nil {
		return m.say("mesh.clock.unknown")
	}
	off, text := c.Apart(), m.say("mesh.clock.same")
	switch {
	case off >= control.ClockSlack:
		text = m.say("mesh.clock.ahead", "Span", m.span(off))
	case off <= -control.ClockSlack:
		text = m.say("mesh.clock.slow", "Span", m.span(-off))
	}
	if !c.Sure {
		text += ", " + m.say("mesh.clock.unsure")
	}
	return text
}

func (m model) span(d time.Duration) string {
	unit, n := control.Span(d)
	return m.say("tui.short."+unit, "N", n)
}
