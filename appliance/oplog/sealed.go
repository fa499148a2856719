package oplog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/waypost/waypost/appliance/files"
)

// CheckSealed looks at the journal files in dir without any key: segment headers
// and the checksums of frames, which is all that can be seen from outside. It
// returns what is wrong, nothing for a sound journal. The unfinished end of the
// last segment is not wrong: it is what a power cut leaves, and was never
// acknowledged. Nothing is changed, and a node may be running. Faults: as Open for
// files that cannot be read; a folder without a journal has no problems.
func CheckSealed(dir string) ([]string, error) {
	numbers, err := listSegments(files.OS(), dir)
	if err != nil {
		return nil, err
	}
	problems := []string{}
	var deployment []byte
	for i, number := range numbers {
		raw, err := readSegmentFile(files.OS(), segmentPath(dir, number))
		if errors.Is(err, os.ErrNotExist) {
			continue // a running node put it away since it was listed
		}
		if err != nil {
			return nil, errFiles(err)
		}
		last := i == len(numbers)-1
		if len(raw) <= segmentHeader && last {
			continue // a start that was cut
		}
		if deployment == nil && len(raw) >= segmentHeader {
			deployment = raw[10:26]
		}
		problems = append(problems, sealedSegment(raw, deployment, number, last)...)
	}
	return problems, nil
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
