package tokens

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"unicode"

	"github.com/waypost/waypost/appliance/fault"
)

// The typed code stands under the QR code for the day no camera works: 10
// characters of a hash of the holder and 2 check characters. It finds a person
// in the register; it proves nothing.

// crockford is Douglas Crockford's base32 alphabet: no I, L, O, U.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

const (
	typedData  = 10            // characters of hash
	typedSize  = typedData + 2 // with the check characters
	typedLabel = "waypost/typed/1"
)

// Log and exponent tables of GF(32) over x^5+x^2+1 with the primitive element 2.
// The twelve characters are a codeword of the Reed-Solomon code with roots 1 and
// 2: its distance is 3, so any two wrong or exchanged characters are detected,
// and not only the single error and the swap of neighbours the code is for.
var gfExp, gfLog = gfTables()

func gfTables() (exp [62]byte, log [32]byte) {
	x := 1
	for i := range 31 {
		exp[i], exp[i+31] = byte(x), byte(x)
		log[x] = byte(i)
		if x <<= 1; x >= 32 {
			x ^= 0b100101
		}
	}
	return exp, log
}

// syndromes evaluates the twelve symbols as a polynomial at 1 and at 2.
func syndromes(code [typedSize]byte) (s0, s1 byte) {
	for _, c := range code {
		if s1 != 0 {
			s1 = gfExp[gfLog[s1]+1]
		}
		s0 ^= c
		s1 ^= c
	}
	return s0, s1
}

// TypedCode is the code printed under a holder's QR code: "XXXX-XXXX-XXXX". It
// is the same for every card of one holder.
func TypedCode(holder [10]byte) string {
	sum := sha256.Sum256(append([]byte(typedLabel), holder[:]...))
	hash := binary.BigEndian.Uint64(sum[:]) >> 14
	var code [typedSize]byte
	for i := range typedData {
		code[i] = byte(hash>>(5*(typedData-1-i))) & 31
	}
	// With the check characters p, q last: s0+p+q = 0 and s1+2p+q = 0, where s0
	// and s1 are the syndromes without them; so 3p = s0+s1 and q = s0+p.
	s0, s1 := syndromes(code)
	if sum := s0 ^ s1; sum != 0 {
		code[typedData] = gfExp[31+int(gfLog[sum])-int(gfLog[3])]
	}
	code[typedData+1] = s0 ^ code[typedData]
	return spell(code)
}

func spell(code [typedSize]byte) string {
	var b strings.Builder
	for i, c := range code {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(crockford[c])
	}
	return b.String()
}

// ParseTyped brings a typed code, as somebody typed it, into the form that
// TypedCode writes: either case, O for 0, I and L for 1, digits of any script,
// with or without dashes, dots and blanks. Faults: Invalid
// "fault.tokens.typed_form" when it is not twelve such characters,
// "fault.tokens.typed_wrong" when the check characters say it was mistyped.
func ParseTyped(s string) (string, error) {
	var code [typedSize]byte
	n := 0
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || unicode.Is(unicode.Cf, r) || r == '.' || r == '_' || r == '\u2212' {
			continue
		}
		v, ok := typedValue(r)
		if !ok || n == typedSize {
			return "", fault.New(fault.Invalid, "fault.tokens.typed_form")
		}
		code[n] = v
		n++
	}
	if n != typedSize {
		return "", fault.New(fault.Invalid, "fault.tokens.typed_form")
	}
	if s0, s1 := syndromes(code); s0 != 0 || s1 != 0 {
		return "", fault.New(fault.Invalid, "fault.tokens.typed_wrong")
	}
	return spell(code), nil
}

// typedValue is what a character stands for in Crockford's alphabet.
func typedValue(r rune) (byte, bool) {
	switch r = unicode.ToUpper(r); r {
	case 'O':
		r = '0'
	case 'I', 'L':
		r = '1'
	}
	if d, ok := digit(r); ok {
		return d, true
	}
	if r > unicode.MaxASCII {
		return 0, false
	}
	i := strings.IndexByte(crockford, byte(r))
	return byte(i), i >= 0
}

// digit is the value of a decimal digit of any script: Unicode keeps them in
// runs of ten that begin with zero (The Unicode Standard, section 4.6).
func digit(r rune) (byte, bool) {
	for _, run := range unicode.Nd.R16 {
		if r >= rune(run.Lo) && r <= rune(run.Hi) {
			return byte((r - rune(run.Lo)) % 10), true
		}
	}
	return 0, false
}
