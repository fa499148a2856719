package backup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
)

// RestoreOptions say what is brought back and where.
type RestoreOptions struct {
	Files      files.FS // nil = files.OS()
	File       string
	Dir        string // an empty data folder whose lock the caller holds
	Passphrase []byte
	// Room is how many bytes Dir's disk has left; nil: not asked.
	Room     func() (uint64, error)
	Progress func(Progress) // nil: nobody
}

// Restore checks the whole backup, then fills the folder with it and marks it as
// restored (see Mark). The folder is complete, or nothing in it starts: whatever ends
// this halfway, Settle puts right at the next start.
//
// Faults: Conflict "fault.backup.not_empty" when something is in the folder already,
// Full "fault.backup.no_room", Unavailable "fault.backup.cannot_restore" when the folder
// cannot be written, and those of Verify.
func Restore(ctx context.Context, o RestoreOptions) (Info, error) {
	if o.Files == nil {
		o.Files = files.OS()
	}
	if err := Settle(o.Files, o.Dir); err != nil {
		return Info{}, err
	}
	if err := o.empty(); err != nil {
		return Info{}, err
	}
	key, err := unlock(o.Files, o.File, o.Passphrase)
	if err != nil {
		return Info{}, err
	}
	found := map[string]bool{}
	var total int64
	check := verifier{fs: o.Files, key: key, step: Checking, progress: o.Progress, each: func(p piece) error {
		if p.Offset == 0 {
			if found[p.Path] || Left(p.Path) {
				return errPiece
			}
			found[p.Path] = true
		}
		total += int64(len(p.data))
		return nil
	}}
	info, err := check.file(ctx, o.File)
	if err != nil {
		return Info{}, err
	}
	if !slices.ContainsFunc(identity.SecretFiles(), func(s string) bool { return found[s] }) {
		return Info{}, damaged(0, errors.New("no secrets in it"))
	}
	if err := o.roomy(total); err != nil {
		return Info{}, err
	}
	return info, o.write(ctx, info, verifier{fs: o.Files, key: key, step: Restoring, progress: o.Progress})
}

// spare are the names an empty box makes before anybody started it.
var spare = []string{"lock", "control.sock", "web", "ports.json", "link.json", "peers.json", "place", "lost+found", identity.WipedFile()}

// empty refuses a folder in which something began.
func (o RestoreOptions) empty() error {
	entries, err := o.Files.ReadDir(o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return o.fault(err)
	}
	for _, e := range entries {
		if !slices.Contains(spare, e.Name()) && !strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(e.Name(), "ballast") {
			return fault.New(fault.Conflict, "fault.backup.not_empty", "Folder", o.Dir, "Name", e.Name())
		}
	}
	return nil
}

// restReserve is what has to stay free for the views and for working on.
const restReserve = 64 << 20

func (o RestoreOptions) roomy(total int64) error {
	if o.Room == nil {
		return nil
	}
	need := uint64(total) + restReserve
	if free, err := o.Room(); err == nil && free < need {
		return fault.New(fault.Full, "fault.backup.no_room", "Folder", o.Dir, "MB", need>>20+1)
	}
	return nil
}

func (o RestoreOptions) fault(err error) error {
	if f := (Options{File: o.Dir}).writeFault(err, 0); f != nil && fault.ClassOf(f) == fault.Full {
		return fault.New(fault.Full, "fault.backup.no_room", "Folder", o.Dir, "MB", uint64(restReserve>>20)).Wrap(err)
	}
	return fault.New(fault.Unavailable, "fault.backup.cannot_restore", "Folder", o.Dir).Wrap(err)
}

