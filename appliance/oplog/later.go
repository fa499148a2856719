package oplog

import (
	"context"
	"errors"
	"slices"
	"time"
)

// A node that is filled from another one has nothing to show yet, and what is folded batch
// by batch is folded four times as slowly as what is sorted first. So with Options.Later
// batches of many ops are made durable at once and folded together: as soon as nothing
// comes any more, or it has gone on for long: a slow link may bring a batch a second for an
// hour. Until then the views are as they were before, and their state says so: a
// process that dies meanwhile folds them at its next start.
//
// Nobody waits for that. When most of what is held is late, all views are made anew beside
// the writer (anew.go); else it is folded in pieces, and the writer sees to others between
// two of them. What is written meanwhile goes ahead: the views have it at once, and it is
// counted as late with the rest, because the state knows one place in the journal only. It
// is applied again when its turn comes, which changes nothing. For a command what is late is
// as if it had not arrived yet; but when it is little it is folded before.
//
// What everything else rests on is never put off: facts of the open compartment
// (certificates, suspensions, erasures), payloads that are gone, logs of this node's own
// and whatever does not simply continue a log. Whoever needs the whole waits: a check, a
// backup, a suspension, an erasure.
const (
	laterOps   = 200                    // ops a batch brings at least, unless much is late already
	laterWait  = 300 * time.Millisecond // nothing came for so long: a busy machine takes a while between two batches
	laterLong  = 15 * time.Second       // the first of them waits so long at most,
	laterPause = 3                      // or so many times of what the last folding took
	soonOps    = 5000                   // a second here, a few on a small board
	anewOps    = 20_000                 // so many and more are folded by sorting everything
	anewShare  = 4                      // when they are a quarter of it: so much quicker is it for each
	pieceBytes = 512 << 10              // of opened ops, in a piece: a quarter of a second here
	missedMost = 20_000                 // subjects that are remembered one by one
)

// lateFrame is a frame behind the place the views have been brought up to.
type lateFrame struct {
	frame int // of Log.frames
	ops   int
	shown bool // it went ahead: the views have it
}

// putLate notes a frame that was just appended.
func (l *Log) putLate(batches []*batch, shown bool) {
	f := lateFrame{frame: len(l.frames) - 1, shown: shown}
	for _, b := range batches {
		f.ops += len(b.ops)
	}
	if len(l.late) == 0 {
		l.lateSince = l.clk.Now()
	}
	l.late = append(l.late, f)
	l.later.Add(uint64(f.ops)) //nolint:gosec // a count
	select {
	case l.laterNow <- struct{}{}:
	default:
	}
}

// lateBehind is how many ops are late when the views are brought up to a frame.
func (l *Log) lateBehind(frames int) (ops uint64) {
	for _, f := range l.late {
		if f.frame >= frames {
			ops += uint64(f.ops) //nolint:gosec // a count
		}
	}
	return ops
}

// foldedUpTo notes that the views have been brought up to a frame.
func (l *Log) foldedUpTo(frames int) {
	n := 0
	for n < len(l.late) && l.late[n].frame < frames {
		n++
	}
	if l.late = l.late[n:]; len(l.late) == 0 {
		l.late = nil
	}
	l.lateSince = l.clk.Now()
	l.later.Store(l.lateBehind(frames))
}

// Late tells whether ops are durable here that the views do not have yet. Safe for
// concurrent use.
func (l *Log) Late() bool { return l.later.Load() > 0 }

// mayWait reports whether a batch can be folded later, as far as the batch itself says.
func (l *Log) mayWait(in *incoming) bool {
	if !l.mayBeLate || (len(in.batch.ops) < laterOps && l.later.Load() <= l.soonOps) || in.key.Equal(l.keyOf(l.Own())) {
		return false
	}
	if _, ok := l.store.(BulkStore); !ok || in.first != l.headOf(in.log).Seq+1 {
		return false
	}
	return !slices.ContainsFunc(in.batch.ops, func(r record) bool { return r.bare || r.comp == Deployment })
}

// swells reports what a batch that is not opened yet would be refused for. Payloads are
// decrypted for that and not unpacked.
func (l *Log) swells(in *incoming) error {
	if in.peeked {
		if in.batch.swells {
			return errBadBatch(errSwells)
		}
		return nil
	}
	for i := range in.batch.ops {
		r := &in.batch.ops[i]
		if r.comp == Narrow {
			continue
		}
		if packed, err := openPacked(l.auth, r); err == nil {
			if err := swollen(packed, len(packed)); errors.Is(err, errSwells) {
				return errBadBatch(err)
			}
		}
	}
	return nil
}

// merge1Later stores a batch that may wait for its folding. When it may not after all, it
// is opened, for the usual way.
func (l *Log) merge1Later(in *incoming) (done bool, n int, err error) {
	if err := l.storable(); err != nil {
		return false, 0, err
	}
	l.mu.RLock()
	c, own := l.chains[in.log], l.own
	l.mu.RUnlock()
	if c != nil && in.log != own && in.prev == c.head.Hash {
		if done, err = l.keepLater(c, in); err != nil {
			return false, 0, err
		} else if done {
			return true, len(in.batch.ops), nil
		}
	}
	l.foldBefore(in)
	return false, 0, l.openBatch(in)
}

