//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
)

// journalLimit is the Go memory limit of the processes whose memory is measured: what
// the runtime does not count comes on top.
const journalLimit = "160MiB"

// TestJournalFigures measures the journal alone with many ops and prints a table. It
// fails when something does not work, never because something is slow. Set
// WAYPOST_FIGURES_OPS to the number of ops to run it.
func TestJournalFigures(t *testing.T) {
	ops, err := strconv.Atoi(os.Getenv("WAYPOST_FIGURES_OPS"))
	if err != nil || ops < 1000 {
		t.Skip("set WAYPOST_FIGURES_OPS=1000000 (make bench-journal does)")
	}
	dir, err := os.MkdirTemp(os.Getenv("WAYPOST_FIGURES_DIR"), "wj")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := &figures{t: t, dir: dir, bin: os.Args[0]}
	began := time.Now()
	home := filepath.Join(dir, "many")
	made := f.child("make", home, ops)
	share := made.Bytes / made.JSON
	f.row("journal after bulk work", "<= 0.50 of the JSON", fmt.Sprintf("%.3f (%.0f B an op); %.3f of JSON that does not say who and when",
		share, made.Bytes/made.Ops, made.Bytes/made.Bare), share <= 0.5)
	f.rebuilding("rebuild, the desks' views", f.child("rebuild", home, ops))
	plainHome := filepath.Join(dir, "plain")
	f.check(os.MkdirAll(plainHome, 0o700))
	f.check(os.Rename(filepath.Join(home, "journal"), filepath.Join(plainHome, "journal")))
	f.rebuilding("rebuild, one plain view", f.child("rebuild-plain", plainHome, ops))
	f.check(os.Rename(filepath.Join(plainHome, "journal"), filepath.Join(home, "journal")))
	opened := f.child("open", home, ops)
	f.row("opening after a clean stop", "<= 3 s", opened.String(), opened.Seconds <= 3)
	f.anonymous("opened and idle", opened)
	f.child("die", home, ops)
	opened = f.child("open", home, ops)
	f.row("opening after a kill", "<= 8 s", opened.String(), opened.Seconds <= 8)
	served := f.child("serve", home, ops)
	f.row("writing with all that, 16 at once", "", served.String(), true)
	f.anonymous("served: 16 writers, readers beside", served)
	f.check(os.RemoveAll(home))
	f.check(os.RemoveAll(plainHome))
	f.writers()
	f.bare(min(ops, 100000))
	f.printJournal(ops, time.Since(began))
}

// measured is what a child reports.
type measured struct {
	Ops, Seconds, CPU float64
	RSS               float64 // most anonymous memory, MB (2^20)
	Bytes             float64 // of the journal
	JSON, Bare        float64 // of the same as compact JSON; without who and when
	P50, P99, Flush   float64 // ms: of an answer, and of a bare flush
	Left              float64 // of what was acknowledged
}

func (m measured) rate() float64 { return m.Ops / m.Seconds }

func (m measured) String() string {
	s := fmt.Sprintf("%.2f s, %.2f s of CPU", m.Seconds, m.CPU)
	if m.Ops > 0 {
		s = fmt.Sprintf("%.0f ops/s (%.0f ops in %s; %.0f ops per CPU second)", m.rate(), m.Ops, s, m.Ops/m.CPU)
	}
	return s
}

// child runs one part in a process of its own, under the memory limit.
func (f *figures) child(what, dir string, ops int) (m measured) {
	f.t.Helper()
	bin, test := f.bin, "^TestJournalChild$"
	if strings.HasPrefix(what, "bare-badger") {
		bin, test = filepath.Join(f.dir, "bare.test"), "^TestBareBadger$"
	}
	cmd := exec.Command(bin, "-test.run", test, "-test.timeout", "30m") //nolint:gosec // this test
	cmd.Env = append(os.Environ(), "WAYPOST_FIGURES_CHILD="+what, "WAYPOST_FIGURES_HOME="+dir, fmt.Sprint("WAYPOST_FIGURES_OPS=", ops), "GOMEMLIMIT="+journalLimit)
	if what == "make" {
		cmd.Env = append(cmd.Env, "GOMEMLIMIT=off")
	}
	out, err := cmd.CombinedOutput()
	killed := cmd.ProcessState != nil && cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() && what == "die"
	if err != nil && !killed {
		f.t.Fatalf("%s: %v\n%s", what, err, out)
	}
	for line := range strings.Lines(string(out)) {
		if raw, ok := strings.CutPrefix(line, "measured "); ok {
			f.check(json.Unmarshal([]byte(raw), &m))
			fmt.Fprintf(os.Stderr, "%s: %s", what, raw)
		}
	}
	return m
}

