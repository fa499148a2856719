package registration

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/waypost/waypost/appliance/fault"
)

// Limits of a list in a file.
const (
	maxFile    = 256 << 20 // bytes
	maxRecord  = 256 << 10 // bytes of one row
	maxLines   = 200       // lines one row may span through quoted line breaks
	sniffBytes = 64 << 10
)

// Table is a list as it was read: a header and rows.
type Table struct {
	Header []string
	Rows   []TableRow
}

// TableRow is one row. A row with a Problem is passed on so that it can be shown and
// kept; its cells are what could be read of it, Raw is all of it.
type TableRow struct {
	Line    int      // where it begins, counted from 1
	Cells   []string // trimmed
	Raw     string   // as it stood in the file, in UTF-8 (broken bytes as U+FFFD)
	Problem *Problem // nil when the row could be read
}

// ReadCSV reads comma, semicolon or tab separated values (RFC 4180, with the liberties
// spreadsheets take). UTF-8 and UTF-16 are read, with or without a byte order mark; a
// file in a one-byte encoding is refused, because guessing which one would turn names
// into rubbish: Unsupported "fault.registration.encoding". A row whose quotes do not
// close, that has more cells than the header, or whose bytes are broken costs only
// itself. Empty rows are passed over. Other faults: TooLarge "fault.registration.file_large",
// Invalid "fault.registration.no_rows".
func ReadCSV(r io.Reader) (Table, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return Table{}, err
	}
	if len(b) > maxFile {
		return Table{}, fault.New(fault.TooLarge, "fault.registration.file_large", "Max", maxFile>>20)
	}
	text, err := decodeText(b)
	if err != nil {
		return Table{}, err
	}
	p := csvReader{text: text, line: 1, comma: sniffComma(text)}
	var t Table
	for p.pos < len(p.text) {
		row := p.row(len(t.Header))
		for i, c := range row.Cells {
			if bare, ok := strings.CutPrefix(c, "'"); ok && BeginsFormula(bare) {
				row.Cells[i] = bare // somebody's export kept a spreadsheet from running it
			}
		}
		if row.Problem == nil && isBlank(row.Cells) {
			continue
		}
		if t.Header == nil {
			if row.Problem != nil {
				return Table{}, fault.New(fault.Invalid, "fault.registration.header")
			}
			t.Header = trimRight(row.Cells)
			continue
		}
		t.Rows = append(t.Rows, row)
	}
	if len(t.Rows) == 0 {
		return Table{}, fault.New(fault.Invalid, "fault.registration.no_rows")
	}
	return t, nil
}

// BeginsFormula tells whether a spreadsheet would run a cell instead of showing it: it
// begins with one of = @ + - | or a control character, and is no number, as of a telephone.
func BeginsFormula(cell string) bool {
	cell = strings.TrimLeft(cell, " ")
	if cell == "" {
		return false
	}
	switch cell[0] {
	case '=', '@', '|', '\t', '\r':
		return true
	case '+', '-':
		return strings.Trim(cell[1:], "0123456789 .,()/-") != "" || strings.ContainsAny(cell[1:], "/")
	}
	return false
}

// decodeText makes UTF-8 of a file's bytes, without a byte order mark.
func decodeText(b []byte) (string, error) {
	encoding := fault.New(fault.Unsupported, "fault.registration.encoding")
	switch {
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		return utf16Text(b[2:], binary.LittleEndian), nil
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		return utf16Text(b[2:], binary.BigEndian), nil
	case bytes.HasPrefix(b, []byte{0xef, 0xbb, 0xbf}):
		return string(b[3:]), nil
	}
	// Without a mark: every second byte of ASCII characters in UTF-16 is zero.
	head := b[:min(len(b), sniffBytes)&^1]
	even, odd := 0, 0
	for i := 0; i+1 < len(head); i += 2 {
		if head[i] == 0 {
			even++
		}
		if head[i+1] == 0 {
			odd++
		}
	}
	switch pairs := len(head) / 2; {
	case odd > pairs/4 && even == 0:
		return utf16Text(b, binary.LittleEndian), nil
	case even > pairs/4 && odd == 0:
		return utf16Text(b, binary.BigEndian), nil
	case even+odd > 0:
		return "", encoding // zeros belong to no list: a spreadsheet, a picture, an archive
	}
	if utf8.Valid(b) || hasMultibyte(b) {
		return string(b), nil // in the second case single rows are broken, and are named
	}
	return "", encoding
}

// hasMultibyte reports whether there is at least one whole character of UTF-8 beyond
// ASCII, and more of them than broken bytes. Text of a one-byte encoding almost never has one.
func hasMultibyte(b []byte) bool {
	good, bad := 0, 0
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			bad++
		} else if n > 1 {
			good++
		}
		b = b[n:]
	}
	return good > bad
}

func utf16Text(b []byte, order binary.ByteOrder) string {
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	return string(utf16.Decode(units))
}

