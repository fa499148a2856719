package ui

import (
	"cmp"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/control"
)

// What is known of the other posts, in words. The list and the page of one post say the
// same.

// peerLine is one post in the table.
type peerLine struct {
	Path, Site, Number string
	Sign               template.HTML // the outline the picture gives it
	State, Tone        string
	Over               string // over whom it is heard, in words; empty when that is not known, or it is linked
	Linked             string // for how long, in words; empty without a link
	Last               time.Time
	Behind, Ahead      string // in words; empty when nothing
	Trip, Traffic      string
	Measured           bool // the round trip is
	Clock              clockLine
	Tags               []tag
	Lost               string // where somebody who may says that it is lost, or reads what was lost with it
	Shut               bool   // it was shut out
}

// tag is something about a post that wants an eye.
type tag struct{ Tone, Text, Path string }

// clockLine is the clock of a post in words.
type clockLine struct {
	Text, Unsure string
	Known, Wrong bool
}

// peerLinesOf are all of them, what needs a look first.
func peerLinesOf(w *view, s control.Status, maySuspend bool) []peerLine {
	names := siteNames(w, s)
	var out []peerLine
	for _, p := range control.WorstFirst(s.Peers) {
		l := peerLineOf(w, p, s.Clock.Now, names)
		if maySuspend {
			l.Lost = "/lost/" + p.Node
			if p.Standing == "" {
				l.Lost += "/suspend"
			}
		}
		out = append(out, l)
	}
	return out
}

// siteNames are the posts by their node.
func siteNames(w *view, s control.Status) map[string]string {
	names := map[string]string{s.Node: w.T("mesh.this")}
	for _, p := range s.Peers {
		names[p.Node] = peerName(w, p)
	}
	return names
}

func peerLineOf(w *view, p control.Peer, now time.Time, names map[string]string) peerLine {
	n := netNodeOf(w, p)
	l := peerLine{
		Path: "/mesh/" + p.Node, Site: n.name, Number: numberBeside(p.Site, p.Number), Sign: stateSign(n.state), Last: p.LastContact,
		Trip: tripText(w, p.RoundTrip), Measured: p.RoundTrip != nil, Traffic: trafficText(w, p.BytesIn, p.BytesOut), Clock: clockLineOf(w, p.Clock), Tags: tagsOf(w, p),
	}
	switch n.state {
	case "shut":
		l.Tone, l.State = "bad", w.T("lost.state."+p.Standing)
	case control.PeerConnected:
		l.Tone, l.State = "good", w.T("mesh.connected")
	case control.PeerRelayed:
		l.Tone, l.State = "", w.T("mesh.relayed")
		if name := names[p.Via]; name != "" {
			l.Over = w.T("mesh.via", "Site", name)
		}
	default:
		l.Tone, l.State = "warn", w.T("mesh.away")
	}
	if since := p.LinkedSince(); !since.IsZero() {
		l.Linked = w.T("mesh.linked", "Span", span(w, now.Sub(since)))
	}
	if l.Shut = p.Standing != ""; l.Shut {
		return l // what it lacks it is never given
	}
	if p.Behind > 0 {
		l.Behind = w.T("mesh.behind", "Count", p.Behind)
	}
	if p.Ahead > 0 {
		l.Ahead = w.T("mesh.ahead", "Count", p.Ahead)
	}
	return l
}

// tagsOf are what has to be done about a post, the worst first.
func tagsOf(w *view, p control.Peer) []tag {
	var out []tag
	add := func(on bool, tone, text, path string) {
		if on {
			out = append(out, tag{tone, text, path})
		}
	}
	add(p.Doubled, "bad", w.T("mesh.doubled"), "")
	add(!p.Confirmed && p.Standing == "", "bad", w.T("mesh.unconfirmed"), "")
	add(p.Locked, "warn", w.T("mesh.locked"), "")
	add(p.Waiting > 0, "warn", w.T("mesh.locked.waiting", "Count", p.Waiting), "")
	add(p.Carries, "", w.T("mesh.carries"), "")
	add(p.HeldBack > 0, "warn", w.T("mesh.heldback", "Count", p.HeldBack), "")
	return out
}

func clockLineOf(w *view, c *control.PeerClock) clockLine {
	if c == nil {
		return clockLine{Text: w.T("mesh.clock.unknown")}
	}
	l := clockLine{Known: true, Wrong: c.Wrong()}
	switch off := c.Apart(); {
	case off.Abs() < control.ClockSlack:
		l.Text = w.T("mesh.clock.same")
	case off > 0:
		l.Text = w.T("mesh.clock.ahead", "Span", span(w, off))
	default:
		l.Text = w.T("mesh.clock.slow", "Span", span(w, -off))
	}
	if !c.Sure {
		l.Unsure = w.T("mesh.clock.unsure")
	}
	return l
}

// span is a length of time in one unit.
func span(w *view, d time.Duration) string {
	unit, n := control.Span(d)
	return w.T("tui.short."+unit, "N", n)
}

func tripText(w *view, ms *float64) string {
	if ms == nil {
		return w.T("mesh.trip.unknown")
	}
	if *ms < 10 {
		return w.T("mesh.trip", "MS", strconv.FormatFloat(*ms, 'f', 1, 64))
	}
	return w.T("mesh.trip", "MS", strconv.FormatFloat(*ms, 'f', 0, 64))
}

func trafficText(w *view, in, out uint64) string {
	return w.T("mesh.traffic", "In", bytesText(in), "Out", bytesText(out))
}

// bytesText writes n with one unit, in one piece.
func bytesText(n uint64) string { return strings.Replace(control.BytesText(n), " ", "\u00a0", 1) }

