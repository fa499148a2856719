//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/station"
)

// slowFlush is what a flush takes on the disk of slowFiles.
const slowFlush = 10 * time.Millisecond

// slowFiles is a disk whose flush takes slowFlush and nothing more: it stands for a
// card or an old drive.
type slowFiles struct{ files.FS }

func (s slowFiles) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	f, err := s.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return slowFile{f}, nil
}

type slowFile struct{ files.File }

func (slowFile) Sync() error { time.Sleep(slowFlush); return nil }

// writers has n people register on a new folder.
func (c *journalChild) writers(n int, disk files.FS, how time.Duration) {
	o := c.options(c.store(), station.Views())
	o.Files = disk
	l, err := oplog.Open(context.Background(), o)
	c.check(err)
	before := l.Stats().JournalBytes
	c.crowd(n, how, func(i int) error { return c.register(l, i) })
	c.Bytes = float64(l.Stats().JournalBytes - before)
	c.check(l.Close())
	c.Flush = c.bareFlush(disk)
}

// bareFlush is the middle one of some flushes of a few hundred bytes.
func (c *journalChild) bareFlush(disk files.FS) float64 {
	f, err := disk.OpenFile(filepath.Join(c.dir, "flush"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	c.check(err)
	defer f.Close()
	var took []time.Duration
	for range 100 {
		began := time.Now()
		_, err := f.Write(make([]byte, 300))
		c.check(err)
		c.check(f.Sync())
		took = append(took, time.Since(began))
	}
	return ms(percentile(took, 50))
}

// each gives the numbers below c.ops to 64 goroutines.
func (c *journalChild) each(fn func(i int) error) {
	var next atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	c.timed(func() {
		var wait sync.WaitGroup
		for range 64 {
			wait.Go(func() {
				var mine []time.Duration
				for {
					i := int(next.Add(1) - 1)
					if i >= c.ops {
						break
					}
					began := time.Now()
					c.check(fn(i))
					mine = append(mine, time.Since(began))
				}
				mu.Lock()
				defer mu.Unlock()
				took = append(took, mine...)
			})
		}
		wait.Wait()
	})
	c.Ops, c.P99 = float64(c.ops), ms(percentile(took, 99))
}

// bareWaypost writes people as a node does, then flips a bit.
func (c *journalChild) bareWaypost() {
	l, err := oplog.Open(context.Background(), c.options(c.store(), station.Views()))
	c.check(err)
	c.each(func(i int) error { return c.register(l, i) })
	c.check(l.Close())
	c.Bytes = folderBytes(c.dir)
	c.peopleFile()
	names, err := filepath.Glob(filepath.Join(c.dir, "journal", "*.wpj"))
	c.check(err)
	c.flip(names[len(names)-1])
	o := c.options(c.store(), station.Views())
	o.Rebuild = true
	l, err = oplog.Open(context.Background(), o)
	c.check(err)
	c.Left = min(float64(l.Stats().Ops), c.Ops)
	c.check(l.Close())
}

// peopleFile writes what the same people are as JSON, a line each, for bare Badger.
func (c *journalChild) peopleFile() {
	var lines bytes.Buffer
	for _, h := range c.people {
		raw, err := json.Marshal(h.Members[0])
		c.check(err)
		lines.Write(append(raw, '\n'))
	}
	c.check(os.WriteFile(filepath.Join(c.dir, "people.jsonl"), lines.Bytes(), 0o600))
}

// flip changes one bit in the middle of what a file holds.
func (c *journalChild) flip(name string) {
	raw, err := os.ReadFile(name)
	c.check(err)
	end := len(raw)
	for end > 0 && raw[end-1] == 0 { // files that are made in advance end with nothing
		end--
	}
	raw[end/2] ^= 1
	c.check(os.WriteFile(name, raw, 0o600))
}

// folderBytes is what lies in a folder, holes not counted.
func folderBytes(dir string) (sum float64) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if info, err := d.Info(); err == nil {
			sum += float64(diskBytes(info))
		}
		return nil
	})
	return sum
}
