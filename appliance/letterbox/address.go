package letterbox

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
)

// Folder is the letterbox's folder inside the data folder.
const Folder = "letterbox"

const (
	keyName    = "key"
	keyMagic   = "waypost/letterbox/1"
	keySum     = 29
	keySize    = len(keyMagic) + 16 + 10 + 32 + keySum
	sealedInfo = keyMagic
)

var errAddress = errors.New("letterbox: key file is damaged")

// Address is where letters go: one box of one deployment, and the key it reads with. It is
// public.
type Address struct {
	Deployment [16]byte
	Node       [10]byte
	Public     [32]byte // X25519
}

// Key is the private half of an address. It lives as long as the box is open.
type Key struct {
	private hpke.PrivateKey
	address Address
}

// NewKey derives a box's key from a secret that only the opened box has, always the same.
func NewKey(deployment [16]byte, node [10]byte, secret [32]byte) (Key, error) {
	k, err := kem().DeriveKeyPair(secret[:])
	if err != nil {
		return Key{}, fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	a := Address{Deployment: deployment, Node: node}
	copy(a.Public[:], k.PublicKey().Bytes())
	return Key{private: k, address: a}, nil
}

// Address is the public half.
func (k Key) Address() Address { return k.address }

func kem() hpke.KEM   { return hpke.DHKEM(x25519()) }
func kdf() hpke.KDF   { return hpke.HKDFSHA256() }
func aead() hpke.AEAD { return hpke.ChaCha20Poly1305() }

// Marshal is the key file.
func (a Address) Marshal() []byte {
	b := slices.Concat([]byte(keyMagic), a.Deployment[:], a.Node[:], a.Public[:])
	sum := sha256.Sum256(b)
	return append(b, sum[:keySum]...)
}

// ParseAddress reads a key file, which may be anything.
func ParseAddress(b []byte) (a Address, err error) {
	if len(b) != keySize || !bytes.HasPrefix(b, []byte(keyMagic)) {
		return Address{}, errAddress
	}
	rest := b[len(keyMagic):]
	copy(a.Deployment[:], rest)
	copy(a.Node[:], rest[16:])
	copy(a.Public[:], rest[26:])
	if !bytes.Equal(a.Marshal(), b) {
		return Address{}, errAddress
	}
	if _, err := kem().NewPublicKey(a.Public[:]); err != nil {
		return Address{}, errAddress
	}
	return a, nil
}

// Ready puts the key's public half where a locked box finds it. foreign tells that
// another key lay there: what was put in meanwhile was sealed to somebody else. Faults:
// Full, Unavailable "fault.letterbox.cannot_write".
func Ready(fsys files.FS, data string, k Key) (foreign bool, err error) {
	dir := filepath.Join(data, Folder)
	if err := errors.Join(fsys.MkdirAll(dir, 0o700), fsys.SyncDir(data)); err != nil {
		return false, cannotWrite(err)
	}
	want := k.address.Marshal()
	found, whole, err := readTwice(fsys, filepath.Join(dir, keyName), int64(keySize), func(b []byte) error {
		_, err := ParseAddress(b)
		return err
	})
	if err == nil && bytes.Equal(found, want) && whole {
		return false, nil
	}
	foreign = err == nil && !bytes.Equal(found, want)
	return foreign, cannotWrite(writeTwice(fsys, filepath.Join(dir, keyName), want))
}

// readAddress is where letters of the folder go. Faults: NotFound "fault.letterbox.none"
// for a folder that was not opened since there are letterboxes, Internal
// "fault.letterbox.damaged".
func readAddress(fsys files.FS, dir string) (Address, error) {
	raw, _, err := readTwice(fsys, filepath.Join(dir, keyName), int64(keySize), func(b []byte) error {
		_, err := ParseAddress(b)
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Address{}, fault.New(fault.NotFound, "fault.letterbox.none")
	case err != nil:
		return Address{}, fault.New(fault.Internal, "fault.letterbox.damaged").Wrap(err)
	}
	return ParseAddress(raw)
}

// ReadAddress is where letters of a data folder go, and so whose folder it is while nobody
// has opened it. Faults as Open.
func ReadAddress(fsys files.FS, data string) (Address, error) {
	return readAddress(fsys, filepath.Join(data, Folder))
}
