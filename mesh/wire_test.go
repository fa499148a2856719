package mesh

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

var update = flag.Bool("update", false, "write golden files anew")

// samples are one message of every kind, with every field filled.
func samples() []message {
	log := func(b byte) (l oplog.LogID) {
		for i := range l {
			l[i] = b
		}
		return l
	}
	marks := []mark{{log(0xa1), 412, [16]byte{1, 2, 3}}, {log(0xb2), 1, [16]byte{0xff}}}
	return []message{
		hello{proto: 1, incarnation: [16]byte{9, 9}, own: log(0xa1), port: 7946, card: []byte("card")},
		vector{more: true, marks: marks},
		vector{},
		hint{marks[:1]},
		ack{id: 7, marks: marks[:1]},
		want{id: 7, maxOps: 1000, maxBytes: 1 << 20, asks: []ask{{log(0xa1), 300}, {log(0xb2), 0}}},
		opsFrame{id: 7, parts: []part{{log(0xa1), 412, []byte("batch")}, {log(0xb2), 0, nil}}},
		busy{id: 7, retry: 200},
		ping{1234},
		pong{1234},
		cards{[][]byte{[]byte("one"), []byte("two")}},
		bye{byeUnknown},
		fetch{id: 7, length: firstPart, pieces: [][32]byte{{0xc3}, {0xd4}}},
		fetch{id: 8, offset: 5, length: leastPart, pieces: [][32]byte{{0xc3}}},
		pieceFrame{id: 7, index: 1, total: 9, data: []byte("piece")},
		pieceFrame{id: 8, index: pieceNone},
		pieceFrame{id: 9, index: pieceBusy},
		bye{byeEnough},
		reports{[][]byte{[]byte("one"), []byte("two")}},
		stamps{[]stampOf{{identity.NodeID{0xe5}, 1780315200000}, {identity.NodeID{0xf6}, 2}}},
		stamps{},
	}
}

func TestFrameBytesStay(t *testing.T) {
	var out strings.Builder
	for _, m := range samples() {
		fmt.Fprintf(&out, "%2d %s\n", m.kind(), hex.EncodeToString(frame(m)))
	}
	golden(t, "frames.golden", out.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the wire changed:\n%s\nwant\n%s", got, want)
	}
}

func TestGossipBytesStay(t *testing.T) {
	k := mark{oplog.LogID{0xa1}, 412, [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}}
	golden(t, "hint.golden", hex.EncodeToString(appendHint([]byte{hintVersion}, k))+"\n")
	marks, ok := parseHints(appendHint(appendHint([]byte{hintVersion}, k), k))
	if !ok || len(marks) != 2 || marks[1].seq != 412 || marks[0].hash[7] != 8 || marks[0].hash[8] != 0 {
		t.Errorf("%v %v", marks, ok)
	}
}

func TestFramesReadBack(t *testing.T) {
	for _, m := range samples() {
		k, b, err := readFrame(bytes.NewReader(frame(m)))
		if err != nil || k != m.kind() {
			t.Fatal(k, err)
		}
		back, err := parse(k, b)
		if err != nil {
			t.Fatalf("kind %d: %v", k, err)
		}
		if !bytes.Equal(frame(back), frame(m)) || reflect.TypeOf(back) != reflect.TypeOf(m) {
			t.Errorf("kind %d: %+v became %+v", k, m, back)
		}
		for i := range b {
			if _, err := parse(k, b[:i]); err == nil && k != kindHint {
				t.Errorf("kind %d: %d of %d bytes accepted", k, i, len(b))
			}
		}
		if _, err := parse(k, append(bytes.Clone(b), 0)); err == nil {
			t.Errorf("kind %d: a byte too many accepted", k)
		}
	}
}

// TestPromisesAreNotBelieved: a length over the limit is refused before anything
// is read, one below it is allocated as the bytes come.
func TestPromisesAreNotBelieved(t *testing.T) {
	for k := range 256 {
		over := uint32(maxPayload(kind(k)) + 1)
		_, _, err := readFrame(io.MultiReader(bytes.NewReader([]byte{byte(k), byte(over >> 24), byte(over >> 16), byte(over >> 8), byte(over)}), unread{t}))
		if !errors.Is(err, errFrame) {
			t.Errorf("kind %d: %v", k, err)
		}
	}
	if n := testing.AllocsPerRun(1, func() {
		_, _, _ = readFrame(bytes.NewReader([]byte{byte(kindOps), 0, 0x3f, 0xff, 0xff, 1, 2, 3}))
	}); n > 20 {
		t.Errorf("%v allocations", n)
	}
}

type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("went on reading")
	return 0, io.EOF
}

func FuzzFrame(f *testing.F) {
	for _, m := range samples() {
		f.Add(frame(m))
	}
	f.Add([]byte{byte(kindVector), 0, 0, 0, 12, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		k, payload, err := readFrame(bytes.NewReader(b))
		if err != nil {
			return
		}
		m, err := parse(k, payload)
		if err != nil {
			return
		}
		if again := frame(m); !bytes.Equal(again, b[:len(again)]) {
			t.Fatalf("read %x, would write %x", b, again)
		}
	})
}

func FuzzHints(f *testing.F) {
	f.Add(appendHint([]byte{hintVersion}, mark{oplog.LogID{1}, 300, [16]byte{2}}))
	f.Add([]byte{hintVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		marks, ok := parseHints(b)
		if !ok {
			return
		}
		again := []byte{hintVersion}
		for _, k := range marks {
			again = appendHint(again, k)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("read %x, would write %x", b, again)
		}
	})
}

func FuzzCard(f *testing.F) {
	w := newWorld(f)
	k := w.keys()
	c, err := makeCard(k, 77, []string{"10.0.0.1:7946", "[fd00::1]:7946", "box.example:1"})
	if err != nil {
		f.Fatal(err)
	}
	meta, err := makeMember(k, "name")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.raw)
	f.Add(meta)
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseCard(b, k.Deployment(), w.founder.Root()); err == nil && (len(c.addrs) > maxAddresses || c.cert.ID() != k.NodeID()) {
			t.Fatalf("%+v", c)
		}
		_, _ = parseMember(b, "name", k.Deployment(), w.founder.Root())
	})
}

func TestAddresses(t *testing.T) {
	for a, ok := range map[string]bool{
		"10.0.0.1:7946": true, "[fd00::1]:7946": true, "box.example:80": true, "127.0.0.1:1": true,
		"10.0.0.1": false, "10.0.0.1:0": false, "0.0.0.0:80": false, "[::]:80": false, "224.0.0.1:80": false, ":80": false,
		"a b:80": false, "x/y:80": false, "10.0.0.1:65536": false, "10.0.0.1:http": false, strings.Repeat("x", 120) + ":80": false,
	} {
		if validAddress(a) != ok {
			t.Errorf("%q: %v", a, !ok)
		}
	}
}
