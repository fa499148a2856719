package oplog

import (
	"errors"
	"slices"
	"time"
)

// A node that is filled from another one has nothing to show yet, and what is folded batch
// by batch is folded four times as slowly as what is sorted first. So with Options.Later
// batches of many ops are made durable at once and folded together: as soon as nothing
// comes any more, or anybody wants something of the writer, whatever it is, or much has
// come together, or it has gone on for long: a slow link may bring a batch a second for an
// hour. Until then the views are as they were before, and their state says so: a
// process that dies meanwhile folds them at its next start.
//
// What everything else rests on is never put off: facts of the open compartment
// (certificates, suspensions, erasures), payloads that are gone, logs of this node's own
// and whatever does not simply continue a log.
const (
	laterOps   = 200              // ops a batch brings at least
	laterMost  = 200_000          // put off at least, before readers get some of it,
	laterTimes = 3                // and so many times of what they have
	laterWait  = time.Second      // nothing came for so long: a busy machine takes a while between two batches
	laterLong  = 10 * time.Second // the first of them waits so long at most,
	laterPause = 3                // or so many times of what the last folding took
	laterAfter = 10 * time.Minute // somebody's own command; they would wait for all of it
	anewOps    = 20_000           // so many and more are folded by sorting everything
	missedMost = 20_000           // subjects that are remembered one by one when most is late
	anewShare  = 4                // when they are a quarter of it: so much quicker is it for each
)

// Late tells whether ops are durable here that the views do not have yet. Safe for
// concurrent use.
func (l *Log) Late() bool { return l.later.Load() > 0 }

// mayWait reports whether a batch can be folded later, as far as the batch itself says.
func (l *Log) mayWait(in *incoming) bool {
	if !l.mayBeLate || len(in.batch.ops) < laterOps || in.key.Equal(l.keyOf(l.Own())) {
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
// is opened and the views are brought up to date before it.
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
	l.foldLate()
	return false, 0, l.openBatch(in)
}

// keepLater appends and flushes a batch and leaves the views for later. It reports false,
// with nothing done, when the batch has to go the usual way.
func (l *Log) keepLater(c *chain, in *incoming) (bool, error) {
	if l.behind.Load() || c.hole || l.clk.Now().Sub(l.commanded) < laterAfter && !l.commanded.IsZero() {
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
	put := l.later.Add(uint64(len(in.batch.ops)))
	l.mu.RLock()
	shown := l.state.Ops
	l.mu.RUnlock()
	l.missLater(in.batch, put, shown)
	now := l.clk.Now()
	if put == uint64(len(in.batch.ops)) {
		l.lateSince = now
	}
	if put >= laterMost && put >= laterTimes*shown || now.Sub(l.lateSince) >= max(laterLong, laterPause*l.folding) {
		l.foldLate()
	}
	select {
	case l.laterNow <- struct{}{}:
	default:
	}
	l.wake()
	return true, nil
}

// missLater remembers whom a batch is about. When most of what is held is late everything is
// sorted and folded, and then hooks are told of everybody, so that nothing has to be
// remembered of anybody.
func (l *Log) missLater(b *batch, late, shown uint64) {
	if len(l.missed) >= l.missedMost && late*(anewShare-1) >= shown { // as mostIsNew will find
		l.unheard, l.missed = true, map[ID]bool{}
	}
	if l.unheard {
		return
	}
	for i := range b.ops {
		l.missed[b.ops[i].subject] = true
	}
}

// anyRefused reports whether a batch is about somebody of whom nothing is to be stored.
func (l *Log) anyRefused(b *batch) bool {
	l.mu.RLock()
	none := len(l.gone) == 0 && len(l.destroying) == 0
	l.mu.RUnlock()
	return !none && slices.ContainsFunc(b.ops, func(r record) bool { return l.refuses(r.subject) })
}

// foldLate brings the views up to date when ops were put off. It runs in the writer, before
// anything else does. A failure is treated as that of any commit: whoever writes next tries
// again, and watchRoom does.
func (l *Log) foldLate() {
	if l.later.Load() == 0 || l.behind.Load() {
		return
	}
	l.behind.Store(true)
	began := l.clk.Now()
	l.logFault("folding what arrived", l.mendViews())
	l.folding = max(0, l.clk.Now().Sub(began))
}

// laterLoop has the views brought up to date when nothing comes any more.
func (l *Log) laterLoop() {
	for {
		select {
		case <-l.quit:
			return
		case <-l.laterNow:
		}
		for n := l.later.Load(); n > 0; {
			select {
			case <-l.quit:
				return
			case <-l.clk.After(laterWait):
			}
			if more := l.later.Load(); more != n {
				n = more
				continue
			}
			l.logFault("folding what arrived", l.exclusive(func() error { return nil }))
			break
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
	return total >= s.Ops+anewOps && (total-s.Ops)*anewShare >= total
}
