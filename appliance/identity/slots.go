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

// The kinds of slots this version makes; each is there at most once.
const (
	SlotLead     = "passphrase" // given to init or join: five words
	SlotWords    = "words"      // five more words, for somebody else
	SlotRecovery = "recovery"   // the recovery kit: ten words
	SlotStick    = "stick"      // the file on a key stick
	SlotPeers    = "peers"      // a key that other boxes were given; see opener.go
)

// slot is one way to open the box: the storage key, wrapped under a passphrase, or for
// a stick under the key of its file; then Passes and KiB are zero.
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
		if s.Kind == "" || len(s.Kind) > maxSlotKind || !s.stretchedRight() {
			return nil, errUnlockFile
		}
	}
	return f.Slots, nil
}

// stretchedRight: what nobody types is not stretched, and everything else is.
func (s slot) stretchedRight() bool {
	if s.Kind == SlotStick || s.Kind == SlotPeers {
		return s.cost() == Cost{}
	}
	return s.cost().bounded()
}

func (s slot) cost() Cost { return Cost{Passes: s.Passes, MemoryKiB: s.KiB} }

// newSlot wraps the storage key under a passphrase.
func newSlot(kind string, passphrase []byte, cost Cost, storage *[32]byte) (slot, error) {
	cost = cost.or()
	s := slot{Kind: kind, Passes: cost.Passes, KiB: cost.MemoryKiB}
	copy(s.Salt[:], random(len(s.Salt)))
	wrapping, err := Stretch(context.Background(), passphrase, s.Salt[:], cost)
	if err != nil {
		return slot{}, err
	}
	return s, s.wrap(&wrapping, storage)
}

// newStick wraps the storage key under the key of a new key file.
func newStick(key [32]byte, storage *[32]byte) (slot, error) {
	s := slot{Kind: SlotStick}
	copy(s.Salt[:], random(len(s.Salt)))
	wrapping := stickKey(key, s.Salt[:])
	return s, s.wrap(&wrapping, storage)
}

// wrap seals the storage key and overwrites wrapping.
func (s *slot) wrap(wrapping, storage *[32]byte) error {
	defer clear(wrapping[:])
	copy(s.Nonce[:], random(len(s.Nonce)))
	aead, err := chacha20poly1305.NewX(wrapping[:])
	if err != nil {
		return err
	}
	aead.Seal(s.Wrapped[:0], s.Nonce[:], storage[:], s.bound())
	return nil
}

func (s *slot) bound() []byte { return []byte(slotPurpose + s.Kind) }

// unwrap opens the storage key and overwrites wrapping; false for another key.
func (s *slot) unwrap(wrapping *[32]byte) (key [32]byte, ok bool) {
	defer clear(wrapping[:])
	aead, err := chacha20poly1305.NewX(wrapping[:])
	if err != nil {
		return key, false
	}
	if _, err := aead.Open(key[:0], s.Nonce[:], s.Wrapped[:], s.bound()); err != nil {
		return [32]byte{}, false
	}
	return key, true
}

func readSlots(dir string) ([]slot, error) {
	slots, _, err := readSlotsTwice(dir)
	return slots, err
}

// readSlotsTwice is readSlots; wrong is that of readTwice.
func readSlotsTwice(dir string) (slots []slot, wrong []string, err error) {
	raw, wrong, err := readTwice(dir, unlockName, func(b []byte) error {
		_, err := parseSlots(b)
		return err
	})
	if err != nil {
		return nil, nil, fault.New(fault.Internal, "fault.identity.damaged").Wrap(err)
	}
	slots, err = parseSlots(raw)
	return slots, wrong, err
}

// openSlots tries every slot in turn: with a key file the stick's, with what another box
// handed over that of peers, with a passphrase the others. wrong is that of readTwice.
func openSlots(dir string, secret []byte) (key [32]byte, used slot, wrong []string, err error) {
	key, used, err = tryAll(func() (slots []slot, err error) {
		slots, wrong, err = readSlotsTwice(dir)
		return slots, err
	}, secret)
	return key, used, wrong, err
}

// tryAll is openSlots on slots from anywhere.
func tryAll(read func() ([]slot, error), secret []byte) (key [32]byte, used slot, err error) {
	kind, held := "", [32]byte{} // of what is not typed
	wrong := fault.New(fault.Denied, "fault.identity.wrong_passphrase")
	if IsKeyFile(secret) {
		stick, err := ParseKeyFile(secret)
		if err != nil {
			return key, slot{}, err
		}
		kind, held, wrong = SlotStick, stick.Key, fault.New(fault.Denied, "fault.identity.wrong_key_file")
		clear(stick.Key[:])
	} else if peers, ok := parsePeersSecret(secret); ok {
		kind, held, wrong = SlotPeers, peers, fault.New(fault.Denied, "fault.identity.stale_open_answer")
	}
	defer clear(held[:])
	slots, err := read()
	if err != nil {
		return key, slot{}, err
	}
	for _, s := range slots {
		var wrapping [32]byte
		switch {
		case kind != "" && kind == s.Kind:
			wrapping = fileKey(kind, held, s.Salt[:])
		case kind == "" && s.Kind != SlotStick && s.Kind != SlotPeers:
			if wrapping, err = Stretch(context.Background(), secret, s.Salt[:], s.cost()); err != nil {
				return key, slot{}, err
			}
		default:
			continue
		}
		if key, ok := s.unwrap(&wrapping); ok {
			return key, s, nil
		}
	}
	return key, slot{}, wrong
}
