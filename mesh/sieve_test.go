package mesh

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/waypost/waypost/appliance/clock"
)

// seal frames a packet as memberlist does.
func seal(t testing.TB, key [32]byte, version byte, plain, bound []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key[:])
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 13, 13+len(plain)+16)
	out[0] = version
	_, _ = rand.Read(out[1:])
	return aead.Seal(out, out[1:13], plain, bound)
}

// sealStream frames a stream as memberlist does.
func sealStream(t testing.TB, key [32]byte, version byte, plain []byte) []byte {
	t.Helper()
	head := binary.BigEndian.AppendUint32([]byte{gossipSealed}, uint32(sealOverhead+len(plain)))
	return append(head, seal(t, key, version, plain, head)...)
}

// packed is a record in MessagePack, as memberlist writes it: names and values in turn.
func packed(kv ...any) []byte {
	b := []byte{0x80 | byte(len(kv)/2)}
	text := func(s string) {
		if len(s) < 32 {
			b = append(b, 0xa0|byte(len(s)))
		} else {
			b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(s)))
		}
		b = append(b, s...)
	}
	for _, v := range kv {
		switch v := v.(type) {
		case string:
			text(v)
		case []byte:
			text(string(v))
		case int:
			b = binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v))
		case bool:
			b = append(b, map[bool]byte{false: 0xc2, true: 0xc3}[v])
		default:
			b = append(b, 0xc0)
		}
	}
	return b
}

func state(nodes, user int, body ...[]byte) []byte {
	b := append([]byte{gossipState}, packed("Nodes", nodes, "UserStateLen", user, "Join", true)...)
	return append(b, bytes.Join(body, nil)...)
}

func many(parts ...[]byte) []byte {
	b := []byte{gossipMany, byte(len(parts))}
	for _, p := range parts {
		b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
	}
	return append(b, bytes.Join(parts, nil)...)
}

func summed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{gossipSum}, crc32.ChecksumIEEE(b)), b...)
}

func told(kind byte, kv ...any) []byte { return append([]byte{kind}, packed(kv...)...) }

// member is how a push/pull tells of one.
func member(t testing.TB, k *keys, name string) []byte {
	t.Helper()
	meta, err := makeMember(k, name)
	if err != nil {
		t.Fatal(err)
	}
	return packed("Name", name, "Addr", []byte{127, 0, 0, 1}, "Port", 9, "Meta", meta, "Incarnation", 1, "State", 0,
		"Vsn", []byte{1, 5, 2, 0, 0, 0})
}

func badStreams() map[string][]byte {
	small := packed("Name", "x", "Incarnation", 1)
	return map[string][]byte{
		"empty":                 {},
		"kind only":             {gossipState},
		"a million members":     state(1<<20, 0),
		"members of one byte":   state(1<<20, 0, bytes.Repeat([]byte{0xc0}, 1<<20-100)),
		"members of none":       state(5000, 0, bytes.Repeat([]byte{0x80}, 5000)),
		"20 MB of state":        state(0, 20<<20),
		"less than none":        state(-1, 0),
		"state below none":      state(0, -1),
		"too few members":       state(2, 0, small),
		"more than announced":   state(0, 0, small),
		"a long name":           state(1, 0, packed("Name", make([]byte, 1000), "Incarnation", 1)),
		"a member unheard of":   state(1, 0, packed("Name", "x", "Incarnation", 0)),
		"one forgotten again":   state(1, 0, packed("Name", "x", "Incarnation", 1, "Incarnation", nil)),
		"numbers twice":         append([]byte{gossipState}, packed("Nodes", 0, "Nodes", 1<<20)...),
		"a list":                {gossipState, 0x93, 0, 0, 0xc2},
		"a user message":        told(gossipUser, "UserMsgLen", 20<<20),
		"compressed":            told(9, "Algo", 0, "Buf", []byte{1, 2, 3}),
		"sealed twice":          append([]byte{gossipSealed}, small...),
		"with a label":          {244, 1, 'x', 0x80},
		"an answer":             told(gossipAck, "SeqNo", 1),
		"deep":                  append([]byte{gossipPing}, bytes.Repeat([]byte{0x91}, 100000)...),
		"a map of 4 G":          {gossipPing, 0xdf, 0xff, 0xff, 0xff, 0xff},
		"a text of 4 GB":        {gossipPing, 0x81, 0xdb, 0xff, 0xff, 0xff, 0xff},
		"a ping with remainder": append(told(gossipPing, "SeqNo", 1), 0),
	}
}

