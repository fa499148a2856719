package mesh

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"flag"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/letterbox"
	"github.com/waypost/waypost/appliance/oplog"
	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

// lockedBox is one locked node of a test: the mesh, its letterbox and its folder.
type lockedBox struct {
	*Locked
	letters *letterbox.Records
	seed    [32]byte
	cert    []byte
}

// sleeping starts the locked mesh of n, whose own mesh is closed. auth says whose records
// they are, limit is RecordsOptions.Most.
func sleeping(t testing.TB, n *node, auth oplog.Authority, key letterbox.Key, limit int, seeds ...string) *lockedBox {
	t.Helper()
	if _, err := letterbox.Ready(files.OS(), n.dir, key); err != nil {
		t.Fatal(err)
	}
	r, err := letterbox.OpenRecords(files.OS(), n.dir, letterbox.RecordsOptions{Born: auth.LogKey, Most: limit})
	if err != nil {
		t.Fatal(err)
	}
	if err := Remember(n.dir, seeds...); err != nil {
		t.Fatal(err)
	}
	b := &lockedBox{letters: r}
	_, _ = rand.Read(b.seed[:])
	if b.cert, err = NextLocked(n.keys, n.dir, publicOf(b.seed)); err != nil {
		t.Fatal(err)
	}
	b.start(t, n)
	return b
}

