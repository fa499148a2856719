package oplog

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

var update = flag.Bool("update", false, "write the golden files again; a change of them is a change of the format")

// golden compares hex lines, so that a change of the format shows in a review.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".hex")
	var lines strings.Builder
	for b := range slices.Chunk(got, 32) {
		lines.WriteString(hex.EncodeToString(b) + "\n")
	}
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(lines.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != lines.String() {
		t.Errorf("%s differs:\n%s", name, lines.String())
	}
}

// goldenRecord is the op doc.go walks through: every field a byte pattern.
func goldenRecord() *record {
	return &record{
		ref: Ref{Log: LogID(bytes.Repeat([]byte{0xA1}, 16)), Seq: 7}, clock: 300, subject: ID(bytes.Repeat([]byte{0xB2}, 10)),
		supersedes: []Ref{{Log: LogID(bytes.Repeat([]byte{0xA1}, 16)), Seq: 5}, {Log: LogID(bytes.Repeat([]byte{0xC3}, 16)), Seq: 9}},
		comp:       Register, area: 1, epoch: 2, salt: [16]byte(bytes.Repeat([]byte{0xD4}, 16)),
	}
}

func goldenPlain(t *testing.T) []byte {
	t.Helper()
	body, err := encMode.Marshal(samplePerson{GivenName: "Amina", FamilyName: "Warsame", Sex: "female", Nationality: "SOM"})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := encMode.Marshal(content{
		Kind: "registration.registered", Version: 1, By: bytes.Repeat([]byte{0xE5}, 8), At: 1780315200000, Unsure: true,
		Once: bytes.Repeat([]byte{0xF6}, 24), Body: body,
	})
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// fixedKeys seals under constant keys.
type fixedKeys struct{ Authority }

func (fixedKeys) Deployment() [16]byte { return [16]byte(bytes.Repeat([]byte{0x11}, 16)) }
func (fixedKeys) CompartmentKey(Compartment, uint16, uint32) ([32]byte, bool) {
	return [32]byte(bytes.Repeat([]byte{0x22}, 32)), true
}

// The bytes of format version 1. The compressor is not part of the format (any
// zstd frame that expands to the payload is right), so what is sealed here is
// the stored form.
func TestGoldenOpBatchAndSegment(t *testing.T) {
	plain := goldenPlain(t)
	golden(t, "payload", plain)

	r := goldenRecord()
	key, _ := fixedKeys{}.CompartmentKey(Register, 1, 2)
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		t.Fatal(err)
	}
	r.payload = aead.Seal(nil, r.nonce(), append([]byte{formStored}, plain...), r.bound(fixedKeys{}.Deployment()))
	if back, err := openPayload(fixedKeys{}, r); err != nil || !bytes.Equal(back, plain) {
		t.Fatalf("the golden op cannot be read: %v", err)
	}
	prev := [32]byte(bytes.Repeat([]byte{0x33}, 32))
	r.link(prev, nil)
	golden(t, "op", append(append(append(r.appendHead(nil), r.prev[:]...), r.digest[:]...), r.hash[:]...))

	second := *r
	second.ref.Seq, second.clock, second.supersedes = 8, 301, nil
	b := &batch{log: r.ref.Log, first: 7, prev: prev, ops: []record{*r, second}, sig: [64]byte(bytes.Repeat([]byte{0x44}, 64))}
	raw := b.encode(nil)
	golden(t, "batch", raw)
	back, err := parseBatch(raw)
	if err != nil || !bytes.Equal(back.encode(nil), raw) || back.ops[0].supersedes[1] != r.supersedes[1] {
		t.Fatalf("the golden batch cannot be read: %v", err)
	}
	golden(t, "head", headMessage(fixedKeys{}.Deployment(), r.ref.Log, 8, r.hash))

	d := fixedKeys{}.Deployment()
	cipher := newFrameCipher([32]byte(bytes.Repeat([]byte{0x55}, 32)))
	body := append([]byte{frameOps, byte(len(raw))}, raw...)
	if len(raw) > 127 { // a length of two bytes
		body = append([]byte{frameOps, byte(len(raw)) | 0x80, byte(len(raw) >> 7)}, raw...)
	}
	file := append(newSegmentHeader(d, 3), sealFrame(cipher, d, 3, 0, body)...)
	file = append(file, sealFrame(cipher, d, 3, 1, []byte{frameClose})...)
	golden(t, "segment", file)
	n := 0
	j := &journal{deployment: d}
	err = walkFrames(file, func(f found) error {
		if f.why != "" {
			t.Errorf("frame at %d: %s", f.off, f.why)
		}
		if _, err := j.open(&segment{number: 3, aead: cipher}, f.index, bytes.Clone(f.cipher)); err != nil {
			t.Error(err)
		}
		n++
		return nil
	})
	if err != nil || n != 2 || checkSegmentHeader(file, d, 3) != nil {
		t.Errorf("%d frames, %v", n, err)
	}
}

// A payload compressed by an earlier program must stay readable: the dictionary
// is part of the format.
func TestGoldenCompressedPayload(t *testing.T) {
	path := filepath.Join("testdata", "packed.hex")
	if *update {
		golden(t, "packed", compress(nil, goldenPlain(t), false))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	back, err := expand(packed)
	if err != nil || !bytes.Equal(back, goldenPlain(t)) {
		t.Fatalf("what an earlier program wrote cannot be read: %v", err)
	}
}
