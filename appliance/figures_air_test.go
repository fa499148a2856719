//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/mesh"
)

const (
	airStarting = 8                // at once
	airSettles  = 60 * time.Second // after all hold the same: doubled links have ended, reports were passed on;
	airRound    = 2 * time.Second  // for each node, until all have reported what the start was (mesh/timing.go),
	airRoundLow = 10 * time.Second // likewise under the low profile
	airWrites   = 20
	airWait     = 10 * time.Minute
	airPort     = ":7946"
)

// TestAirFigures measures what many real nodes say to each other while nothing happens,
// under both profiles, and how soon they hear when something does, and prints a table. Each
// has a network namespace on one switch; what leaves it is counted there, whole IP packets,
// whatever they are for. Set WAYPOST_FIGURES_AIR=50 to the number of nodes,
// WAYPOST_FIGURES_AIR_MINUTES to how long it listens.
func TestAirFigures(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("WAYPOST_FIGURES_AIR"))
	if n < 2 {
		t.Skip("set WAYPOST_FIGURES_AIR to a number of nodes (make bench-air does)")
	}
	if why := canNemesis(); why != "" {
		t.Skip("the air was not measured: " + why)
	}
	minutes, err := strconv.Atoi(os.Getenv("WAYPOST_FIGURES_AIR_MINUTES"))
	if err != nil {
		minutes = 5
	}
	plain(t)
	t.Setenv("GOMEMLIMIT", "64MiB")
	began := time.Now()
	f := &airFigures{figures: newFigures(t), listens: time.Duration(minutes) * time.Minute}
	f.gather(n)
	f.calm("usual", airRound)
	f.idle("usual", 10)
	f.live("0 %", 1500*time.Millisecond)
	f.check(f.lose(20))
	f.live("20 %", 3*time.Second)
	f.check(f.lose(0))
	f.missed("usual")
	f.turnLow()
	f.calm("low", airRoundLow)
	f.idle("low", 2.5)
	f.print(time.Since(began))
}

// airFigures is one run.
type airFigures struct {
	*figures
	listens time.Duration
	l       *lan
	nodes   []*airNode
}

// airNode is one real node in a network of its own.
type airNode struct {
	*served
	name string
	key  string
	http *http.Client
}

// row and note say at once what they take in, because the rest may take long.
func (f *airFigures) row(figure, bar, measured string, holds bool) {
	f.figures.row(figure, bar, measured, holds)
	fmt.Fprintln(os.Stderr, f.rows[len(f.rows)-1])
}

func (f *airFigures) note(format string, args ...any) {
	f.figures.note(format, args...)
	fmt.Fprintln(os.Stderr, f.notes[len(f.notes)-1])
}

// gather makes n nodes that hold the same.
func (f *airFigures) gather(n int) {
	began := time.Now()
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("n%02d", i+1)
	}
	f.check(f.manyNeighbours(n * n))
	l, err := newLAN(names...)
	f.t.Cleanup(l.remove)
	f.check(err)
	f.l = l
	for _, name := range names {
		f.count(name)
		f.nodes = append(f.nodes, &airNode{name: name, http: l.client(name)})
	}
	f.check(f.enrolAll())
	f.startAll()
	for _, a := range f.nodes {
		key, err := a.control.IssueKey(context.Background(), "lead", "", 24*time.Hour)
		f.check(err)
		a.key = key.Secret
	}
	f.settle()
	f.note("%d nodes in as many network namespaces on one switch, %.0f s until all held the same.", n, time.Since(began).Seconds())
}

// manyNeighbours has the kernel remember the addresses of so many neighbours while this runs:
// it keeps two tables for all namespaces, of 1,024 each at most, and what finds no place in it is
// dropped. Fifty nodes lost packets to that.
func (f *airFigures) manyNeighbours(n int) error {
	for _, bound := range []string{"4/neigh/default/gc_thresh3", "4/neigh/default/gc_thresh2", "4/neigh/default/gc_thresh1", "6/neigh/default/gc_thresh3", "6/neigh/default/gc_thresh2", "6/neigh/default/gc_thresh1"} {
		file := "/proc/sys/net/ipv" + bound
		was, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if have, err := strconv.Atoi(strings.TrimSpace(string(was))); err != nil || have >= 4*n {
			continue
		}
		if err := os.WriteFile(file, []byte(strconv.Itoa(4*n)), 0o644); err != nil { //nolint:gosec // the kernel's
			return err
		}
		f.t.Cleanup(func() { _ = os.WriteFile(file, was, 0o644) }) //nolint:gosec // the kernel's
	}
	return nil
}

