package main

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
)

// The memory Go may take before it collects harder: a fifth of the machine's, so 190 MB
// on a board of 1 GB, where the system, its file cache and a browser want the rest. Below
// 96 MB it would collect all the time (Badger alone holds two tables of 8 MB, the one that
// is written out, and 24 MB of caches); above 1 GB nothing gets better. GOMEMLIMIT in the
// environment says otherwise.
const (
	shareOfMemory = 5
	leastMemory   = 96 << 20
	mostMemory    = 1 << 30
)

// collectAt is by how many hundredths the heap may grow before Go collects. What a crowd
// leaves behind is then a third of what is in use, about 20 MB, and not all of it again; it
// costs a collection of 40 ms of work three times as often (measured). GOGC in the environment
// says otherwise.
const collectAt = 33

// collectStrained is the same while all views are made anew. With 100,000 people that takes 5.3 s
// instead of 6.1, and a node that is filled 113 MiB at most instead of 78 (measured once each).
// The limit holds.
const collectStrained = 60

var strained struct {
	sync.Mutex
	by int
}

// strain lets the heap grow more until ease is called, also when several do.
func strain() (ease func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	strained.Lock()
	defer strained.Unlock()
	if strained.by++; strained.by == 1 {
		debug.SetGCPercent(collectStrained)
	}
	return func() {
		strained.Lock()
		defer strained.Unlock()
		if strained.by--; strained.by == 0 {
			debug.SetGCPercent(collectAt)
		}
	}
}

// limitMemory sets the limit for this process.
func limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if total := machineMemory("/"); total > 0 {
		debug.SetMemoryLimit(memoryLimit(total))
	}
}

func memoryLimit(total uint64) int64 {
	return int64(min(max(total/shareOfMemory, leastMemory), mostMemory)) //nolint:gosec // at most 1 GB
}

// machineMemory is what the machine has, or the container when that is less; 0 when the
// system does not say. root is "/", for tests another.
func machineMemory(root string) uint64 {
	total := uint64(math.MaxUint64)
	raw, _ := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) == 3 && words[0] == "MemTotal:" {
			if kb, err := strconv.ParseUint(words[1], 10, 54); err == nil {
				total = kb << 10
			}
		}
	}
	raw, _ = os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	_, group, _ := strings.Cut(strings.TrimSpace(string(raw)), "0::")
	// A limit counts for everything below it.
	for dir := path.Clean("/" + group); ; dir = path.Dir(dir) {
		raw, _ := os.ReadFile(filepath.Join(root, "sys/fs/cgroup", dir, "memory.max"))
		if n, err := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64); err == nil && n > 0 {
			total = min(total, n)
		}
		if dir == "/" {
			break
		}
	}
	if total == math.MaxUint64 {
		return 0
	}
	return total
}
