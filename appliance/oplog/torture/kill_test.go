package torture

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// reopenWithin is the promise for a start after a kill.
const reopenWithin = 10 * time.Second

// TestKill kills the real process at random moments, also while it starts, with four
// registrars writing over HTTP. After each start everything unanswered is asked for
// again under its key: then the number of people must be exactly what was promised,
// so that one lost and one doubled both show. Now and then everybody is read.
func TestKill(t *testing.T) {
	needsEffort(t)
	r := newRow(t)
	dir, err := os.MkdirTemp("", "wp") // a real disk, and a short path for the socket
	must(t, err)
	defer os.RemoveAll(dir)
	n := found(t, filepath.Join(dir, "d"))
	w := &writers{n: n, m: newModel()}
	total := runs(30, 2000)
	run := 0
	r.each(total, func(seed uint64) {
		run++
		w.rnd = rand.New(rand.NewPCG(seed, 4))
		if w.rnd.IntN(5) == 0 {
			n.launch(t) // and dies before it can say anything
			<-time.After(time.Duration(w.rnd.IntN(400)) * time.Millisecond)
			n.kill()
		}
		took := n.start(t)
		if r.reopened(took); took > reopenWithin {
			r.fail(seed, "run %d took %v to open with %d people\n%s", run, took, len(w.m.promised()), n.logs.String())
		}
		if err := w.again(); err != nil {
			r.fail(seed, "%v\n%s", err, n.logs.String())
			return
		}
		want := len(w.m.promised())
		if got, err := n.count(); err != nil || got != want {
			r.fail(seed, "%d people instead of %d (%v)", got, want, err)
		}
		if run%100 == 0 || run == total {
			w.audit(r, seed)
		}
		w.start(4)
		<-time.After(time.Duration(5+w.rnd.IntN(250)) * time.Millisecond)
		n.kill()
		w.stop()
	})
	r.reopened(n.start(t))
	must(t, w.again())
	y := w.audit(r, firstSeed())
	r.sum.acked, r.sum.lost, r.sum.doubled = y.acked, y.lost, y.doubled
	n.stop(t)
	p, err := openFolder(n.dir, systemClock)
	must(t, err)
	defer p.close()
	_, report, err := p.judge(w.m)
	must(t, err)
	if !report.Sound {
		t.Errorf("not sound at the end: %v", report.Problems)
	}
	r.note("%d ops in %d logs", report.Ops, len(report.Logs))
}

// audit reads everybody.
func (w *writers) audit(r *row, seed uint64) tally {
	all, err := w.n.people()
	must(r.t, err)
	y := w.m.compare(all)
	if y.bad() {
		r.fail(seed, "%s", y.detail())
	}
	return y
}
