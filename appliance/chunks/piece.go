package chunks

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/fault"
)

// PieceSize is how much of a file one piece holds, in bytes; the last one holds less.
const PieceSize = 256 << 10

// MaxSealed is the longest sealed piece.
const MaxSealed = PieceSize + chacha20poly1305.Overhead

// MaxFile is the largest file, in bytes: what names it has to fit into one op.
const MaxFile = 32 << 20

// ID names a piece: SHA-256 of its sealed bytes. It is an alias so that the mesh can
// carry pieces without knowing this package.
type ID = [32]byte

// Name is an id as text, for logs and file names.
func Name(id ID) string { return hex.EncodeToString(id[:]) }

// Piece says where a part of a file lies and how it opens.
type Piece struct {
	ID   [32]byte `cbor:"1,keyasint"`
	Key  [32]byte `cbor:"2,keyasint"`
	Size uint32   `cbor:"3,keyasint"` // opened
}

// File is what an op says about a photo or a file. It holds the keys, so it belongs
// into a sealed payload and nowhere else. CBOR numbers are stored.
type File struct {
	Type   string   `cbor:"1,keyasint"` // media type
	Size   uint64   `cbor:"2,keyasint"` // opened, in bytes
	Sum    [32]byte `cbor:"3,keyasint"` // SHA-256 of the content
	Pieces []Piece  `cbor:"4,keyasint"`
}

// String keeps fmt and loggers from printing keys.
func (f File) String() string { return "file of " + f.Type }

// IDs are the pieces of f in order.
func (f File) IDs() []ID {
	out := make([]ID, len(f.Pieces))
	for i, p := range f.Pieces {
		out[i] = p.ID
	}
	return out
}

// Cut seals content in pieces. sealed[i] belongs to f.Pieces[i]. Fault: TooLarge
// "fault.chunks.too_large".
func Cut(content []byte, mediaType string) (f File, sealed [][]byte, err error) {
	if len(content) > MaxFile {
		return File{}, nil, fault.New(fault.TooLarge, "fault.chunks.too_large", "Megabytes", MaxFile>>20)
	}
	f = File{Type: mediaType, Size: uint64(len(content)), Sum: sha256.Sum256(content)}
	for len(content) > 0 {
		n := min(len(content), PieceSize)
		p := Piece{Size: uint32(n)}
		_, _ = rand.Read(p.Key[:]) // never fails since Go 1.24
		b, err := seal(p.Key, content[:n])
		if err != nil {
			return File{}, nil, err
		}
		p.ID = sha256.Sum256(b)
		f.Pieces, sealed, content = append(f.Pieces, p), append(sealed, b), content[n:]
	}
	return f, sealed, nil
}

// The key is used once, so the nonce may be zero.
var (
	noNonce = make([]byte, chacha20poly1305.NonceSizeX)
	bound   = []byte("waypost/chunk/1")
)

func seal(key [32]byte, plain []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return nil, fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	return aead.Seal(make([]byte, 0, len(plain)+aead.Overhead()), noNonce, plain, bound), nil
}

var errPiece = errors.New("a piece does not open to what its op says")

// join opens the pieces of f and checks that they make the file it names.
func (f File) join(sealed [][]byte) ([]byte, error) {
	out := make([]byte, 0, min(f.Size, MaxFile))
	for i, p := range f.Pieces {
		aead, err := chacha20poly1305.NewX(p.Key[:])
		if err != nil {
			return nil, err
		}
		before := len(out)
		if out, err = aead.Open(out, noNonce, sealed[i], bound); err != nil || len(out)-before != int(p.Size) {
			return nil, errPiece
		}
	}
	if uint64(len(out)) != f.Size || sha256.Sum256(out) != f.Sum {
		return nil, errPiece
	}
	return out, nil
}

// Sound reports whether f can be a file of ours: what an op from elsewhere says is
// not believed beyond that.
func (f File) Sound() bool {
	return f.Size <= MaxFile && len(f.Pieces) <= MaxFile/PieceSize
}
