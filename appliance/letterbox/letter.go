package letterbox

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind says what a letter's body is.
type Kind uint8

// The kinds. Numbers are stored and never used again for something else.
const (
	Household Kind = 1 // people who want to be registered
	Count     Kind = 2 // how many passed the gate
)

// ID names a letter by its content and the form it came by.
type ID [16]byte

// String is 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Letter is one opened letter.
type Letter struct {
	ID     ID
	Number uint64 // of the letterbox, from 1: what the person at the gate was told
	Kind   Kind
	At     time.Time // by the box's clock, whole seconds UTC
	Unsure bool      // nobody had set that clock
	Body   []byte
}

const (
	letterMagic   = "waypost/letter/1"
	letterVersion = 1
	letterHead    = len(letterMagic) + 8 + 16
	letterEnc     = 32
	letterTag     = 16
	letterSum     = 8
	plainHead     = 15

	// Step is what lengths are rounded up to.
	Step = 4096
	// MaxBody is the longest body, in bytes.
	MaxBody   = 32 << 10
	maxLetter = letterHead + letterEnc + (MaxBody/Step+1)*Step + letterTag + letterSum
)

// errLetter is damage or another key: an AEAD cannot tell which.
var errLetter = errors.New("letterbox: letter does not open")

// idOf names a letter.
func idOf(once string, kind Kind, body []byte) ID {
	h := sha256.New()
	h.Write([]byte("waypost/letter-id/1"))
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(once)))) //nolint:gosec // a form's key is short
	h.Write([]byte(once))
	h.Write([]byte{byte(kind)})
	h.Write(body)
	return ID(h.Sum(nil)[:16])
}

func info(a Address, number uint64, id ID) []byte {
	return slices.Concat([]byte(sealedInfo), a.Deployment[:], a.Node[:], binary.BigEndian.AppendUint64(nil, number), id[:])
}

// seal makes the file of a letter.
func seal(a Address, l Letter) ([]byte, error) {
	public, err := kem().NewPublicKey(a.Public[:])
	if err != nil {
		return nil, err
	}
	plain := encodePlain(l)
	defer clear(plain)
	sealed, err := hpke.Seal(public, kdf(), aead(), info(a, l.Number, l.ID), plain)
	if err != nil {
		return nil, err
	}
	b := append([]byte(letterMagic), binary.BigEndian.AppendUint64(nil, l.Number)...)
	b = append(append(b, l.ID[:]...), sealed...)
	sum := sha256.Sum256(b)
	return append(b, sum[:letterSum]...), nil
}

func encodePlain(l Letter) []byte {
	n := plainHead + len(l.Body)
	b := make([]byte, plainHead, (n+Step-1)/Step*Step)
	b[0], b[1] = letterVersion, byte(l.Kind)
	binary.BigEndian.PutUint64(b[2:], uint64(l.At.Unix())) //nolint:gosec // a time is a time, also before 1970
	if l.Unsure {
		b[10] = 1
	}
	binary.BigEndian.PutUint32(b[11:], uint32(len(l.Body))) //nolint:gosec // at most MaxBody
	b = append(b, l.Body...)
	return b[:cap(b)]
}

// whole reads what a locked box can read of a letter's file: that it is whole, and what it
// is called.
func whole(b []byte) (number uint64, id ID, err error) {
	sealed := len(b) - letterHead - letterEnc - letterTag - letterSum
	if len(b) > maxLetter || sealed < Step || sealed%Step != 0 || !bytes.HasPrefix(b, []byte(letterMagic)) {
		return 0, ID{}, errLetter
	}
	body, sum := b[:len(b)-letterSum], sha256.Sum256(b[:len(b)-letterSum])
	if !bytes.Equal(sum[:letterSum], b[len(body):]) {
		return 0, ID{}, errLetter
	}
	return binary.BigEndian.Uint64(b[len(letterMagic):]), ID(b[letterHead-16 : letterHead]), nil
}

// open reads a letter's file, which may be anything.
func open(k Key, b []byte) (Letter, error) {
	number, id, err := whole(b)
	if err != nil {
		return Letter{}, err
	}
	plain, err := hpke.Open(k.private, kdf(), aead(), info(k.address, number, id), b[letterHead:len(b)-letterSum])
	if err != nil {
		return Letter{}, errLetter
	}
	defer clear(plain)
	l, err := decodePlain(plain)
	l.Number, l.ID = number, id
	return l, err
}

func decodePlain(b []byte) (Letter, error) {
	if len(b) < plainHead || len(b)%Step != 0 || b[0] != letterVersion || b[10] > 1 {
		return Letter{}, errLetter
	}
	n := binary.BigEndian.Uint32(b[11:])
	if n > MaxBody || int(n) > len(b)-plainHead || bytes.ContainsFunc(b[plainHead+int(n):], func(r rune) bool { return r != 0 }) {
		return Letter{}, errLetter
	}
	return Letter{
		Kind: Kind(b[1]), At: time.Unix(int64(binary.BigEndian.Uint64(b[2:])), 0).UTC(), //nolint:gosec // as it was written
		Unsure: b[10] == 1, Body: bytes.Clone(b[plainHead : plainHead+int(n)]),
	}, nil
}

// fileName is what a letter's file is called; sorted by name they come in their order.
func fileName(number uint64, id ID) string { return fmt.Sprintf("%010d-%s", number, id) }

// parseFileName reads one; false for anything else that lies in the folder.
func parseFileName(name string) (number uint64, id ID, ok bool) {
	head, tail, found := strings.Cut(name, "-")
	if !found || len(head) < 10 || len(head) > 20 {
		return 0, ID{}, false
	}
	number, err := strconv.ParseUint(head, 10, 64)
	raw, idErr := hex.DecodeString(tail)
	if err != nil || idErr != nil || len(raw) != len(id) || number == 0 {
		return 0, ID{}, false
	}
	id = ID(raw)
	return number, id, fileName(number, id) == name
}
