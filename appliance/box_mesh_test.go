package main

import (
	"errors"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/mesh"
)

// Every open page asks for the status each second: what is held back is counted again only
// when the journal has changed, and not more than once in heldFor.
func TestHeldBackIsNotCountedAgainAndAgain(t *testing.T) {
	var h heldCounts
	node, now, counts := oplog.ID{7}, time.Unix(1000, 0), 0
	held := make([]oplog.HeldOp, 3)
	count := func(oplog.ID) ([]oplog.HeldOp, error) { counts++; return held, nil }
	ask := func(ops uint64, later time.Duration, want uint64, counted int) {
		t.Helper()
		got, err := h.of(node, ops, now.Add(later), count)
		if err != nil || got != want || counts != counted {
			t.Errorf("%d ops, %v later: %d %v after %d counts; want %d after %d", ops, later, got, err, counts, want, counted)
		}
	}
	ask(10, 0, 3, 1)
	ask(10, time.Hour, 3, 1)
	held = held[:1]
	ask(11, heldFor-1, 3, 1)
	ask(11, heldFor, 1, 2)
	ask(12, 0, 1, 3) // the clock went back: better counted once more than never
	if _, err := h.of(oplog.ID{8}, 1, now, func(oplog.ID) ([]oplog.HeldOp, error) { return nil, errors.New("cannot be read") }); err == nil {
		t.Error("a count that failed was believed")
	}
}

func TestAPeerForPrograms(t *testing.T) {
	since := time.Unix(5, 0)
	p := peerOf(mesh.Peer{
		Node: oplog.ID{1}, State: mesh.Relayed, RTT: 3_456_789, Clock: mesh.Clock{Known: true, Off: -90 * time.Second}, Via: oplog.ID{2}, Neighbours: []oplog.ID{{3}},
		Links: []mesh.LinkView{{Addr: "10.0.0.2:7946", Dialled: true, Since: since, BytesIn: 1, BytesOut: 2, Queue: 3}},
	})
	if *p.RoundTrip != 3.46 || p.Clock.Off != -90 || p.Clock.Sure || p.Via != (oplog.ID{2}).String() || len(p.Neighbours) != 1 || p.State != "relayed" {
		t.Errorf("%+v", p)
	}
	if c := p.Connections[0]; c.Address != "10.0.0.2:7946" || !c.Dialled || !c.Since.Equal(since) || c.BytesIn != 1 || c.BytesOut != 2 || c.Queue != 3 {
		t.Errorf("%+v", c)
	}
	if p = peerOf(mesh.Peer{}); p.RoundTrip != nil || p.Clock != nil || p.Via != "" || p.Connections == nil || p.Neighbours == nil {
		t.Errorf("%+v", p)
	}
}
