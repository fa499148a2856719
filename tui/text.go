package tui

import (
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/waypost/waypost/appliance/control"
)

// say is a sentence in the person's language; args alternate names and values.
func (m model) say(key string, args ...any) string {
	values := make(map[string]any, len(args)/2)
	for i := 0; i+1 < len(args); i += 2 {
		values[args[i].(string)] = args[i+1] //nolint:forcetypeassert // our own calls
	}
	return m.lang.Text(key, values)
}

// fit cuts s, styles included, to width cells.
func fit(s string, width int) string {
	if width <= 0 {
		return ""
	}
	return ansi.Truncate(s, width, "…")
}

// pad cuts or fills s to width cells.
func pad(s string, width int) string {
	s = fit(s, width)
	return s + strings.Repeat(" ", max(0, width-lipgloss.Width(s)))
}

// padLeft is pad for numbers, which line up at their end.
func padLeft(s string, width int) string {
	s = fit(s, width)
	return strings.Repeat(" ", max(0, width-lipgloss.Width(s))) + s
}

// apart puts left and right at the two ends of width cells; left is cut first.
func apart(left, right string, width int) string {
	right = fit(right, width)
	left = fit(left, width-lipgloss.Width(right)-1)
	return left + strings.Repeat(" ", max(0, width-lipgloss.Width(left)-lipgloss.Width(right))) + right
}

// wrap breaks plain text into lines of at most width cells, at blanks where it can.
func wrap(s string, width int) []string {
	return strings.Split(ansi.Wrap(s, max(width, 1), ""), "\n")
}

// count writes n in groups of three: 12,345 is read faster than 12345.
func count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// bytesText writes n with one unit.
func bytesText(n uint64) string { return control.BytesText(n) }

// ago says how long before the node's own now something was; form is "ago", or
// "short" where there are few cells.
func (m model) ago(form string, now, then time.Time) string {
	if then.IsZero() {
		return m.say("tui.never")
	}
	d := max(now.Sub(then), 0)
	switch {
	case d < time.Minute:
		return m.say("tui."+form+".seconds", "N", int(d/time.Second))
	case d < time.Hour:
		return m.say("tui."+form+".minutes", "N", int(d/time.Minute))
	case d < 48*time.Hour:
		return m.say("tui."+form+".hours", "N", int(d/time.Hour))
	}
	return m.say("tui."+form+".days", "N", int(d/(24*time.Hour)))
}

// siteOf is what a post is called: its site, else its kind and number; a relay's name never
// arrives. Without a number it is its id.
func (m model) siteOf(p control.Peer) string {
	s := strings.TrimSpace(control.Plain(p.Site))
	switch {
	case s != "":
		return s
	case p.Number == 0:
		return control.Plain(p.Node)
	case p.Carries:
		return m.say("mesh.relay_called", "Number", strconv.Itoa(int(p.Number)))
	}
	return m.say("mesh.post_called", "Number", strconv.Itoa(int(p.Number)))
}

// window picks size lines of n so that line at is among them.
func window(n, size, at int) (from, to int) {
	if n <= size {
		return 0, n
	}
	from = max(0, min(at-size/2, n-size))
	return from, from + size
}
