package oplog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// sifted is one sound frame of a segment: where it lies, what is in it, and what of
// which logs.
type sifted struct {
	pos  framePos
	body []byte
	runs []logRun
}

// logRun is a batch as the index needs it.
type logRun struct {
	log         LogID
	first, last uint64
	bare        bool
}

// runsIn lists the batches of a frame.
func runsIn(body []byte) (out []logRun, err error) {
	err = eachBatch(body, func(raw []byte) error {
		b, err := parseBatch(raw)
		if err == nil {
			out = append(out, logRun{b.log, b.first, b.last(), b.bare()})
		}
		return err
	})
	return out, err
}

// sift reads a segment's bytes and tells what is sound from what is wrong. raw is
// decrypted in place.
func (l *Log) sift(si uint32, s *segment, raw []byte) (sound []sifted, bad []string) {
	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	if s.aead == nil {
		return nil, []string{"its key is missing"}
	}
	if err := checkSegmentHeader(raw, l.journal.deployment, s.number); err != nil {
		say("%v", err)
	}
	if want := cmp.Or(s.final, s.size); int64(len(raw)) < want || (s.final > 0 && int64(len(raw)) > s.final) {
		say("its size is %d bytes instead of %d", len(raw), want)
	}
	_ = walkFrames(raw, func(f found) error { // never fails: the function does not
		why := f.why
		var body []byte
		var runs []logRun
		if why == "" {
			var err error
			if body, err = l.journal.open(s, f.index, f.cipher); err == nil {
				runs, err = runsIn(body)
			}
			if err != nil {
				why = "damaged frame"
			}
		}
		if why != "" {
			say("%s at byte %d", why, f.off)
			return nil
		}
		sound = append(sound, sifted{framePos{seg: si, n: uint32(len(f.cipher)), index: f.index, off: f.off}, body, runs})
		return nil
	})
	return sound, bad
}

// swap takes the frames of one segment out of the index and puts others in. fresh
// takes the segment's place in the list. Logs that hold less than before go back to
// what is contiguous; what was known of them stays expected.
func (l *Log) swap(si uint32, fresh *segment, frames []sifted) {
	l.mu.Lock()
	l.journal.mu.Lock()
	l.journal.segs[si] = fresh
	l.journal.mu.Unlock()
	l.epoch += 2
	lo, _ := slices.BinarySearchFunc(l.frames, si, func(f framePos, si uint32) int { return cmp.Compare(f.seg, si) })
	hi, _ := slices.BinarySearchFunc(l.frames, si+1, func(f framePos, si uint32) int { return cmp.Compare(f.seg, si) })
	pos := make([]framePos, 0, len(frames))
	for _, f := range frames {
		pos = append(pos, f.pos)
	}
	// A fresh slice: readers hold the lock only while they look a frame up.
	l.frames = slices.Concat(l.frames[:lo], pos, l.frames[hi:])
	touched := map[LogID]bool{}
	for log, c := range l.chains {
		if c.move(uint32(lo), uint32(hi), len(pos)) {
			touched[log] = true
		}
	}
	for i, f := range frames {
		for _, r := range f.runs {
			c := l.chains[r.log]
			if c == nil {
				c = &chain{}
				l.chains[r.log] = c
			}
			c.runs = append(c.runs, run{first: r.first, last: r.last, frame: uint32(lo + i), bare: r.bare})
			touched[r.log] = true
		}
	}
	for log := range touched {
		l.chains[log].normalise()
	}
	l.mu.Unlock()
	for log := range touched {
		l.resettle(log)
	}
}

// move renumbers the frames of runs behind lo..hi and drops the runs inside; it
// reports whether there were any.
func (c *chain) move(lo, hi uint32, n int) (dropped bool) {
	out := c.runs[:0:0]
	for _, r := range c.runs {
		switch {
		case r.frame >= hi:
			r.frame = uint32(int(r.frame) + n - int(hi-lo))
		case r.frame >= lo:
			dropped = true
			continue
		}
		out = append(out, r)
	}
	c.runs = out
	return dropped
}

// normalise sorts runs and leaves out those that others cover; of two with the same
// ops the one with all payloads stays.
func (c *chain) normalise() {
	slices.SortFunc(c.runs, func(a, b run) int {
		order := cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.last, a.last))
		if order == 0 && a.bare != b.bare {
			order = 1
			if b.bare {
				order = -1
			}
		}
		return order
	})
	end := uint64(0)
	c.runs = slices.DeleteFunc(c.runs, func(r run) bool {
		covered := r.last <= end
		end = max(end, r.last)
		return covered
	})
	c.count()
}

// resettle finds a log's head again after runs went. Where the frame it ends in cannot
// be read the log has no head until that segment has had its turn too: it is looked at,
// and settleLogs tries again.
func (l *Log) resettle(log LogID) {
	l.mu.Lock()
	c := l.chains[log]
	before := c.head
	if c.contiguous(0) == before.Seq {
		c.hole = len(c.runs) > 0 && c.runs[len(c.runs)-1].last > before.Seq
		l.mu.Unlock()
		return
	}
	l.expect(before)
	l.mu.Unlock()
	if err := l.settleHead(log); err != nil {
		l.logger.Warn("the head of a log cannot be read", "log", log, "err", err)
	}
}

// settleLogs finds the heads again that could not be read before.
func (l *Log) settleLogs() {
	l.mu.RLock()
	var logs []LogID
	for log, c := range l.chains {
		if c.contiguous(0) != c.head.Seq {
			logs = append(logs, log)
		}
	}
	l.mu.RUnlock()
	for _, log := range logs {
		l.resettle(log)
	}
	l.mu.Lock()
	l.settleExpected()
	l.mu.Unlock()
}

// settleViews saves where the views are now: all of the journal, whose frames moved.
func (l *Log) settleViews() error {
	g, err := l.begin()
	if err != nil {
		return err
	}
	defer func() { g.tx.Discard() }()
	g.at = position{}
	l.mu.RLock()
	n := len(l.frames)
	var last framePos
	if n > 0 {
		last = l.frames[n-1]
	}
	for _, h := range l.headsLocked() {
		g.heads[h.Log] = h
	}
	l.mu.RUnlock()
	if n > 0 {
		tag, err := l.journal.tag(last)
		if err != nil {
			return err
		}
		g.at = l.position(last, tag)
	}
	return l.saveState(g)
}

// frameEpoch tells whether frames moved since it was asked last, and whether they do
// at this moment.
func (l *Log) frameEpoch() (epoch uint64, moving bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.epoch, l.epoch%2 == 1
}

// reheld reads a batch whose frame may have moved since r was looked up.
func (l *Log) reheld(r run, log LogID) (*batch, error) {
	var err error
	for range 3 {
		l.mu.RLock()
		var pos framePos
		ok := int(r.frame) < len(l.frames)
		if ok {
			pos = l.frames[r.frame]
		}
		l.mu.RUnlock()
		if !ok {
			err = errFiles(errors.New("the frame is gone"))
		} else {
			var b *batch
			if b, err = l.heldAt(pos, log, r.first); err == nil {
				return b, nil
			}
		}
		l.mu.RLock()
		again := r
		found := false
		if c := l.chains[log]; c != nil {
			var i int
			if i, found = c.find(r.first); found {
				again = c.runs[i]
			}
		}
		l.mu.RUnlock()
		if !found || again.first != r.first {
			return nil, err
		}
		if again == r && ok {
			l.suspect(l.journal.number(pos.seg))
			return nil, err
		}
		r = again
	}
	return nil, err
}
