package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	cuts      = 3   // the worst counts: how long a heal takes depends on when it is tried
	apartEach = 500 // registrations a side while apart
)

// cutting parts two nodes, lets both register on, and waits until they agree again
// by themselves.
func (f *figures) cutting() {
	if !canNet() {
		f.cutByStopping()
		return
	}
	l, err := newLAN("a", "b")
	f.t.Cleanup(l.remove)
	f.check(err)
	a := f.serve(f.found("cut-a"), l, "a")
	code := f.waypost("invite", "--data", a.dir)
	dir := filepath.Join(f.dir, "cut-b")
	f.programLine(l.in("b", f.bin, "join", "--data", dir, "--site", "b", "--lead", figuresLead, "--passphrase-file", f.secret, code)...)
	b := f.serve(dir, l, "b")
	equalAt(f.t, a, b)
	var worst time.Duration
	var all []string
	for range cuts {
		f.check(l.cable("b", "down"))
		done := make(chan error, 2)
		go func() { done <- f.apart(l, "a", a) }()
		go func() { done <- f.apart(l, "b", b) }()
		f.check(<-done)
		f.check(<-done)
		f.until("both miss each other", func() bool { return away(a.status()) && away(b.status()) })
		f.check(l.cable("b", "up"))
		healed := time.Now()
		took := equalAt(f.t, a, b).Sub(healed)
		worst = max(worst, took)
		all = append(all, fmt.Sprintf("%.1f", took.Seconds()))
	}
	f.healed(worst, strings.Join(all, ", "))
	f.note("Cut: two network namespaces, the cable pulled at the switch, %d cuts.", cuts)
}

func (f *figures) healed(worst time.Duration, all string) {
	f.row(fmt.Sprintf("equal after a cut with %d people a side", apartEach), "<= 10 s", fmt.Sprintf("%.1f s at worst (%s)", worst.Seconds(), all), worst <= 10*time.Second)
}

// apart registers people from inside a node's own network.
func (f *figures) apart(l *lan, name string, s *served) error {
	line := l.in(name, "api", "-want", "201", "-key", s.program("registrar").key, "-repeat", fmt.Sprint(apartEach), "POST", s.http+"/api/v1/people", `{"given_name":"Apart #","family_name":"`+name+`"}`)
	if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// cutByStopping is what can be done without network namespaces: the nodes never run
// at the same time while they are apart.
func (f *figures) cutByStopping() {
	a := f.serve(f.found("cut-a"), nil, "a")
	dir := filepath.Join(f.dir, "cut-b")
	f.waypost("join", "--data", dir, "--site", "b", "--lead", figuresLead, "--passphrase-file", f.secret, f.waypost("invite", "--data", a.dir))
	b := f.serve(dir, nil, "b")
	equalAt(f.t, a, b)
	b.stop()
	f.alone(a)
	a.stop()
	b = f.serve(b.dir, nil, "b")
	f.alone(b)
	a = f.serve(a.dir, nil, "a")
	started := time.Now()
	took := equalAt(f.t, a, b).Sub(started)
	f.healed(took, "counted from the start of the second node")
	f.note("Cut: the nodes were stopped in turn, because network namespaces are not allowed here.")
}

func (f *figures) alone(s *served) {
	c := s.program("registrar")
	for i := range apartEach {
		_, err := c.register(fmt.Sprint("Apart ", i), "Haddad")
		f.check(err)
	}
}

// until waits for something to become true.
func (f *figures) until(what string, ok func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("%s: not in %v", what, patience)
		}
	}
}
