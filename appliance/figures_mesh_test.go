//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
)

// TestMeshFigures measures what it takes to bring everybody to an empty node, beside
// programs that do the same, and prints a table. It fails when something does not work,
// never because something is slow: what is gated is in TestMeshGate. Set
// WAYPOST_FIGURES_MESH=100000 to the number of people; WAYPOST_FIGURES_MESH_OPS=1000000
// asks for as many people as make that many ops. WAYPOST_FIGURES_PEERS=none leaves the
// other programs out.
func TestMeshFigures(t *testing.T) {
	people, _ := strconv.Atoi(os.Getenv("WAYPOST_FIGURES_MESH"))
	if ops, err := strconv.Atoi(os.Getenv("WAYPOST_FIGURES_MESH_OPS")); err == nil {
		people = ops * 3 / 4 // a household is an op of its own, and has three people
	}
	if people < 1000 {
		t.Skip("set WAYPOST_FIGURES_MESH=100000 (make bench-mesh does)")
	}
	lists, profiles, alone := os.Getenv("WAYPOST_TEST_DATA"), os.Getenv(profileEnv), os.Getenv("WAYPOST_FIGURES_PEERS") == "none"
	plain(t)
	t.Setenv("WAYPOST_TEST_DATA", lists)
	t.Setenv(profileEnv, profiles)
	f := &meshFigures{figures: newFigures(t), people: people}
	f.profiledBinary()
	began := time.Now()
	f.load = busy()
	f.records()
	f.big = f.count >= 900000
	f.ours()
	if !alone {
		f.others()
	}
	f.table.print(f, time.Since(began))
}

// meshFigures is the table while it is filled in.
type meshFigures struct {
	*figures
	people   int
	load     string // of the machine when it began
	list     string // everybody as a list to import
	source   string // the same as a line of compact JSON each, with their households
	json     int64  // bytes of source without the line ends
	count    int    // lines of source: one op each
	somebody string // a phone number on the list
	big      bool   // about a million ops: other bars
	table    meshTable
	took     taken // until all is durable
	views    taken // until it is in the views
}

// meshTable is measures, what they have to reach, and what others take for the same.
// Whoever measures something of the mesh adds rows.
type meshTable struct {
	rows []meshRow
}

// meshRow is one measure. Peers and ratio are empty where nobody else was measured.
type meshRow struct {
	measure, reach, ours, peers, ratio string
	holds                              bool
}

// add takes a row in, and says it at once, because the rest may take long.
func (m *meshTable) add(r meshRow) {
	m.rows = append(m.rows, r)
	fmt.Fprintln(os.Stderr, strings.Join([]string{r.measure, r.reach, r.ours, r.peers, r.ratio}, " | "))
}

// print writes the table and what it was measured on.
func (m *meshTable) print(f *meshFigures, took time.Duration) {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "measure\treach\tours\tholds\tpeers, same records, same run\tratio")
	for _, r := range m.rows {
		holds := "no"
		if r.holds {
			holds = "yes"
		}
		fmt.Fprintln(w, strings.Join([]string{r.measure, r.reach, r.ours, holds, r.peers, r.ratio}, "\t"))
	}
	f.check(w.Flush())
	fmt.Printf("\n%d people, %d records of %.0f bytes of JSON.\n%s\n%s\nLoad %s at the beginning, %s at the end, data on %s; measured in %.0f s.\n\n",
		f.people, f.count, float64(f.json)/float64(f.count), &out, strings.Join(f.notes, "\n"), f.load, busy(), fileSystem(f.dir), took.Seconds())
}

// taken is what one receiver took for all records.
type taken struct {
	Records int     `json:"records"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu"` // seconds of the receiver
	wire    int64   // bytes it received
	why     string  // it could not be measured
}

func (t taken) rate() float64   { return float64(t.Records) / t.Seconds }
func (t taken) micros() float64 { return t.CPU / float64(t.Records) * 1e6 }

