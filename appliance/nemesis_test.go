//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/control"
)

const (
	healPatience = 60 * time.Second // after the last heal all nodes must hold the same
	slowMachine  = 2 * time.Minute  // for what a shared machine may take its time with
	sharedPeople = 6                // whom everybody corrects
	writeEvery   = 300 * time.Millisecond
)

// TestNemesis runs eight real nodes in networks of their own while a seeded plan of harm is
// done to them (nemesisPlan), and people are registered and corrected at each of them all the
// while. In the end everything is healed. Then all hold and show the same, everybody whose
// registration was acknowledged is found at every node, and no process ended by itself.
//
// WAYPOST_NEMESIS is how long the harm lasts, WAYPOST_NEMESIS_SEED what the plan is drawn
// from. Wrong clocks are not part of it: the program takes its time from the system, and that
// has one for all network namespaces; the simulation has them.
func TestNemesis(t *testing.T) {
	length := os.Getenv("WAYPOST_NEMESIS")
	if length == "" {
		t.Skip("set WAYPOST_NEMESIS to a length of time (make nemesis does)")
	}
	if why := canNemesis(); why != "" {
		t.Skip("the nemesis was not run: " + why)
	}
	during, err := time.ParseDuration(length)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOMEMLIMIT", "96MiB") // as on the smallest board
	n := newNemesis(t, os.Getenv("WAYPOST_NEMESIS_SEED"), during)
	n.gather()
	n.write()
	n.torment()
	n.heal()
	acked := n.settle()
	n.equal()
	n.held(acked)
	n.sum(acked)
}

// nemesis is one run.
type nemesis struct {
	*figures // the program, and how it is started to do one thing
	seed     string
	during   time.Duration
	l        *lan
	air      *air
	names    []string
	nodes    map[string]*prey
	plan     []harm
	began    time.Time
	done     []string // what was done, and when
	healed   time.Time
	equalIn  time.Duration
}

// prey is one node of the run.
type prey struct {
	name, dir, key, acks string
	log                  *os.File
	control              *control.Client
	writer               *exec.Cmd
	enough               io.Closer // of the writer

	cmd    *exec.Cmd
	ready  chan struct{} // closed when the process of cmd is ready
	ended  chan struct{} // closed when it ended
	locked bool

	mu     sync.Mutex
	meant  bool  // that it ends
	failed error // what nobody meant
}

func newNemesis(t *testing.T, seed string, during time.Duration) *nemesis {
	dir, err := os.MkdirTemp("/tmp", "wp") // sockets need short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	n := &nemesis{figures: &figures{t: t, dir: dir, bin: "waypost", secret: filepath.Join(dir, "secret")}, seed: seed, during: during,
		names: strings.Fields("a b c d e f g h"), nodes: map[string]*prey{}}
	n.check(os.WriteFile(n.secret, []byte(figuresWords+"\n"), 0o600))
	n.l, err = newLAN(n.names...)
	t.Cleanup(n.l.remove)
	n.check(err)
	n.air, err = newAir(n.l, n.names)
	n.check(err)
	t.Cleanup(n.air.close)
	n.plan = nemesisPlan(nemesisSeed(seed), n.names, during)
	t.Cleanup(n.explain)
	t.Cleanup(n.endAll)
	return n
}

