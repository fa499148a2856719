package staff

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

// Limits of guessing, by the running clock.
const (
	maxTries    = 10        // wrong tries …
	triesWithin = time.Hour // … within this time
)

// tryKey is what tries are counted by, for each name:
//
//   - this machine itself counts for itself;
//   - a device on which the owner has signed in before counts for itself, also after a
//     restart: its cookie carries this node's word for it;
//   - everybody else on the network shares one count, from however many addresses they
//     come. So a name is guessed at ten times an hour, and nobody else's sign-in notices.
//
// What that costs: strangers can use up the tries of a name, and then its owner does not
// get in on a device they never used, for up to an hour. The name comes last, because it
// may hold anything.
func (d *Desk) tryKey(ctx context.Context, name string, a account) string {
	who := "network"
	if identity.Client(ctx) == "" {
		who = ""
	} else if hash, known := d.knownDevice(deviceOf(ctx), idOf(a.Subject)); known {
		who = hex.EncodeToString(hash[:])
	}
	return who + "\x00" + name
}

// shared reports whether tries of several people are counted under a key.
func shared(key string) bool { return len(key) > 7 && key[:8] == "network\x00" }

// startTry counts a try before it is made, so that many at once are not more.
func (d *Desk) startTry(key string) (at time.Time, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock.Now()
	for k, times := range d.tries {
		times = slices.DeleteFunc(times, func(t time.Time) bool { return now.Sub(t) >= triesWithin })
		if d.tries[k] = times; len(times) == 0 {
			delete(d.tries, k)
		}
	}
	times := d.tries[key]
	if len(times) >= maxTries {
		left := triesWithin - now.Sub(times[0])
		return now, fault.New(fault.Busy, "fault.staff.too_many_tries", "Count", int(left/time.Minute)+1)
	}
	d.tries[key] = append(times, now)
	return now, nil
}

func (d *Desk) dropTry(key string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.tries[key], at); i >= 0 {
		d.tries[key] = slices.Delete(d.tries[key], i, i+1)
	}
}

// rightTry forgives the wrong ones before it, where they were the owner's own. Where
// strangers are counted together it forgives nothing: each time the owner came in they
// would have ten more.
func (d *Desk) rightTry(key string, at time.Time) {
	if shared(key) {
		d.dropTry(key, at)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tries, key)
}
