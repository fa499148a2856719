package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/waypost/waypost/appliance/bundle"
	"github.com/waypost/waypost/appliance/control"
	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/staff"
)

// carriage is the bundle that a box writes or reads: one at a time. Safe for concurrent
// use.
type carriage struct {
	mu     sync.Mutex
	state  control.Bundle
	err    error
	cancel context.CancelFunc
	done   chan struct{} // closed when it ended
	taking bool          // somebody sends one
}

// begin runs do on its own goroutine. Fault: Busy "fault.bundle.busy".
func (t *carriage) begin(ctx context.Context, step, file string, do func(context.Context, func(bundle.Progress)) (*control.BundleWritten, *control.BundleRead, error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state.Running {
		return fault.New(fault.Busy, "fault.bundle.busy")
	}
	ctx, t.cancel = context.WithCancel(ctx)
	t.state, t.err, t.done = control.Bundle{Running: true, Step: step, File: file, Number: t.state.Number + 1}, nil, make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		written, read, err := do(ctx, t.progress)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.cancel()
		t.state.Running, t.state.Written, t.state.Read, t.err = false, written, read, err
	}(t.done)
	return nil
}

func (t *carriage) progress(p bundle.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state.Done, t.state.Total, t.state.Ops = p.Done, p.Total, p.Ops
}

// look is how far it is; the fault when the last one failed.
func (t *carriage) look() (control.Bundle, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state, t.err
}

// stop ends it and waits for that.
func (t *carriage) stop() {
	t.mu.Lock()
	cancel, done := t.cancel, t.done
	t.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
}

// take lets one sender in; false while there is another.
func (t *carriage) take(on bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if on && (t.taking || t.state.Running) {
		return false
	}
	t.taking = on
	return true
}

// courier checks who may carry records, and that there is something to carry.
func (b *box) courier(a staff.Actor) (*node, error) {
	if err := a.Must(staff.SeeMesh); err != nil {
		return nil, err
	}
	n := b.open()
	switch {
	case n == nil:
		return nil, fault.New(fault.Locked, "fault.node.locked")
	case b.practice():
		return nil, fault.New(fault.Conflict, "fault.bundle.practice")
	}
	return n, nil
}

// WriteBundle begins to write a bundle into a file of this machine.
func (b *box) WriteBundle(_ context.Context, a staff.Actor, o control.BundleOrder) error {
	n, err := b.courier(a)
	if err != nil {
		return err
	}
	if o.File, err = bundleTarget(n.dir, o.File); err != nil {
		return err
	}
	if _, err := n.bundleFor(o.For); err != nil {
		return err
	}
	return b.carried.begin(b.ctx, "writing", o.File, func(ctx context.Context, progress func(bundle.Progress)) (*control.BundleWritten, *control.BundleRead, error) {
		written, err := n.writeBundle(ctx, o, progress)
		return written, nil, err
	})
}

// bundleFor looks whether there is somebody to write for, before anything is begun.
func (n *node) bundleFor(who string) (any bool, err error) {
	if who == anyPost {
		return true, nil
	}
	nodes, err := n.desks.Identity.Nodes()
	if err == nil {
		_, err = pickNode(nodes, who)
	}
	return false, err
}

// bundleTarget checks where a bundle shall go, and draws a name where a folder was given.
func bundleTarget(dir, file string) (string, error) {
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		file = filepath.Join(file, bundle.NewName())
	}
	file, err := target(dir, file)
	if err != nil && fault.Of(err).Key == "fault.backup.inside" {
		err = fault.New(fault.Invalid, "fault.bundle.inside", "Folder", dir)
	}
	return file, err
}

// ReadBundle begins to read one.
func (b *box) ReadBundle(_ context.Context, a staff.Actor, file string, remove bool) error {
	n, err := b.courier(a)
	if err == nil {
		err = b.readFile(n, file, remove)
	}
	if err != nil && remove {
		_ = os.Remove(file)
	}
	return err
}

func (b *box) readFile(n *node, file string, remove bool) error {
	return b.carried.begin(b.ctx, "reading", file, func(ctx context.Context, progress func(bundle.Progress)) (*control.BundleWritten, *control.BundleRead, error) {
		read, err := n.readBundle(ctx, file, progress)
		if remove {
			_ = os.Remove(file) // what is left goes with the next one
		}
		return nil, read, err
	})
}

// BundleState is how far it is, or the last one.
func (b *box) BundleState(context.Context) (control.Bundle, error) { return b.carried.look() }

