package oplog

import (
	"context"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"slices"
)

// Snapshot says what a copy of the journal folder has to hold to be a journal: the
// flushed part of every segment, and the keys that open exactly these. Segments only
// grow unless they are rewritten, so a copier may take its time, and asks for another
// snapshot at the end: where that Keeps the first one, what was copied is good.
type Snapshot struct {
	Segments []SegmentFile
	Keys     []byte // content of each of KeyFiles, sealed under the storage key
	Heads    []Head // how far each log is held
	Ops      uint64

	aside [8]byte // tells which damaged files are kept, with their keys
}

// SegmentFile is one segment's name in the journal folder and how much of it counts.
type SegmentFile struct {
	Name string
	Size int64
	ID   [8]byte // another one after a rewrite; says nothing about the key
}

// Keeps reports whether everything a copier of the earlier snapshot read still counts:
// no segment was rewritten or removed, no damaged file was destroyed.
func (s Snapshot) Keeps(earlier Snapshot) bool {
	for _, was := range earlier.Segments {
		if !slices.ContainsFunc(s.Segments, func(f SegmentFile) bool { return f.Name == was.Name && f.ID == was.ID && f.Size >= was.Size }) {
			return false
		}
	}
	return s.aside == earlier.aside
}

// KeyFiles are the names under which the keys lie in the journal folder.
func KeyFiles() []string { return keyFiles() }

// Snapshot takes one between two groups, so that it never holds half of one. It works
// on a read-only journal too. Faults: "fault.oplog.keys" when no copy of the keys can
// be read, "fault.oplog.files" while a rewrite waits for a restart, "fault.oplog.cancelled", "fault.oplog.closed".
func (l *Log) Snapshot(ctx context.Context) (s Snapshot, err error) {
	err = l.submit(ctx, &job{answer: make(chan error, 1), exclusive: func() error {
		var err error
		s, err = l.snapshotFiles()
		return err
	}})
	return s, err
}

// snapshotFiles runs in the writer.
func (l *Log) snapshotFiles() (Snapshot, error) {
	var s Snapshot
	j := l.journal
	for _, r := range j.ring.Replacing {
		if _, err := j.fs.Stat(filepath.Join(j.dir, r.New)); err == nil {
			return s, errFiles(errors.New("a rewrite waits for a restart"))
		}
	}
	ids := map[uint64][8]byte{}
	for _, k := range j.ring.Segments {
		sum := sha256.Sum256(append([]byte("waypost/segment-id/1"), k.Key[:]...))
		ids[k.Number] = [8]byte(sum[:])
	}
	j.mu.RLock()
	for _, seg := range j.segs {
		if seg.gone {
			continue
		}
		size := seg.size
		if seg == j.cur {
			size = j.flushed
		}
		s.Segments = append(s.Segments, SegmentFile{Name: filepath.Base(seg.path), Size: size, ID: ids[seg.number]})
	}
	j.mu.RUnlock()
	aside, err := encMode.Marshal(j.ring.Aside)
	if err != nil {
		return Snapshot{}, errInternal("key ring")
	}
	sum := sha256.Sum256(aside)
	s.aside = [8]byte(sum[:])
	copies, best := j.readCopies()
	switch {
	case best != nil && best.ring.Generation == j.ring.Generation:
		s.Keys = best.raw
	case len(s.Segments) > 0:
		var errs []error
		for _, c := range copies {
			errs = append(errs, c.err)
		}
		return Snapshot{}, errKeys("no copy of the segment keys can be read: " + errorText(errors.Join(errs...)))
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, c := range l.chains {
		s.Ops += c.covered
		if c.head.Seq > 0 {
			s.Heads = append(s.Heads, c.head)
		}
	}
	return s, nil
}

func errorText(err error) string {
	if err == nil {
		return "they are old"
	}
	return err.Error()
}
