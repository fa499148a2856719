package oplog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
)

// A segment that is damaged is taken out of the journal whole: its file goes aside
// with its key, its sound frames live on in a new file under a fresh key. Chains go
// back to what is contiguous, so that the exchange with other nodes asks for the
// rest by itself.

// suspect has a segment looked at: something in it could not be read. It never waits.
func (l *Log) suspect(segment uint64) {
	l.suspectMu.Lock()
	l.suspects[segment] = true
	l.suspectMu.Unlock()
	select {
	case l.tendNow <- struct{}{}:
	default:
	}
}

// suspecting reports whether a segment waits to be looked at.
func (l *Log) suspecting() bool {
	l.suspectMu.Lock()
	defer l.suspectMu.Unlock()
	return len(l.suspects) > 0
}

// takeSuspects empties the list.
func (l *Log) takeSuspects() (segments []uint64) {
	l.suspectMu.Lock()
	defer l.suspectMu.Unlock()
	for s := range l.suspects {
		segments = append(segments, s)
	}
	clear(l.suspects)
	return segments
}

// mendScan sets aside what the scan at open found damaged.
func (l *Log) mendScan() {
	seen := map[uint64]bool{}
	for _, d := range l.journal.damages {
		if seen[d.segment] {
			continue
		}
		seen[d.segment] = true
		if err := l.setAside(d.segment); err != nil {
			l.stopFor(err)
		}
	}
	l.settleLogs()
}

// stopFor makes the node read-only when only a restart can help.
func (l *Log) stopFor(err error) {
	if fault.ClassOf(err) == fault.ReadOnly {
		l.stop(err)
	}
}

// setAside looks at a whole segment and takes out what is damaged. It does nothing
// when all of it is sound. It runs in the writer, or before it does. Where the disk
// takes no new file, what is damaged is still left out of the index, so that nothing
// rotten is served, and it is tried again at the next look.
func (l *Log) setAside(number uint64) error {
	si, s, ok := l.journal.place(number)
	if !ok {
		return nil
	}
	if err := l.stopped(); err != nil {
		return err
	}
	if s == l.journal.cur {
		if err := l.journal.finish(); err != nil {
			return err
		}
	}
	raw, err := l.journal.load(s)
	if s.gone && l.journal.keyOf(number) == nil {
		return nil
	}
	if s.gone || errors.Is(err, fs.ErrNotExist) {
		return l.lose(si, s, "the file is missing")
	}
	if err != nil {
		return errFiles(err)
	}
	sound, bad := l.sift(si, s, raw)
	if len(bad) == 0 {
		return nil
	}
	why := strings.Join(bad[:min(len(bad), 8)], "; ")
	l.logger.Error("damage in the journal", "segment", number, "what", why)
	if s.aead == nil {
		return l.lose(si, s, why)
	}
	if err := l.putBack(si, s, sound, rewriting{why: why}); err != nil {
		l.swap(si, s, opsOnly(sound))
		l.problem(fmt.Sprintf("journal segment %d: %s", number, why))
		return err
	}
	l.journal.boundAside()
	l.problemGone(fmt.Sprintf("journal segment %d: %s", number, why))
	l.note(fmt.Sprintf("journal segment %d: %s; set aside", number, why))
	return nil
}

// opsOnly leaves out the frames the index does not have.
func opsOnly(frames []sifted) (out []sifted) {
	for _, f := range frames {
		if f.body[0] == frameOps || f.body[0] == frameSalvage {
			out = append(out, f)
		}
	}
	return out
}

// lose takes a segment out of which nothing can be read: without file or key.
func (l *Log) lose(si uint32, s *segment, why string) error {
	lost := *s
	if _, err := l.journal.fs.Stat(s.path); errors.Is(err, fs.ErrNotExist) {
		lost.gone = true
	}
	lost.aead = nil
	// What was known of the logs comes first into the journal: no rewritten segment
	// will say it.
	gone := lost
	gone.gone = true
	l.swap(si, &gone, nil)
	l.noteSalvaged(s.number, nil)
	err := l.writeHeads()
	if err == nil {
		err = l.journal.forget(&lost, why, l.clk.Now().Unix())
	}
	line := fmt.Sprintf("journal segment %d: %s", s.number, why)
	if err != nil {
		l.problem(line)
		return err
	}
	l.problemGone(line)
	l.note(line)
	return nil
}

