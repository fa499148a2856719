package tui

import (
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
)

// View draws the whole terminal: head, the screen, the line of keys. It always
// gives exactly height lines, so nothing scrolls.
func (m model) View() string {
	head, foot := m.head(), m.foot()
	room := m.height - len(head) - 1
	var body []string
	switch {
	case m.help:
		body = m.helpScreen(room)
	case m.status == nil:
		body = m.notConnected()
	case m.screen == nodes:
		body = m.nodesScreen(room)
	case m.screen == alerts:
		body = m.alertsScreen(room)
	default:
		body = m.overviewScreen(room)
	}
	for len(body) < room {
		body = append(body, "")
	}
	lines := append(append(head, body[:max(room, 0)]...), foot)
	for i := range lines {
		lines[i] = strings.TrimRight(fit(lines[i], m.width), " ")
	}
	if m.ascii {
		return inASCII.Replace(strings.Join(lines, "\n"))
	}
	return strings.Join(lines, "\n")
}

// inASCII are our own signs in plain ASCII, each as wide as before. Names stay as they are.
var inASCII = strings.NewReplacer("●", "*", "◆", "~", "○", "o", "×", "x", "▸", ">", "▲", "#", "■", "=", "✓", "v", "─", "-", "·", "-", "…", "~", "↓", "j", "↑", "k")

// head is where this is, in which state, and whether the picture is fresh.
func (m model) head() []string {
	rule := m.look.muted.Render(strings.Repeat("─", m.width))
	if m.status == nil {
		return []string{apart(m.look.brand.Render("Waypost"), m.freshness(), m.width), rule}
	}
	s := m.status
	site := control.Plain(s.Site)
	if site == "" {
		site = "Waypost"
	}
	lines := []string{apart(m.look.brand.Render(site), m.state(), m.width)}
	where := m.look.muted.Render(control.Plain(s.Deployment))
	if s.Number > 0 {
		where = m.look.muted.Render(strings.TrimSpace(control.Plain(s.Deployment) + " · " + m.say("tui.number", "Number", s.Number)))
	}
	lines = append(lines, apart(where, m.freshness(), m.width))
	if s.Practice {
		lines = append(lines, m.look.warn.Render(m.say("tui.practice")))
	}
	return append(lines, rule)
}

// state is the node's state, with a shape for each.
func (m model) state() string {
	text := control.Plain(m.say("cli.state." + m.status.State))
	switch m.status.State {
	case "open":
		return m.look.good.Render("● " + text)
	case "locked", "new", "opening":
		return m.look.warn.Render("■ " + text)
	}
	return m.look.bad.Render("▲ " + text)
}

// freshness says when the picture is old: a lead must not trust a still one.
func (m model) freshness() string {
	switch {
	case m.lost != nil && m.status != nil:
		return m.look.bad.Render(m.say("tui.lost", "N", m.missed))
	case m.lost != nil:
		return m.look.bad.Render(m.say("tui.connecting"))
	case m.status == nil:
		return m.look.muted.Render(m.say("tui.connecting"))
	}
	now := m.status.Clock.Now.Format("15:04:05") // in the zone of the node
	if !m.status.Clock.Sure {
		now += "?"
	}
	return m.look.muted.Render(now)
}

// notConnected is the screen before the first answer.
func (m model) notConnected() []string {
	if m.lost == nil {
		return nil
	}
	f := fault.Of(m.lost)
	out := []string{""}
	for _, l := range wrap(control.Plain(m.lang.Text(f.Key, f.Args)), m.width-2) {
		out = append(out, " "+m.look.bad.Render(l))
	}
	if key := f.Key + ".hint"; m.lang.Has(key) {
		out = append(out, "")
		for _, l := range wrap(control.Plain(m.lang.Text(key, f.Args)), m.width-2) {
			out = append(out, " "+l)
		}
	}
	out = append(out, "")
	for _, l := range wrap(m.say("tui.waiting"), m.width-2) {
		out = append(out, " "+m.look.muted.Render(l))
	}
	return out
}

// heading is the title of a block.
func (m model) heading(key string) string { return m.look.strong.Render(m.say(key)) }

// beside puts blocks next to each other, each in its own width.
func beside(gap int, widths []int, blocks ...[]string) []string {
	height := 0
	for _, b := range blocks {
		height = max(height, len(b))
	}
	out := make([]string, height)
	for i := range out {
		var line strings.Builder
		for j, b := range blocks {
			cell := ""
			if i < len(b) {
				cell = b[i]
			}
			line.WriteString(pad(cell, widths[j]))
			if j < len(blocks)-1 {
				line.WriteString(strings.Repeat(" ", gap))
			}
		}
		out[i] = line.String()
	}
	return out
}

// foot is one line with the keys that do something now, whole keys only. The way
// out is always there; others give way where the line is short.
func (m model) foot() string {
	draw := func(k keyHelp) string { return m.look.brand.Render(k.key) + " " + m.look.muted.Render(m.say(k.text)) }
	keys := m.keysNow()
	out := draw(keys[len(keys)-1])
	line := ""
	for _, k := range keys[:len(keys)-1] {
		next := line + draw(k) + "  "
		if lipgloss.Width(next)+lipgloss.Width(out) > m.width {
			break
		}
		line = next
	}
	return line + out
}
