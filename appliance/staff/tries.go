package staff

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

// Limits of guessing, by the running clock.
const (
	maxTries    = 10        // wrong tries …
	maxOfOne    = 5         // … of one address among those that strangers share
	triesWithin = time.Hour // … within this time
)

// tryKey is what tries are counted by, for each name:
//
//   - this machine itself counts for itself;
//   - a device on which the owner has signed in before counts for itself, also after a
//     restart: its cookie carries this node's word for it;
//   - everybody else on the network shares one count, from however many addresses they
//     come. So a name is guessed at ten times an hour, and nobody else's sign-in notices.
//     One address may use up half of them: a single phone keeps nobody out.
//
// What that costs: strangers with two addresses can use up the tries of a name, and then
// its owner does not get in on a device they never used, for up to an hour. The name comes
// last, because it may hold anything.
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
func shared(key string) bool { return strings.HasPrefix(key, "network\x00") }

// try is one wrong try, or one that is being made.
type try struct {
	at     time.Time
	client string
}

// startTry counts a try before it is made, so that many at once are not more.
func (d *Desk) startTry(key, client string) (try, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock.Now()
	for k, made := range d.tries {
		made = slices.DeleteFunc(made, func(t try) bool { return now.Sub(t.at) >= triesWithin })
		if d.tries[k] = made; len(made) == 0 {
			delete(d.tries, k)
		}
	}
	made, own := d.tries[key], []try{}
	for _, t := range made {
		if t.client == client {
			own = append(own, t)
		}
	}
	switch {
	case len(made) >= maxTries:
		return try{}, tooMany(now, made[0])
	case shared(key) && len(own) >= maxOfOne:
		return try{}, tooMany(now, own[0])
	}
	t := try{now, client}
	d.tries[key] = append(made, t)
	return t, nil
}

func tooMany(now time.Time, first try) error {
	left := triesWithin - now.Sub(first.at)
	return fault.New(fault.Busy, "fault.staff.too_many_tries", "Count", int(left/time.Minute)+1)
}

func (d *Desk) dropTry(key string, t try) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.tries[key], t); i >= 0 {
		d.tries[key] = slices.Delete(d.tries[key], i, i+1)
	}
}

// rightTry forgives the wrong ones before it, where they were the owner's own. Where
// strangers are counted together it forgives nothing: each time the owner came in they
// would have ten more.
func (d *Desk) rightTry(key string, t try) {
	if shared(key) {
		d.dropTry(key, t)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tries, key)
}
