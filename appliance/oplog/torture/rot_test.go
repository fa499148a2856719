package torture

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// TestRot damages one file of a whole data folder, any of them: journal, keys, views,
// identity, accounts. The folder must say so, or lose nothing by it; and with one
// healthy neighbour everything is served again, after that and after a restart.
func TestRot(t *testing.T) {
	r := newRow(t)
	g := newGarden(t)
	kinds := map[string]int{}
	r.each(runs(60, 10000), func(seed uint64) {
		// Some damage could end the process: then this file has the seed.
		must(t, os.WriteFile(filepath.Join(os.TempDir(), "waypost-rot-seed"), fmt.Append(nil, seed), 0o600))
		kinds[g.rot(r, seed)]++
	})
	r.note("%v", kinds)
}

// garden is a folder worth damaging, its younger self, and a neighbour that has all.
type garden struct {
	c          clock.Clock
	dir, young string
	unclean    string              // dir a moment before its last stop: logs of the views, no closing record
	files      map[string][]string // of dir and of unclean, below it
	m          *model
	peer       *post
}

// newGarden lives through three runs of a box, so that there are segments, tables and
// copies of several ages; the second ends without a clean stop, and the third both ways.
func newGarden(t *testing.T) *garden {
	t.Helper()
	g := &garden{c: clock.NewFake(oplogtest.Noon()), m: newModel(), files: map[string][]string{}}
	k := newCamp(t, g.c)
	var theirs *model
	g.peer, theirs = k.neighbour(t, 20)
	for id, name := range theirs.promised() {
		g.m.send(name)
		g.m.ack(id, name)
	}
	dir := k.dirs[0]
	for life := range 3 {
		p, err := g.open(dir)
		must(t, err)
		for i := range 20 {
			_, err := p.register(g.m, fmt.Sprintf("Person%d-%02d", life, i))
			must(t, err)
		}
		must(t, p.household(g.m, fmt.Sprint("Mother", life), fmt.Sprint("Son", life)))
		_, err = pull(p.log, g.peer.log, 5)
		must(t, err)
		_, err = pull(g.peer.log, p.log, 50)
		must(t, err)
		killed := filepath.Join(scratch(t), fmt.Sprint("killed", life)) // as a kill leaves it
		copyLive(t, killed, dir)
		must(t, p.close())
		switch life {
		case 0:
			g.young = filepath.Join(scratch(t), "young")
			copyFolder(t, g.young, dir)
		case 1:
			dir = killed
		case 2:
			g.dir, g.unclean = dir, killed
		}
	}
	g.files[g.dir], g.files[g.unclean] = filesIn(t, g.dir), filesIn(t, g.unclean)
	return g
}

// copyLive copies the folder of a box that runs and is not written to. Badger may put
// away a log of the views meanwhile; then it is copied again.
func copyLive(t *testing.T, to, from string) {
	t.Helper()
	for range 100 {
		err := os.CopyFS(to, os.DirFS(from))
		if err == nil {
			return
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		must(t, os.RemoveAll(to))
	}
	t.Fatal("the folder does not come to rest")
}

// filesIn names the files below dir, sorted.
func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			names = append(names, rel)
		}
		return err
	}))
	slices.Sort(names)
	return names
}

func (g *garden) open(dir string) (*post, error) { return openFolder(dir, g.c) }

// damage is one thing that happens to one file of the copy of a folder; it says what.
func (g *garden) damage(dir, of string, rnd *rand.Rand) (file, what string, err error) {
	files := g.files[of]
	file = files[rnd.IntN(len(files))]
	if rnd.IntN(2) == 0 { // the journal is what matters: half of all
		file = pick(rnd, files, func(f string) bool { return strings.HasPrefix(f, "journal/") })
	}
	path := filepath.Join(dir, file)
	raw, err := os.ReadFile(path)
	if err != nil {
		return file, "", err
	}
	n := len(raw)
	switch rnd.IntN(6) {
	case 0:
		return file, "deleted", os.Remove(path)
	case 1:
		old, oerr := os.ReadFile(filepath.Join(g.young, file))
		if oerr != nil {
			return file, "deleted", os.Remove(path)
		}
		return file, "old copy", os.WriteFile(path, old, 0o600)
	case 2:
		if n > 0 {
			raw = raw[:rnd.IntN(n)]
		}
		return file, fmt.Sprintf("cut to %d of %d bytes", len(raw), n), os.WriteFile(path, raw, 0o600)
	case 3:
		at := rnd.IntN(n+1) / 512 * 512
		for i := at; i < min(n, at+512); i++ {
			raw[i] = byte(rnd.Uint32())
		}
		return file, fmt.Sprintf("sector at %d of %d overwritten", at, n), os.WriteFile(path, raw, 0o600)
	}
	if n == 0 {
		return file, "nothing in it", nil
	}
	at := rnd.IntN(n)
	raw[at] ^= 1 << rnd.IntN(8)
	return file, fmt.Sprintf("bit flipped at %d of %d", at, n), os.WriteFile(path, raw, 0o600)
}

