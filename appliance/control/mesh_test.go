package control

import (
	"testing"
	"time"
)

func TestTrouble(t *testing.T) {
	fine := Peer{State: PeerConnected, Confirmed: true}
	with := func(change func(*Peer)) Peer { p := fine; change(&p); return p }
	for name, tt := range map[string]struct {
		p    Peer
		want int
	}{
		"nothing":         {fine, 3},
		"over others":     {with(func(p *Peer) { p.State = PeerRelayed }), 3},
		"a good clock":    {with(func(p *Peer) { p.Clock = &PeerClock{Off: 200, Sure: true} }), 3},
		"not compared":    {with(func(p *Peer) { p.Confirmed = false }), 0},
		"runs twice":      {with(func(p *Peer) { p.Doubled, p.State = true, PeerAway }), 0},
		"away":            {with(func(p *Peer) { p.State = PeerAway }), 1},
		"an unknown word": {with(func(p *Peer) { p.State = "asleep" }), 1},
		"locked":          {with(func(p *Peer) { p.Locked = true }), 2},
		"lag":             {with(func(p *Peer) { p.Behind = 1 }), 2},
		"a wrong clock":   {with(func(p *Peer) { p.Clock = &PeerClock{Off: -301, Sure: true} }), 2},
		"an unsure clock": {with(func(p *Peer) { p.Clock = &PeerClock{} }), 2},
		"shut out":        {with(func(p *Peer) { p.Standing, p.Confirmed = "revoked", false }), 4},
	} {
		if got := tt.p.Trouble(); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
	list := []Peer{{Node: "b", Number: 2, Confirmed: true, State: PeerConnected}, {Node: "a", Number: 2, Confirmed: true, State: PeerConnected}, {Node: "c", Number: 1, Standing: "revoked"}, {Node: "d", Number: 9}}
	got := ""
	for _, p := range WorstFirst(list) {
		got += p.Node
	}
	if got != "dabc" || list[0].Node != "b" {
		t.Errorf("%s, and the list became %+v", got, list)
	}
	if fine.Reached() != true || with(func(p *Peer) { p.Standing = "suspended" }).Reached() || with(func(p *Peer) { p.State = PeerAway }).Reached() {
		t.Error("who is reached")
	}
}

func TestLinkedSinceIsTheOldestLink(t *testing.T) {
	old := time.Unix(100, 0)
	p := Peer{Connections: []Connection{{Since: time.Unix(200, 0)}, {Since: old}}}
	if !p.LinkedSince().Equal(old) || !(Peer{}).LinkedSince().IsZero() {
		t.Errorf("%v", p.LinkedSince())
	}
}