// write fills the stage, says that it is complete, and moves it into its place.
func (o RestoreOptions) write(ctx context.Context, info Info, v verifier) (err error) {
	stage := filepath.Join(o.Dir, stageName)
	if err := o.Files.MkdirAll(stage, 0o700); err != nil {
		return o.fault(err)
	}
	s := &stager{fs: o.Files, dir: stage, folders: map[string]bool{"": true}}
	defer func() {
		s.close()
		if err != nil && !s.done {
			_ = removeAll(o.Files, stage) // what cannot be removed now goes at the next start
		}
	}()
	v.each = func(p piece) error {
		if err := s.add(p); err != nil {
			return o.fault(err)
		}
		return nil
	}
	if _, err := v.file(ctx, o.File); err != nil {
		return err
	}
	mark := Mark{Made: info.Made, Ops: info.Ops, Node: info.Node.String(), NewLog: true, Closed: true}
	if err := mark.write(o.Files, stage); err != nil {
		return o.fault(err)
	}
	if err := s.sync(); err != nil {
		return o.fault(err)
	}
	if err := files.WriteAtomic(o.Files, filepath.Join(stage, completeName), nil, 0o600); err != nil {
		return o.fault(err)
	}
	s.done = true // from here on it happens, now or at the next start
	return Settle(o.Files, o.Dir)
}

// stager writes files into the stage.
type stager struct {
	fs      files.FS
	dir     string
	out     files.File
	folders map[string]bool // to be flushed, by path in the stage
	done    bool            // the stage is complete
}

func (s *stager) close() {
	if s.out != nil {
		_ = s.out.Close()
	}
}

// add writes one piece and flushes the file with its last.
func (s *stager) add(p piece) error {
	name := filepath.Join(s.dir, filepath.FromSlash(p.Path))
	if p.Offset == 0 {
		if folder := path.Dir(p.Path); !s.folders[folder] && folder != "." {
			if err := s.fs.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				return err
			}
			for ; folder != "."; folder = path.Dir(folder) {
				s.folders[folder] = true
			}
		}
		var err error
		if s.out, err = s.fs.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			s.out = nil
			return err
		}
	}
	if len(p.data) > 0 {
		if _, err := s.out.WriteAt(p.data, p.Offset); err != nil {
			return err
		}
	}
	if !p.Last {
		return nil
	}
	err := errors.Join(s.out.Sync(), s.out.Close())
	s.out = nil
	return err
}

// sync makes the names durable.
func (s *stager) sync() error {
	for folder := range s.folders {
		if err := s.fs.SyncDir(filepath.Join(s.dir, filepath.FromSlash(folder))); err != nil {
			return err
		}
	}
	return nil
}

// Settle finishes what a restore had begun to put into its place, and removes what one
// left that had not come so far. It must run before anything looks into the folder, under
// the folder's lock. Fault: Unavailable "fault.backup.cannot_restore".
func Settle(fsys files.FS, dir string) error {
	if err := settle(fsys, dir); err != nil {
		return fault.New(fault.Unavailable, "fault.backup.cannot_restore", "Folder", dir).Wrap(err)
	}
	return nil
}

func settle(fsys files.FS, dir string) error {
	stage := filepath.Join(dir, stageName)
	entries, err := fsys.ReadDir(stage)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Contains(names, completeName) {
		return removeAll(fsys, stage)
	}
	// The secrets make the folder a node, so they come when all else is there for good.
	late := func(name string) bool { return slices.Contains(identity.SecretFiles(), name) }
	if err := removeAll(fsys, filepath.Join(dir, identity.WipedFile())); err != nil {
		return err
	}
	for _, secrets := range []bool{false, true} {
		for _, name := range names {
			if name == completeName || late(name) != secrets {
				continue
			}
			if err := removeAll(fsys, filepath.Join(dir, name)); err != nil {
				return err
			}
			if err := fsys.Rename(filepath.Join(stage, name), filepath.Join(dir, name)); err != nil {
				return err
			}
		}
		if err := fsys.SyncDir(dir); err != nil {
			return err
		}
	}
	return removeAll(fsys, stage)
}

// removeAll removes a file or a folder with all in it; nothing there is fine.
func removeAll(fsys files.FS, name string) error {
	info, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := fsys.ReadDir(name)
		if err != nil {
			return err
		}
		// A stage that is being removed must not look complete for a moment.
		if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == completeName }) {
			if err := errors.Join(fsys.Remove(filepath.Join(name, completeName)), fsys.SyncDir(name)); err != nil {
				return err
			}
		}
		for _, e := range entries {
			if err := removeAll(fsys, filepath.Join(name, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