// records makes the list, and the records as everybody else gets them: a person with the
// ids of person and household as the API gives them, the relation, and what the list
// says of the person; and each household with its head and members.
func (f *meshFigures) records() {
	var m registration.Map
	pop := filepath.Join(f.dir, "pop")
	f.list = filepath.Join(pop, "persons.csv")
	if sharedLists("make_people") != "" {
		f.check(writePopulation(pop, strconv.Itoa(f.people), "7"))
		var err error
		m, err = registration.ReadMap(strings.NewReader(populationMap))
		f.check(err)
	} else {
		f.check(os.Mkdir(pop, 0o700))
		w, err := os.Create(f.list)
		f.check(err)
		f.check(writeMadeUp(w, f.people, 7))
		f.check(w.Close())
		f.note("The people are the program's own made-up ones: make_people is not there.")
	}
	raw, err := os.ReadFile(f.list)
	f.check(err)
	table, err := registration.ReadCSV(bytes.NewReader(raw))
	f.check(err)
	rows, _, err := m.MapTable(table)
	f.check(err)
	f.writeRecords(rows)
}

func (f *meshFigures) writeRecords(rows []registration.ImportRow) {
	type household struct {
		ID      string   `json:"id"`
		Head    string   `json:"head"`
		Members []string `json:"members"`
	}
	var all bytes.Buffer
	put := func(v any) {
		raw, err := json.Marshal(v)
		f.check(err)
		all.Write(append(raw, '\n'))
		f.json, f.count = f.json+int64(len(raw)), f.count+1
	}
	var order []*household
	homes := map[string]*household{}
	for _, r := range rows {
		if len(r.Person.Phone) > 8 && f.count < 2*len(rows)/3 { // the very last batch is shown at once
			f.somebody = r.Person.Phone
		}
		home := homes[r.Household]
		if home == nil {
			home = &household{ID: oplog.NewID().String()}
			homes[r.Household] = home
			order = append(order, home)
		}
		id := oplog.NewID().String()
		home.Members = append(home.Members, id)
		home.Head = home.Members[0]
		put(struct {
			ID        string `json:"id"`
			Household string `json:"household"`
			Relation  string `json:"relation,omitempty"`
			registration.Person
		}{id, home.ID, r.Relation, r.Person})
	}
	for _, home := range order {
		put(home)
	}
	f.source = filepath.Join(f.dir, "records.jsonl")
	f.check(os.WriteFile(f.source, all.Bytes(), 0o644)) //nolint:gosec // made up, and another user reads it
}

// receiver is a running node that is watched while it fills.
type receiver struct {
	*served
	most float64 // MiB of anonymous memory, at most
	quit chan struct{}
	done chan struct{}
}

func watch(s *served) *receiver {
	r := &receiver{served: s, quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for {
			r.most = max(r.most, anonymousOf(s.cmd.Process.Pid))
			select {
			case <-r.quit:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return r
}

// end gives the most anonymous memory there was.
func (r *receiver) end() float64 { close(r.quit); <-r.done; return r.most }

// anonymousOf is the anonymous memory of a process in MiB.
func anonymousOf(pid int) float64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(raw)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "RssAnon:" {
			kb, _ := strconv.ParseFloat(words[1], 64)
			return kb / 1024
		}
	}
	return 0
}

// cpuOf is how long a process was on a core, with its children that have ended when all
// is set.
func cpuOf(pid int, all bool) float64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(raw), ") ")
	words := strings.Fields(rest)
	if len(words) < 15 {
		return 0
	}
	sum := 0.0
	last := 13
	if all {
		last = 15
	}
	for _, w := range words[11:last] {
		ticks, _ := strconv.ParseFloat(w, 64)
		sum += ticks / 100
	}
	return sum
}

// boardMemory is the limit the program sets itself on a board of 1 GB, of which the system
// keeps some for itself.
const boardMemory = 950 << 20

