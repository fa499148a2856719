package identity

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/waypost/waypost/appliance/fault"
)

func TestCanonicalPassphrase(t *testing.T) {
	for in, want := range map[string]string{
		"abacus  abdomen\n":        "abacus abdomen",
		" Abacus ABDOMEN Yo-Yo":    "abacus abdomen yo-yo", // a telephone's capital, all words of the list
		"Abacus and Tr0ub4dor":     "Abacus and Tr0ub4dor", // somebody's own: case counts
		"cafe\u0301 fort":          "caf\u00e9 fort",
		"\u00a0كلمة\u2003سر\u00a0": "كلمة سر",
		"":                         "",
		"\t \n":                    "",
	} {
		if got := string(CanonicalPassphrase([]byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestCostHasAFloor(t *testing.T) {
	for cost, ok := range map[Cost]bool{
		{}: true, StrongCost(): true, TestCost(): true, {Passes: 3, MemoryKiB: 12 << 10}: true, {Passes: 2, MemoryKiB: 19 << 10}: true,
		{Passes: 1, MemoryKiB: 46 << 10}: true, {Passes: 3, MemoryKiB: 12<<10 - 1}: false, {Passes: 2, MemoryKiB: 12 << 10}: false,
		{Passes: 1, MemoryKiB: 9}: false, {Passes: 200, MemoryKiB: 64 << 10}: false, {Passes: 3, MemoryKiB: 1 << 30}: false,
	} {
		if err := cost.Check(); (err == nil) != ok {
			t.Errorf("%+v: %v", cost, err)
		}
	}
	if _, _, err := Start(t.TempDir(), nil, StartOptions{Deployment: "a", Site: "b", Passphrase: words("x"), Cost: Cost{Passes: 1, MemoryKiB: 16}}); fault.Of(err).Key != "fault.identity.weak_cost" {
		t.Fatalf("a weak cost is refused: %v", err)
	}
}

func TestStretchingIsOneAtATime(t *testing.T) {
	g := gate{turn: make(chan struct{}, 1), queue: make(chan struct{}, queueLength+1)}
	g.turn <- struct{}{} // somebody is at it
	salt := make([]byte, SaltSize)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	errs := make(chan error, queueLength+1)
	for range queueLength + 1 {
		wg.Go(func() {
			_, err := g.run(ctx, words("x"), salt, TestCost())
			errs <- err
		})
	}
	for len(g.queue) < cap(g.queue) {
		// Waits for all of them to queue; nobody can leave before cancel.
		if len(errs) > 0 {
			t.Fatal(<-errs)
		}
	}
	_, err := g.run(ctx, words("x"), salt, TestCost())
	wantFault(t, err, fault.Busy, "fault.identity.busy")
	cancel()
	wg.Wait()
	for range queueLength + 1 {
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	<-g.turn
	one, err := g.run(context.Background(), words("x"), salt, TestCost())
	two, err2 := g.run(context.Background(), words(" x "), salt, TestCost())
	if err != nil || err2 != nil || one != two {
		t.Fatal(one, two, err, err2)
	}
}

func BenchmarkStretch(b *testing.B) {
	for b.Loop() {
		if _, err := Stretch(context.Background(), words(open5), make([]byte, SaltSize), StrongCost()); err != nil {
			b.Fatal(err)
		}
	}
}
