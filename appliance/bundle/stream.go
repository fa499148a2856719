package bundle

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// What follows the front is a stream in chunks that are all equally long, so that from
// outside nothing shows where a record begins: the STREAM construction (Hoang, Reyhanitabar,
// Rogaway and Vizár, 2015), as age has it. The key is used for one file.

const (
	chunkSize   = 64 << 10
	chunkSealed = chunkSize + chacha20poly1305.Overhead
)

// nonce is 3 zeros, the number of the chunk (8), and whether it is the last (1).
func nonce(n uint64, last bool) []byte {
	b := make([]byte, chacha20poly1305.NonceSize)
	binary.BigEndian.PutUint64(b[3:], n)
	if last {
		b[11] = 1
	}
	return b
}

// chunkWriter seals what is written to it. It holds one chunk.
type chunkWriter struct {
	out  io.Writer
	aead cipher.AEAD
	id   []byte
	n    uint64
	buf  []byte
}

func newChunkWriter(out io.Writer, id [idSize]byte, key [keySize]byte) (*chunkWriter, error) {
	a, err := chacha20poly1305.New(key[:])
	if err != nil {
		return nil, err
	}
	return &chunkWriter{out: out, aead: a, id: id[:], buf: make([]byte, 0, chunkSealed)}, nil
}

func (w *chunkWriter) Write(b []byte) (written int, err error) {
	for len(b) > 0 {
		if len(w.buf) == chunkSize { // only now it is known that it is not the last
			if err := w.flush(false); err != nil {
				return written, err
			}
		}
		n := min(len(b), chunkSize-len(w.buf))
		w.buf = append(w.buf, b[:n]...)
		b, written = b[n:], written+n
	}
	return written, nil
}

// Close fills the last chunk with zeros and writes it.
func (w *chunkWriter) Close() error {
	w.buf = append(w.buf, make([]byte, chunkSize-len(w.buf))...)
	return w.flush(true)
}

func (w *chunkWriter) flush(last bool) error {
	_, err := w.out.Write(w.aead.Seal(w.buf[:0], nonce(w.n, last), w.buf, w.id))
	w.n++
	w.buf = w.buf[:0]
	return err
}

// errChunk says that a chunk is not what was written.
var errChunk = errors.New("bundle: a chunk is damaged")

// chunkReader opens what a chunkWriter sealed. It gives no byte of a chunk that is not
// whole: a file that is cut gives io.ErrUnexpectedEOF behind its last whole chunk, one that
// was changed errChunk.
type chunkReader struct {
	in    io.Reader
	aead  cipher.AEAD
	id    []byte
	n     uint64
	buf   []byte // sealed
	open  []byte // opened
	plain []byte // what of that was not read yet
	last  bool
	err   error
}

func newChunkReader(in io.Reader, id [idSize]byte, key [keySize]byte) (*chunkReader, error) {
	a, err := chacha20poly1305.New(key[:])
	if err != nil {
		return nil, err
	}
	return &chunkReader{in: in, aead: a, id: id[:], buf: make([]byte, chunkSealed), open: make([]byte, 0, chunkSize)}, nil
}

func (r *chunkReader) Read(b []byte) (int, error) {
	if len(r.plain) == 0 {
		if r.err == nil {
			r.err = r.fill()
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	n := copy(b, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// fill opens the next chunk; io.EOF behind the last.
func (r *chunkReader) fill() error {
	if r.last {
		var one [1]byte
		switch _, err := io.ReadFull(r.in, one[:]); {
		case err == nil:
			return errChunk // something follows the end
		case errors.Is(err, io.EOF):
			return io.EOF
		default:
			return err
		}
	}
	if _, err := io.ReadFull(r.in, r.buf); ended(err) {
		return io.ErrUnexpectedEOF
	} else if err != nil {
		return err
	}
	opened, err := r.aead.Open(r.open, nonce(r.n, false), r.buf, r.id)
	if err != nil {
		if opened, err = r.aead.Open(r.open, nonce(r.n, true), r.buf, r.id); err != nil {
			return errChunk
		}
		r.last = true
	}
	r.n++
	r.plain = opened
	return nil
}
