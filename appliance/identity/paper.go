package identity

import (
	"encoding/base32"
	"encoding/binary"
	"strconv"
	"strings"
	"unicode"

	"github.com/waypost/waypost/appliance/fault"
)

// What is printed to be typed in again years later: lines of ten bytes, each with a check
// of its own, so that a slip is found in its line. The alphabet is Crockford's base 32,
// in which I, L and O are taken for 1, 1 and 0.
const (
	paperBytes = 10 // of the content in one line
	paperChars = 20 // of a line: sixteen for those, four for 20 bits of a hash
	maxPaper   = 16 << 10
)

var paperText = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// paperMarks begin the text of a paper; each is one kind and version.
const (
	markShare = "WPSHARE1"
	markSheet = "WPROOT1"
)

// paperLine writes the ten bytes of line n, counted from 1.
func paperLine(mark string, n int, b []byte) string {
	sum := hashed("waypost/paper-line/1", []byte(mark), []byte{byte(n)}, b)
	top := binary.BigEndian.Uint32(sum) >> 12 // 20 bits
	check := make([]byte, 4)
	for i := range check {
		check[i] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[top>>(15-5*i)&31]
	}
	return paperText.EncodeToString(b) + string(check)
}

// paperLines writes content, whose length is a multiple of ten.
func paperLines(mark string, content []byte) []string {
	var lines []string
	for n := 0; n*paperBytes < len(content); n++ {
		lines = append(lines, paperLine(mark, n+1, content[n*paperBytes:(n+1)*paperBytes]))
	}
	return lines
}

// paperGroups is a line in five groups, for people.
func paperGroups(line string) string {
	var b strings.Builder
	for i := 0; i < len(line); i += 4 {
		if i > 0 {
			b.WriteByte('-')
		}
		b.WriteString(line[i:min(i+4, len(line))])
	}
	return b.String()
}

// paperFile is a paper as a text file: the mark, and the numbered lines.
func paperFile(mark string, lines []string) []byte {
	var b strings.Builder
	b.WriteString(mark + "\n")
	for i, l := range lines {
		b.WriteString(strconv.Itoa(i+1) + ": " + paperGroups(l) + "\n")
	}
	return []byte(b.String())
}

// readPaper reads n lines back, however they were typed: numbered or not, in groups or
// not, or all in one as a QR code has them. What stands before the mark counts for
// nothing, and the mark may be left out. Faults: Invalid "fault.identity.paper_none" for
// what is no such paper, "fault.identity.paper_line" and "fault.identity.paper_missing",
// which name the line, "fault.identity.paper_long".
func readPaper(mark string, n int, text string) ([]byte, error) {
	if len(text) > maxPaper {
		return nil, fault.New(fault.Invalid, "fault.identity.paper_none")
	}
	text = strings.ToUpper(text)
	for _, other := range []string{markShare, markSheet} {
		_, after, found := strings.Cut(text, other)
		switch {
		case found && other != mark:
			return nil, fault.New(fault.Invalid, "fault.identity.paper_other")
		case found:
			text = after
		}
	}
	lines := typedLines(text)
	if len(lines) == 1 && len(lines[0]) == n*paperChars {
		one := lines[0]
		lines = nil
		for i := range n {
			lines = append(lines, one[i*paperChars:(i+1)*paperChars])
		}
	}
	if len(lines) == 0 {
		return nil, fault.New(fault.Invalid, "fault.identity.paper_none")
	}
	var content []byte
	for i := range n {
		if i >= len(lines) {
			return nil, fault.New(fault.Invalid, "fault.identity.paper_missing", "Line", i+1)
		}
		b, err := paperText.DecodeString(lines[i][:min(len(lines[i]), paperChars-4)])
		if err != nil || len(b) != paperBytes || paperLine(mark, i+1, b) != lines[i] {
			return nil, fault.New(fault.Invalid, "fault.identity.paper_line", "Line", i+1)
		}
		content = append(content, b...)
	}
	if len(lines) > n {
		return nil, fault.New(fault.Invalid, "fault.identity.paper_long", "Line", n)
	}
	return content, nil
}

// typedLines are the lines of text that have anything in them, without numbers before
// them, blanks and dashes. text is in capitals.
func typedLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if i := strings.IndexAny(line, ":.)"); i >= 0 && i < 4 {
			line = line[i+1:]
		}
		line = strings.Map(func(r rune) rune {
			switch {
			case r == 'O':
				return '0'
			case r == 'I', r == 'L':
				return '1'
			case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), r == '\u200b', r == '\ufeff':
				return -1
			}
			return r
		}, line)
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
