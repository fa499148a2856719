package oplog

import (
	_ "embed"
	"encoding/binary"
	"sync"
)

// Form 2 of a payload: a range coder under a fixed model of what payloads look like. A
// payload has a hundred bytes, of which a third is random; a zstd frame has 13 bytes of
// headers around them, and its dictionary knows whole names or nothing. The model knows
// what byte follows two others in a name, in a code word, in a date, and that ids are
// random. doc.go has the format; everything is in whole numbers, so that each machine
// makes the same tables.

// model2 was trained from made-up people (model_test.go, flag -update-model). Its bytes
// are part of the format.
//
//go:embed model2.bin
var model2 []byte

const (
	modelBits  = 14
	modelTotal = 1 << modelBits
	modelMost  = 1 << 10 // what is longer is for zstd
	longSize   = 0xff    // in the place of a size: it follows as uvarint
	minRange   = 1 << 24
)

// Spaces of contexts: what a byte is part of.
const (
	inHead   = iota // the first byte of a CBOR item, behind the two such bytes before it
	inNumber        // an argument, behind its first byte and how much of it is to come
	inName          // text that begins as none of these
	inWord          // text that begins with a small letter: codes
	inDigits        // text that begins with a digit: dates
	inPhone         // text that begins with a plus
	spaces
)

// symbols is the distribution of a byte in a context: byte b has the numbers from [b] to
// below [b+1], all of them together modelTotal.
type symbols [257]uint16

// model has a table for every context: by the space and the two bytes before. Most
// contexts share one.
type model struct {
	of     []uint16 // context -> place in tables
	tables []symbols
	flat   *symbols // a byte of a byte string
}

const contexts = spaces << 16

// theModel is the embedded one, with its tables blended: some milliseconds, once, and
// three megabytes.
var theModel = sync.OnceValue(func() *model {
	m, ok := readModel(model2)
	if !ok {
		panic("the embedded model is broken") // seen by the first test or never
	}
	return m
})

// readModel reads levels of contexts: those of no byte before, of one and of two, each
//
//	uvarint count ‖ count × (uvarint step from the context before ‖ uvarint n ‖ n × (byte ‖ weight))
//
// A context is space<<16 ‖ the byte before the last ‖ the last, with zeros for what its
// level does not know, and those of a level are in order. What a table does not say it
// takes from the level before.
func readModel(raw []byte) (*model, bool) {
	c := &cursor{raw, true}
	m := &model{of: make([]uint16, contexts), tables: []symbols{*blend(nil, nil)}}
	for level := range 3 {
		id := uint64(0)
		for n := c.uvarint(contexts); n > 0 && c.ok; n-- {
			id += c.uvarint(contexts)
			pairs := c.take(2 * int(c.uvarint(256))) //nolint:gosec // at most 256
			if !c.ok || id >= contexts || len(m.tables) == 1<<16 {
				return nil, false
			}
			table := uint16(len(m.tables)) //nolint:gosec // checked
			m.tables = append(m.tables, *blend(pairs, &m.tables[m.of[id]]))
			switch level {
			case 0: // all of the space
				for i := range 1 << 16 {
					m.of[id|uint64(i)] = table
				}
			case 1: // whatever is before the last
				for i := range 256 {
					m.of[id|uint64(i)<<8] = table
				}
			default:
				m.of[id] = table
			}
		}
	}
	m.flat = &m.tables[0]
	return m, c.ok && len(c.b) == 0
}

