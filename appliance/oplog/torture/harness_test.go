package torture

import "testing"

// TestTheHarnessCanFail sabotages what the rows stand on: a harness that finds nothing
// wrong there would find nothing anywhere.
func TestTheHarnessCanFail(t *testing.T) {
	t.Run("a model that does not fit", func(t *testing.T) {
		m := newModel()
		m.send("one")
		m.send("two", "three")
		m.ack("1", "one")
		for name, c := range map[string]struct {
			served map[string]string
			want   tally
		}{
			"as promised":  {map[string]string{"1": "one"}, tally{}},
			"more is fine": {map[string]string{"1": "one", "2": "two", "3": "three"}, tally{}},
			"lost":         {map[string]string{"2": "two", "3": "three"}, tally{lost: 1}},
			"doubled":      {map[string]string{"1": "one", "9": "one"}, tally{doubled: 1}},
			"another text": {map[string]string{"1": "two", "3": "three"}, tally{wrong: 1}},
			"never sent":   {map[string]string{"1": "one", "5": "five"}, tally{wrong: 1}},
			"half":         {map[string]string{"1": "one", "2": "two"}, tally{halves: 1}},
		} {
			got := m.compare(c.served)
			if got.lost != c.want.lost || got.doubled != c.want.doubled || got.wrong != c.want.wrong || got.halves != c.want.halves {
				t.Errorf("%s: %v", name, got)
			}
		}
	})
	t.Run("a disk that lies about its flushes", func(t *testing.T) {
		r := &row{t: t, name: t.Name(), dir: scratch(t)}
		lost := 0
		for seed := range uint64(12) {
			lost += r.lossy(seed, true).lost
		}
		if lost == 0 {
			t.Error("nothing was flushed and nothing was missed")
		}
	})
}
