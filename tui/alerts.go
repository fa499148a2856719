package tui

// alertsScreen shows every alert as a whole sentence, the one the cursor stands on
// among them.
func (m model) alertsScreen(room int) []string {
	list := m.alerts()
	if len(list) == 0 {
		return m.alertBlock(m.width, room)
	}
	out, at := []string{m.heading("tui.alerts")}, 0
	for i, a := range list {
		style, shape, mark := m.look.warn, "! ", "  "
		if a.Level == "danger" {
			style, shape = m.look.bad, "▲ "
		}
		if i == m.cursor[alerts] {
			mark, at = m.look.brand.Render("▸ "), len(out)
		}
		for j, l := range wrap(m.alertText(a), m.width-4) {
			if j > 0 {
				mark, shape = "  ", "  "
			}
			out = append(out, mark+style.Render(shape+l))
		}
	}
	from, to := window(len(out), max(room, 1), at)
	return out[from:to]
}
