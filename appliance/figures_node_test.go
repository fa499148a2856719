package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/control"
)

// served is a running node of the real program, and how to speak with it.
type served struct {
	t         *testing.T
	dir, http string
	cmd       *exec.Cmd
	control   *control.Client
}

// programLine runs the program to its end and gives its last line on stdout.
func (f *figures) programLine(args ...string) string {
	f.t.Helper()
	return lastLine(f.programText(args...))
}

// programText is all a program says on stdout.
func (f *figures) programText(args ...string) string {
	f.t.Helper()
	var errs bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		f.t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, out, &errs)
	}
	return string(out)
}

func (f *figures) waypost(args ...string) string {
	f.t.Helper()
	return f.programLine(append([]string{f.bin}, args...)...)
}

// found makes a folder with a site of its own.
func (f *figures) found(name string) string {
	dir := filepath.Join(f.dir, name)
	f.waypost("init", "--data", dir, "--deployment", "Relief", "--site", name, "--lead", figuresLead, "--passphrase-file", f.secret)
	return dir
}

// serve starts a node; l says in which network, nil for loopback. It runs until stop
// or the end of the test.
func (f *figures) serve(dir string, l *lan, name string) *served {
	f.t.Helper()
	line := []string{f.bin, "serve", "--data", dir, "--passphrase-file", f.secret, "--http", "127.0.0.1:0", "--https", "127.0.0.1:0"}
	if l == nil {
		line = append(line, "--mesh", "127.0.0.1:0")
	} else {
		line = append(l.in(name, line...), "--mesh", ":0", "--advertise", l.addr(name))
	}
	return f.serveWith(dir, line)
}

// serveWith starts a node by a command line.
func (f *figures) serveWith(dir string, line []string) *served {
	f.t.Helper()
	name := filepath.Base(dir)
	s := &served{t: f.t, dir: dir, cmd: exec.Command(line[0], line[1:]...), control: control.New(dir)}
	log, err := os.Create(dir + ".log")
	f.check(err)
	defer log.Close()
	s.cmd.Stderr = log
	out, err := s.cmd.StdoutPipe()
	f.check(err)
	f.check(s.cmd.Start())
	f.t.Cleanup(s.stop)
	ready, err := bufio.NewReader(out).ReadString('\n')
	for _, word := range strings.Fields(ready) {
		if address, ok := strings.CutPrefix(word, "http="); ok {
			s.http = address
		}
	}
	if err != nil || s.http == "" {
		said, _ := os.ReadFile(log.Name())
		f.t.Fatalf("%s is not ready: %q %v\n%s", name, ready, err, said)
	}
	return s
}

// stop ends the node as a person would, and does nothing the second time.
func (s *served) stop() {
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("%s did not stop cleanly: %v", s.dir, err)
	}
}

func (s *served) status() control.Status {
	st, err := s.control.Status(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

func (s *served) views() string {
	c, err := s.control.Check(context.Background())
	if err != nil || !c.Sound || c.Views == nil {
		s.t.Fatalf("%s: %+v %v", s.dir, c, err)
	}
	return *c.Views
}

// equalAt waits until two nodes hold the same and show the same, and gives the
// moment at which b was asked and its views were equal.
func equalAt(t *testing.T, a, b *served) time.Time {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if sa, sb := a.status(), b.status(); sa.Ops == sb.Ops && sa.People == sb.People {
			at := time.Now()
			if b.views() == a.views() {
				return at
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("not equal: %+v and %+v", a.status(), b.status())
		}
	}
}

// memory reads what the process holds and held at most, in MB.
func (s *served) memory() (now, most float64) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		kb, _ := strconv.ParseFloat(words[1], 64)
		switch words[0] {
		case "VmRSS:":
			now = kb / 1024
		case "VmHWM:":
			most = kb / 1024
		}
	}
	return now, most
}

// caller is a program with a key, or somebody with a page session.
type caller struct {
	s    *served
	http *http.Client
	key  string
}

func (s *served) program(role string) *caller {
	s.t.Helper()
	k, err := s.control.IssueKey(context.Background(), role, "", time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	return &caller{s: s, key: k.Secret, http: &http.Client{Timeout: patience, Transport: &http.Transport{DisableCompression: true}}}
}

// signIn is the lead in front of a page.
func (s *served) signIn(user, passphrase string) *caller {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	c := &caller{s: s, http: &http.Client{Timeout: patience, Jar: jar, Transport: &http.Transport{DisableCompression: true}}}
	resp, err := c.http.PostForm(s.http+"/signin", url.Values{"user": {user}, "passphrase": {passphrase}})
	if err != nil {
		s.t.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("signing in: %s %v", resp.Status, err)
	}
	if csrf := formKey.FindSubmatch(page); strings.HasSuffix(resp.Request.URL.Path, "/undertaking") && csrf != nil {
		if resp, err = c.http.PostForm(s.http+"/undertaking", url.Values{"csrf": {string(csrf[1])}}); err != nil {
			s.t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	return c
}

var formKey = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// do sends one request and reads its answer to the end.
func (c *caller) do(method, path, body, encodings string) (*http.Response, []byte, error) {
	req, err := http.NewRequest(method, c.s.http+path, strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if encodings != "" {
		req.Header.Set("Accept-Encoding", encodings)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return resp, raw, err
}

// register saves one person and gives the id, or why not.
func (c *caller) register(given, family string) (string, error) {
	body := fmt.Sprintf(`{"given_name":%q,"family_name":%q,"sex":"female","birth_date":"1991-04-02","precision":"day","nationality":"SYR","phone":"+963115550134"}`, given, family)
	resp, raw, err := c.do("POST", "/api/v1/people", body, "")
	if err != nil {
		return "", err
	}
	var added struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(raw, &added); err != nil || resp.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("%s: %s", resp.Status, raw)
	}
	return added.ID, nil
}

// percentile of durations: the smallest that p of 100 do not exceed.
func percentile(d []time.Duration, p int) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[(len(d)*p+99)/100-1]
}

// fileSystem names what a folder lies on.
func fileSystem(dir string) string {
	raw, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "unknown"
	}
	kind, longest := "unknown", 0
	for line := range strings.Lines(string(raw)) {
		words := strings.Fields(line)
		if len(words) < 3 || len(words[1]) < longest {
			continue
		}
		if within := strings.TrimSuffix(words[1], "/") + "/"; strings.HasPrefix(dir+"/", within) {
			kind, longest = words[2], len(words[1])
		}
	}
	return kind
}

// busy is how many programs wanted a core in the last minute, by the system's count:
// figures taken beside other work are worth less.
func busy() string {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	minute, _, _ := strings.Cut(string(raw), " ")
	return minute
}

// flushing notes what the disk itself takes for the flush that every saved person
// waits for.
func (f *figures) flushing() {
	w, err := os.Create(filepath.Join(f.dir, "flushed"))
	f.check(err)
	defer w.Close()
	var took []time.Duration
	for range 100 {
		began := time.Now()
		_, err := w.Write(make([]byte, 4096))
		f.check(err)
		f.check(w.Sync())
		took = append(took, time.Since(began))
	}
	f.note("A flush of 4 KB to this disk: p50 %s, p95 %s, most %s; everybody saved waits for at least one.",
		millis(percentile(took, 50)), millis(percentile(took, 95)), millis(percentile(took, 100)))
}
