package mesh

import (
	"encoding/binary"
	"testing"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/oplog"
)

// A node that names other logs on every connection is not remembered for all of them: each
// connection left 16,384 in memory and in the peers file, and 40 connections 160 MB.
func TestWhatAPeerHoldsIsBounded(t *testing.T) {
	m := &Mesh{clock: clock.System(), mine: map[oplog.LogID]oplog.Head{}, rumours: map[oplog.LogID]uint64{}, closing: true}
	p := &peer{held: map[oplog.LogID]held{}}
	logs := func(first, n int) (out []mark) {
		for i := range n {
			k := mark{seq: 1}
			binary.BigEndian.PutUint64(k.log[:], uint64(first+i)) //nolint:gosec // small
			out = append(out, k)
		}
		return out
	}
	attach := func(incarnation byte) *link {
		l := &link{m: m, peer: p, told: map[oplog.LogID]mark{}}
		l.hello.incarnation[0] = incarnation
		p.links = []*link{l} // the one before is gone
		return l
	}
	for i := range 5 {
		if err := m.holds(attach(byte(i)), logs(i*maxToldLogs, maxToldLogs), false); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.held) > maxToldLogs {
		t.Errorf("%d logs are remembered of one node", len(p.held))
	}
	// A whole vector makes room: what is true is remembered.
	honest := logs(9*maxToldLogs, 100)
	if err := m.holds(attach(9), honest, true); err != nil {
		t.Fatal(err)
	}
	if len(p.held) != len(honest) || p.held[honest[0].log].seq != 1 {
		t.Errorf("%d logs are remembered of a node that holds %d", len(p.held), len(honest))
	}
}