// explain says after a failure what led to it.
func (n *nemesis) explain() {
	if !n.t.Failed() {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "again: WAYPOST_NEMESIS=%v WAYPOST_NEMESIS_SEED=%s\nthe plan:\n", n.during, n.seed)
	for _, h := range n.plan {
		fmt.Fprintln(&b, h)
	}
	fmt.Fprintf(&b, "what was done:\n%s\n", strings.Join(n.done, "\n"))
	for _, name := range n.names {
		raw, _ := os.ReadFile(filepath.Join(n.dir, name+".log"))
		lines := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
		fmt.Fprintf(&b, "%s, the last of %d lines:\n%s\n", name, len(lines), strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
	n.t.Log(b.String())
}

func (n *nemesis) endAll() {
	for _, name := range n.names {
		if p := n.nodes[name]; p != nil {
			if p.writer != nil {
				_ = p.enough.Close()
				_ = p.writer.Wait()
			}
			if p.up() {
				p.kill()
			}
			_ = p.log.Close()
		}
	}
}

// gather makes eight nodes that know each other and hold the same. Seven join at once: most
// of their time goes into passphrases.
func (n *nemesis) gather() {
	began := time.Now()
	joining := map[string]*exec.Cmd{}
	for _, name := range n.names {
		dir := filepath.Join(n.dir, name)
		log, err := os.Create(dir + ".log")
		n.check(err)
		p := &prey{name: name, dir: dir, acks: dir + ".acks", log: log, control: control.New(dir)}
		n.nodes[name] = p
		if name == "a" {
			n.found(name)
			n.start(p)
			n.await(p)
			continue
		}
		code := n.waypost("invite", "--data", n.nodes["a"].dir)
		line := n.l.in(name, n.bin, "join", "--data", dir, "--site", name, "--lead", figuresLead, "--passphrase-file", n.secret, code)
		joining[name] = exec.Command(line[0], line[1:]...)
		joining[name].Stderr = log
		n.check(joining[name].Start())
	}
	for _, name := range n.names[1:] {
		n.check(joining[name].Wait())
		n.start(n.nodes[name])
	}
	for _, name := range n.names {
		p := n.nodes[name]
		n.await(p)
		k, err := p.control.IssueKey(context.Background(), "lead", "", 24*time.Hour)
		n.check(err)
		p.key = k.Secret
		if name != "a" {
			st, err := p.control.Status(context.Background())
			n.check(err)
			n.until(name+" is confirmed", func() bool { return n.nodes["a"].control.Confirm(context.Background(), st.Node) == nil })
		}
	}
	n.until("all know each other", func() bool {
		return !slices.ContainsFunc(n.names, func(name string) bool {
			st, err := n.nodes[name].control.Status(context.Background())
			return err != nil || len(st.Peers) != len(n.names)-1 || st.OnlyHere > 0
		})
	})
	n.t.Logf("eight nodes in %.1f s", time.Since(began).Seconds())
}

// start begins a node and does not wait for it. Its port stays the same for ever; what it
// tells others is where its network is now.
func (n *nemesis) start(p *prey) {
	line := n.l.in(p.name, n.bin, "serve", "--data", p.dir, "--passphrase-file", n.secret, "--http", "127.0.0.1:8080", "--https", "127.0.0.1:8443", "--mesh", ":7946")
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stderr = p.log
	out, err := cmd.StdoutPipe()
	n.check(err)
	n.check(cmd.Start())
	ready, ended := make(chan struct{}), make(chan struct{})
	p.mu.Lock()
	p.meant = false
	p.mu.Unlock()
	p.cmd, p.ready, p.ended, p.locked = cmd, ready, ended, false
	go func() {
		defer close(ended)
		lines, once := bufio.NewScanner(out), sync.Once{}
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "ready ") {
				once.Do(func() { close(ready) }) // a node that was locked says it again
			}
		}
		err := cmd.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.meant {
			p.failed = errors.Join(p.failed, fmt.Errorf("%s ended by itself: %v", p.name, err))
		}
	}()
}

// up tells whether there is a process that nobody has ended.
func (p *prey) up() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil && !p.meant
}

// open tells whether the node is ready and not locked.
func (p *prey) open() bool {
	select {
	case <-p.ready:
		return p.up() && !p.locked
	default:
		return false
	}
}

func (n *nemesis) await(p *prey) {
	n.t.Helper()
	select {
	case <-p.ready:
	case <-p.ended:
		n.t.Fatalf("%s ended before it was ready: %v", p.name, p.failed)
	case <-time.After(slowMachine):
		n.t.Fatalf("%s is not ready after %v", p.name, slowMachine)
	}
}

func (p *prey) intend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meant = true
}

func (p *prey) kill() {
	p.intend()
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// stop ends the node as a person does; it has to end, and without a complaint.
func (n *nemesis) stop(p *prey) {
	p.intend()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			n.t.Errorf("%s was stopped and said %d", p.name, code)
		}
	case <-time.After(slowMachine):
		n.t.Errorf("%s does not end", p.name)
		p.kill()
	}
}

