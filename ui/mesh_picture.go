package ui

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/waypost/waypost/appliance/control"
)

// The picture of the mesh is drawn here as SVG, without a script: this box in the middle
// and the others around it, up to namesUpTo with their names, up to ringUpTo with their
// numbers; more stand in one frame for each state. State is told by the outline first and
// by colour besides. What it shows stands in words in its description, and whole in the
// table below it.

const (
	namesUpTo = 8
	ringUpTo  = 20
	mostTies  = 80 // links between others; more of them are a tangle that tells nothing

	picWidth  = 340.0 // about a phone's width in CSS pixels, so that text keeps its size there
	nameCells = 13
)

// netNode is one box in the picture.
type netNode struct {
	id, name   string
	named      bool // else its name is made of its number
	number     uint16
	state      string // a state of control.Peer, "shut" or "self"
	look       bool   // it has to be looked at
	via        string
	neighbours []string
	x, y       float64
}

// nodeStates are in the order in which the picture tells of them.
var nodeStates = []string{control.PeerConnected, control.PeerRelayed, control.PeerAway, "shut"}

func netNodeOf(w *view, p control.Peer) netNode {
	n := netNode{id: p.Node, name: peerName(w, p), named: p.Site != "", number: p.Number, state: p.State, via: p.Via, neighbours: p.Neighbours}
	switch {
	case p.Standing != "":
		n.state = "shut"
	case p.State != control.PeerConnected && p.State != control.PeerRelayed:
		n.state = control.PeerAway
	}
	t := p.Trouble()
	n.look = t == 0 || t == 2 && (p.Locked || p.Clock != nil && p.Clock.Wrong()) // a clock that nothing sure has set is the usual one in the field
	return n
}

// netDrawing is a picture under way.
type netDrawing struct {
	w     *view
	b     strings.Builder
	self  netNode
	nodes []netNode // by number
	rtl   bool
}

// meshPicture draws the mesh as this node sees it.
func meshPicture(w *view, s control.Status) template.HTML {
	d := &netDrawing{w: w, rtl: w.Lang.Dir() == "rtl", self: netNode{number: s.Number, state: "self", name: w.T("mesh.this")}}
	for _, p := range s.Peers {
		d.nodes = append(d.nodes, netNodeOf(w, p))
	}
	slices.SortStableFunc(d.nodes, func(a, b netNode) int { return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.id, b.id)) })
	var height float64
	if len(d.nodes) > ringUpTo {
		height = d.groups()
	} else {
		height = d.ring()
	}
	head := fmt.Sprintf(`<svg class="net" viewBox="0 0 %g %g" role="img" aria-labelledby="net-title net-desc"><title id="net-title">%s</title><desc id="net-desc">%s</desc>`,
		picWidth, math.Ceil(height), escaped(w.T("mesh.picture")), escaped(strings.Join(d.inWords(), " ")))
	return template.HTML(head + d.b.String() + `</svg>`) //nolint:gosec // every text in it was escaped
}

func escaped(s string) string { return template.HTMLEscapeString(s) }