// forkLine is a log with two histories.
type forkLine struct {
	Site, Log, From, Found, Done string
	node                         string
}

func forkLinesOf(w *view, s control.Status) []forkLine {
	names := siteNames(w, s)
	var out []forkLine
	for _, f := range s.Forks {
		l := forkLine{Site: names[f.Node], Log: f.Log, From: w.T("mesh.forks.seq", "Seq", strconv.FormatUint(f.Seq, 10)), node: f.Node}
		if f.Own {
			l.Site = w.T("mesh.this")
		}
		if l.Site == "" {
			l.Site = w.T("mesh.no_name")
		}
		l.Found = w.T("mesh.forks.before")
		if f.Found != nil {
			l.Found = w.T("mesh.forks.found", "Ago", agoAt(w, s.Clock.Now, *f.Found))
		}
		if f.Seq == 0 {
			l.From = w.T("mesh.forks.nowhere")
		}
		sayers := make([]string, 0, len(f.SaidBy))
		for _, id := range f.SaidBy {
			sayers = append(sayers, cmp.Or(names[id], w.T("mesh.no_name")))
		}
		l.Done = w.T(forkDone(f), "Sites", strings.Join(sayers, ", "))
		out = append(out, l)
	}
	return out
}

func forkDone(f control.ForkedLog) string {
	switch {
	case !f.Own && !f.Proved:
		return "mesh.forks.said"
	case !f.Own:
		return "mesh.forks.kept"
	case f.Joined:
		return "mesh.forks.joined"
	}
	return "mesh.forks.waits"
}

// agoAt says how long before now something was.
func agoAt(w *view, now, t time.Time) string {
	at := *w
	at.Now = now
	return at.Ago(t)
}

// heldBackLine are the facts of a revoked post that do not count.
type heldBackLine struct{ Site, Text, Path string }

func heldBackLinesOf(w *view, s control.Status, maySee bool) []heldBackLine {
	var out []heldBackLine
	for _, p := range s.Peers {
		if p.HeldBack == 0 {
			continue
		}
		l := heldBackLine{Site: peerName(w, p), Text: w.T("mesh.heldback", "Count", p.HeldBack)}
		if maySee {
			l.Path = "/lost/" + p.Node + "/held"
		}
		out = append(out, l)
	}
	return out
}

// nodePage is everything known of one post.
type nodePage struct {
	peerLine
	Node                  string
	Addresses, Neighbours []string
	Links                 []connectionLine
	Words                 wordList
	Confirmed             bool
	Next                  []nextStep
	Twice                 bool
	Held                  string // where what it wrote and does not count can be seen
	Forks                 []forkLine
	Wrote                 []heldLine
}

// nextStep is what somebody can do about the state a post is in.
type nextStep struct{ Text, Path, Do string }

// nextSteps says it for a post that is away, locked or carries; the others need nothing.
func nextSteps(w *view, p control.Peer, mayOpen bool) (out []nextStep) {
	if p.Standing != "" {
		return nil
	}
	if p.State == control.PeerAway {
		out = append(out, nextStep{w.T("mesh.next.away"), "/mesh/find", w.T("find.link")}, nextStep{w.T("mesh.next.carry"), "/carry", w.T("carry.link")})
	}
	switch {
	case p.Locked && mayOpen:
		out = append(out, nextStep{w.T("mesh.next.locked"), "/openings", w.T("openings.title")})
	case p.Locked:
		out = append(out, nextStep{w.T("mesh.next.locked"), "/help/night", w.T("nav.help")})
	}
	if p.Carries {
		out = append(out, nextStep{w.T("mesh.next.relay"), "/help/relay", w.T("nav.help")})
	}
	return out
}

// connectionLine is one link that is up.
type connectionLine struct{ Address, Who, Since, Traffic, Queue string }

func nodePageOf(w *view, s control.Status, holdings []Holding, p control.Peer, may meshRights) nodePage {
	names := siteNames(w, s)
	m := nodePage{
		peerLine: peerLineOf(w, p, s.Clock.Now, names), Node: p.Node, Addresses: p.Addresses, Words: wordList{p.Words, true},
		Confirmed: p.Confirmed, Twice: p.Doubled, Next: nextSteps(w, p, may.open),
	}
	if may.suspend {
		m.Lost = "/lost/" + p.Node
		if !m.Shut {
			m.Lost += "/suspend"
		}
		if p.HeldBack > 0 {
			m.Held = "/lost/" + p.Node + "/held"
		}
	}
	for _, id := range p.Neighbours {
		if name, known := names[id]; known { // it may say anything; what nobody here has heard of tells nothing
			m.Neighbours = append(m.Neighbours, name)
		}
	}
	for _, c := range p.Connections {
		l := connectionLine{Address: c.Address, Who: w.T("mesh.node.calls"), Since: w.T("mesh.linked", "Span", span(w, s.Clock.Now.Sub(c.Since))), Traffic: trafficText(w, c.BytesIn, c.BytesOut)}
		if c.Dialled {
			l.Who = w.T("mesh.node.called")
		}
		if c.Queue > 0 {
			l.Queue = w.T("mesh.node.queue", "Size", bytesText(uint64(c.Queue))) //nolint:gosec // a length
		}
		m.Links = append(m.Links, l)
	}
	for _, f := range forkLinesOf(w, s) {
		if f.node == p.Node {
			m.Forks = append(m.Forks, f)
		}
	}
	own := slices.DeleteFunc(slices.Clone(holdings), func(h Holding) bool { return h.Node != p.Node })
	m.Wrote = heldLines(w, s, own)
	return m
}
