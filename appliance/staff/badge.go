package staff

import (
	"crypto/sha256"
	"strings"
)

// A badge says whose it is, for those who type slowly; it proves nothing. Its code is
// nine letters and digits made from the account's id, which is public, and the last of
// them checks the others. It is no secret and cannot be one: it hangs around a neck.
const (
	badgeLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ" // Crockford's: nothing looks like anything else
	badgeLength  = 9
	badgePrefix  = "WPS1:" // in the QR code, so that a scanner knows what it sees
)

// badgeOf is the code of an account.
func badgeOf(id ID) string {
	sum := sha256.Sum256(append([]byte("waypost/badge/1"), id[:]...))
	var b strings.Builder
	for i := range badgeLength - 1 {
		b.WriteByte(badgeLetters[sum[i]&31])
	}
	return b.String() + string(badgeCheck(b.String()))
}

func badgeCheck(code string) byte {
	sum := 0
	for i := range len(code) {
		sum = (sum*7 + strings.IndexByte(badgeLetters, code[i]) + i) % 31
	}
	return badgeLetters[sum]
}

// showBadge is a code as people read and type it.
func showBadge(code string) string { return code[:3] + "-" + code[3:6] + "-" + code[6:] }

// BadgeText is what the QR code of a badge holds.
func BadgeText(badge string) string { return badgePrefix + badge }

// parseBadge reads what was scanned or typed; empty when it is no badge.
func parseBadge(text string) string {
	if len(text) > 40 {
		return ""
	}
	text = strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(text)), badgePrefix)
	text = strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(text)
	if len(text) != badgeLength {
		return ""
	}
	for i := range len(text) {
		if strings.IndexByte(badgeLetters, text[i]) < 0 {
			return ""
		}
	}
	if badgeCheck(text[:badgeLength-1]) != text[badgeLength-1] {
		return ""
	}
	return text
}
