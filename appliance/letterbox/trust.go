package letterbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"path/filepath"

	"github.com/waypost/waypost/appliance/files"
)

const (
	trustName  = "trust"
	trustMagic = "waypost/trust/1"
	maxTrust   = 1 << 20
	maxCert    = 1 << 10
)

var errTrust = errors.New("letterbox: trust file is damaged")

// Trust is what a locked box checks card signatures with: public keys and certificates,
// no names. Whoever reads it verifies the certificates against the root.
type Trust struct {
	Root  [32]byte
	Certs [][]byte // of nodes whose words were compared and that nobody shut out
}

// Marshal is the trust file.
func (t Trust) Marshal() []byte {
	b := append([]byte(trustMagic), t.Root[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(t.Certs))) //nolint:gosec // a node number has 16 bits
	for _, c := range t.Certs {
		b = binary.BigEndian.AppendUint16(b, uint16(len(c))) //nolint:gosec // bounded by identity
		b = append(b, c...)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// ParseTrust reads a trust file, which may be anything.
func ParseTrust(b []byte) (t Trust, err error) {
	head := len(trustMagic) + len(t.Root) + 2
	if len(b) < head+sha256.Size || len(b) > maxTrust || !bytes.HasPrefix(b, []byte(trustMagic)) {
		return Trust{}, errTrust
	}
	copy(t.Root[:], b[len(trustMagic):])
	rest := b[head : len(b)-sha256.Size]
	for range binary.BigEndian.Uint16(b[head-2:]) {
		if len(rest) < 2 {
			return Trust{}, errTrust
		}
		n := int(binary.BigEndian.Uint16(rest))
		if rest = rest[2:]; n > maxCert || n > len(rest) {
			return Trust{}, errTrust
		}
		t.Certs = append(t.Certs, bytes.Clone(rest[:n]))
		rest = rest[n:]
	}
	if !bytes.Equal(t.Marshal(), b) {
		return Trust{}, errTrust
	}
	return t, nil
}

// WriteTrust replaces the trust file where it says something else. Faults as Ready.
func WriteTrust(fsys files.FS, data string, t Trust) error {
	dir := filepath.Join(data, Folder)
	if err := errors.Join(fsys.MkdirAll(dir, 0o700), fsys.SyncDir(data)); err != nil {
		return cannotWrite(err)
	}
	want := t.Marshal()
	if len(want) > maxTrust {
		return cannotWrite(errTrust)
	}
	if found, whole, err := readTrust(fsys, dir); err == nil && whole && bytes.Equal(found, want) {
		return nil
	}
	return cannotWrite(writeTwice(fsys, filepath.Join(dir, trustName), want))
}

// ReadTrust is what the folder's cards are checked with; false when it is not known.
func ReadTrust(fsys files.FS, data string) (Trust, bool) {
	raw, _, err := readTrust(fsys, filepath.Join(data, Folder))
	if err != nil {
		return Trust{}, false
	}
	t, err := ParseTrust(raw)
	return t, err == nil
}

func readTrust(fsys files.FS, dir string) (raw []byte, whole bool, err error) {
	return readTwice(fsys, filepath.Join(dir, trustName), maxTrust, func(b []byte) error {
		_, err := ParseTrust(b)
		return err
	})
}
