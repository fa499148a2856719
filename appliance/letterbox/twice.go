package letterbox

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"os"
	"syscall"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
)

// writeOnly opens a file that is there.
const writeOnly = os.O_WRONLY

func x25519() ecdh.Curve { return ecdh.X25519() }

// writeTwice replaces both copies of a public file, the first before the second.
func writeTwice(fsys files.FS, path string, content []byte) error {
	for _, name := range []string{path, path + ".2"} {
		if err := files.WriteAtomic(fsys, name, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// readTwice gives the first copy that is sound; whole tells that both are, and alike. The
// error is the first copy's.
func readTwice(fsys files.FS, path string, limit int64, sound func([]byte) error) (found []byte, whole bool, err error) {
	var first error
	good := 0
	for _, name := range []string{path, path + ".2"} {
		b, err := files.Read(fsys, name, limit)
		if err == nil {
			err = sound(b)
		}
		switch {
		case err != nil && first == nil:
			first = err
		case err == nil && found == nil:
			found = b
			good++
		case err == nil && bytes.Equal(found, b):
			good++
		}
	}
	if found == nil {
		return nil, false, first
	}
	return found, good == 2, nil
}

// cannotWrite is the fault of a disk that takes no more; nil stays nil.
func cannotWrite(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New(fault.Full, "fault.letterbox.disk_full").Wrap(err)
	}
	return fault.New(fault.Unavailable, "fault.letterbox.cannot_write").Wrap(err)
}
