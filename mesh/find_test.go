package mesh

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/waypost/waypost/appliance/clock"
)

func discovering(c *Config, _ *node) { c.Discover = true }

var findAt = netip.MustParseAddrPort("192.168.7.9:7946")

func TestMarkIsForMembersAndOneAddress(t *testing.T) {
	t.Parallel()
	key := findKey([32]byte{1}, [16]byte{2})
	mark := findMark(key, []byte("12345678"), findAt)
	if want := "gezdgnbvgy3tqbgcemhgizs63jqxanfb"; mark != want {
		t.Errorf("mark %s, pinned as %s", mark, want)
	}
	other := findKey([32]byte{9}, [16]byte{2})
	for what, c := range map[string]struct {
		keys [][]byte
		mark string
		at   netip.AddrPort
		want bool
	}{
		"a member":           {[][]byte{other, key}, mark, findAt, true},
		"another key":        {[][]byte{other}, mark, findAt, false},
		"another deployment": {[][]byte{findKey([32]byte{1}, [16]byte{3})}, mark, findAt, false},
		"no key":             {nil, mark, findAt, false},
		"said by another":    {[][]byte{key}, mark, netip.MustParseAddrPort("192.168.7.10:7946"), false},
		"another port":       {[][]byte{key}, mark, netip.MustParseAddrPort("192.168.7.9:22"), false},
		"cut":                {[][]byte{key}, mark[:31], findAt, false},
		"another nonce":      {[][]byte{key}, "a" + mark[1:], findAt, false},
		"no mark":            {[][]byte{key}, "printer", findAt, false},
		"empty":              {[][]byte{key}, "", findAt, false},
	} {
		if got := recognises(c.keys, c.mark, c.at); got != c.want {
			t.Errorf("%s: recognised %v", what, got)
		}
	}
}

// The packets as they are on the air: other implementations read them.
func TestFindPacketsArePinned(t *testing.T) {
	t.Parallel()
	answer, err := findAnswer(findMark(findKey([32]byte{1}, [16]byte{2}), []byte("12345678"), findAt), 7946)
	if err != nil {
		t.Fatal(err)
	}
	question, err := findQuestion()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"find-answer": answer, "find-question": question} {
		path := filepath.Join("testdata", name+".hex")
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(path, []byte(hex.EncodeToString(b)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(want)) != hex.EncodeToString(b) {
			t.Errorf("%s is %x (%v)", name, b, err)
		}
	}
	if h, err := parseFind(question); err != nil || !h.asked || len(h.found) != 0 {
		t.Errorf("the question says %+v %v", h, err)
	}
	if h, err := parseFind(answer); err != nil || h.asked || len(h.found) != 1 || h.found[0].port != 7946 || !recognises([][]byte{findKey([32]byte{1}, [16]byte{2})}, h.found[0].mark, findAt) {
		t.Errorf("the answer says %+v %v", h, err)
	}
}

// crowded is a packet with n services of strangers.
func crowded(t testing.TB, n int) []byte {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{Response: true})
	if err := b.StartAnswers(); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		name := dnsmessage.MustNewName(fmt.Sprintf("s%d.%s", i, findService))
		h := dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: 1}
		if err := b.SRVResource(h, dnsmessage.SRVResource{Port: 1, Target: name}); err != nil {
			t.Fatal(err)
		}
	}
	out, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFindIsBounded(t *testing.T) {
	t.Parallel()
	if h, err := parseFind(crowded(t, 60)); err != nil || len(h.found) != maxFindings {
		t.Errorf("%d services kept of one packet (%v)", len(h.found), err)
	}
	w := newWorld(t)
	a := w.start(t)
	f := &finder{m: a.mesh, asked: make(chan struct{}, 1), port: 1}
	read := 0
	for range 10 * maxHeard {
		if f.room() {
			read++
		}
	}
	if read > 2*maxHeard { // the second may have changed in between
		t.Errorf("%d packets read at once", read)
	}
	// Whatever somebody who has the key says, it costs a bounded number of tries.
	for i := range 10 * maxFound {
		a.mesh.found(fmt.Sprintf("127.0.0.1:%d", 1+i%2), "")
		a.mesh.found(fmt.Sprintf("127.9.%d.%d:1", i/200, i%200+1), fmt.Sprint(i))
	}
	a.mesh.mu.Lock()
	defer a.mesh.mu.Unlock()
	if len(a.mesh.sightings) > maxFound || len(a.mesh.seeds) != 0 {
		t.Errorf("%d addresses, %d seeds", len(a.mesh.sightings), len(a.mesh.seeds))
	}
}

