package meshtest

import (
	"math/rand/v2"
	"slices"

	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/mesh"
)

// liar is the journal of a node that means harm: it claims more than it has, keeps back
// what it has, gives something else than it was asked for, and changes what it gives.
type liar struct {
	mesh.Records
	rnd *rand.Rand
}

func lying(rnd *rand.Rand) func(mesh.Records) mesh.Records {
	return func(r mesh.Records) mesh.Records { return liar{r, rnd} }
}

func (l liar) Heads() []oplog.Head {
	heads := slices.Clone(l.Records.Heads())
	slices.SortFunc(heads, func(a, b oplog.Head) int { return slices.Compare(a.Log[:], b.Log[:]) })
	for i := range heads {
		if heads[i].Log != l.Own() && l.rnd.IntN(3) == 0 {
			heads[i].Seq += uint64(1 + l.rnd.IntN(1000))
			heads[i].Hash[l.rnd.IntN(32)] ^= 1
		}
	}
	return heads
}

func (l liar) Range(log oplog.LogID, after uint64, ops, bytes int) ([]byte, uint64, error) {
	switch l.rnd.IntN(6) {
	case 0:
		return nil, after, nil
	case 1:
		return l.Records.Range(log, 0, ops, bytes) // from the beginning, whatever was asked
	case 2:
		b, last, err := l.Records.Range(log, after, ops, bytes)
		b = slices.Clone(b)
		if len(b) > 0 {
			b[l.rnd.IntN(len(b))] ^= byte(1 + l.rnd.IntN(255))
		}
		return b, last, err
	case 3:
		b, _, err := l.Records.Range(log, after, ops, bytes)
		return b[:len(b)/2], after + uint64(ops), err
	}
	return l.Records.Range(log, after, ops, bytes)
}
