package registration

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// folded letters: what a name is reduced to so that two spellings a person would call
// the same are the same. It is applied to the index and to the question alike, so it
// may lose much; it is never shown.

// letterFold maps letters that people and keyboards mix up. Latin letters are those
// without a decomposition in Unicode; the Arabic group follows what lists from the
// field do: hamza left out, final ya and alef maqsura exchanged, ta marbuta written as
// ha, Persian, Urdu and Kurdish forms of kaf, ya and ha.
var letterFold = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'đ': "d", 'ð': "d", 'þ': "th", 'ł': "l", 'ħ': "h", 'ı': "i", 'ŋ': "n", 'ə': "a",
	'ى': "ي", 'ی': "ي", 'ې': "ي", 'ے': "ي", 'ێ': "ي", 'ک': "ك", 'ڪ': "ك", 'ٱ': "ا", 'ٲ': "ا", 'ٳ': "ا", 'ء': "",
	'ة': "ه", 'ہ': "ه", 'ھ': "ه", 'ە': "ه", 'ۀ': "ه", 'ۃ': "ه", 'ۆ': "و", 'ۇ': "و", 'ڵ': "ل", 'ڕ': "ر",
	'ё': "е", 'ґ': "г", 'ς': "σ",
}

// foldName reduces a text to lower-case words of folded letters, joined by one space.
func foldName(s string) string {
	if plain, ok := foldASCII(s); ok {
		return plain
	}
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range norm.NFKD.String(s) {
		if silent(r) {
			continue
		}
		if d := digit(r); d >= 0 {
			r = '0' + rune(d)
		}
		r = unicode.ToLower(r)
		if !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) {
			space = true
			continue
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		if f, ok := letterFold[r]; ok {
			b.WriteString(f)
		} else {
			b.WriteRune(r)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// foldASCII is foldName for the texts that need no tables.
func foldASCII(s string) (string, bool) {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return "", false
		}
	}
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c == '\'' || c == '`':
			continue
		case (c < 'a' || c > 'z') && (c < '0' || c > '9'):
			c = ' '
		}
		if c != ' ' || len(out) > 0 && out[len(out)-1] != ' ' {
			out = append(out, c)
		}
	}
	return strings.TrimRight(string(out), " "), true
}

// silent characters fall away: apostrophes of every kind, tatweel, joiners, and the
// marks that only say how a letter is pronounced. Vowel signs of Burmese, Thai, Lao,
// Khmer, Ethiopic and the Indic scripts stay: there they are the name.
func silent(r rune) bool {
	switch r {
	case '\'', '`', '’', '‘', 'ʼ', 'ʻ', 'ʾ', 'ʿ', '´', '′', 'ـ', '\u200c', '\u200d', '\u200b', '\u00ad':
		return true
	}
	return r >= 0x0300 && r <= 0x036f || // combining marks of Latin, Greek and Cyrillic
		r >= 0x0483 && r <= 0x0487 || // Cyrillic
		r >= 0x0591 && r <= 0x05c7 || // Hebrew points
		r >= 0x0610 && r <= 0x061a || r >= 0x064b && r <= 0x065f || r == 0x0670 || r >= 0x06d6 && r <= 0x06ed || // Arabic
		r >= 0xfe00 && r <= 0xfe0f // variation selectors
}

// foldNumber reduces a document number or a phone to its letters and digits.
func foldNumber(s string) string { return strings.ReplaceAll(foldName(s), " ", "") }

// within1 reports whether one inserted, left out, exchanged or swapped letter makes a
// into b. Both are valid UTF-8.
func within1(a, b string) bool {
	if len(a)-len(b) > 4 || len(b)-len(a) > 4 { // one letter has at most four bytes
		return false
	}
	for a != "" && b != "" {
		ra, na := utf8.DecodeRuneInString(a)
		rb, nb := utf8.DecodeRuneInString(b)
		if ra != rb {
			break
		}
		a, b = a[na:], b[nb:]
	}
	if a == "" || b == "" {
		rest := a + b
		_, n := utf8.DecodeRuneInString(rest)
		return n == len(rest)
	}
	ra, na := utf8.DecodeRuneInString(a)
	rb, nb := utf8.DecodeRuneInString(b)
	if a[na:] == b[nb:] || a[na:] == b || a == b[nb:] {
		return true
	}
	ra2, na2 := utf8.DecodeRuneInString(a[na:])
	rb2, nb2 := utf8.DecodeRuneInString(b[nb:])
	return na2 > 0 && nb2 > 0 && ra == rb2 && rb == ra2 && a[na+na2:] == b[nb+nb2:]
}
