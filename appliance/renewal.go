package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// A locked box starts again as the same process: same id, same parent, same doors, new
// memory (execve(2)). Overwriting keys is not enough. Names people typed lie in the heap
// as pieces of pages, of search terms, of cached table blocks, none of which anybody can
// find again to overwrite; Go gives memory back without clearing it, and only in whole
// pages. The kernel clears every page of an address space it drops before anybody gets
// it. Measured with 65 planted names, passphrases, words and keys (canary_test.go): 63
// are found in the memory of an open node, 59 after locking in place with a collection
// and everything free given back, and none after locking like this.
//
// What this does not do: freed pages are cleared when the kernel hands them out again,
// not at once (a kernel with init_on_free=1 does), and what of the heap was swapped out
// before may lie in the swap. Only keys are kept out of that (identity, arena.go).
//
// The doors and the folder's lock are handed over open, so nobody else can take them in
// between and whoever connects meanwhile only waits. Where a system cannot do this the
// box locks in place and what is free is given back.

// doors are the listeners of a box.
type doors struct{ http, https, control net.Listener }

// heritage is what a process gets from the one it was.
type heritage struct {
	doors
	lock    *os.File // of the folder
	renewed bool
}

// handed names the descriptors, in this order: lock, http, https, control.
const handed = "WAYPOST_RENEWED"

// renewal replaces the process, once.
type renewal struct {
	doors
	lock *os.File
	due  chan struct{} // closed when it is time
	busy atomic.Bool
	fds  []int // of what is handed over
}

func newRenewal(d doors, lock *os.File) *renewal {
	return &renewal{doors: d, lock: lock, due: make(chan struct{})}
}

// begin stops this process from taking further connections and asks for its end; false
// where it cannot be replaced. The answers under way are still given.
func (r *renewal) begin(logger *slog.Logger) bool {
	if !canRenew || !r.busy.CompareAndSwap(false, true) {
		return r.busy.Load()
	}
	for _, from := range []any{r.lock, r.http, r.https, r.control} {
		fd, err := keepOpen(from)
		if err != nil {
			logger.Warn("the process cannot be replaced", "err", err)
			closeAll(r.fds)
			r.fds = nil
			r.busy.Store(false)
			return false
		}
		r.fds = append(r.fds, fd)
	}
	if u, ok := r.control.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	for _, ln := range []net.Listener{r.http, r.https, r.control} {
		_ = ln.Close() // the socket goes on listening behind the other descriptor
	}
	close(r.due)
	return true
}

// replace does not return when it works.
func (r *renewal) replace() error {
	numbers := make([]string, len(r.fds))
	for i, fd := range r.fds {
		numbers[i] = strconv.Itoa(fd)
	}
	return execAgain(append(os.Environ(), handed+"="+strings.Join(numbers, ",")))
}

// inherited are the doors again, for a process that could not be replaced.
func (r *renewal) inherited() heritage {
	h, err := inherit(r.fds)
	if err != nil {
		return heritage{lock: r.lock, renewed: true} // they are opened anew
	}
	return h
}

// inherited reads what the process that this one was has handed over; nothing in a
// first start.
func inherited() (heritage, error) {
	text, ok := os.LookupEnv(handed)
	if !ok {
		return heritage{}, nil
	}
	_ = os.Unsetenv(handed) // not for children
	var fds []int
	for _, word := range strings.Split(text, ",") {
		fd, err := strconv.Atoi(word)
		if err != nil || fd < 3 {
			return heritage{}, fmt.Errorf("%s=%q", handed, text)
		}
		fds = append(fds, fd)
	}
	if len(fds) != 4 {
		return heritage{}, fmt.Errorf("%s=%q", handed, text)
	}
	return inherit(fds)
}

func inherit(fds []int) (heritage, error) {
	h := heritage{renewed: true, lock: os.NewFile(uintptr(fds[0]), "lock")}
	for i, ln := range []*net.Listener{&h.http, &h.https, &h.control} {
		f := os.NewFile(uintptr(fds[i+1]), "listener")
		var err error
		if *ln, err = net.FileListener(f); err != nil { // a copy that children do not get
			return heritage{}, err
		}
		_ = f.Close()
	}
	closeOnExec(fds[0])
	return h, nil
}

// renewable says how the process that serves this box is replaced.
func (b *box) renewable(r *renewal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.renewal = r
}

// stay takes back that this process is about to be replaced, and gives the doors.
func (b *box) stay() heritage {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaving = false
	return b.renewal.inherited()
}
