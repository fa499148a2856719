package bundle

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// What a record is.
const (
	recordHead  = 1 // what the bundle is: a head in CBOR
	recordHas   = 2 // which pieces the writer holds: the first 8 bytes of each id
	recordBatch = 3 // a batch of ops, as oplog.Log.Range made it
	recordPiece = 4 // a sealed piece of a photo or file
	recordSeal  = 5 // the writer's signature over all before; ends a part
)

const (
	version     = 1
	recordFront = 1 + 4 // kind, length
	prefixSize  = 8
	// Limits of what is read, before anything is taken.
	maxHead   = 4 << 20
	maxHas    = 1 << 20
	maxPiece  = 256<<10 + 16
	maxPart   = 9 << 20 // all records of a part: the first has a head and what its writer holds
	maxMarks  = 1 << 16
	maxPieces = 1 << 19 // ids of pieces that are told
	// A part that is written is closed when it is so long: of a file that is cut the parts
	// before the cut are used.
	fullPart = 256 << 10

	sealPurpose = "waypost/bundle-part/1"
	sumPurpose  = "waypost/bundle/1"
)

// limit is the longest body of a record; -1 for a kind that is not known.
func limit(kind byte) int {
	switch kind {
	case recordHead:
		return maxHead
	case recordHas:
		return maxHas
	case recordBatch:
		return oplog.MaxBatchBytes
	case recordPiece:
		return maxPiece
	case recordSeal:
		return ed25519.SignatureSize + 1
	}
	return -1
}

// head says who wrote a bundle, for whom, what is in it and what its writer holds.
type head struct {
	_       struct{} `cbor:",toarray"`
	Version uint
	Cert    []byte // of the node that wrote it
	For     []byte // id of the node it is for; empty for any
	Stamp   uint64 // only grows: of two bundles of one node the higher is the newer
	Ops     uint64 // how many are in it
	Pieces  uint64
	Marks   []mark // how far the writer holds each log, by log
}

type mark struct {
	_    struct{} `cbor:",toarray"`
	Log  oplog.LogID
	Seq  uint64
	Hash []byte // the first 16 bytes of the header's hash
}

var (
	encMode = mustEnc()
	decMode = mustDec()
)

func mustEnc() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // constant options
	}
	return m
}

func mustDec() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 4, MaxArrayElements: maxMarks, UTF8: cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		panic(err) // constant options
	}
	return m
}

// encode cannot fail: only this package's own plain types are given to it.
func encode(v any) []byte {
	b, err := encMode.Marshal(v)
	if err != nil {
		panic("bundle: " + err.Error())
	}
	return b
}

var (
	errHead    = errors.New("bundle: the head is malformed")
	errVersion = errors.New("bundle: a version that is not known here")
)

// parseHead reads what encode(head) wrote and nothing else.
func parseHead(raw []byte) (head, identity.NodeCert, error) {
	var h head
	var first struct {
		_       struct{} `cbor:",toarray"`
		Version uint
	}
	if len(raw) > maxHead {
		return h, identity.NodeCert{}, errHead
	}
	if err := decMode.Unmarshal(raw, &h); err != nil {
		// A later version may have more in it; its number stays the first item.
		var items []cbor.RawMessage
		if decMode.Unmarshal(raw, &items) == nil && len(items) > 0 && decMode.Unmarshal(items[0], &first.Version) == nil && first.Version > version {
			return h, identity.NodeCert{}, errVersion
		}
		return h, identity.NodeCert{}, errHead
	}
	if h.Version > version {
		return h, identity.NodeCert{}, errVersion
	}
	cert, err := identity.ParseNodeCert(h.Cert)
	if err != nil || h.Version != version || !slices.Equal(encode(h), raw) {
		return h, cert, errHead
	}
	if n := len(h.For); n != 0 && n != len(identity.NodeID{}) {
		return h, cert, errHead
	}
	for i, m := range h.Marks {
		if len(m.Hash) != 16 || m.Seq == 0 || i > 0 && slices.Compare(h.Marks[i-1].Log[:], m.Log[:]) >= 0 {
			return h, cert, errHead
		}
	}
	return h, cert, nil
}

// reader is the node a bundle is for; zero for any.
func (h head) reader() (id identity.NodeID) {
	copy(id[:], h.For)
	return id
}

// chain is the sum that every record adds to, so that none can be changed, left out or
// moved. It is that of a backup.
type chain [32]byte

// begin is the sum of all that comes before the records.
func begin(deployment [16]byte, front []byte) chain {
	h := sha256.New()
	h.Write([]byte(sumPurpose))
	h.Write(deployment[:])
	h.Write(front)
	return chain(h.Sum(nil))
}

func (c chain) next(kind byte, body []byte) chain {
	h := sha256.New()
	h.Write(c[:])
	var b [recordFront]byte
	b[0] = kind
	binary.BigEndian.PutUint32(b[1:], uint32(len(body))) //nolint:gosec // bounded by limit
	h.Write(b[:])
	h.Write(body)
	return chain(h.Sum(nil))
}

// message is what the writer signs at the end of a part.
func (c chain) message(deployment [16]byte, part uint32, last byte) []byte {
	b := append([]byte(sealPurpose), deployment[:]...)
	b = binary.BigEndian.AppendUint32(b, part)
	b = append(b, last)
	return append(b, c[:]...)
}