func badPackets() map[string][]byte {
	ping := told(gossipPing, "SeqNo", 1, "Node", "x")
	return map[string][]byte{
		"empty":             {},
		"kind only":         {gossipPing},
		"push/pull":         state(0, 0),
		"compressed":        told(9, "Algo", 0, "Buf", []byte{1, 2, 3}),
		"nested":            many(many(ping)),
		"none of many":      many(),
		"an empty part":     many(ping, nil),
		"parts missing":     {gossipMany, 200, 0, 1, 0},
		"many pings":        many(ping, ping),
		"summed twice":      summed(summed(ping)),
		"summed nothing":    summed(nil),
		"wrong sum":         append([]byte{gossipSum, 0, 0, 0, 0}, ping...),
		"short sum":         {gossipSum, 0},
		"half a record":     ping[:len(ping)-1],
		"negative":          told(gossipPing, "SeqNo", -1),
		"a list for a text": {gossipPing, 0x81, 0xa4, 'N', 'o', 'd', 'e', 0x91, 1},
		"unheard of":        told(gossipAlive, "Node", "x", "Incarnation", 0),
		"unknown kind":      told(99, "SeqNo", 1),
		"error":             told(gossipError, "Error", "x"),
	}
}

func goodPackets() [][]byte {
	hint := append([]byte{gossipUser, hintVersion}, make([]byte, 16+1+8)...)
	dead := told(gossipDead, "Incarnation", 3, "Node", "x", "From", "y")
	ping := told(gossipPing, "SeqNo", 1, "Node", "x", "SourceAddr", []byte{127, 0, 0, 1}, "SourcePort", 9, "SourceNode", "y")
	return [][]byte{
		ping, dead, summed(ping), many(ping, dead, hint), summed(many(hint, hint)), told(gossipAck, "SeqNo", 1, "Payload", nil),
		told(gossipNack, "SeqNo", 1), told(gossipSuspect, "Incarnation", 1, "Node", "x", "From", "y"),
		told(gossipAlive, "Incarnation", 1, "Node", "x", "Addr", []byte{127, 0, 0, 1}, "Port", 9, "Meta", make([]byte, 400), "Vsn", []byte{1, 5, 2, 0, 0, 0}),
		told(gossipIndirect, "SeqNo", 1, "Target", []byte{127, 0, 0, 1}, "Port", 9, "Node", "x", "Nack", true),
	}
}

// The sieve alone: nothing here may reach memberlist, which would panic, allocate
// or answer a hundredfold.
func TestSieve(t *testing.T) {
	t.Parallel()
	key := [32]byte{1}
	s, err := newSieve(key)
	if err != nil {
		t.Fatal(err)
	}
	for what, plain := range badPackets() {
		if s.packet(seal(t, key, gossipVersion, plain, nil), 0) == nil {
			t.Errorf("packet let through: %s", what)
		}
	}
	for i, plain := range goodPackets() {
		if err := s.packet(seal(t, key, gossipVersion, plain, nil), 0); err != nil {
			t.Errorf("packet %d refused: %v", i, err)
		}
	}
	stream := func(b []byte, kinds []byte) error {
		got, err := s.frame(bytes.NewReader(b), kinds)
		if err == nil && !bytes.Equal(got, b) {
			t.Error("a frame was changed")
		}
		return err
	}
	for what, plain := range badStreams() {
		if stream(sealStream(t, key, gossipVersion, plain), gossipAsks) == nil {
			t.Errorf("stream let through: %s", what)
		}
	}
	ping := told(gossipPing, "SeqNo", 1)
	for what, b := range map[string][]byte{
		"old encryption":     sealStream(t, key, 0, told(gossipPing, "SeqNo", 255)), // its last byte is the length of padding
		"another key":        sealStream(t, [32]byte{2}, gossipVersion, ping),
		"in the clear":       ping,
		"a promise of 20 MB": binary.BigEndian.AppendUint32([]byte{gossipSealed}, 20<<20),
	} {
		if stream(b, gossipAsks) == nil {
			t.Errorf("stream let through: %s", what)
		}
	}
	for _, kinds := range [][]byte{gossipAsks, gossipSays} {
		if err := stream(sealStream(t, key, gossipVersion, state(1, 3, packed("Name", "x", "Meta", nil, "Incarnation", 1), []byte("abc"))), kinds); err != nil {
			t.Error(err)
		}
	}
	if err := stream(sealStream(t, key, gossipVersion, told(gossipError, "Error", "x")), gossipSays); err != nil {
		t.Error(err)
	}
}

