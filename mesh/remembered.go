package mesh

import (
	"encoding/hex"
	"time"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Mark is how far a node said that it holds a log.
type Mark struct {
	Seq  uint64
	Hash [16]byte // the first half of the header's hash
}

// MarksOf is what a node last said that it holds, and when there was contact last; empty
// for one that never said anything. It is the caller's. Logs whose marks contradict what is held here are left out. Safe
// for concurrent use.
func (m *Mesh) MarksOf(node identity.NodeID) (marks map[oplog.LogID]Mark, last time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	marks = map[oplog.LogID]Mark{}
	p := m.peers[node]
	if p == nil {
		return marks, last
	}
	for log, k := range p.held {
		if !k.forked {
			marks[log] = Mark{k.seq, k.hash}
		}
	}
	if last = p.last; len(p.links) > 0 {
		last = m.clock.Now()
	}
	return marks, last
}

// RememberedMarks is MarksOf of a folder that no node serves: what its peers.json says.
// Without a readable file it is empty.
func RememberedMarks(dir string, node identity.NodeID) (marks map[oplog.LogID]Mark, last time.Time) {
	marks = map[oplog.LogID]Mark{}
	r, err := readPeers(dir)
	if err != nil {
		return marks, last // the mesh puts it aside at its next start
	}
	for _, p := range r.Peers {
		if p.Node != node {
			continue
		}
		last = p.Last
		for _, k := range p.Holds {
			if b, err := hex.DecodeString(k.Hash); err == nil && len(b) == 16 {
				marks[k.Log] = Mark{k.Seq, [16]byte(b)}
			}
		}
	}
	return marks, last
}
