package torture

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/waypost/waypost/appliance/backup"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/files/filestest"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
	"github.com/waypost/waypost/appliance/tokens"
)

// The ways an operation fails.
var failures = []struct {
	name string
	filestest.Fault
}{
	{"EIO", filestest.Fault{Err: syscall.EIO}},
	{"ENOSPC", filestest.Fault{Err: syscall.ENOSPC}},
	{"half a write", filestest.Fault{Err: syscall.ENOSPC, Short: true}},
	{"EIO from then on", filestest.Fault{Err: syscall.EIO, Lasting: true}},
	{"ENOSPC from then on", filestest.Fault{Err: syscall.ENOSPC, Lasting: true}},
	{"half a write, then nothing", filestest.Fault{Err: syscall.ENOSPC, Short: true, Lasting: true}},
	{"EIO, reading too", filestest.Fault{Err: syscall.EIO, Reads: true}},
}

// TestEveryOperation lets every single file operation of a day fail once: first start,
// registration, a household, a correction, a card, an import, a merge, an erasure by two
// people, a backup, stop and start.
// Whatever is answered must be an error a person understands; what was promised must be
// there after the next start, in half of the runs with a power cut before it.
func TestEveryOperation(t *testing.T) {
	r := newRow(t)
	c := clock.NewFake(oplogtest.Noon())
	k := newCamp(t, c)
	peer, people := k.neighbour(t, 4)
	d := &day{r: r, k: k, c: c, raws: batches(t, peer, 3), theirs: people.promised()}
	total := map[bool]int{}
	for _, reads := range []bool{false, true} {
		total[reads] = d.run(firstSeed(), 0, filestest.Fault{Reads: reads}, "nothing")
		if !d.destroyed || !d.backed {
			t.Fatalf("a day without faults: erased %v, backup %v", d.destroyed, d.backed)
		}
	}
	r.note("%d operations, %d with reading", total[false], total[true])
	for i, f := range failures {
		for n := 1; n <= total[f.Reads]; n++ {
			// A plain go test gives each operation one of the faults, by seed.
			if effort() != "" || (uint64(n)+firstSeed())%uint64(len(failures)) == uint64(i) {
				r.sum.runs++
				d.run(firstSeed()+uint64(n), n, f.Fault, f.name)
			}
			if r.sum.failures >= 20 {
				t.Fatal("too many failures: the rest is left out")
			}
		}
	}
}

// day is what happens to a box between two faults.
type day struct {
	r      *row
	k      *camp
	c      clock.Clock
	raws   [][]byte          // of the neighbour
	theirs map[string]string // the neighbour's people

	at   int
	how  string
	disk *filestest.Failing
	m    *model
	p    *post

	backed    bool
	leaves    oplog.ID // who is erased
	destroyed bool     // and that was answered as done
}

// run plays the day with operation n failing; it returns how many there were.
func (d *day) run(seed uint64, n int, f filestest.Fault, how string) int {
	dir := filepath.Join(d.r.dir, "day")
	copyFolder(d.r.t, filepath.Join(dir, "box"), d.k.dirs[0])
	must(d.r.t, os.Mkdir(filepath.Join(dir, "stick"), 0o700))
	must(d.r.t, os.Mkdir(filepath.Join(d.r.dir, "accounts"), 0o700))
	defer os.RemoveAll(filepath.Join(d.r.dir, "accounts"))
	defer os.RemoveAll(dir)
	lossy, err := filestest.NewLossy(dir)
	must(d.r.t, err)
	d.at, d.how, d.m, d.p, d.backed = n, how, newModel(), nil, false
	d.leaves, d.destroyed = oplog.ID{}, false
	d.disk = filestest.NewFailing(lossy)
	d.disk.Arm(n, f)
	for _, step := range []func() error{d.open(dir), d.write, d.merge, d.erase, d.backup(dir), d.restart(dir), d.more} {
		d.clean(step())
	}
	count := d.disk.Count()
	if what, times := d.disk.Hit(); n > 0 && times == 0 {
		d.fail("the fault was never met (%s)", what)
	}
	d.disk.Disarm()
	if d.p != nil {
		d.clean(d.p.close())
	}
	if n%2 == 1 { // nothing that was promised needs a clean stop
		after := filepath.Join(d.r.dir, "after")
		defer os.RemoveAll(after)
		must(d.r.t, lossy.Crash(seed, after))
		dir = after
	}
	d.reopen(dir)
	return count
}

func (d *day) fail(format string, args ...any) {
	d.r.t.Helper()
	what, times := d.disk.Hit()
	d.r.fail(firstSeed(), "operation %d (%s, failed %d times with %s): %s", d.at, what, times, d.how, fmt.Sprintf(format, args...))
}

// clean fails the run for an error nobody could act on.
func (d *day) clean(err error) {
	if err != nil && d.at == 0 {
		d.r.t.Fatalf("on a day without faults: %v", err)
	}
	d.r.t.Helper()
	if err == nil {
		return
	}
	switch c := fault.ClassOf(err); c {
	case fault.Full, fault.ReadOnly, fault.Unavailable:
	default:
		// Two say what to do although they are called internal.
		if key := fault.Of(err).Key; key != "fault.oplog.keys" && key != "fault.backup.not_read_back" {
			d.fail("answered %s %s: %v", c, key, err)
		}
	}
}

