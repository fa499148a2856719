//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/registration"
	"github.com/waypost/waypost/appliance/staff"
)

const (
	hostileFor    = time.Second // each attack at least; until people went both ways meanwhile
	hostileMemory = 64.0        // MB more than the box took before
	rogueHas      = 20          // people
)

// TestHostileNeighbour attacks a running box on its mesh port in every way of hostileAttacks:
// as somebody without a key, with a wrong one, with the certificate of another operation, of
// a node that was suspended or revoked, and with all keys of a node in good standing. During
// each attack people are registered at the box and at an honest node, and found at the other.
// The box may not end, nor take more than 64 MB more than without the attacks, in all of them
// together.
func TestHostileNeighbour(t *testing.T) {
	if os.Getenv("WAYPOST_SCRIPTS") == "" {
		t.Skip("set WAYPOST_SCRIPTS=1 (make scripts does)")
	}
	t.Parallel()
	h := newHostile(t)
	began, calm := time.Now(), h.calm()
	t.Logf("%-34s %7s %9s %10s %10s", "attack", "blows", "MB more", "here>there", "there>here")
	worst := 0.0
	for _, a := range hostileAttacks() {
		grown := h.under(a, calm)
		worst = max(worst, grown)
	}
	h.unharmed()
	t.Logf("%d attacks in %.0f s; the box took %.0f MB before, %.0f MB more at worst, and did not end", len(hostileAttacks()), time.Since(began).Seconds(), calm, worst)
}

// hostile is a box under attack, an honest node, and whoever attacks.
type hostile struct {
	*figures
	box, honest    *served
	boxKey, hisKey *caller
	mesh           string // the box's port
	hisMesh        string
	hisAddresses   []string
	in             *rogue // a node in good standing
	foreign        *rogue // of another operation
	suspended      *rogue
	revoked        *rogue
	packets        [][]byte // of real gossip to the box, recorded; nil where that is not allowed
	theirs         theirs
	n              int
}

// theirs is what everybody in the mesh can find out about the honest node.
type theirs struct {
	name string // among the members
	meta []byte // its member card
	hi   *session
}

// attack is one kind of attack: it goes on while going says so, and counts its blows.
type attack struct {
	*hostile
	over  atomic.Bool
	blows atomic.Int64
	mu    sync.Mutex
	wrong []string
}

func (a *attack) going() bool { return !a.over.Load() }
func (a *attack) blow()       { a.blows.Add(1) }

// fail says that something was let in that must not be.
func (a *attack) fail(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.wrong) < 5 {
		a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
	}
}

func newHostile(t *testing.T) *hostile {
	dir, err := os.MkdirTemp("/tmp", "wp") // sockets need short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &hostile{figures: &figures{t: t, dir: dir, bin: "waypost", secret: filepath.Join(dir, "secret")}}
	h.check(os.WriteFile(h.secret, []byte(figuresWords+"\n"), 0o600))
	h.box = h.serve(h.found("box"), nil, "box")
	h.mesh = h.box.status().Mesh
	words := []byte(figuresWords)
	h.honest = h.serve(h.joined("honest"), nil, "honest")
	in := h.serve(h.joined("in"), nil, "in") // lives honestly until it has the newest keys
	for _, node := range []*served{h.honest, in} {
		h.check(h.box.control.Confirm(context.Background(), node.status().Node))
	}
	h.shutOut()
	equalAt(t, h.box, h.honest)
	equalAt(t, h.box, in)
	in.stop()
	h.in = h.records(in.dir, words)
	h.foreign = rogueOf(t, h.found("foreign"), words)
	h.hisMesh = h.honest.status().Mesh
	h.boxKey, h.hisKey = h.box.program("lead"), h.honest.program("lead")
	h.hisAddresses = h.addresses()
	h.spy()
	return h
}

func (h *hostile) joined(name string) string {
	dir := filepath.Join(h.dir, name)
	h.waypost("join", "--data", dir, "--site", name, "--lead", figuresLead, "--passphrase-file", h.secret, h.waypost("invite", "--data", h.box.dir))
	return dir
}

// shutOut suspends one node and revokes another, as people do.
func (h *hostile) shutOut() {
	h.suspended = rogueOf(h.t, h.joined("suspended"), []byte(figuresWords))
	h.revoked = rogueOf(h.t, h.joined("revoked"), []byte(figuresWords))
	s, r := h.suspended.id(h.t), h.revoked.id(h.t)
	for _, id := range []string{s, r} {
		h.check(h.box.control.Confirm(context.Background(), id))
	}
	h.waypost("suspend", "--data", h.box.dir, s)
	h.waypost("staff", "add", "--data", h.box.dir, "--user", "bruno", "--role", "coordinator", "--passphrase-file", h.secret)
	h.waypost("revoke", "--data", h.box.dir, "--first", figuresLead, "--first-passphrase-file", h.secret, "--second", "bruno", "--second-passphrase-file", h.secret, r)
}

