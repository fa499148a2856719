package oplog

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/waypost/waypost/appliance/files"
)

// The scrub reads the whole journal slowly, so that rot is found while another node
// still has what rotted, and not on the day somebody needs it.
const (
	scrubEvery = 24 * time.Hour // between the ends of two passes
	scrubRate  = 1 << 20        // bytes a second, more only when a day would not do
	scrubYield = 8              // times slower while the writer works
)

// scrubLoop makes a pass a day until the log is closed.
func (l *Log) scrubLoop() {
	for {
		select {
		case <-l.quit:
			return
		case <-l.clk.After(l.scrubWait()):
			bad, _ := l.scrub(context.Background(), true)
			for _, n := range bad {
				l.suspect(n)
			}
		}
	}
}

// scrubWait is how long the next pass can wait.
func (l *Log) scrubWait() time.Duration {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return min(max(0, scrubEvery-l.clk.Now().Sub(l.scrubbed)), scrubEvery)
}

// Scrub reads the whole journal once, as fast as the disk gives it, and sets aside
// what is damaged. Faults: "fault.oplog.cancelled", "fault.oplog.closed".
func (l *Log) Scrub(ctx context.Context) error {
	segments, ok := l.scrub(ctx, false)
	if !ok {
		return errCancelled(ctx)
	}
	if len(segments) == 0 {
		return nil
	}
	return l.exclusive(func() error { _, err := l.mend(segments); return err })
}

// scrub is one pass and lists the segments in which something is wrong; ok is false
// when it was cut short.
func (l *Log) scrub(ctx context.Context, slowly bool) (bad []uint64, ok bool) {
	l.journal.mu.RLock()
	n := len(l.journal.segs)
	l.journal.mu.RUnlock()
	total, _ := l.journal.bytes()
	rate := max(scrubRate, total/uint64(scrubEvery/2/time.Second))
	wait := func(read int) bool {
		if !slowly {
			return ctx.Err() == nil
		}
		pause := time.Duration(uint64(read)) * time.Second / time.Duration(rate) //nolint:gosec // both small
		if w := l.worked.Swap(0); w > 0 {
			pause *= scrubYield
		}
		select {
		case <-l.quit:
			return false
		case <-ctx.Done():
			return false
		case <-l.clk.After(pause):
			return true
		}
	}
	for i := range n {
		s := l.journal.segment(uint32(i))
		if s.gone {
			continue
		}
		whole, ok := l.scrubSegment(s, wait)
		if !ok {
			return bad, false
		}
		// A segment that was rewritten meanwhile was read while it was.
		if !whole && l.journal.segment(uint32(i)) == s {
			bad = append(bad, s.number)
		}
	}
	l.mu.Lock()
	l.scrubbed, l.scrubs = l.clk.Now(), l.scrubs+1
	l.mu.Unlock()
	return bad, true
}

// scrubSegment reads one file in pieces; whole is false at its first fault.
func (l *Log) scrubSegment(s *segment, wait func(read int) bool) (whole, ok bool) {
	if s.aead == nil {
		return false, true
	}
	l.journal.mu.RLock()
	size := s.size
	if s.open {
		size = s.sound // the rest is being written
	}
	final := s.final
	l.journal.mu.RUnlock()
	f, err := files.Open(l.journal.fs, s.path)
	if err != nil {
		return false, true
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.Size() < size || (final > 0 && st.Size() != final) {
		return false, true
	}
	head := make([]byte, segmentHeader)
	if _, err := f.ReadAt(head, 0); err != nil || checkSegmentHeader(head, l.journal.deployment, s.number) != nil {
		return false, true
	}
	off, next, since := int64(segmentHeader), uint32(0), 0
	var buf bytes.Buffer
	for off < size {
		h := make([]byte, frameHeader)
		if _, err := f.ReadAt(h, off); err != nil {
			return false, true
		}
		n, index, _, good := parseFrameHeader(h)
		if !good || index != next || off+frameHeader+int64(n) > size {
			return false, true
		}
		buf.Reset()
		if _, err := io.Copy(&buf, io.NewSectionReader(f, off+frameHeader, int64(n))); err != nil || buf.Len() != int(n) {
			return false, true
		}
		if _, err := l.journal.open(s, index, buf.Bytes()); err != nil {
			return false, true
		}
		off, next, since = off+frameHeader+int64(n), next+1, since+frameHeader+int(n)
		if since >= 256<<10 {
			if !wait(since) {
				return true, false
			}
			since = 0
		}
	}
	return true, wait(since)
}
