package identity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/fault"
)

const (
	unlockName  = "unlock"
	unlockMagic = "waypost/unlock/1"
	slotPurpose = "waypost/slot/1"
	maxSlots    = 8
	maxSlotKind = 32
)

// The kinds of slots this version makes.
const (
	slotLead     = "passphrase" // given to init or join: five words
	slotRecovery = "recovery"   // the recovery kit: ten words
)

// slot is one way to open the box: the storage key, wrapped under a passphrase.
type slot struct {
	_       struct{} `cbor:",toarray"`
	Kind    string
	Salt    [SaltSize]byte
	Passes  uint8
	KiB     uint32
	Nonce   [chacha20poly1305.NonceSizeX]byte
	Wrapped [32 + chacha20poly1305.Overhead]byte
}

// unlockFile is the file as it lies on the card. Sum finds rot; it is no secret.
type unlockFile struct {
	_     struct{} `cbor:",toarray"`
	Magic string
	Slots []slot
	Sum   [32]byte
}

var errUnlockFile = errors.New("identity: unlock file is damaged")

func encodeSlots(slots []slot) []byte {
	return encode(unlockFile{Magic: unlockMagic, Slots: slots, Sum: sha256.Sum256(encode(slots))})
}

// parseSlots reads an unlock file, which may be anything.
func parseSlots(b []byte) ([]slot, error) {
	var f unlockFile
	if err := decode(b, &f); err != nil {
		return nil, errUnlockFile
	}
	if f.Magic != unlockMagic || len(f.Slots) == 0 || len(f.Slots) > maxSlots || !bytes.Equal(encodeSlots(f.Slots), b) {
		return nil, errUnlockFile
	}
	for _, s := range f.Slots {
		if s.Kind == "" || len(s.Kind) > maxSlotKind || !s.cost().bounded() {
			return nil, errUnlockFile
		}
	}
	return f.Slots, nil
}

func (s slot) cost() Cost { return Cost{Passes: s.Passes, MemoryKiB: s.KiB} }

// newSlot wraps key under a passphrase.
func newSlot(kind string, passphrase []byte, cost Cost, key [32]byte) (slot, error) {
	cost = cost.or()
	s := slot{Kind: kind, Passes: cost.Passes, KiB: cost.MemoryKiB}
	copy(s.Salt[:], random(len(s.Salt)))
	copy(s.Nonce[:], random(len(s.Nonce)))
	wrapping, err := Stretch(context.Background(), passphrase, s.Salt[:], cost)
	if err != nil {
		return slot{}, err
	}
	defer clear(wrapping[:])
	aead, err := chacha20poly1305.NewX(wrapping[:])
	if err != nil {
		return slot{}, err
	}
	aead.Seal(s.Wrapped[:0], s.Nonce[:], key[:], s.bound())
	return s, nil
}

func (s slot) bound() []byte { return []byte(slotPurpose + s.Kind) }

// open unwraps the storage key; ok is false for another passphrase.
func (s slot) open(passphrase []byte) (key [32]byte, ok bool, err error) {
	wrapping, err := Stretch(context.Background(), passphrase, s.Salt[:], s.cost())
	if err != nil {
		return key, false, err
	}
	defer clear(wrapping[:])
	aead, err := chacha20poly1305.NewX(wrapping[:])
	if err != nil {
		return key, false, err
	}
	if _, err := aead.Open(key[:0], s.Nonce[:], s.Wrapped[:], s.bound()); err != nil {
		return [32]byte{}, false, nil
	}
	return key, true, nil
}

func readSlots(dir string) ([]slot, error) {
	raw, err := readTwice(dir, unlockName, func(b []byte) error {
		_, err := parseSlots(b)
		return err
	})
	if err != nil {
		return nil, fault.New(fault.Internal, "fault.identity.damaged").Wrap(err)
	}
	return parseSlots(raw)
}

// openSlots tries every slot in turn.
func openSlots(dir string, passphrase []byte) (key [32]byte, used slot, err error) {
	slots, err := readSlots(dir)
	if err != nil {
		return key, slot{}, err
	}
	for _, s := range slots {
		key, ok, err := s.open(passphrase)
		if err != nil || ok {
			return key, s, err
		}
	}
	return key, slot{}, fault.New(fault.Denied, "fault.identity.wrong_passphrase")
}