func pick(rnd *rand.Rand, all []string, want func(string) bool) string {
	some := slices.DeleteFunc(slices.Clone(all), func(f string) bool { return !want(f) })
	return some[rnd.IntN(len(some))]
}

// endsTheProcess opens a copy of the folder in a process of its own: Badger panics on
// damaged tables in goroutines of its own, which nobody can catch, and would end this
// one. What the process says is returned.
func (g *garden) endsTheProcess(t *testing.T, dir string) (said string, died bool) {
	t.Helper()
	again := dir + "-probe"
	copyFolder(t, again, dir)
	defer os.RemoveAll(again)
	cmd := exec.Command(os.Args[0], "-test.run=^TestProbe$")
	cmd.Env = append(os.Environ(), "WAYPOST_TORTURE_PROBE="+again)
	out, err := cmd.CombinedOutput()
	return string(out[:min(len(out), 2000)]), err != nil
}

// TestProbe is the process of endsTheProcess.
func TestProbe(t *testing.T) {
	dir := os.Getenv("WAYPOST_TORTURE_PROBE")
	if dir == "" {
		t.Skip("runs as a child only")
	}
	_, _ = openFolder(dir, clock.NewFake(oplogtest.Noon()))
	os.Exit(0) // as a kill
}

// named reports whether damage to a file has to be named by a check. What Badger keeps
// beside its tables is empty here (values, discarded values), is only locked, or is
// played again from the journal. A list of tables that is short is what a kill leaves too.
func named(file string, clean bool) bool {
	if !strings.HasPrefix(file, "views/") {
		return true
	}
	switch filepath.Ext(file) {
	case ".vlog", ".mem":
		return false
	}
	if file == "views/MANIFEST" {
		return clean
	}
	return !slices.Contains([]string{"views/DISCARD", "views/LOCK"}, file)
}

func sameFile(a, b string) bool {
	x, xerr := os.ReadFile(a)
	y, yerr := os.ReadFile(b)
	return xerr == nil && yerr == nil && bytes.Equal(x, y)
}

// rot plays one seed; it returns what became of the damage.
func (g *garden) rot(r *row, seed uint64) string {
	rnd := rand.New(rand.NewPCG(seed, 6))
	dir, of := filepath.Join(r.dir, "rot"), g.dir
	if rnd.IntN(3) == 0 {
		of = g.unclean
	}
	copyFolder(r.t, dir, of)
	defer os.RemoveAll(dir)
	file, what, err := g.damage(dir, of, rnd)
	must(r.t, err)
	fail := func(format string, args ...any) {
		r.t.Helper()
		r.fail(seed, "%s of %s (%s): %s", file, filepath.Base(of), what, fmt.Sprintf(format, args...))
	}
	changed := !sameFile(filepath.Join(dir, file), filepath.Join(of, file))
	if strings.HasPrefix(file, "views/") {
		if said, died := g.endsTheProcess(r.t, dir); died {
			fail("ends the process that opens it: %s", said)
			return "ended the process"
		}
	}
	p, err := g.open(dir)
	if err != nil {
		fail("does not open: %v", err)
		return "closed for good"
	}
	defer func() { _ = p.close() }()
	y, report, err := p.judge(g.m)
	if err != nil {
		fail("cannot be judged: %v", err)
		return "unreadable"
	}
	if y.wrong+y.doubled+y.halves > 0 {
		fail("rotten records were served: %s", y.detail())
	}
	verdict := "harmless"
	said := len(report.Problems)+len(report.Notes)+len(p.vault.Mended())+len(p.Staff.Mended()) > 0
	switch {
	case !said && changed && named(file, of == g.dir):
		fail("nothing was said")
		return "unsaid"
	case said:
		verdict = "detected"
	case y.lost > 0:
		fail("%d lost and nothing was said: %s", y.lost, y.detail())
		return "silent"
	}
	for _, when := range []string{"after the neighbour came by", "after a restart"} {
		if _, err := pull(p.log, g.peer.log, 1+rnd.IntN(60)); err != nil {
			fail("%s: %v", when, err)
			return "not mended"
		}
		y, report, err = p.judge(g.m)
		must(r.t, err)
		if y.bad() || !report.Sound {
			fail("%s: %s %v", when, y.detail(), report.Problems)
			return "not mended"
		}
		if when == "after a restart" {
			break
		}
		must(r.t, p.close())
		if p, err = g.open(dir); err != nil {
			p = &post{Station: g.peer.Station, log: g.peer.log}
			fail("%s: does not open: %v", when, err)
			return "not mended"
		}
	}
	r.add(y)
	return verdict
}
