package oplog

import (
	"bytes"
	"testing"
)

// What a power cut leaves of a frame is dropped; a frame that rotted is not.
func TestAnEndWithoutASectorIsTornAndAFlippedOneIsDamage(t *testing.T) {
	aead := newFrameCipher([32]byte{1})
	whole := newSegmentHeader([16]byte{}, 1)
	whole = append(whole, sealFrame(aead, [16]byte{}, 1, 0, make([]byte, 300))...)
	start := len(whole)
	whole = append(whole, sealFrame(aead, [16]byte{}, 1, 1, make([]byte, 2000))...)
	last := func(raw []byte) (f found) {
		_ = walkFrames(raw, func(x found) error { f = x; return nil })
		return f
	}
	if f := last(whole); f.why != "" || tornEnd(whole, f) {
		t.Fatalf("sound: %+v", f)
	}
	for from := start; from < len(whole); {
		to := min(len(whole), from-from%sectorBytes+sectorBytes)
		raw := bytes.Clone(whole)
		clear(raw[from:to])
		if f := last(raw); f.why == "" || !tornEnd(raw, f) || f.off != int64(start) {
			t.Errorf("without bytes %d-%d: %+v", from, to, f)
		}
		from = to
	}
	for at := start; at < len(whole); at += 13 {
		raw := bytes.Clone(whole)
		raw[at] ^= 0x20
		if f := last(raw); f.why == "" || tornEnd(raw, f) {
			t.Errorf("flipped byte %d: %+v", at, f)
		}
	}
}
