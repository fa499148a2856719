package control

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// States of a Peer, as the mesh names them.
const (
	PeerConnected = "connected" // records pass now
	PeerRelayed   = "relayed"   // its records come and go over other nodes
	PeerAway      = "away"
)

// ClockTolerance is how far two clocks may be apart before somebody is told: expiry, times
// of night keys and what is newer are judged by the clock.
const ClockTolerance = 5 * time.Minute

// ClockSlack is what two clocks that are the same may seem to be apart: the way there and
// back takes time too.
const ClockSlack = 5 * time.Second

// Span is a length of time in one unit, as a suffix of the message keys tui.short and
// tui.ago: seconds, minutes, hours or days. One below zero is none.
func Span(d time.Duration) (unit string, n int) {
	switch d = max(d, 0); {
	case d < time.Minute:
		return "seconds", int(d / time.Second)
	case d < 2*time.Hour:
		return "minutes", int(d / time.Minute)
	case d < 48*time.Hour:
		return "hours", int(d / time.Hour)
	}
	return "days", int(d / (24 * time.Hour))
}

// BytesText writes n with one unit, decimal as disks are sold.
func BytesText(n uint64) string {
	f, unit := float64(n), "B"
	for _, next := range []string{"kB", "MB", "GB", "TB"} {
		if f < 999.5 {
			break
		}
		f, unit = f/1000, next
	}
	digits := 0
	if f < 10 && unit != "B" {
		digits = 1
	}
	return strconv.FormatFloat(f, 'f', digits, 64) + " " + unit
}

// PeerClock is the wall clock of another node as seen from here.
type PeerClock struct {
	Off  float64 `json:"off_seconds"` // its time minus ours
	Sure bool    `json:"sure"`        // something better than its board has set it
}

// Apart is its time minus ours.
func (c PeerClock) Apart() time.Duration { return time.Duration(c.Off * float64(time.Second)) }

// Wrong reports whether the two clocks are further apart than ClockTolerance.
func (c PeerClock) Wrong() bool { return c.Apart().Abs() > ClockTolerance }

// Connection is one link with another node that is up now.
type Connection struct {
	Address  string    `json:"address"` // where its other end is
	Dialled  bool      `json:"dialled"` // by this node
	Since    time.Time `json:"since"`
	BytesIn  uint64    `json:"bytes_in"`
	BytesOut uint64    `json:"bytes_out"`
	Queue    int       `json:"queue"` // bytes that wait to be written
}

// ForkedLog is a log of which two histories were found: its box was copied, or an old card
// was put back. Both are kept.
type ForkedLog struct {
	Log    string     `json:"log"`
	Node   string     `json:"node"`    // whose log it is; empty when that is not known here
	Seq    uint64     `json:"seq"`     // they differ from here on at the latest; 0 when that is not known here
	Found  *time.Time `json:"found"`   // null: before the last start
	Own    bool       `json:"own"`     // it is this node's
	Joined bool       `json:"joined"`  // of an own one: what the other history had more is written again
	Proved bool       `json:"proved"`  // signed records of both were met; else it is only said so
	SaidBy []string   `json:"said_by"` // the posts that say so
}

// Reached reports whether records can come from it and go to it now.
func (p Peer) Reached() bool {
	return p.Standing == "" && (p.State == PeerConnected || p.State == PeerRelayed)
}

// LinkedSince is when the oldest connection that is up was made; zero for none.
func (p Peer) LinkedSince() time.Time {
	var t time.Time
	for _, c := range p.Connections {
		if t.IsZero() || c.Since.Before(t) {
			t = c.Since
		}
	}
	return t
}

// Trouble is how much a node wants a person's eye: 0 somebody has to act (it runs twice, or
// nobody compared its words), 1 it is away, 2 something is off (its clock, it is locked,
// records are missing), 3 nothing is, 4 it was shut out and nobody deals with it.
func (p Peer) Trouble() int {
	switch {
	case p.Standing != "":
		return 4
	case p.Doubled || !p.Confirmed:
		return 0
	case !p.Reached():
		return 1
	case p.Locked || p.Behind > 0 || p.Ahead > 0 || p.Clock != nil && (p.Clock.Wrong() || !p.Clock.Sure):
		return 2
	}
	return 3
}

// WorstFirst is the nodes by Trouble, and among equals by number.
func WorstFirst(peers []Peer) []Peer {
	out := slices.Clone(peers)
	slices.SortStableFunc(out, func(a, b Peer) int {
		return cmp.Or(cmp.Compare(a.Trouble(), b.Trouble()), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Node, b.Node))
	})
	return out
}

// meshAlarms are the alerts that explain why a node hears nobody, or should not go on so.
var meshAlarms = []string{"alert.self_shut", "alert.mesh_off", "alert.twin"}

// MeshAlarms are the alerts that have to stand beside the list of other nodes.
func (s Status) MeshAlarms() (out []Alert) {
	for _, a := range s.Alerts {
		if slices.Contains(meshAlarms, a.Key) {
			out = append(out, a)
		}
	}
	return out
}
