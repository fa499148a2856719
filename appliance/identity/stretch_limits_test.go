package identity

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

// stretchAs stretches for a client and tells on the channel that it is over.
func stretchAs(ctx context.Context, g *gate, client string, done chan<- string) {
	if client != "" {
		ctx = From(ctx, client)
	}
	_, err := g.run(ctx, words("x"), make([]byte, SaltSize), TestCost())
	if err != nil {
		client += " failed"
	}
	done <- client
}

// until waits for something another goroutine does.
func until(ctx context.Context, t *testing.T, what string, is func() bool) {
	t.Helper()
	for ; !is(); runtime.Gosched() {
		if ctx.Err() != nil {
			t.Fatal(what)
		}
	}
}

// lined waits until so many clients of the network are in line.
func (g *gate) lined(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	until(ctx, t, "the line has another length", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.all == n
	})
}

// One phone that floods has a few places in line; the next phone still gets in, and so
// do several behind one address.
func TestOneClientHasAFewPlacesInLine(t *testing.T) {
	g := newGate()
	g.turn <- struct{}{} // somebody is at it
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	done := make(chan string, 20)
	go stretchAs(ctx, g, "10.42.0.1", done) // stands for the turn
	until(ctx, t, "nobody is first", func() bool { return len(g.first) == 1 })
	g.lined(ctx, t, 0)
	for n := 1; n <= clientLength; n++ {
		go stretchAs(ctx, g, "10.42.0.1", done) // waits
		g.lined(ctx, t, n)
	}
	for range 5 {
		_, err := g.run(From(ctx, "10.42.0.1"), words("x"), make([]byte, SaltSize), TestCost())
		wantFault(t, err, fault.Busy, "fault.identity.busy")
	}
	for n := clientLength + 1; n <= networkLength; n++ {
		go stretchAs(ctx, g, fmt.Sprintf("10.42.0.%d", n), done)
		g.lined(ctx, t, n)
	}
	_, err := g.run(From(ctx, "10.42.0.99"), words("x"), make([]byte, SaltSize), TestCost())
	wantFault(t, err, fault.Busy, "fault.identity.busy")

	// This machine has a line of its own, and its turn comes after one other's.
	go stretchAs(ctx, g, "", done)
	until(ctx, t, "this machine has no place", func() bool { return len(g.queue) == 1 })
	<-g.turn
	first, second := <-done, <-done
	if first != "" && second != "" {
		t.Fatalf("this machine came after %q and %q", first, second)
	}
	for range networkLength {
		if who := <-done; who == "" {
			t.Fatal("this machine twice")
		}
	}
	if len(g.waiting) != 0 || len(g.first) != 0 || len(g.queue) != 0 || len(g.turn) != 0 {
		t.Fatal("a place was not given back")
	}
}

func TestAClientThatLeavesGivesItsPlaceBack(t *testing.T) {
	g := newGate()
	g.first <- struct{}{}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	done := make(chan string, 1)
	go stretchAs(ctx, g, "10.42.0.1", done)
	g.lined(ctx, t, 1)
	cancel()
	if who := <-done; who != "10.42.0.1 failed" || len(g.waiting) != 0 {
		t.Fatalf("%q, %d in line", who, len(g.waiting))
	}
}

func TestWithoutAClientThisMachineAsks(t *testing.T) {
	if Client(context.Background()) != "" || Client(From(context.Background(), "10.42.0.1")) != "10.42.0.1" {
		t.Fatal("the client of a context")
	}
}
