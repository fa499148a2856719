package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

// Commands for what only root may do: networks whose cables can be pulled, and
// disks small enough to fill.
//
//	net NAME...     give each node its own network namespace, all on one switch;
//	                serve NAME then starts it there, and $NAME_addr is its address
//	link down NAME  pull the cable of NAME: packets vanish, nobody is told
//	link up NAME    put it back
//	in NAME program args
//	                run a program in the network of NAME, as exec does; start and
//	                until take "in NAME" before a program too
//	disk DIR MB     mount an empty disk of that size at DIR
//	image DIR MB    the same on an ext4 image, as a card is
//	fill DIR MB     write DIR/filler until only so much is free; 0 leaves nothing
//
// with the conditions [netns], [mount] and [loop], which say whether they work here.

// lan is a switch and a network namespace for every node, each on a cable of its own.
type lan struct {
	id     string
	number map[string]int // name -> last byte of its address
}

var lans atomic.Int64

// newLAN makes the network; remove takes it away, also when this failed halfway.
func newLAN(names ...string) (*lan, error) {
	l := &lan{id: fmt.Sprintf("wp%d-%d", os.Getpid(), lans.Add(1)), number: map[string]int{}}
	err := ip("netns", "add", l.hub())
	steps := []string{"link add sw type bridge", "link set sw up"}
	for i := 0; err == nil && i < len(steps); i++ {
		err = ip(append([]string{"-n", l.hub()}, strings.Fields(steps[i])...)...)
	}
	for i, name := range names {
		if err == nil {
			l.number[name] = i + 1
			err = l.plugIn(name)
		}
	}
	return l, err
}

func (l *lan) hub() string              { return l.id + "-hub" }
func (l *lan) space(name string) string { return l.id + "-" + name }
func (l *lan) port(name string) string  { return "port" + strconv.Itoa(l.number[name]) }
func (l *lan) addr(name string) string  { return "10.77.0." + strconv.Itoa(l.number[name]) }
func (l *lan) has(name string) bool     { return l != nil && l.number[name] > 0 }

// plugIn makes the namespace of a node and lays its cable to the switch.
func (l *lan) plugIn(name string) error {
	if err := ip("netns", "add", l.space(name)); err != nil {
		return err
	}
	for _, step := range []string{
		"-n SPACE link set lo up",
		"-n SPACE link add eth0 type veth peer name PORT netns HUB",
		"-n HUB link set PORT master sw",
		"-n HUB link set PORT up",
		"-n SPACE addr add ADDR/24 dev eth0",
		"-n SPACE link set eth0 up",
	} {
		words := strings.NewReplacer("SPACE", l.space(name), "HUB", l.hub(), "PORT", l.port(name), "ADDR", l.addr(name))
		if err := ip(strings.Fields(words.Replace(step))...); err != nil {
			return err
		}
	}
	return nil
}

// cable pulls or plugs at the switch, so that the node's own side keeps its
// address and routes: what it sends is simply gone.
func (l *lan) cable(name, state string) error {
	return ip("-n", l.hub(), "link", "set", l.port(name), state)
}

// in is a command line that runs in the network of a node. ip becomes the program,
// so signals reach it.
func (l *lan) in(name string, line ...string) []string {
	return append([]string{"ip", "netns", "exec", l.space(name)}, line...)
}

func (l *lan) remove() {
	for name := range l.number {
		_ = ip("netns", "del", l.space(name))
	}
	_ = ip("netns", "del", l.hub())
}

func ip(args ...string) error { return admin("ip", args...) }

// admin runs one of the system's own programs.
func admin(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// canNet and canMount try it once; being root says nothing in a container.
var (
	canNet = sync.OnceValue(func() bool {
		l, err := newLAN("try")
		defer l.remove()
		return err == nil
	})
	canMount = sync.OnceValue(func() bool {
		dir, err := os.MkdirTemp("", "wp")
		if err != nil {
			return false
		}
		defer os.Remove(dir)
		if admin("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir) != nil {
			return false
		}
		return admin("umount", dir) == nil
	})
)

// canLoop tries what image does.
var canLoop = sync.OnceValue(func() bool {
	dir, err := os.MkdirTemp("", "wp")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir)
	return mountImage(dir, "8") == nil && admin("umount", dir) == nil && os.Remove(dir+".img") == nil
})

// mountImage mounts a fresh ext4 image beside dir at dir.
func mountImage(dir, mb string) error {
	if err := admin("truncate", "-s", mb+"M", dir+".img"); err != nil {
		return err
	}
	if err := admin("mkfs.ext4", "-q", "-F", "-m", "0", dir+".img"); err != nil {
		return err
	}
	return admin("mount", "-o", "loop", dir+".img", dir)
}

// scriptCondition answers the conditions of scripts that testscript does not know.
func scriptCondition(name string) (bool, error) {
	switch name {
	case "netns":
		return canNet(), nil
	case "mount":
		return canMount(), nil
	case "loop":
		return canLoop(), nil
	case "shared":
		return sharedLists("make_people") != "" && sharedLists("febrl/dataset1.csv") != "", nil
	}
	return false, fmt.Errorf("there is no condition %s", name)
}

// inLAN replaces "in NAME" at the start of a command line.
func inLAN(ts *testscript.TestScript, line []string) []string {
	if len(line) < 3 || line[0] != "in" {
		return line
	}
	l := programsOf(ts).net
	if !l.has(line[1]) {
		ts.Fatalf("%s is on no network", line[1])
	}
	return l.in(line[1], line[2:]...)
}

func netCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || programsOf(ts).net != nil {
		ts.Fatalf("usage: net NAME..., once")
	}
	l, err := newLAN(args...)
	p := programsOf(ts)
	p.net = l
	p.after(l.remove)
	ts.Check(err)
	for _, name := range args {
		ts.Setenv(name+"_addr", l.addr(name))
	}
}

func linkCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || !programsOf(ts).net.has(args[1]) {
		ts.Fatalf("usage: link down|up NAME")
	}
	ts.Check(programsOf(ts).net.cable(args[1], args[0]))
}

func inCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] in NAME program args")
	}
	line := inLAN(ts, append([]string{"in"}, args...))
	if err := ts.Exec(line[0], line[1:]...); (err != nil) != neg {
		ts.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
}

func diskCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: disk DIR MB")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(admin("mount", "-t", "tmpfs", "-o", "size="+args[1]+"m,mode=0700", "tmpfs", dir))
	programsOf(ts).after(func() { _ = admin("umount", dir) })
}

func imageCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: image DIR MB")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(mountImage(dir, args[1]))
	programsOf(ts).after(func() { _ = admin("umount", dir) })
}

// fillCmd writes until the system says that there is no room, or until so much is
// left as was asked for.
func fillCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fill DIR MB")
	}
	dir := ts.MkAbs(args[0])
	leave, err := strconv.ParseUint(args[1], 10, 32)
	ts.Check(err)
	f, err := os.Create(dir + "/filler")
	ts.Check(err)
	defer f.Close()
	for _, piece := range [][]byte{make([]byte, 1<<20), make([]byte, 4096)} {
		for {
			if free, _ := diskRoom(dir); free < leave<<20+uint64(len(piece)) {
				break
			}
			if _, err := f.Write(piece); err != nil {
				break // full
			}
		}
	}
}
