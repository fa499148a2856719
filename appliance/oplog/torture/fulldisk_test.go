package torture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/control"
)

// How small a disk may be, and how much is freed.
const (
	smallMB = 32
	freedMB = 10
	// saidWithin is how soon a full disk is on the screens.
	saidWithin = 5 * time.Second
	// readAgain is how long a box may refuse to show anybody, instead of some of them.
	readAgain = 10 * time.Second
)

// TestFullDisk fills a disk to its last byte under writing registrars. The process
// lives, says so, goes on showing everybody; when room is made it writes again by
// itself, and after a kill everything promised is there.
func TestFullDisk(t *testing.T) {
	needsEffort(t)
	needsMount(t)
	r := newRow(t)
	base, err := os.MkdirTemp("", "wp")
	must(t, err)
	defer os.RemoveAll(base)
	r.each(runs(1, 20), func(seed uint64) { r.fullDisk(base, seed) })
}

func (r *row) fullDisk(base string, seed uint64) {
	t := r.t
	disk, err := newImage(base, "small", smallMB)
	defer disk.remove()
	must(t, err)
	n := found(t, filepath.Join(disk.dir, "d"))
	n.start(t)
	defer n.kill()
	w := &writers{n: n, m: newModel(), rnd: rand.New(rand.NewPCG(seed, 7))}
	for range 20 {
		if err := n.send(w.m, w.draw()); err != nil {
			r.fail(seed, "a box on an empty disk of %d MB takes no records: %v", smallMB, err)
			return
		}
	}
	w.start(3)
	filler := filepath.Join(disk.dir, "filler")
	must(t, fill(filler))
	w.group.Wait() // each ends with its first refusal
	began := time.Now()
	if !within(saidWithin, func() bool { return n.saysFull() }) {
		r.fail(seed, "nothing is said %v after the disk was full", saidWithin)
	}
	r.mu.Lock()
	if said := time.Since(began); len(r.notes) == 0 {
		r.notes = append(r.notes, fmt.Sprintf("first said after %v", said.Round(time.Millisecond)))
	}
	r.mu.Unlock()
	for range 5 {
		var status int
		var err error
		within(readAgain, func() bool { // the views may be on their way into memory
			status, err = n.call("POST", "/api/v1/people", "", `{"given_name":"Nobody"}`, nil)
			return status != http.StatusServiceUnavailable
		})
		if err != nil || status != http.StatusInsufficientStorage {
			r.fail(seed, "a full disk answers %d %v", status, err)
		}
	}
	if !n.alive() {
		r.fail(seed, "the process ended: %v\n%s", n.err, n.logs.String())
		return
	}
	var all map[string]string
	within(readAgain, func() bool { all, err = n.people(); return err == nil })
	if err != nil || w.m.compare(all).lost > 0 {
		r.fail(seed, "not everybody is shown on a full disk: %v", err)
	}
	st, err := os.Stat(filler)
	must(t, err)
	must(t, os.Truncate(filler, st.Size()-freedMB<<20))
	if !within(time.Minute, func() bool { return w.again() == nil }) {
		r.fail(seed, "it does not write again with %d MB free: %v", freedMB, w.again())
	}
	for range 20 {
		if err := n.send(w.m, w.draw()); err != nil {
			r.fail(seed, "writing after room was made: %v", err)
		}
	}
	w.audit(r, seed)
	n.kill()
	r.reopened(n.start(t))
	r.add(w.audit(r, seed))
}

// saysFull asks what the status page and the dashboard ask.
func (n *node) saysFull() bool {
	s, err := control.New(n.dir).Status(ctx)
	if err != nil {
		return false
	}
	for _, a := range s.Alerts {
		if strings.Contains(a.Key, "disk") {
			return true
		}
	}
	return false
}

// fill writes until nothing fits any more, not even a byte.
func fill(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	zeros := make([]byte, 1<<20)
	for size := len(zeros); size > 0; size /= 2 {
		for err == nil {
			_, err = f.Write(zeros[:size])
		}
		err = nil
	}
	return errors.Join(err, f.Sync())
}

// within asks until it is so or the time is over.
func within(limit time.Duration, so func() bool) bool {
	for deadline := time.Now().Add(limit); ; <-time.After(50 * time.Millisecond) {
		if so() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}
