package mesh

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

func TestTwoNodesExchange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	a.log.writeN(2500)
	b := w.start(t, seeded(a.addr))
	b.log.writeN(7)
	wait(t, "both hold everything", func() bool { return same(a.log, b.log) })
	wait(t, "each knows what the other holds", func() bool {
		return a.mesh.OnlyHere() == 0 && b.mesh.OnlyHere() == 0
	})
	p := a.peer(b)
	if p.State != Connected || p.Behind != 0 || p.Ahead != 0 || p.Number != b.keys.cert.Number || len(p.Words) != 5 || p.LastContact.IsZero() {
		t.Errorf("a sees %+v", p)
	}
	if p.BytesIn == 0 || p.BytesOut < 2500*2 {
		t.Errorf("bytes in %d out %d", p.BytesIn, p.BytesOut)
	}
	if !slices.Equal(p.Words, b.peer(a).Words) {
		t.Error("the two screens show different words")
	}
	a.log.write([]byte("live"))
	wait(t, "a live write arrives", func() bool { return same(a.log, b.log) })
	wait(t, "its acknowledgement arrives", func() bool { return a.mesh.OnlyHere() == 0 })
	holders := a.mesh.Holders()
	if got := holders[a.log.own]; len(got) != 2 {
		t.Errorf("holders %v", got)
	}
}

func TestThreeNodesMeetThroughOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	b := w.start(t, seeded(a.addr))
	c := w.start(t, seeded(a.addr))
	for i, n := range []*node{a, b, c} {
		n.log.writeN(10 * (i + 1))
	}
	wait(t, "b and c found each other through a", func() bool { return b.linked(c) && c.linked(b) })
	wait(t, "all equal", func() bool { return same(a.log, b.log, c.log) })
	wait(t, "one link a pair is left", func() bool {
		for _, n := range []*node{a, b, c} {
			n.mesh.mu.Lock()
			links := len(n.mesh.links)
			n.mesh.mu.Unlock()
			if links != 2 {
				return false
			}
		}
		return true
	})
	wait(t, "memberlist knows all", func() bool {
		return a.mesh.member.(*gossip).list.NumMembers() == 3 && b.mesh.member.(*gossip).list.NumMembers() == 3 && c.mesh.member.(*gossip).list.NumMembers() == 3
	})
}

func TestOneDirectionIsEnough(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	b := w.start(t, seeded(a.addr), advertising("127.0.0.1:1")) // nobody can dial b
	a.log.writeN(30)
	b.log.writeN(40)
	wait(t, "both ways over b's connection", func() bool { return same(a.log, b.log) })
	b.log.write([]byte("late"))
	wait(t, "a live write against the dialling", func() bool { return same(a.log, b.log) })
}

func TestMovedNodeIsFoundThroughAThird(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, ra := w.behind(t)
	b := w.start(t, seeded(ra.addr()))
	c := w.start(t, seeded(b.addr, ra.addr()))
	wait(t, "all linked", func() bool { return a.linked(b, c) && b.linked(a, c) && c.linked(a, b) })
	c.close()
	wait(t, "a lost c", func() bool { return !a.linked(c) })
	ra.cut() // c cannot dial a any more; only a, told by b, can dial c
	c.log.writeN(5)
	c.again() // a new port
	wait(t, "a found c at its new address", func() bool { return a.linked(c) && same(a.log, c.log) })
	if got := a.peer(c).Addrs; !slices.Contains(got, c.addr) {
		t.Errorf("a looks for c at %v, not at %s", got, c.addr)
	}
}

func TestPeersAreRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	b := w.start(t, seeded(a.addr))
	a.log.writeN(12)
	wait(t, "equal", func() bool { return same(a.log, b.log) && b.mesh.OnlyHere() == 0 })
	addr := a.mesh.Addr()
	b.close()
	a.close()
	b.again()
	if p := b.peer(a); p.State != Away || p.LastContact.IsZero() || p.Behind != 0 {
		t.Errorf("after a restart b says of a: %+v", p)
	}
	if n := b.mesh.OnlyHere(); n != 0 {
		t.Errorf("%d ops only here, but a said it holds them", n)
	}
	a.again(listening(addr))
	b.log.writeN(3)
	wait(t, "linked again without an invitation", func() bool { return same(a.log, b.log) })
}

func TestWipedPeerGetsEverythingAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	b := w.start(t, seeded(a.addr))
	a.log.writeN(1200)
	wait(t, "equal", func() bool { return same(a.log, b.log) && a.mesh.OnlyHere() == 0 })
	b.close()
	b.log = newMemLog() // what a remembers of b is wrong now
	b.again()
	wait(t, "everything again", func() bool { return same(a.log, b.log) })
}

func TestOneSourceForOneLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	a.log.writeN(8000)
	b := w.start(t, seeded(a.addr))
	wait(t, "a and b equal", func() bool { return same(a.log, b.log) })
	c := w.start(t, seeded(a.addr, b.addr))
	wait(t, "c has it too", func() bool { return same(a.log, c.log) })
	a.log.mu.Lock()
	defer a.log.mu.Unlock()
	b.log.mu.Lock()
	defer b.log.mu.Unlock()
	if got := a.log.served[a.log.own] + b.log.served[a.log.own]; got > 2*8000*11/10 {
		t.Errorf("%d ops served to give 8000 to two nodes", got)
	}
}

func TestForkIsKeptInMindAndNotAskedForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	other := oplog.LogID{7}
	a.log.writeTo(other, []byte("x"), []byte("left"), []byte("more"))
	b := w.start(t, seeded(a.addr))
	wait(t, "equal", func() bool { return same(a.log, b.log) })
	b.close()
	b.log.mu.Lock()
	ops := b.log.logs[other][:1:1]
	b.log.logs[other] = append(ops, entry{[]byte("right"), chainHash(other, ops, []byte("right"))})
	b.log.mu.Unlock()
	a.log.writeN(1)
	b.again()
	wait(t, "the fork is seen and the rest goes on", func() bool {
		return len(a.mesh.Forks()) == 1 && b.log.heads()[a.log.own].Seq == 1
	})
	if f := a.mesh.Forks()[0]; f.Log != other || f.Seq != 2 {
		t.Errorf("fork %+v", f)
	}
	asked, _ := a.log.counts()
	for i := range 20 { // every write wakes the scheduler
		a.log.write([]byte{byte(i)})
		wait(t, "written", func() bool { return b.log.heads()[a.log.own].Seq == uint64(2+i) })
	}
	if now, _ := a.log.counts(); now-asked > 25 {
		t.Errorf("%d ranges read for 20 writes", now-asked)
	}
}

func TestNodeThatCannotStoreWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	a.log.writeN(3)
	b := w.start(t)
	b.log.fail = fault.New(fault.Full, "fault.oplog.disk_full")
	b.close()
	b.again(seeded(a.addr))
	wait(t, "b tried", func() bool { _, m := b.log.counts(); return m > 0 })
	if p := b.peer(a); p.Ahead != 3 {
		t.Errorf("a is ahead by %d", p.Ahead)
	}
	if _, m := b.log.counts(); m > 4 {
		t.Errorf("%d tries at once on a full disk", m)
	}
	b.log.mu.Lock()
	b.log.fail = nil
	b.log.mu.Unlock()
	wait(t, "it goes on when there is room", func() bool { return same(a.log, b.log) })
}

func TestCloseEndsEverything(t *testing.T) {
	before := runtime.NumGoroutine()
	w := newWorld(t)
	a := w.start(t)
	b := w.start(t, seeded(a.addr))
	wait(t, "linked", func() bool { return a.linked(b) && b.linked(a) })
	c := clock.System()
	began := c.Now()
	a.close()
	b.close()
	if took := c.Now().Sub(began); took > 20*time.Second { // it waits for nobody; how long the rest takes is the machine's affair
		t.Errorf("two closes took %v", took)
	}
	a.close() // again is fine
	wait(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
	if _, err := os.Stat(filepath.Join(a.dir, peersName)); err != nil {
		t.Error(err)
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	for listen, key := range map[string]string{a.mesh.Addr(): "fault.mesh.port_taken", "nonsense": "fault.mesh.bad_address"} {
		_, err := Start(context.Background(), Config{Vault: w.keys(), Log: newMemLog(), Desk: &book{}, Clock: clock.System(), Listen: listen, Dir: t.TempDir()})
		if f := fault.Of(err); f == nil || f.Key != key {
			t.Errorf("%s: %v", listen, err)
		}
	}
}

func TestNoGossipKeyNoMesh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.keys()
	k.gossip = [32]byte{}
	_, err := Start(context.Background(), Config{Vault: k, Log: newMemLog(), Desk: &book{}, Clock: clock.System(), Listen: "127.0.0.1:0", Dir: t.TempDir()})
	if f := fault.Of(err); f == nil || f.Key != "fault.mesh.no_gossip_key" {
		t.Fatalf("%v", err)
	}
}

func TestBrokenPeersFileIsPutAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	a.close()
	if err := os.WriteFile(filepath.Join(a.dir, peersName), []byte(`{"peers":[{"node`), 0o600); err != nil {
		t.Fatal(err)
	}
	a.again()
	if _, err := os.Stat(filepath.Join(a.dir, peersName+".bad")); err != nil {
		t.Error(err)
	}
}

func TestPeersFileIsPrivate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := Remember(dir, "10.0.0.1:7946", "not an address"); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(dir, peersName))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatal(st.Mode(), err)
	}
	r, err := readPeers(dir)
	if err != nil || len(r.Seeds) != 1 || !strings.HasPrefix(r.Seeds[0], "10.") {
		t.Fatalf("%+v %v", r, err)
	}
}

func TestBusyPeerIsAskedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	a.log.writeN(40)
	serving := func(n int) {
		a.mesh.mu.Lock()
		defer a.mesh.mu.Unlock()
		a.mesh.serving += n
	}
	serving(maxServes)
	b := w.start(t, seeded(a.addr))
	wait(t, "b was told to wait", func() bool {
		b.mesh.mu.Lock()
		defer b.mesh.mu.Unlock()
		return len(b.mesh.links) == 1 && !b.mesh.links[0].busyTo.IsZero()
	})
	if len(b.log.Heads()) != 0 {
		t.Error("a busy node served")
	}
	serving(-maxServes)
	wait(t, "b asked again", func() bool { return same(a.log, b.log) })
}

func TestRumourWakesTheHealer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	b := w.start(t)
	a.mesh.mu.Lock()
	card := a.mesh.card.raw
	a.mesh.mu.Unlock()
	b.mesh.mu.Lock()
	b.mesh.peerFor(a.keys.NodeID()).dial.next = clock.System().Now().Add(time.Hour)
	b.mesh.mu.Unlock()
	a.log.writeN(1)
	// The card alone would wake it too, so it is put where it does not.
	c, err := parseCard(card, b.keys.Deployment(), b.keys.Root())
	if err != nil {
		t.Fatal(err)
	}
	b.mesh.mu.Lock()
	b.mesh.peers[a.keys.NodeID()].card = &c
	b.mesh.mu.Unlock()
	b.mesh.member.(*gossip).NotifyMsg([]byte{9, 9})
	b.mesh.member.(*gossip).NotifyMsg(appendHint([]byte{hintVersion}, markOf(a.log.Heads()[0])))
	wait(t, "b looked for a", func() bool { return same(a.log, b.log) })
}
