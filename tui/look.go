package tui

import (
	"io"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
)

// look is the colours, those of the pages (ui/static/app.css): quiet teal on the
// terminal's own background, and a colour besides only where a person should look.
// Nothing is said by colour alone.
type look struct {
	plain, strong, muted, brand, good, warn, bad lipgloss.Style
}

func newLook(out io.Writer, noColor bool) look {
	r := lipgloss.NewRenderer(out)
	if noColor {
		r.SetColorProfile(termenv.Ascii)
	} else {
		// Asked once, when the program starts, before anything reads the keyboard:
		// the answer would be taken for keys.
		r.SetHasDarkBackground(lipgloss.HasDarkBackground())
	}
	colour := func(light, dark string) lipgloss.Style {
		return r.NewStyle().Foreground(lipgloss.AdaptiveColor{Light: light, Dark: dark})
	}
	return look{
		plain:  r.NewStyle(),
		strong: r.NewStyle().Bold(true),
		muted:  colour("#3f4f4a", "#bccac4"),
		brand:  colour("#0b4a45", "#8ad9c9").Bold(true),
		good:   colour("#0b4f27", "#9be3b4"),
		warn:   colour("#573a00", "#ffd98a"),
		bad:    colour("#8a1212", "#ffb4aa"),
	}
}
