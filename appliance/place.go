package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/waypost/waypost/appliance/fault"
)

// A folder that was copied and started beside its original would give the numbers of
// its log out a second time. So the folder remembers where it is: which file on which
// disk, when that file was made, in which machine. A copy has another file, a card in
// another board another machine. Whoever finds itself elsewhere goes on under a new
// log, before its first record; a folder that was only moved does so as well, which
// costs nothing. What no file shows (a card copied bit by bit for an equal board) is
// found at the first contact of the two.
//
// place is what the file "place" holds.
type place struct {
	Folder  uint64 `json:"folder,omitempty"`  // inode of the data folder
	File    uint64 `json:"file,omitempty"`    // and of the file itself
	Made    int64  `json:"made,omitempty"`    // when that was made, in nanoseconds
	Machine string `json:"machine,omitempty"` // hash of what tells one machine from another
}

const placeName = "place"

// moved reports whether the folder is somewhere else than when it was last open. settle
// writes down where it is now; until then it stays moved. A folder without the file is
// taken as it is: an older program made it.
func moved(dir string) (elsewhere bool, settle func() error) {
	elsewhere, settle, err := movedOrNot(dir)
	if err != nil { // a disk that cannot even do this is told of by those who need it
		return false, func() error { return err }
	}
	return elsewhere, settle
}

func movedOrNot(dir string) (elsewhere bool, settle func() error, err error) {
	path := filepath.Join(dir, placeName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // in the data folder
	if err != nil {
		return false, nil, cannotWrite(path, err)
	}
	defer f.Close()
	before, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if err != nil {
		return false, nil, cannotRead(path, err)
	}
	here, err := placeOf(dir, f)
	if err != nil {
		return false, nil, cannotRead(path, err)
	}
	now, err := json.Marshal(here)
	if err != nil {
		return false, nil, err
	}
	same := bytes.Equal(before, now)
	settle = func() error {
		if same {
			return nil
		}
		// In its place and not by a new file, which would have another inode. Torn, it is
		// another place: one more new log.
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0o600) //nolint:gosec // as above
		if err != nil {
			return cannotWrite(path, err)
		}
		_, err = f.Write(now)
		if err == nil {
			err = f.Sync()
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return cannotWrite(path, err)
		}
		return nil
	}
	return len(before) > 0 && !same, settle, nil
}

func cannotWrite(path string, err error) error {
	return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", path).Wrap(err)
}

// machineFiles are what machines of our kind tell apart that an ordinary user may
// read: the serial number of a board, that of its card, the installation.
var machineFiles = []string{"/proc/device-tree/serial-number", "/sys/block/mmcblk0/device/cid", "/etc/machine-id"}

// machine is a hash of what they say; the serial numbers themselves stay out of files.
func machine() string {
	h := sha256.New()
	h.Write([]byte("waypost/machine/1"))
	for _, name := range machineFiles {
		b, _ := os.ReadFile(name) //nolint:gosec // fixed names
		h.Write(append(bytes.TrimSpace(b), 0))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
