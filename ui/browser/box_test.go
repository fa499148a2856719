package browser

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// binary is the program itself, made once for all journeys.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "waypost-browser-")
	if err != nil {
		return "", err
	}
	buildDir = dir
	bin := filepath.Join(dir, "waypost")
	out, err := exec.Command("go", "build", "-o", bin, "../../appliance").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return bin, nil
})

// buildDir is what is left to remove when all journeys are over.
var buildDir string

func TestMain(m *testing.M) {
	code := m.Run()
	if buildDir != "" {
		_ = os.RemoveAll(buildDir)
	}
	os.Exit(code)
}

func program(t *testing.T) string {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// onLoopback keeps a box to this machine, where nothing else can disturb it.
var onLoopback = []string{"--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--mesh", "127.0.0.1:0"}

// box is a running node and what it told the person who started it.
type box struct {
	http  string // its address on this machine, without a slash at the end
	https string // likewise
	mesh  string // where other boxes find it
	dir   string // the folder it was started in; its data lie in d
	stop  func() // ends it, before the test does
	claim string // empty when the box was started before
	said  string // its greeting on stderr
}

// first is the first page of a new box, with the claim code.
func (b box) first() string { return b.http + "/?claim=" + url.QueryEscape(b.claim) }

// lead is who starts the boxes that are made without a browser.
const lead, secret = "amina", "five plain words for journeys"

// newBox serves an empty folder; its first page waits for somebody.
func newBox(t *testing.T, flags ...string) box {
	t.Helper()
	return serve(t, folder(t), flags...)
}

// openedBox serves a folder whose site was started at the command line.
func openedBox(t *testing.T, site string, flags ...string) box {
	t.Helper()
	dir := folder(t)
	words := filepath.Join(dir, "words")
	if err := os.WriteFile(words, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	waypost(t, "init", "--data", filepath.Join(dir, "d"), "--deployment", "Border relief", "--site", site, "--lead", lead, "--passphrase-file", words)
	return serve(t, dir, append(flags, "--passphrase-file", words)...)
}

// waypost runs the program to its end and gives what it wrote.
func waypost(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(program(t), args...).Output()
	if err != nil {
		t.Fatalf("waypost %s: %v", args[0], err)
	}
	return string(out)
}

// folder is short, because the box keeps a socket in it.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// started tells whether a site was started in the folder of a box.
func started(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "d", "secrets"))
	return err == nil
}

// serve runs a box until the test ends; it must stop cleanly.
func serve(t *testing.T, dir string, flags ...string) box {
	t.Helper()
	if len(flags) == 0 || flags[0] == "--passphrase-file" {
		flags = append(flags, onLoopback...)
	}
	cmd := exec.Command(program(t), append([]string{"serve", "--data", filepath.Join(dir, "d")}, flags...)...)
	// A file, not a pipe: what was written before the ready line is there when it is read.
	errs, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	cmd.Stderr = errs
	said := func() string {
		raw, err := os.ReadFile(errs.Name())
		if err != nil {
			t.Error(err)
		}
		return string(raw)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	stop := sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the box did not stop cleanly: %v\n%s", err, said())
		}
	})
	t.Cleanup(stop)
	m := regexp.MustCompile(`^ready http=(\S+) https=(\S+) mesh=(\S+)`).FindStringSubmatch(line)
	if err != nil || m == nil {
		t.Fatalf("no ready line: %q %v\n%s", line, err, said())
	}
	b := box{http: m[1], https: m[2], mesh: m[3], dir: dir, stop: stop, said: said()}
	if c := regexp.MustCompile(`\?claim=(\S+)`).FindStringSubmatch(b.said); c != nil {
		if b.claim, err = url.QueryUnescape(c[1]); err != nil {
			t.Fatal(err)
		}
	}
	if b.claim == "" && !started(dir) && !strings.Contains(strings.Join(flags, " "), "--passphrase-file") {
		t.Fatalf("no claim code in %q", b.said)
	}
	return b
}
