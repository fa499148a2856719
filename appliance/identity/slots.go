package identity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/fault"
)

const (
	unlockName  = "unlock"
	unlockMagic = "waypost/unlock/1" // no slot has an inner key
	innerMagic  = "waypost/unlock/2" // at least one has
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

// slot is one way to open the box: the storage key and, for every way but the recovery
// kit, the inner key behind it, wrapped under a passphrase, or for a stick under the key
// of its file; then Passes and KiB are zero.
type slot struct {
	_       struct{} `cbor:",toarray"`
	Kind    string
	Salt    [SaltSize]byte
	Passes  uint8
	KiB     uint32
	Nonce   [chacha20poly1305.NonceSizeX]byte
	Wrapped []byte // of 32 bytes or of 64
}

// What a slot wraps, by its length.
const (
	outerWrapped = 32 + chacha20poly1305.Overhead
	innerWrapped = 64 + chacha20poly1305.Overhead
)

// outerOnly reports whether a kind of slot never carries the inner key.
func outerOnly(kind string) bool { return kind == SlotRecovery || kind == SlotPeers }

// inside reports whether the slot carries an inner key.
func (s slot) inside() bool { return len(s.Wrapped) == innerWrapped }

// unlockFile is the file as it lies on the card. Sum finds rot; it is no secret.
type unlockFile struct {
	_     struct{} `cbor:",toarray"`
	Magic string
	Slots []slot
	Sum   [32]byte
}

var errUnlockFile = errors.New("identity: unlock file is damaged")

func encodeSlots(slots []slot) []byte {
	magic := unlockMagic
	if slices.ContainsFunc(slots, slot.inside) {
		magic = innerMagic
	}
	return encode(unlockFile{Magic: magic, Slots: slots, Sum: sha256.Sum256(encode(slots))})
}

// parseSlots reads an unlock file, which may be anything.
func parseSlots(b []byte) ([]slot, error) {
	var f unlockFile
	if err := decode(b, &f); err != nil {
		return nil, errUnlockFile
	}
	if len(f.Slots) == 0 || len(f.Slots) > maxSlots || !bytes.Equal(encodeSlots(f.Slots), b) {
		return nil, errUnlockFile
	}
	for _, s := range f.Slots {
		long := len(s.Wrapped) == outerWrapped || s.inside() && !outerOnly(s.Kind)
		if s.Kind == "" || len(s.Kind) > maxSlotKind || !s.stretchedRight() || !long {
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

// newSlot wraps the storage key, and the inner key unless it is nil, under a passphrase.
func newSlot(kind string, passphrase []byte, cost Cost, storage *[32]byte, inner []byte) (slot, error) {
	s, wrapping, err := stretched(kind, passphrase, cost)
	if err != nil {
		return slot{}, err
	}
	return s, s.wrap(&wrapping, storage, inner)
}

// stretched is a slot that holds nothing yet, and the key for it.
func stretched(kind string, passphrase []byte, cost Cost) (s slot, wrapping [32]byte, err error) {
	cost = cost.or()
	s = slot{Kind: kind, Passes: cost.Passes, KiB: cost.MemoryKiB}
	copy(s.Salt[:], random(len(s.Salt)))
	wrapping, err = Stretch(context.Background(), passphrase, s.Salt[:], cost)
	return s, wrapping, err
}

// emptyStick is stretched under the key of a new key file.
func emptyStick(key [32]byte) (s slot, wrapping [32]byte) {
	s.Kind = SlotStick
	copy(s.Salt[:], random(len(s.Salt)))
	return s, stickKey(key, s.Salt[:])
}

// wrap seals the keys and overwrites wrapping.
func (s *slot) wrap(wrapping, storage *[32]byte, inner []byte) error {
	defer clear(wrapping[:])
	if outerOnly(s.Kind) {
		// Whatever the caller had: the kit opens the records and nothing else, and so does a
		// neighbour, which may be the one that was taken while it was open.
		inner = nil
	}
	copy(s.Nonce[:], random(len(s.Nonce)))
	aead, err := chacha20poly1305.NewX(wrapping[:])
	if err != nil {
		return err
	}
	keys := slices.Concat(storage[:], inner)
	defer clear(keys)
	s.Wrapped = aead.Seal(nil, s.Nonce[:], keys, s.bound())
	return nil
}

func (s *slot) bound() []byte { return []byte(slotPurpose + s.Kind) }

// opened is what a slot gives: the keys, and the key they were wrapped under, with which
// the slot can be written anew.
type opened struct {
	slot     slot
	storage  [32]byte
	inner    []byte // nil when the slot has none
	wrapping [32]byte
}

func (o *opened) forget() {
	clear(o.storage[:])
	clear(o.inner)
	clear(o.wrapping[:])
}

// unwrap opens the keys; false for another wrapping key.
func (s *slot) unwrap(wrapping [32]byte) (o opened, ok bool) {
	defer clear(wrapping[:])
	aead, err := chacha20poly1305.NewX(wrapping[:])
	if err != nil {
		return opened{}, false
	}
	keys, err := aead.Open(nil, s.Nonce[:], s.Wrapped, s.bound())
	if err != nil {
		return opened{}, false
	}
	defer clear(keys)
	o = opened{slot: *s, storage: [32]byte(keys[:32]), wrapping: wrapping}
	if len(keys) > 32 {
		o.inner = bytes.Clone(keys[32:])
	}
	return o, true
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
func openSlots(dir string, secret []byte) (o opened, wrong []string, err error) {
	o, err = tryAll(func() (slots []slot, err error) {
		slots, wrong, err = readSlotsTwice(dir)
		return slots, err
	}, secret)
	return o, wrong, err
}

// tryAll is openSlots on slots from anywhere.
func tryAll(read func() ([]slot, error), secret []byte) (opened, error) {
	kind, held := "", [32]byte{} // of what is not typed
	wrong := fault.New(fault.Denied, "fault.identity.wrong_passphrase")
	if IsKeyFile(secret) {
		stick, err := ParseKeyFile(secret)
		if err != nil {
			return opened{}, err
		}
		kind, held, wrong = SlotStick, stick.Key, fault.New(fault.Denied, "fault.identity.wrong_key_file")
		clear(stick.Key[:])
	} else if peers, ok := parsePeersSecret(secret); ok {
		kind, held, wrong = SlotPeers, peers, fault.New(fault.Denied, "fault.identity.stale_open_answer")
	}
	defer clear(held[:])
	slots, err := read()
	if err != nil {
		return opened{}, err
	}
	for _, s := range slots {
		var wrapping [32]byte
		switch {
		case kind != "" && kind == s.Kind:
			wrapping = fileKey(kind, held, s.Salt[:])
		case kind == "" && s.Kind != SlotStick && s.Kind != SlotPeers:
			if wrapping, err = Stretch(context.Background(), secret, s.Salt[:], s.cost()); err != nil {
				return opened{}, err
			}
		default:
			continue
		}
		if o, ok := s.unwrap(wrapping); ok {
			return o, nil
		}
	}
	return opened{}, wrong
}
