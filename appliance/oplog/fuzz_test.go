package oplog

import (
	"bytes"
	"encoding/hex"
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

// FuzzPayload: hostile compressed and CBOR bytes stay bounded and harmless.
func FuzzPayload(f *testing.F) {
	seed(f, "packed", "payload")
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
			if back, err := expand(compress(nil, raw)); err != nil || !bytes.Equal(back, raw) {
				t.Fatalf("round trip: %v", err)
			}
		}
		_, _ = appendStored(nil, ID{}, raw)
	})
}
