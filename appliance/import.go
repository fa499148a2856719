package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/ui/locale"
)

// The size of one request of an import: what one command of the node takes, and
// what stays below its limit for a body.
const (
	batchRows  = 200
	batchBytes = 700 << 10
	// batchesAhead requests are under way at once, so that the node reads the next
	// one while it flushes the last. Rows carry keys; their order does not matter.
	batchesAhead = 2
)

// importCounts is the JSON of `waypost import --json`.
type importCounts struct {
	Rows         int    `json:"rows"` // in the file
	Registered   int    `json:"registered"`
	AlreadyThere int    `json:"already_there"`
	Rejected     int    `json:"rejected"`
	RejectedFile string `json:"rejected_file,omitempty"`
	DryRun       bool   `json:"dry_run,omitempty"`

	// What rows said that is not for the register: how much of it the narrow
	// compartments were told, and the lines of rows whose part nobody was told now.
	PassedOn    int   `json:"passed_on,omitempty"`
	NotPassedOn []int `json:"not_passed_on_lines,omitempty"`
}

// importVerb registers the people of a list. A list that was cut off is imported
// again with the same command: rows that are there are passed over.
func (a *app) importVerb() *cobra.Command {
	var mapFile, file string
	var dry bool
	v := a.verb("import", "import FILE", func(ctx context.Context, args []string) error {
		list, err := a.readList(args[0], mapFile)
		if err != nil {
			return err
		}
		im := &importing{app: a, list: list, started: clock.System().Now()}
		if !dry {
			if err := im.send(ctx, file); err != nil {
				return err
			}
		}
		return im.finish(args[0], dry)
	})
	v.str(&mapFile, "map", "FILE", "")
	v.bool(&dry, "dry-run")
	v.str(&file, "passphrase-file", "FILE", "")
	v.printsData()
	return v.Command
}

// list is a file ready to be sent.
type list struct {
	m      registration.Map
	header []string
	raw    map[int]registration.TableRow // line -> as it was read
	rows   []registration.ImportRow
	bad    []registration.Rejected
}

// readList reads and maps the whole file before anything is sent, so that a file
// that is no list changes nothing.
func (a *app) readList(path, mapFile string) (*list, error) {
	var m registration.Map
	if mapFile != "" {
		f, err := os.Open(mapFile) //nolint:gosec // the person names the file
		if err != nil {
			return nil, cannotRead(mapFile, err)
		}
		defer f.Close()
		if m, err = registration.ReadMap(f); err != nil {
			return nil, err
		}
	}
	t, err := readTable(path)
	if err != nil {
		return nil, err
	}
	if missing := m.Missing(t.Header); len(missing) > 0 {
		a.note(control.Plain(a.say("cli.import.missing", "Columns", strings.Join(missing, ", "))))
	}
	l := &list{m: m, header: t.Header, raw: make(map[int]registration.TableRow, len(t.Rows))}
	for _, r := range t.Rows {
		l.raw[r.Line] = r
	}
	l.rows, l.bad, err = m.MapTable(t)
	return l, err
}