// enrolAll makes the folders of a deployment, in this process and with passphrases that cost
// nothing: what is measured comes later, and fifty times a second or two would be lost. All
// know where the first is to be found, and it has compared all of them.
func (f *airFigures) enrolAll() error {
	ctx, secret := context.Background(), []byte(figuresWords)
	dir := filepath.Join(f.dir, f.nodes[0].name)
	vault, _, err := identity.Start(dir, clock.System(), identity.StartOptions{Deployment: "Relief", Site: "Post 1", Passphrase: secret, KeepRoot: true, Cost: identity.TestCost()})
	if err != nil {
		return err
	}
	n, err := addLead(ctx, dir, vault, figuresLead, secret, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	for i, a := range f.nodes[1:] {
		if err := errors.Join(err, f.enrol(ctx, n, a.name, fmt.Sprint("Post ", i+2))); err != nil {
			return errors.Join(err, n.Close())
		}
	}
	return n.Close()
}

func (f *airFigures) enrol(ctx context.Context, by *node, name, site string) error {
	dir := filepath.Join(f.dir, name)
	invitation, err := by.vault.Invite(time.Minute, nil)
	if err != nil {
		return err
	}
	code, err := identity.ParseInvitation(invitation.Code)
	if err != nil {
		return err
	}
	applicant, err := identity.NewApplicant(code)
	if err != nil {
		return err
	}
	applicant.Cost = identity.TestCost()
	reply, cert, err := by.vault.Admit(applicant.Request())
	if err != nil {
		return err
	}
	if err := by.desks.Identity.Enrolled(ctx, cert); err != nil {
		return err
	}
	if err := by.desks.Identity.Confirm(ctx, oplog.By{1}, cert.ID()); err != nil {
		return err
	}
	vault, err := applicant.Accept(dir, clock.System(), reply, site, []byte(figuresWords))
	if err != nil {
		return err
	}
	vault.Close()
	return mesh.Remember(dir, f.l.addr(f.nodes[0].name)+airPort)
}

// startAll starts all nodes, some at a time.
func (f *airFigures) startAll() {
	f.t.Helper()
	for some := range slices.Chunk(f.nodes, airStarting) {
		var all sync.WaitGroup
		for _, a := range some {
			all.Go(func() { f.start(a) })
		}
		all.Wait()
		if f.t.Failed() {
			f.t.FailNow()
		}
	}
}

func (f *airFigures) start(a *airNode) {
	dir := filepath.Join(f.dir, a.name)
	a.served = f.serveWith(dir, f.l.in(a.name, f.bin, "serve", "--data", dir, "--passphrase-file", f.secret,
		"--http", "127.0.0.1:8080", "--https", "127.0.0.1:8443", "--mesh", airPort))
}

// settle waits until all hold the same.
func (f *airFigures) settle() {
	f.t.Helper()
	f.within("all hold the same and know each other", func() bool {
		ops := f.nodes[0].status().Ops
		return !slices.ContainsFunc(f.nodes, func(a *airNode) bool {
			st := a.status()
			return st.Ops != ops || st.OnlyHere > 0 || len(st.Peers) != len(f.nodes)-1
		})
	})
}

// calm waits until what a start brings about has been said: idle is what comes after. What it
// cost is noted.
func (f *airFigures) calm(profile string, round time.Duration) {
	before, wait := f.counted(), airSettles+time.Duration(len(f.nodes))*round
	time.Sleep(wait) // it is measured in wall time
	f.note("%s: the start itself: %.1f KB a node in the %.0f s after all held the same.", profile, (f.counted().all()-before.all())/float64(len(f.nodes))/1000, wait.Seconds())
}

func (f *airFigures) within(what string, ok func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(airWait); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("%s: not in %v", what, airWait)
		}
	}
}

