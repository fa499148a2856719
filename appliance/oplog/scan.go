package oplog

import (
	"context"
	"fmt"
	"os"
)

// scan walks all segments at open and builds the index: which batch lies in
// which frame, and the heads. Frames are opened and batches parsed; hashes are
// computed only where the index needs one (Check computes them all).
func (l *Log) scan(ctx context.Context) error {
	for i := range l.journal.segs {
		if err := ctx.Err(); err != nil {
			return errCancelled(ctx)
		}
		if err := l.scanSegment(uint32(i)); err != nil {
			return err
		}
	}
	for log := range l.chains {
		if err := l.settleHead(log); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.settleExpected()
	l.mu.Unlock()
	if n := len(l.journal.segs); n > 0 {
		l.unclean = !l.journal.segs[n-1].closed
	}
	return nil
}

func (l *Log) scanSegment(i uint32) error {
	s := l.journal.segs[i]
	if s.aead == nil || s.gone {
		return nil // reported when it was found
	}
	raw, err := l.journal.load(s)
	if err != nil {
		return errFiles(err)
	}
	if s.final > 0 && s.final != int64(len(raw)) {
		l.journal.hurt(s.number, fmt.Sprintf("its size is %d bytes instead of %d", len(raw), s.final), true)
	}
	end := int64(0) // where the last frame begins
	err = walkFrames(raw, func(f found) error {
		end = f.off
		if s.final == 0 && tornEnd(raw, f) {
			return l.dropTail(s, f)
		}
		var body []byte
		why := f.why
		if why == "" {
			if body, err = l.journal.open(s, f.index, f.cipher); err != nil {
				why = "damaged frame"
			}
		}
		if why == "" {
			pos := framePos{seg: i, n: uint32(len(f.cipher)), index: f.index, off: f.off}
			if err := l.scanFrame(s, pos, body); err != nil {
				why = err.Error()
			}
		}
		if why != "" {
			l.journal.hurt(s.number, fmt.Sprintf("%s at byte %d", why, f.off), true)
		}
		return nil
	})
	if err == nil && s.final == 0 && end > 0 && end < s.size {
		l.confirm(s, end)
	}
	return err
}

// dropTail cuts off what the last run was writing when it died. It was never
// acknowledged: the flush had not returned.
func (l *Log) dropTail(s *segment, f found) error {
	if err := l.journal.fs.Truncate(s.path, f.off); err != nil {
		return errFiles(err)
	}
	if t, err := l.journal.fs.OpenFile(s.path, os.O_WRONLY, 0); err == nil {
		_ = t.Sync()
		_ = t.Close()
	}
	l.logger.Warn("dropped an unfinished group at the end of the journal", "segment", s.number, "byte", f.off, "bytes", f.end-f.off)
	s.size = f.off
	return nil
}

// scanFrame takes one sound frame into the index.
func (l *Log) scanFrame(s *segment, pos framePos, body []byte) error {
	s.closed = body[0] == frameClose
	switch body[0] {
	case frameOps:
	case frameEvidence:
		return l.recallFork(body[1:])
	case frameClose, frameHeads:
		l.expectRecord(body)
		return nil
	case frameSalvage:
		if err := l.scanSalvage(s.number, body); err != nil {
			return err
		}
	default:
		return nil // something newer than this program
	}
	frame := uint32(len(l.frames))
	l.frames = append(l.frames, pos)
	return eachBatch(body, func(raw []byte) error {
		b, err := parseBatch(raw)
		if err != nil {
			return err
		}
		return l.scanBatch(b, frame)
	})
}

func (l *Log) scanBatch(b *batch, frame uint32) error {
	c := l.chains[b.log]
	if c == nil {
		c = &chain{}
		l.chains[b.log] = c
	}
	if c.key == nil && b.first == 1 {
		key, err := birthKey(l.auth, b)
		if err != nil {
			return err
		}
		c.key = key
	}
	for _, r := range b.ops {
		l.follow(r.clock)
	}
	c.add(run{first: b.first, last: b.last(), frame: frame, bare: b.bare()})
	return nil
}

// follow keeps the own clock above every clock seen.
func (l *Log) follow(clock uint64) {
	if clock < farClock {
		l.clock = max(l.clock, clock)
	}
}

// settleHead computes the head of a log: the end of its contiguous runs. Only the
// writer changes chains, so it reads them without the lock; others see the head as it
// was or as it is. After a fault the log has none.
func (l *Log) settleHead(log LogID) error {
	c := l.chains[log]
	last := c.contiguous(0)
	hole := len(c.runs) > 0 && c.runs[len(c.runs)-1].last > last
	set := func(h Head, clock uint64) {
		l.mu.Lock()
		defer l.mu.Unlock()
		c.head, c.clock, c.hole = h, clock, hole
	}
	if last == 0 {
		set(Head{Log: log}, 0)
		return nil
	}
	// After damage the joints of overlapping runs are proved instead of trusted.
	joints := len(c.runs) > 1 && overlapping(c.runs)
	at := 0
	if !joints {
		at, _ = c.find(last)
	}
	b, err := l.held(c.runs[at], log)
	if err != nil {
		set(Head{Log: log}, 0)
		return err
	}
	end := b.ops[len(b.ops)-1]
	set(Head{Log: log, Seq: b.last(), Hash: end.hash}, end.clock)
	if joints {
		l.extend(log)
	}
	return nil
}

func overlapping(runs []run) bool {
	for i := 1; i < len(runs); i++ {
		if runs[i].first <= runs[i-1].last {
			return true
		}
	}
	return false
}
