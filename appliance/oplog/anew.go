package oplog

import (
	"context"
	"sync"
	"time"
)

// anew is the making of all views anew beside the writer, which goes on with the old ones.
// A million facts take half a minute here and minutes on a small board, and nobody who
// registers a family waits that long.
// At the end the writer waits while the stores are exchanged, and applies what went ahead
// meanwhile to the new one.
type anew struct {
	frames int // of the journal that are read
	began  time.Time
	stop   context.CancelFunc
	filled chan struct{} // closed when everything is made and the store waits to be exchanged, or nothing comes of it
	parked chan struct{} // closed by the writer when it waits for that
	ended  chan struct{} // closed when what follows is there

	made state
	gone map[ID]goneRow
	err  error
}

// beginAnew begins it. It runs in the writer.
func (l *Log) beginAnew(store BulkStore) *anew {
	ctx, stop := context.WithCancel(context.Background())
	a := &anew{frames: len(l.frames), stop: stop, filled: make(chan struct{}), parked: make(chan struct{}), ended: make(chan struct{})}
	frames, from := l.frames[:a.frames:a.frames], l.freshState()
	a.began = l.clk.Now()
	l.anew = a
	l.logger.Info("making the views anew beside the old ones", "late", l.later.Load())
	l.tended.Go(func() {
		select {
		case <-l.quit: // a stop does not wait for a million ops
			stop()
		case <-a.ended:
		}
	})
	l.tended.Go(func() {
		defer close(a.ended)
		defer l.progress.Store(nil)
		filled := sync.OnceFunc(func() { close(a.filled) })
		defer filled()
		a.err = l.guard(func() (err error) {
			a.made, a.gone, err = l.rebuildBulk(ctx, store, from, frames, func() error {
				filled()
				select {
				case <-a.parked:
					return nil
				case <-ctx.Done():
					return errCancelled(ctx)
				}
			})
			return err
		})
		l.logger.Info("the views are made anew", "took", l.clk.Now().Sub(a.began), "err", a.err)
	})
	return a
}

// isFilled tells whether the writer has only a moment to wait.
func (a *anew) isFilled() bool {
	select {
	case <-a.filled:
		return true
	default:
		return false
	}
}

// takeAnew waits for the new views and puts them in the place of the old ones. When they
// could not be made the old ones are mended. It runs in the writer.
func (l *Log) takeAnew() {
	a := l.anew
	l.anew = nil
	if err := l.exchange(a); err != nil {
		l.behind.Store(true)
		l.logFault("folding what arrived", err)
		return
	}
	l.folding = max(0, l.clk.Now().Sub(a.began))
	l.tellHooks(nil)
	l.wake()
}

// exchange lets the new store take the place of the old one, and keeps readers out until it
// has what went ahead, too: nobody is gone for a moment who was just registered.
func (l *Log) exchange(a *anew) error {
	<-a.filled
	l.halves.Lock()
	l.alone = true
	defer func() { l.alone = false; l.halves.Unlock() }()
	close(a.parked)
	<-a.ended
	a.stop()
	if a.err != nil {
		return a.err
	}
	return l.rebuilt(a.made, a.gone, a.frames)
}

// dropAnew gives it up: the views are mended otherwise.
func (l *Log) dropAnew() {
	if a := l.anew; a != nil {
		l.anew = nil
		a.stop()
		<-a.ended
	}
}
