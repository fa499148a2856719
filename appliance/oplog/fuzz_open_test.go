package oplog

import (
	"bytes"
	"reflect"
	"testing"
)

// FuzzOpen edits a segment: whatever opens is what was written at that place, however
// the bytes around it were moved, cut or changed.
func FuzzOpen(f *testing.F) {
	aead := newFrameCipher([32]byte{7})
	var bodies [][]byte
	whole := newSegmentHeader([16]byte{}, 3)
	for i := range 4 {
		body := bytes.Repeat([]byte{byte(frameOps), byte(i)}, 20+300*i)
		bodies = append(bodies, body)
		whole = append(whole, sealFrame(aead, [16]byte{}, 3, uint32(i), body)...)
	}
	f.Add([]byte{0, 0, 60, 1})
	f.Add([]byte{1, 1, 0, 0})
	f.Add([]byte{2, 0, 38, 90})
	f.Add([]byte{3, 0, 200, 20, 0, 0, 10, 255})
	j := &journal{}
	s := &segment{number: 3, aead: aead}
	f.Fuzz(func(t *testing.T, script []byte) {
		raw := bytes.Clone(whole)
		for ; len(script) >= 4; script = script[4:] {
			raw = edited(raw, script)
		}
		seen := map[uint32]bool{}
		_ = walkFrames(raw, func(x found) error {
			_ = tornEnd(raw, x)
			if x.cipher == nil {
				return nil
			}
			body, err := j.open(s, x.index, bytes.Clone(x.cipher))
			if err != nil {
				return nil
			}
			if int(x.index) >= len(bodies) || !bytes.Equal(body, bodies[x.index]) || seen[x.index] {
				t.Fatalf("frame %d opens to something else, or twice", x.index)
			}
			seen[x.index] = true
			return nil
		})
	})
}

// edited does one of four things to raw: a byte, a cut, a stretch moved to the end, a
// stretch of zeros.
func edited(raw, op []byte) []byte {
	if len(raw) == 0 {
		return raw
	}
	at := (int(op[1])<<8 | int(op[2])) % len(raw)
	end := min(len(raw), at+8*int(op[3]))
	switch op[0] % 4 {
	case 0:
		raw[at] ^= op[3]
	case 1:
		return raw[:at]
	case 2:
		moved := bytes.Clone(raw[at:end])
		return append(append(raw[:at:at], raw[end:]...), moved...)
	default:
		clear(raw[at:end])
	}
	return raw
}

// FuzzStored: the views' chunks of ops read back as they were, and rot in them is an
// error or other ops, never a panic.
func FuzzStored(f *testing.F) {
	one := &stored{ref: Ref{Log: LogID{1}, Seq: 9}, clock: 12, supersedes: []Ref{{Log: LogID{2}, Seq: 3}}, plain: []byte("content")}
	f.Add(one.append(nil))
	f.Add((&stored{ref: Ref{Seq: 1}, opaque: true}).append(one.append(nil)))
	f.Add((&stored{ref: Ref{Seq: 1}, sealed: true, narrow: true, plain: []byte("x")}).append(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		ops, err := appendStored(nil, ID{5}, raw)
		if err != nil {
			return
		}
		var again []byte
		for _, o := range ops {
			if o.opaque {
				o.plain = nil
			}
			again = o.append(again)
		}
		back, err := appendStored(nil, ID{5}, again)
		if err != nil || len(back) != len(ops) {
			t.Fatalf("%d ops came back as %d: %v", len(ops), len(back), err)
		}
		for i := range ops {
			a, b := *ops[i], *back[i]
			a.plain, b.plain = append([]byte{}, a.plain...), append([]byte{}, b.plain...)
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("op %d differs: %+v and %+v", i, a, b)
			}
		}
	})
}