func (r *rogue) id(t *testing.T) string {
	t.Helper()
	c, err := identity.ParseNodeCert(r.cert)
	if err != nil {
		t.Fatal(err)
	}
	return c.ID().String()
}

// records are the keys of a folder, and people that were registered in it and that nobody
// else has: what it sends of them is as good as anybody's until a bit is flipped.
func (h *hostile) records(dir string, words []byte) *rogue {
	n, err := openFolder(context.Background(), dir, words, slog.New(slog.DiscardHandler))
	h.check(err)
	own := n.journal.Own()
	head := func() oplog.Head {
		heads := n.journal.Heads()
		return heads[slices.IndexFunc(heads, func(head oplog.Head) bool { return head.Log == own })]
	}
	before := head()
	for i := range rogueHas {
		_, err := n.desks.Registration.Add(context.Background(), staff.Operator(), registration.Person{GivenName: fmt.Sprint("Rogue ", i)}, registration.Request{})
		h.check(err)
	}
	batch, last, err := n.journal.Range(own, before.Seq, 1000, 1<<20)
	h.check(err)
	after := head()
	if last != after.Seq {
		h.t.Fatalf("%d of %d records in one batch", last, after.Seq)
	}
	h.check(n.Close())
	r := rogueOf(h.t, dir, words)
	r.log, r.head, r.batch = own, after, batch
	return r
}

// addresses is where the box looks for the honest node.
func (h *hostile) addresses() []string {
	id := h.honest.status().Node
	for _, p := range h.box.status().Peers {
		if p.Node == id {
			return p.Addresses
		}
	}
	return nil
}

// spy finds out what any node can: the honest node's name, its member card, the gossip that
// goes to the box. It also shows that the rogue's keys are the right ones.
func (h *hostile) spy() {
	h.t.Helper()
	c, err := net.Dial("tcp", h.hisMesh)
	h.check(err)
	s, err := h.in.greet(c, h.in.log, h.in.card(1, "127.0.0.1:9"))
	h.check(err)
	h.theirs.name = s.incarnation()
	h.theirs.hi = s
	h.check(s.Close())
	h.until("the members are told under the newest key", func() bool {
		c, err := net.Dial("tcp", h.hisMesh)
		h.check(err)
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		gossip := &session{Conn: tls.Client(c, h.in.tls(wireGossip))}
		if _, err := gossip.Write(gossipStreamOf(h.in.gossip, slices.Concat(toldBy(gossipState, "Nodes", 0, "UserStateLen", 0, "Join", false)))); err != nil {
			return false
		}
		head := make([]byte, 5)
		if _, err := io.ReadFull(gossip, head); err != nil {
			return false
		}
		sealed := make([]byte, min(binary.BigEndian.Uint32(head[1:]), 1<<20))
		if _, err := io.ReadFull(gossip, sealed); err != nil {
			return false
		}
		plain, err := gossipOpen(h.in.gossip, sealed, head)
		if err != nil {
			return false
		}
		h.theirs.meta = metaIn(plain, h.theirs.name)
		return h.theirs.meta != nil
	})
}

// metaIn takes one member's card out of a list of members.
func metaIn(plain []byte, name string) []byte {
	for at := 0; ; {
		i := bytes.Index(plain[at:], []byte(name))
		if i < 0 {
			return nil
		}
		at += i
		from := bytes.LastIndex(plain[:at], []byte("Incarnation")) // a record's names are in their order, this the second
		if j := bytes.Index(plain[max(from, 0):], []byte("Meta")); j >= 0 {
			b := plain[max(from, 0)+j+4:]
			if len(b) > 3 && (b[0] == 0xda || b[0] == 0xc5) {
				if n := int(binary.BigEndian.Uint16(b[1:])); len(b) >= 3+n {
					return b[3 : 3+n]
				}
			}
		}
		at += len(name)
	}
}

