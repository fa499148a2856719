//go:build linux

package badgerstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// bare is what Badger with its defaults does with people of real size; the names are
// those of the appliance's figures.
type bare struct {
	Ops, Seconds, CPU, RSS, Bytes, P99, Left float64
}

// TestBareBadger is a part of the figures of the journal (make bench-journal), in a
// process of its own.
func TestBareBadger(t *testing.T) {
	what, home := os.Getenv("WAYPOST_FIGURES_CHILD"), os.Getenv("WAYPOST_FIGURES_HOME")
	if !strings.HasPrefix(what, "bare-badger") {
		t.Skip("the appliance's figures run it")
	}
	ops, err := strconv.Atoi(os.Getenv("WAYPOST_FIGURES_OPS"))
	fine(t, err)
	raw, err := os.ReadFile(filepath.Join(home, "people.jsonl"))
	fine(t, err)
	m := bare{Ops: float64(ops)}
	stop := m.watchMemory()
	m.run(t, filepath.Join(home, what), bytes.Split(bytes.TrimSpace(raw), []byte("\n")), ops, what == "bare-badger-sync")
	stop()
	out, err := json.Marshal(m)
	fine(t, err)
	fmt.Printf("measured %s\n", out)
}

func fine(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run writes a record and a name key a person from 64 goroutines, then flips a bit in
// what a killed process would have left.
func (m *bare) run(t *testing.T, dir string, people [][]byte, ops int, sync bool) {
	open := func() *badger.DB {
		db, err := badger.Open(badger.DefaultOptions(dir).WithSyncWrites(sync).WithLogger(nil))
		fine(t, err)
		return db
	}
	db := open()
	m.crowd(t, ops, func(i int) error {
		return db.Update(func(tx *badger.Txn) error {
			if err := tx.Set(fmt.Appendf(nil, "person %08d", i), people[i%len(people)]); err != nil {
				return err
			}
			return tx.Set(fmt.Appendf(nil, "name of some length %08d", i), nil)
		})
	})
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, _ error) error {
		if info, err := d.Info(); err == nil && !d.IsDir() {
			m.Bytes += float64(info.Sys().(*syscall.Stat_t).Blocks * 512)
		}
		return nil
	})
	killed := dir + ".killed"
	fine(t, os.CopyFS(killed, os.DirFS(dir)))
	fine(t, db.Close())
	dir = killed
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	fine(t, err)
	raw, err := os.ReadFile(logs[0])
	fine(t, err)
	raw[len(bytes.TrimRight(raw, "\x00"))/2] ^= 1 // made in advance, so it ends with nothing
	fine(t, os.WriteFile(logs[0], raw, 0o600))
	db = open()
	fine(t, db.View(func(tx *badger.Txn) error {
		it := tx.NewIterator(badger.IteratorOptions{Prefix: []byte("person ")})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			m.Left++
		}
		return nil
	}))
	fine(t, db.Close())
}

// crowd gives the numbers below ops to 64 goroutines, and measures.
func (m *bare) crowd(t *testing.T, ops int, fn func(i int) error) {
	took := make([]time.Duration, ops)
	var next atomic.Int64
	var wait sync.WaitGroup
	began, cpu := time.Now(), used()
	for range 64 {
		wait.Go(func() {
			for i := int(next.Add(1) - 1); i < ops; i = int(next.Add(1) - 1) {
				from := time.Now()
				if err := fn(i); err != nil {
					t.Error(err)
				}
				took[i] = time.Since(from)
			}
		})
	}
	wait.Wait()
	m.Seconds, m.CPU = time.Since(began).Seconds(), used()-cpu
	slices.Sort(took)
	m.P99 = float64(took[ops*99/100]) / 1e6
}

// used is the CPU time of this process in seconds.
func used() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// watchMemory keeps the most anonymous memory this process had, in MiB.
func (m *bare) watchMemory() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			raw, _ := os.ReadFile("/proc/self/status")
			if _, rest, ok := strings.Cut(string(raw), "RssAnon:"); ok {
				kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
				m.RSS = max(m.RSS, kb/1024)
			}
			select {
			case <-quit:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() { close(quit); <-done }
}
