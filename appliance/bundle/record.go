package bundle

import (
	"crypto"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/waypost/waypost/appliance/identity"
)

// recorder writes records and closes parts with the writer's signature.
type recorder struct {
	out        io.Writer
	sum        chain
	deployment [16]byte
	signer     crypto.Signer
	part       uint32
	size       int // of the part so far, in bytes
}

func (w *recorder) record(kind byte, body []byte) error {
	w.sum = w.sum.next(kind, body)
	front := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body))) //nolint:gosec // bounded by limit
	if _, err := w.out.Write(front); err != nil {
		return err
	}
	w.size += len(front) + len(body)
	_, err := w.out.Write(body)
	return err
}

// seal ends a part. The last one ends the bundle.
func (w *recorder) seal(last bool) error {
	end := byte(0)
	if last {
		end = 1
	}
	signature, err := w.signer.Sign(nil, w.sum.message(w.deployment, w.part, end), crypto.Hash(0))
	if err != nil {
		return err
	}
	err = w.record(recordSeal, append([]byte{end}, signature...))
	w.part++
	w.size = 0
	return err
}

// record1 is one record of a part.
type record1 struct {
	kind byte
	body []byte
}

// errRecords says that records are not what a writer of ours makes; errSigned that a part
// is not signed by the node it names.
var (
	errRecords = errors.New("bundle: the records are malformed")
	errSigned  = errors.New("bundle: a part is not signed by its writer")
)

// parts reads records, one signed part at a time. It holds at most maxPart and one record.
type parts struct {
	in         io.Reader
	sum        chain
	deployment [16]byte
	part       uint32
	over       bool
}

// next reads a whole part and checks its signature under the key that check gives, which is
// shown the records of the part before they are believed. It is io.EOF behind the last.
func (p *parts) next(key func([]record1) (ed25519.PublicKey, error)) ([]record1, error) {
	if p.over {
		return nil, p.rest()
	}
	var out []record1
	for size := 0; ; {
		r, err := p.record(&size)
		if err != nil {
			return nil, err
		}
		if r.kind != recordSeal {
			p.sum = p.sum.next(r.kind, r.body)
			out = append(out, r)
			continue
		}
		public, err := key(out)
		if err != nil {
			return nil, err
		}
		last := r.body[0]
		if !ed25519.Verify(public, p.sum.message(p.deployment, p.part, last), r.body[1:]) {
			return nil, errSigned
		}
		p.sum = p.sum.next(r.kind, r.body)
		p.over = last == 1
		p.part++
		return out, nil
	}
}

// record reads one record; size counts what the part has taken.
func (p *parts) record(size *int) (record1, error) {
	var front [recordFront]byte
	if _, err := io.ReadFull(p.in, front[:]); err != nil {
		return record1{}, early(err)
	}
	kind, n := front[0], int64(binary.BigEndian.Uint32(front[1:]))
	if n > int64(limit(kind)) {
		return record1{}, fmt.Errorf("%w: kind %d with %d bytes", errRecords, kind, n)
	}
	if *size += recordFront + int(n); *size > maxPart {
		return record1{}, fmt.Errorf("%w: a part of more than %d bytes", errRecords, maxPart)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(p.in, body); err != nil {
		return record1{}, early(err)
	}
	if kind == recordSeal && (n != ed25519.SignatureSize+1 || body[0] > 1) {
		return record1{}, errRecords
	}
	return record1{kind, body}, nil
}

// early is for a stream that ended in the middle: io.EOF there means that the last chunk
// came before the last part was closed.
func early(err error) error {
	if errors.Is(err, io.EOF) {
		return errRecords
	}
	return err
}

// rest reads the zeros that fill the last chunk, and nothing else.
func (p *parts) rest() error {
	b := make([]byte, 4096)
	for left := chunkSize; ; {
		n, err := p.in.Read(b)
		for _, c := range b[:n] {
			if c != 0 {
				return errRecords
			}
		}
		if left -= n; left < 0 {
			return errRecords
		}
		if err != nil {
			return err // io.EOF where all is well
		}
	}
}

// firstPart is the head of a bundle with what its writer holds.
type firstPart struct {
	head
	cert identity.NodeCert
	has  []byte // the first 8 bytes of the ids of its pieces, one after the other
}

// parseFirst reads the records of the first part.
func parseFirst(records []record1) (f firstPart, err error) {
	if len(records) == 0 || records[0].kind != recordHead {
		return f, errRecords
	}
	if f.head, f.cert, err = parseHead(records[0].body); err != nil {
		return f, err
	}
	for _, r := range records[1:] {
		if r.kind != recordHas || len(r.body)%prefixSize != 0 || len(f.has)+len(r.body) > maxPieces*prefixSize {
			return f, errRecords
		}
		f.has = append(f.has, r.body...)
	}
	return f, nil
}
