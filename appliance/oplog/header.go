package oplog

import (
	"crypto/sha256"
	"encoding/binary"
)

// Limits of the format. Everything that arrives from elsewhere is held against
// them before memory is taken.
const (
	MaxPayload    = 64 << 10 // bytes of one op's payload before compression
	MaxSupersedes = 255      // references in one op
	MaxBatchOps   = 1000     // ops under one signature, and ops of one command
	MaxBatchBytes = 1 << 20  // encoded size of one batch

	// maxSealed is a payload as it is stored: form byte, incompressible content, tag.
	maxSealed = MaxPayload + 1 + 16
	// farClock is a logical clock no honest node reaches by counting. Ops beyond
	// it are kept like any other (refusing one would stop its log), but they do
	// not pull the own clock along, so one bad node cannot use up the numbers.
	farClock = 1 << 48
	maxClock = 1<<63 - 1
)

// record is one op as it is chained, signed and carried: header and sealed payload.
type record struct {
	ref        Ref
	prev       [32]byte
	clock      uint64
	subject    ID
	supersedes []Ref
	comp       Compartment
	area       uint16
	epoch      uint32
	salt       [16]byte // zero in the Deployment compartment
	payload    []byte   // sealed, except in the Deployment compartment
	bare       bool     // the payload is gone; digest was carried in its place
	digest     [32]byte // hash of salt and payload
	hash       [32]byte // hash of the header
}

// appendHead writes the header fields that are bound to a payload as
// associated data: all of them but the previous hash and the payload's own.
func (r *record) appendHead(b []byte) []byte {
	b = append(b, r.ref.Log[:]...)
	b = binary.BigEndian.AppendUint64(b, r.ref.Seq)
	b = binary.BigEndian.AppendUint64(b, r.clock)
	b = append(b, r.subject[:]...)
	b = append(b, byte(r.comp))
	b = binary.BigEndian.AppendUint16(b, r.area)
	b = binary.BigEndian.AppendUint32(b, r.epoch)
	b = append(b, byte(len(r.supersedes)))
	for _, s := range r.supersedes {
		b = append(b, s.Log[:]...)
		b = binary.BigEndian.AppendUint64(b, s.Seq)
	}
	return b
}

// link computes both hashes; prev, salt and payload must be set, or digest where
// the payload is gone. buf is scratch.
func (r *record) link(prev [32]byte, buf []byte) []byte {
	r.prev = prev
	buf = buf[:0]
	if r.comp != Deployment {
		buf = append(buf, r.salt[:]...)
	}
	buf = append(buf, r.payload...)
	if !r.bare {
		r.digest = sha256.Sum256(buf)
	}
	buf = append(buf[:0], "wpo1"...)
	buf = r.appendHead(buf)
	buf = append(buf, r.prev[:]...)
	buf = append(buf, r.digest[:]...)
	r.hash = sha256.Sum256(buf)
	return buf
}

// headMessage is what a node signs at the end of a batch.
func headMessage(deployment [16]byte, log LogID, seq uint64, hash [32]byte) []byte {
	b := append([]byte("waypost/head/1"), deployment[:]...)
	b = append(b, log[:]...)
	b = binary.BigEndian.AppendUint64(b, seq)
	return append(b, hash[:]...)
}
