package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/fault"
)

// shortDir is a folder whose path leaves room for a socket; t.TempDir may not.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "wp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// node answers on the folder's socket until the test ends.
func node(t *testing.T, dir string, handler http.HandlerFunc) {
	t.Helper()
	path, err := PrepareSocket(dir)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
}

func TestCallsReachTheNode(t *testing.T) {
	dir := shortDir(t)
	var got []string
	node(t, dir, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.Path+" "+string(body)+" "+r.Header.Get("Accept-Language"))
		switch r.URL.Path {
		case "/operator/status":
			_, _ = w.Write([]byte(`{"site":"North gate","people":7,"peers":[{"site":"Clinic","behind":3}]}`))
		case "/operator/invite":
			_, _ = w.Write([]byte(`{"code":"WPI1ABC","expires":"2026-01-02T03:04:05Z"}`))
		case "/operator/staff":
			_, _ = w.Write([]byte(`{"items":[{"user":"amina","role":"lead"}]}`))
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	c, ctx := New(dir).In("ar"), context.Background()
	s, err := c.Status(ctx)
	if err != nil || s.Site != "North gate" || s.People != 7 || s.Peers[0].Behind != 3 {
		t.Fatalf("%+v %v", s, err)
	}
	i, err := c.Invite(ctx, 10*time.Minute, "")
	if err != nil || i.Code != "WPI1ABC" || i.Expires.Year() != 2026 {
		t.Fatalf("%+v %v", i, err)
	}
	if l, err := c.Accounts(ctx); err != nil || len(l) != 1 || l[0].User != "amina" {
		t.Fatalf("%+v %v", l, err)
	}
	if err := c.Unlock(ctx, []byte("five words")); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`GET /operator/status  ar`, `POST /operator/invite {"ttl_seconds":600} ar`, `GET /operator/staff  ar`,
		`POST /operator/unlock {"passphrase":"five words"} ar`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("sent\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestNoNodeIsOneFault(t *testing.T) {
	empty, stale, file := shortDir(t), shortDir(t), shortDir(t)
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: SocketPath(stale), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false) // as a killed process leaves it
	_ = ln.Close()
	if err := os.WriteFile(SocketPath(file), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{
		"empty folder": empty, "no folder": filepath.Join(empty, "none"), "a dead node's socket": stale, "not a socket": file,
	} {
		_, err := New(dir).Status(context.Background())
		if !IsNotRunning(err) || fault.Of(err).Args["Folder"] != dir {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProblemsBecomeFaults(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		class      fault.Class
		key        string
	}{
		{"a fault of the node", `{"type":"about:blank","title":"Gone","status":410,"detail":"Zu spät.","class":"gone","key":"fault.identity.expired","hint":"Make a new one."}`, 410, fault.Gone, "fault.identity.expired"},
		{"read-only is told from unavailable", `{"status":503,"class":"read-only","key":"fault.oplog.read_only"}`, 503, fault.ReadOnly, "fault.oplog.read_only"},
		{"a class that does not fit the status", `{"status":403,"class":"gone","key":"fault.x"}`, 403, fault.Denied, "fault.x"},
		{"no problem at all", `<html>`, 502, fault.Internal, "fault.control.refused"},
		{"no key", `{"status":429,"title":"Too Many Requests"}`, 429, fault.Busy, "fault.control.refused"},
		{"nothing", ``, 404, fault.NotFound, "fault.control.refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := shortDir(t)
			node(t, dir, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			err := New(dir).Confirm(context.Background(), "x")
			f := fault.Of(err)
			if f.Class != tt.class || f.Key != tt.key {
				t.Fatalf("got %v", err)
			}
			var p *Problem
			if !errors.As(err, &p) || p.Status != tt.status {
				t.Fatalf("the problem is lost: %v", err)
			}
			var sent Problem
			if json.Unmarshal([]byte(tt.body), &sent) == nil && p.Detail != sent.Detail {
				t.Fatalf("detail %q", p.Detail)
			}
		})
	}
}

func TestABrokenAnswerIsAFault(t *testing.T) {
	dir := shortDir(t)
	node(t, dir, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/operator/check" { // hangs up in the middle
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
				_ = conn.Close()
			}
			return
		}
		_, _ = io.WriteString(w, `["not a status"]`)
	})
	if _, err := New(dir).Status(context.Background()); fault.Of(err).Key != "fault.control.bad_answer" {
		t.Fatal(err)
	}
	if _, err := New(dir).Check(context.Background()); fault.Of(err).Key != "fault.control.lost" {
		t.Fatal(err)
	}
}

func TestAStoppedCallSaysSo(t *testing.T) {
	dir := shortDir(t)
	asked := make(chan struct{})
	node(t, dir, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-asked; cancel() }()
	if err := New(dir).Confirm(ctx, "x"); fault.Of(err).Key != "fault.control.stopped" {
		t.Fatal(err)
	}
}

func TestSocketPathFitsAndIsTheSameFromEverywhere(t *testing.T) {
	dir := shortDir(t)
	if got := SocketPath(dir); got != filepath.Join(dir, "control.sock") {
		t.Fatalf("short: %s", got)
	}
	t.Setenv("XDG_RUNTIME_DIR", dir)
	long := filepath.Join(dir, strings.Repeat("long/", 25))
	if err := os.MkdirAll(long, 0o700); err != nil {
		t.Fatal(err)
	}
	got := SocketPath(long)
	if len(got) > maxSocketPath || !strings.HasPrefix(got, filepath.Join(dir, "waypost")) {
		t.Fatalf("long: %s", got)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(long, link); err != nil {
		t.Fatal(err)
	}
	if SocketPath(link) != got {
		t.Fatal("the same folder through a link has another socket")
	}
	t.Chdir(long)
	if SocketPath(".") != got {
		t.Fatal("the same folder from inside has another socket")
	}
	if SocketPath(filepath.Join(long, "other")) == got {
		t.Fatal("two folders share a socket")
	}
	t.Setenv("XDG_RUNTIME_DIR", "/"+strings.Repeat("x", 100))
	if got := SocketPath(long); !strings.HasPrefix(got, "/tmp/waypost-") || len(got) > maxSocketPath {
		t.Fatalf("with a long runtime folder: %s", got)
	}
}

func TestALongFolderWorks(t *testing.T) {
	dir := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	long := filepath.Join(dir, strings.Repeat("long/", 25))
	node(t, long, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"site":"far"}`) })
	if s, err := New(long).Status(context.Background()); err != nil || s.Site != "far" {
		t.Fatal(s, err)
	}
}

// A folder in /tmp that somebody else made first must not get a passphrase.
func TestAnOpenRuntimeFolderIsRefused(t *testing.T) {
	dir := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	long := filepath.Join(dir, strings.Repeat("long/", 25))
	if err := os.Mkdir(filepath.Join(dir, "waypost"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "waypost"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := PrepareSocket(long); fault.Of(err).Key != "fault.control.foreign_folder" {
		t.Fatal(err)
	}
	if err := New(long).Unlock(context.Background(), []byte("secret")); fault.Of(err).Key != "fault.control.foreign_folder" {
		t.Fatal(err)
	}
}

func FuzzProblem(f *testing.F) {
	f.Add(400, []byte(`{"status":400,"class":"invalid","key":"fault.x","fields":{"sex":"wrong"}}`))
	f.Add(500, []byte(`null`))
	f.Fuzz(func(t *testing.T, status int, raw []byte) {
		got := fault.Of(problemFault(status, raw))
		if got.Key == "" || got.Class == "" {
			t.Fatalf("%q", raw)
		}
	})
}
