package oplog

import "os"

// A disk writes sectors whole and in any order, and a flush that was cut may have
// written some of a frame's and not others: those read as zeros. So the end of the
// last run can look like a frame whose middle or beginning is damaged.
const sectorBytes = 512

// tornEnd reports whether the last stretch of the segment being written is an
// unfinished write rather than damage: it was cut short, or it is bad, nothing follows
// it, and a sector of it never came. Rot flips bits and does not make whole sectors
// zero, so a frame that was acknowledged and rotted is still found to be damaged: the
// encrypted bytes of a piece are zeros by chance once in 100,000 times.
func tornEnd(raw []byte, f found) bool {
	if f.torn {
		return true
	}
	if f.why == "" || f.end != int64(len(raw)) {
		return false
	}
	for from := f.off; from < f.end; {
		to := min(f.end, from-from%sectorBytes+sectorBytes)
		if allZero(raw[from:to]) {
			return true
		}
		from = to
	}
	return false
}

// confirm makes the last frame of the run before, be it a closing record, durable before anything is built on
// it: that run may have died between writing and flushing, or its flush may have
// failed, after which a system shows bytes the disk never got and flushes nothing when
// asked again. So they are written again, the same over the same. A disk that takes
// them no more can still be read.
func (l *Log) confirm(s *segment, from int64) {
	f, err := l.journal.fs.OpenFile(s.path, os.O_RDWR, 0)
	if err == nil {
		raw := make([]byte, s.size-from)
		if _, err = f.ReadAt(raw, from); err == nil {
			_, err = f.WriteAt(raw, from)
		}
		if err == nil {
			err = f.Sync()
		}
		_ = f.Close()
	}
	if err != nil {
		l.stop(errReadOnly(err))
	}
}
