package main

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"time"
)

// WAYPOST_FIGURES_PROFILE=DIR has TestMeshFigures run the test binary itself as the nodes,
// and those write what they spent a core on, from when two nodes meet until the views are equal, into
// DIR/PID.pprof. Figures of such a run are a little dearer than others.
const profileEnv = "WAYPOST_FIGURES_PROFILE"

// profiled is main, with a profile while the file DIR/now is there.
func profiled() {
	if dir := os.Getenv(profileEnv); dir != "" {
		go profile(dir)
	}
	main()
}

func profile(dir string) {
	there := func() bool { _, err := os.Stat(filepath.Join(dir, "now")); return err == nil }
	for !there() {
		time.Sleep(10 * time.Millisecond)
	}
	out, err := os.Create(filepath.Join(dir, strconv.Itoa(os.Getpid())+".pprof")) //nolint:gosec // the tester's own folder
	if err != nil {
		return
	}
	runtime.SetCPUProfileRate(500) // it is over in seconds; the package says that it keeps this rate
	_ = pprof.StartCPUProfile(out)
	for there() {
		time.Sleep(10 * time.Millisecond)
	}
	pprof.StopCPUProfile()
	_ = out.Close()
}
