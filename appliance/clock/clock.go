package clock

import (
	"sync"
	"time"
)

// Clock tells the time and waits. Everything in Waypost that needs either takes
// one of these, so a test can stand at any moment and a wrong clock can be played.
type Clock interface {
	// Now is the wall time with its monotonic reading: differences of two Nows
	// are right even when somebody sets the clock in between.
	Now() time.Time
	// Sure says whether the wall time was set by something better than the
	// board's memory of the last shutdown. Never a reason to refuse anything.
	Sure() bool
	// After sends once on the returned channel when d has passed.
	After(d time.Duration) <-chan time.Time
}

// System is the machine's own clock.
func System() Clock { return system{} }

type system struct{}

func (system) Now() time.Time                         { return time.Now() }
func (system) Sure() bool                             { return synchronised() }
func (system) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Fake is a clock a test moves by hand. Safe for concurrent use.
type Fake struct {
	mu      sync.Mutex
	now     time.Time
	unsure  bool
	waiting []wait
}

type wait struct {
	at time.Time
	ch chan time.Time
}

// NewFake stands still at t.
func NewFake(t time.Time) *Fake { return &Fake{now: t} }

// Now is where the test put the clock.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Sure is true unless SetSure said otherwise.
func (f *Fake) Sure() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.unsure
}

// SetSure says whether the clock counts as set.
func (f *Fake) SetSure(sure bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unsure = !sure
}

// After fires when Advance or Set moves the clock to or past now+d.
func (f *Fake) After(d time.Duration) <-chan time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	ch := make(chan time.Time, 1)
	at := f.now.Add(d)
	if d <= 0 {
		ch <- f.now
		return ch
	}
	f.waiting = append(f.waiting, wait{at, ch})
	return ch
}

// Advance moves the clock forward and fires what is due.
func (f *Fake) Advance(d time.Duration) { f.Set(f.Now().Add(d)) }

// Set moves the clock anywhere, also back.
func (f *Fake) Set(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = t
	kept := f.waiting[:0]
	for _, w := range f.waiting {
		if w.at.After(t) {
			kept = append(kept, w)
			continue
		}
		w.ch <- t
	}
	f.waiting = kept
}
