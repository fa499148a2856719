package backup

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
)

// Mark lies in a folder that came out of a backup. Whoever opens the folder gives the
// journal a new own log while NewLog is set: the box the backup is of may have gone on
// after it was made. While Closed is set nobody reads people here, because some of them
// may have been erased since.
type Mark struct {
	Made   time.Time `json:"made"` // of the backup
	Ops    uint64    `json:"ops"`  // that were in it
	Node   string    `json:"node"`
	NewLog bool      `json:"new_log"`
	Closed bool      `json:"closed"`
}

const maxSmall = 64 << 10

// ReadMark reads the mark of a data folder; false where there is none. A mark that
// cannot be understood is the strictest one.
func ReadMark(fsys files.FS, dir string) (Mark, bool) {
	raw, err := files.Read(fsys, filepath.Join(dir, markName), maxSmall)
	if errors.Is(err, fs.ErrNotExist) {
		return Mark{}, false
	}
	var m Mark
	if err != nil || json.Unmarshal(raw, &m) != nil {
		return Mark{NewLog: true, Closed: true}, true
	}
	return m, true
}

// Save replaces the mark of a data folder, flushed; one that asks for nothing any more
// is removed. Fault: Unavailable "fault.node.cannot_write".
func (m Mark) Save(fsys files.FS, dir string) error {
	var err error
	if m.NewLog || m.Closed {
		err = m.write(fsys, dir)
	} else if err = fsys.Remove(filepath.Join(dir, markName)); errors.Is(err, fs.ErrNotExist) {
		err = nil
	} else if err == nil {
		err = fsys.SyncDir(dir)
	}
	if err != nil {
		return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", filepath.Join(dir, markName)).Wrap(err)
	}
	return nil
}

func (m Mark) write(fsys files.FS, dir string) error { return writeJSON(fsys, dir, markName, m) }

// Last says when a node's last backup was made and what it held. It lies in the data
// folder and only counts backups that were read back.
type Last struct {
	Made  time.Time `json:"made"`
	Ops   uint64    `json:"ops"`
	Bytes int64     `json:"bytes"`
}

// ReadLast reads it; false where no backup was made yet.
func ReadLast(fsys files.FS, dir string) (Last, bool) {
	var l Last
	raw, err := files.Read(fsys, filepath.Join(dir, lastName), maxSmall)
	if err != nil || json.Unmarshal(raw, &l) != nil {
		return Last{}, false
	}
	return l, true
}

// Save replaces it. Fault: Unavailable "fault.node.cannot_write".
func (l Last) Save(fsys files.FS, dir string) error {
	if err := writeJSON(fsys, dir, lastName, l); err != nil {
		return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", filepath.Join(dir, lastName)).Wrap(err)
	}
	return nil
}

func writeJSON(fsys files.FS, dir, name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return files.WriteAtomic(fsys, filepath.Join(dir, name), append(raw, '\n'), 0o600)
}
