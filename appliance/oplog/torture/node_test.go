package torture

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/badgerstore"
	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/staff"
)

// program is the real one, built once for all rows.
var program = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("WAYPOST_TORTURE_PROGRAM"); bin != "" {
		return bin, nil // another build, to compare
	}
	dir, err := os.MkdirTemp("", "wpbin")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "waypost")
	if out, err := exec.Command("go", "build", "-o", bin, "../..").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	built = dir
	return bin, nil
})

var built string

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}

// node is a process of the real program on a data folder.
type node struct {
	dir  string // the data folder
	pass string // file of the passphrase
	key  string // bearer key of a lead
	cmd  *exec.Cmd
	base string // its address
	logs bytes.Buffer
	done chan struct{}
	err  error
	http *http.Client
}

// found starts an operation in dir, whose passphrase costs nothing to try: a start
// would take a second of stretching otherwise, and there are thousands.
func found(t *testing.T, dir string) *node {
	t.Helper()
	_, err := program() // now, not in the time of the first start
	must(t, err)
	c := clock.System()
	v, _, err := identity.Start(dir, c, identity.StartOptions{
		Deployment: "Coast", Site: "North gate", Passphrase: secret, KeepRoot: true, Cost: identity.TestCost(),
	})
	must(t, err)
	store, err := badgerstore.Open(filepath.Join(dir, "views"), v.Subkey("views"), nil)
	must(t, err)
	p, err := openPost(v, dir, c, files.OS(), store)
	must(t, err)
	key, err := p.Staff.IssueKey(ctx, operator, staff.Lead, "torture", 0)
	must(t, err)
	must(t, p.close())
	n := &node{dir: dir, pass: filepath.Join(scratch(t), "passphrase"), key: key.Secret}
	must(t, os.WriteFile(n.pass, append(secret, '\n'), 0o600))
	n.http = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	t.Cleanup(func() { n.kill() })
	return n
}

// launch starts the process and does not wait for it.
func (n *node) launch(t *testing.T) (ready <-chan string) {
	t.Helper()
	bin, err := program()
	must(t, err)
	n.cmd = exec.Command(bin, "serve", "--data", n.dir, "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--mesh", "127.0.0.1:0", "--passphrase-file", n.pass)
	n.logs.Reset()
	n.cmd.Stderr = &n.logs
	out, err := n.cmd.StdoutPipe()
	must(t, err)
	must(t, n.cmd.Start())
	line, done, cmd := make(chan string, 1), make(chan struct{}), n.cmd
	n.done = done
	go func() {
		defer close(done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "ready http="); ok {
				line <- strings.Fields(text)[0]
			}
		}
		n.err = cmd.Wait()
	}()
	return line
}

// start waits until it answers and says how long that took.
func (n *node) start(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	ready := n.launch(t)
	select {
	case n.base = <-ready:
	case <-n.done:
		t.Fatalf("the program ended: %v\n%s", n.err, n.logs.String())
	case <-time.After(time.Minute):
		t.Fatalf("the program does not answer\n%s", n.logs.String())
	}
	return time.Since(began)
}

func (n *node) signal(s os.Signal) {
	if n.cmd != nil {
		_ = n.cmd.Process.Signal(s)
	}
}

// kill is kill -9; it returns when the process is gone.
func (n *node) kill() {
	if n.cmd == nil {
		return
	}
	n.signal(syscall.SIGKILL)
	<-n.done
	n.cmd = nil
	n.http.CloseIdleConnections()
}

// stop is what a shutdown does.
func (n *node) stop(t *testing.T) {
	t.Helper()
	n.signal(syscall.SIGTERM)
	select {
	case <-n.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("it does not stop\n%s", n.logs.String())
	}
	n.cmd = nil
	n.http.CloseIdleConnections()
}

// alive reports whether the process is still there.
func (n *node) alive() bool {
	select {
	case <-n.done:
		return false
	default:
		return true
	}
}

