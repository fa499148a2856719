package oplog

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
)

// keyring is the content of the file `keys` and its copy `keys.2`: what is
// needed to read the segments, and which log is ours.
type keyring struct {
	_          struct{} `cbor:",toarray"`
	Generation uint64   // grows with every rewrite; the larger copy wins
	Own        LogID    // the log this folder writes; zero before the first birth
	Segments   []segmentKey
}

// segmentKey is one segment's key, and what is known of it once the next one
// has been opened.
type segmentKey struct {
	_      struct{} `cbor:",toarray"`
	Number uint64
	Key    [32]byte
	Size   int64 // bytes; 0 while it is the newest
}

const (
	keysMagic = "WPK\x01"
	keysFile  = "keys"
	keysCopy  = "keys.2"
	maxKeys   = 32 << 20
)

func keysBound(deployment [16]byte) []byte {
	return append([]byte("waypost/journal-keys/1"), deployment[:]...)
}

// loadKeys reads the better of both copies and mends the other. found is false
// when neither file exists.
func (j *journal) loadKeys() (found bool, err error) {
	var best *keyring
	missing, bad := 0, 0
	for _, name := range []string{keysFile, keysCopy} {
		k, err := j.readKeys(filepath.Join(j.dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing++
		case err != nil:
			bad++
		case best == nil || k.Generation > best.Generation:
			best = k
		}
	}
	if best == nil {
		if bad > 0 {
			return true, fault.New(fault.Internal, "fault.oplog.keys").Wrap(errors.New("no copy of the segment keys can be opened"))
		}
		return false, nil
	}
	j.ring = *best
	if missing+bad > 0 {
		j.problem("a copy of the segment keys was missing or damaged and has been written again")
		return true, j.saveKeys()
	}
	return true, nil
}

func (j *journal) readKeys(path string) (*keyring, error) {
	raw, err := files.Read(j.fs, path, maxKeys)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(j.storageKey[:])
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(raw, []byte(keysMagic)) || len(raw) < len(keysMagic)+aead.NonceSize() {
		return nil, errors.New("not a key file")
	}
	nonce, box := raw[len(keysMagic):len(keysMagic)+aead.NonceSize()], raw[len(keysMagic)+aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, box, keysBound(j.deployment))
	if err != nil {
		return nil, err
	}
	k := &keyring{}
	return k, keysDec.Unmarshal(plain, k)
}

// saveKeys writes both copies, each atomically and flushed, one after the other.
func (j *journal) saveKeys() error {
	j.ring.Generation++
	plain, err := encMode.Marshal(j.ring)
	if err != nil {
		return errInternal("key ring")
	}
	aead, err := chacha20poly1305.NewX(j.storageKey[:])
	if err != nil {
		return errInternal("storage key")
	}
	out := append([]byte(keysMagic), make([]byte, aead.NonceSize())...)
	nonce := out[len(keysMagic):]
	_, _ = rand.Read(nonce)
	out = aead.Seal(out, bytes.Clone(nonce), plain, keysBound(j.deployment))
	for _, name := range []string{keysFile, keysCopy} {
		if err := files.WriteAtomic(j.fs, filepath.Join(j.dir, name), out, 0o600); err != nil {
			return errFiles(err)
		}
	}
	return nil
}