func (f *figures) rebuilding(what string, m measured) {
	f.row(what, ">= 15,000 ops/s", m.String(), m.rate() >= 15000)
	f.anonymous(what, m)
}

func (f *figures) anonymous(what string, m measured) {
	f.row("anonymous memory: "+what, "<= 200 MiB", fmt.Sprintf("%.0f MiB at most", m.RSS), m.RSS <= 200)
}

// writers compares one registrar with many, on this disk and on one whose flush takes
// 10 ms.
func (f *figures) writers() {
	for _, disk := range []struct {
		child, name string
		times       float64
		seconds     int
	}{{"writers", "this disk", 4, 3}, {"writers-slow", "a flush of 10 ms", 20, 4}} {
		one := f.child(disk.child, filepath.Join(f.dir, disk.child+"1"), 1)
		many := f.child(disk.child, filepath.Join(f.dir, disk.child+"64"), 64)
		times := many.rate() / one.rate()
		f.row("64 writers against one, "+disk.name, fmt.Sprintf(">= %.0f times", disk.times),
			fmt.Sprintf("%.1f times: %.0f and %.0f ops/s (%.0f and %.0f ops per CPU second)", times, many.rate(), one.rate(), many.Ops/many.CPU, one.Ops/one.CPU), times >= disk.times)
		bar := 3*many.Flush + 20
		f.row("p99 of an answer of these 64", fmt.Sprintf("<= %.0f ms", bar),
			fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, one bare flush %.1f ms", many.P50, many.P99, many.Flush), many.P99 <= bar)
		f.row("journal when grouped live, "+disk.name, "<= 250 B an op", fmt.Sprintf("%.0f B an op (one writer: %.0f)", many.Bytes/many.Ops, one.Bytes/one.Ops), many.Bytes/many.Ops <= 250)
	}
}

// bare sets the journal with its views beside Badger as it comes, which only the tests of
// badgerstore know.
func (f *figures) bare(ops int) {
	badger := filepath.Join(f.dir, "bare.test")
	if out, err := exec.Command("go", "test", "-c", "-o", badger, "./badgerstore").CombinedOutput(); err != nil {
		f.t.Fatalf("%v\n%s", err, out)
	}
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "64 writers, one person each time\tops/s\tops per CPU s\tp99 ms\tanonymous MiB\ton disk MB\tleft after one flipped bit")
	for _, c := range []struct{ child, name string }{
		{"bare-waypost", "Waypost: journal and views, flushed"},
		{"bare-badger", "Badger, its defaults: not flushed"},
		{"bare-badger-sync", "Badger, SyncWrites"},
	} {
		m := f.child(c.child, filepath.Join(f.dir, "bare"), ops)
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.1f\t%.0f\t%.1f\t%.0f of %.0f\n", c.name, m.rate(), m.Ops/m.CPU, m.P99, m.RSS, m.Bytes/1e6, m.Left, m.Ops)
	}
	f.check(w.Flush())
	f.note("%s", "\n"+out.String()+
		"The flipped bit is in the middle of the newest log file of each: the last journal segment, the first .mem file.\n"+
		"What is left is counted by opening the folder again; for Waypost the views are made anew first, so that nothing but the journal counts.")
}

func (f *figures) printJournal(ops int, took time.Duration) {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "figure\tbar\tmeasured\tholds")
	fmt.Fprintln(w, strings.Join(f.rows, "\n"))
	f.check(w.Flush())
	fmt.Printf("\nThe journal with %d ops, search excluded; each line a process with GOMEMLIMIT=%s.\n%s%s\nLoad %s, data on %s; measured in %.0f s.\n\n",
		ops, journalLimit, &out, strings.Join(f.notes, "\n"), busy(), fileSystem(f.dir), took.Seconds())
}
