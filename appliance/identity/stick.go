package identity

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// KeyFile is the file on a key stick. It opens one site like its words do, without
// anybody typing: 32 random bytes, so nobody can guess it and no stretching is needed.
type KeyFile struct {
	Node NodeID // the box it opens, to tell sticks apart
	Key  [32]byte
}

const (
	keyFileMark = "waypost-key/1"
	maxKeyFile  = 4 << 10
	keyFileSays = "This file opens one Waypost box. Whoever has it and the box can read its records: keep it apart from the box."
)

// Name is what the file is called: no site, no operation.
func (k KeyFile) Name() string { return "waypost-key-" + k.Node.String() + ".wpkey" }

// Text is the file: a line for whoever finds it, then the mark, the node's id, the key
// in hexadecimal and the first four bytes of a hash over both. It is secret.
func (k KeyFile) Text() []byte {
	return []byte(keyFileSays + "\n" + keyFileMark + " " + k.Node.String() + " " + hex.EncodeToString(k.Key[:]) + " " + k.check() + "\n")
}

func (k KeyFile) check() string {
	return hex.EncodeToString(hashed("waypost/key-stick/1", k.Node[:], k.Key[:])[:4])
}

// IsKeyFile tells a key file, sound or not, from words.
func IsKeyFile(b []byte) bool { return bytes.Contains(b, []byte(keyFileMark)) }

// ParseKeyFile reads what Text wrote, whatever an editor did to its line ends. Fault:
// Invalid "fault.identity.bad_key_file".
func ParseKeyFile(b []byte) (KeyFile, error) {
	bad := fault.New(fault.Invalid, "fault.identity.bad_key_file")
	if len(b) > maxKeyFile {
		return KeyFile{}, bad
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 4 || f[0] != keyFileMark {
			continue
		}
		node, err := oplog.ParseID(f[1])
		if err != nil {
			return KeyFile{}, bad.Wrap(err)
		}
		key, err := hex.DecodeString(f[2])
		if err != nil || len(key) != 32 {
			return KeyFile{}, bad
		}
		k := KeyFile{Node: node, Key: [32]byte(key)}
		clear(key)
		if subtle.ConstantTimeCompare([]byte(k.check()), []byte(f[3])) != 1 {
			return KeyFile{}, bad
		}
		return k, nil
	}
	return KeyFile{}, bad
}

// stickKey is what a key file's key wraps a slot with. It has 256 bits already, so
// there is nothing to stretch.
func stickKey(key [32]byte, salt []byte) [32]byte { return fileKey(SlotStick, key, salt) }

// fileKey is that for every kind of slot that nobody types.
func fileKey(kind string, key [32]byte, salt []byte) [32]byte {
	b, err := hkdf.Key(sha256.New, key[:], salt, slotPurpose+kind, 32)
	if err != nil {
		panic("identity: " + err.Error()) // only for lengths beyond 255 hashes
	}
	return [32]byte(b)
}
