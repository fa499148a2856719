package ui

import (
	"fmt"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/control"
)

func meshOf(s speaker, st control.Status, held []Holding) meshPage {
	if st.Clock.Now.IsZero() {
		st.Clock = control.Clock{Now: galleryTime, Sure: true}
	}
	st.Number = 1
	return meshPageOf(s.view, st, held, true, meshRights{true, true, true, true})
}

func nodeOf(s speaker, number uint16) nodePage {
	st := galleryEight()
	i := slices.IndexFunc(st.Peers, func(p control.Peer) bool { return p.Number == number })
	p := st.Peers[i]
	held := []Holding{{Node: p.Node, Seq: 640, Holders: []string{galleryID(31).String()}}, {Node: p.Node, Seq: 4}}
	return nodePageOf(s.view, st, held, p, meshRights{true, true, true, true})
}

// relayOf is a partner's relay, whose name never arrives.
func relayOf(s speaker) nodePage {
	st := control.Status{Node: galleryID(31).String(), Number: 1, Clock: control.Clock{Now: galleryTime, Sure: true}}
	p := control.Peer{Node: galleryID(77).String(), Number: 12, State: "connected", LastContact: galleryTime, Confirmed: true, Carries: true, Locked: true, Waiting: 3, Connections: []control.Connection{{Address: "10.42.0.9:7946", Since: galleryTime.Add(-time.Hour)}}}
	st.Peers = []control.Peer{p}
	return nodePageOf(s.view, st, nil, p, meshRights{})
}

func trip(ms float64) *float64 { return &ms }

// galleryEight is a mesh of nine in which everything there is to see happens.
func galleryEight() control.Status {
	id := func(n int) string { return galleryID(byte(30 + n)).String() }
	ago := func(d time.Duration) time.Time { return galleryTime.Add(-d) }
	linked := func(d time.Duration, in, out uint64) []control.Connection {
		return []control.Connection{{Address: "10.42.0.7:7946", Dialled: true, Since: ago(d), BytesIn: in, BytesOut: out}}
	}
	found := ago(40 * time.Minute)
	return control.Status{
		Node: id(1), Number: 1, Clock: control.Clock{Now: galleryTime, Sure: true}, Members: 5,
		Peers: []control.Peer{
			{Node: id(2), Number: 2, Site: "Harbour", State: "connected", LastContact: ago(0), Confirmed: true, Connections: linked(3*time.Hour, 1_200_000, 34_000_000), RoundTrip: trip(3.4),
				BytesIn: 1_900_000, BytesOut: 36_000_000, Clock: &control.PeerClock{Off: .4, Sure: true}, Neighbours: []string{id(1), id(3), id(5)}, Addresses: []string{"10.42.0.7:7946", "10.42.0.8:7946"}},
			{Node: id(3), Number: 3, Site: "عيادة الميناء", State: "connected", LastContact: ago(0), Confirmed: true, Connections: linked(50*time.Second, 0, 900), RoundTrip: trip(214),
				Clock: &control.PeerClock{Off: 247, Sure: false}, Neighbours: []string{id(2)}, Behind: 12},
			{Node: id(4), Number: 4, Site: "School of the very long name by the old harbour road", State: "connected", LastContact: ago(0), Confirmed: true,
				Connections: append(linked(26*time.Hour, 88_000_000, 2_000), control.Connection{Address: "192.168.4.20:7946", Since: ago(4 * time.Second), Queue: 120_000}),
				Clock:       &control.PeerClock{Off: -3 * 24 * 3600, Sure: true}, Locked: true},
			{Node: id(5), Number: 5, Site: "Bridge", State: "relayed", LastContact: ago(20 * time.Second), Confirmed: true, Via: id(2), Neighbours: []string{id(2), id(6)}, Clock: &control.PeerClock{Off: 1, Sure: true}},
			{Node: id(6), Number: 6, Site: "Customs", State: "relayed", LastContact: ago(2 * time.Minute), Confirmed: true, Behind: 3, Ahead: 7},
			{Node: id(7), Number: 7, Site: "Tent 7", State: "away", LastContact: ago(3 * time.Hour), Confirmed: true, Behind: 214},
			{Node: id(8), Number: 8, Site: "", State: "away", Words: galleryWords, Doubled: true},
			{Node: id(9), Number: 9, Site: "Quarry", State: "away", LastContact: ago(9 * 24 * time.Hour), Confirmed: true, Standing: "revoked", HeldBack: 11},
		},
		Forks: []control.ForkedLog{
			{Log: "0f1e2d3c4b5a69788796a5b4c3d2e1f0", Node: id(8), Seq: 412, Found: &found, Proved: true, SaidBy: []string{id(2)}},
			{Log: "8796a5b4c3d2e1f00f1e2d3c4b5a6978", Node: id(1), Seq: 9, Own: true, Joined: true, Proved: true, SaidBy: []string{}},
			{Log: "4b5a69788796a5b4c3d2e1f00f1e2d3c", Node: id(7), SaidBy: []string{id(3), id(5)}},
		},
	}
}

// galleryMany is a mesh of n others in all states.
func galleryMany(n int) control.Status {
	st := control.Status{Node: galleryID(99).String(), Number: 1, Clock: control.Clock{Now: galleryTime, Sure: true}, Members: n}
	for i := range n {
		p := control.Peer{Node: galleryID(byte(100 + i)).String(), Number: uint16(i + 2), Site: fmt.Sprintf("Tent %d", i+2), State: "relayed", LastContact: galleryTime, Confirmed: true}
		switch {
		case i%6 == 0:
			p.State, p.RoundTrip = "connected", trip(float64(i)+.5)
			p.Connections = []control.Connection{{Address: "10.42.0.9:7946", Since: galleryTime.Add(-time.Hour)}}
		case i%11 == 3:
			p.State, p.LastContact, p.Behind = "away", galleryTime.Add(-26*time.Hour), 40
		case i == 10:
			p.Standing, p.State = "suspended", "away"
		}
		if i == 7 {
			p.Clock = &control.PeerClock{Off: 900}
		}
		st.Peers = append(st.Peers, p)
	}
	return st
}

// nodePictures are posts that want something, each in its way.
func nodePictures() []picture {
	return []picture{
		{name: "mesh-node-locked", page: "mesh/node", data: func(s speaker) any { return nodeOf(s, 4) }},
		{name: "mesh-node-away", page: "mesh/node", data: func(s speaker) any { return nodeOf(s, 7) }},
		{name: "mesh-node-relay", page: "mesh/node", data: func(s speaker) any { return relayOf(s) }},
	}
}
