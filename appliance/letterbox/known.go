package letterbox

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"

	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/oplog"
)

const (
	knownName   = "known"
	knownMagic  = "waypost/known/1"
	lockedName  = "locked"
	lockedMagic = "waypost/locked-box/1"
	maxKnown    = 16 << 20
	maxShut     = 4096
	knownLog    = 16 + 8 + 32 + 32
	maxLocked   = 2 << 10
)

var (
	errKnown  = errors.New("letterbox: file of known logs is damaged")
	errLocked = errors.New("letterbox: file of the locked box's key is damaged")
)

// Known is what a locked box knows of the records: how far its journal holds each log, the
// keys the logs are signed with, and which nodes were shut out when it was open. Ids,
// hashes and public keys.
type Known struct {
	Shut [][10]byte // sorted
	Logs []oplog.Known
}

// Marshal is the file; nil where there is more to know than one may hold.
func (k Known) Marshal() []byte {
	b := binary.BigEndian.AppendUint16([]byte(knownMagic), uint16(len(k.Shut))) //nolint:gosec // checked below
	for _, id := range k.Shut {
		b = append(b, id[:]...)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(k.Logs))) //nolint:gosec // checked below
	for _, l := range k.Logs {
		b = append(b, l.Log[:]...)
		b = binary.BigEndian.AppendUint64(b, l.Seq)
		b = append(append(b, l.Hash[:]...), l.Key...)
	}
	if len(k.Shut) > maxShut || len(b)+sha256.Size > maxKnown {
		return nil
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// ParseKnown reads such a file, which may be anything.
func ParseKnown(b []byte) (k Known, err error) {
	if len(b) < len(knownMagic)+2+4+sha256.Size || len(b) > maxKnown || !bytes.HasPrefix(b, []byte(knownMagic)) {
		return Known{}, errKnown
	}
	body := b[:len(b)-sha256.Size]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], b[len(body):]) {
		return Known{}, errKnown
	}
	n := int(binary.BigEndian.Uint16(body[len(knownMagic):]))
	rest := body[len(knownMagic)+2:]
	if n > maxShut || len(rest) < 10*n+4 {
		return Known{}, errKnown
	}
	for range n {
		k.Shut = append(k.Shut, [10]byte(rest))
		rest = rest[10:]
	}
	logs := int64(binary.BigEndian.Uint32(rest))
	if rest = rest[4:]; int64(len(rest)) != logs*knownLog {
		return Known{}, errKnown
	}
	for range logs {
		l := oplog.Known{Head: oplog.Head{Log: oplog.LogID(rest), Seq: binary.BigEndian.Uint64(rest[16:]), Hash: [32]byte(rest[24:])}}
		l.Key = ed25519.PublicKey(bytes.Clone(rest[56:knownLog]))
		k.Logs = append(k.Logs, l)
		rest = rest[knownLog:]
	}
	return k, nil
}

// WriteKnown replaces the file where it says something else. Faults as Ready.
func WriteKnown(fsys files.FS, data string, k Known) error {
	k.Shut = slices.Clone(k.Shut)
	slices.SortFunc(k.Shut, func(a, b [10]byte) int { return bytes.Compare(a[:], b[:]) })
	raw := k.Marshal()
	if raw == nil {
		return cannotWrite(errKnown)
	}
	return replaceTwice(fsys, data, knownName, raw, maxKnown)
}

// readKnown is empty where there is no such file: then everything is asked for again.
func readKnown(fsys files.FS, dir string) Known {
	raw, _, err := readTwice(fsys, filepath.Join(dir, knownName), maxKnown, func(b []byte) error {
		_, err := ParseKnown(b)
		return err
	})
	if err != nil {
		return Known{}
	}
	k, _ := ParseKnown(raw) // parsed a moment ago
	return k
}

// ShutOut are the nodes that were shut out when the box was open.
func ShutOut(fsys files.FS, data string) [][10]byte {
	return readKnown(fsys, filepath.Join(data, Folder)).Shut
}

// Locked is what a locked box proves with who it is, and that it is locked: a key pair of
// its own and a certificate about it. Whoever has the card has it. It signs no record.
type Locked struct {
	Seed [32]byte // Ed25519
	Cert []byte   // mesh.LockedCert
}

// Marshal is the file.
func (l Locked) Marshal() []byte {
	b := append([]byte(lockedMagic), l.Seed[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(l.Cert))) //nolint:gosec // below maxLocked
	b = append(b, l.Cert...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// ParseLocked reads such a file, which may be anything.
func ParseLocked(b []byte) (l Locked, err error) {
	head := len(lockedMagic) + len(l.Seed) + 2
	if len(b) < head+sha256.Size || len(b) > maxLocked || !bytes.HasPrefix(b, []byte(lockedMagic)) {
		return Locked{}, errLocked
	}
	copy(l.Seed[:], b[len(lockedMagic):])
	l.Cert = bytes.Clone(b[head : len(b)-sha256.Size])
	if !bytes.Equal(l.Marshal(), b) {
		return Locked{}, errLocked
	}
	return l, nil
}

// WriteLocked replaces the file. Faults as Ready.
func WriteLocked(fsys files.FS, data string, l Locked) error {
	return replaceTwice(fsys, data, lockedName, l.Marshal(), maxLocked)
}

// ReadLocked is false where the box has no such key: then it waits until it is opened.
func ReadLocked(fsys files.FS, data string) (Locked, bool) {
	raw, _, err := readTwice(fsys, filepath.Join(data, Folder, lockedName), maxLocked, func(b []byte) error {
		_, err := ParseLocked(b)
		return err
	})
	if err != nil {
		return Locked{}, false
	}
	l, err := ParseLocked(raw)
	return l, err == nil
}

// replaceTwice writes both copies of a file of the letterbox unless they are so already.
func replaceTwice(fsys files.FS, data, name string, want []byte, limit int64) error {
	dir := filepath.Join(data, Folder)
	if err := errors.Join(fsys.MkdirAll(dir, 0o700), fsys.SyncDir(data)); err != nil {
		return cannotWrite(err)
	}
	same := func(b []byte) error {
		if !bytes.Equal(b, want) {
			return errKnown
		}
		return nil
	}
	if _, whole, err := readTwice(fsys, filepath.Join(dir, name), limit, same); err == nil && whole {
		return nil
	}
	return cannotWrite(writeTwice(fsys, filepath.Join(dir, name), want))
}
