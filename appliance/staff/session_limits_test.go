package staff

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

// guess makes wrong tries from a client, moving the clock on while one waits, and
// gives the time the last one took.
func (p *place) guess(t *testing.T, client, user string, passphrase []byte) (time.Duration, error) {
	t.Helper()
	began := p.clock.Now()
	done := make(chan error, 1)
	go func() {
		_, err := p.SignIn(identity.From(ctx, client), user, passphrase)
		done <- err
	}()
	for {
		select {
		case err := <-done:
			return p.clock.Now().Sub(began), err
		case <-time.After(time.Millisecond): // slowly: in an hour of this clock tries are forgotten
			p.clock.Advance(10 * time.Millisecond)
		}
	}
}

// A stranger who knows a name must not keep its owner out.
func TestNobodyLocksSomebodyElseOut(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	for range maxTries {
		_, err := p.guess(t, "10.42.0.66", "mina", []byte("a guess"))
		wantFault(t, err, fault.Denied, "fault.staff.wrong_sign_in")
	}
	_, err := p.guess(t, "10.42.0.66", "mina", secret)
	wantFault(t, err, fault.Busy, "fault.staff.too_many_tries")
	for _, client := range []string{"", "10.42.0.7"} {
		if _, err := p.guess(t, client, "mina", secret); err != nil {
			t.Fatalf("the owner from %q: %v", client, err)
		}
	}
	// Right elsewhere forgives nothing here.
	_, err = p.guess(t, "10.42.0.66", "mina", secret)
	wantFault(t, err, fault.Busy, "fault.staff.too_many_tries")
}

// From many addresses at once a name becomes slow, never closed; another name and
// this machine do not notice.
func TestManyClientsOnlyMakeANameSlow(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	p.add(t, "omar", Lead)
	for made, least := range map[int]time.Duration{maxTries: 0, 3 * maxTries: 20 * slowStep, 6 * maxTries: slowMost} {
		p.mu.Lock()
		clear(p.tries)
		for n := range made {
			key := tryKey(fmt.Sprintf("10.42.0.%d", n/maxTries), "mina")
			p.tries[key] = append(p.tries[key], p.clock.Now())
		}
		p.mu.Unlock()
		took, err := p.guess(t, "10.42.1.1", "mina", []byte("a guess"))
		wantFault(t, err, fault.Denied, "fault.staff.wrong_sign_in")
		if took < least {
			t.Fatalf("after %d tries the next took %v", made, took)
		}
	}
	p.mu.Lock()
	clear(p.tries)
	for n := range 100 {
		p.tries[tryKey(fmt.Sprintf("10.42.0.%d", n), "mina")] = []time.Time{p.clock.Now()}
	}
	p.mu.Unlock()
	p.mu.Lock()
	slow, other, here := p.slowLocked(tryKey("10.42.9.9", "mina")), p.slowLocked(tryKey("10.42.9.9", "omar")), p.slowLocked(tryKey("", "mina"))
	p.mu.Unlock()
	if slow != slowMost || other != 0 || here != 0 {
		t.Fatalf("waits of %v, %v and %v", slow, other, here)
	}
	if _, err := p.guess(t, "10.42.9.9", "mina", secret); err != nil {
		t.Fatalf("the owner: %v", err)
	}
}

// A wait ends with the server, and counts for nothing.
func TestAWaitEndsWithItsContext(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	for range 2 * maxTries {
		p.mu.Lock()
		p.tries[tryKey("10.42.0.1", "mina")] = append(p.tries[tryKey("10.42.0.1", "mina")], p.clock.Now())
		p.mu.Unlock()
	}
	stopping, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := p.SignIn(identity.From(stopping, "10.42.0.2"), "mina", secret); err == nil {
		t.Fatal("signed in without the wait")
	}
	if n := len(p.tries[tryKey("10.42.0.2", "mina")]); n != 0 {
		t.Fatalf("%d tries were counted", n)
	}
}

// Peek is for streams: looking must not keep somebody signed in.
func TestPeekingKeepsNobodySignedIn(t *testing.T) {
	p := openPlace(t)
	p.add(t, "mina", Lead)
	s := p.signIn(t, "mina")
	for range 4 {
		p.clock.Advance(sessionIdle / 4)
		if got, ok := p.Peek(s.Token); !ok || got.Actor.ID != s.Actor.ID {
			t.Fatal("gone too early")
		}
	}
	p.clock.Advance(time.Second)
	if _, ok := p.Peek(s.Token); ok {
		t.Fatal("an idle session goes on")
	}
	if _, ok := p.Peek("x"); ok {
		t.Fatal("no session at all")
	}
}
