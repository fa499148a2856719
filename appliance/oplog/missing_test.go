package oplog

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// What is missing is what is lost and not rescued, one by one.
func TestWhatIsMissing(t *testing.T) {
	log := LogID{1}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 4))
		l := &Log{
			chains: map[LogID]*chain{}, expected: map[LogID]Head{log: {Log: log, Seq: 1 + r.Uint64N(20)}}, rescued: map[LogID][]span{},
		}
		var want, got []uint64
		for seq := range l.expected[log].Seq {
			want = append(want, seq+1)
		}
		for range r.IntN(4) {
			var safe []uint64
			for range r.IntN(8) {
				safe = append(safe, 1+r.Uint64N(22))
			}
			l.noteRescued(log, safe)
			want = slices.DeleteFunc(want, func(seq uint64) bool { return slices.Contains(safe, seq) })
		}
		for i, x := range l.missing() {
			for seq := x.From; seq <= x.To; seq++ {
				got = append(got, seq)
			}
			if m := l.missing(); i > 0 && m[i-1].To+1 >= x.From {
				t.Errorf("seed %d: %v is not one stretch", seed, m)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("seed %d: %v instead of %v", seed, got, want)
		}
	}
}
