package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/waypost/waypost/appliance/identity"
)

// A box that was opened by a key stick which is plugged into it is locked when the stick is
// pulled out: the one thing somebody at a door has time for. Where it was decided before
// (box_emergency.go) its keys are destroyed, too, but only when the stick itself is gone: one
// that was taken out of the file system first, as a system does that shuts down, locks.
// A key file that came from a phone, or lies on the box's own disk, locks nothing.

// stickLook is how often the stick is looked for. With locking it stays below two seconds.
const stickLook = 250 * time.Millisecond

// stickOf is where the key file of an opener lies on a stick in this box; empty when it is
// no key file or on none.
func stickOf(secret []byte) string {
	if !identity.IsKeyFile(secret) {
		return ""
	}
	k, err := identity.ParseKeyFile(secret)
	if err != nil {
		return ""
	}
	defer clear(k.Key[:])
	for _, dir := range sticks() {
		if path := filepath.Join(dir, k.Name()); stickIn(path) {
			return path
		}
	}
	return ""
}

// stickIn reports whether a file is there, on a disk that is there: a stick that was pulled
// out without a word stays mounted until somebody looks.
func stickIn(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && plugged(path)
}

// lockWhenPulled locks the box when the stick it was opened with goes, as long as n is open.
func (b *box) lockWhenPulled(n *node, stick string) {
	disk := deviceOf(stick)
	for b.open() == n {
		select {
		case <-b.clock.After(stickLook):
		case <-b.ctx.Done():
			return
		}
		if !stickIn(stick) && b.open() == n {
			b.pulled(n, disk)
			return
		}
	}
}

// pulled does what was decided for this moment. A stick has to be gone at two looks to cost
// the keys: a bad contact is not a decision.
func (b *box) pulled(n *node, disk uint64) {
	if n.emergency.Get().Mode == identity.EmergencyPulled && diskGone(disk) {
		select {
		case <-b.clock.After(stickLook):
		case <-b.ctx.Done():
			return
		}
		if diskGone(disk) && b.open() == n {
			b.logger.Warn("the key stick was pulled out: destroying the keys")
			if err := b.destroy(); err != nil {
				b.logger.Error("destroying the keys", "err", err)
			}
			return
		}
	}
	b.logger.Warn("the key stick was pulled out: locking")
	if err := b.Lock(context.WithoutCancel(b.ctx)); err != nil {
		b.logger.Error("locking", "err", err)
	}
}

// diskGone reports whether a disk that was there is not known to the system any more.
// Replaced in tests, which have no stick to pull.
var diskGone = unplugged