// filled is one way of filling an empty node, and what it took.
type filled struct {
	name  string
	limit int64 // Go's memory limit in bytes; 0: as on this machine, which is as good as none
	works bool  // somebody saves a person every few seconds meanwhile

	durable, views taken
	most           float64       // MiB of anonymous memory
	counted        time.Duration // until a search knows everybody
	searched       float64       // seconds of CPU until then
	shown, found   time.Duration // first people; somebody of the list in a search
	saves          []time.Duration
}

// ours is an empty node of the real program that joins one that has everybody, three times:
// as fast as it goes, under the memory limit of a small board, and while somebody works
// there. Each is started while the full one is away, so that what a start costs is not
// counted: the time begins when they meet.
func (f *meshFigures) ours() {
	a := f.serve(f.found("a"), nil, "a")
	line := []string{"import", "--data", a.dir, "--json"}
	if sharedLists("make_people") != "" {
		line = append(line, "--map", filepath.Join(f.dir, "pop", "map.json"))
	}
	f.waypost(append(line, f.list)...)
	a.stop()
	fast, board, worked := &filled{name: "b"}, &filled{name: "c", limit: memoryLimit(boardMemory)}, &filled{name: "d", works: true}
	for _, how := range []*filled{fast, board, worked} {
		f.filling(a.dir, how)
	}
	f.took, f.views = fast.durable, fast.views
	f.rowsOfOurs(fast, board, worked)
}

// filling fills one empty node and leaves nobody running.
func (f *meshFigures) filling(full string, how *filled) {
	a := f.serve(full, nil, "a")
	code := f.waypost("invite", "--data", a.dir)
	dir := filepath.Join(f.dir, how.name)
	f.waypost("join", "--data", dir, "--site", how.name, "--lead", figuresLead, "--passphrase-file", f.secret, code)
	least := a.status().Ops - 1
	a.stop()
	if how.limit > 0 {
		f.t.Setenv("GOMEMLIMIT", strconv.FormatInt(how.limit, 10))
	}
	b := f.serve(dir, nil, how.name)
	f.check(os.Unsetenv("GOMEMLIMIT"))
	had := b.status().Ops
	work, usable := func() {}, func(time.Time) func() { return func() {} }
	if how.works {
		work, usable = f.working(b, how), f.usable(b, how)
	}
	f.settled(b)
	before := cpuOf(b.cmd.Process.Pid, false)
	w := watch(b)
	f.profiling(true)
	a = f.serve(full, nil, "a")
	f.follow(a, b, how, least, had, before, work, usable)
	how.most = w.end()
	b.stop()
	a.stop()
}

// profiling has nodes write their profiles, or end them.
func (f *meshFigures) profiling(on bool) {
	dir := os.Getenv(profileEnv)
	if dir == "" {
		return
	}
	now := filepath.Join(dir, "now")
	if !on {
		f.check(os.Remove(now))
		return
	}
	f.check(os.WriteFile(now, nil, 0o600))
}

// profiledBinary stands in for the built program when profiles are asked for.
func (f *meshFigures) profiledBinary() {
	if os.Getenv(profileEnv) == "" {
		return
	}
	self, err := os.Executable()
	f.check(err)
	f.check(os.Remove(f.bin))
	f.check(os.Symlink(self, f.bin))
}

// workEvery is how often somebody saves a person at a node that is filled.
const workEvery = 5 * time.Second

// working has somebody save a person now and then, from the moment go is called until the
// function it gives is called again.
func (f *meshFigures) working(b *served, how *filled) (toggle func()) {
	c := b.program("registrar")
	quit, done := make(chan struct{}), make(chan struct{})
	run := func() {
		defer close(done)
		for i := 0; ; i++ {
			began := time.Now()
			if _, err := c.register("Amina", fmt.Sprintf("Busy%03d", i)); err != nil {
				f.t.Errorf("a person could not be saved while the node was filled: %v", err)
				return
			}
			how.saves = append(how.saves, time.Since(began))
			select {
			case <-quit:
				return
			case <-time.After(workEvery):
			}
		}
	}
	started := false
	return func() {
		if !started {
			started = true
			go run()
			return
		}
		close(quit)
		<-done
	}
}

