package oplog

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// The form byte in front of a payload's content says how it is packed. A later
// dictionary gets the next number; old ones stay readable for ever.
const (
	formStored = 0 // as it is
	formZstd1  = 1 // one zstd frame with dictionary 1; magic and dictionary id left out
	formModel2 = 2 // squeezed by model 2 (model.go)
)

// dictionary1 was trained from made-up people (dictionary_test.go, flag
// -update-dictionary). Its bytes are part of the format.
//
//go:embed dictionary1.bin
var dictionary1 []byte

// zstdMagic starts every zstd frame (RFC 8878, section 3.1.1).
var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// fastPacker and tightPacker are compressors with the dictionary: of a person tight leaves
// 109 bytes where fast leaves 113, and takes 41 us instead of 15. So tight is for what one
// command writes many of: an import that has to lie on a card for years and to go to
// every other post. Somebody who waits for an answer gets fast.
var (
	fastPacker  = sync.OnceValue(func() *zstd.Encoder { return newPacker(zstd.SpeedFastest, 2) })
	tightPacker = sync.OnceValue(func() *zstd.Encoder { return newPacker(zstd.SpeedBetterCompression, 1) })
)

// newPacker makes a compressor: building the tables costs milliseconds, using them is
// safe from many goroutines.
func newPacker(level zstd.EncoderLevel, workers int) *zstd.Encoder {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderCRC(false),
		zstd.WithEncoderConcurrency(workers), zstd.WithWindowSize(64<<10), zstd.WithSingleSegment(true), zstd.WithEncoderDict(dictionary1))
	if err != nil {
		panic(err) // the embedded dictionary is broken: seen by the first test or never
	}
	return enc
}

// unpacker reads what either wrote.
var unpacker = sync.OnceValue(func() *zstd.Decoder {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(MaxPayload),
		zstd.WithDecoderMaxWindow(MaxPayload), zstd.WithDecoderLowmem(true), zstd.WithDecoderDicts(dictionary1))
	if err != nil {
		panic(err)
	}
	return dec
})

// frameDict is set in the first byte behind the magic when one byte of
// dictionary id follows; single-segment frames have it right there.
const frameDict, frameSingle, dictionary1ID = 0x01, 0x20, 1

// A packed form may open to this much and no more. Without a bound 57 KB of
// batch open to 60 MB, and a receiver pays for all of it. The bound is on each
// payload and not on a batch, because nodes that cannot open payloads join
// batches; a whole batch so stays below MaxBatchOps*expandFree +
// MaxBatchBytes*expandFactor, 5 MB.
const (
	expandFree   = 1 << 10 // every payload may have this many bytes, however well it packs
	expandFactor = 4       // and this many times its packed size on top
)

func maxExpanded(packed int) int { return min(MaxPayload, expandFree+expandFactor*packed) }

// compress appends the packed form of plain to dst. tight takes longer. What would
// pack better than a reader accepts is stored as it is.
func compress(dst, plain []byte, tight bool) []byte {
	enc := fastPacker
	if tight {
		enc = tightPacker
	}
	frame := enc().EncodeAll(plain, make([]byte, 0, len(plain)+32))
	if len(frame) >= len(plain)+6 || !bytes.HasPrefix(frame, zstdMagic) || frame[4]&0x23 != frameDict|frameSingle || frame[5] != dictionary1ID ||
		len(plain) > maxExpanded(len(frame)-4) {
		return append(append(dst, formStored), plain...)
	}
	dst = append(dst, formZstd1, frame[4])
	return append(dst, frame[6:]...)
}

// pack is compress for what only those read who have a key: the short contents that most
// ops have are squeezed by the model. What lies open is not: births and certificates have to be
// read by older programs too. No library codes a hundred bytes under a model both ends have
// (a zstd frame has 13 bytes of headers, and 41 us of search), so the coder is ours; and
// because a record nobody can open is a lost one, what it makes is opened before it is
// written, and where that is not what it was the other form is taken.
func pack(dst, plain []byte, tight bool) []byte {
	if len(plain) > modelMost {
		return compress(dst, plain, tight)
	}
	return packWith(theModel(), dst, plain, tight)
}

func packWith(m *model, dst, plain []byte, tight bool) []byte {
	start := len(dst)
	dst = m.squeeze(append(dst, formModel2), plain)
	if n := len(dst) - start; n > len(plain) || len(plain) > maxExpanded(n) {
		return append(append(dst[:start], formStored), plain...)
	}
	if back, err := expand(dst[start:]); err != nil || !bytes.Equal(back, plain) {
		return compress(dst[:start], plain, tight)
	}
	return dst
}

// declared is how long a packed form says it is when it is opened: the frame
// content size, which a single-segment frame always has (RFC 8878, section
// 3.1.1.1.4). It is read before any memory is taken.
func declared(packed []byte) (uint64, bool) {
	size := packed[2:]
	n := 1 << (packed[1] >> 6)
	if len(size) < n {
		return 0, false
	}
	switch n {
	case 1:
		return uint64(size[0]), true
	case 2:
		return uint64(binary.LittleEndian.Uint16(size)) + 256, true
	case 4:
		return uint64(binary.LittleEndian.Uint32(size)), true
	}
	return binary.LittleEndian.Uint64(size), true
}

// swollen is errSwells when a packed form of so many bytes says that it is longer than
// expand gives. start is what it begins with: all of it, or startSize bytes.
func swollen(start []byte, packed int) error {
	var size uint64
	ok := false
	switch {
	case packed > 1 && len(start) > 1 && start[0] == formModel2:
		size, _, ok = squeezedSize(start[1:])
	case packed > 2 && len(start) > 2 && start[0] == formZstd1 && start[1]&0x23 == frameDict|frameSingle:
		size, ok = declared(start)
	}
	if ok && size > uint64(maxExpanded(packed)) {
		return errSwells
	}
	return nil
}

// expand reads a packed form back. It never returns more than maxExpanded
// allows: errSwells when the form says that it is longer.
func expand(packed []byte) ([]byte, error) {
	switch {
	case len(packed) > 0 && packed[0] == formStored && len(packed) <= MaxPayload+1:
		return packed[1:], nil
	case len(packed) > 1 && packed[0] == formModel2:
		size, code, ok := squeezedSize(packed[1:])
		if !ok {
			return nil, errPayload
		}
		if size > uint64(maxExpanded(len(packed))) {
			return nil, errSwells
		}
		plain, ok := theModel().unsqueeze(int(size), code)
		if !ok {
			return nil, errPayload
		}
		return plain, nil
	case len(packed) > 2 && packed[0] == formZstd1 && packed[1]&0x23 == frameDict|frameSingle:
		size, ok := declared(packed)
		if !ok {
			return nil, errPayload
		}
		if size > uint64(maxExpanded(len(packed))) {
			return nil, errSwells
		}
		frame := make([]byte, 0, len(packed)+6)
		frame = append(frame, zstdMagic...)
		frame = append(frame, packed[1], dictionary1ID)
		frame = append(frame, packed[2:]...)
		plain, err := unpacker().DecodeAll(frame, nil)
		if err != nil || uint64(len(plain)) != size { // a second frame behind the first
			return nil, errPayload
		}
		return plain, nil
	}
	return nil, errPayload
}
