package oplog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost/waypost/appliance/files"
)

// CheckSealed is InspectSealed without the notes.
func CheckSealed(dir string) ([]string, error) {
	problems, _, err := InspectSealed(dir)
	return problems, err
}

// InspectSealed looks at the journal files in dir without any key: segment headers,
// the checksums of frames and of key files, and whether what the key files list is
// there; that is all that can be seen from outside. problems is what is wrong, empty
// for a sound journal; notes is what is not but worth knowing. The unfinished end of
// the last segment is not wrong: it is what a power cut leaves, and was never
// acknowledged. Nothing is changed, and a node may be running. Faults: as Open for
// files that cannot be read; a folder without a journal has no problems.
func InspectSealed(dir string) (problems, notes []string, err error) {
	numbers, err := listSegments(files.OS(), dir)
	if err != nil {
		return nil, nil, err
	}
	problems = []string{}
	listed, keyProblems, keyNotes := sealedKeys(dir, len(numbers) > 0)
	problems, notes = append(problems, keyProblems...), append(notes, keyNotes...)
	var deployment []byte
	for i, number := range numbers {
		raw, err := readSegmentFile(files.OS(), segmentPath(dir, number))
		if errors.Is(err, os.ErrNotExist) {
			continue // a running node put it away since it was listed
		}
		if err != nil {
			return nil, nil, errFiles(err)
		}
		last := i == len(numbers)-1
		if size := listed[number]; size > 0 && size != int64(len(raw)) {
			problems = append(problems, fmt.Sprintf("journal segment %d: its size is %d bytes instead of %d", number, len(raw), size))
		}
		if len(raw) <= segmentHeader && last {
			continue // a start that was cut
		}
		if deployment == nil && len(raw) >= segmentHeader {
			deployment = raw[10:26]
		}
		problems = append(problems, sealedSegment(raw, deployment, number, last && listed[number] == 0)...)
	}
	for number := range listed {
		if !slices.Contains(numbers, number) {
			problems = append(problems, fmt.Sprintf("journal segment %d: the file is missing", number))
		}
	}
	notes = append(notes, strays(files.OS(), dir)...)
	slices.Sort(problems)
	return problems, notes, nil
}

// sealedKeys compares the copies of the key file; listed is what the newest says of
// the segments. A node may be writing them: what differs is looked at again.
func sealedKeys(dir string, wanted bool) (listed map[uint64]int64, problems, notes []string) {
	for range 3 {
		if listed, problems, notes = lookAtKeys(dir, wanted); len(problems)+len(notes) == 0 {
			break
		}
	}
	return listed, problems, notes
}

func lookAtKeys(dir string, wanted bool) (listed map[uint64]int64, problems, notes []string) {
	say := func(name, what string) { problems = append(problems, fmt.Sprintf("key file %s is %s", name, what)) }
	found := map[string]outside{}
	var best outside
	for _, name := range keyFiles() {
		raw, err := files.Read(files.OS(), filepath.Join(dir, name), maxKeys)
		if errors.Is(err, os.ErrNotExist) {
			if wanted {
				say(name, "missing")
			}
			continue
		}
		if err == nil && bytes.HasPrefix(raw, []byte(keysMagic1)) {
			continue // of an older program: the next start writes it anew
		}
		o, oerr := readOutside(raw)
		if err != nil || oerr != nil {
			say(name, "damaged")
			continue
		}
		found[name] = o
		if o.generation > best.generation {
			best = o
		}
	}
	newer := false // a copy that is written later is the newest
	names := keyFiles()
	for i := len(names) - 1; i >= 0; i-- {
		switch o, ok := found[names[i]]; {
		case !ok:
		case o.generation == best.generation:
			newer = true
		case newer || o.generation+1 < best.generation:
			say(names[i], "old")
		default:
			notes = append(notes, fmt.Sprintf("key file %s is one behind, as a power cut leaves it", names[i]))
		}
	}
	listed = map[uint64]int64{}
	for _, s := range best.segments {
		listed[s.number] = s.size
	}
	return listed, problems, notes
}

// strays lists what does not belong into a journal folder, and what was set aside.
func strays(fsys files.FS, dir string) (notes []string) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		name := e.Name()
		number, perr := strconv.ParseUint(strings.TrimSuffix(name, ".wpj"), 10, 63)
		switch {
		case perr == nil && segmentPath("", number) == name, slices.Contains(keyFiles(), name), name == ballastName:
		case strings.HasSuffix(name, newSuffix): // being written, or left by a power cut and removed at the next start
		case name == damagedDir:
			if n, err := fsys.ReadDir(filepath.Join(dir, name)); err == nil && len(n) > 0 {
				notes = append(notes, fmt.Sprintf("%d damaged files are kept in journal/%s", len(n), damagedDir))
			}
		default:
			notes = append(notes, fmt.Sprintf("a file that is none of ours lies in the journal folder: %q", name))
		}
	}
	return notes
}

// sealedSegment checks one file; deployment is what the first one says it is.
func sealedSegment(raw, deployment []byte, number uint64, last bool) (problems []string) {
	say := func(format string, args ...any) {
		if len(problems) < maxProblems {
			problems = append(problems, fmt.Sprintf("journal segment %d: ", number)+fmt.Sprintf(format, args...))
		}
	}
	if len(deployment) != 16 {
		say("header is damaged")
		return problems
	}
	if err := checkSegmentHeader(raw, [16]byte(deployment), number); err != nil {
		say("%v", err)
	}
	if len(raw) >= 10 && binary.BigEndian.Uint16(raw[8:]) > segmentFormat {
		return problems // its frames may look different
	}
	_ = walkFrames(raw, func(f found) error { // never fails: the function does not
		if f.why != "" && !(last && tornEnd(raw, f)) {
			say("%s at byte %d", f.why, f.off)
		}
		return nil
	})
	return slices.Clip(problems)
}
