package control

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/waypost/waypost/appliance/fault"
)

// maxSocketPath keeps the path within what every system takes: 104 bytes on the
// BSDs and macOS, 108 on Linux (sys/un.h), the closing zero byte included.
const maxSocketPath = 100

// SocketPath is where a node that serves the data folder dir listens for its own
// verbs: dir/control.sock while that path is short enough, else a name made of
// the folder's path in the user's runtime folder. Client and node compute the
// same path whatever their working directories are. It touches nothing.
func SocketPath(dir string) string {
	dir = realPath(dir)
	if p := filepath.Join(dir, "control.sock"); len(p) <= maxSocketPath {
		return p
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(runtimeDir(), hex.EncodeToString(sum[:12])+".sock")
}

// realPath makes dir absolute and follows links, as far as it exists.
func realPath(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return dir
}

// runtimeDir is where sockets of long-named folders lie: under XDG_RUNTIME_DIR,
// which is the user's own by definition, or a folder in /tmp (not os.TempDir,
// whose path may be long itself).
func runtimeDir() string {
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) && len(d) <= maxSocketPath-len("/waypost/")-29 {
		return filepath.Join(d, "waypost")
	}
	return filepath.Join("/tmp", fmt.Sprintf("waypost-%d", os.Getuid()))
}

// PrepareSocket gives SocketPath after making sure that its folder exists and
// that nobody else could have put a socket of theirs there. The node calls it
// before it listens. Faults: Denied "fault.control.foreign_folder".
func PrepareSocket(dir string) (string, error) {
	path := SocketPath(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fault.New(fault.Denied, "fault.control.foreign_folder", "Folder", filepath.Dir(path)).Wrap(err)
	}
	return path, checkFolder(dir, path)
}

// checkFolder refuses a runtime folder that is not ours alone: in /tmp anybody
// can make one first, and a passphrase must not go to their socket. The data
// folder itself is the person's own choice.
func checkFolder(dir, path string) error {
	folder := filepath.Dir(path)
	if folder == realPath(dir) {
		return nil
	}
	info, err := os.Lstat(folder)
	if os.IsNotExist(err) {
		return nil // nobody listens there either
	}
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !ownedByUs(info) {
		return fault.New(fault.Denied, "fault.control.foreign_folder", "Folder", folder).Wrap(err)
	}
	return nil
}