func readTable(path string) (registration.Table, error) {
	f, err := os.Open(path) //nolint:gosec // the person names the file
	if err != nil {
		return registration.Table{}, cannotRead(path, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return registration.Table{}, cannotRead(path, nil)
	}
	magic := make([]byte, 4)
	n, err := f.ReadAt(magic, 0)
	// Excel's files are ZIP archives, the old ones OLE compound files.
	if n == 4 && err == nil && (bytes.Equal(magic, []byte("PK\x03\x04")) || bytes.Equal(magic, []byte{0xd0, 0xcf, 0x11, 0xe0})) {
		return registration.Table{}, fault.New(fault.Unsupported, "fault.cli.spreadsheet", "File", path)
	}
	return registration.ReadCSV(f)
}

// importing is one import under way.
type importing struct {
	app     *app
	list    *list
	started time.Time
	mu      sync.Mutex // guards what follows
	counts  importCounts
	done    int
	shown   time.Time
}

// sender registers one batch.
type sender func(ctx context.Context, rows []registration.ImportRow, body []byte) ([]registration.RowResult, error)

// send registers the rows at the running node, or, when none runs and a passphrase
// is given, in the closed folder.
func (im *importing) send(ctx context.Context, file string) error {
	client := im.app.node()
	if _, err := client.Status(ctx); err != nil {
		if file == "" || !control.IsNotRunning(err) {
			return err
		}
		passphrase, err := im.app.passphrase(file)
		if err != nil {
			return err
		}
		return withFolder(ctx, im.app.data, passphrase, func(n *node) error {
			operator := staff.Operator()
			operator.Carries = n.vault.Carries()
			return im.sendAll(ctx, func(ctx context.Context, rows []registration.ImportRow, _ []byte) ([]registration.RowResult, error) {
				return n.desks.Registration.Import(ctx, operator, rows)
			})
		})
	}
	return im.sendAll(ctx, func(ctx context.Context, _ []registration.ImportRow, body []byte) ([]registration.RowResult, error) {
		var answer struct {
			Results []registration.RowResult `json:"results"`
		}
		err := client.PostJSON(ctx, "/operator/import", body, &answer)
		return answer.Results, err
	})
}

// batch is one request.
type batch struct {
	rows []registration.ImportRow
	body []byte
}

// sendAll sends everything, batchesAhead requests at once. The first failure stops
// it; what was answered before is counted and stays registered.
func (im *importing) sendAll(ctx context.Context, send sender) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan batch)
	var wg sync.WaitGroup
	for range batchesAhead {
		wg.Go(func() {
			for b := range work {
				results, err := send(ctx, b.rows, b.body)
				if err != nil {
					cancel(err)
					return
				}
				im.count(results)
			}
		})
	}
	err := cut(im.list.rows, func(b batch) bool {
		select {
		case work <- b:
			return true
		case <-ctx.Done():
			return false
		}
	})
	close(work)
	wg.Wait()
	im.clear()
	if cause := context.Cause(ctx); err == nil && cause != nil {
		err = cause
	}
	if err != nil && ctx.Err() != nil && im.done > 0 {
		im.app.note(im.app.say("cli.import.resume", "Count", im.done))
	}
	return err
}

// cut makes batches of the rows, never inside a household that fits into one.
func cut(rows []registration.ImportRow, yield func(batch) bool) error {
	var encoded [][]byte
	size, start := 0, 0
	flush := func(end int) bool {
		if end == start {
			return true
		}
		body := append([]byte(`{"rows":[`), bytes.Join(encoded[:end-start], []byte{','})...)
		ok := yield(batch{rows[start:end], append(body, "]}"...)})
		encoded = encoded[end-start:]
		start, size = end, 0
		for _, e := range encoded {
			size += len(e) + 1
		}
		return ok
	}
	for i := range rows {
		raw, err := json.Marshal(rows[i])
		if err != nil {
			return fault.New(fault.Internal, "fault.internal").Wrap(err)
		}
		if n := i - start; n == batchRows || n > 0 && size+len(raw) > batchBytes {
			if !flush(boundary(rows, start, i)) {
				return nil
			}
		}
		encoded = append(encoded, raw)
		size += len(raw) + 1
	}
	flush(len(rows))
	return nil
}

// boundary is the last place in (start, end] where a household ends; end when one
// fills the whole batch.
func boundary(rows []registration.ImportRow, start, end int) int {
	for i := end; i > start; i-- {
		if i == len(rows) || rows[i].Group == "" || rows[i].Group != rows[i-1].Group {
			return i
		}
	}
	return end
}

// count takes in what the node did with a batch.
func (im *importing) count(results []registration.RowResult) {
	im.mu.Lock()
	defer im.mu.Unlock()
	for _, r := range results {
		switch r.Status {
		case registration.RowRegistered:
			im.counts.Registered++
		case registration.RowThere:
			im.counts.AlreadyThere++
		case registration.RowRejected:
			im.list.bad = append(im.list.bad, im.list.m.Reject(im.list.header, im.list.raw[r.Line], r.Problems))
		}
		im.counts.PassedOn += r.PassedOn
		if r.NotPassedOn > 0 {
			im.counts.NotPassedOn = append(im.counts.NotPassedOn, r.Line)
		}
	}
	im.done += len(results)
	im.show()
}

// show keeps one line of progress on a terminal, four times a second.
func (im *importing) show() {
	now := clock.System().Now()
	if !isTerminal(im.app.err) || now.Sub(im.shown) < 250*time.Millisecond {
		return
	}
	im.shown = now
	rate := int(float64(im.done) / max(now.Sub(im.started).Seconds(), 0.001))
	fmt.Fprintf(im.app.err, "\r\x1b[K%s", im.app.say("cli.import.progress", "Done", im.done, "Total", len(im.list.rows), "Rate", rate))
}