// settled waits until a node does nothing any more.
func (f *meshFigures) settled(s *served) {
	for was := -1.0; ; time.Sleep(500 * time.Millisecond) {
		now := cpuOf(s.cmd.Process.Pid, false)
		if now-was < 0.02 {
			return
		}
		was = now
	}
}

// follow follows b from the moment it meets a until both show the same.
func (f *meshFigures) follow(a, b *served, how *filled, least, had uint64, before float64, work func(), usable func(time.Time) func()) {
	pid, id := b.cmd.Process.Pid, b.status().Node
	var met time.Time
	f.until("they meet", func() bool {
		p := neighbourOf(a.status(), id)
		for _, c := range p.Connections {
			met = c.Since // by the same clock as this one's, and before it was asked for
		}
		return p.State == "connected" && !met.IsZero()
	})
	work()
	found := usable(met)
	durable := f.until("all is durable", func() bool {
		st := a.status()
		p := neighbourOf(st, id)
		return p.State == "connected" && p.Behind <= least/100 && st.Ops >= least
	})
	how.durable.CPU = (cpuOf(pid, false) - before) / 0.99
	how.durable.Seconds = durable.Sub(met).Seconds() / 0.99
	how.shown = f.until("people are shown", func() bool { return b.status().People > 0 }).Sub(met)
	same := func() bool {
		sa, sb := a.status(), b.status()
		return sa.Ops == sb.Ops && sb.Late == 0
	}
	applied := f.seldom("the views are equal", same)
	how.views.CPU = cpuOf(pid, false) - before
	how.counted = f.seldom("everybody is in the index of searches", func() bool { return a.status().People == b.status().People }).Sub(met)
	how.searched = cpuOf(pid, false) - before
	f.profiling(false)
	if how.works {
		work()
		f.seldom("the views are equal", same)
	}
	f.until("their rows are the same, too", func() bool { return a.views() == b.views() }) // who searched is a fact as well, and may come in between
	st := b.status()
	how.durable.Records = int(st.Ops - had)
	for _, p := range st.Peers {
		how.durable.wire += int64(p.BytesIn)
	}
	how.views.Records, how.views.Seconds = how.durable.Records, applied.Sub(met).Seconds()
	found()
}

// neighbourOf is a node as another one sees it.
func neighbourOf(st control.Status, node string) control.Peer {
	for _, p := range st.Peers {
		if p.Node == node {
			return p
		}
	}
	return control.Peer{}
}

// until waits for something and gives the moment.
func (f *meshFigures) until(what string, is func() bool) time.Time {
	return f.asking(20*time.Millisecond, what, is)
}

// seldom is until for what takes longer: two nodes that are asked for their state every 20 ms
// are kept from their work.
func (f *meshFigures) seldom(what string, is func() bool) time.Time {
	return f.asking(100*time.Millisecond, what, is)
}

func (f *meshFigures) asking(every time.Duration, what string, is func() bool) time.Time {
	most := 3*time.Minute + time.Duration(f.people)*2*time.Millisecond
	for began := time.Now(); !is(); time.Sleep(every) {
		if time.Since(began) > most {
			f.t.Fatal("it takes too long until " + what)
		}
	}
	return time.Now()
}

