package tokens

// The alphabet of RFC 9285 table 1: exactly the characters of the alphanumeric
// mode of a QR code. Written here because no maintained Go module for base45 is
// served, and because a lenient decoder would let two texts mean one card.
const alphabet45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

// encode45 is RFC 9285 section 3: two bytes make three characters, least
// significant first; a last single byte makes two.
func encode45(b []byte) string {
	out := make([]byte, 0, (len(b)+1)/2*3)
	for ; len(b) >= 2; b = b[2:] {
		n := int(b[0])<<8 | int(b[1])
		out = append(out, alphabet45[n%45], alphabet45[n/45%45], alphabet45[n/2025])
	}
	if len(b) == 1 {
		out = append(out, alphabet45[b[0]%45], alphabet45[b[0]/45])
	}
	return string(out)
}

// decode45 reads what encode45 wrote and nothing else: every character must be
// of the alphabet (upper case), three characters may not exceed 65535 nor two
// 255, and one cannot be left over. So each byte string has exactly one text.
func decode45(s string) ([]byte, bool) {
	if len(s)%3 == 1 {
		return nil, false
	}
	out := make([]byte, 0, len(s)/3*2+1)
	for ; len(s) > 0; s = s[min(3, len(s)):] {
		n, weight := 0, 1
		for i := 0; i < min(3, len(s)); i++ {
			v := value45(s[i])
			if v < 0 {
				return nil, false
			}
			n += v * weight
			weight *= 45
		}
		switch {
		case len(s) >= 3 && n <= 0xffff:
			out = append(out, byte(n>>8), byte(n))
		case len(s) == 2 && n <= 0xff:
			out = append(out, byte(n))
		default:
			return nil, false
		}
	}
	return out, true
}

// value45 is a character's place in the alphabet, or -1.
func value45(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'Z':
		return int(c-'A') + 10
	}
	for i := 36; i < len(alphabet45); i++ {
		if alphabet45[i] == c {
			return i
		}
	}
	return -1
}