// inWords says what the picture shows.
func (d *netDrawing) inWords() []string {
	if len(d.nodes) == 0 {
		return []string{d.w.T("mesh.picture.alone")}
	}
	var out []string
	tell := func(key string, those func(netNode) bool) {
		var names []string
		for _, n := range d.nodes {
			if those(n) {
				name := d.w.T("mesh.node_number", "Number", n.digits())
				switch {
				case len(d.nodes) > ringUpTo:
				case !n.named:
					name = n.name // which is its number
				default:
					name += " " + isolated(control.Plain(n.name)).(string) //nolint:forcetypeassert // a text stays one
				}
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			out = append(out, d.w.T("mesh.picture."+key, "Count", len(names), "Names", strings.Join(names, ", ")))
		}
	}
	for _, state := range nodeStates {
		tell(state, func(n netNode) bool { return n.state == state })
	}
	tell("look", func(n netNode) bool { return n.look })
	return out
}

func (n netNode) digits() string {
	if n.number == 0 {
		return "?"
	}
	return strconv.Itoa(int(n.number))
}

// ring draws this box in the middle and the others around it. It gives the height.
func (d *netDrawing) ring() float64 {
	named := len(d.nodes) <= namesUpTo
	rx, ry, size := 112.0, 104.0, 16.0
	if !named {
		rx, ry, size = 140, 128, 13
	}
	d.self.x, d.self.y = picWidth/2, ry+size+22
	switch len(d.nodes) {
	case 0:
		d.self.y = 40
	case 1, 2:
		ry = 0
		d.self.y = 56
	}
	for i := range d.nodes {
		angle := 2*math.Pi*float64(i)/float64(len(d.nodes)) - math.Pi/2
		if len(d.nodes) <= 2 { // beside it, where the reading ends, and then where it begins
			angle = math.Pi * float64(i)
		}
		d.nodes[i].x, d.nodes[i].y = d.self.x+d.mirror(rx*math.Cos(angle)), d.self.y+ry*math.Sin(angle)
	}
	d.ties()
	d.label(d.self.x, d.self.y+18+15, d.self.name)
	for _, n := range d.nodes {
		if named {
			d.label(n.x, n.y+size+15, shortened(n.name))
		}
	}
	for _, n := range d.nodes {
		d.draw(n, size)
	}
	d.draw(d.self, 18)
	bottom := d.self.y
	if len(d.nodes) > 2 {
		bottom += ry
	}
	return bottom + 44
}

// mirror turns a distance to the right into one along the line of reading.
func (d *netDrawing) mirror(dx float64) float64 {
	if d.rtl {
		return -dx
	}
	return dx
}

// ties are the lines of a ring, below everything else.
func (d *netDrawing) ties() {
	at := map[string]netNode{}
	for _, n := range d.nodes {
		at[n.id] = n
	}
	for _, pair := range d.between(at) {
		d.line("tie", at[pair[0]], at[pair[1]])
	}
	for _, n := range d.nodes {
		switch n.state {
		case control.PeerConnected:
			d.line("link", n, d.self)
		case control.PeerRelayed:
			to, ok := at[n.via]
			if !ok || to.id == n.id {
				to = d.self
			}
			d.line("link over", n, to)
		}
	}
}

// between are the links that others say they have with each other, each once; none where
// there are more than can be told apart.
func (d *netDrawing) between(at map[string]netNode) [][2]string {
	seen := map[[2]string]bool{}
	var out [][2]string
	for _, n := range d.nodes {
		for _, o := range n.neighbours {
			pair := [2]string{min(n.id, o), max(n.id, o)}
			if _, there := at[o]; !there || o == n.id || seen[pair] || n.via == o || at[o].via == n.id {
				continue
			}
			seen[pair] = true
			out = append(out, pair)
		}
	}
	if len(out) > mostTies {
		return nil
	}
	return out
}

// groups draws one frame for each state, and this box above them. It gives the height.
func (d *netDrawing) groups() float64 {
	const columns, step, size, left = 8, 36.0, 13.0, 32.0
	x := func(x float64) float64 {
		if d.rtl {
			return picWidth - x
		}
		return x
	}
	d.self.x, d.self.y = x(left+8+size), 24
	fmt.Fprintf(&d.b, `<text x="%g" y="29" class="at">%s</text>`, x(left+8+2*size+12), escaped(d.self.name))
	y, rail := 56.0, 8.0
	for _, state := range nodeStates {
		var those []netNode
		for _, n := range d.nodes {
			if n.state == state {
				those = append(those, n)
			}
		}
		if len(those) == 0 {
			continue
		}
		rows := float64((len(those) + columns - 1) / columns)
		height := 32 + rows*step
		if class := map[string]string{control.PeerConnected: "link", control.PeerRelayed: "link over"}[state]; class != "" {
			fmt.Fprintf(&d.b, `<path class="%s" d="M%g 24H%gV%gH%g"/>`, class, d.self.x, x(rail), y+16, x(left))
			rail += 12
		}
		fmt.Fprintf(&d.b, `<rect class="frame" x="%g" y="%g" width="%g" height="%g" rx="8"/>`, min(x(left), x(picWidth-4)), y, picWidth-left-4, height)
		fmt.Fprintf(&d.b, `<text x="%g" y="%g" class="at">%s</text>`, x(left+8), y+20, escaped(d.w.T("mesh.group."+state, "Count", len(those))))
		for i, n := range those {
			n.x, n.y = x(left+8+size+float64(i%columns)*step+4), y+33+size+float64(i/columns)*step
			d.draw(n, size)
		}
		y += height + 10
	}
	d.draw(d.self, 16)
	return y
}

func (d *netDrawing) line(class string, a, b netNode) {
	fmt.Fprintf(&d.b, `<path class="%s" d="M%.1f %.1fL%.1f %.1f"/>`, class, a.x, a.y, b.x, b.y)
}

// label writes a name on a plate, so that no line runs through it.
func (d *netDrawing) label(x, y float64, text string) {
	half := 3.6*float64(cellsOf(text)) + 3
	fmt.Fprintf(&d.b, `<rect class="plate" x="%.1f" y="%.1f" width="%.1f" height="16"/>`, x-half, y-12, 2*half)
	fmt.Fprintf(&d.b, `<text x="%.1f" y="%.1f">%s</text>`, x, y, escaped(text))
}

// draw is one box: the outline of its state, its number, and a mark where somebody has to
// look.
func (d *netDrawing) draw(n netNode, size float64) {
	d.b.WriteString(outline(n.state, n.x, n.y, size))
	number := n.digits()
	fmt.Fprintf(&d.b, `<text class="no d%d on-%s" x="%.1f" y="%.1f">%s</text>`, min(len(number), 5), n.state, n.x, n.y+4.5, number)
	if n.look {
		d.b.WriteString(lookMark(n.x+d.mirror(size*.85), n.y-size*.85))
	}
}

// outline is the shape of a state: a disc, a diamond, a broken square, an octagon with a
// bar; this box is a full square.
func outline(state string, x, y, r float64) string {
	switch state {
	case "self":
		return fmt.Sprintf(`<rect class="st-self" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="4"/>`, x-r, y-r, 2*r, 2*r)
	case control.PeerConnected:
		return fmt.Sprintf(`<circle class="st-connected" cx="%.1f" cy="%.1f" r="%.1f"/>`, x, y, r)
	case control.PeerRelayed:
		k := r * 1.25
		return fmt.Sprintf(`<path class="st-relayed" d="M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz"/>`, x, y-k, k, k, -k, k, -k, -k)
	case "shut":
		k, c := r, r*.42
		return fmt.Sprintf(`<path class="st-shut" d="M%.1f %.1fH%.1fL%.1f %.1fV%.1fL%.1f %.1fH%.1fL%.1f %.1fV%.1fz"/><path class="bar-shut" d="M%.1f %.1fL%.1f %.1f"/>`,
			x-c, y-k, x+c, x+k, y-c, y+c, x+c, y+k, x-c, x-k, y+c, y-c, x-k*.7, y+k*.7, x+k*.7, y-k*.7)
	}
	k := r * .9
	return fmt.Sprintf(`<rect class="st-away" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, x-k, y-k, 2*k, 2*k)
}

func lookMark(x, y float64) string {
	return fmt.Sprintf(`<path class="mark-look" d="M%.1f %.1fl7.5 13h-15z"/><path class="mark-bang" d="M%.1f %.1fv4m0 2.2v.1"/>`, x, y-7, x, y-2.2)
}

// stateSign is the shape of a state beside its word.
func stateSign(state string) template.HTML {
	return template.HTML(`<svg class="net sign" viewBox="0 0 24 24" aria-hidden="true">` + outline(state, 12, 12, 8.5) + `</svg>`) //nolint:gosec // made of constants
}

// lookSign is the mark beside its words.
func lookSign() template.HTML {
	return template.HTML(`<svg class="net sign" viewBox="0 0 24 24" aria-hidden="true">` + lookMark(12, 12) + `</svg>`) //nolint:gosec // made of constants
}

// lineSign is a line beside its words.
func lineSign(class string) template.HTML {
	return template.HTML(`<svg class="net sign long" viewBox="0 0 40 24" aria-hidden="true"><path class="` + class + `" d="M2 12H38"/></svg>`) //nolint:gosec // made of constants
}

// cellsOf is about how wide a text is: Chinese, Japanese, Korean and pictures are twice as
// wide as others, and what only turns the text around it takes no room.
func cellsOf(text string) (cells int) {
	for _, r := range text {
		switch {
		case r >= 0x2066 && r <= 0x2069:
		case r >= 0x2e80:
			cells += 2
		default:
			cells++
		}
	}
	return cells
}

// shortened is a name as it fits below a box, kept from turning the text around it.
func shortened(name string) string {
	name = strings.TrimSpace(control.Plain(name))
	short := name
	for cellsOf(short) > nameCells {
		_, size := utf8.DecodeLastRuneInString(short)
		short = short[:len(short)-size]
	}
	if short != name {
		short = strings.TrimSpace(short) + "…"
	}
	return firstStrongIsolate + short + popIsolate
}

// legendLine is one sign and what it means.
type legendLine struct {
	Sign template.HTML
	Text string
}

// meshLegend explains what is in the picture of this status, and nothing else.
func meshLegend(w *view, s control.Status) []legendLine {
	if len(s.Peers) == 0 {
		return nil
	}
	d := &netDrawing{w: w}
	at := map[string]netNode{}
	look := false
	for _, p := range s.Peers {
		n := netNodeOf(w, p)
		d.nodes = append(d.nodes, n)
		at[n.id] = n
		look = look || n.look
	}
	var out []legendLine
	for _, state := range nodeStates {
		if slices.ContainsFunc(d.nodes, func(n netNode) bool { return n.state == state }) {
			out = append(out, legendLine{stateSign(state), w.T("mesh.legend." + state)})
		}
	}
	for _, line := range []struct{ state, class, key string }{{control.PeerConnected, "link", "solid"}, {control.PeerRelayed, "link over", "dashed"}} {
		if slices.ContainsFunc(d.nodes, func(n netNode) bool { return n.state == line.state }) {
			out = append(out, legendLine{lineSign(line.class), w.T("mesh.legend." + line.key)})
		}
	}
	if len(d.nodes) <= ringUpTo && len(d.between(at)) > 0 {
		out = append(out, legendLine{lineSign("tie"), w.T("mesh.legend.tie")})
	}
	if look {
		out = append(out, legendLine{lookSign(), w.T("mesh.legend.look")})
	}
	return out
}
