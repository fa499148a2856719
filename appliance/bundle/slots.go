package bundle

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"io"

	"github.com/waypost/waypost/appliance/identity"
)

// The front of a file is an id and slots. Each slot is the file's key, sealed to one
// reader; those that are for nobody are sealed to keys that were drawn and forgotten, so
// that all look alike.

const (
	idSize   = 16
	keySize  = 32
	slotSize = 32 + keySize + 1 + 16 // HPKE's encapsulated key, the key, which count, the tag
)

// slotCounts are how many slots a file can have: few numbers, so that the length of a file
// says little about how many nodes there are.
var slotCounts = [...]int{8, 32, 128, 512, 2048}

// maxSlots is the most of them: the first slot and the first 2,047 nodes.
const maxSlots = 2048

func kem() hpke.KEM   { return hpke.DHKEM(ecdh.X25519()) }
func kdf() hpke.KDF   { return hpke.HKDFSHA256() }
func aead() hpke.AEAD { return hpke.ChaCha20Poly1305() }

// newFront draws a file's id and key and seals the key to its readers: under the secret
// that nodes have in common, unless that is nil, and to each certificate.
func newFront(deployment [16]byte, common *[32]byte, to []identity.NodeCert) (front []byte, id [idSize]byte, key [keySize]byte, err error) {
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	_, _ = rand.Read(key[:])
	to = to[:min(len(to), maxSlots-1)]
	which := 0
	for slotCounts[which] < len(to)+1 {
		which++
	}
	info := identity.BundleInfo(deployment, id)
	plain := append(bytes.Clone(key[:]), byte(which))
	defer clear(plain)
	front = append(front, id[:]...)
	for i := range slotCounts[which] {
		var public hpke.PublicKey
		switch {
		case i == 0 && common != nil:
			public, err = commonPublic(*common)
		case i > 0 && i <= len(to):
			public, err = kem().NewPublicKey(to[i-1].Seal[:])
		}
		content := plain
		if public == nil && err == nil {
			content = make([]byte, len(plain)) // for nobody
			_, _ = rand.Read(content)
			public, err = nobody()
		}
		if err != nil {
			return nil, id, key, err
		}
		slot, err := hpke.Seal(public, kdf(), aead(), info, content)
		if err != nil {
			return nil, id, key, err
		}
		front = append(front, slot...)
	}
	return front, id, key, nil
}

// commonPublic is the key that whoever has the secret opens.
func commonPublic(secret [32]byte) (hpke.PublicKey, error) {
	k, err := kem().DeriveKeyPair(secret[:])
	if err != nil {
		return nil, err
	}
	return k.PublicKey(), nil
}

// nobody is a key that nothing opens.
func nobody() (hpke.PublicKey, error) {
	k, err := kem().GenerateKey()
	if err != nil {
		return nil, err
	}
	return k.PublicKey(), nil
}

// errNoSlot says that nothing of a file's front is for this node.
var errNoSlot = errors.New("bundle: no slot opens")

// readFront finds the slot that this node opens and reads the front to its end. It takes
// at most 166 KB, whatever the file is.
func readFront(r io.Reader, k Keys) (front []byte, id [idSize]byte, key [keySize]byte, err error) {
	front = make([]byte, idSize, idSize+slotCounts[0]*slotSize)
	if _, err = io.ReadFull(r, front); err != nil {
		return nil, id, key, err
	}
	id = [idSize]byte(front)
	info := identity.BundleInfo(k.Deployment(), id)
	common, err := commonKeys(k)
	if err != nil {
		return nil, id, key, err
	}
	slots := maxSlots
	found := false
	for i := 0; i < slots; i++ {
		front = append(front, make([]byte, slotSize)...)
		slot := front[len(front)-slotSize:]
		if _, err := io.ReadFull(r, slot); err != nil {
			if !found && ended(err) && i >= slotCounts[0] {
				return nil, id, key, errNoSlot // long enough to be one, and nothing opened
			}
			return nil, id, key, err
		}
		if found {
			continue
		}
		var plain []byte
		if i == 0 {
			plain = openAny(common, info, slot)
		}
		if plain == nil {
			plain, _ = k.UnsealBundle(id, slot) // of another node
		}
		if len(plain) != keySize+1 || int(plain[keySize]) >= len(slotCounts) || slotCounts[plain[keySize]] <= i {
			continue
		}
		found, key, slots = true, [keySize]byte(plain), slotCounts[plain[keySize]]
		clear(plain)
	}
	if !found {
		return nil, id, key, errNoSlot
	}
	return front, id, key, nil
}

func commonKeys(k Keys) ([]hpke.PrivateKey, error) {
	secrets := k.BundleSecrets()
	defer func() { clear(secrets) }()
	out := make([]hpke.PrivateKey, 0, len(secrets))
	for _, s := range secrets {
		private, err := kem().DeriveKeyPair(s[:])
		if err != nil {
			return nil, err
		}
		out = append(out, private)
	}
	return out, nil
}

func openAny(keys []hpke.PrivateKey, info, slot []byte) []byte {
	for _, k := range keys {
		if plain, err := hpke.Open(k, kdf(), aead(), info, slot); err == nil {
			return plain
		}
	}
	return nil
}

// ended reports whether a file was shorter than what it should hold.
func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
