package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/ui/locale"
)

func rowsOf(n int, group func(i int) string, notes int) []registration.ImportRow {
	rows := make([]registration.ImportRow, n)
	for i := range rows {
		rows[i] = registration.ImportRow{Line: i + 2, Key: fmt.Sprint("key ", i), Group: group(i), Person: registration.Person{GivenName: fmt.Sprint("Given ", i), Notes: strings.Repeat("x", notes)}}
	}
	return rows
}

// collect cuts rows and checks that nothing is lost, doubled or too large.
func collect(t *testing.T, rows []registration.ImportRow) []int {
	t.Helper()
	var sizes []int
	next := 0
	err := cut(rows, func(b batch) bool {
		var sent struct {
			Rows []registration.ImportRow `json:"rows"`
		}
		if err := json.Unmarshal(b.body, &sent); err != nil {
			t.Fatal(err)
		}
		if len(b.rows) > batchRows || len(b.body) > batchBytes+64<<10 || len(sent.Rows) != len(b.rows) {
			t.Fatalf("%d rows, %d in %d bytes", len(b.rows), len(sent.Rows), len(b.body))
		}
		for i := range b.rows {
			if b.rows[i].Line != rows[next].Line || sent.Rows[i].Key != rows[next].Key {
				t.Fatalf("row %d is not the next one", next)
			}
			next++
		}
		sizes = append(sizes, len(b.rows))
		return true
	})
	if err != nil || next != len(rows) {
		t.Fatalf("%d of %d rows, %v", next, len(rows), err)
	}
	return sizes
}

