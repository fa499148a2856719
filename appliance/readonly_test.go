package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Under images/waypost.service a box may write its own folder and nothing beside
// it. It did not start there: removing practice that was never there is an error
// on a read-only disk. The disk is a real one, read-only in a mount namespace.
func TestServeBesideAReadOnlyDisk(t *testing.T) {
	if _, err := exec.LookPath("unshare"); err != nil || os.Geteuid() != 0 {
		t.Skip("mounting a read-only disk needs root and unshare (util-linux)")
	}
	disk := t.TempDir()
	if err := os.Mkdir(filepath.Join(disk, "box"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("unshare", "-m", "true").CombinedOutput(); err != nil {
		t.Skipf("no mount namespace here: %s", out)
	}
	const script = `mount --bind "$0" "$0" && mount -t tmpfs tmpfs "$0/box" && mount -o remount,bind,ro "$0" &&
! touch "$0/here" 2>/dev/null && exec waypost serve --data "$0/box" --http 127.0.0.1:0 --https 127.0.0.1:0 --mesh 127.0.0.1:0`
	cmd := exec.Command("unshare", "-m", "sh", "-c", script, disk)
	var errs lineLog
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil || !strings.HasPrefix(line, "ready ") {
		t.Errorf("%q %v\n%s", line, err, errs.String())
	}
}
