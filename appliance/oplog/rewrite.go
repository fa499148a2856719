package oplog

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
)

// A segment is rewritten by a new file under a fresh key, complete and flushed
// beside it; then one save of the keys names the new key instead of the old one and
// says that the file is to take the other's place; then it does. Whatever moment a
// power cut picks, opening finds either the old ring, and removes the new file, or
// the new ring, and finishes the renames. The number stays, so that frames keep
// their order; the name of the new file is never used twice, so that a rewrite that
// failed half way can never be taken for another.

// damagedDir holds files that were found damaged, inside the journal folder.
const (
	damagedDir   = "damaged"
	newSuffix    = ".new"
	maxAsideByte = 64 << 20
	maxAside     = 64 // entries in the ring
)

// rewriting says what happens to what a segment holds.
type rewriting struct {
	// change returns what takes a batch's place: itself, another, or nil to drop
	// it. It is asked for evidence of forks too. nil keeps all.
	change func(*batch) (*batch, error)
	// salvaged says whether a salvaged op keeps its payload; nil says so of all. Those that
	// are held again go.
	salvaged func(*stored) bool
	// why is what was wrong with the old file, which is then kept aside with its
	// key. Empty: file and key are destroyed.
	why string
}

// rewrite replaces segments by what change leaves of them, each under a fresh key,
// and destroys the old keys. It also destroys what lies aside as damaged when
// keepAside is false, because that may hold what is to go. It runs in the writer,
// after the segment being written was finished. Faults: "fault.oplog.files" and
// "fault.oplog.disk_full", and then the segments that were not reached are as they
// were; "fault.oplog.read_only" when only a restart can finish it.
func (l *Log) rewrite(segments []uint64, change func(*batch) (*batch, error), keepAside bool) error {
	rw := rewriting{change: change}
	if keepAside {
		rw.why = "rewritten"
	}
	for _, number := range segments {
		if err := l.rewriteSegment(number, rw); err != nil {
			return err
		}
	}
	if !keepAside {
		if err := l.journal.destroyAside(); err != nil {
			return err
		}
	}
	return l.settleViews()
}

// stopped is why nothing may be written any more.
func (l *Log) stopped() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.readOnly != nil {
		return errReadOnly(l.readOnly)
	}
	return nil
}

// segmentNumbers lists the segments whose files are there, the one being written
// included.
func (l *Log) segmentNumbers() []uint64 {
	l.journal.mu.RLock()
	defer l.journal.mu.RUnlock()
	var out []uint64
	for _, s := range l.journal.segs {
		if !s.gone {
			out = append(out, s.number)
		}
	}
	return out
}

// place is where a segment is in the list.
func (j *journal) place(number uint64) (uint32, *segment, bool) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for i, s := range j.segs {
		if s.number == number {
			return uint32(i), s, true
		}
	}
	return 0, nil, false
}

// rewriteSegment does it for one segment whose frames are sound. Damage it meets is
// set aside first.
func (l *Log) rewriteSegment(number uint64, rw rewriting) error {
	si, s, ok := l.journal.place(number)
	if !ok || s.gone {
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
	if err != nil {
		return errFiles(err)
	}
	sound, bad := l.sift(si, s, raw)
	if len(bad) > 0 && rw.why == "" {
		if err := l.setAside(number); err != nil {
			return err
		}
		return l.rewriteSegment(number, rw)
	}
	return l.putBack(si, s, sound, rw)
}

// putBack writes sound frames, changed, into a new file and swaps it in.
func (l *Log) putBack(si uint32, s *segment, sound []sifted, rw rewriting) error {
	var frames []sifted
	var salvaged []Ref
	l.mu.Lock()
	l.epoch++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.epoch++
		l.mu.Unlock()
	}()
	fresh, err := l.journal.replace(s, rw.why, l.clk.Now().Unix(), func(add func([]byte) (framePos, error)) error {
		if body := l.headsRecord(); body != nil {
			if _, err := add(body); err != nil {
				return err
			}
		}
		for _, f := range sound {
			body, refs, err := l.changed(f.body, rw)
			if err != nil {
				return err
			}
			if body == nil {
				continue
			}
			pos, err := add(body)
			if err != nil {
				return err
			}
			salvaged = append(salvaged, refs...)
			if body[0] == frameOps || body[0] == frameSalvage {
				pos.seg = si
				runs, err := runsIn(body)
				if err != nil {
					return err
				}
				frames = append(frames, sifted{pos: pos, runs: runs})
			}
		}
		return nil
	})
	if err != nil {
		// Then the file on the disk may be the new one already, and what is read of
		// it with the old key is no sign of damage.
		if fault.ClassOf(err) == fault.ReadOnly {
			l.stop(err)
		}
		return err
	}
	l.swap(si, fresh, frames)
	l.noteSalvaged(s.number, salvaged)
	return nil
}

