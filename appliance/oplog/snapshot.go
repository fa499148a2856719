package oplog

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
)

// Snapshot says what a copy of the journal folder has to hold to be a journal: the
// flushed part of every segment, and the keys that open exactly these. Segments only
// grow, so a copier may take its time: the first Size bytes stay what they are while
// the journal is pinned.
type Snapshot struct {
	Segments []SegmentFile
	Keys     []byte // content of each of KeyFiles, sealed under the storage key
	Heads    []Head // how far each log is held
	Ops      uint64
}

// SegmentFile is one segment's name in the journal folder and how much of it counts.
type SegmentFile struct {
	Name string
	Size int64
}

// KeyFiles are the names under which the keys lie in the journal folder.
func KeyFiles() []string { return []string{keysFile, keysCopy} }

// Snapshot takes one between two groups, so that it never holds half of one. It works
// on a read-only journal too. Faults: "fault.oplog.keys" when no copy of the keys can
// be read, "fault.oplog.cancelled", "fault.oplog.closed".
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
	for _, seg := range j.segs {
		size := seg.size
		if seg == j.cur {
			size = j.flushed
		}
		s.Segments = append(s.Segments, SegmentFile{Name: filepath.Base(seg.path), Size: size})
	}
	if len(j.segs) > 0 {
		var err error
		if s.Keys, err = j.savedKeys(); err != nil {
			return Snapshot{}, err
		}
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

// savedKeys is the content of the first key file that opens.
func (j *journal) savedKeys() ([]byte, error) {
	var errs []error
	for _, name := range KeyFiles() {
		path := filepath.Join(j.dir, name)
		ring, err := j.readKeys(path)
		if err == nil && ring.Generation == j.ring.Generation {
			return files.Read(j.fs, path, maxKeys)
		}
		errs = append(errs, err)
	}
	return nil, fault.New(fault.Internal, "fault.oplog.keys").Wrap(errors.Join(errs...))
}

// Pin keeps every segment as it is until release is called: nothing may rewrite or
// remove one meanwhile (see Pinned). Appending goes on.
func (l *Log) Pin() (release func()) {
	l.pins.Add(1)
	var once bool
	return func() {
		if !once {
			once = true
			l.pins.Add(-1)
		}
	}
}

// Pinned reports whether somebody copies the segments right now. Whoever wants to
// rewrite one asks first and, if it is so, comes back later.
func (l *Log) Pinned() bool { return l.pins.Load() > 0 }
