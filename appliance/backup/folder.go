package backup

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/oplog"
)

// Names in a data folder that are about backups themselves.
const (
	stageName    = "restoring"   // what a restore has written so far
	completeName = "complete"    // in it: everything is there
	markName     = "restored"    // this folder came out of a backup
	lastName     = "backup.json" // when the last one was made
)

// left are the names a backup leaves out: what can be made again, what belongs to the
// running process, what would lie in the way on another machine. A pattern ending in a
// slash is a folder with all in it.
var left = []string{
	"views*/",              // folded again from the journal
	"lock", "control.sock", // of the running process
	"wiped",
	"ballast*", "journal/ballast", // room kept free
	"place",                    // says which machine and folder this is
	"emergency", "emergency.2", // what this box may do to itself was decided for this machine
	stageName + "/", markName, lastName,
	"*.part", "*.new", "*.bad", "*.log", "*.tmp",
}

// kept are the names a backup is known to take. Others are taken too: a file that
// nobody thought of here may be a record.
var kept = []string{
	"secrets", "secrets.2", "unlock", "unlock.2", "accounts", "accounts.2", "passkeys", "passkeys.2",
	"web/", "ports.json", "link.json", "peers.json", "journal/", "chunks/", "letterbox/", "drafts/", "bundles/",
}

// Left reports whether a backup leaves out the file at rel, a path in the data folder
// with slashes.
func Left(rel string) bool {
	return matches(left, rel) || slices.ContainsFunc(strings.Split(rel, "/"), func(s string) bool { return strings.HasPrefix(s, ".") })
}

// Known reports whether somebody has decided about the file at rel. A test holds real
// data folders against it, so that a new kind of file is noticed.
func Known(rel string) bool { return Left(rel) || matches(kept, rel) }

func matches(patterns []string, rel string) bool {
	top, _, deep := strings.Cut(rel, "/")
	for _, p := range patterns {
		if p == rel {
			return true
		}
		folder := strings.HasSuffix(p, "/")
		name := top
		if !folder {
			name = path.Base(rel)
			if deep && !strings.HasPrefix(p, "*") {
				continue // names are those of the folder itself
			}
		}
		if ok, _ := path.Match(strings.TrimSuffix(p, "/"), name); ok && (!folder || deep) {
			return true
		}
	}
	return false
}

// sanePath keeps a restore inside its folder.
func sanePath(p string) bool {
	return len(p) <= maxPath && fs.ValidPath(p) && p != "." && !strings.ContainsAny(p, "\\\x00:")
}

// item is one file of a backup.
type item struct {
	path string // with slashes
	size int64
	held []byte // its content, where it must be of one moment; nil = read from the folder
}

// heldMost is how much is kept in memory to be of one moment; larger files are read
// as they are when their turn comes.
const heldMost = 8 << 20

// collect lists what goes into a backup: the journal as the snapshot says, then every
// other file, small ones with their content. Secrets come last, so that whoever stops
// halfway has written what takes long.
func collect(fsys files.FS, dir string, journal oplog.Snapshot) ([]item, error) {
	var out []item
	taken := map[string]bool{}
	for _, s := range journal.Segments {
		p := path.Join("journal", s.Name)
		taken[p] = true
		out = append(out, item{path: p, size: s.Size})
	}
	var rest []item
	for _, name := range oplog.KeyFiles() {
		p := path.Join("journal", name)
		taken[p] = true
		if journal.Keys != nil {
			rest = append(rest, item{path: p, size: int64(len(journal.Keys)), held: journal.Keys})
		}
	}
	room := int64(heldMost)
	if err := walk(fsys, dir, "", func(rel string, size int64) error {
		if taken[rel] || Left(rel) || segmentName(rel) {
			return nil
		}
		it := item{path: rel, size: size}
		if !strings.HasPrefix(rel, "chunks/") && size <= room {
			b, err := files.Read(fsys, filepath.Join(dir, filepath.FromSlash(rel)), room)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // gone since
			}
			if err != nil {
				return err
			}
			if b == nil {
				b = []byte{}
			}
			it.held, it.size = b, int64(len(b))
			room -= it.size
		}
		rest = append(rest, it)
		return nil
	}); err != nil {
		return nil, err
	}
	slices.SortStableFunc(rest, func(a, b item) int {
		switch big := func(i item) bool { return i.held == nil }; {
		case big(a) == big(b):
			return strings.Compare(a.path, b.path)
		case big(a):
			return -1
		}
		return 1
	})
	return slices.Concat(out, rest), nil
}

// segmentName spots a segment that began after the snapshot: its ops are not in it.
func segmentName(rel string) bool {
	return path.Dir(rel) == "journal" && strings.HasSuffix(rel, ".wpj")
}

// walk calls fn for every regular file below dir. What vanishes meanwhile is left out.
func walk(fsys files.FS, dir, rel string, fn func(rel string, size int64) error) error {
	entries, err := fsys.ReadDir(filepath.Join(dir, filepath.FromSlash(rel)))
	if errors.Is(err, fs.ErrNotExist) && rel != "" {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := path.Join(rel, e.Name())
		if e.IsDir() {
			if !Left(p + "/x") {
				err = walk(fsys, dir, p, fn)
			}
		} else if e.Type().IsRegular() {
			var info fs.FileInfo
			info, err = e.Info()
			switch {
			case errors.Is(err, fs.ErrNotExist):
				err = nil
			case err == nil:
				err = fn(p, info.Size())
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
