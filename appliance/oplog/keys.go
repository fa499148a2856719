package oplog

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
)

// keyring is the content of the file `keys` and its copies: what is needed to read
// the segments, and which log is ours.
type keyring struct {
	_          struct{} `cbor:",toarray"`
	Generation uint64   // grows with every save; the largest wins
	Own        LogID    // the log this folder writes; zero before the first birth
	Next       uint64   // the next segment's number at least: none is used twice
	Segments   []segmentKey
	Replacing  []replacing // rewrites under way
	Aside      []aside     // what was found damaged, oldest first
}

// segmentKey is one segment's key, and what is known of it once it is finished.
type segmentKey struct {
	_         struct{} `cbor:",toarray"`
	Number    uint64
	Key       [32]byte
	Size      int64 // bytes; 0 while it is being written, or after a kill
	Rewritten bool  // its frames are not where the views saw them
}

// replacing is a segment whose new file is complete and lies beside it, or has
// taken its place since. Segments has the key of the new one already.
type replacing struct {
	_      struct{} `cbor:",toarray"`
	Number uint64
	New    string // name of the new file
	Aside  string // where the old one goes in the folder of damaged files; empty: destroyed
}

// aside is damage that was found and taken out of the journal.
type aside struct {
	_       struct{} `cbor:",toarray"`
	File    string   // its name in the folder of damaged files; empty when there is none (any more)
	Segment uint64
	Key     []byte // of that file, so that somebody can look at it; empty without one
	What    string // what was wrong, without content
	At      int64  // Unix seconds by the clock of this box
}

// keyring1 is the form before segments could be rewritten.
type keyring1 struct {
	_          struct{} `cbor:",toarray"`
	Generation uint64
	Own        LogID
	Segments   []struct {
		_      struct{} `cbor:",toarray"`
		Number uint64
		Key    [32]byte
		Size   int64
	}
}

const (
	keysMagic  = "WPK\x02"
	keysMagic1 = "WPK\x01"
	maxKeys    = 32 << 20
)

// keyFiles are the copies, in the order in which they are written.
func keyFiles() []string { return []string{"keys", "keys.2", "keys.3"} }

func keysBound(deployment [16]byte) []byte {
	return append([]byte("waypost/journal-keys/1"), deployment[:]...)
}

func errKeys(why string) error {
	return fault.New(fault.Internal, "fault.oplog.keys").Wrap(errors.New(why))
}

// loadKeys takes the newest copy of the keys that can be opened and mends the
// others. found is false when there is no file at all.
//
// Copies may differ in one way without damage: a power cut between two of them
// leaves the later ones one generation behind. The newest is right even when it
// is alone: its writer had flushed it before it went on to the next. A copy that
// is further behind was put back by somebody or by a dying disk; it is never
// read, or a destroyed key could come back, and it is said.
func (j *journal) loadKeys() (found bool, err error) {
	copies, best := j.readCopies()
	missing := 0
	for _, c := range copies {
		if errors.Is(c.err, fs.ErrNotExist) {
			missing++
		}
	}
	if best == nil {
		if missing < len(copies) {
			return true, errKeys("no copy of the segment keys can be opened")
		}
		return false, nil
	}
	j.ring, j.generation = *best.ring, best.ring.Generation
	for i, c := range copies {
		what := c.differs(best)
		if what == "" {
			continue
		}
		// The same generation again, or a second cut would leave a copy two behind.
		if err := files.WriteAtomic(j.fs, filepath.Join(j.dir, c.name), best.raw, 0o600); err != nil {
			// One good copy is enough to open with, on a full disk too.
			j.note(fmt.Sprintf("key file %s is %s and could not be written again", c.name, what))
			continue
		}
		if !c.cut(best, copies[i+1:]) {
			j.note(fmt.Sprintf("key file %s was %s and has been written again", c.name, what))
		}
	}
	return true, nil
}

// keyCopy is one of the key files as it was found.
type keyCopy struct {
	name string
	raw  []byte
	ring *keyring
	err  error
}

// differs says in which way a copy is not the best one; empty when it is.
func (c *keyCopy) differs(best *keyCopy) string {
	switch {
	case errors.Is(c.err, fs.ErrNotExist):
		return "missing"
	case c.err != nil:
		return "damaged"
	case c.ring.Generation < best.ring.Generation:
		return "old"
	case !bytes.Equal(c.raw, best.raw):
		return "not the same as the others"
	}
	return ""
}