// changed is what a rewrite leaves of a frame; nil when nothing.
func (l *Log) changed(body []byte, rw rewriting) (out []byte, salvaged []Ref, err error) {
	switch body[0] {
	case frameHeads:
		return nil, nil, nil // the new file begins with a newer one
	case frameSalvage:
		out, salvaged, err = l.changedSalvage(body, rw.salvaged)
		return out, salvaged, err
	}
	if rw.change == nil {
		return body, nil, nil
	}
	switch body[0] {
	case frameOps:
		out = []byte{frameOps}
		err = eachBatch(body, func(raw []byte) error {
			raw, err := changedBatch(raw, rw.change)
			if err == nil && raw != nil {
				out = append(binary.AppendUvarint(out, uint64(len(raw))), raw...)
			}
			return err
		})
		if len(out) == 1 {
			out = nil
		}
	case frameEvidence:
		if len(body) < 33 {
			return nil, nil, errBatch
		}
		var raw []byte
		if raw, err = changedBatch(body[33:], rw.change); err == nil && raw != nil {
			out = append(bytes.Clone(body[:33]), raw...)
		}
	default:
		out = body
	}
	return out, nil, err
}

func changedBatch(raw []byte, change func(*batch) (*batch, error)) ([]byte, error) {
	b, err := parseBatch(raw)
	if err != nil {
		return nil, err
	}
	b.link()
	now, err := change(b)
	if err != nil || now == nil {
		return nil, err
	}
	if now == b {
		return raw, nil
	}
	return now.encode(nil), nil
}

// replace makes segment s anew from the frames that fill adds. Only the writer
// calls it, and never for the segment being written.
func (j *journal) replace(s *segment, why string, now int64, fill func(add func([]byte) (framePos, error)) error) (*segment, error) {
	var key [32]byte
	_, _ = rand.Read(key[:])
	name := fmt.Sprintf("%08d-%d%s", s.number, j.ring.Generation+1, newSuffix)
	fresh := &segment{number: s.number, path: s.path, aead: newFrameCipher(key), closed: s.closed}
	if err := j.writeNew(filepath.Join(j.dir, name), fresh, fill); err != nil {
		_ = j.fs.Remove(filepath.Join(j.dir, name))
		return nil, errWrite(err)
	}
	fresh.final = fresh.size
	old := j.ring
	r := replacing{Number: s.number, New: name}
	if why != "" {
		r.Aside = fmt.Sprintf("%08d-%d.wpj", s.number, j.ring.Generation+1)
		j.ring.Aside = j.remember(aside{File: r.Aside, Segment: s.number, Key: j.keyOf(s.number), What: why, At: now})
	}
	j.ring.Segments = slices.Clone(j.ring.Segments)
	j.ring.Segments = slices.DeleteFunc(j.ring.Segments, func(k segmentKey) bool { return k.Number == s.number })
	j.ring.Segments = append(j.ring.Segments, segmentKey{Number: s.number, Key: key, Size: fresh.size, Rewritten: true})
	j.ring.Replacing = append(slices.Clone(j.ring.Replacing), r)
	if err := j.saveKeys(); err != nil {
		// The new file stays: a copy of the keys may name it already.
		g := j.ring.Generation
		j.ring = old
		j.ring.Generation = g
		return nil, err
	}
	if err := j.finishReplacing(); err != nil {
		return nil, errReadOnly(err)
	}
	return fresh, nil
}

// keyOf is the key of a segment, nil when there is none.
func (j *journal) keyOf(number uint64) []byte {
	for _, k := range j.ring.Segments {
		if k.Number == number {
			return bytes.Clone(k.Key[:])
		}
	}
	return nil
}

// writeNew fills and flushes the new file of a segment.
func (j *journal) writeNew(path string, s *segment, fill func(add func([]byte) (framePos, error)) error) error {
	f, err := j.fs.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	header := newSegmentHeader(j.deployment, s.number)
	_, err = f.Write(header)
	s.size = int64(len(header))
	index := uint32(0)
	if err == nil {
		err = fill(func(body []byte) (framePos, error) {
			raw := sealFrame(s.aead, j.deployment, s.number, index, body)
			if len(raw)-frameHeader > maxFrame {
				return framePos{}, errInternal("frame over its limit")
			}
			pos := framePos{n: uint32(len(raw) - frameHeader), index: index, off: s.size}
			_, err := f.Write(raw)
			s.size += int64(len(raw))
			index++
			return pos, err
		})
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = j.fs.SyncDir(j.dir)
	}
	return err
}

// finishReplacing puts new files in their places, and removes new files that no
// ring names: their rewrite never happened.
func (j *journal) finishReplacing() error {
	for _, r := range j.ring.Replacing {
		from, to := filepath.Join(j.dir, r.New), segmentPath(j.dir, r.Number)
		if _, err := j.fs.Stat(from); errors.Is(err, fs.ErrNotExist) {
			continue // done before
		}
		if r.Aside != "" {
			if err := j.moveAside(to, r.Aside); err != nil {
				return errFiles(err)
			}
		}
		if err := j.fs.Rename(from, to); err != nil {
			return errFiles(err)
		}
		if err := j.fs.SyncDir(j.dir); err != nil {
			return errFiles(err)
		}
	}
	j.ring.Replacing = nil // as good as saved: it is found done again
	entries, err := j.fs.ReadDir(j.dir)
	if err != nil {
		return errFiles(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), newSuffix) {
			_ = j.fs.Remove(filepath.Join(j.dir, e.Name())) // tried again at the next start
		}
	}
	return nil
}
