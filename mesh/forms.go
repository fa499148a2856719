package mesh

import (
	"errors"

	"github.com/waypost/waypost/appliance/oplog"
)

// The upper bits of a WANT's ops say which spellings of a batch the asking node reads
// beside the plain one (oplog.Form). A node that does not know them takes the number for a
// large one and answers in the plain spelling.
const (
	wantPacked = 1 << 15
	wantBare   = 1 << 14 // also without tags: the keys are here
	wantOps    = wantBare - 1
)

// packer is Records that spell batches in other ways, and read them in Merge and Rejoin.
type packer interface {
	RangeIn(form oplog.Form, log oplog.LogID, after uint64, maxOps, maxBytes int) (batch []byte, last uint64, err error)
	Opens() bool
}

// forms are the bits for a question on l. Called with the lock held.
func (m *Mesh) forms(l *link) uint16 {
	p, ok := m.records.(packer)
	switch {
	case !ok:
		return 0
	case l.tags || !p.Opens():
		return wantPacked
	}
	return wantPacked | wantBare
}

// rangeFor reads what was asked for in the best spelling the asking node reads.
func (m *Mesh) rangeFor(w want, a ask, ops, bytes int) (batch []byte, last uint64, err error) {
	p, ok := m.records.(packer)
	switch {
	case !ok || w.maxOps&wantPacked == 0:
		return m.records.Range(a.log, a.after, ops, bytes)
	case w.maxOps&wantBare == 0:
		return p.RangeIn(oplog.FormPacked, a.log, a.after, ops, bytes)
	}
	return p.RangeIn(oplog.FormBare, a.log, a.after, ops, bytes)
}

// untagged remembers that l has ops under a key that is not here: it is asked for them
// with their tags from now on, and at once, because it did nothing wrong.
func (m *Mesh) untagged(l *link, err error) {
	if errors.Is(err, oplog.ErrNeedsTags) {
		m.mu.Lock()
		defer m.mu.Unlock()
		l.again = !l.tags
		l.tags = true
	}
}
