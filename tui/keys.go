package tui

// keyHelp is one key and what it does.
type keyHelp struct{ key, text string }

// keysNow are the keys that do something at the moment, the most used first and
// the way out last.
func (m model) keysNow() []keyHelp {
	if m.help {
		return []keyHelp{{"esc", "tui.key.back"}, {"q", "tui.key.quit"}}
	}
	var keys []keyHelp
	if m.screen != overview {
		keys = append(keys, keyHelp{"esc", "tui.key.back"})
	}
	if n := map[screen]int{nodes: len(m.peers()), alerts: len(m.alerts())}[m.screen]; n > 1 {
		keys = append(keys, keyHelp{"j/k", "tui.key.move"})
	}
	if m.status != nil && m.screen != nodes {
		keys = append(keys, keyHelp{"n", "tui.key.nodes"})
	}
	if m.status != nil && m.screen != alerts {
		keys = append(keys, keyHelp{"a", "tui.key.alerts"})
	}
	return append(keys, keyHelp{"?", "tui.key.help"}, keyHelp{"q", "tui.key.quit"})
}

// helpScreen explains the screen below it, then the keys.
func (m model) helpScreen(room int) []string {
	about := map[screen]string{overview: "tui.about.overview", nodes: "tui.about.nodes", alerts: "tui.about.alerts"}[m.screen]
	var out []string
	for _, l := range wrap(m.say(about), m.width-2) {
		out = append(out, " "+l)
	}
	out = append(out, "")
	for _, k := range []keyHelp{
		{"n", "tui.key.nodes"}, {"a", "tui.key.alerts"}, {"tab", "tui.key.next"}, {"esc", "tui.key.back"}, {"j/k ↓↑", "tui.key.move"},
		{"g G", "tui.key.ends"}, {"?", "tui.key.help"}, {"q", "tui.key.quit"},
	} {
		out = append(out, " "+m.look.brand.Render(pad(k.key, 8))+m.say(k.text))
	}
	return out[:min(len(out), max(room, 0))]
}
