package oplog

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// lookEvery is how often the room on the disk is looked at while nobody writes: one
// statfs, a few microseconds.
const lookEvery = 250 * time.Millisecond

// ballastName is the file in the journal's folder that keeps room in reserve.
const ballastName = "ballast"

// room is the state of the disk. Below the floor nothing more is written and the ballast
// is deleted, so that what is under way can land. Writing goes on when the ballast fits
// again with a quarter of it to spare; so a disk at the edge does not change its mind with
// every file. Safe for concurrent use.
type room struct {
	free    func() (uint64, error)
	floor   uint64
	ballast uint64 // size; 0 = none is kept
	path    string

	mu     sync.Mutex
	full   bool
	held   bool // the ballast is there
	toFree uint64
}

func newRoom(o Options) *room {
	r := &room{free: o.FreeSpace, floor: o.MinFree, ballast: o.Ballast, path: filepath.Join(o.Dir, ballastName)}
	if r.free == nil {
		r.free = func() (uint64, error) { return freeSpace(o.Dir) }
	}
	if r.floor == 0 {
		r.floor = defaultMinFree
	}
	st, err := os.Stat(r.path)
	r.held = err == nil && r.ballast > 0 && st.Size() == int64(r.ballast) //nolint:gosec // some megabytes
	return r
}

// enough is what must be free before the ballast is made again.
func (r *room) enough() uint64 { return r.floor + r.ballast + r.ballast/4 }

// look asks the system and keeps or lets go of the ballast. changed says that writing
// stopped or may go on.
func (r *room) look() (full, changed bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	free, err := r.free()
	if err != nil {
		return r.full, false, err
	}
	was := r.full
	if free < r.floor {
		r.full = true
		if r.held {
			// Not held any more, whatever the answer: it is looked at anew next time.
			r.held = false
			err = os.Remove(r.path)
			if again, ferr := r.free(); ferr == nil {
				free = again
			}
		}
	} else if r.full || (r.ballast > 0 && !r.held) {
		r.full = free < r.enough() || !r.hold()
	}
	r.toFree = 0
	if r.full {
		r.toFree = 1 + r.enough() - min(free, r.enough())
	}
	return r.full, was != r.full, err
}

// hold makes the ballast; false when there is no room for it after all.
func (r *room) hold() bool {
	if r.ballast == 0 {
		return true
	}
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return false
	}
	err = allocate(f, int64(r.ballast)) //nolint:gosec // some megabytes
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(r.path) // half a ballast only takes room
		return false
	}
	r.held = true
	return true
}

func writeZeros(f *os.File, size int64) error {
	for zeros := make([]byte, 1<<20); size > 0; size -= int64(len(zeros)) {
		if _, err := f.Write(zeros[:min(size, int64(len(zeros)))]); err != nil {
			return err
		}
	}
	return nil
}

// state is what the last look found.
func (r *room) state() (full bool, toFree uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.full, r.toFree
}

// megabytes rounds up, and is never 0: "free 0 MB" helps nobody.
func megabytes(n uint64) uint64 { return max(1, (min(n, math.MaxUint64-1<<20)+1<<20-1)>>20) }

// Room reports whether the disk is nearly full, so that nothing is written, and how many
// MB are to be freed until writing goes on by itself.
func (l *Log) Room() (full bool, megabytesToFree uint64) {
	full, need := l.room.state()
	if !full {
		return false, 0
	}
	return true, megabytes(need)
}

// Stopped reports whether nothing can be written now: the disk is nearly full, or a flush
// failed.
func (l *Log) Stopped() bool {
	l.mu.RLock()
	stopped := l.readOnly != nil
	l.mu.RUnlock()
	full, _ := l.room.state()
	return stopped || full
}

// roomy faults when the disk has no room for a group.
func (l *Log) roomy() error {
	full, changed, err := l.room.look()
	if err != nil && !full {
		return errFiles(err)
	}
	if changed {
		l.tellRoom(full)
	}
	if full {
		_, need := l.room.state()
		return errNearlyFull(need, fmt.Errorf("%d bytes are to be freed", need))
	}
	return nil
}

// tellRoom tells the log and everybody who watches that writing stopped or goes on.
func (l *Log) tellRoom(full bool) {
	if full {
		l.logger.Warn("the disk is nearly full: nothing more is written until there is room")
	} else {
		l.logger.Info("there is room on the disk again")
	}
	l.wake()
}

// watchRoom looks at the disk while nobody writes, and has the writer mend the views.
func (l *Log) watchRoom() {
	for {
		select {
		case <-l.quit:
			return
		case <-l.clk.After(lookEvery):
		}
		full, changed, err := l.room.look()
		if err != nil {
			continue // said to whoever writes
		}
		if changed {
			l.tellRoom(full)
		}
		if l.unwell(full) {
			l.mendViewsSoon()
		}
	}
}