func TestBatches(t *testing.T) {
	none := func(int) string { return "" }
	for name, tt := range map[string]struct {
		rows []registration.ImportRow
		want []int
	}{
		"nothing":                       {nil, nil},
		"one":                           {rowsOf(1, none, 0), []int{1}},
		"full":                          {rowsOf(400, none, 0), []int{200, 200}},
		"a rest":                        {rowsOf(401, none, 0), []int{200, 200, 1}},
		"households of 7 stay whole":    {rowsOf(420, func(i int) string { return fmt.Sprint(i / 7) }, 0), []int{196, 196, 28}},
		"a household larger than one":   {rowsOf(450, func(int) string { return "all" }, 0), []int{200, 200, 50}},
		"large rows":                    {rowsOf(5, none, 300<<10), []int{2, 2, 1}},
		"a row larger than the measure": {rowsOf(2, none, 710<<10), []int{1, 1}},
	} {
		if got := collectSizes(t, name, tt.rows); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func collectSizes(t *testing.T, name string, rows []registration.ImportRow) []int {
	t.Helper()
	if name == "a row larger than the measure" { // the node says no to it, not we
		var sizes []int
		if err := cut(rows, func(b batch) bool { sizes = append(sizes, len(b.rows)); return true }); err != nil {
			t.Fatal(err)
		}
		return sizes
	}
	return collect(t, rows)
}

func TestSendingStopsAtTheFirstFailure(t *testing.T) {
	english := english(t)
	var errs strings.Builder
	im := &importing{app: &app{lang: english, err: &errs}, list: &list{rows: rowsOf(2000, func(int) string { return "" }, 0)}}
	broken := errors.New("cable")
	var mu sync.Mutex
	sent := 0
	err := im.sendAll(context.Background(), func(_ context.Context, rows []registration.ImportRow, _ []byte) ([]registration.RowResult, error) {
		mu.Lock()
		defer mu.Unlock()
		if sent++; sent > 3 {
			return nil, broken
		}
		results := make([]registration.RowResult, len(rows))
		for i := range results {
			results[i] = registration.RowResult{Line: rows[i].Line, Status: registration.RowRegistered}
		}
		return results, nil
	})
	if !errors.Is(err, broken) || im.counts.Registered != 600 || sent > 5 {
		t.Fatalf("%v, %+v, %d requests", err, im.counts, sent)
	}
	if !strings.Contains(errs.String(), "600 rows are in and stay in.") {
		t.Fatalf("%q", errs.String())
	}
}

func TestSendingStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	im := &importing{app: &app{lang: english(t), err: &strings.Builder{}}, list: &list{rows: rowsOf(500, func(int) string { return "" }, 0)}}
	err := im.sendAll(ctx, func(ctx context.Context, _ []registration.ImportRow, _ []byte) ([]registration.RowResult, error) {
		return nil, ctx.Err()
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func english(t *testing.T) locale.Language {
	t.Helper()
	c := locale.New()
	return c.For("en")
}

func TestRejectedRowsKeepEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "people.csv.rejected.csv")
	bad := []registration.Rejected{
		{Line: 9, Cells: []string{"7", "Amina", "tall", "more", "and more"}, Raw: "7,Amina,tall,more,and more", Problems: []registration.Problem{{Key: "registration.problem.columns", Args: map[string]any{"Max": 3}}}},
		{Line: 3, Cells: []string{"2", "Omar"}, Raw: "2,Omar", Problems: []registration.Problem{{Field: "sex", Key: "registration.problem.type"}}},
		{Line: 5, Cells: nil, Raw: `4,"Never closed`, Problems: []registration.Problem{{Key: "registration.problem.quotes"}}},
	}
	if err := writeRejected(path, []string{"id", "given_name", "sex"}, bad, english(t)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%v %v", rows, err)
	}
	if !slices.Equal(rows[0], []string{"id", "given_name", "sex", "reason"}) {
		t.Errorf("header %q", rows[0])
	}
	if !slices.Equal(rows[1][:3], []string{"2", "Omar", ""}) || !strings.HasPrefix(rows[1][3], "sex: ") {
		t.Errorf("%q", rows[1])
	}
	if rows[2][0] != `4,"Never closed` || len(rows[2]) != 4 || rows[2][3] == "" {
		t.Errorf("%q", rows[2])
	}
	if !slices.Equal(rows[3][:3], []string{"7", "Amina", "tall"}) || !slices.Equal(rows[3][4:], []string{"more", "and more"}) {
		t.Errorf("%q", rows[3])
	}
}

// The file of what was not imported is opened in a spreadsheet and in a terminal: it runs
// nothing there, and read again it says what it said.
func TestRejectedRowsRunNothing(t *testing.T) {
	cells := []string{"=HYPERLINK(\"http://wpx.example\",\"x\")", "@SUM(1)", "|calc", "+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0", " =1+1", "\t=1", "\r=1", "=1\n=2",
		"\x1b]0;wpx\x07\x1b[2J", "\u009b31mwpx", "wpx\u202egnp.exe", "\x1b[1m=1+1", "<script>wpx()</script>"}
	harmless := []string{"+502 5550 1234", "-12", "+963 (11) 555-01.34", "Amina", "'quoted'", "two\nlines"}
	var bad []registration.Rejected
	for i, c := range append(slices.Clone(cells), harmless...) {
		bad = append(bad, registration.Rejected{Line: i + 2, Cells: []string{c, c, c}, Raw: c, Problems: []registration.Problem{{Field: "sex", Key: "registration.problem.type"}}})
	}
	path := filepath.Join(t.TempDir(), "people.csv.rejected.csv")
	if err := writeRejected(path, []string{"id", "given_name", "=header"}, bad, english(t)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil || strings.ContainsAny(string(raw), "\x1b\x07\u009b\u202e") {
		t.Fatalf("%q %v", raw, err)
	}
	rows, err := csv.NewReader(bytes.NewReader(raw)).ReadAll()
	if err != nil || len(rows) != len(bad)+1 {
		t.Fatal(len(rows), err)
	}
	for i, row := range rows {
		for _, c := range row {
			if registration.BeginsFormula(c) {
				t.Errorf("row %d runs %q", i, c)
			}
		}
	}
	table, err := registration.ReadCSV(bytes.NewReader(raw))
	if err != nil || len(table.Rows) != len(bad) {
		t.Fatal(err)
	}
	for i, want := range harmless {
		if got := table.Rows[len(cells)+i].Cells[1]; got != want {
			t.Errorf("%q was read again as %q", want, got)
		}
		if got := rows[len(cells)+i+1][1]; got != want {
			t.Errorf("%q was written as %q", want, got)
		}
	}
	if got := table.Rows[0].Cells[0]; got != cells[0] {
		t.Errorf("%q was read again as %q", cells[0], got)
	}
}

func TestASpreadsheetIsRefusedWithAWayOut(t *testing.T) {
	plain(t)
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{"new.xlsx": "PK\x03\x04rest", "old.xls": "\xd0\xcf\x11\xe0rest"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, errs := cli(t, "", "import", name)
		if code != exitRefused || !strings.Contains(errs, "is a spreadsheet") || !strings.Contains(errs, "hint: Open it in the spreadsheet program") {
			t.Errorf("%s: %d %q", name, code, errs)
		}
	}
}

func TestDryRunNeedsNoNodeAndLeavesNothing(t *testing.T) {
	plain(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("people.csv", []byte("given_name,sex,age\nAmina,F,30\nOmar,M,old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := cli(t, "", "import", "people.csv", "--dry-run")
	if code != exitDone || out != "would register up to 1, would reject 1\n" || !strings.Contains(errs, "line 3: age") {
		t.Fatalf("%d %q %q", code, out, errs)
	}
	if entries, _ := os.ReadDir("."); len(entries) != 1 {
		t.Fatalf("%v", entries)
	}
	code, out, _ = cli(t, "", "import", "people.csv", "--dry-run", "--json")
	var c importCounts
	if err := json.Unmarshal([]byte(out), &c); err != nil || code != 0 || c.Rows != 2 || c.Rejected != 1 || !c.DryRun {
		t.Fatalf("%d %q %v", code, out, err)
	}
}
