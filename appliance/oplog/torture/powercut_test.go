package torture

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestPowerCut lets the real process write on a real file system of its own, stops it
// at a random moment, copies the disk as it is under the system's cache, and opens the
// copy. Each run has an image and a loop device of its own: one that was used before
// may hand out what it remembers.
func TestPowerCut(t *testing.T) {
	needsEffort(t)
	needsMount(t)
	r := newRow(t)
	base, err := os.MkdirTemp("", "wp")
	must(t, err)
	defer os.RemoveAll(base)
	r.each(runs(10, 300), func(seed uint64) { r.powerCut(base, seed) })
}

func (r *row) powerCut(base string, seed uint64) {
	t := r.t
	rnd := rand.New(rand.NewPCG(seed, 5))
	disk, err := newImage(base, "disk", 160)
	defer disk.remove()
	must(t, err)
	n := found(t, filepath.Join(disk.dir, "d"))
	must(t, tool("sync", "-f", disk.dir)) // the founding is not what is tried
	n.start(t)
	defer n.kill()
	w := &writers{n: n, m: newModel(), rnd: rnd}
	w.start(4)
	<-time.After(time.Duration(20+rnd.IntN(800)) * time.Millisecond)
	n.signal(syscall.SIGSTOP)
	waitStopped(t, n.cmd.Process.Pid)
	promised := w.m.promised() // what was said so far; more cannot come
	after, err := disk.cut(base, "after")
	defer after.remove()
	n.signal(syscall.SIGCONT)
	n.kill()
	w.stop()
	must(t, err)

	began := time.Now()
	p, err := openFolder(filepath.Join(after.dir, "d"), systemClock)
	if err != nil {
		r.fail(seed, "does not open after the cut: %v", err)
		return
	}
	defer p.close()
	r.reopened(time.Since(began))
	w.m.mu.Lock()
	w.m.acked = promised
	w.m.mu.Unlock()
	y, report, err := p.judge(w.m)
	must(t, err)
	r.add(y)
	if y.bad() {
		r.fail(seed, "%s", y.detail())
	}
	if !report.Sound {
		r.fail(seed, "not sound after the cut: %v", report.Problems)
	}
}

// waitStopped waits until all of a process stands still.
func waitStopped(t *testing.T, pid int) {
	t.Helper()
	for range 200 {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(pid, &status, syscall.WUNTRACED|syscall.WNOHANG, nil)
		if err == nil && got == pid && status.Stopped() {
			return
		}
		<-time.After(time.Millisecond)
	}
	t.Fatal("the process does not stop")
}
