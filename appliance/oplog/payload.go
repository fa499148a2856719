package oplog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/crypto/chacha20poly1305"
)

// content is a payload before it is sealed: a CBOR array of seven.
type content struct {
	_       struct{} `cbor:",toarray"`
	Kind    string
	Version uint
	By      []byte // 8 bytes; null = the node itself
	At      int64  // Unix seconds: order is the clock's, and 4 bytes in every op are not nothing
	Unsure  bool
	Once    []byte // idempotency key (16, or its first 8 when the others are zero), and the hash of the request (8) unless the key is one; null = none
	Body    cbor.RawMessage
}

// Lengths of content.Once.
const (
	onceShort = 8
	onceKey   = 16
	onceLen   = onceKey + 8
)

var (
	errPayload = errors.New("payload is malformed")
	errSwells  = errors.New("payload opens to more than its size allows")
	errNoKey   = errors.New("payload is sealed under a key this node does not hold")
)

// decodeContent reads a payload's CBOR and checks what the type cannot say.
func decodeContent(plain []byte) (content, error) {
	var c content
	if err := decMode.Unmarshal(plain, &c); err != nil {
		return c, err
	}
	if c.Kind == "" || (c.By != nil && len(c.By) != len(By{})) || !onceFits(c.Once) || len(c.Body) == 0 {
		return c, errPayload
	}
	return c, nil
}

// lastSecond is the end of the year 9999, the last one RFC 3339 can write.
const lastSecond = 253402300799

// when is the wall time a payload claims; a claim outside 1970-9999 counts as none.
func (c *content) when() (time.Time, bool) {
	if c.At < 0 || c.At > lastSecond {
		return time.Unix(0, 0).UTC(), true
	}
	return time.Unix(c.At, 0).UTC(), c.Unsure
}

// onceFits reports whether an idempotency key has a length there is.
func onceFits(once []byte) bool {
	return once == nil || len(once) == onceShort || len(once) == onceKey || len(once) == onceLen
}

// onceOf is how an idempotency key is written: without zeros at its end that nobody needs.
func onceOf(key [onceKey]byte, hash [8]byte) []byte {
	switch {
	case hash != [8]byte{}:
		return append(bytes.Clone(key[:]), hash[:]...)
	case [onceKey - onceShort]byte(key[onceShort:]) == [onceKey - onceShort]byte{}:
		return bytes.Clone(key[:onceShort])
	}
	return bytes.Clone(key[:])
}

// onceIs is the idempotency key in its full length, and the hash of the request; zero when
// the key says it all. There is one.
func (c *content) onceIs() (key [onceKey]byte, hash [8]byte) {
	if copy(key[:], c.Once) == onceKey {
		copy(hash[:], c.Once[onceKey:])
	}
	return key, hash
}

// nonce is the record's salt followed by its sequence. The salt is drawn anew
// with every segment, so a number that is used twice (a clone, a write that
// failed) never meets the same key and nonce again.
func (r *record) nonce() []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 24), r.salt[:]...), r.ref.Seq)
}

const boundLabel = "waypost/payload/1"

// bound is the associated data of a payload.
func (r *record) bound(deployment [16]byte) []byte {
	b := make([]byte, 0, 128)
	b = append(b, boundLabel...)
	b = append(b, deployment[:]...)
	return r.appendHead(b)
}

// sealPayload compresses plain and seals it into r.payload. All header fields
// but the hashes are set. Deployment payloads stay readable.
func sealPayload(a Authority, r *record, plain []byte, tight bool) error {
	switch r.comp {
	case Deployment:
		r.payload = compress(nil, plain, tight)
		return nil
	case Narrow:
		var ok bool
		if r.payload, ok = ciphertextIn(plain); !ok {
			return errPayload
		}
		return nil
	}
	key, ok := a.CompartmentKey(r.comp, r.area, r.epoch)
	if !ok {
		return errNoKey
	}
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return err
	}
	packed := pack(make([]byte, 0, len(plain)+1+aead.Overhead()), plain, tight)
	r.payload = aead.Seal(packed[:0], r.nonce(), packed, r.bound(a.Deployment()))
	return nil
}

// openPayload is the reverse. It never changes r.payload.
func openPayload(a Authority, r *record) ([]byte, error) {
	switch r.comp {
	case Deployment:
		return expand(r.payload)
	case Narrow:
		return openNarrow(r)
	}
	packed, err := openPacked(a, r)
	if err != nil {
		return nil, err
	}
	return expand(packed)
}

// openPacked decrypts a payload and leaves it packed.
func openPacked(a Authority, r *record) ([]byte, error) {
	if r.comp == Deployment {
		return r.payload, nil
	}
	key, ok := a.CompartmentKey(r.comp, r.area, r.epoch)
	if !ok {
		return nil, errNoKey
	}
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return nil, err
	}
	packed, err := aead.Open(nil, r.nonce(), r.payload, r.bound(a.Deployment()))
	if err != nil {
		return nil, errPayload
	}
	return packed, nil
}
