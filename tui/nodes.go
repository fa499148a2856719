package tui

import (
	"strings"

	"github.com/waypost/waypost/appliance/control"
)

// nodesScreen is the list of other posts with the details of the one the cursor
// stands on below it.
func (m model) nodesScreen(room int) []string {
	peers := m.peers()
	if len(peers) == 0 {
		return m.peerBlock(m.width, room)
	}
	at := m.cursor[nodes]
	details := m.peerDetails(peers[at])
	size := max(1, room-len(details)-2)
	from, to := window(len(peers), size, at)
	out := []string{"  " + m.peerHeading(m.width-2)}
	for i := from; i < to; i++ {
		mark := "  "
		if i == at {
			mark = m.look.brand.Render("▸ ")
		}
		out = append(out, mark+m.peerLine(peers[i], m.width-2))
	}
	return append(append(out, ""), details...)
}

// peerDetails are everything known of one post. The five words are there to be read
// aloud; they open nothing.
func (m model) peerDetails(p control.Peer) []string {
	field := func(key, value string) []string {
		label := m.say(key)
		lines := wrap(control.Plain(value), max(m.width-2-labelCells, 8))
		out := make([]string, len(lines))
		for i, l := range lines {
			out[i] = "  " + m.look.muted.Render(pad(label, labelCells)) + l
			label = ""
		}
		return out
	}
	out := field("tui.node.id", p.Node)
	out = append(out, field("tui.node.lag", m.say("tui.node.lag_is", "Behind", count(p.Behind), "Ahead", count(p.Ahead)))...)
	out = append(out, field("tui.node.traffic", m.say("tui.node.traffic_is", "In", bytesText(p.BytesIn), "Out", bytesText(p.BytesOut)))...)
	if len(p.Addresses) > 0 {
		out = append(out, field("tui.node.address", strings.Join(p.Addresses, " "))...)
	}
	if p.Confirmed {
		return append(out, field("tui.node.words", m.say("tui.node.compared"))...)
	}
	out = append(out, field("tui.node.words", strings.Join(p.Words, " "))...)
	for _, l := range wrap(m.say("tui.node.compare", "Node", control.Plain(p.Node)), m.width-4) {
		out = append(out, "  "+m.look.bad.Render(l))
	}
	return out
}

// labelCells is the column of labels.
const labelCells = 14