// call sends a request and reads its answer.
func (n *node) call(method, path, once, body string, out any) (status int, err error) {
	req, err := http.NewRequest(method, n.base+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+n.key)
	req.Header.Set("Content-Type", "application/json")
	if once != "" {
		req.Header.Set("Idempotency-Key", once)
	}
	resp, err := n.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && out != nil && resp.StatusCode < 300 {
		err = json.Unmarshal(raw, out)
	}
	return resp.StatusCode, err
}

// request is one thing a writer asks for, under a key, so that it can ask again.
type request struct{ names []string }

func (q request) once() string { return q.names[0] }

// send asks for it, and promises what was answered. The first name is the key.
func (n *node) send(m *model, q request) error {
	m.send(q.names...)
	if len(q.names) == 1 {
		var a struct{ ID string }
		status, err := n.call("POST", "/api/v1/people", q.once(), fmt.Sprintf(`{"given_name":%q,"notes":"note of %s"}`, q.names[0], q.names[0]), &a)
		if err == nil && status == http.StatusCreated {
			m.ack(a.ID, q.names[0])
			return nil
		}
		return errors.Join(err, fmt.Errorf("status %d", status))
	}
	var people []string
	for _, name := range q.names {
		people = append(people, fmt.Sprintf(`{"given_name":%q}`, name))
	}
	var a struct{ Members []struct{ ID string } }
	status, err := n.call("POST", "/api/v1/households", q.once(), `{"members":[`+strings.Join(people, ",")+`],"head":0}`, &a)
	if err == nil && status == http.StatusCreated {
		for i, member := range a.Members {
			m.ack(member.ID, q.names[i])
		}
		return nil
	}
	return errors.Join(err, fmt.Errorf("status %d", status))
}

// people is everybody the node lists, when it has read who is there.
func (n *node) people() (map[string]string, error) {
	out := map[string]string{}
	if _, err := n.count(); err != nil {
		return nil, err
	}
	for cursor := ""; ; {
		var page struct {
			Items []struct {
				ID   string `json:"id"`
				Name string `json:"given_name"`
			}
			Next string
		}
		status, err := n.call("GET", "/api/v1/people?limit=200&cursor="+url.QueryEscape(cursor), "", "", &page)
		if err != nil || status != http.StatusOK {
			return nil, errors.Join(err, fmt.Errorf("listing people: status %d", status))
		}
		for _, p := range page.Items {
			out[p.ID] = p.Name
		}
		if cursor = page.Next; cursor == "" {
			return out, nil
		}
	}
}

// count is how many people the node says it has, when it has counted them.
func (n *node) count() (int, error) {
	for {
		if s, err := control.New(n.dir).Status(ctx); err != nil || !s.Counting {
			return int(s.People), err
		}
	}
}

// writers are registrars who write for ever, and what nobody answered them.
type writers struct {
	n     *node
	m     *model
	rnd   *rand.Rand
	next  int
	mu    sync.Mutex
	open  []request
	quit  chan struct{}
	group sync.WaitGroup
}

func (w *writers) draw() request {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := make([]string, 1)
	if w.rnd.IntN(4) == 0 {
		names = make([]string, 2+w.rnd.IntN(3))
	}
	for i := range names {
		w.next++
		names[i] = fmt.Sprintf("Person%06d", w.next)
	}
	return request{names}
}

// start lets so many write until stop, or until the node no longer answers.
func (w *writers) start(count int) {
	w.quit = make(chan struct{})
	for range count {
		w.group.Go(func() {
			for {
				select {
				case <-w.quit:
					return
				default:
				}
				q := w.draw()
				if err := w.n.send(w.m, q); err != nil {
					w.mu.Lock()
					w.open = append(w.open, q)
					w.mu.Unlock()
					return
				}
			}
		})
	}
}

func (w *writers) stop() {
	close(w.quit)
	w.group.Wait()
}

// again asks once more for everything nobody answered: it may be there already.
func (w *writers) again() error {
	for _, q := range slices.Clone(w.open) {
		if err := w.n.send(w.m, q); err != nil {
			return fmt.Errorf("asking again for %s: %w", q.once(), err)
		}
		w.open = w.open[1:]
	}
	return nil
}
