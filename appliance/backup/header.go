package backup

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"filippo.io/age"
	"github.com/fxamacker/cbor/v2"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/identity"
)

const (
	magic      = "WAYPOSTB"
	format     = 1
	headSize   = len(magic) + 2 + 4
	maxHeader  = 64 << 10
	keyPurpose = "waypost/backup-key/1"
	subkeyName = "backup"
)

// header is what anybody may read: whose backup it is, of when, and what opens it.
type header struct {
	_      struct{} `cbor:",toarray"`
	ID     [16]byte
	Made   int64 // Unix seconds
	Sure   bool  // whether the clock knew
	Root   []byte
	Cert   []byte
	Unlock []byte
	Sealed []byte // nonce ‖ the age identity of the pieces
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
		MaxNestedLevels: 4, MaxArrayElements: 1 << 17, UTF8: cbor.UTF8RejectInvalid,
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
		panic("backup: " + err.Error())
	}
	return b
}

// front is the head of a file with what follows from it.
type front struct {
	header
	cert identity.NodeCert
	sum  [32]byte // begins the chain of records
	size int64    // bytes it takes in the file
}

// newFront draws a backup's id and key and writes its head.
func newFront(k Keys, made time.Time, sure bool) (f front, raw []byte, key *age.X25519Identity, err error) {
	f.header = header{Made: made.Unix(), Sure: sure, Root: k.Root(), Cert: k.Cert().Marshal()}
	_, _ = rand.Read(f.ID[:]) // never fails: crypto/rand ends the process instead
	if f.Unlock, err = k.CopyUnlock(); err != nil {
		return f, nil, nil, err
	}
	if key, err = age.GenerateX25519Identity(); err != nil {
		return f, nil, nil, fault.Of(err)
	}
	aead, err := chacha20poly1305.NewX(new32(k.Subkey(subkeyName)))
	if err != nil {
		return f, nil, nil, fault.Of(err)
	}
	nonce := make([]byte, aead.NonceSize(), 256)
	_, _ = rand.Read(nonce)
	f.Sealed = aead.Seal(nonce, nonce, []byte(key.String()), f.bound())
	body := encode(f.header)
	raw = binary.BigEndian.AppendUint16([]byte(magic), format)
	raw = binary.BigEndian.AppendUint32(raw, uint32(len(body)))
	raw = append(raw, body...)
	f.sum = sha256.Sum256(raw)
	raw = append(raw, f.sum[:]...)
	f.size, f.cert = int64(len(raw)), k.Cert()
	return f, raw, key, nil
}

func new32(k [32]byte) []byte { return k[:] }

// bound ties the sealed key to the rest of the head.
func (h header) bound() []byte {
	b := append([]byte(keyPurpose), h.ID[:]...)
	b = append(b, h.Root...)
	return append(b, h.Cert...)
}

// key opens the key of the pieces.
func (h header) key(subkey [32]byte) (*age.X25519Identity, error) {
	aead, err := chacha20poly1305.NewX(subkey[:])
	if err != nil || len(h.Sealed) < aead.NonceSize() {
		return nil, errHead
	}
	n := aead.NonceSize()
	plain, err := aead.Open(nil, h.Sealed[:n], h.Sealed[n:], h.bound())
	if err != nil {
		return nil, errHead
	}
	defer clear(plain)
	return age.ParseX25519Identity(string(plain))
}

var errHead = errors.New("backup: the head of the file is malformed")

// readFront reads the head of a file that may be anything. Faults: Invalid
// "fault.backup.no_backup", "fault.backup.newer", "fault.backup.damaged".
func readFront(r io.Reader) (front, error) {
	var f front
	head := make([]byte, headSize)
	if _, err := io.ReadFull(r, head); ended(err) {
		return f, fault.New(fault.Invalid, "fault.backup.no_backup").Wrap(err)
	} else if err != nil {
		return f, readFault(err)
	}
	if string(head[:len(magic)]) != magic {
		return f, fault.New(fault.Invalid, "fault.backup.no_backup")
	}
	n := binary.BigEndian.Uint32(head[len(magic)+2:])
	if n > maxHeader {
		return f, damaged(0, errHead)
	}
	rest := make([]byte, int(n)+sha256.Size)
	if _, err := io.ReadFull(r, rest); ended(err) {
		return f, fault.New(fault.Invalid, "fault.backup.cut").Wrap(err)
	} else if err != nil {
		return f, readFault(err)
	}
	body := rest[:n]
	f.sum = sha256.Sum256(append(head, body...))
	if !bytes.Equal(f.sum[:], rest[n:]) {
		return f, damaged(0, errHead)
	}
	if v := binary.BigEndian.Uint16(head[len(magic):]); v != format {
		return f, fault.New(fault.Unsupported, "fault.backup.newer", "Format", int(v))
	}
	f.size = int64(headSize + len(rest))
	return f, f.parse(body)
}

// parse checks the content of a head: the certificate is of the root that is named.
func (f *front) parse(body []byte) error {
	if err := decMode.Unmarshal(body, &f.header); err != nil || !bytes.Equal(encode(f.header), body) || len(f.Root) != ed25519.PublicKeySize {
		return damaged(0, errHead)
	}
	var err error
	if f.cert, err = identity.ParseNodeCert(f.Cert); err != nil {
		return damaged(0, err)
	}
	if err := f.cert.Verify(f.Root); err != nil {
		return fault.New(fault.Denied, "fault.backup.forged").Wrap(err)
	}
	return nil
}

func (f *front) deployment() identity.DeploymentID { return identity.DeploymentOf(f.Root) }

// ended reports whether a file was shorter than what it should hold.
func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// damaged names the place for the log; the person only has to know that it is so.
func damaged(at int64, err error) error {
	return fault.New(fault.Invalid, "fault.backup.damaged", "Byte", at).Wrap(err)
}
