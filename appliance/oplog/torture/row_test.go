package torture

import (
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scratch is a folder that is gone with the test, in memory where there is a place for
// that: rows over a made-up disk need no real one.
func scratch(t testing.TB) string {
	t.Helper()
	base := ""
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		base = "/dev/shm"
	}
	dir, err := os.MkdirTemp(base, "wp")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// How much is run: a token without the variable, "ci", or "full".
func effort() string { return os.Getenv("WAYPOST_TORTURE") }

// needsEffort skips rows that start processes or mount disks in a plain go test.
func needsEffort(t *testing.T) {
	t.Helper()
	if effort() == "" || testing.Short() {
		t.Skip("set WAYPOST_TORTURE=ci or full (make test and make torture do)")
	}
}

// runs is how many runs of a row are made.
func runs(ci, full int) int {
	if n, err := strconv.Atoi(os.Getenv("WAYPOST_TORTURE_RUNS")); err == nil && n > 0 {
		return n
	}
	switch effort() {
	case "full":
		return full
	case "ci":
		return ci
	}
	return max(1, ci/10)
}

// defaultSeed is where a run without a seed begins: always the same place.
const defaultSeed = 3

// firstSeed is the seed of run 0.
func firstSeed() uint64 {
	text := os.Getenv("WAYPOST_TORTURE_SEED")
	if text == "" {
		return defaultSeed
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return n
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return h.Sum64() >> 16 // room to count on from
}

// row is one line of the table under way.
type row struct {
	t     *testing.T
	name  string
	dir   string // scratch
	mu    sync.Mutex
	sum   tally
	notes []string
}

func newRow(t *testing.T) *row {
	r := &row{t: t, name: t.Name(), dir: scratch(t)}
	t.Cleanup(r.print)
	return r
}

// each runs one after the other; it ends early when too much has failed to learn more.
func (r *row) each(n int, run func(seed uint64)) {
	base := firstSeed()
	for i := range n {
		run(base + uint64(i))
		r.mu.Lock()
		r.sum.runs++
		bad := r.sum.failures
		r.mu.Unlock()
		if bad >= 20 {
			r.t.Errorf("%d runs failed: the rest is left out", bad)
			return
		}
	}
}

// fail reports one failed run with the line that replays it.
func (r *row) fail(seed uint64, format string, args ...any) {
	r.t.Helper()
	r.mu.Lock()
	r.sum.failures++
	r.mu.Unlock()
	r.t.Errorf("seed %d: %s\n  again: WAYPOST_TORTURE=ci WAYPOST_TORTURE_SEED=%d WAYPOST_TORTURE_RUNS=1 go test -count=1 -run '^%s$' ./appliance/oplog/torture",
		seed, fmt.Sprintf(format, args...), seed, r.name)
}

// add counts a comparison.
func (r *row) add(y tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.add(y)
}

func (r *row) reopened(took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.worst = max(r.sum.worst, took)
}

// note adds something to the row's line.
func (r *row) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

func (r *row) print() {
	if r.t.Skipped() {
		return
	}
	parts := append([]string{r.sum.String()}, r.notes...)
	r.t.Logf("ROW %s: %s", r.name, strings.Join(parts, ", "))
}
