package oplog

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func seed(f *testing.F, names ...string) {
	f.Helper()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
		if err != nil {
			f.Fatal(err)
		}
		raw, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
}

// FuzzBatch: no bytes make the parser panic, and whatever it reads it writes
// back to something it reads the same way.
func FuzzBatch(f *testing.F) {
	seed(f, "batch", "payload", "segment")
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := parseBatch(raw)
		if err != nil {
			return
		}
		b.link()
		again, err := parseBatch(b.encode(nil))
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again.link()
		if len(again.ops) != len(b.ops) || again.ops[len(b.ops)-1].hash != b.ops[len(b.ops)-1].hash || again.sig != b.sig {
			t.Fatal("another batch came back")
		}
		if n := len(b.encode(nil)); n > b.bytes() {
			t.Fatalf("%d bytes, estimated %d", n, b.bytes())
		}
	})
}

// FuzzSegment: no bytes make a walk panic, run for ever, or leave the file.
func FuzzSegment(f *testing.F) {
	seed(f, "segment")
	f.Fuzz(func(t *testing.T, raw []byte) {
		at := int64(min(segmentHeader, len(raw)))
		_ = checkSegmentHeader(raw, [16]byte{}, 1)
		_ = walkFrames(raw, func(x found) error {
			if x.off != at || x.end < x.off || x.end > int64(len(raw)) {
				t.Fatalf("stretch %d-%d at %d of %d", x.off, x.end, at, len(raw))
			}
			at = x.end
			return nil
		})
		if len(raw) > segmentHeader && at != int64(len(raw)) {
			t.Fatalf("stopped at %d of %d", at, len(raw))
		}
		_ = eachBatch(raw, func(b []byte) error { _, err := parseBatch(b); return err })
	})
}

// FuzzRecords: heads records, salvaged ops and key rings are read or refused, and what
// is read is written the same.
func FuzzRecords(f *testing.F) {
	seed(f, "batch")
	f.Add(appendHeads(nil, []Head{{Log: LogID{1}, Seq: 7, Hash: [32]byte{2}}, {Log: LogID{3}, Seq: 1}}))
	plain, err := encMode.Marshal(content{Kind: "a", Version: 1, At: 1, Body: []byte{0xa0}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(appendSalvage([]byte{frameSalvage}, &stored{ref: Ref{Log: LogID{1}, Seq: 3}, clock: 9, subject: ID{4}, plain: plain}))
	ring := keyring{Generation: 3, Segments: []segmentKey{{Number: 1, Size: 99}, {Number: 2}}, Aside: []aside{{Segment: 1, What: "rot"}}}
	inside, err := encMode.Marshal(ring)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(inside)
	head := appendOutside(nil, &ring)
	f.Add(binary.BigEndian.AppendUint32(head, crc32.Checksum(head, castagnoli)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if heads, err := parseHeads(raw); err == nil && !bytes.Equal(appendHeads(nil, heads), raw) {
			t.Fatal("other heads came back")
		}
		if ops, err := parseSalvage(raw); err == nil && ops != nil {
			again := []byte{frameSalvage}
			for _, s := range ops {
				again = appendSalvage(again, s)
			}
			if back, err := parseSalvage(again); err != nil || len(back) != len(ops) {
				t.Fatalf("%d salvaged ops became %d: %v", len(ops), len(back), err)
			}
		}
		for _, first := range []bool{true, false} {
			if k, err := parseKeys(raw, first); err == nil {
				if _, err := encMode.Marshal(k); err != nil {
					t.Fatal(err)
				}
			}
		}
		if o, err := readOutside(raw); err == nil && o.size > len(raw) {
			t.Fatalf("%d of %d bytes", o.size, len(raw))
		}
		_, _ = openKeys(raw, [32]byte{}, [16]byte{})
	})
}

// FuzzPayload: hostile compressed and CBOR bytes stay bounded and harmless.
func FuzzPayload(f *testing.F) {
	seed(f, "packed", "payload", "narrow")
	f.Add(append([]byte{formStored}, "\x87\x61k\x01\xf6\x00\xf4\xf6\xa0"...))
	k := NewKind[samplePerson]("registration.registered", 1, Register)
	f.Fuzz(func(t *testing.T, raw []byte) {
		plain, err := expand(raw)
		if err != nil {
			plain = raw
		}
		if len(plain) > MaxPayload && err == nil {
			t.Fatalf("expanded to %d bytes", len(plain))
		}
		if c, err := decodeContent(plain); err == nil {
			at, _ := c.when()
			if _, err := at.MarshalJSON(); err != nil {
				t.Fatalf("a time no page can show: %v", err)
			}
			_, _ = k.decode(c.Body)
		}
		if len(raw) <= MaxPayload {
			if back, err := expand(compress(nil, raw, len(raw)%2 == 0)); err != nil || !bytes.Equal(back, raw) {
				t.Fatalf("round trip: %v", err)
			}
		}
		_, _ = appendStored(nil, ID{}, raw)
		if payload, ok := ciphertextIn(raw); ok {
			if back, err := narrowContent(payload); err != nil || !bytes.Equal(back, raw) {
				t.Fatalf("another sealed payload: %v", err)
			}
		}
	})
}
