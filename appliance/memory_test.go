package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryOfTheMachine(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  uint64
	}{
		"nothing said":     {nil, 0},
		"a board of 1 GB":  {map[string]string{"proc/meminfo": "MemTotal:         948280 kB\nMemFree: 1 kB\n"}, 948280 << 10},
		"a container":      {map[string]string{"proc/meminfo": "MemTotal: 8000000 kB\n", "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "536870912\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, 512 << 20},
		"a wide container": {map[string]string{"proc/meminfo": "MemTotal: 1000 kB\n", "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 1000 << 10},
	} {
		root := t.TempDir()
		for file, text := range c.files {
			file = filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := machineMemory(root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	for total, want := range map[uint64]int64{256 << 20: 96 << 20, 1000 << 20: 200 << 20, 64 << 30: 1 << 30} {
		if got := memoryLimit(total); got != want {
			t.Errorf("%d: %d, want %d", total, got, want)
		}
	}
}
