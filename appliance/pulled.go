package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/waypost/waypost/appliance/identity"
)

// A box that was opened by a key stick which is plugged into it is locked when the stick is
// pulled out: the one thing somebody at a door has time for. It is never more than locking,
// whatever was decided (box_emergency.go). No record lost comes before everything: a USB reset
// or a brownout on a small board makes a stick vanish and come back under another name, which
// looks exactly like pulling it, and nobody can take a destruction back. Keys are destroyed by
// button, call or `waypost lock --destroy`, where that was decided beforehand.
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
	for b.open() == n {
		select {
		case <-b.clock.After(stickLook):
		case <-b.ctx.Done():
			return
		}
		if stickIn(stick) || b.open() != n {
			continue
		}
		b.logger.Warn("the key stick was pulled out: locking")
		if err := b.Lock(context.WithoutCancel(b.ctx)); err != nil {
			b.logger.Error("locking", "err", err)
		}
		return
	}
}