// Each ping for another node costs memberlist a goroutine for a second and a half.
func TestPingsForOthersAreLimited(t *testing.T) {
	t.Parallel()
	s, err := newSieve([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	ask := seal(t, [32]byte{1}, gossipVersion, told(gossipIndirect, "SeqNo", 1), nil)
	passed := 0
	for range 3 * maxIndirect {
		if s.packet(ask, 0) == nil {
			passed++
		}
	}
	if passed != maxIndirect || s.packet(ask, time.Second) != nil {
		t.Errorf("%d passed", passed)
	}
}

// gossipTo opens an authenticated gossip stream as k, says say and waits until the
// other side is done with it.
func gossipTo(t testing.TB, k *keys, addr string, say []byte) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(clock.System().Now().Add(20 * time.Second))
	conn := tls.Client(c, as(t, k, protoGossip))
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(say); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn)
}

// One enrolled node could end the process of any other with a frame of 34 bytes.
func TestEnrolledNodeCannotKillAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	k := w.keys()
	key := k.GossipKey()
	for _, plain := range badStreams() {
		gossipTo(t, k, a.addr, sealStream(t, key, gossipVersion, plain))
	}
	gossipTo(t, k, a.addr, sealStream(t, key, 0, told(gossipPing, "SeqNo", 255)))
	c, err := net.Dial("udp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, plain := range badPackets() {
		for version := range byte(3) {
			_, _ = c.Write(seal(t, key, version, plain, nil))
		}
	}
	_, _ = c.Write(seal(t, key, 0, told(gossipPing, "SeqNo", 255), nil))
	b := w.start(t, seeded(a.addr))
	wait(t, "the node goes on", func() bool {
		return a.linked(b) && a.mesh.member.(*gossip).list.NumMembers() == 2
	})
}

// A push/pull names a number of members, and memberlist makes room for them.
func TestPromisedMembersCostNothing(t *testing.T) {
	w := newWorld(t)
	a := w.start(t)
	k := w.keys()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 5 {
		gossipTo(t, k, a.addr, sealStream(t, k.GossipKey(), gossipVersion, state(1<<20, 0)))
	}
	runtime.ReadMemStats(&after)
	if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 50 {
		t.Errorf("allocated %d MB", took)
	}
}

func TestOneNodeHasFewNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	k := w.keys()
	var body [][]byte
	for i := range 40 {
		body = append(body, member(t, k, hex.EncodeToString(bytes.Repeat([]byte{byte(i)}, 16))))
	}
	gossipTo(t, k, a.addr, sealStream(t, k.GossipKey(), gossipVersion, state(len(body), 0, body...)))
	if got := a.mesh.member.(*gossip).list.NumMembers(); got != 1+maxNames {
		t.Errorf("%d members", got)
	}
	b := w.start(t, seeded(a.addr))
	wait(t, "others still become members", func() bool {
		return slices.ContainsFunc(a.mesh.member.(*gossip).list.Members(), func(n *memberlist.Node) bool { return n.Name == b.mesh.member.(*gossip).name })
	})
}

