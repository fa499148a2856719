package chunks

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
)

// maxUpload is the longest file of an upload: a File of the most pieces.
const maxUpload = 64 << 10

// uploadFolder is where uploads lie that no op names yet.
const uploadFolder = "up"

// Upload stores content like Save and remembers its File under a new random id, also
// after a restart, until Settle or until it was nobody's for a day. Faults as Save.
func (s *Store) Upload(content []byte, mediaType string) (id string, f File, err error) {
	if f, err = s.Save(content, mediaType); err != nil {
		return "", File{}, err
	}
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	id = hex.EncodeToString(raw[:])
	plain, err := cbor.Marshal(f)
	if err != nil {
		return "", File{}, fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	aead, err := chacha20poly1305.NewX(s.key[:])
	if err != nil {
		return "", File{}, fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	_, _ = rand.Read(nonce)
	s.put.Lock()
	defer s.put.Unlock()
	if err := s.write(s.uploadPath(id), aead.Seal(nonce, nonce, plain, uploadBound(id))); err != nil {
		return "", File{}, errWrite(err)
	}
	return id, f, nil
}

func uploadBound(id string) []byte { return []byte("waypost/upload/1" + id) }

func (s *Store) uploadPath(id string) string { return filepath.Join(s.dir, uploadFolder, id+uploadEnd) }

// validUpload keeps what came from outside from becoming a path.
func validUpload(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == 16 && hex.EncodeToString(b) == id
}

// Uploaded is the file of an upload. Faults: NotFound "fault.chunks.no_upload" for one
// that was never here, was given to somebody already, or is over a day old;
// Unavailable "fault.chunks.files".
func (s *Store) Uploaded(id string) (File, error) {
	none := fault.New(fault.NotFound, "fault.chunks.no_upload")
	if !validUpload(id) {
		return File{}, none
	}
	raw, err := files.Read(s.fs, s.uploadPath(id), maxUpload)
	if errors.Is(err, fs.ErrNotExist) {
		return File{}, none
	}
	if err != nil {
		return File{}, errFiles(err)
	}
	aead, err := chacha20poly1305.NewX(s.key[:])
	if err != nil {
		return File{}, fault.New(fault.Internal, "fault.internal").Wrap(err)
	}
	if len(raw) < aead.NonceSize() {
		return File{}, none
	}
	plain, err := aead.Open(nil, raw[:aead.NonceSize()], raw[aead.NonceSize():], uploadBound(id))
	if err != nil {
		return File{}, none.Wrap(err)
	}
	var f File
	if err := cbor.Unmarshal(plain, &f); err != nil {
		return File{}, none.Wrap(err)
	}
	return f, nil
}

// Settle forgets an upload, because an op names its pieces now. What cannot be
// deleted is deleted within a day.
func (s *Store) Settle(id string) {
	if validUpload(id) {
		_ = s.fs.Remove(s.uploadPath(id))
	}
}

// uploads lists the ids of uploads that are on the disk.
func (s *Store) uploads() ([]string, error) {
	entries, err := s.fs.ReadDir(filepath.Join(s.dir, uploadFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), uploadEnd); ok && validUpload(id) {
			out = append(out, id)
		} else if strings.HasSuffix(e.Name(), ".new") {
			_ = s.fs.Remove(filepath.Join(s.dir, uploadFolder, e.Name()))
		}
	}
	return out, err
}
