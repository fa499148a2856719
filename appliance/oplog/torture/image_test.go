package torture

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// image is an ext4 file system in a file, mounted.
type image struct {
	file, dir string
	mounted   bool
}

func tool(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return nil
}

// newImage makes and mounts a fresh one under base.
func newImage(base, name string, mb int) (*image, error) {
	i := &image{file: filepath.Join(base, name+".img"), dir: filepath.Join(base, name)}
	f, err := os.Create(i.file)
	if err == nil {
		err = f.Truncate(int64(mb) << 20)
		_ = f.Close()
	}
	if err == nil {
		err = tool("mkfs.ext4", "-q", "-F", "-m", "0", i.file)
	}
	if err == nil {
		err = i.mount()
	}
	return i, err
}

// mount attaches a loop device of its own and mounts it.
func (i *image) mount() error {
	if err := os.MkdirAll(i.dir, 0o700); err != nil {
		return err
	}
	err := tool("mount", "-o", "loop", i.file, i.dir)
	i.mounted = err == nil
	return err
}

func (i *image) remove() {
	if i.mounted {
		_ = tool("umount", i.dir)
		i.mounted = false
	}
	_ = os.Remove(i.file)
	_ = os.Remove(i.dir)
}

// cut copies the image as the disk has it at this moment, without what the system
// still keeps in memory for it, and mounts the copy: what the next start would find.
func (i *image) cut(base, name string) (*image, error) {
	c := &image{file: filepath.Join(base, name+".img"), dir: filepath.Join(base, name)}
	if err := tool("cp", "--sparse=always", i.file, c.file); err != nil {
		return c, err
	}
	return c, c.mount()
}

// canMount tries it: being root says nothing in a container.
var canMount = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "wp")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	i, err := newImage(dir, "try", 8)
	i.remove()
	return err
})

func needsMount(t *testing.T) {
	t.Helper()
	if err := canMount(); err != nil {
		t.Skipf("no disk can be mounted here: %v", err)
	}
}