// foldBefore brings the views up to date before a batch that is not put off, unless much is
// late: then what simply belongs to a log goes ahead.
func (l *Log) foldBefore(in *incoming) {
	if l.later.Load() <= l.soonOps || !l.mayGoAhead(in) {
		l.foldLate()
	}
}

func (l *Log) mayGoAhead(in *incoming) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	c := l.chains[in.log]
	return in.log != l.own && !l.behind.Load() && len(l.expected) == 0 && len(l.salvaged) == 0 && (c == nil || !c.hole)
}

// keepLater appends and flushes a batch and leaves the views for later. It reports false,
// with nothing done, when the batch has to go the usual way.
func (l *Log) keepLater(c *chain, in *incoming) (bool, error) {
	if l.behind.Load() || c.hole {
		return false, nil
	}
	if k, ok := l.store.(Keeper); ok {
		if away, _ := k.Away(); away || k.Lost() {
			return false, nil
		}
	}
	if c.head.Seq+1 != in.first || c.head.Seq == 0 || in.batch.ops[0].clock <= c.clock || len(l.expected) > 0 || len(l.salvaged) > 0 {
		return false, nil
	}
	if l.anyRefused(in.batch) {
		return false, nil
	}
	if err := l.freshSalt(); err != nil {
		return false, err
	}
	l.engine.meet(in.log, in.key)
	l.mu.Lock()
	if l.chains[in.log].key == nil {
		l.chains[in.log].key = in.key
	}
	l.mu.Unlock()
	if _, _, err := l.append([]*batch{in.batch}); err != nil {
		return false, err
	}
	l.putLate([]*batch{in.batch}, false)
	if l.clk.Now().Sub(l.lateSince) >= max(laterLong, laterPause*l.folding) {
		l.foldPiece()
	}
	l.wake()
	return true, nil
}

// anyRefused reports whether a batch is about somebody of whom nothing is to be stored.
func (l *Log) anyRefused(b *batch) bool {
	l.mu.RLock()
	none := len(l.gone) == 0 && len(l.destroying) == 0
	l.mu.RUnlock()
	return !none && slices.ContainsFunc(b.ops, func(r record) bool { return l.refuses(r.subject) })
}

// foldFor brings the views as far up to date as a job needs them.
func (l *Log) foldFor(j *job) {
	if l.anew != nil && l.anew.isFilled() {
		l.takeAnew()
	}
	whole := j.exclusive != nil && !j.late
	soon := j.exclusive == nil && l.later.Load() <= l.soonOps
	if whole || soon {
		l.foldLate()
	}
}

// foldLate brings the views up to date, whatever is late. It runs in the writer, before
// anything else does. A failure is treated as that of any commit: whoever writes next tries
// again, and watchRoom does.
func (l *Log) foldLate() {
	if l.anew != nil {
		l.takeAnew()
	}
	if l.later.Load() == 0 || l.behind.Load() {
		return
	}
	l.behind.Store(true)
	began := l.clk.Now()
	l.logFault("folding what arrived", l.mendViews())
	l.folding = max(0, l.clk.Now().Sub(began))
}

// foldPiece folds a part of what is late and keeps the writer for a moment only; or it has
// all views made anew, which it gives.
func (l *Log) foldPiece() *anew {
	switch store, ok := l.store.(BulkStore); {
	case l.behind.Load() || l.later.Load() == 0:
	case l.anew != nil && !l.anew.isFilled():
		return l.anew
	case l.anew != nil:
		l.takeAnew()
	case l.later.Load() <= l.soonOps:
		l.foldLate()
	case ok && l.mostIsNew(l.state):
		return l.beginAnew(store)
	default:
		at := l.late[0].frame
		g, err := l.replayPart(context.Background(), &at, pieceBytes)
		if err != nil {
			l.behind.Store(true)
			l.logFault("folding what arrived", err)
			return nil
		}
		l.tellHooks(g.events)
		l.wake()
	}
	return nil
}

// laterLoop has the views brought up to date when nothing comes any more.
func (l *Log) laterLoop() {
	for {
		select {
		case <-l.quit:
			return
		case <-l.laterNow:
		}
		for still := false; !still; {
			select {
			case <-l.quit:
				return
			case <-l.laterNow: // more has come
			case <-l.clk.After(laterWait):
				select {
				case <-l.laterNow: // so it has, and both were there
				default:
					still = true
				}
			}
		}
		l.foldInPieces()
	}
}

// foldInPieces folds until nothing is late, or it cannot be done now: a mend follows then.
func (l *Log) foldInPieces() {
	for l.later.Load() > 0 && !l.behind.Load() {
		var a *anew
		err := l.submit(context.Background(), &job{answer: make(chan error, 1), late: true, exclusive: func() error {
			a = l.foldPiece()
			return nil
		}})
		if err != nil {
			return
		}
		if a != nil {
			select {
			case <-a.filled:
			case <-l.quit:
				return
			}
		}
	}
}

// mostIsNew reports whether so much of the journal is not in the views that sorting all of
// it is quicker.
func (l *Log) mostIsNew(s state) bool {
	if _, ok := l.store.(BulkStore); !ok {
		return false
	}
	total := uint64(0)
	l.mu.RLock()
	for _, c := range l.chains {
		total += c.covered
	}
	l.mu.RUnlock()
	return total >= s.Ops+l.anewOps && (total-s.Ops)*anewShare >= total
}