// A node that is connected is not dialled again each time it says that it is there, also
// not at an address that is not among its own, such as one within the network.
func TestConnectedNodeIsNotDialledAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	other := newRelay(t) // another address of a
	other.to(a.mesh.Addr())
	b := w.start(t, seeded(a.addr))
	wait(t, "linked", func() bool { return a.linked(b) && b.linked(a) })
	sight := func() sighting {
		b.mesh.mu.Lock()
		defer b.mesh.mu.Unlock()
		return *b.mesh.sightings[other.addr()]
	}
	b.mesh.found(other.addr(), "mark")
	wait(t, "b knows who is there", func() bool { return sight().node == a.keys.NodeID() })
	for _, mark := range []string{"mark", "another"} {
		b.mesh.mu.Lock()
		b.mesh.sightings[other.addr()].again = 0
		b.mesh.mu.Unlock()
		b.mesh.found(other.addr(), mark)
		if dialled := sight().again > 0; dialled != (mark != "mark") {
			t.Errorf("%s: dialled %v", mark, dialled)
		}
	}
	b.mesh.mu.Lock()
	defer b.mesh.mu.Unlock()
	if len(b.mesh.links) != 1 || b.mesh.born > 2 {
		t.Errorf("%d links, %d made", len(b.mesh.links), b.mesh.born)
	}
}

// Among many, a node whose records come over others is not linked because somebody hears
// where it is, whatever was forgotten of its addresses.
func TestWhoComesOverOthersIsNotLinked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nodes := []*node{w.start(t)}
	for range fewNodes + 2 {
		nodes = append(nodes, w.start(t, seeded(nodes[0].addr)))
	}
	a := nodes[1]
	rests := func(n *node) bool {
		a.mesh.mu.Lock()
		defer a.mesh.mu.Unlock()
		p := a.mesh.peers[n.keys.NodeID()]
		return p != nil && !p.linked() && a.mesh.isLinked(p.node)
	}
	var b *node
	wait(t, "somebody comes over others", func() bool {
		i := slices.IndexFunc(nodes, rests)
		if i >= 0 {
			b = nodes[i]
		}
		return i >= 0
	})
	parted := func() time.Time {
		a.mesh.mu.Lock()
		defer a.mesh.mu.Unlock()
		return a.mesh.peers[b.keys.NodeID()].parted
	}
	before, other := parted(), newRelay(t)
	other.to(b.mesh.Addr())
	a.mesh.found(other.addr(), "mark")
	wait(t, "a knows who is there", func() bool {
		a.mesh.mu.Lock()
		defer a.mesh.mu.Unlock()
		return a.mesh.sightings[other.addr()].node == b.keys.NodeID()
	})
	wait(t, "the connection is closed", func() bool { return other.pipes.Load() == 0 })
	if !parted().Equal(before) {
		t.Error("a link was made that nobody needs")
	}
}

// What a stranger, a forger and a member say, and what the node does about it.
func TestOnlyMembersAreLookedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	lo := net.Interface{Index: 77}
	f := &finder{m: a.mesh, asked: make(chan struct{}, 1), port: 7946, places: []place{
		{ifi: lo, addr: netip.MustParseAddr("192.168.7.1"), net: netip.MustParsePrefix("192.168.7.0/24")}}}
	answer := func(gossip [32]byte, at string) []byte {
		ap := netip.MustParseAddrPort(at)
		b, err := findAnswer(findMark(findKey(gossip, a.keys.Deployment()), []byte("12345678"), ap), ap.Port())
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := a.keys.GossipKeys()[0]
	for _, c := range []struct {
		what    string
		packet  []byte
		from    string
		ifIndex int
		want    string
	}{
		{"a stranger", answer([32]byte{8}, "192.168.7.20:7946"), "192.168.7.20:5353", 77, ""},
		{"repeated from elsewhere", answer(key, "192.168.7.21:7946"), "192.168.7.22:5353", 77, ""},
		{"from another network", answer(key, "8.8.8.8:7946"), "8.8.8.8:5353", 77, ""},
		{"by another cable", answer(key, "192.168.7.23:7946"), "192.168.7.23:5353", 78, ""},
		{"ourselves", answer(key, "192.168.7.1:7946"), "192.168.7.1:5353", 77, ""},
		{"a second node here", answer(key, "192.168.7.1:7000"), "192.168.7.1:5353", 77, "192.168.7.1:7000"},
		{"a member", answer(key, "192.168.7.24:7946"), "192.168.7.24:5353", 77, "192.168.7.24:7946"},
	} {
		a.mesh.mu.Lock()
		clear(a.mesh.sightings)
		a.mesh.mu.Unlock()
		f.take(c.packet, c.ifIndex, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(c.from)))
		a.mesh.mu.Lock()
		got := ""
		for addr := range a.mesh.sightings {
			got += addr
		}
		a.mesh.mu.Unlock()
		if got != c.want {
			t.Errorf("%s: looks at %q, want %q", c.what, got, c.want)
		}
	}
}

func TestMarksChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := clock.NewFake(time.Unix(0, 0))
	a := &Mesh{clock: now, start: now.Now(), keys: w.founder}
	one, two := &finder{m: a, secret: [32]byte{1}}, &finder{m: a, secret: [32]byte{2}}
	seen := map[string]string{}
	note := func(what string, f *finder, at string) {
		n := string(f.nonce(netip.MustParseAddrPort(at)))
		if was, again := seen[n]; again {
			t.Errorf("%s shows what %s has shown", what, was)
		}
		seen[n] = what
	}
	note("a box", one, "10.0.0.1:1")
	note("its other address", one, "10.0.0.2:1")
	note("the next start", two, "10.0.0.1:1")
	now.Advance(findDay)
	note("the next day", one, "10.0.0.1:1")
	now.Set(time.Unix(0, 0).Add(time.Hour))
	if n := string(one.nonce(netip.MustParseAddrPort("10.0.0.1:1"))); seen[n] != "a box" {
		t.Error("it changes within a day")
	}
}

// Two nodes on one machine that know nothing of each other, over real multicast on the
// loopback interface. Two in networks of their own: script find.
func TestNodesFindEachOther(t *testing.T) {
	if !multicastWorks(t) {
		t.Skip("multicast on the loopback interface does not work here")
	}
	t.Parallel()
	w := newWorld(t)
	a := w.start(t, discovering)
	stranger := newWorld(t).start(t, discovering)
	a.log.writeN(3)
	b := w.start(t, discovering)
	wait(t, "they found each other", func() bool { return a.linked(b) && b.linked(a) && same(a.log, b.log) })
	if stranger.mesh.Peers(); len(stranger.mesh.Peers()) != 0 {
		t.Errorf("a stranger found %v", stranger.mesh.Peers())
	}
	a.mesh.SetDiscover(false)
	if a.mesh.Discovers() || !b.mesh.Discovers() {
		t.Error("the switch")
	}
	a.mesh.SetDiscover(true)
}

func multicastWorks(t testing.TB) bool {
	w := newWorld(t)
	f := &finder{m: w.start(t).mesh, port: 9}
	if !f.open() {
		return false
	}
	defer f.close()
	f.look()
	if f.say4 == nil || len(f.places) == 0 {
		return false
	}
	f.send(f.places[0], []byte("multicast works"))
	pc := f.say4
	_ = pc.SetReadDeadline(clock.System().Now().Add(2 * time.Second))
	buf := make([]byte, 9000)
	for {
		n, _, _, err := pc.ReadFrom(buf)
		if err != nil {
			return false
		}
		if bytes.Equal(buf[:n], []byte("multicast works")) {
			return true
		}
	}
}

// A node that cannot speak on the port goes on.
func TestNoMulticastIsNoFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t, discovering)
	b := w.start(t, discovering, seeded(a.addr))
	wait(t, "linked", func() bool { return a.linked(b) })
	f := &finder{m: a.mesh}
	f.send(place{addr: netip.MustParseAddr("192.0.2.1")}, nil) // no socket
	f.take([]byte{1, 2, 3}, 0, &net.UDPAddr{})
	f.take(nil, 0, &net.TCPAddr{})
}

func FuzzParseFind(f *testing.F) {
	answer, err := findAnswer(findMark(findKey([32]byte{1}, [16]byte{2}), []byte("12345678"), findAt), 7946)
	if err != nil {
		f.Fatal(err)
	}
	question, _ := findQuestion()
	f.Add(answer)
	f.Add(question)
	f.Add(crowded(f, 20))
	f.Add(append([]byte{0, 0, 0x84, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, findHint...))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseFind(b)
		if len(h.found) > maxFindings {
			t.Errorf("%d services", len(h.found))
		}
		for _, x := range h.found {
			if x.port == 0 || len(x.mark) > 255 {
				t.Errorf("%+v", x)
			}
			recognises([][]byte{{1}}, x.mark, netip.AddrPortFrom(findAt.Addr(), x.port))
		}
		if err == nil && !bytes.Contains(b, findHint) {
			t.Error("a packet about something else was read")
		}
	})
}
