package oplog

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
)

// batch is a run of ops of one log under one signature: what travels between
// nodes and what frames hold. doc.go has the bytes.
type batch struct {
	log   LogID
	first uint64
	prev  [32]byte // header hash before first; zero at the start of a log
	ops   []record
	sig   [ed25519.SignatureSize]byte

	peeked bool // on the way in it was seen whether a payload opens to more than it may: swells
	swells bool
}

const batchMagic = "WPB\x01"

// Flags in front of each op. A flag this version does not know makes the whole
// batch unreadable: it would change what the bytes behind it mean.
const (
	flagEpoch      = 1 << iota // compartment, area and epoch follow
	flagSalt                   // a salt follows
	flagSupersedes             // references follow
	flagBare                   // the payload is gone: its digest stands in its place, and no salt
	flagsKnown     = flagEpoch | flagSalt | flagSupersedes | flagBare
)

var errBatch = errors.New("batch is malformed")

func (b *batch) last() uint64 { return b.first + uint64(len(b.ops)) - 1 }

// link computes the hashes of all ops from prev on.
func (b *batch) link() {
	var buf []byte
	prev := b.prev
	for i := range b.ops {
		buf = b.ops[i].link(prev, buf)
		prev = b.ops[i].hash
	}
}

// message is what sig must sign; link was called before.
func (b *batch) message(deployment [16]byte) []byte {
	return headMessage(deployment, b.log, b.last(), b.ops[len(b.ops)-1].hash)
}

// from drops the ops below seq, which lies inside the batch; link was called before.
func (b *batch) from(seq uint64) *batch {
	if seq <= b.first {
		return b
	}
	n := seq - b.first
	return &batch{log: b.log, first: seq, prev: b.ops[n-1].hash, ops: b.ops[n:], sig: b.sig}
}

// encode appends the batch to dst.
func (b *batch) encode(dst []byte) []byte {
	dst = append(dst, batchMagic...)
	dst = append(dst, b.log[:]...)
	dst = binary.AppendUvarint(dst, b.first)
	dst = append(dst, b.prev[:]...)
	dst = binary.AppendUvarint(dst, uint64(len(b.ops)))
	before := record{}
	for i := range b.ops {
		dst = b.ops[i].encode(dst, &before)
		salt := before.salt
		if before = b.ops[i]; before.bare {
			before.salt = salt // it carries none, so the next one follows the last that was said
		}
	}
	return append(dst, b.sig[:]...)
}

func (r *record) encode(dst []byte, before *record) []byte {
	var flags byte
	if r.comp != before.comp || r.area != before.area || r.epoch != before.epoch {
		flags |= flagEpoch
	}
	if r.bare {
		flags |= flagBare
	} else if r.salt != before.salt {
		flags |= flagSalt
	}
	if len(r.supersedes) > 0 {
		flags |= flagSupersedes
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, r.clock-before.clock)
	dst = append(dst, r.subject[:]...)
	if flags&flagEpoch != 0 {
		dst = append(dst, byte(r.comp))
		dst = binary.AppendUvarint(dst, uint64(r.area))
		dst = binary.AppendUvarint(dst, uint64(r.epoch))
	}
	if flags&flagSalt != 0 {
		dst = append(dst, r.salt[:]...)
	}
	if flags&flagSupersedes != 0 {
		dst = append(dst, byte(len(r.supersedes)))
		for _, s := range r.supersedes {
			dst = appendSupersedes(dst, r.ref, s)
		}
	}
	if r.bare {
		return append(dst, r.digest[:]...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.payload)))
	return append(dst, r.payload...)
}

// appendSupersedes writes how far back in the own log s lies, or 0, the other
// log and the sequence there.
func appendSupersedes(dst []byte, own, s Ref) []byte {
	if s.Log == own.Log && s.Seq < own.Seq {
		return binary.AppendUvarint(dst, own.Seq-s.Seq)
	}
	dst = append(dst, 0)
	dst = append(dst, s.Log[:]...)
	return binary.AppendUvarint(dst, s.Seq)
}

// cursor reads bytes that may be anything. After the first bad read every
// further one gives zeros and ok is false.
type cursor struct {
	b  []byte
	ok bool
}

func (c *cursor) take(n int) []byte {
	if !c.ok || n < 0 || n > len(c.b) {
		c.ok = false
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

// uvarint reads a number of at most max in its shortest spelling.
func (c *cursor) uvarint(max uint64) uint64 {
	v, n := binary.Uvarint(c.b)
	if !c.ok || n <= 0 || v > max || (n > 1 && c.b[n-1] == 0) {
		c.ok = false
		return 0
	}
	c.b = c.b[n:]
	return v
}

// parseBatch reads exactly one batch. It checks form only; payloads point into
// raw. The result's ops are not linked yet.
func parseBatch(raw []byte) (*batch, error) {
	if len(raw) > MaxBatchBytes {
		return nil, errBatch
	}
	c := &cursor{raw, true}
	b := &batch{}
	magic := c.take(len(batchMagic))
	copy(b.log[:], c.take(len(b.log)))
	b.first = c.uvarint(maxClock)
	copy(b.prev[:], c.take(len(b.prev)))
	n := c.uvarint(MaxBatchOps)
	if !c.ok || string(magic) != batchMagic || b.first == 0 || n == 0 || (b.first == 1) != (b.prev == [32]byte{}) {
		return nil, errBatch
	}
	// An op takes at least 13 bytes, so a short batch cannot ask for a long slice.
	if n > uint64(len(c.b))/13 {
		return nil, errBatch
	}
	b.ops = make([]record, n)
	before := &record{}
	for i := range b.ops {
		r := &b.ops[i]
		r.ref = Ref{Log: b.log, Seq: b.first + uint64(i)}
		r.decode(c, before)
		before = r
	}
	copy(b.sig[:], c.take(len(b.sig)))
	if !c.ok || len(c.b) != 0 {
		return nil, errBatch
	}
	return b, nil
}

func (r *record) decode(c *cursor, before *record) {
	flags := c.byte()
	step := c.uvarint(maxClock)
	r.clock = before.clock + step
	copy(r.subject[:], c.take(len(r.subject)))
	if r.readFields(c, flags, before); !c.ok {
		return
	}
	if r.bare = flags&flagBare != 0; r.bare {
		copy(r.digest[:], c.take(len(r.digest)))
	} else {
		r.payload = c.take(int(c.uvarint(maxSealed)))
	}
	c.ok = c.ok && r.sound(flags, step)
}

// sound reports whether a decoded op is one.
func (r *record) sound(flags byte, step uint64) bool {
	// What lies open is never taken away; and what stands for a payload has no salt.
	wrong := r.comp == Deployment && (r.bare || r.salt != [16]byte{}) || r.bare && flags&flagSalt != 0
	return flags&^byte(flagsKnown) == 0 && step != 0 && r.clock <= maxClock && r.comp != 0 && !wrong
}

func takeSupersedes(c *cursor, own Ref) Ref {
	back := c.uvarint(maxClock)
	if back == 0 {
		var s Ref
		copy(s.Log[:], c.take(len(s.Log)))
		s.Seq = c.uvarint(maxClock)
		return s
	}
	if back >= own.Seq {
		c.ok = false
		return Ref{}
	}
	return Ref{Log: own.Log, Seq: own.Seq - back}
}
