package tui

import (
	"strings"

	"github.com/waypost/waypost/appliance/control"
)

// nodesScreen is the list of other posts with the details of the one the cursor
// stands on below it, and a line for what concerns all of them.
func (m model) nodesScreen(room int) []string {
	peers := m.peers()
	if len(peers) == 0 {
		return m.peerBlock(m.width, room)
	}
	at := m.cursor[nodes]
	details := append(m.peerDetails(peers[at]), m.meshNotes()...)
	size := max(min(leastListed, len(peers)), room-len(details)-2) // what is said last of the marked one gives way
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

// meshNotes are logs with two histories and what is held back, of all posts together.
func (m model) meshNotes() []string {
	var out []string
	add := func(text string) {
		for _, l := range wrap(text, m.width-4) {
			out = append(out, "  "+m.look.warn.Render(l))
		}
	}
	if n := len(m.status.Forks); n > 0 {
		add("! " + m.say("tui.forks", "Count", n))
	}
	held := uint64(0)
	for _, p := range m.status.Peers {
		held += p.HeldBack
	}
	if held > 0 {
		add("! " + m.say("mesh.heldback", "Count", held))
	}
	return out
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
	out := append(field("tui.node.state", m.stateWords(p)), m.wordsDetails(p, field)...)
	lag := m.say("tui.node.lag_is", "Behind", count(p.Behind), "Ahead", count(p.Ahead))
	if p.Standing != "" {
		lag = m.say("mesh.next.shut")
	}
	out = append(out, field("tui.node.lag", lag)...)
	if p.Clock != nil {
		out = append(out, field("tui.node.clock", m.clockText(p.Clock))...)
	}
	if p.RoundTrip != nil {
		out = append(out, field("tui.node.trip", m.trip(p))...)
	}
	out = append(out, field("tui.node.traffic", m.say("tui.node.traffic_is", "In", bytesText(p.BytesIn), "Out", bytesText(p.BytesOut)))...)
	for _, c := range p.Connections {
		out = append(out, field("tui.node.links", m.say("tui.node.link_is", "Address", c.Address, "Span", m.span(m.status.Clock.Now.Sub(c.Since)), "In", bytesText(c.BytesIn), "Out", bytesText(c.BytesOut)))...)
	}
	if p.HeldBack > 0 {
		out = append(out, field("tui.node.held", count(p.HeldBack))...)
	}
	out = append(out, field("tui.node.id", p.Node)...)
	if len(p.Addresses) > 0 {
		out = append(out, field("tui.node.address", strings.Join(p.Addresses, " "))...)
	}
	return out
}

// wordsDetails are the five words, as long as they have to be compared.
func (m model) wordsDetails(p control.Peer, field func(key, value string) []string) []string {
	if p.Confirmed || p.Standing != "" {
		return field("tui.node.words", m.say("tui.node.compared"))
	}
	out := field("tui.node.words", strings.Join(p.Words, " "))
	for _, l := range wrap(m.say("tui.node.compare", "Node", control.Plain(p.Node)), m.width-4) {
		out = append(out, "  "+m.look.bad.Render(l))
	}
	return out
}

// stateWords is the state of a post with what goes with it.
func (m model) stateWords(p control.Peer) string {
	out := []string{m.peerState(p)}
	if p.State == control.PeerRelayed {
		for _, o := range m.status.Peers {
			if o.Node == p.Via && p.Via != "" {
				out[0] = m.say("mesh.via", "Site", m.siteOf(o))
			}
		}
	}
	if since := p.LinkedSince(); !since.IsZero() {
		out = append(out, m.say("mesh.linked", "Span", m.span(m.status.Clock.Now.Sub(since))))
	}
	if p.Doubled {
		out = append(out, m.say("mesh.doubled"))
	}
	if p.Locked {
		out = append(out, m.say("mesh.locked"))
	}
	if p.Waiting > 0 {
		out = append(out, m.say("mesh.locked.waiting", "Count", p.Waiting))
	}
	if p.Carries {
		out = append(out, m.say("mesh.carries"))
	}
	return strings.Join(out, ", ")
}

// leastListed is how many posts the list shows in the smallest terminal.
const leastListed = 3

// labelCells is the column of labels.
const labelCells = 14
