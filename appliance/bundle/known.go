package bundle

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
	"github.com/waypost/waypost/appliance/identity"
	"github.com/waypost/waypost/appliance/oplog"
)

// Mark is how far a node holds a log.
type Mark struct {
	Seq  uint64
	Hash [16]byte // the first half of the header's hash
}

// Known is what a node is known to hold. The zero Known is nothing.
type Known struct {
	Stamp  uint64    // of the bundle that said so
	Read   time.Time // when that was read, by this node's clock
	Marks  map[oplog.LogID]Mark
	Pieces []byte // the first 8 bytes of the ids of its pieces, sorted, one after the other
}

// has reports whether the node holds a piece, as far as eight bytes tell.
func (k Known) has(id [32]byte) bool {
	n := len(k.Pieces) / prefixSize
	lo, hi := 0, n
	for lo < hi {
		mid := (lo + hi) / 2
		switch bytes.Compare(k.Pieces[mid*prefixSize:(mid+1)*prefixSize], id[:prefixSize]) {
		case 0:
			return true
		case -1:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return false
}

// sorted puts what a bundle tells of pieces in order.
func sorted(has []byte) []byte {
	all := slices.SortedFunc(slices.Chunk(has, prefixSize), bytes.Compare)
	return slices.Concat(all...)
}

// Memory is what nodes told in their bundles, a folder with a small file for each node.
// Nothing in it is secret, and it only decides what a bundle for that node leaves out.
// Safe for concurrent use.
type Memory struct {
	fs  files.FS
	dir string
	mu  sync.Mutex
}

// NewMemory is the memory in a folder, which is made when something is kept.
func NewMemory(fsys files.FS, dir string) *Memory { return &Memory{fs: fsys, dir: dir} }

// maxMemory bounds a file of it.
const maxMemory = 32 << 20

// kept is such a file; that of the node itself has a stamp and nothing else.
type kept struct {
	Version int        `json:"version"`
	Stamp   uint64     `json:"stamp"`
	Read    time.Time  `json:"read,omitzero"`
	Marks   []keptMark `json:"marks,omitempty"`
	Pieces  []byte     `json:"pieces,omitempty"`
}

type keptMark struct {
	Log  oplog.LogID `json:"log"`
	Seq  uint64      `json:"seq"`
	Hash string      `json:"hash"`
}

const ownName = "own"

func (m *Memory) read(name string) (k kept) {
	raw, err := files.Read(m.fs, filepath.Join(m.dir, name), maxMemory)
	if err != nil || json.Unmarshal(raw, &k) != nil || k.Version != 1 {
		return kept{} // nothing is remembered: then everything is written
	}
	return k
}

func (m *Memory) write(name string, k kept) error {
	k.Version = 1
	raw, err := json.Marshal(k)
	if err == nil {
		if err = m.fs.MkdirAll(m.dir, 0o700); err == nil {
			err = files.WriteAtomic(m.fs, filepath.Join(m.dir, name), append(raw, '\n'), 0o600)
		}
	}
	if err != nil {
		return fault.New(fault.Unavailable, "fault.node.cannot_write", "File", filepath.Join(m.dir, name)).Wrap(err)
	}
	return nil
}

// Stamp gives the next bundle its number: the seconds of now, and more than the last one
// had. Fault: Unavailable "fault.node.cannot_write".
func (m *Memory) Stamp(now time.Time) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.read(ownName).Stamp
	next := max(last+1, uint64(max(0, now.Unix()))) //nolint:gosec // not negative
	return next, m.write(ownName, kept{Stamp: next})
}

// Of is what the newest bundle of a node said that it holds; false when none was read.
func (m *Memory) Of(node identity.NodeID) (Known, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.read(node.String())
	if k.Stamp == 0 {
		return Known{}, false
	}
	out := Known{Stamp: k.Stamp, Read: k.Read, Marks: map[oplog.LogID]Mark{}, Pieces: k.Pieces[:len(k.Pieces)/prefixSize*prefixSize]}
	for _, e := range k.Marks {
		if b, err := hex.DecodeString(e.Hash); err == nil && len(b) == 16 {
			out.Marks[e.Log] = Mark{e.Seq, [16]byte(b)}
		}
	}
	return out, true
}

// Keep remembers what a bundle said, unless a newer one of the node was read before.
// Fault: Unavailable "fault.node.cannot_write".
func (m *Memory) Keep(node identity.NodeID, k Known) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if was := m.read(node.String()); was.Stamp >= k.Stamp {
		return nil
	}
	out := kept{Stamp: k.Stamp, Read: k.Read, Pieces: k.Pieces}
	for log, e := range k.Marks {
		out.Marks = append(out.Marks, keptMark{log, e.Seq, hex.EncodeToString(e.Hash[:])})
	}
	slices.SortFunc(out.Marks, func(a, b keptMark) int { return bytes.Compare(a.Log[:], b.Log[:]) })
	return m.write(node.String(), out)
}

// Forget removes what was remembered of a node, so that the next bundle for it has
// everything.
func (m *Memory) Forget(node identity.NodeID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.fs.Remove(filepath.Join(m.dir, node.String()))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}