func (b *lockedBox) start(t testing.TB, n *node) {
	t.Helper()
	var err error
	b.Locked, err = StartLocked(LockedConfig{
		Seed: b.seed, Cert: b.cert, Root: n.keys.Root(), Shut: n.book.Shut, Letters: b.letters, Clock: clock.System(),
		Logger: testLogger().With("locked", n.keys.cert.Number), Listen: "127.0.0.1:0", Dir: n.dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
}

func publicOf(seed [32]byte) [32]byte {
	return [32]byte(ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
}

func boxKey(t testing.TB, auth oplog.Authority) letterbox.Key {
	t.Helper()
	k, err := letterbox.NewKey(auth.Deployment(), [10]byte{4, 5, 6}, [32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// atRest is a node of w that was started and stopped again.
func (w *world) atRest(t testing.TB, opts ...nodeOption) *node {
	t.Helper()
	n := w.start(t, opts...)
	n.close()
	return n
}

// TestALockedNodeTakesRecordsIn: what neighbours write while it is locked is on its card,
// and after it was opened in its journal, though the writer is no more.
func TestALockedNodeTakesRecordsIn(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t), newDesk()
	auth := oplogtest.NewAuthority(t)
	la := oplogtest.Node(t, auth, nil, []*oplog.View{d.view})
	lb := oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{d.view})
	d.write(t, la, 2500, 50)
	a := w.with(t, la)
	b := w.atRest(t)
	key := boxKey(t, auth)
	locked := sleeping(t, b, auth, key, 0, a.addr)
	wait(t, "all is taken in", func() bool { return locked.letters.Waiting() == opsOf(la) })
	p := a.peer(b)
	if !p.Locked || p.State != Connected {
		t.Errorf("%+v", p)
	}
	d.write(t, la, 3, 1)
	wait(t, "a live write, too", func() bool { return locked.letters.Waiting() == opsOf(la) })
	wait(t, "the writer sees what waits", func() bool { return a.peer(b).Waiting == opsOf(la) && a.peer(b).Behind == 0 })
	if a.mesh.OnlyHere() != opsOf(la) || len(a.mesh.Holders()[la.Own()]) != 1 || a.mesh.Complete() {
		t.Error("what a locked node holds counts as a copy that can be read")
	}
	a.close()
	_ = locked.Close()
	// A restart of the locked box knows what it holds.
	again, err := letterbox.OpenRecords(files.OS(), b.dir, letterbox.RecordsOptions{Born: auth.LogKey})
	if err != nil || again.Waiting() != opsOf(la) {
		t.Fatal(again.Waiting(), err)
	}
	pile := letterbox.EmptyRecords(files.OS(), b.dir, key)
	names, err := pile.Names()
	if err != nil || len(names) > 12 {
		t.Fatal(len(names), err)
	}
	for range 2 { // as after a power cut in between
		for _, name := range names {
			batch, err := pile.Read(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := lb.Merge(context.Background(), batch); err != nil {
				t.Fatal(err)
			}
		}
	}
	if views(t, la) == "" || opsOf(lb) < opsOf(la) {
		t.Fatalf("%d of %d", opsOf(lb), opsOf(la))
	}
	for _, name := range names {
		if err := pile.Done(name); err != nil {
			t.Fatal(err)
		}
	}
}

// dialLocked is somebody with a card's locked key who dials n.
func dialLocked(n *node, seed [32]byte, cert []byte, proto string) (*tls.Conn, error) {
	own, err := lockedTLS(seed, cert)
	if err != nil {
		return nil, err
	}
	c, err := net.Dial("tcp", n.addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(c, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, NextProtos: []string{proto}, InsecureSkipVerify: true}) //nolint:gosec // a test
	if err = conn.Handshake(); err == nil {
		_ = conn.SetReadDeadline(clock.System().Now().Add(10 * time.Second))
		_, _, err = readFrame(conn) // TLS 1.3 tells of a refusal with the first read
	}
	if err != nil {
		_ = c.Close()
	}
	return conn, err
}

// TestWhoIsNoLockedNode: forged, foreign and ended certificates are refused.
func TestWhoIsNoLockedNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	k := w.keys()
	var seed, other [32]byte
	_, _ = rand.Read(seed[:])
	_, _ = rand.Read(other[:])
	good, err := makeLocked(k, publicOf(seed), nextSession(0))
	if err != nil {
		t.Fatal(err)
	}
	foreign := newWorld(t).keys()
	bad := map[string][]byte{}
	bad["of another deployment"], _ = makeLocked(foreign, publicOf(seed), 1<<50)
	bad["for another key"], _ = makeLocked(k, publicOf(other), 1<<50)
	bad["one bit"] = bytes.Clone(good)
	bad["one bit"][len(good)-70] ^= 1                                       // in until
	swapped := &keys{Vault: k.Vault, cert: w.keys().cert, signer: k.signer} // another node's certificate, signed by this one
	bad["of another node"], _ = makeLocked(swapped, publicOf(seed), 1<<50)
	bad["long"] = append(bytes.Clone(good), make([]byte, 3000)...)
	for name, cert := range bad {
		if conn, err := dialLocked(a, seed, cert, protoExchange); err == nil {
			_ = conn.Close()
			t.Errorf("%s: let in", name)
		}
	}
	for _, proto := range []string{protoGossip, "h2"} {
		if conn, err := dialLocked(a, seed, good, proto); err == nil {
			_ = conn.Close()
			t.Errorf("let in for %s", proto)
		}
	}
	conn, err := dialLocked(a, seed, good, protoExchange)
	if err != nil {
		t.Fatal("a good one:", err)
	}
	_ = conn.Close()
	a.book.shutOut(k.NodeID())
	if conn, err := dialLocked(a, seed, good, protoExchange); err == nil {
		_ = conn.Close()
		t.Error("a suspended node is let in, locked")
	}
}

// asLocked greets on conn as a locked node does.
func asLocked(t testing.TB, conn net.Conn) {
	t.Helper()
	for _, m := range []message{hello{proto: protocol, incarnation: [16]byte{9}}, vector{}} {
		if _, err := conn.Write(frame(m)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnOpeningEndsTheKeyFromBefore: whoever copied a locked card has nothing more from
// anybody who has seen the node open since; and while it is open he cannot push it out.
func TestAnOpeningEndsTheKeyFromBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	b := w.start(t, seeded(a.addr))
	wait(t, "linked", func() bool { return a.linked(b) })
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	b.mesh.mu.Lock()
	stamp := b.mesh.stamp
	b.mesh.mu.Unlock()
	old, err := makeLocked(b.keys, publicOf(seed), nextSession(stamp))
	if err != nil {
		t.Fatal(err)
	}
	attached := func(cert []byte) bool {
		conn, err := dialLocked(a, seed, cert, protoExchange)
		if err != nil {
			t.Fatal(err) // the handshake is good; what is wrong is found behind it
		}
		defer conn.Close()
		asLocked(t, conn)
		k, _, err := readFrame(conn)
		return err == nil && k == kindVector
	}
	if attached(old) {
		t.Error("a copy of the card is dealt with while the node is open")
	}
	if !a.linked(b) {
		t.Fatal("and the node itself was pushed out")
	}
	b.close()
	wait(t, "b is gone", func() bool { return a.peer(b).State == Away })
	if !attached(old) {
		t.Fatal("the locked node is refused")
	}
	if p := a.peer(b); !p.Locked {
		t.Errorf("%+v", p)
	}
	raw, err := NextLocked(b.keys, b.dir, publicOf(seed))
	if err != nil {
		t.Fatal(err)
	}
	b.again(seeded(a.addr))
	wait(t, "linked again", func() bool { return a.linked(b) && !a.peer(b).Locked })
	if _, anew, err := b.mesh.RenewLocked(raw, publicOf(seed)); anew || err != nil {
		t.Error("what was made before the start does not hold after it:", err)
	}
	b.close()
	wait(t, "b is gone again", func() bool { return a.peer(b).State == Away })
	if attached(old) {
		t.Error("the key from before the opening is dealt with")
	}
	if !attached(raw) {
		t.Error("the key from now is not")
	}
}

// TestACopyOfTheCardKeepsNobodyOut: however many links somebody makes with the key of a
// locked box, it gets in when it is opened, and they end.
func TestACopyOfTheCardKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	b := w.atRest(t)
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	cert, err := makeLocked(b.keys, publicOf(seed), 1<<60) // made by an opening that nobody heard of
	if err != nil {
		t.Fatal(err)
	}
	links := func() int {
		a.mesh.mu.Lock()
		defer a.mesh.mu.Unlock()
		return len(a.mesh.links)
	}
	for i := range 8 {
		conn, err := dialLocked(a, seed, cert, protoExchange)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write(frame(hello{proto: protocol, incarnation: [16]byte{byte(i % 2), 7}})); err != nil {
			t.Fatal(err)
		}
		_, _, _ = readFrame(conn) // attached or not
	}
	if n := links(); n == 0 || n > maxLockedLinks {
		t.Errorf("%d links", n)
	}
	b.again(seeded(a.addr))
	wait(t, "the box itself is linked, alone", func() bool {
		p := a.peer(b)
		a.mesh.mu.Lock()
		defer a.mesh.mu.Unlock()
		return p.State == Connected && !p.Locked && len(a.mesh.links) >= 1 && a.mesh.links[0].locked == nil && a.mesh.links[len(a.mesh.links)-1].locked == nil
	})
}

// TestACardEndsALinkThatIsOld: the news of an opening may come by a third node.
func TestACardEndsALinkThatIsOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	k := w.keys()
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	cert, err := makeLocked(k, publicOf(seed), nextSession(5))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dialLocked(a, seed, cert, protoExchange)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	asLocked(t, conn)
	wait(t, "attached", func() bool { a.mesh.mu.Lock(); defer a.mesh.mu.Unlock(); return len(a.mesh.links) == 1 })
	c, err := makeCard(k, nextSession(5), []string{"127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	a.mesh.learnCards([][]byte{c.raw}, nil)
	wait(t, "ended", func() bool { a.mesh.mu.Lock(); defer a.mesh.mu.Unlock(); return len(a.mesh.links) == 0 })
}

// TestALockedLinkIsNotAsked: whatever it says that it holds, nobody asks it, nobody takes a
// log for forked, and what it sends unasked ends the link.
func TestALockedLinkIsNotAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	a.log.writeN(5)
	k := w.keys()
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	cert, err := makeLocked(k, publicOf(seed), 1<<50)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dialLocked(a, seed, cert, protoExchange)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lie := []mark{{log: a.log.own, seq: 3, hash: [16]byte{1}}, {log: oplog.LogID{7}, seq: 1 << 40}}
	for _, m := range []message{hello{proto: protocol, incarnation: [16]byte{9}}, vector{marks: lie}, hint{lie}, ping{isOpened}, ping{speaksPieces}, want{id: 1, maxOps: 10, maxBytes: 1 << 20, asks: []ask{{a.log.own, 0}}}} {
		if _, err := conn.Write(frame(m)); err != nil {
			t.Fatal(err)
		}
	}
	served := false
	for !served {
		kind, b, err := readFrame(conn)
		if err != nil {
			t.Fatal(err)
		}
		msg, err := parse(kind, b)
		if err != nil {
			t.Fatal(err)
		}
		switch f := msg.(type) {
		case want, fetch:
			t.Fatalf("asked: %+v", f)
		case opsFrame:
			served = len(f.parts) == 1 && len(f.parts[0].data) > 0
		}
	}
	if len(a.mesh.Forks()) > 0 || a.mesh.OnlyHere() != 5 || a.mesh.Complete() {
		t.Error("a locked node is believed about what it holds")
	}
	if _, err := conn.Write(frame(opsFrame{id: 1, parts: []part{{log: a.log.own, last: 9, data: []byte("x")}}})); err != nil {
		t.Fatal(err)
	}
	wait(t, "what was not asked for ends the link", func() bool { return a.mesh.Peers()[0].State == Away })
}

// letters is a double of letterbox.Records.
type letters struct {
	mu    sync.Mutex
	puts  int
	full  bool
	heads []oplog.Head
	err   error
}

func (l *letters) Heads() []oplog.Head { l.mu.Lock(); defer l.mu.Unlock(); return l.heads }
func (l *letters) Full() bool          { l.mu.Lock(); defer l.mu.Unlock(); return l.full }
func (l *letters) Put([]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.puts++
	l.full = l.full || fault.ClassOf(l.err) == fault.Full
	return l.err
}

// TestALockedNodeServesNothing: it answers no question, lets nobody join, refuses locked
// nodes, itself, and who was shut out when it was open, and ends links that break the rules.
func TestALockedNodeServesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.atRest(t)
	box := &letters{heads: []oplog.Head{{Log: oplog.LogID{1}, Seq: 9}}}
	b := &lockedBox{}
	_, _ = rand.Read(b.seed[:])
	var err error
	if b.cert, err = NextLocked(n.keys, n.dir, publicOf(b.seed)); err != nil {
		t.Fatal(err)
	}
	if b.Locked, err = StartLocked(LockedConfig{
		Seed: b.seed, Cert: b.cert, Root: n.keys.Root(), Shut: n.book.Shut, Letters: box, Clock: clock.System(), Listen: "127.0.0.1:0", Dir: n.dir,
	}); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	at := &node{addr: b.Addr()}
	var seed [32]byte
	_, _ = rand.Read(seed[:])
	asleep, _ := makeLocked(w.keys(), publicOf(seed), 1<<50)
	if conn, err := dialLocked(at, seed, asleep, protoExchange); err == nil {
		_ = conn.Close()
		t.Error("two locked nodes deal with each other")
	}
	open := func(k Keys, proto string) (*tls.Conn, error) {
		own, err := tlsCertificate(k)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		conn := tls.Client(c, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, NextProtos: []string{proto}, InsecureSkipVerify: true}) //nolint:gosec // a test
		if err = conn.Handshake(); err == nil {
			_ = conn.SetReadDeadline(clock.System().Now().Add(10 * time.Second))
			_, _, err = readFrame(conn)
		}
		return conn, err
	}
	shut := w.keys()
	n.book.shutOut(shut.NodeID())
	for name, k := range map[string]Keys{"itself": n.keys, "shut out": shut, "foreign": newWorld(t).keys()} {
		if conn, err := open(k, protoExchange); err == nil {
			_ = conn.Close()
			t.Errorf("%s is let in", name)
		}
	}
	for _, proto := range []string{protoGossip, protoJoin} {
		if conn, err := open(w.keys(), proto); err == nil {
			_ = conn.Close()
			t.Errorf("%s is served", proto)
		}
	}
	for name, m := range map[string][]byte{
		"question": frame(want{id: 1, maxOps: 9, maxBytes: 99, asks: []ask{{oplog.LogID{1}, 0}}}),
		"pieces":   frame(fetch{id: 1, length: 9, pieces: [][32]byte{{}}}),
		"unasked":  frame(opsFrame{id: 1, parts: []part{{log: oplog.LogID{1}, last: 1, data: []byte("x")}}}),
		"huge":     {byte(kindOps), 0xff, 0xff, 0xff, 0xff},
		"unknown":  {99, 0, 0, 0, 0},
	} {
		conn, err := open(w.keys(), protoExchange)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := conn.Write(append(frame(hello{proto: protocol}), m...)); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			var k kind
			if k, _, err = readFrame(conn); err == nil && (k == kindOps || k == kindPiece) {
				t.Fatal(name, "was served")
			}
		}
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			t.Errorf("%s does not end the link", name)
		}
		_ = conn.Close()
	}
	if box.puts > 0 {
		t.Error("something was stored that nobody asked for")
	}
}

// TestAFullLetterboxAsksNoMore: and takes up again when there is room.
func TestAFullLetterboxAsksNoMore(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t), newDesk()
	auth := oplogtest.NewAuthority(t)
	la := oplogtest.Node(t, auth, nil, []*oplog.View{d.view})
	d.write(t, la, 3000, 100)
	a := w.with(t, la)
	b := w.atRest(t)
	key := boxKey(t, auth)
	locked := sleeping(t, b, auth, key, 2, a.addr)
	wait(t, "full", locked.letters.Full)
	if n := locked.letters.Waiting(); n == 0 || n >= opsOf(la) {
		t.Fatal(n)
	}
	wait(t, "the link stays", func() bool { return a.peer(b).State == Connected && locked.Links() == 1 })
	_ = locked.Close()
	roomy := sleeping(t, b, auth, key, 0, a.addr)
	wait(t, "the rest is taken in", func() bool { return roomy.letters.Waiting() == opsOf(la) })
}

