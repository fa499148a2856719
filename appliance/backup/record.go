package backup

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/oplog"
)

// What a record is.
const (
	recordPiece   = 1
	recordSummary = 2
	recordSeal    = 3
)

const (
	pieceSize   = 1 << 20
	maxBody     = 8 << 20 // a summary with many logs; pieces stay far below
	recordHead  = 1 + 4
	sealPurpose = "waypost/backup/1"
	maxPath     = 4096
)

// piece is a part of one file.
type piece struct {
	meta
	data []byte
}

// meta goes before a piece's data.
type meta struct {
	_      struct{} `cbor:",toarray"`
	Path   string
	Offset int64
	Last   bool // the file ends with this piece
}

// summary says what the pieces add up to.
type summary struct {
	_          struct{} `cbor:",toarray"`
	Deployment string
	Site       string
	Files      uint64
	Bytes      uint64
	Ops        uint64
	Heads      []head
}

type head struct {
	_    struct{} `cbor:",toarray"`
	Log  oplog.LogID
	Seq  uint64
	Hash [32]byte
}

// chain is the sum that every record adds to, so that none can be changed, left out
// or moved.
type chain [32]byte

func (c chain) next(kind byte, body []byte) chain {
	h := sha256.New()
	h.Write(c[:])
	var b [recordHead]byte
	b[0] = kind
	binary.BigEndian.PutUint32(b[1:], uint32(len(body)))
	h.Write(b[:])
	h.Write(body)
	return chain(h.Sum(nil))
}

// seal is what the node signs.
func (c chain) seal(deployment [16]byte) []byte {
	b := append([]byte(sealPurpose), deployment[:]...)
	return append(b, c[:]...)
}

// appendRecord frames body and moves the chain on.
func (c *chain) appendRecord(out []byte, kind byte, body []byte) []byte {
	*c = c.next(kind, body)
	out = append(out, kind)
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)))
	out = append(out, body...)
	return append(out, c[:]...)
}

// sealed encrypts plain for the pieces' key.
func sealed(to age.Recipient, parts ...[]byte) ([]byte, error) {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	out := bytes.NewBuffer(make([]byte, 0, size+size/1024+1024))
	w, err := age.Encrypt(out, to)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func unsealed(key age.Identity, body []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(body), key)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func sealPiece(to age.Recipient, p piece) ([]byte, error) {
	m := encode(p.meta)
	return sealed(to, binary.BigEndian.AppendUint16(nil, uint16(len(m))), m, p.data)
}

var errPiece = errors.New("backup: a piece is malformed")

func openPiece(key age.Identity, body []byte) (piece, error) {
	plain, err := unsealed(key, body)
	if err != nil {
		return piece{}, err
	}
	if len(plain) < 2 {
		return piece{}, errPiece
	}
	n := int(binary.BigEndian.Uint16(plain))
	if len(plain) < 2+n || len(plain)-2-n > pieceSize {
		return piece{}, errPiece
	}
	var p piece
	if err := decMode.Unmarshal(plain[2:2+n], &p.meta); err != nil {
		return piece{}, err
	}
	p.data = plain[2+n:]
	if p.Offset < 0 || !sanePath(p.Path) {
		return piece{}, errPiece
	}
	return p, nil
}

// reader walks the records of a file from its first byte to its last.
type reader struct {
	r     io.Reader
	front front
	sum   chain
	at    int64 // where the next record begins
	buf   []byte
}

func newReader(r io.Reader) (*reader, error) {
	f, err := readFront(r)
	if err != nil {
		return nil, err
	}
	return &reader{r: r, front: f, sum: f.sum, at: f.size}, nil
}

// next reads one record. body is good until the next call. Faults: Invalid
// "fault.backup.cut" where the file ends, "fault.backup.damaged", Unavailable
// "fault.backup.cannot_read".
func (r *reader) next() (kind byte, body []byte, err error) {
	var h [recordHead]byte
	if _, err := io.ReadFull(r.r, h[:]); ended(err) {
		return 0, nil, fault.New(fault.Invalid, "fault.backup.cut").Wrap(err)
	} else if err != nil {
		return 0, nil, readFault(err)
	}
	n := int(binary.BigEndian.Uint32(h[1:]))
	if n > maxBody {
		return 0, nil, damaged(r.at, fmt.Errorf("a record of %d bytes", n))
	}
	if need := n + sha256.Size; cap(r.buf) < need {
		r.buf = make([]byte, need+need/8)
	}
	b := r.buf[:n+sha256.Size]
	if _, err := io.ReadFull(r.r, b); ended(err) {
		return 0, nil, fault.New(fault.Invalid, "fault.backup.cut").Wrap(err)
	} else if err != nil {
		return 0, nil, readFault(err)
	}
	sum := r.sum.next(h[0], b[:n])
	if !bytes.Equal(sum[:], b[n:]) {
		return 0, nil, damaged(r.at, errors.New("checksum"))
	}
	r.sum = sum
	r.at += int64(recordHead + len(b))
	return h[0], b[:n], nil
}

// finish checks the seal over before, the sum of the summary, and that nothing follows.
func (r *reader) finish(before chain, signature []byte) error {
	if len(signature) != ed25519.SignatureSize || !ed25519.Verify(r.front.cert.Public[:], before.seal(r.front.deployment()), signature) {
		return fault.New(fault.Denied, "fault.backup.forged")
	}
	var one [1]byte
	switch _, err := io.ReadFull(r.r, one[:]); {
	case err == nil:
		return damaged(r.at, errors.New("something follows the end"))
	case errors.Is(err, io.EOF):
		return nil
	default:
		return readFault(err)
	}
}
