package oplog

import (
	"crypto/ed25519"
	"errors"
)

// Outline is what whoever holds no keys can tell of a batch after Inspect: which ops of
// which log they are, how they hang together, and who signed.
type Outline struct {
	Log         LogID
	First, Last uint64
	Prev        [32]byte // hash of the op before First; zero at the start of a log
	Hash        [32]byte // hash of the op Last
	Key         ed25519.PublicKey

	hashes [][32]byte
}

// HashAt is the hash of one op of the batch; false for an op that is not in it.
func (o Outline) HashAt(seq uint64) (hash [32]byte, ok bool) {
	if seq < o.First || seq > o.Last {
		return hash, false
	}
	return o.hashes[seq-o.First], true
}

// Inspect verifies one batch as Merge does, with public keys alone: form, limits, the hash
// chain inside it and the signature of its log, whose key is known or comes from the
// birth in the batch itself. key is nil for a log nobody has seen; born checks the body of
// such a log's first op (Authority.LogKey). What needs the journal is left to the caller:
// whether the batch continues what is held. What needs other keys is left to Merge: whether
// the payloads open. Faults: Invalid "fault.oplog.bad_batch", Denied "fault.oplog.stranger",
// Conflict "fault.oplog.gap" for the middle of a log nobody has seen.
func Inspect(deployment [16]byte, born func(log LogID, birth []byte) (ed25519.PublicKey, error), key ed25519.PublicKey, raw []byte) (Outline, error) {
	b, err := parseBatch(raw)
	if err != nil {
		return Outline{}, errBadBatch(err)
	}
	if key == nil {
		if b.first != 1 {
			return Outline{}, errGap(b.log, 0, b.first)
		}
		if key, err = birthKey(public{deployment, born}, b); err != nil {
			return Outline{}, asBatchFault(err)
		}
	}
	b.link()
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, b.message(deployment), b.sig[:]) {
		return Outline{}, errBadBatch(errors.New("signature does not match"))
	}
	o := Outline{Log: b.log, First: b.first, Last: b.last(), Prev: b.prev, Key: key, hashes: make([][32]byte, len(b.ops))}
	for i := range b.ops {
		o.hashes[i] = b.ops[i].hash
	}
	o.Hash = o.hashes[len(o.hashes)-1]
	return o, nil
}

// BatchLog is the log a batch says it is of, before anything about it is checked; false for
// what is no batch.
func BatchLog(raw []byte) (log LogID, ok bool) {
	c := &cursor{raw, true}
	magic := c.take(len(batchMagic))
	copy(log[:], c.take(len(log)))
	return log, c.ok && string(magic) == batchMagic
}

// public is the Authority of somebody who has no keys.
type public struct {
	deployment [16]byte
	born       func(LogID, []byte) (ed25519.PublicKey, error)
}

func (p public) Deployment() [16]byte { return p.deployment }
func (p public) LogKey(log LogID, birth []byte) (ed25519.PublicKey, error) {
	return p.born(log, birth)
}
func (public) CompartmentKey(Compartment, uint16, uint32) (key [32]byte, ok bool) { return key, false }
func (public) CurrentEpoch(Compartment) (area uint16, epoch uint32)               { return 0, 0 }
func (public) Birth([16]byte) (log LogID, body []byte)                            { return log, nil }
func (public) SignHead([]byte) []byte                                             { return nil }

// Known is a log as far as it is held, and the key its heads are signed with.
type Known struct {
	Head
	Key ed25519.PublicKey
}

// Known lists the logs that are held, as Heads does, with their keys; a log whose birth
// was lost to damage is left out.
func (l *Log) Known() []Known {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var out []Known
	for _, h := range l.headsLocked() {
		if key := l.chains[h.Log].key; len(key) == ed25519.PublicKeySize {
			out = append(out, Known{Head: h, Key: key})
		}
	}
	return out
}