// write starts somebody at every node who registers and corrects people until told to stop.
func (n *nemesis) write() {
	var shared []string
	a := n.nodes["a"]
	for i := range sharedPeople {
		var added struct{ ID string }
		out := n.programText(n.l.in("a", "api", "-want", "201", "-key", a.key, "POST", "http://127.0.0.1:8080/api/v1/people", fmt.Sprintf(`{"given_name":"Shared %d"}`, i))...)
		n.check(json.Unmarshal([]byte(out), &added))
		shared = append(shared, added.ID)
	}
	for i, name := range n.names {
		p := n.nodes[name]
		line := n.l.in(name, "scribe", "-key", p.key, "-name", name, "-every", writeEvery.String(), "-seed", fmt.Sprint(i), "http://127.0.0.1:8080", p.acks)
		p.writer = exec.Command(line[0], append(line[1:], shared...)...)
		p.writer.Stderr = p.log
		enough, err := p.writer.StdinPipe()
		n.check(err)
		p.enough = enough
		n.check(p.writer.Start())
	}
}

// torment does what the plan says, at its time or when what came before is done.
func (n *nemesis) torment() {
	n.began = time.Now()
	for _, h := range n.plan {
		time.Sleep(time.Until(n.began.Add(h.at))) // the plan is in wall time
		if time.Since(n.began) > n.during || n.t.Failed() {
			break
		}
		at := time.Since(n.began)
		did := n.harm(h)
		n.done = append(n.done, fmt.Sprintf("%6.1fs %s %s", at.Seconds(), h, did))
		n.alive()
	}
	time.Sleep(time.Until(n.began.Add(n.during)))
}

// alive fails the run when a process ended that nobody had ended.
func (n *nemesis) alive() {
	n.t.Helper()
	for _, name := range n.names {
		p := n.nodes[name]
		p.mu.Lock()
		if p.failed != nil {
			n.t.Error(p.failed)
			p.failed = nil
		}
		p.mu.Unlock()
	}
}

// harm does one thing, and says why not when the node is not in a state for it: a machine
// with much to do may still be starting it.
func (n *nemesis) harm(h harm) string {
	var p *prey
	if len(h.nodes) == 1 {
		p = n.nodes[h.nodes[0]]
	}
	switch h.what {
	case "kill", "stop", "lock":
		if !p.open() {
			return "(not open yet)"
		}
		switch h.what {
		case "kill":
			p.kill()
		case "stop":
			n.stop(p)
		default:
			n.lock(p)
		}
	case "start":
		if p.up() {
			return "(runs)"
		}
		n.start(p)
	case "unlock":
		return n.unlock(p)
	case "power":
		n.power()
	case "cut", "halves", "mute", "deaf", "ring", "heal":
		n.check(n.air.part(h))
	case "loss":
		n.check(n.air.lose(h.nodes[0], h.much))
	case "slow":
		n.check(n.air.delay(h.nodes[0], h.much))
	case "move":
		n.check(n.air.move(h.nodes[0], h.much))
	default:
		n.t.Fatalf("unknown: %v", h)
	}
	return ""
}

func (n *nemesis) lock(p *prey) {
	if out, err := exec.Command(n.bin, "lock", "--data", p.dir).CombinedOutput(); err != nil {
		n.t.Errorf("locking %s: %v %s", p.name, err, out)
		return
	}
	p.locked = true
}

// unlock opens a node that was locked; the process that took the place of the locked one may
// not listen yet.
func (n *nemesis) unlock(p *prey) string {
	if !p.locked {
		return "(is not locked)"
	}
	var said string
	n.until(p.name+" is unlocked", func() bool {
		out, err := exec.Command(n.bin, "unlock", "--data", p.dir, "--passphrase-file", n.secret).CombinedOutput()
		said = string(out)
		return err == nil || strings.Contains(said, "open already")
	})
	p.locked = false
	return ""
}

// power fails for all at once, and comes back.
func (n *nemesis) power() {
	for _, name := range n.names {
		if p := n.nodes[name]; p.up() {
			p.intend()
			_ = p.cmd.Process.Kill()
		}
	}
	for _, name := range n.names {
		<-n.nodes[name].ended
	}
	for _, name := range n.names {
		n.start(n.nodes[name])
	}
}