// rowsOfOurs are the rows about the program itself; the bars of peers come with them. Rates
// are those without a memory limit, memory is that under the limit of a board of 1 GB, and
// the other way round is said in notes.
func (f *meshFigures) rowsOfOurs(fast, board, worked *filled) {
	n, bar, mem := float64(f.took.Records), 8000.0, 128.0
	if f.big {
		bar, mem = 6000, 200
	}
	rate, with := f.took.rate(), f.views.rate()
	f.table.add(meshRow{"to an empty node over mTLS, verified and durable", ">= 40,000 ops/s", fmt.Sprintf("%.0f ops/s (%d in %.2f s)", rate, f.took.Records, f.took.Seconds), "", "", rate >= 40000})
	f.table.add(meshRow{"with views, search deferred", fmt.Sprintf(">= %.0f ops/s", bar), fmt.Sprintf("%.0f ops/s (%.2f s)", with, f.views.Seconds), "", "", with >= bar})
	f.table.add(meshRow{"receiver's CPU until all is durable, TLS included", "<= 10 us", fmt.Sprintf("%.1f us an op; with views %.1f us, and search %.1f us", f.took.micros(), f.views.micros(), 1e6*fast.searched/n), "", "", f.took.micros() <= 10})
	ratio := float64(f.took.wire) / float64(f.json)
	f.table.add(meshRow{"bytes received / JSON", "<= 0.45", fmt.Sprintf("%.3f (%.1f B an op)", ratio, float64(f.took.wire)/n), "", "", ratio <= 0.45})
	f.table.add(meshRow{fmt.Sprintf("receiver's anonymous memory, at most, GOMEMLIMIT=%dMiB", board.limit>>20), fmt.Sprintf("<= %.0f MiB", mem), fmt.Sprintf("%.0f MiB", board.most), "", "", board.most <= mem})
	f.note("Durable: the other node has the receiver's acknowledgement for 99 of 100 ops. It is asked for every 20 ms and more; when they met the node says. First people shown after %.1f s; everybody is in the index of searches after %.1f s.", fast.shown.Seconds(), fast.counted.Seconds())
	f.note("Without a memory limit the receiver took %.0f MiB at most. Under the limit it took %.2f s until all was durable and %.2f s with views, %.1f and %.1f us of CPU an op.",
		fast.most, board.durable.Seconds, board.views.Seconds, board.durable.micros(), board.views.micros())
	if f.big {
		f.table.add(meshRow{"a new node, 1,000,000 ops: usable", "<= 60 s", fmt.Sprintf("a family is saved after %s at most, somebody of the list found after %.1f s", millis(percentile(worked.saves, 100)), worked.found.Seconds()), "", "", worked.found <= 60*time.Second && percentile(worked.saves, 100) <= 60*time.Second})
		f.table.add(meshRow{"the same: complete", "<= 300 s", fmt.Sprintf("%.1f s", f.views.Seconds), "", "", f.views.Seconds <= 300})
	} else {
		f.note("Somebody of the list is found %.1f s after they met.", worked.found.Seconds())
	}
	if len(worked.saves) > 0 {
		f.note("While somebody saved a person every %.0f s (%d saves: p50 %s, p95 %s, most %s) it took %.2f s until all was durable and %.2f s with views, %.1f us of CPU an op.", workEvery.Seconds(), len(worked.saves),
			millis(percentile(worked.saves, 50)), millis(percentile(worked.saves, 95)), millis(percentile(worked.saves, 100)), worked.durable.Seconds, worked.views.Seconds, worked.views.micros())
	}
}

// usable asks, from when two nodes meet, until somebody of the list is found and a page of people is answered. What it gives waits for that.
func (f *meshFigures) usable(b *served, how *filled) func(met time.Time) (wait func()) {
	c := b.program("lead")
	answers := func(path string) bool {
		resp, raw, err := c.do("GET", path, "", "")
		return err == nil && resp.StatusCode == 200 && bytes.Contains(raw, []byte(`"id"`))
	}
	return func(met time.Time) func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for !answers("/api/v1/people?limit=20&q="+url.QueryEscape(f.somebody)) || !answers("/api/v1/people?limit=50") {
				time.Sleep(100 * time.Millisecond)
			}
			how.found = time.Since(met)
		}()
		return func() {
			f.until("somebody is found", func() bool {
				select {
				case <-done:
					return true
				default:
					return false
				}
			})
		}
	}
}

// output runs a program and gives what it says; a failure is why it cannot be measured.
func output(cmd *exec.Cmd) (string, error) {
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, lastLine(errs.String()))
	}
	return string(out), nil
}
