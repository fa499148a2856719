package tokens

import (
	"crypto/ed25519"
	"encoding/binary"
	"strings"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

// Kind says what a card is for. Numbers are on printed cards: only ever added.
type Kind uint8

// The kinds of format version 1.
const (
	Individual Kind = 1 // one person
	Household  Kind = 2 // the head of a household, for all of its members
	Collector  Kind = 3 // somebody who collects for others
	Voucher    Kind = 4 // whoever holds it
	Staff      Kind = 5 // people who work here
	Device     Kind = 6 // an enrolled phone
)

// Sizes of format version 1, in bytes and characters.
const (
	version1  = 1
	bodySize  = 16
	tokenSize = bodySize + ed25519.SignatureSize
	prefix    = "WP1:"
	TextSize  = len(prefix) + tokenSize/2*3 // 124 characters
)

// maxText bounds what Parse looks at: no QR code holds more characters.
const maxText = 4296

// epoch is day 0 of an expiry.
var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// Token is what a card carries. It names nobody: Holder is a random number that
// only the register can turn into a person.
type Token struct {
	Version    uint8    // 1
	Kind       Kind     // what the card is for
	Node       uint16   // number of the node that signed it
	Holder     [10]byte // random pseudonym, the same on every reissue
	Generation uint8    // 0 on the first card, one more on each reissue
	Expiry     uint16   // days since 2020-01-01 UTC; the last day the card counts
	Sig        [64]byte // Ed25519, see doc.go
}

var (
	errMalformed = fault.New(fault.Invalid, "fault.tokens.malformed")
	errNewer     = fault.New(fault.Unsupported, "fault.tokens.newer_card")
)

// Parse reads the text of a QR code, as a camera, a wedge scanner or a keyboard
// delivers it: letters of either case, blanks and line ends around it. Inner
// blanks belong to the text. It checks the form and not the signature.
//
// Faults: Invalid "fault.tokens.malformed" for anything that is no whole WP1
// token, Unsupported "fault.tokens.newer_card" for a version or kind that a
// later release may print.
func Parse(text string) (Token, error) {
	if len(text) > maxText {
		return Token{}, errMalformed
	}
	s := upper(strings.TrimSpace(text))
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		if len(s) > 4 && s[:2] == "WP" && s[2] >= '2' && s[2] <= '9' && s[3] == ':' {
			return Token{}, errNewer
		}
		return Token{}, errMalformed
	}
	b, ok := decode45(rest)
	if !ok || len(b) == 0 || b[0]>>4 == 0 {
		return Token{}, errMalformed
	}
	if b[0]>>4 != version1 {
		return Token{}, errNewer
	}
	if len(b) != tokenSize {
		return Token{}, errMalformed
	}
	t := fromBytes(b)
	switch {
	case t.Kind == 0:
		return Token{}, errMalformed
	case t.Kind > Device:
		return Token{}, errNewer
	}
	return t, nil
}

// upper folds ASCII letters only: Unicode folding would make an I of a dotless i
// and so accept texts nobody printed.
func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - ('a' - 'A')
		}
	}
	return string(b)
}

func fromBytes(b []byte) Token {
	t := Token{
		Version:    b[0] >> 4,
		Kind:       Kind(b[0] & 15),
		Node:       binary.BigEndian.Uint16(b[1:]),
		Generation: b[13],
		Expiry:     binary.BigEndian.Uint16(b[14:]),
	}
	copy(t.Holder[:], b[3:])
	copy(t.Sig[:], b[bodySize:])
	return t
}

// body is the signed part as it is printed.
func (t Token) body() [bodySize]byte {
	var b [bodySize]byte
	b[0] = t.Version<<4 | byte(t.Kind)&15
	binary.BigEndian.PutUint16(b[1:], t.Node)
	copy(b[3:], t.Holder[:])
	b[13] = t.Generation
	binary.BigEndian.PutUint16(b[14:], t.Expiry)
	return b
}

// String is the text of the QR code: 124 characters. Parse reads it back.
func (t Token) String() string {
	b := t.body()
	return prefix + encode45(append(b[:], t.Sig[:]...))
}

// LastDay is midnight UTC of the last day on which the card counts.
func (t Token) LastDay() time.Time { return epoch.Add(time.Duration(t.Expiry) * day) }

// Expires is the moment from which the card no longer counts: the end of LastDay.
func (t Token) Expires() time.Time { return t.LastDay().Add(day) }

// expiryDay is the expiry field for a card good until at. False when that day
// cannot be written (before 2020, after 2199).
func expiryDay(at time.Time) (uint16, bool) {
	secs := at.Unix() - epoch.Unix()
	days := secs / int64(day/time.Second)
	if secs < 0 || days > 0xffff {
		return 0, false
	}
	return uint16(days), true
}
