package filestest

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// Crash makes the folder to, which must not exist, as a power cut at this moment may
// leave it: everything flushed, and by seed all, nothing, the first, or any of what was
// not; writes come in any order and are torn at 512 bytes. The same seed and the same
// operations make the same folder. The file system itself is used up by CutAfter only.
func (l *Lossy) Crash(seed uint64, to string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	rnd := rand.New(rand.NewPCG(seed, 0xC4A5))
	names := maps.Clone(l.saved)
	for _, m := range choose(rnd, l.moves) {
		m.apply(names)
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	content := map[*inode][]byte{} // drawn once, whatever names a file has
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := names[name]
		if n == nil {
			continue
		}
		path := filepath.Join(to, name)
		var err error
		if n.dir {
			err = os.Mkdir(path, n.perm)
		} else {
			if _, drawn := content[n]; !drawn {
				content[n] = n.after(rnd)
			}
			err = os.WriteFile(path, content[n], n.perm)
		}
		// What lies in a folder whose own name was not flushed is gone with it.
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// choose draws what reached the disk, in its order.
func choose[T any](rnd *rand.Rand, all []T) []T {
	switch rnd.IntN(4) {
	case 0:
		return nil
	case 1:
		return all
	case 2:
		return all[:rnd.IntN(len(all)+1)]
	}
	var out []T
	for _, x := range all {
		if rnd.IntN(2) == 0 {
			out = append(out, x)
		}
	}
	return out
}

// after is a file's content after a cut.
func (n *inode) after(rnd *rand.Rand) []byte {
	out := slices.Clone(n.saved)
	if len(n.edits) == 0 {
		return out
	}
	for _, e := range choose(rnd, pieces(n.edits)) {
		out = e.apply(out)
	}
	// The size is kept apart from the bytes and may have come first.
	if rnd.IntN(3) == 0 && int64(len(out)) < n.size {
		out = append(out, make([]byte, n.size-int64(len(out)))...)
	}
	return out
}

// pieces cuts writes at the borders of sectors.
func pieces(edits []edit) (out []edit) {
	for _, e := range edits {
		if e.data == nil {
			out = append(out, e)
			continue
		}
		for len(e.data) > 0 {
			n := min(int64(len(e.data)), sector-e.off%sector)
			out = append(out, edit{e.off, e.data[:n]})
			e = edit{e.off + n, e.data[n:]}
		}
	}
	return out
}