// StopBundle stops it.
func (b *box) StopBundle(_ context.Context, a staff.Actor) error {
	if err := a.Must(staff.SeeMesh); err != nil {
		return err
	}
	b.carried.stop()
	return nil
}

// Bundle makes one ready to be sent to a phone.
func (b *box) Bundle(_ context.Context, a staff.Actor, o control.BundleOrder) (string, func(context.Context, io.Writer) error, error) {
	n, err := b.courier(a)
	if err != nil {
		return "", nil, err
	}
	options, err := n.bundleOptions(o.For, o.Bare)
	if err != nil {
		return "", nil, err
	}
	return bundle.NewName(), func(ctx context.Context, out io.Writer) error {
		_, err := bundle.Write(ctx, out, options)
		return err
	}, nil
}

// takenName is what the files are called that somebody sends; a backup leaves them out.
const takenName = "taken-*.part"

// clearTaken removes those that nobody reads any more.
func clearTaken(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, bundleFolder, takenName))
	for _, file := range left {
		_ = os.Remove(file) // the next one tries again
	}
}

// takenRoom is what has to stay free when somebody sends a bundle.
const takenRoom = 256 << 20

// TakeBundle copies one that is being sent into the data folder.
func (b *box) TakeBundle(_ context.Context, a staff.Actor, sent io.Reader, size int64) (file string, err error) {
	n, err := b.courier(a)
	if err != nil {
		return "", err
	}
	if !b.carried.take(true) {
		return "", fault.New(fault.Busy, "fault.bundle.busy")
	}
	defer b.carried.take(false)
	folder := filepath.Join(n.dir, bundleFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fault.New(fault.Unavailable, "fault.node.cannot_write", "File", folder).Wrap(err)
	}
	clearTaken(n.dir) // what a stop in the middle left
	out, err := os.CreateTemp(folder, takenName)
	if err != nil {
		return "", fault.New(fault.Unavailable, "fault.node.cannot_write", "File", folder).Wrap(err)
	}
	file = out.Name()
	err = copyRoomy(out, sent, size, n.dir)
	if cerr := out.Close(); err == nil && cerr != nil {
		err = fault.New(fault.Unavailable, "fault.node.cannot_write", "File", folder).Wrap(cerr)
	}
	if err != nil {
		_ = os.Remove(file)
		return "", err
	}
	return file, nil
}

// copyRoomy copies what is sent while the disk has room for records besides. What comes
// before a connection breaks is kept: the parts that are whole can be used.
func copyRoomy(out io.Writer, sent io.Reader, size int64, dir string) error {
	full := fault.New(fault.Full, "fault.bundle.no_room", "MB", takenRoom>>20)
	buf := make([]byte, 256<<10)
	for copied := int64(0); ; {
		free, total := diskRoom(dir)
		if total > 0 && free < takenRoom+uint64(max(0, size-copied)) {
			return full
		}
		for range 64 {
			got, err := io.ReadFull(sent, buf)
			if _, werr := out.Write(buf[:got]); errors.Is(werr, syscall.ENOSPC) {
				return full
			} else if werr != nil {
				return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", dir).Wrap(werr)
			}
			copied += int64(got)
			if err != nil && copied > 0 {
				return nil // the end, or all that will come: reading says which
			}
			if err != nil {
				return fault.New(fault.Invalid, "fault.bundle.empty").Wrap(err)
			}
		}
	}
}

// BundlePlaces are the sticks a bundle can be written to.
func (b *box) BundlePlaces() []control.BackupPlace {
	out := []control.BackupPlace{}
	for _, dir := range sticks() {
		free, _ := diskRoom(dir)
		out = append(out, control.BackupPlace{Folder: dir, File: dir, Free: free})
	}
	return out
}

// maxBundleFiles is how many are offered.
const maxBundleFiles = 50

// BundleFiles are the files on sticks whose names are those this program gives.
func (b *box) BundleFiles() []control.BundleFile {
	out := []control.BundleFile{}
	for _, dir := range sticks() {
		found, _ := filepath.Glob(filepath.Join(dir, "data-*.bin"))
		for _, file := range found {
			info, err := os.Stat(file)
			if err == nil && info.Mode().IsRegular() && !strings.HasSuffix(file, ".part") && len(out) < maxBundleFiles {
				out = append(out, control.BundleFile{File: file, Bytes: info.Size()})
			}
		}
	}
	return out
}
