package oplog

import (
	"context"

	"github.com/waypost/waypost/appliance/fault"
)

// Keeper is a Store on a disk that may fill up or fail under it. What it holds is then
// somewhere else or gone; the journal brings it back.
type Keeper interface {
	// Lost reports that what the store holds cannot be read any more. Its uses fault
	// until DropAll.
	Lost() bool
	// Away reports that the store is not at its place, because the disk was full, and
	// whether it can be written where it is.
	Away() (away, writable bool)
	// Return brings it back to its place, where it holds what it held there last.
	Return() error
}

// Remaker is a Store that makes itself anew, empty, when what lies there is damaged.
type Remaker interface {
	// Remade tells why, in words without content; "" when it did not.
	Remade() string
}

// noteRemade says that views were damaged. They are made anew from the journal.
func (l *Log) noteRemade() {
	if r, ok := l.store.(Remaker); ok {
		if why := r.Remade(); why != "" {
			l.note("the views were damaged and were made anew: " + why)
		}
	}
}

// mostMends in a row without a success end the tries: the disk is failing.
const mostMends = 3

// unwell reports whether the views need mending and can be mended.
func (l *Log) unwell(full bool) bool {
	if l.behind.Load() {
		return true
	}
	k, ok := l.store.(Keeper)
	if !ok {
		return false
	}
	if k.Lost() {
		return true
	}
	away, writable := k.Away()
	if !away || full {
		return false
	}
	if !writable {
		return true
	}
	// In memory nothing waits for it, and on the disk the views have to be made anew,
	// which takes about twice the journal.
	size, _ := l.journal.bytes()
	free, err := l.room.free()
	return err == nil && free >= l.room.enough()+2*size
}

// mendViews makes the views whole and up to date. It runs in the writer.
func (l *Log) mendViews() error {
	full, _ := l.room.state()
	l.mu.RLock()
	stopped := l.readOnly != nil
	l.mu.RUnlock()
	if stopped || !l.unwell(full) {
		return nil
	}
	l.dropAnew()
	if l.later.Load() == 0 {
		l.logger.Warn("mending the views")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-l.quit: // a stop does not wait for a million ops
			cancel()
		case <-ctx.Done():
		}
	}()
	err := l.mendOnce(ctx)
	if err == nil {
		l.mends = 0
		l.behind.Store(false)
		l.foldedUpTo(len(l.frames)) // it was all of the journal
		l.tellHooks(nil)
		l.wake()
		return nil
	}
	l.behind.Store(true)
	if ctx.Err() == nil && !l.suspecting() { // what is damaged is set aside first
		if l.mends++; l.mends >= mostMends {
			l.stop(err)
		}
	}
	return err
}

func (l *Log) mendOnce(ctx context.Context) error {
	if k, ok := l.store.(Keeper); ok {
		if k.Lost() {
			_, err := l.refill(ctx)
			return err
		}
		if full, _ := l.room.state(); !full {
			if away, _ := k.Away(); away {
				l.fillBegins() // they may be old, or empty
				if err := k.Return(); err != nil {
					return errStore(err)
				}
				l.noteRemade()
			}
		}
	}
	_, err := l.catchUp(ctx, false)
	if fault.ClassOf(err) == fault.Full || l.viewsLost() {
		_, err = l.refill(ctx)
	}
	if err == nil {
		l.fillEnds()
	}
	return err
}

// refill makes the views anew. When the disk has no room for them on the way they are
// made once more, where the store goes then: into memory. After an error whole says that
// the old views are still there.
func (l *Log) refill(ctx context.Context) (whole bool, err error) {
	whole, err = l.rebuild(ctx)
	if fault.ClassOf(err) == fault.Full || (err != nil && l.viewsLost()) {
		whole, err = l.rebuild(ctx)
	}
	return whole, err
}

// viewsLost reports whether the store says that it cannot be read.
func (l *Log) viewsLost() bool {
	k, ok := l.store.(Keeper)
	return ok && k.Lost()
}

// mendViewsSoon has the writer mend the views and waits for it.
func (l *Log) mendViewsSoon() {
	err := l.submit(context.Background(), &job{answer: make(chan error, 1), exclusive: l.mendViews})
	if err != nil {
		l.logger.Error("the views are not mended yet", "err", err)
	}
}

// viewsFailed is what becomes of a group whose ops are saved and whose views are not. A
// store without room or with lost pages is mended; any other failure stops the writing.
func (l *Log) viewsFailed(err error) {
	if fault.ClassOf(err) == fault.Full || l.viewsLost() {
		l.behind.Store(true)
		return
	}
	l.stop(err)
}