// blend makes a table of weights (byte ‖ weight) and of the table that stands behind
// them, which counts as much as there are weights.
func blend(pairs []byte, behind *symbols) *symbols {
	var weight [256]uint64
	sum := uint64(0)
	for b := range weight {
		weight[b] = 1
		if behind != nil {
			weight[b] = uint64(len(pairs)/2) * uint64(behind[b+1]-behind[b])
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		weight[pairs[i]] += uint64(pairs[i+1]) * modelTotal
	}
	for _, w := range weight {
		sum += w
	}
	out, at, most := &symbols{}, uint64(0), 0
	for b, w := range weight {
		if w > weight[most] {
			most = b
		}
		out[b] = uint16(at) //nolint:gosec // below 2^14
		at += 1 + w*(modelTotal-256)/max(sum, 1)
	}
	out[256] = uint16(at) //nolint:gosec // at most 2^14
	for b := most + 1; b <= 256; b++ {
		out[b] += uint16(modelTotal - at) //nolint:gosec // what was rounded off goes to the likeliest
	}
	return out
}

// walk follows the bytes of a CBOR item and says what is known of the next one. Bytes that
// are no CBOR are as good as others, only longer.
type walk struct {
	m      *model
	space  byte   // what the next byte is part of; spaces in a byte string
	left   uint64 // bytes of a string or an argument that are still to come
	size   uint64 // the argument
	then   byte   // the major type of the string whose length the argument is, else 0
	start  bool   // of a text
	a, b   byte   // the two bytes before, as the space counts them
	ha, hb byte   // the two first bytes of items before
}

// next is the table of the byte to come.
func (w *walk) next() *symbols {
	if w.space == spaces {
		return w.m.flat
	}
	return &w.m.tables[w.m.of[uint32(w.space)<<16|uint32(w.a)<<8|uint32(w.b)]]
}

// saw takes a byte in.
func (w *walk) saw(x byte) {
	switch {
	case w.space == inHead:
		w.head(x)
		return
	case w.space == inNumber:
		w.size = w.size<<8 | uint64(x)
		w.b--
	case w.start:
		w.start = false
		w.space, w.a, w.b = spaceOf(x), w.b, x
	default:
		w.a, w.b = w.b, x
	}
	if w.left--; w.left > 0 {
		return
	}
	if w.space == inNumber && w.then != 0 {
		w.string(w.then, w.size)
		return
	}
	w.space, w.a, w.b = inHead, w.ha, w.hb
}

// head takes in the first byte of an item (RFC 8949 section 3).
func (w *walk) head(x byte) {
	major, info := x>>5, x&31
	w.ha, w.hb = w.hb, x
	if major == 3 {
		w.hb = 0x60 // what follows a text does not hang on its length
	}
	w.a, w.b = w.ha, w.hb
	str := major == 2 || major == 3
	switch {
	case info >= 24 && info <= 27:
		w.space, w.left, w.size, w.then = inNumber, 1<<(info-24), 0, 0
		w.a, w.b = x, byte(w.left)
		if str {
			w.then = major
		}
	case str && info < 24:
		w.string(major, uint64(info))
	}
}

func (w *walk) string(major byte, n uint64) {
	switch {
	case n == 0:
		w.space, w.a, w.b = inHead, w.ha, w.hb
	case major == 2:
		w.space, w.left = spaces, n
	default:
		w.space, w.left, w.start = inName, n, true
		w.a, w.b = 0, w.ha // the key it has
	}
}

// spaceOf is what a text is that begins so.
func spaceOf(x byte) byte {
	switch {
	case x >= 'a' && x <= 'z':
		return inWord
	case x >= '0' && x <= '9':
		return inDigits
	case x == '+':
		return inPhone
	}
	return inName
}

// squeeze appends a payload's content as the model has it: its size and the code.
func (m *model) squeeze(dst, plain []byte) []byte {
	if len(plain) < longSize {
		dst = append(dst, byte(len(plain)))
	} else {
		dst = binary.AppendUvarint(append(dst, longSize), uint64(len(plain)))
	}
	start := len(dst)
	low, width, w := uint32(0), ^uint32(0), walk{m: m}
	add := func(x uint32) {
		if low += x; low < x {
			for i := len(dst) - 1; i >= start; i-- { // a carry
				if dst[i]++; dst[i] != 0 {
					break
				}
			}
		}
	}
	for _, x := range plain {
		t := w.next()
		width >>= modelBits
		add(width * uint32(t[x]))
		width *= uint32(t[int(x)+1] - t[x])
		for width < minRange {
			dst, low, width = append(dst, byte(low>>24)), low<<8, width<<8
		}
		w.saw(x)
	}
	// The shortest number that lies within, without the zeros at its end.
	for bits := 24; bits >= 0; bits -= 8 {
		mask := uint32(1)<<bits - 1
		if up := -low & mask; up < width {
			add(up)
			break
		}
	}
	dst = binary.BigEndian.AppendUint32(dst, low)
	for len(dst) > start && dst[len(dst)-1] == 0 {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// squeezedSize is the size that squeezed bytes say they have, and what is behind it.
func squeezedSize(b []byte) (size uint64, code []byte, ok bool) {
	c := &cursor{b, true}
	if size = uint64(c.byte()); size == longSize {
		size = c.uvarint(MaxPayload)
		c.ok = c.ok && size >= longSize
	}
	return size, c.b, c.ok
}

// unsqueeze reads size bytes back. It reports false for a code that no content has.
func (m *model) unsqueeze(size int, code []byte) ([]byte, bool) {
	out := make([]byte, size)
	at, value, width, w := 0, uint32(0), ^uint32(0), walk{m: m}
	more := func() {
		value <<= 8
		if at < len(code) {
			value |= uint32(code[at])
		}
		at++
	}
	for range 4 {
		more()
	}
	for i := range out {
		t := w.next()
		width >>= modelBits
		v := value / width
		if v >= modelTotal {
			return nil, false
		}
		x := t.find(uint16(v))
		value -= width * uint32(t[x])
		width *= uint32(t[int(x)+1] - t[x])
		for width < minRange {
			more()
			width <<= 8
		}
		out[i] = x
		w.saw(x)
	}
	return out, at >= len(code)
}

// find is the byte that has number v.
func (t *symbols) find(v uint16) byte {
	x := 0
	for step := 128; step > 0; step >>= 1 {
		if t[x+step] <= v {
			x += step
		}
	}
	return byte(x)
}
