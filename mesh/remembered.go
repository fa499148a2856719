package mesh

import (
	"encoding/hex"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Mark is how far a node said that it holds a log.
type Mark struct {
	Seq  uint64
	Hash [16]byte // the first half of the header's hash
}

// MarksOf is what a node last said that it holds; empty for one that never said anything.
// It is the caller's. Logs whose marks contradict what is held here are left out. Safe
// for concurrent use.
func (m *Mesh) MarksOf(node identity.NodeID) map[oplog.LogID]Mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[oplog.LogID]Mark{}
	if p := m.peers[node]; p != nil {
		for log, k := range p.held {
			if !k.forked {
				out[log] = Mark{k.seq, k.hash}
			}
		}
	}
	return out
}

// RememberedMarks is MarksOf of a folder that no node serves: what its peers.json says.
// Without a readable file it is empty.
func RememberedMarks(dir string, node identity.NodeID) map[oplog.LogID]Mark {
	out := map[oplog.LogID]Mark{}
	r, err := readPeers(dir)
	if err != nil {
		return out // the mesh puts it aside at its next start
	}
	for _, p := range r.Peers {
		if p.Node != node {
			continue
		}
		for _, k := range p.Holds {
			if b, err := hex.DecodeString(k.Hash); err == nil && len(b) == 16 {
				out[k.Log] = Mark{k.Seq, [16]byte(b)}
			}
		}
	}
	return out
}
