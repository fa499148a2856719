package torture

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/files/filestest"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// TestMendingIsCutOff opens a folder with a damaged segment and lets every operation of
// setting it aside, rewriting what is sound and fetching the rest fail once, in half of
// the runs with a power cut behind it. Next morning the neighbour comes by, and
// everything is there.
func TestMendingIsCutOff(t *testing.T) {
	r := newRow(t)
	h := newHospital(t, r)
	total := h.run(0, filestest.Fault{}, "nothing")
	r.note("%d operations", total)
	for i, f := range failures {
		for n := 1; n <= total && r.sum.failures < 20; n++ {
			if !f.Reads && (effort() != "" || (uint64(n)+firstSeed())%uint64(len(failures)) == uint64(i)) {
				r.sum.runs++
				h.run(n, f.Fault, f.name)
			}
		}
	}
}

// hospital has a folder that is ill in the same way each time.
type hospital struct {
	r    *row
	k    *camp
	c    clock.Clock
	dir  string
	m    *model
	peer *post
}

func newHospital(t *testing.T, r *row) *hospital {
	t.Helper()
	h := &hospital{r: r, c: clock.NewFake(oplogtest.Noon()), dir: scratch(t), m: newModel()}
	h.k = newCamp(t, h.c)
	var theirs *model
	h.peer, theirs = h.k.neighbour(t, 5)
	for id, name := range theirs.promised() {
		h.m.send(name)
		h.m.ack(id, name)
	}
	for life := range 2 {
		p, err := openPost(h.k.vaults[0], h.dir, h.c, files.OS(), oplogtest.MemStore())
		must(t, err)
		for i := range 8 {
			_, err := p.register(h.m, fmt.Sprintf("Person%d-%d", life, i))
			must(t, err)
		}
		_, err = pull(p.log, h.peer.log, 5)
		must(t, err)
		_, err = pull(h.peer.log, p.log, 50)
		must(t, err)
		must(t, p.close())
	}
	path := filepath.Join(h.dir, "journal", "00000001.wpj")
	raw, err := os.ReadFile(path)
	must(t, err)
	raw[len(raw)/2] ^= 4
	must(t, os.WriteFile(path, raw, 0o600))
	return h
}

// run treats it with operation n failing; it returns how many there were.
func (h *hospital) run(n int, f filestest.Fault, how string) int {
	t, seed := h.r.t, firstSeed()
	dir := filepath.Join(h.r.dir, "ill")
	copyFolder(t, dir, h.dir)
	defer os.RemoveAll(dir)
	lossy, err := filestest.NewLossy(dir)
	must(t, err)
	disk := filestest.NewFailing(lossy)
	disk.Arm(n, f)
	fail := func(format string, args ...any) {
		t.Helper()
		what, times := disk.Hit()
		h.r.fail(seed, "operation %d (%s, failed %d times with %s): %s", n, what, times, how, fmt.Sprintf(format, args...))
	}
	for range 2 {
		p, err := openPost(h.k.vaults[0], dir, h.c, disk, oplogtest.MemStore())
		if err != nil {
			continue // looked at below: it must open when the disk works again
		}
		_, _ = pull(p.log, h.peer.log, 50)
		_ = p.close()
	}
	count := disk.Count()
	disk.Disarm()
	if n%2 == 1 {
		after := filepath.Join(h.r.dir, "after")
		defer os.RemoveAll(after)
		must(t, lossy.Crash(seed+uint64(n), after))
		dir = after
	}
	p, err := openPost(h.k.vaults[0], dir, h.c, files.OS(), oplogtest.MemStore())
	if err != nil {
		fail("does not open again: %v", err)
		return count
	}
	defer p.close()
	if _, err := pull(p.log, h.peer.log, 50); err != nil {
		fail("the neighbour came by: %v", err)
		return count
	}
	y, report, err := p.judge(h.m)
	must(t, err)
	h.r.add(y)
	if y.bad() || !report.Sound {
		fail("%s %v", y.detail(), report.Problems)
	}
	return count
}
