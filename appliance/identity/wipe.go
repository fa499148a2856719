package identity

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/waypost/waypost/appliance/fault"
)

// wipedName marks a folder whose keys were destroyed, so that everybody hears that and
// not that something is damaged.
const wipedName = "wiped"

const wipedSays = "The keys of this Waypost folder were destroyed. Nothing that is left here can be read by anybody. " +
	"A site can be started or joined here again.\n"

// Wiped reports whether the keys of dir were destroyed and nothing was started since.
func Wiped(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, wipedName))
	return err == nil
}

func unmarkWiped(dir string) error {
	if err := os.Remove(filepath.Join(dir, wipedName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Unavailable, "fault.identity.cannot_write").Wrap(err)
	}
	return nil
}

// DestroyKeys makes dir unreadable for ever. First go the slots, both copies: without
// them nothing opens the storage key, and all else hangs on that. Then the mark that
// says so, and then whatever else holds keys: the secrets, the keys of the journal's
// segments, the accounts, the keys of the web certificates. Everything is overwritten with random bytes, flushed and
// removed; the files are small, so it takes no time however much the folder holds. It
// asks nobody and needs no passphrase. A running node must be told afterwards: it still
// has the keys in memory.
//
// It goes on after an error and gives them all: a file that cannot be removed must not
// save another. Fault: Unavailable "fault.identity.cannot_write".
func DestroyKeys(dir string) error {
	var errs []error
	for _, pattern := range []string{unlockName, unlockName + ".*", "." + unlockName + ".*"} {
		errs = append(errs, destroyAll(dir, pattern))
	}
	errs = append(errs, syncDir(dir))
	errs = append(errs, replaceFile(filepath.Join(dir, wipedName), []byte(wipedSays), 0o600))
	for _, place := range [][2]string{
		{dir, secretsName}, {dir, secretsName + ".*"}, {dir, "." + secretsName + ".*"}, {filepath.Join(dir, "journal"), "keys*"},
		{dir, "accounts"}, {dir, "accounts.*"}, {dir, ".accounts.*"},
		{filepath.Join(dir, "letterbox"), "locked*"},
		{dir, "passkeys"}, {dir, "passkeys.*"}, {dir, ".passkeys.*"},
	} {
		errs = append(errs, destroyAll(place[0], place[1]))
	}
	errs = append(errs, destroyWeb(dir)...)
	errs = append(errs, syncDir(dir))
	if err := errors.Join(errs...); err != nil {
		return fault.New(fault.Unavailable, "fault.identity.cannot_write").Wrap(err)
	}
	return nil
}

func destroyAll(dir, pattern string) error {
	paths, err := filepath.Glob(filepath.Join(escaped(dir), pattern))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range paths {
		errs = append(errs, destroyFile(path))
	}
	return errors.Join(errs...)
}

// escaped is dir where a name like "[north]" means itself.
func escaped(dir string) string {
	var out []rune
	for _, r := range dir {
		if r == '[' || r == '*' || r == '?' {
			out = append(out, '[', r, ']')
			continue
		}
		out = append(out, r)
	}
	return string(out)
}

// destroyFile overwrites a file where it lies, flushes, and removes it.
func destroyFile(path string) error {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	return errors.Join(overwrite(path, info.Size()), os.Remove(path))
}

func overwrite(path string, size int64) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0) //nolint:gosec // found in the data folder
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.CopyN(f, rand.Reader, size); err != nil {
		return err
	}
	return f.Sync()
}
