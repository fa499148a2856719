package oplog

import (
	"encoding/binary"
	"errors"
	"slices"
)

// The ops of a subject lie together under spaceOps ‖ subject ‖ chunk number, so
// that a fold costs one read for nearly every subject. A chunk that has reached
// chunkFull is followed by the next number; records inside are in the order
// they arrived and are sorted when read.
const chunkFull = 48 << 10

func opsKey(subject ID, chunk int) []byte {
	k := make([]byte, 0, 1+len(subject)+4)
	k = append(k, spaceOps)
	k = append(k, subject[:]...)
	return binary.BigEndian.AppendUint32(k, uint32(chunk))
}

// loadOps reads all ops of a subject, and the last chunk with its number.
func loadOps(s *space, subject ID) (ops []*stored, chunk int, tail []byte, err error) {
	for {
		raw, err := s.get(opsKey(subject, chunk))
		if errors.Is(err, ErrNoKey) {
			return ops, chunk, nil, nil
		}
		if err != nil {
			return nil, 0, nil, errStore(err)
		}
		if ops, err = appendStored(ops, subject, raw); err != nil {
			return nil, 0, nil, err
		}
		if len(raw) < chunkFull {
			return ops, chunk, raw, nil
		}
		chunk++
	}
}

// storeOps appends news behind the last chunk.
func storeOps(s *space, subject ID, chunk int, tail []byte, news []*stored) {
	if len(news) == 0 {
		return
	}
	// The tail may be shared with the overlay's undo list: never grow it in place.
	tail = slices.Clip(tail)
	for _, n := range news {
		tail = n.append(tail)
		if len(tail) >= chunkFull {
			s.put(opsKey(subject, chunk), tail)
			chunk, tail = chunk+1, nil
		}
	}
	if len(tail) > 0 {
		s.put(opsKey(subject, chunk), tail)
	}
}

// forgetOps deletes the chunks up to the last one, to write them anew.
func forgetOps(s *space, subject ID, last int) {
	for n := range last + 1 {
		s.delete(opsKey(subject, n))
	}
}

// append writes: length ‖ log ‖ sequence ‖ clock ‖ flags ‖ references ‖ payload.
func (s *stored) append(dst []byte) []byte {
	b := make([]byte, 0, 48+len(s.plain)+len(s.supersedes)*26)
	b = append(b, s.ref.Log[:]...)
	b = binary.AppendUvarint(b, s.ref.Seq)
	b = binary.AppendUvarint(b, s.clock)
	var flags byte
	for bit, set := range []bool{s.opaque, s.bare, s.sealed, s.narrow} {
		if set {
			flags |= 1 << bit
		}
	}
	b = append(b, flags, byte(len(s.supersedes)))
	for _, r := range s.supersedes {
		b = append(b, r.Log[:]...)
		b = binary.AppendUvarint(b, r.Seq)
	}
	if !s.opaque && !s.bare {
		b = append(b, s.plain...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// appendStored reads a chunk. The results point into raw.
func appendStored(ops []*stored, subject ID, raw []byte) ([]*stored, error) {
	c := &cursor{raw, true}
	for len(c.b) > 0 {
		one := &cursor{c.take(int(c.uvarint(2 * MaxPayload))), true}
		s := &stored{subject: subject}
		copy(s.ref.Log[:], one.take(len(s.ref.Log)))
		s.ref.Seq = one.uvarint(maxClock)
		s.clock = one.uvarint(maxClock)
		flags := one.byte()
		s.opaque, s.bare, s.sealed, s.narrow = flags&1 != 0, flags&2 != 0, flags&4 != 0, flags&8 != 0
		if n := int(one.byte()); n > 0 && n <= len(one.b) {
			s.supersedes = make([]Ref, n)
			for i := range s.supersedes {
				copy(s.supersedes[i].Log[:], one.take(len(s.ref.Log)))
				s.supersedes[i].Seq = one.uvarint(maxClock)
			}
		}
		s.plain = one.b
		if !c.ok || !one.ok {
			return nil, errStore(errors.New("a chunk of ops is damaged"))
		}
		ops = append(ops, s)
	}
	return ops, nil
}