// What is told apart of what leaves a node.
var airParts = []string{"members", "exchange", "greetings", "find", "other"}

// count has whole IP packets counted where they leave a node: memberlist's UDP, TCP of its
// streams and of the exchange, what opens such connections, and multicast DNS.
func (f *airFigures) count(name string) {
	var b strings.Builder
	b.WriteString("table inet air {\n")
	for _, p := range airParts {
		fmt.Fprintf(&b, " counter %s {}\n", p)
	}
	b.WriteString(` chain out { type filter hook output priority 0; policy accept;
  oifname "lo" accept
  udp dport 5353 counter name find accept
  meta l4proto udp counter name members accept
  tcp flags & syn == syn counter name greetings accept
  meta l4proto tcp counter name exchange accept
  counter name other
 }
}
`)
	cmd := exec.Command("ip", "netns", "exec", f.l.space(name), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(b.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("nft: %v: %s", err, out)
	}
}

// counted is what left all nodes so far.
type airCount struct {
	bytes, packets map[string]float64
	links, tls     float64 // links of all nodes, both ends; bytes their nodes wrote to them
	cpu            float64
}

func (f *airFigures) counted() airCount {
	sum := airCount{bytes: map[string]float64{}, packets: map[string]float64{}}
	for _, a := range f.nodes {
		out, err := exec.Command("ip", "netns", "exec", f.l.space(a.name), "nft", "-j", "list", "counters").Output()
		f.check(err)
		var said struct {
			Nftables []struct {
				Counter *struct {
					Name           string
					Packets, Bytes float64
				}
			}
		}
		f.check(json.Unmarshal(out, &said))
		for _, x := range said.Nftables {
			if x.Counter != nil {
				sum.bytes[x.Counter.Name] += x.Counter.Bytes
				sum.packets[x.Counter.Name] += x.Counter.Packets
			}
		}
		sum.cpu += cpuOf(a.cmd.Process.Pid, true)
		for _, p := range a.status().Peers {
			sum.links += float64(len(p.Connections))
			sum.tls += float64(p.BytesOut)
		}
	}
	return sum
}

// all is how many bytes.
func (c airCount) all() (sum float64) {
	for _, b := range c.bytes {
		sum += b
	}
	return sum
}

// idle listens while nothing happens.
func (f *airFigures) idle(profile string, bar float64) {
	before, began := f.counted(), time.Now()
	time.Sleep(f.listens)
	after := f.counted()
	took := time.Since(began)
	per := func(a, b float64) float64 { return (b - a) / float64(len(f.nodes)) / took.Minutes() }
	all, parts := 0.0, ""
	for _, p := range airParts {
		bytes := per(before.bytes[p], after.bytes[p])
		all += bytes
		parts += fmt.Sprintf(", %s %.0f B in %.1f packets", p, bytes, per(before.packets[p], after.packets[p]))
	}
	f.row(fmt.Sprintf("idle, %d nodes, %s profile", len(f.nodes), profile), fmt.Sprintf("<= %.1f KB/node/min", bar), fmt.Sprintf("%.2f KB", all/1000), all <= bar*1000)
	f.note("%s: %.1f links a node, %.0f ms of CPU a node and minute%s (%.0f B of it TLS); load %s.", profile, after.links/float64(len(f.nodes)),
		1000*per(before.cpu, after.cpu), parts, per(before.tls, after.tls), busy())
}

// lose has the switch drop so many of 100 packets.
func (f *airFigures) lose(percent int) error {
	rule := ""
	if percent > 0 {
		rule = fmt.Sprintf("numgen random mod 100 < %d drop", percent)
	}
	cmd := exec.Command("ip", "netns", "exec", f.l.hub(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader("table bridge air\ndelete table bridge air\ntable bridge air { chain f {\n type filter hook forward priority 0; policy accept;\n " + rule + "\n }\n}\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}

// live registers somebody at one node and asks all for that person until everybody has an
// answer. The time is from the acknowledgement at the one to the answer of the last.
func (f *airFigures) live(loss string, bar time.Duration) {
	var took []time.Duration
	before := f.counted()
	for i := range airWrites {
		a := f.nodes[rand.IntN(len(f.nodes))]
		var added struct{ ID string }
		status, raw, err := a.ask("POST", "/api/v1/people", fmt.Sprintf(`{"given_name":"Live %d","family_name":"Haddad"}`, i))
		f.check(err)
		if status != http.StatusCreated {
			f.t.Fatalf("%d: %s", status, raw)
		}
		f.check(json.Unmarshal(raw, &added))
		began, left := time.Now(), slices.Clone(f.nodes)
		for len(left) > 0 {
			left = slices.DeleteFunc(left, func(b *airNode) bool {
				status, _, err := b.ask("GET", "/api/v1/people/"+added.ID, "")
				f.check(err)
				return status == http.StatusOK
			})
			if time.Since(began) > airWait {
				f.t.Fatalf("%d nodes never heard of it", len(left))
			}
			time.Sleep(5 * time.Millisecond)
		}
		took = append(took, time.Since(began))
		time.Sleep(time.Second)
	}
	cpu := f.counted().cpu - before.cpu
	p50, p95 := percentile(took, 50), percentile(took, 95)
	f.row(fmt.Sprintf("a live write shown by all %d nodes, loss %s", len(f.nodes), loss), fmt.Sprintf("p95 <= %.1f s", bar.Seconds()),
		fmt.Sprintf("p50 %.2f s, p95 %.2f s, worst %.2f s", p50.Seconds(), p95.Seconds(), slices.Max(took).Seconds()), p95 <= bar)
	f.note("Live, loss %s: wall time with all nodes on this machine, %.0f ms of CPU a node and write with all that goes on meanwhile, load %s.",
		loss, 1000*cpu/airWrites/float64(len(f.nodes)), busy())
}

// missed pulls the cable of a node and waits until nobody takes it for linked, and for there.
func (f *airFigures) missed(profile string) {
	gone := f.nodes[len(f.nodes)/2]
	id := gone.status().Node
	f.check(f.l.cable(gone.name, "down"))
	began := time.Now()
	var unlinked time.Duration
	f.within("all miss it", func() bool {
		states := map[string]int{}
		for _, a := range f.nodes {
			for _, p := range a.status().Peers {
				if a != gone && p.Node == id {
					states[p.State]++
				}
			}
		}
		if states["connected"] == 0 && unlinked == 0 {
			unlinked = time.Since(began)
		}
		return states["away"] == len(f.nodes)-1
	})
	f.note("%s: a node whose cable is pulled while nothing happens is linked with nobody after %.0f s and away for all after %.0f s.", profile, unlinked.Seconds(), time.Since(began).Seconds())
	f.check(f.l.cable(gone.name, "up"))
	plugged := time.Now()
	f.within("it is back", func() bool { return !away(gone.status()) })
	f.note("%s: plugged in again it has a link after %.1f s.", profile, time.Since(plugged).Seconds())
}

// turnLow goes over to the low profile at all nodes, and starts them again for it.
func (f *airFigures) turnLow() {
	for _, a := range f.nodes {
		l, err := a.control.LinkState(context.Background())
		f.check(err)
		l.Profile = control.LinkLow
		_, err = a.control.SetLink(context.Background(), l)
		f.check(err)
		a.stop()
	}
	f.startAll()
	f.settle()
}

// ask sends a node one request from within its network.
func (a *airNode) ask(method, path, body string) (status int, raw []byte, err error) {
	c := &caller{s: a.served, http: a.http, key: a.key}
	resp, raw, err := c.do(method, path, body, "")
	if err != nil {
		return 0, nil, err
	}
	return resp.StatusCode, raw, nil
}

// client speaks from within the network of a node.
func (l *lan) client(name string) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return l.dial(ctx, name, network, addr)
	}}}
}

// dial makes a connection that begins in the network of a node. A thread that cannot go
// back ends with its goroutine.
func (l *lan) dial(ctx context.Context, name, network, addr string) (net.Conn, error) {
	type made struct {
		conn net.Conn
		err  error
	}
	done := make(chan made, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is in another network
		space, err := os.Open(filepath.Join("/run/netns", l.space(name)))
		if err != nil {
			done <- made{err: err}
			return
		}
		defer space.Close()
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- made{err: err}
			return
		}
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		done <- made{c, err}
	}()
	m := <-done
	return m.conn, m.err
}