// clear removes the line of progress.
func (im *importing) clear() {
	if isTerminal(im.app.err) {
		fmt.Fprint(im.app.err, "\r\x1b[K")
	}
}

// finish writes the rejected rows and says the counts.
func (im *importing) finish(path string, dry bool) error {
	a, c := im.app, &im.counts
	c.Rows, c.Rejected, c.DryRun = len(im.list.raw), len(im.list.bad), dry
	rejected := rejectedFile(path)
	var err error
	switch {
	case dry:
	case c.Rejected > 0:
		c.RejectedFile = rejected
		err = writeRejected(rejected, im.list.header, im.list.bad, a.lang)
	default: // one from an earlier run is no longer true
		if err = os.Remove(rejected); os.IsNotExist(err) {
			err = nil
		}
	}
	if err != nil {
		return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", rejected).Wrap(err)
	}
	if a.json {
		err = a.printJSON(c)
	} else if dry {
		a.println(a.say("cli.import.dry", "Good", len(im.list.rows), "Rejected", c.Rejected))
	} else {
		a.println(a.say("cli.import.counts", "Registered", c.Registered, "There", c.AlreadyThere, "Rejected", c.Rejected))
	}
	im.sayPassedOn()
	if c.Rejected > 0 && dry {
		im.showReasons()
	} else if c.Rejected > 0 {
		a.hint(a.say("cli.import.rejected", "File", rejected))
	}
	if err == nil && c.Rejected == c.Rows {
		return fault.New(fault.Invalid, "fault.cli.nothing_imported", "File", path)
	}
	return err
}

// sayPassedOn says what became of values that are not for the register, by line and
// never by what they say.
func (im *importing) sayPassedOn() {
	c, aside := &im.counts, 0
	for _, row := range im.list.rows {
		if len(row.Aside) > 0 {
			aside++
		}
	}
	if c.DryRun && aside > 0 {
		im.app.hint(im.app.say("cli.import.aside", "Count", aside))
	}
	if c.PassedOn > 0 {
		im.app.hint(im.app.say("cli.import.passed_on", "Count", c.PassedOn))
	}
	im.sayLines("cli.import.not_passed_on", c.NotPassedOn)
	im.sayLines("cli.import.watched", im.watched())
}

// sayLines says something about some lines of the list.
func (im *importing) sayLines(key string, lines []int) {
	if len(lines) == 0 {
		return
	}
	slices.Sort(lines)
	shown := make([]string, 0, linesShown)
	for _, line := range lines[:min(len(lines), linesShown)] {
		shown = append(shown, strconv.Itoa(line))
	}
	if len(lines) > linesShown {
		shown = append(shown, "…")
	}
	im.app.hint(im.app.say(key, "Count", len(lines), "Lines", strings.Join(shown, ", ")))
}

// watched are the lines whose notes have words that may not be for everybody who
// registers: what a page warns about while somebody types.
func (im *importing) watched() (lines []int) {
	catalog := locale.New()
	var lists []string
	for _, lang := range catalog.All() {
		lists = append(lists, lang.Text("registration.watch.words", nil))
	}
	watch := registration.NewWatch(lists...)
	for _, row := range im.list.rows {
		if watch.Finds(row.Person.Notes) || watch.Finds(row.Person.Description) {
			lines = append(lines, row.Line)
		}
	}
	return lines
}

// linesShown is how many lines one sentence names; --json has all.
const linesShown = 40

// reasonsShown is how many rejected rows a dry run names.
const reasonsShown = 10

// showReasons names what a dry run would reject; it writes no file.
func (im *importing) showReasons() {
	for i, r := range im.list.bad {
		if i == reasonsShown {
			im.app.note("…")
			return
		}
		im.app.note(control.Plain(im.app.say("cli.import.line", "Line", r.Line, "Reason", reason(im.app.lang, r.Problems))))
	}
}

// rejectedFile is the name beside FILE: people.csv -> people.rejected.csv would
// hide which file it came from when both people.csv and people.txt are there, so
// the whole name stays.
func rejectedFile(path string) string { return filepath.Clean(path) + ".rejected.csv" }
