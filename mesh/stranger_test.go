package mesh

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/waypost/waypost/appliance/clock"
)

// knock makes a raw TLS connection with cfg; the error is of the handshake or of
// the first read, whichever tells.
func knock(t testing.TB, addr string, cfg *tls.Config, say []byte) error {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(clock.System().Now().Add(20 * time.Second))
	conn := tls.Client(c, cfg)
	if err := conn.Handshake(); err != nil {
		return err
	}
	if _, err := conn.Write(say); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn)
	return err
}

// as is the client side of another identity.
func as(t testing.TB, k *keys, proto string) *tls.Config {
	t.Helper()
	c, err := newCredentials(k, (&book{}).Outcast)
	if err != nil {
		t.Fatal(err)
	}
	cfg := c.client(proto)
	cfg.VerifyConnection = nil // the stranger does not care
	return cfg
}

func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	foreign := newWorld(t)
	stolen := w.keys() // a good certificate around somebody else's key
	thief := foreign.keys()
	thief.cert = stolen.cert
	noCert := as(t, w.keys(), protoExchange)
	noCert.GetClientCertificate = nil
	two := as(t, w.keys(), protoExchange)
	two.NextProtos = []string{protoJoin, protoExchange}
	old := as(t, w.keys(), protoExchange)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for name, cfg := range map[string]*tls.Config{
		"another deployment": as(t, foreign.keys(), protoExchange), "another deployment, gossip": as(t, foreign.keys(), protoGossip),
		"another's certificate": as(t, thief, protoExchange), "no certificate": noCert, "two protocols": two, "TLS 1.2": old,
		"unknown protocol": as(t, w.keys(), "h2"),
	} {
		if err := knock(t, a.addr, cfg, frame(hello{proto: protocol})); err == nil {
			t.Errorf("%s: was let in", name)
		}
		a.mesh.mu.Lock()
		if len(a.mesh.links) > 0 || len(a.mesh.peers) > 0 {
			t.Errorf("%s: left something behind", name)
		}
		a.mesh.mu.Unlock()
	}
	b := w.start(t, seeded(a.addr))
	wait(t, "an own node still gets in", func() bool { return a.linked(b) })
}

func TestForeignListenerIsNotTalkedTo(t *testing.T) {
	t.Parallel()
	w, foreign := newWorld(t), newWorld(t)
	x := foreign.start(t)
	a := w.start(t, seeded(x.addr))
	a.log.writeN(3)
	wait(t, "a tried x", func() bool {
		a.mesh.mu.Lock()
		defer a.mesh.mu.Unlock()
		d := a.mesh.seeds[x.addr]
		return d != nil && d.wait > 2*firstWait
	})
	if len(x.log.Heads()) != 0 || a.linked(x) {
		t.Error("records went to another deployment")
	}
}

func TestGarbageEndsTheConnectionOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	a.log.writeN(10)
	greet := func(k *keys) []byte {
		c, err := makeCard(k, 1, []string{"127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		return frame(hello{proto: protocol, own: [16]byte{1}, card: c.raw})
	}
	huge := func(k kind, n uint32) []byte {
		return binary.BigEndian.AppendUint32([]byte{byte(k)}, n)
	}
	noise := make([]byte, 4096)
	_, _ = rand.Read(noise)
	for name, say := range map[string][]byte{
		"noise":                noise,
		"4 GB of records":      huge(kindOps, 1<<32-1),
		"4 GB of vector":       huge(kindVector, 1<<32-1),
		"long ping":            huge(kindPing, 17),
		"unknown kind":         huge(99, 0),
		"second hello":         frame(hello{proto: protocol}),
		"records nobody asked": frame(opsFrame{id: 1, parts: []part{{data: []byte("x")}}}),
		"want without logs":    frame(want{id: 1, maxOps: 1, maxBytes: 1}),
		"vector that lies":     append(huge(kindVector, 3), 0, 0xff, 0x7f),
		"another protocol":     frame(hello{proto: 9}),
		"not a greeting":       frame(ping{1}),
	} {
		k := w.keys()
		if name != "another protocol" && name != "not a greeting" && name != "noise" {
			say = append(greet(k), say...)
		}
		if err := knock(t, a.addr, as(t, k, protoExchange), say); err != nil && err != io.EOF {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Errorf("%s: the connection stayed open", name)
			}
		}
		wait(t, "link gone after "+name, func() bool { return !a.linked(&node{keys: k}) })
	}
	b := w.start(t, seeded(a.addr))
	wait(t, "the node goes on", func() bool { return same(a.log, b.log) })
}