// exchange registers somebody at one of two and waits until the other has them.
func (h *hostile) exchange(from, to *caller) time.Duration {
	h.t.Helper()
	h.n++
	began := time.Now()
	id, err := from.register(fmt.Sprint("Honest ", h.n), "Haddad")
	h.check(err)
	for {
		resp, _, err := to.do("GET", "/api/v1/people/"+id, "", "")
		h.check(err)
		if resp.StatusCode == http.StatusOK {
			return time.Since(began)
		}
		if time.Since(began) > patience {
			h.t.Fatalf("%s is not at the other node after %v", id, patience)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// calm is the most memory the box takes with nobody but honest ones about, and the recording
// of what they say meanwhile.
func (h *hostile) calm() float64 {
	h.forgetMost()
	w := listenIn(h.t)
	if w != nil {
		w.watch(false, wirePort(h.t, h.mesh))
	}
	for began := time.Now(); time.Since(began) < 4*hostileFor; {
		h.exchange(h.boxKey, h.hisKey)
		h.exchange(h.hisKey, h.boxKey)
	}
	if w != nil {
		_, all := w.close()
		h.packets = packetsTo(all, wirePort(h.t, h.mesh))
	}
	_, most := h.box.memory()
	return most
}

// packetsTo are the UDP packets to a port in what was recorded.
func packetsTo(all []byte, port uint16) (out [][]byte) {
	for len(all) >= 14+20 {
		size := 14 + int(binary.BigEndian.Uint16(all[16:]))
		if size < 14+28 || size > len(all) {
			return out
		}
		head := 14 + int(all[14]&15)*4
		if all[23] == 17 && binary.BigEndian.Uint16(all[head+2:]) == port {
			out = append(out, all[head+8:size])
		}
		all = all[size:]
	}
	return out
}

// under lets one attack go on until people went both ways, and gives how much more memory
// the box took in all so far.
func (h *hostile) under(what hostileAttack, calm float64) float64 {
	h.t.Helper()
	h.forgetMost()
	a := &attack{hostile: h}
	var all sync.WaitGroup
	for range max(what.by, 1) {
		all.Go(func() { what.do(a) })
	}
	var here, there time.Duration
	for began := time.Now(); time.Since(began) < hostileFor; {
		there = max(there, h.exchange(h.boxKey, h.hisKey))
		here = max(here, h.exchange(h.hisKey, h.boxKey))
	}
	_, most := h.box.memory()
	a.over.Store(true)
	all.Wait()
	h.t.Logf("%-34s %7d %+9.1f %10.2f %10.2f", what.name, a.blows.Load(), most-calm, there.Seconds(), here.Seconds())
	for _, w := range a.wrong {
		h.t.Errorf("%s: %s", what.name, w)
	}
	if a.blows.Load() == 0 {
		h.t.Errorf("%s: not one blow", what.name)
	}
	if most-calm > hostileMemory {
		h.t.Errorf("%s: %.0f MB more than %.0f", what.name, most-calm, calm)
	}
	return most - calm
}

// forgetMost makes the system count anew how much memory the box took at most.
func (h *hostile) forgetMost() {
	h.check(os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", h.box.cmd.Process.Pid), []byte("5"), 0o600))
}

// unharmed looks at the box after all of it.
func (h *hostile) unharmed() {
	if at := h.addresses(); !slices.Equal(at, h.hisAddresses) {
		h.t.Errorf("the honest node is looked for at %v, not %v", at, h.hisAddresses)
	}
	known := map[string]bool{h.honest.status().Node: true, h.in.id(h.t): true, h.suspended.id(h.t): true, h.revoked.id(h.t): true}
	for _, p := range h.box.status().Peers {
		if !known[p.Node] {
			h.t.Errorf("a stranger is a peer now: %+v", p)
		}
		if p.Standing != "" && (p.State == "connected" || p.BytesIn > 0) {
			h.t.Errorf("%s with a node that is %s: %d bytes", p.State, p.Standing, p.BytesIn)
		}
	}
	// What the rogue really has is taken when it is sent as it is: the flipped ones went the
	// same way and were refused for what was in them. Among thousands of flipped frames some
	// were right where it counts, so it may be here already; then it is what was signed.
	whole := fmt.Sprintf("%v %d %x", h.in.log, h.in.head.Seq, h.in.head.Hash[:8])
	h.until("the rogue's true records are here", func() bool {
		c, err := h.box.control.Check(context.Background())
		h.check(err)
		for _, l := range c.Logs {
			if fmt.Sprintf("%s %d %.16s", l.Log, l.Seq, l.Head) == whole {
				return true
			}
		}
		conn, err := net.Dial("tcp", h.mesh)
		h.check(err)
		h.serveOwn(&attack{hostile: h}, conn, func(b []byte) []byte { return b })
		return false
	})
	equalAt(h.t, h.box, h.honest)
	for _, s := range []*served{h.box, h.honest} {
		if c, err := s.control.Check(context.Background()); err != nil || !c.Sound {
			h.t.Errorf("%+v %v", c, err)
		}
		log, err := os.ReadFile(s.dir + ".log")
		h.check(err)
		for _, word := range []string{"panic", "goroutine ", "fatal error"} {
			if strings.Contains(string(log), word) {
				h.t.Errorf("%s: %q in its log", s.dir, word)
			}
		}
	}
}

// noisy is so many random bytes.
func noisy(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
