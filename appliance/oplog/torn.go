package oplog

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
