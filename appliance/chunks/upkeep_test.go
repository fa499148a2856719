package chunks

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
)

// A store that is left alone finds rot and clears away by itself, by the time it ran:
// a wall clock that stands in 1970 and moves on deletes nothing too soon.
func TestUpkeepLooksAfterTheStore(t *testing.T) {
	fake := clock.NewFake(time.Unix(0, 0))
	s := open(t, Options{Clock: fake})
	s.SetNamed(func(ID) (bool, error) { return false, nil })
	f, err := s.Save(content(500, 1), "")
	must(t, err)
	good, err := s.Save(content(500, 2), "")
	must(t, err)
	raw, err := os.ReadFile(s.path(f.Pieces[0].ID))
	must(t, err)
	raw[9] ^= 1
	must(t, os.WriteFile(s.path(f.Pieces[0].ID), raw, 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Upkeep(ctx) }()
	deadline := time.After(60 * time.Second)
	until := func(what string, step time.Duration, ok func() bool) {
		t.Helper()
		for !ok() {
			select {
			case <-deadline:
				t.Fatalf("never: %s", what)
			default:
				fake.Advance(step)
			}
			<-time.After(100 * time.Microsecond) // lets the store run between two steps
		}
	}
	began := fake.Now()
	until("the rot is found", readEvery, func() bool { return s.Stats().Rotten == 1 })
	if !s.Whole(good) {
		t.Fatal("the good one went, too")
	}
	until("what nobody names goes", 5*time.Minute, func() bool { return s.Stats() == Stats{Rotten: 1} })
	if ran := fake.Now().Sub(began); ran < idleMost*time.Minute {
		t.Errorf("after %v already", ran)
	}
	cancel()
	<-ended
}
