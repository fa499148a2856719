package ui

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/registration"
)

// How many people passed a gate at night is nobody's business who merely stands in the
// network. The box's own screen shows all of it; a phone is shown what was counted on that
// phone, known again by a random cookie that it gets with its first count. Kept in memory
// only. What a stranger who counts can still learn is the number of their own letter.

// gateCookie is the cookie's name before the port; see cookieName.
const gateCookie = "waypost-gate"

// maxGates is how many phones are remembered; the one that counted longest ago goes first.
const maxGates = 64

// gateTally is what one phone counted.
type gateTally struct {
	shift   uint64 // of Letters: of another one it is over
	used    time.Time
	numbers map[uint64]bool // of its letters: a form sent twice is one
	sum     Letters
}

// gates are the phones that count. Safe for concurrent use.
type gates struct {
	mu  sync.Mutex
	all map[string]*gateTally
}

// counted adds a head count to a phone's tally; the cookie is of a phone that begins, when
// device is not one of ours.
func (g *gates) counted(device string, shift, number uint64, c registration.Gate, now time.Time) (cookie string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.all[device]
	if t == nil || t.shift != shift {
		delete(g.all, device)
		cookie = g.begin(shift)
		t = g.all[cookie]
	}
	t.used = now
	if t.numbers[number] {
		return cookie
	}
	t.numbers[number] = true
	t.sum.Families++
	t.sum.Adults, t.sum.Children, t.sum.Infants = t.sum.Adults+c.Adults, t.sum.Children+c.Children, t.sum.Infants+c.Infants
	return cookie
}

// begin makes room and remembers one more phone. The caller holds mu.
func (g *gates) begin(shift uint64) string {
	if g.all == nil {
		g.all = map[string]*gateTally{}
	}
	if len(g.all) >= maxGates {
		oldest := ""
		for id, t := range g.all {
			if oldest == "" || t.used.Before(g.all[oldest].used) {
				oldest = id
			}
		}
		delete(g.all, oldest)
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	id := hex.EncodeToString(b[:])
	g.all[id] = &gateTally{shift: shift, numbers: map[uint64]bool{}}
	return id
}

// of is what a phone counted in a shift; nil for one that did not.
func (g *gates) of(device string, shift uint64) *Letters {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.all[device]
	if device == "" || t == nil || t.shift != shift {
		return nil
	}
	sum := t.sum
	return &sum
}
