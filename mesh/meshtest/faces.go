package meshtest

import (
	"time"
	"unsafe"

	"github.com/waypost/waypost/appliance/clock"
)

// faces are the two faces of a node's clock: the wall time, which somebody sets, which drifts
// and which nobody knows after a start without a battery, and the time that only passes, which
// all differences are made of. A real time.Time has both.
type faces struct {
	off    time.Duration // what the wall time was wrong by at since
	since  time.Time
	drift  float64 // seconds a second
	unsure bool
}

// Clock is the node's own, wrong as SetClock said.
func (p *Place) Clock() clock.Clock { return placeClock{p} }

// SetClock makes the node's wall time wrong by off from now on, and ever more by drift
// seconds a second; sure is what the node thinks of it. Time passes as before.
func (p *Place) SetClock(off time.Duration, drift float64, sure bool) {
	p.clock = faces{off, p.camp.now, drift, !sure}
}

type placeClock struct{ p *Place }

func (k placeClock) Now() time.Time {
	c, f := k.p.camp, k.p.clock
	off := f.off
	if f.drift != 0 {
		off += time.Duration(f.drift * float64(c.now.Sub(f.since)))
	}
	return twoFaced(c.now.Add(off), c.now.Sub(c.began))
}

func (k placeClock) Sure() bool { return !k.p.clock.unsure }

// After is not for those who are played: it would need somebody who waits.
func (k placeClock) After(time.Duration) <-chan time.Time { return make(chan time.Time) }

// twoFaced is a time as time.Now makes it, with a monotonic reading: package time has no way to
// make one, and without it nobody could see what a clock that is set does to a running program.
// Walls from 1885 to 2157 can be said. TestTwoFaced holds it to what package time does.
func twoFaced(wall time.Time, passed time.Duration) time.Time {
	const since1885 = 2682288000 // seconds to 1970
	t := struct {
		wall uint64
		ext  int64
		loc  *time.Location
	}{1<<63 | uint64(wall.Unix()+since1885)<<30 | uint64(wall.Nanosecond()), int64(time.Hour + passed), nil} //nolint:gosec // in that range
	return *(*time.Time)(unsafe.Pointer(&t)) //nolint:gosec // see above
}
