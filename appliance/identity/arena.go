package identity

import "os"

// arena is the memory this node's keys lie in while it is open: one page that is
// never swapped out (mlock), never part of a core file (MADV_DONTDUMP), never moved
// and never copied by the garbage collector, and overwritten when the box is locked.
//
// It is our own and not github.com/awnumar/memguard: that gives every key pages and
// guard pages of its own, so that a handful of keys goes beyond the 64 KB of locked
// memory a user has on older systems, re-encrypts a master key on a timer in a
// goroutine of its own, and wants to own the signals and the exit of the process.
// Here one page holds 128 keys, and slices of it are ordinary slices.
//
// What cannot lie here: crypto/ed25519 keeps what it derives of a private key by a weak
// pointer, which only memory of the heap can have, so the node's signing key is one
// object of the heap (Vault.node). Keys that go by value to a cipher are on the stack
// or in the cipher.
//
// An arena does not lock; its owner does.
type arena struct {
	mem    []byte
	used   int
	beside [][]byte // what had no place, on the heap
	locked bool     // the system keeps mem out of the swap
}

func newArena() *arena {
	a := &arena{}
	a.mem, a.locked = lockedMemory(os.Getpagesize())
	return a
}

// hold moves b here and overwrites where it was. The result is valid, and zero, after
// wipe too.
func (a *arena) hold(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	defer clear(b)
	if a.used+len(b) > len(a.mem) {
		own := append([]byte(nil), b...)
		a.beside, a.locked = append(a.beside, own), false
		return own
	}
	place := a.mem[a.used : a.used+len(b) : a.used+len(b)]
	a.used += len(b)
	copy(place, b)
	return place
}

// wipe overwrites everything. The page stays mapped: a reader that comes too late finds
// zeros there and no hole.
func (a *arena) wipe() {
	clear(a.mem)
	for _, b := range a.beside {
		clear(b)
	}
	unlockMemory(a.mem)
}
