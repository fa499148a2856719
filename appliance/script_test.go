package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts under testdata/script tell days at a camp with the real program:
// this test binary, started again under the name waypost, is a process of its own
// with its own ports, sockets and signals. Set WAYPOST_SCRIPTS=1 to run them.
//
// Beside the commands of testscript (go doc testscript) a script may use:
//
//	serve NAME DATA [flags]  start a node on free loopback ports and wait for its
//	                         ready line; sets $NAME_http, $NAME_https, $NAME_mesh
//	stopnode NAME            SIGTERM; it must end by itself with exit code 0
//	kill9 NAME...            SIGKILL nodes or started programs, all at once
//	start NAME program args  start a program; finish NAME waits for its end
//	until [!] program args   run it until it succeeds (with !, fails)
//	value VAR path           set $VAR from the JSON on stdout: peers.0.words
//	lastline VAR             set $VAR to the last line of stdout
//	same A B                 fail unless both words are equal and not empty
//	pass TIME                wait until the wall clock has passed an RFC 3339 time
//
// those of script_net_test.go, script_data_test.go and script_photo_test.go, and the programs api, agree,
// held, madeup and erased of script_tools_test.go, hear of script_hear_test.go, page and screen of script_page_test.go, publicca and certof of script_webcert_test.go.
func TestScripts(t *testing.T) {
	if os.Getenv("WAYPOST_SCRIPTS") == "" {
		t.Skip("set WAYPOST_SCRIPTS=1 (make scripts does)")
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireUniqueNames: true, Condition: scriptCondition,
		Setup: func(env *testscript.Env) error {
			// Sockets need short paths, and every script its own programs.
			dir, err := os.MkdirTemp("/tmp", "wp")
			if err != nil {
				return err
			}
			p := &programs{running: map[string]*program{}}
			env.Values[programsKey{}] = p
			env.Setenv("XDG_RUNTIME_DIR", dir)
			env.Setenv("LC_ALL", "C")
			env.Setenv("SHARED", sharedLists(""))
			env.Setenv("SECRET", filepath.Join(env.WorkDir, "secret"))
			env.Defer(func() { p.killAll(); _ = os.RemoveAll(dir) })
			return os.WriteFile(filepath.Join(env.WorkDir, "secret"), []byte("five plain words for scripts\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serveCmd, "stopnode": stopCmd, "kill9": killCmd, "start": startCmd, "finish": finishCmd,
			"until": untilCmd, "value": valueCmd, "lastline": lastLineCmd, "same": sameCmd, "pass": passCmd,
			"net": netCmd, "link": linkCmd, "in": inCmd, "disk": diskCmd, "image": imageCmd, "fill": fillCmd, "population": populationCmd,
			"camera": cameraCmd, "rot": rotCmd, "planted": plantedCmd,
		},
	})
}

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"waypost": profiled, "api": apiTool, "agree": agreeTool, "held": heldTool, "madeup": madeUpTool, "erased": erasedTool, "scribe": scribeTool, "publicca": publicCATool, "certof": certOfTool, "hear": hearTool, "page": pageTool, "screen": screenTool})
}

const (
	patience = 60 * time.Second       // for anything a script waits for
	pause    = 100 * time.Millisecond // between two looks
)

type programsKey struct{}

// program is one process a script started and did not wait for.
type program struct {
	cmd  *exec.Cmd
	out  strings.Builder // of what finish shows
	errs *lineLog
	done chan struct{} // closed when it ended
	err  error
}

// programs are those of one script.
type programs struct {
	mu      sync.Mutex
	running map[string]*program
	net     *lan     // nil until the script made one
	last    []func() // what to undo when nothing runs any more
}

// after has fn called when the script is over and its programs are dead.
func (p *programs) after(fn func()) { p.last = append(p.last, fn) }

func programsOf(ts *testscript.TestScript) *programs {
	return ts.Value(programsKey{}).(*programs)
}

func (p *programs) killAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.running {
		_ = r.cmd.Process.Kill()
		<-r.done
	}
	for _, fn := range p.last {
		fn()
	}
}

func (p *programs) get(ts *testscript.TestScript, name string) *program {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.running[name]
	if r == nil {
		ts.Fatalf("no program named %s", name)
	}
	return r
}

// lineLog keeps what a program wrote to stderr, for the log of a failed script.
type lineLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lineLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lineLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// launch starts a program; first gets its stdout line by line until it ends.
func launch(ts *testscript.TestScript, name string, args []string, line func(string)) *program {
	path, err := exec.LookPath(args[0])
	ts.Check(err)
	r := &program{cmd: exec.Command(path, args[1:]...), errs: &lineLog{}, done: make(chan struct{})}
	r.cmd.Dir, r.cmd.Stderr = ts.MkAbs("."), r.errs
	for _, key := range []string{"PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR", "LC_ALL", "WORK"} {
		r.cmd.Env = append(r.cmd.Env, key+"="+ts.Getenv(key))
	}
	stdout, err := r.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(r.cmd.Start())
	go func() {
		defer close(r.done)
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			line(lines.Text())
		}
		_, _ = io.Copy(io.Discard, stdout)
		r.err = r.cmd.Wait()
	}()
	p := programsOf(ts)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[name] = r
	return r
}

func serveCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: serve NAME DATA [flags]")
	}
	name := args[0]
	line := []string{"waypost", "serve", "--data", args[1], "--http", "127.0.0.1:0", "--https", "127.0.0.1:0"}
	if l := programsOf(ts).net; l.has(name) {
		line = append(l.in(name, line...), "--mesh", ":0", "--advertise", l.addr(name))
	} else {
		line = append(line, "--mesh", "127.0.0.1:0")
	}
	line = append(line, args[2:]...)
	ready := make(chan string, 16)
	r := launch(ts, name, line, func(s string) { ready <- s })
	select {
	case s := <-ready:
		if !strings.HasPrefix(s, "ready ") {
			ts.Fatalf("%s printed %q", name, s)
		}
		for _, word := range strings.Fields(s)[1:] {
			key, value, _ := strings.Cut(word, "=")
			ts.Setenv(name+"_"+key, value)
		}
	case <-r.done:
		ts.Fatalf("%s ended: %v\n%s", name, r.err, r.errs)
	case <-time.After(patience):
		ts.Fatalf("%s is not ready\n%s", name, r.errs)
	}
}

// end waits for a program and takes it off the list.
func end(ts *testscript.TestScript, name string) *program {
	p := programsOf(ts)
	r := p.get(ts, name)
	select {
	case <-r.done:
	case <-time.After(patience):
		ts.Fatalf("%s does not end\n%s", name, r.errs)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, name)
	return r
}

func stopCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stopnode NAME")
	}
	ts.Check(programsOf(ts).get(ts, args[0]).cmd.Process.Signal(syscall.SIGTERM))
	if r := end(ts, args[0]); r.err != nil {
		ts.Fatalf("%s: %v\n%s", args[0], r.err, r.errs)
	}
}

func killCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: kill9 NAME...")
	}
	for _, name := range args {
		ts.Check(programsOf(ts).get(ts, name).cmd.Process.Kill())
	}
	for _, name := range args {
		end(ts, name)
	}
}

func startCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME program args")
	}
	var mu sync.Mutex
	var r *program
	mu.Lock()
	r = launch(ts, args[0], inLAN(ts, args[1:]), func(s string) { mu.Lock(); defer mu.Unlock(); r.out.WriteString(s + "\n") })
	mu.Unlock()
}

// finishCmd waits for a started program; its output becomes stdout and stderr.
func finishCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] finish NAME")
	}
	r := end(ts, args[0])
	_, _ = io.WriteString(ts.Stdout(), r.out.String())
	_, _ = io.WriteString(ts.Stderr(), r.errs.String())
	if (r.err != nil) != neg {
		ts.Fatalf("%s: %v", args[0], r.err)
	}
}

func untilCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) > 0 && args[0] == "!" {
		neg, args = true, args[1:]
	}
	if len(args) == 0 {
		ts.Fatalf("usage: until [!] program args")
	}
	args = inLAN(ts, args)
	wait := pause
	for deadline := time.Now().Add(patience); ; time.Sleep(wait) {
		wait = min(wait+pause/2, 5*pause) // a program a look: they would take the machine from those that are waited for
		err := ts.Exec(args[0], args[1:]...)
		if (err != nil) == neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: still %v", strings.Join(args, " "), err)
		}
	}
}

func valueCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: value VAR path")
	}
	value, err := lookup([]byte(ts.ReadFile("stdout")), args[1])
	if err != nil {
		ts.Fatalf("%v", err)
	}
	ts.Setenv(args[0], value)
}

// lookup finds a.b.0 in JSON; a list becomes its words with blanks between.
func lookup(raw []byte, path string) (string, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return "", fmt.Errorf("no JSON: %w: %q", err, raw)
	}
	for _, step := range strings.Split(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[step]
			if !ok {
				return "", fmt.Errorf("there is no %s of %s in %q", step, path, raw)
			}
			v = next
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(at) {
				return "", fmt.Errorf("there is no %s of %s in %q", step, path, raw)
			}
			v = at[i]
		default:
			return "", fmt.Errorf("there is no %s of %s in %q", step, path, raw)
		}
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case []any:
		words := make([]string, len(v))
		for i := range v {
			words[i] = fmt.Sprint(v[i])
		}
		return strings.Join(words, " "), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	return fmt.Sprint(v), nil
}

func lastLineCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lastline VAR")
	}
	ts.Setenv(args[0], lastLine(ts.ReadFile("stdout")))
}

func sameCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || args[0] == "" {
		ts.Fatalf("usage: [!] same A B, neither empty: %q", args)
	}
	if (args[0] == args[1]) == neg {
		ts.Fatalf("%q and %q", args[0], args[1])
	}
}

func passCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: pass TIME")
	}
	when, err := time.Parse(time.RFC3339, args[0])
	ts.Check(err)
	if wait := time.Until(when); wait > patience {
		ts.Check(errors.New("too far away"))
	}
	for !time.Now().After(when) {
		time.Sleep(time.Until(when) + time.Millisecond)
	}
}
