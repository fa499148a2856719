//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// air is what lies between the nodes of a lan: cuts and losses by nftables at the switch,
// and a slow cable that several nodes may hang on. It belongs to one goroutine.
type air struct {
	l     *lan
	names []string
	mac   map[string]string
	drop  map[[2]string]bool // from, to
	loss  map[string]int     // percent
	late  *slowCable
}

// newAir prepares the switch of l; close takes the slow cable away.
func newAir(l *lan, names []string) (*air, error) {
	a := &air{l: l, names: names, mac: map[string]string{}, drop: map[[2]string]bool{}, loss: map[string]int{}}
	for _, n := range names {
		var links []struct{ Address string }
		out, err := exec.Command("ip", "-n", l.space(n), "-j", "link", "show", "eth0").Output()
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(out, &links); err != nil || len(links) != 1 {
			return nil, fmt.Errorf("%s: %v", out, err)
		}
		a.mac[n] = links[0].Address
		if err := admin("ip", l.in(n, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/eth0/arp_notify")[1:]...); err != nil {
			return nil, err
		}
	}
	if err := a.apply(); err != nil {
		return nil, err
	}
	var err error
	a.late, err = newSlowCable(l)
	return a, err
}

func (a *air) close() { a.late.close() }

// apply makes the switch drop what drop and loss say, from this moment on and on
// connections that exist, too.
func (a *air) apply() error {
	var b strings.Builder
	b.WriteString("table bridge nemesis\ndelete table bridge nemesis\ntable bridge nemesis {\n chain f {\n  type filter hook forward priority 0; policy accept;\n")
	for _, from := range a.names {
		for _, to := range a.names {
			if a.drop[[2]string{from, to}] {
				fmt.Fprintf(&b, "  ether saddr %s ether daddr %s drop\n", a.mac[from], a.mac[to])
			}
		}
		if p := a.loss[from]; p > 0 {
			fmt.Fprintf(&b, "  ether saddr %s numgen random mod 100 < %d drop\n  ether daddr %s numgen random mod 100 < %d drop\n", a.mac[from], p, a.mac[from], p)
		}
	}
	b.WriteString(" }\n}\n")
	cmd := exec.Command("ip", "netns", "exec", a.l.hub(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(b.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}

// part makes the cut that a harm means; heal ends it.
func (a *air) part(h harm) error {
	clear(a.drop)
	in := func(n string) bool { return slices.Contains(h.nodes, n) }
	for i, from := range a.names {
		for j, to := range a.names {
			far := (i - j + len(a.names)) % len(a.names)
			a.drop[[2]string{from, to}] = from != to && map[string]bool{
				"cut": in(from) || in(to), "halves": in(from) != in(to), "mute": in(from), "deaf": in(to),
				"ring": far != 1 && far != len(a.names)-1,
			}[h.what]
		}
	}
	return a.apply()
}

func (a *air) lose(node string, percent int) error {
	a.loss[node] = percent
	return a.apply()
}

// delay hangs a node on the slow cable, or takes it off.
func (a *air) delay(node string, ms int) error {
	on := "sw"
	if ms > 0 {
		on = "slow"
		a.late.by.Store(int64(ms) * int64(time.Millisecond))
	}
	return ip("-n", a.l.hub(), "link", "set", a.l.port(node), "master", on)
}

// move gives a node another address, as when it is plugged in elsewhere; the others hear of
// it by a gratuitous ARP.
func (a *air) move(node string, last int) error {
	for _, step := range []string{
		"link set eth0 down", "addr flush dev eth0", "addr add " + fmt.Sprintf("10.77.0.%d/24", last) + " dev eth0", "link set eth0 up",
	} {
		if err := ip(append([]string{"-n", a.l.space(node)}, strings.Fields(step)...)...); err != nil {
			return err
		}
	}
	return nil
}

// carried is how many bytes went from and to a node, as its port at the switch counted.
func (a *air) carried(node string) (out, in uint64, err error) {
	raw, err := exec.Command("ip", "-n", a.l.hub(), "-j", "-s", "link", "show", a.l.port(node)).Output()
	if err != nil {
		return 0, 0, err
	}
	var links []struct {
		Stats64 struct {
			RX, TX struct{ Bytes uint64 }
		}
	}
	if err := json.Unmarshal(raw, &links); err != nil || len(links) != 1 {
		return 0, 0, fmt.Errorf("%s: %v", raw, err)
	}
	return links[0].Stats64.RX.Bytes, links[0].Stats64.TX.Bytes, nil
}

// slowCable is a switch of its own in the hub, joined to the big one by this program, which
// holds every frame back for a while.
type slowCable struct {
	by   atomic.Int64 // nanoseconds
	ends [2]*os.File
	over sync.WaitGroup
}

// newSlowCable lays it: TAP devices are made here and put into the hub, where they stay
// ours. Frames that come out of one are whole, their checksums done.
func newSlowCable(l *lan) (*slowCable, error) {
	c := &slowCable{}
	err := errors.Join(ip("-n", l.hub(), "link", "add", "slow", "type", "bridge"), ip("-n", l.hub(), "link", "set", "slow", "up"))
	for i, master := range []string{"slow", "sw"} {
		if err != nil {
			break
		}
		end, name := "end"+master, fmt.Sprintf("wp%d%s", os.Getpid(), master)
		if c.ends[i], err = openTAP(name); err != nil {
			break
		}
		for _, step := range []string{
			"link set " + name + " netns " + l.hub(), "-n HUB link set " + name + " name " + end,
			"-n HUB link set " + end + " master " + master, "-n HUB link set " + end + " up",
		} {
			if err == nil {
				err = ip(strings.Fields(strings.ReplaceAll(step, "HUB", l.hub()))...)
			}
		}
	}
	if err != nil {
		c.close()
		return nil, err
	}
	c.over.Go(func() { c.carry(c.ends[0], c.ends[1]) })
	c.over.Go(func() { c.carry(c.ends[1], c.ends[0]) })
	return c, nil
}

func openTAP(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// carry takes frames from one end to the other, in order, each as late as is said when it
// comes, give or take a fifth. What does not fit in its queue is lost, as on a real cable.
func (c *slowCable) carry(from, to *os.File) {
	type held struct {
		frame []byte
		due   time.Time
	}
	queue := make(chan held, 2048)
	c.over.Go(func() {
		for h := range queue {
			time.Sleep(time.Until(h.due))
			_, _ = to.Write(h.frame)
		}
	})
	defer close(queue)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		by := time.Duration(float64(c.by.Load()) * (0.8 + 0.4*rand.Float64()))
		select {
		case queue <- held{slices.Clone(buf[:n]), time.Now().Add(by)}:
		default:
		}
	}
}

func (c *slowCable) close() {
	for _, e := range c.ends {
		if e != nil {
			_ = e.Close()
		}
	}
	c.over.Wait()
}

// canNemesis says what is missing for TestNemesis here, if anything is.
func canNemesis() string {
	if !canNet() {
		return "network namespaces need root, iproute2 and the right to make them"
	}
	if _, err := exec.LookPath("nft"); err != nil {
		return "cuts need nft (nftables)"
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return "the slow cable needs /dev/net/tun"
	}
	return ""
}
