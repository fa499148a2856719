package oplog

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
)

// moveAside puts a file into the folder of damaged ones. A file that is gone
// already was moved before.
func (j *journal) moveAside(path, name string) error {
	dir := filepath.Join(j.dir, damagedDir)
	if err := j.fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if _, err := j.fs.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil // moved before
	}
	if err := j.fs.Rename(path, filepath.Join(dir, name)); err != nil {
		return err
	}
	if err := j.fs.SyncDir(dir); err != nil {
		return err
	}
	return j.fs.SyncDir(j.dir)
}

// remember adds an entry to the list of what was set aside. The oldest entries end,
// and with them their keys, when there are too many.
func (j *journal) remember(a aside) []aside {
	list := append(slices.Clone(j.ring.Aside), a)
	if n := len(list) - maxAside; n > 0 {
		list = list[n:]
	}
	return list
}

// boundAside keeps the newest files aside up to maxAsideByte, one at least, and of older ones and
// of files nobody knows nothing. What cannot be removed is tried again later.
func (j *journal) boundAside() {
	dir := filepath.Join(j.dir, damagedDir)
	entries, err := j.fs.ReadDir(dir)
	if err != nil {
		return
	}
	left := int64(maxAsideByte)
	keep := map[string]bool{}
	j.ring.Aside = slices.Clone(j.ring.Aside)
	for i := len(j.ring.Aside) - 1; i >= 0; i-- {
		a := &j.ring.Aside[i]
		if a.File == "" {
			continue
		}
		st, err := j.fs.Stat(filepath.Join(dir, a.File))
		if err == nil {
			left -= st.Size()
		}
		if err != nil || (left < 0 && len(keep) > 0) { // the newest stays, whatever its size
			a.File, a.Key = "", nil // saved with the next change of the keys
			continue
		}
		keep[a.File] = true
	}
	for _, e := range entries {
		if !keep[e.Name()] {
			_ = j.fs.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// destroyAside removes all files aside and their keys, for good. What was found
// damaged stays known.
func (j *journal) destroyAside() error {
	old := j.ring.Aside
	has := false
	j.ring.Aside = slices.Clone(old)
	for i := range j.ring.Aside {
		a := &j.ring.Aside[i]
		has = has || len(a.Key) > 0 || a.File != ""
		a.File, a.Key = "", nil
	}
	if has {
		if err := j.saveKeys(); err != nil {
			j.ring.Aside = old
			return err
		}
	}
	j.boundAside()
	return nil
}

// asideCount is how many damaged files are kept.
func (j *journal) asideCount() int {
	entries, err := j.fs.ReadDir(filepath.Join(j.dir, damagedDir))
	if err != nil {
		return 0
	}
	return len(entries)
}

// reclaim takes back the key of a segment that was missing and is there again.
func (j *journal) reclaim(number uint64) {
	if j.keyOf(number) != nil {
		return
	}
	i := slices.IndexFunc(j.ring.Aside, func(a aside) bool {
		return a.Segment == number && a.File == "" && len(a.Key) == 32
	})
	if i < 0 {
		return
	}
	a := j.ring.Aside[i]
	j.ring.Aside = slices.Delete(slices.Clone(j.ring.Aside), i, i+1)
	j.ring.Segments = append(j.ring.Segments, segmentKey{Number: number, Key: [32]byte(a.Key)})
}

// forget takes a segment without a file, or without a key, out of the ring. Its key is
// kept in case the file turns up again; a file there is goes aside.
func (j *journal) forget(s *segment, why string, now int64) error {
	old := j.ring
	a := aside{Segment: s.number, Key: j.keyOf(s.number), What: why, At: now}
	if !s.gone {
		a.File = filepath.Base(s.path)
	}
	j.ring.Aside = j.remember(a)
	j.ring.Segments = slices.DeleteFunc(slices.Clone(j.ring.Segments), func(k segmentKey) bool { return k.Number == s.number })
	j.ring.Next = max(j.ring.Next, s.number+1)
	if err := j.saveKeys(); err != nil {
		g := j.ring.Generation
		j.ring = old
		j.ring.Generation = g
		return err
	}
	if !s.gone {
		return errFilesOrNil(j.moveAside(s.path, a.File))
	}
	return nil
}
