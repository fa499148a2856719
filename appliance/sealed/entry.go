package sealed

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// An entry is what one op of a file holds. All look alike from outside, whatever they are:
//
//	slots (1): 0, 1 or 2 for 4, 8 or 16 ‖ ephemeral X25519 key (32) ‖ slots × 48 ‖
//	nonce (24) ‖ XChaCha20-Poly1305 of uvarint length ‖ content ‖ zeros
//
// filled up to one of the sizes of oplog.SealedSizes. A slot is the file's key, wrapped to
// one X25519 key; slots without anybody are random, and where those with somebody stand is
// random too. An entry that gives the key to nobody has four empty ones.
const (
	slotSize  = 32 + chacha20poly1305.Overhead
	entryHead = 1 + 32
)

var slotCounts = []int{4, 8, 16}

// maxRecipients is how many keys one entry can be wrapped to.
const maxRecipients = 16

// room is what is left for the content in the largest entry.
func room(slots int) int {
	sizes := oplog.SealedSizes()
	return sizes[len(sizes)-1] - entryHead - slots*slotSize - chacha20poly1305.NonceSizeX - chacha20poly1305.Overhead - binary.MaxVarintLen32
}

// binder is what entries of one file are bound to: no entry opens in another.
type binder struct {
	deployment [16]byte
	file       oplog.ID
}

func (b binder) bytes(label string) []byte {
	return slices.Concat([]byte(label), b.deployment[:], b.file[:])
}

// keyID names a key without telling it.
func (b binder) keyID(k key) [16]byte {
	id := derive(k[:], string(b.bytes("waypost/sealed-key-id/1")))
	return [16]byte(id[:16])
}

func (b binder) entryKey(k key) key {
	return derive(k[:], string(b.bytes("waypost/sealed-entry-key/1")))
}

// slotKey is what a slot is sealed under; it is used once, so its nonce is zero.
func (b binder) slotKey(shared []byte, ephemeral, to []byte) key {
	return derive(shared, string(b.bytes("waypost/sealed-slot/1")), ephemeral, to)
}

// seal makes an entry. to are the keys the file's key is wrapped to. Fault: Invalid
// "fault.sealed.too_long" for what no entry holds.
func (b binder) seal(k key, content []byte, to [][32]byte) ([]byte, error) {
	code := slices.IndexFunc(slotCounts, func(n int) bool { return len(to) <= n })
	if code < 0 {
		return nil, fault.New(fault.Invalid, "fault.sealed.too_many", "Most", maxRecipients-1)
	}
	slots := slotCounts[code]
	if len(content) > room(slots) {
		return nil, fault.New(fault.Invalid, "fault.sealed.too_long")
	}
	head, err := b.slots(k, byte(code), slots, to)
	if err != nil {
		return nil, err
	}
	plain := append(binary.AppendUvarint(nil, uint64(len(content))), content...)
	for _, size := range oplog.SealedSizes() {
		if n := size - len(head) - chacha20poly1305.NonceSizeX - chacha20poly1305.Overhead; n >= len(plain) {
			plain = append(plain, make([]byte, n-len(plain))...)
			break
		}
	}
	ek := b.entryKey(k)
	aead, err := chacha20poly1305.NewX(ek[:])
	if err != nil {
		return nil, fault.Of(err)
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	_, _ = rand.Read(nonce)
	return aead.Seal(append(bytes.Clone(head), nonce...), nonce, plain, append(b.bytes("waypost/sealed/1"), head...)), nil
}

// slots is the head of an entry.
func (b binder) slots(k key, code byte, slots int, to [][32]byte) ([]byte, error) {
	eph, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fault.Of(err)
	}
	public := eph.PublicKey().Bytes()
	out := make([]byte, entryHead+slots*slotSize)
	_, _ = rand.Read(out[entryHead:])
	out[0] = code
	copy(out[1:], public)
	for i, at := range shuffled(slots)[:len(to)] {
		p, err := ecdh.X25519().NewPublicKey(to[i][:])
		if err != nil {
			return nil, fault.Of(err)
		}
		shared, err := eph.ECDH(p)
		if err != nil {
			return nil, fault.Of(err) // a key of low order: of nobody
		}
		sk := b.slotKey(shared, public, to[i][:])
		aead, err := chacha20poly1305.New(sk[:])
		if err != nil {
			return nil, fault.Of(err)
		}
		slot := out[entryHead+at*slotSize:][:slotSize]
		copy(slot, aead.Seal(nil, make([]byte, chacha20poly1305.NonceSize), k[:], nil))
	}
	return out, nil
}

// shuffled is 0…n-1 in an order nobody can foretell.
func shuffled(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j, err := rand.Int(rand.Reader, big.NewInt(int64(i+1)))
		if err != nil {
			panic("sealed: " + err.Error()) // crypto/rand never fails
		}
		out[i], out[j.Int64()] = out[j.Int64()], out[i]
	}
	return out
}

// sealedEntry is an entry taken apart.
type sealedEntry struct {
	raw   []byte
	slots int
}

func parseEntry(raw []byte) (sealedEntry, bool) {
	if !slices.Contains(oplog.SealedSizes(), len(raw)) || int(raw[0]) >= len(slotCounts) {
		return sealedEntry{}, false
	}
	e := sealedEntry{raw: raw, slots: slotCounts[raw[0]]}
	return e, len(raw) > e.head()+chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead
}

func (e sealedEntry) head() int { return entryHead + e.slots*slotSize }

// open opens an entry with the file's key.
func (b binder) open(e sealedEntry, k key) (content []byte, ok bool) {
	ek := b.entryKey(k)
	aead, err := chacha20poly1305.NewX(ek[:])
	if err != nil {
		return nil, false
	}
	head, rest := e.raw[:e.head()], e.raw[e.head():]
	plain, err := aead.Open(nil, rest[:chacha20poly1305.NonceSizeX], rest[chacha20poly1305.NonceSizeX:], append(b.bytes("waypost/sealed/1"), head...))
	if err != nil {
		return nil, false
	}
	n, used := binary.Uvarint(plain)
	if used <= 0 || n > uint64(len(plain)-used) {
		return nil, false
	}
	for _, c := range plain[used+int(n):] { //nolint:gosec // bounded above
		if c != 0 {
			return nil, false
		}
	}
	return plain[used:][:n], true
}

// given is the file's key, when one of the slots is for this X25519 key.
func (b binder) given(e sealedEntry, mine *ecdh.PrivateKey) (k key, ok bool) {
	public := e.raw[1:entryHead]
	p, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return k, false
	}
	shared, err := mine.ECDH(p)
	if err != nil {
		return k, false
	}
	sk := b.slotKey(shared, public, mine.PublicKey().Bytes())
	aead, err := chacha20poly1305.New(sk[:])
	if err != nil {
		return k, false
	}
	nonce := make([]byte, chacha20poly1305.NonceSize)
	for i := range e.slots {
		if plain, err := aead.Open(nil, nonce, e.raw[entryHead+i*slotSize:][:slotSize], nil); err == nil && len(plain) == 32 {
			return key(plain), true
		}
	}
	return k, false
}

// entryID names an entry by what it says.
func (b binder) entryID(record []byte) (id [16]byte) {
	sum := sha256.Sum256(append(b.bytes("waypost/sealed-entry/1"), record...))
	copy(id[:], sum[:])
	return id
}