// TestALockedNodeFindsOthers: by peers.json, with nobody telling it where they are.
func TestALockedNodeFindsOthers(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t), newDesk()
	auth := oplogtest.NewAuthority(t)
	la := oplogtest.Node(t, auth, nil, []*oplog.View{d.view})
	lb := oplogtest.Node(t, auth.Peer(t), nil, []*oplog.View{d.view})
	a := w.with(t, la)
	b := w.with(t, lb, seeded(a.addr))
	wait(t, "they met", func() bool { return b.linked(a) && a.linked(b) })
	b.close()
	d.write(t, la, 10, 1)
	locked := sleeping(t, b, auth, boxKey(t, auth), 0)
	wait(t, "taken in", func() bool { return locked.letters.Waiting() == opsOf(la) })
	raw, err := os.ReadFile(filepath.Join(b.dir, peersName))
	if err != nil {
		t.Fatal(err)
	}
	_ = locked.Close()
	if now, _ := os.ReadFile(filepath.Join(b.dir, peersName)); !bytes.Equal(raw, now) {
		t.Error("a locked node writes into the open one's file")
	}
	b.again(func(c *Config, _ *node) { c.Log = lb })
	wait(t, "opened", func() bool { return a.linked(b) && !a.peer(b).Locked })
}

var updateLocked = flag.Bool("update-locked", false, "write testdata/locked_cert")

