package identity

import (
	"cmp"
	"slices"

	"github.com/waypost/waypost/appliance/oplog"
)

// A log with two histories is held by some nodes with one and by some with the other. What
// is said about how far it counts has to mean the same to both: so it ends before the place
// where they part, where that is known. What was said before anybody knew names the head of
// one of them; whoever holds the other holds back from the parting on.

// ends is how far every log counts in what this node says of it: as far as it is held, and
// of a log with two histories not past the place where they part.
func (d *Desk) ends() []oplog.Head {
	heads := d.log.Heads()
	out := heads[:0]
	for _, h := range heads {
		if seq, parted := d.log.Parting(h.Log); parted && seq <= h.Seq {
			hash, ok := d.log.HashAt(h.Log, seq-1)
			if !ok {
				continue // nothing of it counts: what lies there cannot be read
			}
			h = oplog.Head{Log: h.Log, Seq: seq - 1, Hash: hash}
		}
		out = append(out, h)
	}
	return out
}

// here is what is held back besides, on this node only: of logs that it holds with another
// history than the one that a cut names.
func (d *Desk) here(s *standings) []backRow {
	rows := []backRow{}
	for _, x := range s.cuts {
		if x.node == d.vault.NodeID() {
			continue
		}
		var cuts []logMark
		for _, k := range x.heads {
			if seq, other := d.otherHalf(k); other {
				cuts = append(cuts, logMark{Log: k.Log, Seq: seq})
			}
		}
		if len(cuts) > 0 {
			rows = append(rows, backRow{Node: x.node, Cuts: sortMarks(cuts)})
		}
	}
	slices.SortFunc(rows, compareBack)
	return rows
}

// otherHalf reports whether a log is held here with another history than a cut names, as
// far as can be told, and the last op that both have.
func (d *Desk) otherHalf(k cut) (last uint64, other bool) {
	if k.Head == [32]byte{} || k.Seq == 0 {
		return 0, false
	}
	seq, parted := d.log.Parting(k.Log)
	hash, held := d.log.HashAt(k.Log, k.Seq)
	switch {
	case held && hash == k.Head:
		return 0, false
	case parted && seq <= k.Seq: // also where what is held is too short to be compared
		return seq - 1, true
	case held && !parted:
		return 1, true // all but the birth, until the place is found
	}
	return 0, false
}

func compareBack(a, b backRow) int {
	return cmp.Or(slices.Compare(a.Node[:], b.Node[:]), slices.Compare(encode(a), encode(b)))
}

// HeldHere reports whether an op that lies here in its own log is held back for the sake of
// the history it is of.
func (h *heldBack) HeldHere(author oplog.ID, op oplog.Ref) bool {
	if h.free[op] {
		return false
	}
	return slices.ContainsFunc(h.here[author], func(r backRow) bool {
		return slices.ContainsFunc(r.Cuts, func(m logMark) bool { return m.Log == op.Log && op.Seq > m.Seq })
	})
}
