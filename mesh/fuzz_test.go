package mesh

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/identity"
)

// FuzzSession: whatever a node in good standing says after its greeting, the other ends the
// connection at most. A panic there would end the process.
func FuzzSession(f *testing.F) {
	w := newWorld(f)
	a := w.start(f)
	a.log.writeN(20)
	k := w.keys()
	c, err := makeCard(k, 1, []string{"127.0.0.1:1"})
	if err != nil {
		f.Fatal(err)
	}
	own := a.log.Own()
	head := markOf(a.log.Heads()[0])
	real := [][]byte{
		frame(vector{}), frame(vector{marks: []mark{head}}), frame(hint{[]mark{{log: own, seq: 1e18}}}),
		frame(want{id: 1, maxOps: 1000, maxBytes: 1 << 20, asks: []ask{{own, 0}, {own, 19}, {own, 1 << 63}}}),
		frame(cards{[][]byte{c.raw}}), frame(ping{1}),
	}
	for _, m := range samples() {
		if m.kind() != kindHello {
			real = append(real, frame(m))
		}
	}
	for _, b := range real {
		f.Add(b)
	}
	f.Add(bytes.Join(real, nil))
	f.Add(bytes.Join(real[:6], nil))
	greeting := frame(hello{proto: protocol, own: [16]byte{1}, card: c.raw})
	cfg := as(f, k, protoExchange)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := net.Dial("tcp", a.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(clock.System().Now().Add(20 * time.Second))
		conn := tls.Client(c, cfg)
		if _, err := conn.Write(append(bytes.Clone(greeting), b...)); err != nil {
			t.Fatal(err)
		}
		_ = conn.CloseWrite()
		if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
			t.Fatal("the connection stayed open")
		}
	})
}

// FuzzSieve: what memberlist is let see is one whole message, and no byte of a stream that
// is refused is kept.
func FuzzSieve(f *testing.F) {
	for _, seeds := range []map[string][]byte{badStreams(), badPackets()} {
		for _, b := range seeds {
			if len(b) < 2000 {
				f.Add(b)
			}
		}
	}
	for _, b := range goodPackets() {
		f.Add(b)
	}
	key := [32]byte{1}
	s, err := newSieve(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		if len(plain) == 0 {
			return
		}
		if _, ok := gossipPacket(plain); ok {
			if _, again := gossipPacket(append(bytes.Clone(plain), 0)); again && plain[0] != gossipUser && plain[0] != gossipMany && plain[0] != gossipSum {
				t.Fatalf("%x passes with a byte more, too", plain)
			}
		}
		if gossipStream(plain, gossipAsks) && plain[0] != gossipState && plain[0] != gossipPing {
			t.Fatalf("%x may not open a stream", plain)
		}
		_ = s.packet(plain, 0) // as it comes, unsealed
		for _, b := range [][]byte{plain, sealStream(t, key, gossipVersion, plain)} {
			got, err := s.frame(io.MultiReader(bytes.NewReader(b), bytes.NewReader([]byte("more"))), gossipAsks)
			if err == nil && !bytes.Equal(got, b) || err != nil && got != nil {
				t.Fatalf("%x of %x, %v", got, b, err)
			}
		}
	})
}

// FuzzPeersFile: a file that came with a copied folder is read, or put aside.
func FuzzPeersFile(f *testing.F) {
	w := newWorld(f)
	k := w.keys()
	c, err := makeCard(k, 3, []string{"127.0.0.1:1"})
	if err != nil {
		f.Fatal(err)
	}
	good, err := json.Marshal(remembered{Version: 1, Stamp: 9, Seeds: []string{"10.0.0.1:7946"}, Peers: []rememberedPeer{{
		Node: k.NodeID(), Cert: k.cert.Marshal(), Card: c.raw, Good: "10.0.0.2:7946", Seen: []string{"10.0.0.3:1"}, Last: clock.System().Now(),
		Holds: []rememberedMark{{Log: [16]byte{1}, Seq: 7, Hash: "000102030405060708090a0b0c0d0e0f"}},
	}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":1,"stamp":18446744073709551615,"peers":[{"node":"","holds":[{}]},null]}`))
	dir := f.TempDir()
	creds, err := newCredentials(w.founder, (&book{}).Outcast)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, peersName), b, 0o600); err != nil {
			t.Fatal(err)
		}
		m := &Mesh{dir: dir, self: w.founder.NodeID(), keys: w.founder, creds: creds, log: slog.New(slog.DiscardHandler),
			peers: map[identity.NodeID]*peer{}, seeds: map[string]*dial{}, knownCards: map[string]bool{}}
		m.root, m.clock, m.stage = w.founder.Root(), clock.System(), &machine{m: m, rnd: rand.New(rand.NewPCG(1, 2))}
		m.load()
		if len(m.peers) > maxPeers {
			t.Fatalf("%d peers", len(m.peers))
		}
		if err := writePeers(dir, m.snapshot()); err != nil {
			t.Fatalf("read and cannot be written: %v", err)
		}
	})
}
