package tokens

import (
	"crypto/ed25519"
	"encoding/binary"
)

// What follows is written by hand and not with a CBOR library: it is 60 lines,
// allocates once, and every byte of it is fixed by doc.go. The tests compare it
// with a CBOR library and with a COSE implementation.

// CBOR major types (RFC 8949 section 3.1).
const (
	cborUint  = 0 << 5
	cborNeg   = 1 << 5
	cborBytes = 2 << 5
	cborText  = 3 << 5
	cborArray = 4 << 5
	cborMap   = 5 << 5
	cborTag   = 6 << 5
)

// Claims of the CWT: 4 and 7 are registered (RFC 8392), below -65536 is for
// private use.
const (
	claimExp  = 4
	claimCTI  = 7
	claimKind = -65537
	claimNode = -65538
	tagSign1  = 18 // RFC 9052 section 4.2
)

// head appends an item's first bytes in the shortest form, as deterministic
// encoding (RFC 8949 section 4.2.1) wants it.
func head(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func bytesItem(b, content []byte) []byte {
	return append(head(b, cborBytes, uint64(len(content))), content...)
}

// protected is the protected header {1: -8 (EdDSA), 4: node number}.
func (t Token) protected() []byte {
	b := head(nil, cborMap, 2)
	b = append(b, 0x01, cborNeg|7)
	return bytesItem(append(b, 0x04), binary.BigEndian.AppendUint16(nil, t.Node))
}

// claims is the payload: the CWT in deterministic CBOR.
func (t Token) claims() []byte {
	body := t.body()
	b := head(make([]byte, 0, 48), cborMap, 4)
	b = head(head(b, cborUint, claimExp), cborUint, uint64(t.Expires().Unix()))
	b = bytesItem(head(b, cborUint, claimCTI), body[:])
	b = head(head(b, cborNeg, -1-claimKind), cborUint, uint64(t.Kind))
	return head(head(b, cborNeg, -1-claimNode), cborUint, uint64(t.Node))
}

// message is the COSE Sig_structure that is signed (RFC 9052 section 4.4). It
// begins with 0x84 0x6a "Signature1", so it can never be mistaken for anything
// else a node key signs.
func (t Token) message(deployment [16]byte) []byte {
	const context = "Signature1"
	b := head(make([]byte, 0, 96), cborArray, 4)
	b = append(head(b, cborText, uint64(len(context))), context...)
	b = bytesItem(b, t.protected())
	b = bytesItem(b, deployment[:])
	return bytesItem(b, t.claims())
}

// Sign returns t as a version 1 token with the signature that signer makes over
// the message; signer is pure Ed25519 (RFC 8032) by the key of node t.Node.
func Sign(t Token, deployment [16]byte, signer func(msg []byte) []byte) Token {
	t.Version = version1
	t.Sig = [64]byte{}
	copy(t.Sig[:], signer(t.message(deployment)))
	return t
}

// Verify tells whether key signed t for this deployment. It looks at nothing
// else: not the date, not whether a newer card exists. False for a key of the
// wrong size.
func (t Token) Verify(deployment [16]byte, key ed25519.PublicKey) bool {
	return t.Version == version1 && len(key) == ed25519.PublicKeySize &&
		ed25519.Verify(key, t.message(deployment), t.Sig[:])
}

// Expand writes t as an ordinary tagged COSE_Sign1 message holding a CWT, for
// auditors who want to check a card with software that is not ours. The
// deployment id is the external additional data and is not inside.
func Expand(t Token) []byte {
	b := head(make([]byte, 0, 128), cborTag, tagSign1)
	b = head(b, cborArray, 4)
	b = bytesItem(b, t.protected())
	b = head(b, cborMap, 0)
	b = bytesItem(b, t.claims())
	return bytesItem(b, t.Sig[:])
}
