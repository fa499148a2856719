package identity

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/fault"
)

// maxSecretFile bounds what is read back; the files are a few kilobytes.
const maxSecretFile = 4 << 20

// copies are the two names one small file has.
func copies(dir, name string) [2]string {
	return [2]string{filepath.Join(dir, name), filepath.Join(dir, name+".2")}
}

// writeTwice replaces both copies, the first before the second. After an error
// the first may already be new: what it says then counts at the next start.
func writeTwice(dir, name string, content []byte) error {
	for _, path := range copies(dir, name) {
		err := replaceFile(path, content, 0o600)
		switch {
		case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT): // the person's to mend
			return fault.New(fault.Full, "fault.oplog.disk_full").Wrap(err)
		case err != nil:
			return fault.New(fault.Unavailable, "fault.identity.cannot_write").Wrap(err)
		}
	}
	return nil
}

// replaceFile swaps a file's content in one step that survives a power cut.
func replaceFile(path string, content []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename durable. Windows has no such call and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readTwice gives the first copy that sound accepts. When only one of the two
// does, both are written anew from it; a card that is full or read-only only
// puts that off. wrong names what was found so, for a person who asks whether the
// folder is sound. The error is the first copy's.
func readTwice(dir, name string, sound func([]byte) error) (found []byte, wrong []string, err error) {
	var firstErr error
	whole := 0
	for _, path := range copies(dir, name) {
		content, err := readSmall(path)
		if err == nil {
			err = sound(content)
		}
		switch {
		case err != nil:
			if firstErr == nil {
				firstErr = err
			}
			wrong = append(wrong, wrongWith(path, err))
		case found == nil:
			found = content
			whole++
		case string(found) == string(content):
			whole++
		default: // a power cut between the two, or an old one put back
			wrong = append(wrong, "file "+filepath.Base(path)+" was not like its copy")
		}
	}
	if found == nil {
		return nil, nil, firstErr
	}
	if whole < 2 && writeTwice(dir, name, found) == nil {
		for i := range wrong {
			wrong[i] += " and has been written again"
		}
	}
	return found, wrong, nil
}

func wrongWith(path string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "file " + filepath.Base(path) + " was missing"
	}
	return "file " + filepath.Base(path) + " was damaged"
}

// InspectCopies says what can be seen of the folder's sealed files without a key: which
// copies are missing, or not alike. It changes nothing.
func InspectCopies(dir string) (notes []string) {
	for _, name := range []string{unlockName, secretsName, "accounts", "erasures", "passkeys"} {
		if !anyCopy(dir, name) {
			continue
		}
		var first []byte
		for i, path := range copies(dir, name) {
			content, err := readSmall(path)
			switch {
			case err != nil:
				notes = append(notes, wrongWith(path, err))
			case i == 1 && first != nil && string(first) != string(content):
				notes = append(notes, "file "+name+" and its copy are not alike")
			default:
				first = content
			}
		}
	}
	return notes
}

func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSecretFile {
		return nil, errors.New("identity: file is too large")
	}
	return os.ReadFile(path)
}

// SealedFile is a small secret file that is kept twice. It does not lock; its
// owner writes from one place at a time.
type SealedFile struct {
	dir, name string
	key       [32]byte
	over      bool // forgotten
	wrong     []string
}

const sealedMagic = "waypost/sealed/1"

// errSealed is damage or another key: an AEAD cannot tell which.
var errSealed = errors.New("identity: sealed file does not open")

// NewSealedFile names the file; nothing is read or written yet. key is used for
// this file alone.
func NewSealedFile(dir, name string, key [32]byte) *SealedFile {
	return &SealedFile{dir: dir, name: name, key: key}
}

// Forget overwrites the key: the file can be neither read nor written by it any more.
func (s *SealedFile) Forget() {
	clear(s.key[:])
	s.over = true
}

// Write seals content and replaces both copies, flushed. Fault: Unavailable
// "fault.identity.cannot_write".
func (s *SealedFile) Write(content []byte) error {
	if s.over {
		return errEnded()
	}
	aead, err := chacha20poly1305.NewX(s.key[:])
	if err != nil {
		return err
	}
	out := append([]byte(sealedMagic), random(aead.NonceSize())...)
	nonce := out[len(sealedMagic):]
	return writeTwice(s.dir, s.name, aead.Seal(out, nonce, content, s.bound()))
}

// Read opens the newer sound copy. The error is fs.ErrNotExist when neither copy
// is there, and the fault Internal "fault.identity.damaged" when neither opens.
func (s *SealedFile) Read() ([]byte, error) {
	raw, wrong, err := readTwice(s.dir, s.name, func(b []byte) error {
		_, err := s.open(b)
		return err
	})
	s.wrong = append(s.wrong, wrong...)
	if err != nil {
		if s.exists() {
			return nil, fault.New(fault.Internal, "fault.identity.damaged").Wrap(err)
		}
		return nil, fs.ErrNotExist
	}
	return s.open(raw)
}

// Mended names what Read found wrong with a copy, which the other one made good.
func (s *SealedFile) Mended() []string { return s.wrong }

func (s *SealedFile) exists() bool { return anyCopy(s.dir, s.name) }

// anyCopy reports whether at least one copy of a file is there.
func anyCopy(dir, name string) bool {
	for _, path := range copies(dir, name) {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return false
}

func (s *SealedFile) bound() []byte { return []byte(sealedMagic + s.name) }

func (s *SealedFile) open(raw []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(s.key[:])
	if err != nil {
		return nil, err
	}
	head := len(sealedMagic) + aead.NonceSize()
	if len(raw) < head || string(raw[:len(sealedMagic)]) != sealedMagic {
		return nil, errSealed
	}
	content, err := aead.Open(nil, raw[len(sealedMagic):head], raw[head:], s.bound())
	if err != nil {
		return nil, errSealed
	}
	return content, nil
}
