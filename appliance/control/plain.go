package control

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Plain makes s safe and single-lined for a terminal. Names of sites and posts
// come from other boxes; none of them may move the cursor, change the title,
// colour what follows or turn the reading direction of the rest of the line.
// Escape sequences (ECMA-48) are dropped whole, other control characters and the
// bidirectional overrides, embeddings and isolates of Unicode are dropped, line
// breaks and tabs become blanks, broken UTF-8 becomes U+FFFD. Joiners stay: Persian
// and Burmese need them.
func Plain(s string) string {
	if printable(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == 0x1b || r == 0x9b || r == 0x90 || r == 0x9d {
			i += escape(s[i:], r, size)
			continue
		}
		i += size
		switch {
		case r == '\n' || r == '\t' || r == 0x2028 || r == 0x2029:
			b.WriteByte(' ')
		case !dropped(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

func printable(s string) bool {
	for _, r := range s {
		if dropped(r) || r == 0x2028 || r == 0x2029 || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// dropped are the controls, and what changes the direction of text around it.
func dropped(r rune) bool {
	return unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff
}

// escape is the length of the sequence at the start of s, whose first rune is r:
// a control sequence ends at its final byte, a string (title, clipboard) at BEL or
// ST, any other escape after its final character. One that never ends takes the
// rest.
func escape(s string, r rune, size int) int {
	i, kind := size, r
	if r == 0x1b {
		if i >= len(s) {
			return i
		}
		switch s[i] {
		case '[':
			kind = 0x9b
		case ']':
			kind = 0x9d
		case 'P', 'X', '^', '_':
			kind = 0x90
		default:
			return escapeShort(s, i)
		}
		i++
	}
	if kind == 0x9b {
		for ; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
		}
		return i
	}
	for ; i < len(s); i++ {
		switch {
		case s[i] == 0x07:
			return i + 1
		case s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\':
			return i + 2
		case strings.HasPrefix(s[i:], "\u009c"):
			return i + 2
		}
	}
	return i
}

// escapeShort: intermediate bytes, then one final character.
func escapeShort(s string, i int) int {
	for i < len(s) && s[i] >= 0x20 && s[i] <= 0x2f {
		i++
	}
	if i >= len(s) {
		return i
	}
	_, size := utf8.DecodeRuneInString(s[i:])
	return i + size
}