// A promise of bytes that never come costs nothing; TestStrangersAreRefused shows
// that strangers cannot even promise.
func TestMemoryStaysBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 60 {
		c, err := net.Dial("tcp", a.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		// A TLS record header that announces the most a record may hold, and a
		// ClientHello of 16 MB inside it.
		_, _ = c.Write(append([]byte{22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff}, make([]byte, 1000)...))
	}
	k := w.keys()
	greeting, err := makeCard(k, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn := tls.Client(c, as(t, k, protoExchange))
	wait(t, "a node of ours gets through the flood", func() bool {
		if conn.Handshake() == nil {
			return true
		}
		if c, err = net.Dial("tcp", a.addr); err != nil {
			t.Fatal(err)
		}
		conn = tls.Client(c, as(t, k, protoExchange))
		return false
	})
	defer conn.Close()
	say := append(frame(hello{proto: protocol, card: greeting.raw}), byte(kindOps), 0, 0xff, 0xff, 0xff)
	if _, err := conn.Write(say); err != nil {
		t.Fatal(err)
	}
	wait(t, "greeted", func() bool {
		a.mesh.mu.Lock()
		defer a.mesh.mu.Unlock()
		return a.mesh.peers[k.NodeID()] != nil
	})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 24<<20 {
		t.Errorf("grew by %d MB", grown>>20)
	}
}

func TestPacketsOfStrangersAreDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	b := w.start(t, seeded(a.addr))
	c, err := net.Dial("udp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 2000 {
		p := make([]byte, i%1500)
		_, _ = rand.Read(p)
		if len(p) > 0 && i%2 == 0 {
			p[0] = gossipVersion
		}
		_, _ = c.Write(p)
	}
	a.log.writeN(5)
	wait(t, "records still flow", func() bool { return same(a.log, b.log) })
	wait(t, "members meet", func() bool { return a.mesh.member.(*gossip).list.NumMembers() == 2 })
}

func TestMemberCardsAreBoundToTheirName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	k := w.keys()
	name := hex.EncodeToString(bytes.Repeat([]byte{3}, 16))
	meta, err := makeMember(k, name)
	if err != nil || len(meta) > memberlist.MetaMaxSize {
		t.Fatal(len(meta), err)
	}
	g := a.mesh.member.(*gossip)
	good := &memberlist.Node{Name: name, Meta: meta}
	if err := g.NotifyAlive(good); err != nil {
		t.Errorf("a good member: %v", err)
	}
	foreign, _ := makeMember(newWorld(t).keys(), name)
	flipped := bytes.Clone(meta)
	flipped[len(flipped)-1] ^= 1
	for what, n := range map[string]*memberlist.Node{
		"another name": {Name: "x" + name[1:], Meta: meta}, "no card": {Name: name}, "another deployment": {Name: name, Meta: foreign},
		"changed": {Name: name, Meta: flipped}, "longer": {Name: name, Meta: append(bytes.Clone(meta), 0)},
	} {
		if g.NotifyAlive(n) == nil {
			t.Errorf("%s: alive", what)
		}
		if g.NotifyMerge([]*memberlist.Node{good, n}) == nil {
			t.Errorf("%s: merged", what)
		}
	}
}

func TestAddressCardsAreVerified(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	k := w.keys()
	make := func(stamp uint64, addrs ...string) card {
		c, err := makeCard(k, stamp, addrs)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	learn := func(raw []byte) { a.mesh.learnCards([][]byte{raw}, nil) }
	addrs := func() []string {
		a.mesh.mu.Lock()
		defer a.mesh.mu.Unlock()
		if p := a.mesh.peers[k.NodeID()]; p != nil {
			return p.card.addrs
		}
		return nil
	}
	foreign, _ := makeCard(newWorld(t).keys(), 9, []string{"10.0.0.1:1"})
	bad := bytes.Clone(make(5, "127.0.0.1:9").raw)
	bad[len(bad)-70] ^= 1
	for _, raw := range [][]byte{foreign.raw, bad, nil, bytes.Repeat([]byte{1}, maxCard+1), make(1, "0.0.0.0:5").raw} {
		learn(raw)
	}
	if got := addrs(); got != nil {
		t.Fatalf("believed %v", got)
	}
	learn(make(5, "127.0.0.1:9").raw)
	learn(make(4, "127.0.0.1:8").raw)
	if got := addrs(); len(got) != 1 || got[0] != "127.0.0.1:9" {
		t.Errorf("an older card won: %v", got)
	}
	learn(make(6, "127.0.0.1:7").raw)
	if got := addrs(); got[0] != "127.0.0.1:7" {
		t.Errorf("the newer card lost: %v", got)
	}
}