func TestNamesThatLeftMakeRoomSlowly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start(t)
	k := w.keys()
	g := a.mesh.member.(*gossip)
	node := func(i int) *memberlist.Node {
		name := hex.EncodeToString(bytes.Repeat([]byte{byte(i)}, 16))
		meta, err := makeMember(k, name)
		if err != nil {
			t.Fatal(err)
		}
		return &memberlist.Node{Name: name, Meta: meta}
	}
	n := 0
	for ; n < 200 && g.NotifyAlive(node(n)) == nil; n++ {
		g.NotifyJoin(node(n))
		g.NotifyLeave(node(n))
	}
	if n != maxOldNames {
		t.Errorf("%d names one after the other", n)
	}
	if err := g.NotifyAlive(node(3)); err != nil {
		t.Errorf("a member that comes back: %v", err)
	}
	g.mu.Lock()
	for name := range g.names[k.NodeID()] {
		g.names[k.NodeID()][name] = tenure{left: g.m.elapsed() - nameMemory - time.Second}
	}
	g.mu.Unlock()
	if err := g.NotifyAlive(node(n)); err != nil {
		t.Errorf("much later: %v", err)
	}
	long := node(0)
	long.Name = strings.ToUpper(hex.EncodeToString(bytes.Repeat([]byte{0xab}, 16)))
	long.Meta, _ = makeMember(k, long.Name)
	if g.NotifyAlive(long) == nil {
		t.Error("a second spelling of a name")
	}
}

// heard counts the lines that begin in a certain way.
type heard struct {
	slog.Handler
	begin string
	n     *atomic.Int32
}

func (h heard) Enabled(context.Context, slog.Level) bool { return true }
func (h heard) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h heard) Handle(_ context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, h.begin) {
		h.n.Add(1)
	}
	return nil
}

// All that memberlist itself says passes: joins, probes of a member that does not
// answer, the help of others in it, suspicion and death.
func TestSievePassesMemberlist(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits until a member is given up")
	}
	var refused atomic.Int32
	listen := func(c *Config, _ *node) {
		c.Logger = slog.New(heard{slog.DiscardHandler, "mesh refused a gossip", &refused})
	}
	w := newWorld(t)
	a := w.start(t, listen)
	b := w.start(t, listen, seeded(a.addr))
	c, r := w.behind(t, listen, seeded(a.addr))
	members := func(want int, nodes ...*node) func() bool {
		return func() bool {
			return !slices.ContainsFunc(nodes, func(n *node) bool { return n.mesh.member.(*gossip).list.NumMembers() != want })
		}
	}
	wait(t, "all are members", members(3, a, b, c))
	r.cut()
	c.close()
	wait(t, "the third is given up", members(2, a, b))
	if n := refused.Load(); n != 0 {
		t.Errorf("%d refusals among honest nodes", n)
	}
}

// FuzzGossip hands a running memberlist what an enrolled node may send it: any
// plaintext, properly sealed, as a packet and as a stream. A panic there ends the
// process.
func FuzzGossip(f *testing.F) {
	for _, seeds := range []map[string][]byte{badStreams(), badPackets()} {
		for _, b := range seeds {
			if len(b) < 2000 {
				f.Add(b, byte(gossipVersion))
				f.Add(b, byte(0))
			}
		}
	}
	for _, b := range goodPackets() {
		f.Add(b, byte(gossipVersion))
	}
	w := newWorld(f)
	a := w.start(f)
	_ = a.mesh.udp.Close() // what memberlist is made to say goes nowhere
	key, tr := a.keys.GossipKey(), a.mesh.transport
	f.Add(state(1, 1, member(f, w.keys(), hex.EncodeToString(make([]byte, 16))), []byte{hintVersion}), byte(gossipVersion))
	mine, err := newSieve(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, plain []byte, version byte) {
		if b := seal(t, key, version, plain, nil); mine.packet(b, a.mesh.elapsed()) == nil {
			tr.packets <- &memberlist.Packet{Buf: b, From: &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}, Timestamp: clock.System().Now()}
		}
		for i, b := range [][]byte{sealStream(t, key, version, plain), plain} {
			here, there := net.Pipe()
			_ = there.SetDeadline(clock.System().Now().Add(5 * time.Second))
			tr.streams <- &stream{Conn: here, t: tr, kinds: gossipAsks}
			go func() {
				if _, err := there.Write(b); err != nil || i == 1 {
					_ = there.Close() // no whole frame may have come, and more would be waited for
				}
			}()
			_, _ = io.Copy(io.Discard, there)
			_ = there.Close()
		}
		wait(t, "packets are read", func() bool { return len(tr.packets) == 0 })
	})
}