// sniffComma picks the separator that stands most often in the first line outside
// quotes; a comma when there is none.
func sniffComma(text string) byte {
	line := strings.TrimLeft(text[:min(len(text), sniffBytes)], "\r\n \t")
	counts := map[byte]int{}
	quoted := false
scan:
	for i := range len(line) {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\n' || c == '\r':
			break scan
		case c == ',' || c == ';' || c == '\t':
			counts[c]++
		}
	}
	best := byte(',')
	for _, c := range []byte{';', '\t'} {
		if counts[c] > counts[best] {
			best = c
		}
	}
	return best
}

// csvReader walks over the text of a file.
type csvReader struct {
	text  string
	pos   int
	line  int // of pos, counted from 1
	comma byte
}

// row reads the row at pos and moves behind it. Whatever is wrong with it, the next
// row begins on the line after the one this row began on.
func (p *csvReader) row(columns int) TableRow {
	start, line := p.pos, p.line
	cells, end, problem := p.cells(start)
	if problem == "" && columns > 0 {
		if len(trimRight(cells)) > columns {
			problem = "columns"
		} else if many := strings.Count(p.text[start:end], "\n") > 0; many && len(cells) < columns {
			problem = "quotes" // a quote that opened here and closed in a later row
		}
	}
	if problem != "" {
		end = start + lineLength(p.text[start:])
	}
	raw := p.text[start:end]
	p.pos = end + newlineLength(p.text[end:])
	p.line += strings.Count(p.text[start:p.pos], "\n")
	if p.pos > end && p.text[p.pos-1] == '\r' {
		p.line++ // old Macintosh line ends
	}
	if problem == "" && (!utf8.ValidString(raw) || strings.ContainsRune(raw, utf8.RuneError)) {
		problem = "encoding"
	}
	out := TableRow{Line: line, Raw: strings.ToValidUTF8(raw, "\ufffd")}
	for _, c := range cells {
		out.Cells = append(out.Cells, strings.TrimSpace(strings.ToValidUTF8(c, "\ufffd")))
	}
	if problem != "" {
		out.Problem = &Problem{Key: "registration.problem." + problem, Args: map[string]any{"Max": columns}}
	}
	return out
}

// cells splits the record that begins at pos; end is where its line break stands. A
// field may begin with blanks before its quote.
func (p *csvReader) cells(pos int) (cells []string, end int, problem string) {
	limit := min(len(p.text), pos+maxRecord)
	for {
		value, next, ok := p.cell(pos, limit)
		if !ok {
			return cells, pos, "quotes"
		}
		cells = append(cells, value)
		if next >= len(p.text) || p.text[next] != p.comma {
			if next >= limit && limit < len(p.text) {
				return cells, next, "row_long"
			}
			return cells, next, ""
		}
		pos = next + 1
	}
}

// cell reads one field and returns where the separator or line break behind it is.
func (p *csvReader) cell(pos, limit int) (value string, next int, ok bool) {
	begin := pos
	for begin < limit && (p.text[begin] == ' ' || p.text[begin] == '\t' && p.comma != '\t') {
		begin++
	}
	if begin >= limit || p.text[begin] != '"' {
		next = pos
		for next < limit && p.text[next] != p.comma && p.text[next] != '\n' && p.text[next] != '\r' {
			next++
		}
		return p.text[pos:next], next, true
	}
	var b strings.Builder
	lines := 0
	for i := begin + 1; i < limit; i++ {
		switch c := p.text[i]; {
		case c == '"' && i+1 < limit && p.text[i+1] == '"':
			b.WriteByte('"')
			i++
		case c == '"':
			return b.String(), p.afterQuote(i+1, limit), p.closes(i+1, limit)
		default:
			if c == '\n' {
				if lines++; lines > maxLines {
					return "", 0, false
				}
			}
			b.WriteByte(c)
		}
	}
	return "", 0, false
}

// afterQuote passes over blanks behind a closing quote.
func (p *csvReader) afterQuote(i, limit int) int {
	for i < limit && (p.text[i] == ' ' || p.text[i] == '\t' && p.comma != '\t') {
		i++
	}
	return i
}

// closes reports whether a field may end here: at a separator or a line break.
func (p *csvReader) closes(i, limit int) bool {
	i = p.afterQuote(i, limit)
	return i >= len(p.text) || i < limit && (p.text[i] == p.comma || p.text[i] == '\n' || p.text[i] == '\r')
}

func lineLength(s string) int {
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		return i
	}
	return len(s)
}

func newlineLength(s string) int {
	switch {
	case strings.HasPrefix(s, "\r\n"):
		return 2
	case s != "" && (s[0] == '\n' || s[0] == '\r'):
		return 1
	}
	return 0
}

func isBlank(cells []string) bool { return len(trimRight(cells)) == 0 }

// trimRight leaves out empty cells at the end.
func trimRight(cells []string) []string {
	for len(cells) > 0 && strings.TrimSpace(cells[len(cells)-1]) == "" {
		cells = cells[:len(cells)-1]
	}
	return cells
}