// heal gives everybody network, power and keys back.
func (n *nemesis) heal() {
	n.check(n.air.part(harm{what: "heal"}))
	for _, name := range n.names {
		n.check(n.air.lose(name, 0))
		n.check(n.air.delay(name, 0))
		if p := n.nodes[name]; !p.up() {
			n.start(p)
		}
	}
	for _, name := range n.names {
		p := n.nodes[name]
		n.await(p)
		if p.locked {
			n.unlock(p)
		}
	}
	n.healed = time.Now()
}

// settle lets the writers finish, and gives how many people they were told are registered.
func (n *nemesis) settle() (acked int) {
	for _, name := range n.names {
		p := n.nodes[name]
		n.check(p.enough.Close())
		if err := p.writer.Wait(); err != nil {
			n.t.Errorf("the writer at %s: %v", name, err)
		}
		p.writer = nil
		raw, err := os.ReadFile(p.acks)
		n.check(err)
		lines := strings.Count(string(raw), "\n")
		if lines == 0 {
			n.t.Errorf("nobody was registered at %s", name)
		}
		acked += lines
	}
	return acked
}

// equal waits until all hold the same and show the same, for as long as is promised.
func (n *nemesis) equal() {
	deadline := n.healed.Add(healPatience)
	for {
		n.alive()
		first, why := n.look()
		if why == "" {
			n.equalIn = time.Since(n.healed)
			n.t.Logf("equal: %d facts in %d logs", first.Ops, len(first.Logs))
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("not equal %v after all was healed: %s", healPatience, why)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// look asks every node, and says in what two of them differ.
func (n *nemesis) look() (first control.Check, why string) {
	var ops []uint64
	for _, name := range n.names { // cheap, and wrong most of the time
		st, err := n.nodes[name].control.Status(context.Background())
		if err != nil {
			return first, name + ": " + err.Error()
		}
		ops = append(ops, st.Ops)
	}
	if slices.Min(ops) != slices.Max(ops) {
		return first, fmt.Sprintf("facts: %v", ops)
	}
	for i, name := range n.names {
		raw, err := exec.Command(n.bin, "check", "--data", n.nodes[name].dir, "--json").Output()
		if err != nil {
			return first, fmt.Sprintf("%s: %v %s", name, err, raw)
		}
		var c control.Check
		n.check(json.Unmarshal(raw, &c))
		if !c.Sound || len(c.Problems) > 0 || c.Lost > 0 || c.Views == nil {
			n.t.Fatalf("%s: %s", name, raw)
		}
		if i == 0 {
			first = c
		}
		if c.Ops != first.Ops || *c.Views != *first.Views || !reflect.DeepEqual(c.Logs, first.Logs) {
			return first, fmt.Sprintf("%s differs from a: %d and %d facts", name, c.Ops, first.Ops)
		}
	}
	return first, ""
}

// held looks for everybody at every node, two nodes at a time.
func (n *nemesis) held(acked int) {
	var acks []string
	for _, name := range n.names {
		acks = append(acks, n.nodes[name].acks)
	}
	var all sync.WaitGroup
	turns := make(chan struct{}, 2)
	for _, name := range n.names {
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			line := n.l.in(name, append([]string{"held", "-list", "-key", n.nodes[name].key, "http://127.0.0.1:8080"}, acks...)...)
			out, err := exec.Command(line[0], line[1:]...).CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != fmt.Sprint(acked) {
				n.t.Errorf("at %s: %v %s, not %d", name, err, out, acked)
			}
		})
	}
	all.Wait()
	n.alive()
}

func (n *nemesis) sum(acked int) {
	var out []string
	var most uint64
	for _, name := range n.names {
		sent, got, err := n.air.carried(name)
		n.check(err)
		most = max(most, sent+got)
		out = append(out, fmt.Sprintf("%s %.1f/%.1f", name, float64(sent)/1e6, float64(got)/1e6))
	}
	did := slices.DeleteFunc(slices.Clone(n.done), func(s string) bool { return strings.HasSuffix(s, ")") })
	n.t.Logf("seed %s, %v: %d harms done of %d, %d people acknowledged and at all %d nodes, equal %.1f s after the last heal (%s at most); MB sent/received: %s",
		n.seed, n.during, len(did), len(n.plan), acked, len(n.names), n.equalIn.Seconds(), healPatience, strings.Join(out, ", "))
}
