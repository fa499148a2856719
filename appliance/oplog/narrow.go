package oplog

import (
	"bytes"
	"slices"
)

// An op of the Narrow compartment hides what it is. Whoever appends it has sealed it
// already, so that neither this node nor whoever holds its keys can read it; its header
// says a subject that is a random id, and nothing else. Its payload has one of few sizes.
//
// It has no actor, no wall time and no idempotency key here: what a desk wants to know it
// puts inside. It cannot be carried inside another op either (carried.go): where its log
// parted or lost it, it is written again as it is, and may then be there twice. Whoever
// opens it drops doubles by its bytes.

// Sealed is the kind every op of the Narrow compartment has for views: its body is the
// ciphertext, a []byte of a size in SealedSizes.
var Sealed = NewKind[[]byte]("sealed", 1, Narrow)

// sealedSizes are the sizes a payload of the Narrow compartment may have.
var sealedSizes = []int{1 << 10, 4 << 10, 16 << 10, 64 << 10}

// SealedSizes lists the sizes in bytes that AppendSealed takes, from the smallest.
func SealedSizes() []int { return slices.Clone(sealedSizes) }

// AppendSealed adds a sealed payload to a subject and returns its place. The payload's
// length is one of SealedSizes. subject is an id that was drawn for it and stands for
// nothing else. Faults as Append; Internal for another length.
func (t *Tx) AppendSealed(subject ID, payload []byte) (Ref, error) {
	ref, err := t.appendSealed(subject, payload)
	if err != nil && t.err == nil {
		t.err = err
	}
	return ref, err
}

func (t *Tx) appendSealed(subject ID, payload []byte) (Ref, error) {
	if t.over {
		return Ref{}, errInternal("a command's transaction was used after its end")
	}
	if _, known := t.g.l.engine.kinds[Sealed.id()]; !known {
		return Ref{}, errInternal("kind " + Sealed.name + " was not declared in Options")
	}
	if !slices.Contains(sealedSizes, len(payload)) {
		return Ref{}, errInternal("a sealed payload of another size")
	}
	plain, err := narrowContent(payload)
	if err != nil {
		return Ref{}, errInternal("payload")
	}
	return t.place(Narrow, subject, plain, nil)
}

// narrowContent is what the views keep of a payload nobody here opens: content like any
// other, by nobody and at no time.
func narrowContent(payload []byte) ([]byte, error) {
	body, err := encMode.Marshal(payload)
	if err != nil {
		return nil, err
	}
	return encMode.Marshal(content{Kind: Sealed.name, Version: Sealed.version, Unsure: true, Body: body})
}

// ciphertextIn is the payload in what narrowContent made.
func ciphertextIn(plain []byte) (payload []byte, ok bool) {
	c, err := decodeContent(plain)
	if err != nil || decMode.Unmarshal(c.Body, &payload) != nil {
		return nil, false
	}
	again, err := narrowContent(payload)
	return payload, err == nil && bytes.Equal(again, plain) && slices.Contains(sealedSizes, len(payload))
}

// openNarrow is openPayload for the Narrow compartment. A header that says more than it
// may, or another size, is no such op: it is kept and forwarded, and not understood.
func openNarrow(r *record) ([]byte, error) {
	if r.area != 0 || r.epoch != 0 || len(r.supersedes) > 0 || !slices.Contains(sealedSizes, len(r.payload)) {
		return nil, errPayload
	}
	return narrowContent(r.payload)
}