// TestLockedCertGolden: the bytes stay the bytes.
func TestLockedCertGolden(t *testing.T) {
	path := filepath.Join("testdata", "locked_cert")
	w := newWorld(t)
	made, err := makeLocked(w.founder, [32]byte{1}, nextSession(0))
	if err != nil {
		t.Fatal(err)
	}
	if *updateLocked {
		raw := append(append([]byte{}, w.founder.Root()...), made...)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseLocked(raw[32:], ed25519.PublicKey(raw[:32]))
	if err != nil || c.Key != [32]byte{1} || c.Until != 1<<stampBits || c.Node.Number != 1 {
		t.Fatalf("%+v %v", c, err)
	}
	if len(made)-len(raw[32:]) > 8 || len(raw[32:])-len(made) > 8 { // dates may take more or fewer bytes
		t.Error("what is made now has another length")
	}
}

func FuzzLockedCert(f *testing.F) {
	raw, err := os.ReadFile(filepath.Join("testdata", "locked_cert"))
	if err != nil {
		f.Fatal(err)
	}
	root := ed25519.PublicKey(raw[:32])
	f.Add(raw[32:])
	f.Add([]byte{1, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseLocked(b, root); err == nil && (!bytes.Equal(b, raw[32:]) || c.Node.ID() != identity.NodeOf(c.Node.Public)) {
			t.Error("another certificate of a node whose key nobody has")
		}
	})
}