// writeHeads writes down how far every log was held, when something is lost.
func (l *Log) writeHeads() error {
	if len(l.allLosses()) == 0 {
		return nil
	}
	body := l.headsRecord()
	if body == nil {
		return nil
	}
	if _, _, err := l.journal.append(body); err != nil {
		return err
	}
	return l.journal.flush()
}

// mend sets aside the suspects, keeps what only the views have, and brings views and
// own log in line. It runs in the writer and reports whether anything changed.
func (l *Log) mend(segments []uint64) (changed bool, err error) {
	own := l.Own()
	before := l.headOf(own).Seq
	epoch, _ := l.frameEpoch()
	for _, n := range segments {
		if err := l.setAside(n); err != nil {
			l.stopFor(err)
			l.logger.Error("damage could not be set aside", "segment", n, "err", err)
		}
	}
	l.settleLogs()
	now, _ := l.frameEpoch()
	if changed = now != epoch; !changed {
		return false, nil
	}
	// Its newest ops may be known to others: no number is given out twice.
	l.ownHurt = l.ownHurt || l.headOf(own).Seq < before
	if err := l.writable(); err != nil {
		return true, err // the views keep what they have
	}
	if err := l.goOn(); err != nil {
		return true, err
	}
	if err := l.salvage(); err != nil {
		return true, err
	}
	err = l.settleViews()
	l.wake()
	return true, err
}

// goOn opens a new own log when the old one was hit and the disk had no room for a new
// one then. Nothing own is written before it has.
func (l *Log) goOn() error {
	if !l.ownHurt {
		return nil
	}
	return l.bear()
}

// tend looks after the journal beside the writer until the log is closed: suspects
// and salvaged ops that are back.
func (l *Log) tend() {
	changed, stop := l.Watch()
	defer stop()
	for {
		select {
		case <-l.quit:
			return
		case <-l.tendNow:
		case <-changed:
		}
		l.tendOnce()
	}
}

// tendOnce does what waits. Faults are in the log; the next look tries again.
func (l *Log) tendOnce() {
	if segments := l.takeSuspects(); len(segments) > 0 {
		err := l.exclusive(func() error { _, err := l.mend(segments); return err })
		l.logFault("mending the journal", err)
	}
	if segments := l.salvageDone(); len(segments) > 0 {
		err := l.exclusive(func() error {
			if err := l.writable(); err != nil {
				return err
			}
			for _, n := range segments {
				if err := l.rewriteSegment(n, rewriting{}); err != nil {
					return err
				}
			}
			return l.settleViews()
		})
		l.logFault("dropping salvaged ops that are held again", err)
	}
}

func (l *Log) logFault(what string, err error) {
	if err != nil && fault.Of(err).Key != "fault.oplog.closed" {
		l.logger.Warn("upkeep of the journal", "what", what, "err", err)
		l.stopFor(err)
	}
}

// exclusive runs fn in the writer, alone.
func (l *Log) exclusive(fn func() error) error {
	return l.submit(context.Background(), &job{answer: make(chan error, 1), exclusive: fn})
}

// note remembers something that was mended, for reports; the oldest is forgotten.
func (l *Log) note(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, what)
	l.noted++
	if n := len(l.notes) - maxProblems; n > 0 {
		l.notes = l.notes[n:]
	}
	l.logger.Warn("journal mended", "what", what)
}

// notesSince are the notes after the first n of this run, as far as they are kept.
func (l *Log) notesSince(n uint64) []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	fresh := min(l.noted-n, uint64(len(l.notes)))
	return slices.Clone(l.notes[uint64(len(l.notes))-fresh:])
}

// problemGone takes a problem back.
func (l *Log) problemGone(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, p := range l.problems {
		if p == what {
			l.problems = append(l.problems[:i:i], l.problems[i+1:]...)
			return
		}
	}
}
