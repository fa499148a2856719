package main

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/control"
)

// meshAnswer is what `waypost mesh --json` prints: the part of the status that is about
// the network.
type meshAnswer struct {
	Node     string              `json:"node"`
	Number   uint16              `json:"number"`
	Site     string              `json:"site"`
	State    string              `json:"state"` // of this node; only an open one shows others
	Mesh     string              `json:"mesh"`
	OnlyHere uint64              `json:"only_here"`
	Members  int                 `json:"members"`
	Twins    int                 `json:"twins"`
	Clock    control.Clock       `json:"clock"`
	Peers    []control.Peer      `json:"peers"`
	Forks    []control.ForkedLog `json:"forks"`
}

// meshVerb shows the other nodes of a running node, what needs a look first.
func (a *app) meshVerb() *cobra.Command {
	v := a.verb("mesh", "mesh", func(ctx context.Context, _ []string) error {
		s, err := a.node().Status(ctx)
		if err != nil {
			return err
		}
		peers := control.WorstFirst(s.Peers)
		if a.json {
			return a.printJSON(meshAnswer{
				Node: s.Node, Number: s.Number, Site: s.Site, State: s.State, Mesh: s.Mesh, OnlyHere: s.OnlyHere, Members: s.Members,
				Twins: s.Twins, Clock: s.Clock, Peers: append([]control.Peer{}, peers...), Forks: append([]control.ForkedLog{}, s.Forks...),
			})
		}
		a.printMesh(s, peers)
		return nil
	})
	v.printsData()
	v.AddCommand(a.meshVerbs()...)
	return v.Command
}

func (a *app) printMesh(s control.Status, peers []control.Peer) {
	switch {
	case s.State != "open": // it may know many, and shows none
		percent := 0
		if s.Rebuild != nil {
			percent = s.Rebuild.Percent
		}
		a.println(a.say("tui.is_"+s.State, "Percent", percent))
		return
	case len(peers) == 0:
		a.println(a.say("tui.alone"))
		return
	}
	for _, alert := range s.MeshAlarms() {
		a.println("! " + control.Plain(a.lang.Text(alert.Key, alert.Values())))
	}
	t := a.table("cli.peer.number", "cli.peer.site", "cli.peer.state", "cli.peer.contact", "cli.peer.behind", "cli.mesh.ahead", "cli.mesh.trip", "cli.mesh.clock", "cli.mesh.in", "cli.mesh.out", "")
	names := map[string]string{s.Node: s.Site}
	for _, p := range peers {
		names[p.Node] = a.peerName(p)
		trip := ""
		if p.RoundTrip != nil {
			trip = a.say("mesh.trip", "MS", strconv.FormatFloat(*p.RoundTrip, 'f', 1, 64))
		}
		t.row(number(p.Number), names[p.Node], a.say("cli.peer."+p.State), a.ago(s.Clock.Now, p.LastContact), strconv.FormatUint(p.Behind, 10), strconv.FormatUint(p.Ahead, 10),
			trip, a.clockText(p.Clock), control.BytesText(p.BytesIn), control.BytesText(p.BytesOut), strings.Join(a.marks(p), ", "))
	}
	t.print(a.out)
	if s.Members > 0 {
		a.println(a.say("mesh.air", "Count", s.Members, "Known", len(peers)+1))
	}
	for _, f := range s.Forks {
		done := "mesh.forks.kept"
		switch {
		case !f.Own && !f.Proved:
			done = "mesh.forks.said"
		case f.Own && f.Joined:
			done = "mesh.forks.joined"
		case f.Own:
			done = "mesh.forks.waits"
		}
		name := names[f.Node]
		if name == "" {
			name = f.Node
		}
		from := a.say("mesh.forks.seq", "Seq", f.Seq)
		if f.Seq == 0 {
			from = a.say("mesh.forks.nowhere")
		}
		sayers := make([]string, 0, len(f.SaidBy))
		for _, id := range f.SaidBy {
			sayers = append(sayers, cmp.Or(names[id], id))
		}
		a.println("! " + control.Plain(a.say("cli.mesh.fork", "Log", f.Log, "Site", name, "From", from, "Done", a.say(done, "Sites", strings.Join(sayers, ", ")))))
	}
}

// marks are what has to be looked at, in words.
func (a *app) marks(p control.Peer) (out []string) {
	switch {
	case p.Standing != "":
		out = append(out, a.say("lost.state."+p.Standing))
	case !p.Confirmed:
		out = append(out, a.say("tui.unconfirmed"))
	}
	if p.Doubled {
		out = append(out, a.say("mesh.doubled"))
	}
	if p.Locked {
		out = append(out, a.say("mesh.locked"))
	}
	if p.Waiting > 0 {
		out = append(out, a.say("mesh.locked.waiting", "Count", p.Waiting))
	}
	if p.Carries {
		out = append(out, a.say("mesh.carries"))
	}
	if p.HeldBack > 0 {
		out = append(out, a.say("mesh.heldback", "Count", p.HeldBack))
	}
	return out
}

// clockText is a clock in words; a "!" before one that is off by more than is good.
func (a *app) clockText(c *control.PeerClock) string {
	if c == nil {
		return a.say("mesh.clock.unknown")
	}
	off := c.Apart()
	text := a.say("mesh.clock.same")
	if off.Abs() >= control.ClockSlack {
		key := "mesh.clock.ahead"
		if off < 0 {
			key = "mesh.clock.slow"
		}
		text = a.say(key, "Span", a.span(off.Abs()))
	}
	if c.Wrong() {
		text = "! " + text
	}
	if !c.Sure {
		text += " (" + a.say("mesh.clock.unsure") + ")"
	}
	return text
}

// span is a length of time in one unit.
func (a *app) span(d time.Duration) string {
	unit, n := control.Span(d)
	return a.say("tui.short."+unit, "N", n)
}