// cut reports whether a copy is as a power cut may leave it: one behind, and no copy
// that is written later is further.
func (c *keyCopy) cut(best *keyCopy, later []*keyCopy) bool {
	for _, l := range later {
		if l.err == nil && l.ring.Generation == best.ring.Generation {
			return false
		}
	}
	if errors.Is(c.err, fs.ErrNotExist) {
		return best.ring.Generation == 1
	}
	return c.err == nil && c.ring.Generation+1 == best.ring.Generation
}

// readCopies reads all key files; best is the first of the newest, nil when none
// can be opened.
func (j *journal) readCopies() (copies []*keyCopy, best *keyCopy) {
	for _, name := range keyFiles() {
		c := &keyCopy{name: name}
		c.raw, c.err = files.Read(j.fs, filepath.Join(j.dir, name), maxKeys)
		if c.err == nil {
			c.ring, c.err = openKeys(c.raw, j.storageKey, j.deployment)
		}
		if c.err == nil && (best == nil || c.ring.Generation > best.ring.Generation) {
			best = c
		}
		copies = append(copies, c)
	}
	return copies, best
}

// openKeys opens the content of a key file.
func openKeys(raw []byte, storageKey [32]byte, deployment [16]byte) (*keyring, error) {
	aead, err := chacha20poly1305.NewX(storageKey[:])
	if err != nil {
		return nil, err
	}
	first := bytes.HasPrefix(raw, []byte(keysMagic1))
	head, bound := len(keysMagic1), keysBound(deployment)
	if !first {
		outside, err := readOutside(raw)
		if err != nil {
			return nil, err
		}
		head, raw = outside.size, raw[:len(raw)-4]
		bound = append(bound, raw[:head]...)
	}
	if len(raw) < head+aead.NonceSize() {
		return nil, errNoKeys
	}
	plain, err := aead.Open(nil, raw[head:head+aead.NonceSize()], raw[head+aead.NonceSize():], bound)
	if err != nil {
		return nil, err
	}
	return parseKeys(plain, first)
}

// parseKeys reads a ring, or one of the first form.
func parseKeys(plain []byte, first bool) (*keyring, error) {
	k := &keyring{}
	if !first {
		return k, keysDec.Unmarshal(plain, k)
	}
	var old keyring1
	if err := keysDec.Unmarshal(plain, &old); err != nil {
		return nil, err
	}
	k.Generation, k.Own = old.Generation, old.Own
	for _, s := range old.Segments {
		k.Segments = append(k.Segments, segmentKey{Number: s.Number, Key: s.Key, Size: s.Size})
	}
	return k, nil
}

// saveKeys writes all copies, each atomically and flushed, one after the other.
// After a fault the disk may hold the new ring in some of them and then opens
// with it: callers leave nothing on the disk that only one of both rings allows.
func (j *journal) saveKeys() error {
	j.keysMu.Lock()
	defer j.keysMu.Unlock()
	j.ring.Generation++
	j.generation = j.ring.Generation
	plain, err := encMode.Marshal(j.ring)
	if err != nil {
		return errInternal("key ring")
	}
	aead, err := chacha20poly1305.NewX(j.storageKey[:])
	if err != nil {
		return errInternal("storage key")
	}
	out := appendOutside(nil, &j.ring)
	bound := append(keysBound(j.deployment), out...)
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	out = aead.Seal(append(out, nonce...), nonce, plain, bound)
	out = binary.BigEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
	for _, name := range keyFiles() {
		if err := files.WriteAtomic(j.fs, filepath.Join(j.dir, name), out, 0o600); err != nil {
			return errFiles(err)
		}
	}
	return nil
}

// checkKeys looks at the copies of the keys on the disk, between two saves.
func (j *journal) checkKeys() (problems []string) {
	j.keysMu.Lock()
	defer j.keysMu.Unlock()
	copies, best := j.readCopies()
	for _, c := range copies {
		what := "damaged or missing"
		if best != nil {
			what = c.differs(best)
		}
		if what == "" && c.ring.Generation < j.generation {
			what = "old"
		}
		if what != "" {
			problems = append(problems, fmt.Sprintf("key file %s is %s", c.name, what))
		}
	}
	return problems
}
