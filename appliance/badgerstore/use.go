package badgerstore

import "sync"

// use counts who reads, so that closing waits for them. Unlike with sync.RWMutex a
// reader may read again inside: somebody who waits to close keeps no reader out. It
// is used by one that closes or empties the store, which is rare, and then nobody
// asks for long. The zero use is ready after init.
type use struct {
	mu      sync.Mutex
	change  sync.Cond
	readers int
	closed  bool // somebody has it alone
}

func (u *use) init() { u.change.L = &u.mu }

func (u *use) enter() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.closed {
		u.change.Wait()
	}
	u.readers++
}

func (u *use) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.readers--; u.readers == 0 {
		u.change.Broadcast()
	}
}

// lock waits for every reader to leave.
func (u *use) lock() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.closed || u.readers > 0 {
		u.change.Wait()
	}
	u.closed = true
}

func (u *use) unlock() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = false
	u.change.Broadcast()
}
