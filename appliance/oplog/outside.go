package oplog

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// What of a key file is in the clear, so that a closed folder can be checked without
// a key: which generation it is, and which segments there are. A thief sees the same
// by listing the folder. The sealed rest is bound to it.
type outside struct {
	generation uint64
	segments   []outsideSegment
	size       int // bytes it takes in the file
}

type outsideSegment struct {
	number uint64
	size   int64 // 0 while it is not known
}

var errNoKeys = errors.New("not a key file")

// appendOutside writes the magic and the clear part of a ring.
func appendOutside(dst []byte, k *keyring) []byte {
	dst = append(dst, keysMagic...)
	dst = binary.BigEndian.AppendUint64(dst, k.Generation)
	dst = binary.AppendUvarint(dst, uint64(len(k.Segments)))
	for _, s := range k.Segments {
		dst = binary.AppendUvarint(dst, s.Number)
		dst = binary.AppendUvarint(dst, uint64(max(s.Size, 0))) //nolint:gosec // not negative
	}
	return dst
}

// readOutside reads the clear part of a key file and checks the checksum at its end.
// A file of the first form has none.
func readOutside(raw []byte) (o outside, err error) {
	const sum = 4
	if len(raw) < len(keysMagic)+sum || string(raw[:len(keysMagic)]) != keysMagic {
		return o, errNoKeys
	}
	body := raw[:len(raw)-sum]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(raw[len(raw)-sum:]) {
		return o, errors.New("its checksum is wrong")
	}
	c := &cursor{body[len(keysMagic):], true}
	if g := c.take(8); g != nil {
		o.generation = binary.BigEndian.Uint64(g)
	}
	for n := c.uvarint(uint64(len(body))); c.ok && n > 0; n-- {
		o.segments = append(o.segments, outsideSegment{c.uvarint(maxClock), int64(c.uvarint(maxClock))}) //nolint:gosec // bounded
	}
	if !c.ok {
		return o, errNoKeys
	}
	o.size = len(body) - len(c.b)
	return o, nil
}