// open tries twice: somebody pulls the plug and puts it back.
func (d *day) open(dir string) func() error {
	return func() (err error) {
		for range 2 {
			if d.p, err = openPostAt(d.k.vaults[0], filepath.Join(dir, "box"), filepath.Join(d.r.dir, "accounts"), d.c, d.disk, oplogtest.MemStore()); err == nil {
				return nil
			}
			d.clean(err)
		}
		return err
	}
}

func (d *day) write() error {
	if d.p == nil {
		return nil
	}
	var patch registration.Patch
	for i := range 3 {
		name := fmt.Sprintf("Person%d", i)
		id, err := d.p.register(d.m, name)
		d.clean(err)
		if err != nil {
			continue
		}
		if i == 0 {
			patch.Fields = map[string]json.RawMessage{"given_name": json.RawMessage(`"Corrected"`)}
			d.m.send("Corrected")
			_, err := d.p.Registration.Correct(ctx, operator, id, patch, registration.Request{})
			d.clean(err)
			if err == nil {
				d.m.change(id.String(), "Corrected")
			} else {
				d.m.either(id.String(), "Corrected")
			}
			_, err = d.p.Tokens.Issue(ctx, operator, id, tokens.IssueOptions{})
			d.clean(err)
		}
	}
	leaves, err := d.p.register(d.m, "Leaves")
	d.clean(err)
	if err == nil {
		d.leaves = leaves
	}
	d.clean(d.p.household(d.m, "Mother", "Son", "Daughter"))
	return d.p.imports(d.m, "Row1", "Row2", "Row3", "Row4", "Row5", "Row6")
}

// merge takes what the neighbour has; a person is promised with the last batch, the
// first error ends it, as the mesh would try again later.
func (d *day) merge() error {
	for _, name := range d.theirs {
		d.m.send(name)
	}
	if d.p == nil {
		return nil
	}
	for _, raw := range d.raws {
		if _, err := d.p.log.Merge(ctx, raw); err != nil {
			return err
		}
	}
	for id, name := range d.theirs {
		d.m.ack(id, name)
	}
	return nil
}

// erase has two people erase somebody, the issuer sign too, and what is left destroyed.
func (d *day) erase() error {
	if d.p == nil || d.leaves.IsZero() {
		return nil
	}
	var who [2]staff.Session
	for i, user := range []string{"amina", "noor"} {
		_, err := d.p.Staff.Add(ctx, operator, staff.NewAccount{User: user, Role: staff.Lead, Passphrase: secret})
		if err == nil {
			who[i], err = d.p.Staff.SignIn(ctx, user, secret)
		}
		if err != nil {
			return err
		}
	}
	approval, err := d.p.Staff.AskErasure(ctx, who[0], staff.ErasureRequest{Subjects: []oplog.ID{d.leaves}, Reason: "own_wish"})
	if err != nil {
		return err
	}
	d.m.leave(d.leaves.String(), false)
	if _, err = d.p.Staff.ConfirmErasure(ctx, who[1], approval); err != nil {
		return err
	}
	d.m.leave(d.leaves.String(), true)
	if err = d.p.Staff.FinishErasure(ctx, who[0], d.leaves); err == nil {
		err = d.p.log.Erase(ctx, []oplog.ID{d.leaves})
	}
	d.destroyed = err == nil
	return err
}

// backup writes one onto a stick of the same bad make.
func (d *day) backup(dir string) func() error {
	return func() error {
		if d.p == nil {
			return nil
		}
		_, err := backup.Write(ctx, backup.Options{
			Files: d.disk, Dir: filepath.Join(dir, "box"), File: filepath.Join(dir, "stick", "a.wpb"),
			Journal: d.p.log, Keys: d.k.vaults[0], Made: d.c.Now(),
		})
		d.backed = err == nil
		return err
	}
}

func (d *day) restart(dir string) func() error {
	return func() error {
		if d.p != nil {
			d.clean(d.p.close())
			d.p = nil
		}
		return d.open(dir)()
	}
}

func (d *day) more() error {
	if d.p == nil {
		return nil
	}
	_, err := d.p.register(d.m, "Evening")
	return err
}

// reopen is the next morning, on a disk that works again.
func (d *day) reopen(dir string) {
	if d.backed { // it was called written and read back
		if _, err := backup.Verify(ctx, files.OS(), filepath.Join(dir, "stick", "a.wpb"), nil, nil); err != nil {
			d.fail("the backup that was called good: %v", err)
		}
	}
	p, err := openPost(d.k.vaults[0], filepath.Join(dir, "box"), d.c, files.OS(), oplogtest.MemStore())
	if err != nil {
		d.fail("does not open again: %v", err)
		return
	}
	defer p.close()
	if left := p.log.GoneOf(d.leaves); d.destroyed && (left.Kept != 0 || left.Bare == 0) {
		d.fail("destroyed, and %d payloads of %d are here", left.Kept, left.Kept+left.Bare)
	}
	y, report, err := p.judge(d.m)
	must(d.r.t, err)
	d.r.add(y)
	if y.bad() {
		d.fail("%s", y.detail())
	}
	// A copy of the keys that could not be made is made now, and said.
	report.Problems = slices.DeleteFunc(report.Problems, func(p string) bool { return strings.HasPrefix(p, "a copy of the segment keys was missing") })
	if len(report.Problems) > 0 {
		d.fail("not sound: %v", report.Problems)
	}
	if _, err := p.register(d.m, "Next day"); err != nil {
		d.fail("no writing the next day: %v", err)
	}
	for _, raw := range d.raws { // the neighbour comes by again
		if _, err := p.log.Merge(ctx, raw); err != nil {
			d.fail("no merging the next day: %v", err)
			break
		}
	}
}
