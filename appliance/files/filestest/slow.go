package filestest

import (
	"io/fs"
	"time"

	"github.com/waypost/waypost/appliance/files"
)

// Slow is a file system whose flushes take long, as on a worn SD card. Flushes of
// different files wait beside each other.
type Slow struct {
	files.FS
	flush time.Duration
}

// NewSlow is a file system over base in which a flush takes at least that long.
func NewSlow(base files.FS, flush time.Duration) *Slow { return &Slow{base, flush} }

// OpenFile is files.FS.
func (s *Slow) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	f, err := s.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return slowFile{f, s.flush}, nil
}

// SyncDir is files.FS.
func (s *Slow) SyncDir(name string) error {
	time.Sleep(s.flush)
	return s.FS.SyncDir(name)
}

type slowFile struct {
	files.File
	flush time.Duration
}

func (f slowFile) Sync() error {
	time.Sleep(f.flush)
	return f.File.Sync()
}
