package main

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/ui/locale"
)

// reasonColumn is added behind the columns of the list. It is no field of ours, so
// a corrected file can be imported again as it is.
const reasonColumn = "reason"

// writeRejected writes the rows that were not imported, in the order of the file,
// with their own columns and why. The file is there as a whole or not at all.
func writeRejected(path string, header []string, bad []registration.Rejected, lang locale.Language) error {
	slices.SortStableFunc(bad, func(a, b registration.Rejected) int { return a.Line - b.Line })
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.Write(quietCells(append(slices.Clone(header), reasonColumn))); err != nil {
		return err
	}
	for _, r := range bad {
		if err := w.Write(quietCells(rejectedRow(r, len(header), reason(lang, r.Problems)))); err != nil {
			return err
		}
	}
	if w.Flush(); w.Error() != nil {
		return w.Error()
	}
	return writeFile(path, b.Bytes())
}

// rejectedRow pads the cells to the header and puts the reason behind them. Cells
// there is no column for follow after it. A row that could not be split into cells
// stands in the first column as it was.
func rejectedRow(r registration.Rejected, columns int, why string) []string {
	out := make([]string, columns, columns+1)
	if unread := len(r.Problems) > 0 && r.Problems[0].Field == "" && len(r.Cells) < columns; unread && columns > 0 {
		out[0] = r.Raw
		return append(out, why)
	}
	n := copy(out, r.Cells)
	return append(append(out, why), r.Cells[n:]...)
}

// quietCells are cells that a spreadsheet shows and does not run: one that would begin a
// formula gets an apostrophe before it, which registration.ReadCSV takes away again, and
// control characters go. A telephone number and a negative number stay as they are.
func quietCells(cells []string) []string {
	out := make([]string, len(cells))
	for i, c := range cells {
		lines := strings.Split(strings.ReplaceAll(c, "\r\n", "\n"), "\n")
		for k, line := range lines {
			lines[k] = control.Plain(line)
		}
		c = strings.Join(lines, "\n")
		if registration.BeginsFormula(c) {
			c = "'" + c
		}
		out[i] = c
	}
	return out
}

// reason says everything wrong with a row in one sentence each.
func reason(lang locale.Language, problems []registration.Problem) string {
	parts := make([]string, 0, len(problems))
	for _, p := range problems {
		text := lang.Text(p.Key, p.Args)
		if p.Field != "" {
			text = p.Field + ": " + text
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}
