package oplog

import (
	"bytes"
	"cmp"
	"container/heap"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/files"
)

// sorter puts any number of pairs into the order of their keys in bounded memory.
// Each goroutine that adds has a sortBuffer of its own; a full one is sorted and
// written to one temporary file as a run. What fits in memory never touches the
// disk. Runs are sealed under a key that exists in this process only, so the file is
// noise to whoever finds it, and it has no name while it is in use.
type sorter struct {
	fs    files.FS
	path  string
	room  func() error // faults when the disk has none for a further run
	limit int          // bytes of one buffer
	aead  cipher.AEAD

	mu      sync.Mutex
	file    files.File
	end     int64
	runs    []extent
	buffers []*sortBuffer
}

// extent is one run in the file.
type extent struct{ off, end int64 }

// errSpill marks what went wrong with the temporary file: the work can still be
// done without one.
var errSpill = errors.New("temporary file for sorting")

// runBlock is how much of a run is sealed, and read back, at once.
const runBlock = 32 << 10

// newSorter makes one whose buffers hold limit bytes each. path is made when the
// first buffer is full.
func newSorter(fsys files.FS, path string, limit int, room func() error) (*sorter, error) {
	var key [chacha20poly1305.KeySize]byte
	_, _ = rand.Read(key[:])
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		return nil, err
	}
	return &sorter{fs: fsys, path: path, limit: limit, room: room, aead: aead}, nil
}

// buffer is a new place to add to, for one goroutine.
func (s *sorter) buffer() *sortBuffer {
	b := &sortBuffer{s: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buffers = append(s.buffers, b)
	return b
}

// close gives up file and memory.
func (s *sorter) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buffers = nil
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	if rerr := s.fs.Remove(s.path); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) { // where an open file keeps its name
		err = errors.Join(err, rerr)
	}
	return err
}

// sortBuffer collects pairs in one piece of memory.
type sortBuffer struct {
	s     *sorter
	bytes []byte
	pairs []sortPair
	added uint64 // pairs, those in runs too
}

// sortPair says where a pair lies in the bytes: key, then value. Most comparisons
// end at the first bytes of the key.
type sortPair struct {
	first    uint64
	off      uint32
	key, val uint32
}

// add copies key and value.
func (b *sortBuffer) add(key, value []byte) error {
	if len(b.pairs) > 0 && len(b.bytes)+len(key)+len(value)+24*(len(b.pairs)+1) > b.s.limit {
		if err := b.spill(); err != nil {
			return err
		}
	}
	b.added++
	if len(b.bytes)+len(key)+len(value) > cap(b.bytes) { // a little first, then all it may have
		b.bytes = slices.Grow(b.bytes, b.more())
	}
	if len(b.pairs) == cap(b.pairs) { // by a quarter: doubled, they would take what the bytes may
		b.pairs = slices.Grow(b.pairs, max(256, len(b.pairs)/4))
	}
	b.pairs = append(b.pairs, sortPair{first: firstBytes(key), off: uint32(len(b.bytes)), key: uint32(len(key)), val: uint32(len(value))}) //nolint:gosec // below limit
	b.bytes = append(append(b.bytes, key...), value...)
	return nil
}

func (b *sortBuffer) more() int {
	if b.bytes == nil {
		return b.s.limit / 8
	}
	return b.s.limit - len(b.bytes)
}

func firstBytes(key []byte) uint64 {
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

func (b *sortBuffer) key(p sortPair) []byte { return b.bytes[p.off : p.off+p.key] }
func (b *sortBuffer) value(p sortPair) []byte {
	return b.bytes[p.off+p.key : p.off+p.key+p.val]
}

// sort puts the pairs in order; of equal keys the one added first comes first.
func (b *sortBuffer) sort() {
	slices.SortFunc(b.pairs, func(x, y sortPair) int {
		if c := cmp.Compare(x.first, y.first); c != 0 {
			return c
		}
		if c := bytes.Compare(b.key(x), b.key(y)); c != 0 {
			return c
		}
		return cmp.Compare(x.off, y.off)
	})
}

// spill writes the buffer as a run and empties it.
func (b *sortBuffer) spill() error {
	b.sort()
	s := b.s
	// Runs are written whole, one after the other.
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.spillFile(); err != nil {
		return fmt.Errorf("%w: %w", errSpill, err)
	}
	run := extent{off: s.end, end: s.end}
	block := make([]byte, 0, runBlock+s.aead.Overhead())
	flush := func() error {
		n := len(block)
		block = s.aead.Seal(block[:0], s.nonce(run.end), block, nil)
		head := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(block)), uint32(n)) //nolint:gosec // a block
		_, err := s.file.WriteAt(append(head, block...), run.end)
		run.end += int64(4 + len(block))
		block = block[:0]
		return err
	}
	for _, p := range b.pairs {
		block = binary.AppendUvarint(block, uint64(p.key))
		block = binary.AppendUvarint(block, uint64(p.val))
		block = append(block, b.bytes[p.off:p.off+p.key+p.val]...)
		if len(block) >= runBlock {
			if err := flush(); err != nil {
				return fmt.Errorf("%w: %w", errSpill, err)
			}
		}
	}
	if len(block) > 0 {
		if err := flush(); err != nil {
			return fmt.Errorf("%w: %w", errSpill, err)
		}
	}
	s.end = run.end
	s.runs = append(s.runs, run)
	b.bytes, b.pairs = b.bytes[:0], b.pairs[:0]
	return nil
}

// nonce is the place in the file: no two blocks share one.
func (s *sorter) nonce(off int64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), uint64(off)) //nolint:gosec // a place in a file
}

// spillFile opens the file and takes its name away, so that nothing of it is left
// behind whatever happens.
func (s *sorter) spillFile() error {
	if err := s.room(); err != nil {
		return err
	}
	if s.file != nil {
		return nil
	}
	f, err := s.fs.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_ = s.fs.Remove(s.path) // some systems keep the name of an open file: close removes it
	s.file = f
	return nil
}

// rest writes what is still in memory when a part is on the disk anyway, and gives the
// buffers up: while the pairs are read there is a block of each run and nothing else.
// Nobody may add any more.
func (s *sorter) rest() error {
	if len(s.runs) == 0 {
		return nil
	}
	for _, b := range s.buffers {
		if len(b.pairs) > 0 {
			if err := b.spill(); err != nil {
				return err
			}
		}
		b.bytes, b.pairs = nil, nil
	}
	return nil
}

// each gives all pairs in the order of their keys. They are valid inside fn only.
// Nobody may add any more.
func (s *sorter) each(fn func(key, value []byte) error) error {
	if err := s.rest(); err != nil {
		return err
	}
	var m merge
	for _, b := range s.buffers {
		b.sort()
		if src := (&memorySource{b: b}); src.next() == nil {
			m = append(m, src)
		}
	}
	for _, r := range s.runs {
		src := &runSource{s: s, at: r}
		if err := src.next(); errors.Is(err, errRunEnd) {
			continue
		} else if err != nil {
			return err
		}
		m = append(m, src)
	}
	heap.Init(&m)
	for len(m) > 0 {
		if err := fn(m[0].pair()); err != nil {
			return err
		}
		switch err := m[0].next(); {
		case errors.Is(err, errRunEnd):
			heap.Pop(&m)
		case err != nil:
			return err
		default:
			heap.Fix(&m, 0)
		}
	}
	return nil
}

var errRunEnd = errors.New("end of run")

// source is one sorted run while runs are merged.
type source interface {
	next() error // errRunEnd behind the last pair
	pair() (key, value []byte)
}

// merge is the heap of runs by their next key.
type merge []source

func (m merge) Len() int { return len(m) }
func (m merge) Less(i, j int) bool {
	a, _ := m[i].pair()
	b, _ := m[j].pair()
	return bytes.Compare(a, b) < 0
}
func (m merge) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(x any)   { *m = append(*m, x.(source)) }
func (m *merge) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

type memorySource struct {
	b *sortBuffer
	i int
}

func (m *memorySource) next() error {
	if m.i == len(m.b.pairs) {
		return errRunEnd
	}
	m.i++
	return nil
}

func (m *memorySource) pair() (key, value []byte) {
	p := m.b.pairs[m.i-1]
	return m.b.key(p), m.b.value(p)
}

type runSource struct {
	s          *sorter
	at         extent
	raw, rest  []byte
	key, value []byte
}

func (r *runSource) next() error {
	if len(r.rest) == 0 {
		if r.at.off == r.at.end {
			return errRunEnd
		}
		if err := r.block(); err != nil {
			return fmt.Errorf("%w: %w", errSpill, err)
		}
	}
	k, n := binary.Uvarint(r.rest)
	v, m := binary.Uvarint(r.rest[max(n, 0):])
	if n <= 0 || m <= 0 || uint64(len(r.rest)-n-m) < k+v {
		return fmt.Errorf("%w: a block is cut", errSpill)
	}
	body := r.rest[n+m:]
	r.key, r.value, r.rest = body[:k], body[k:k+v], body[k+v:]
	return nil
}

// block reads and opens the next block.
func (r *runSource) block() error {
	var head [4]byte
	if _, err := r.s.file.ReadAt(head[:], r.at.off); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint32(head[:])) + r.s.aead.Overhead()
	if int64(n) > r.at.end-r.at.off-4 {
		return errors.New("a block is longer than its run")
	}
	r.raw = slices.Grow(r.raw[:0], n)[:n]
	if _, err := r.s.file.ReadAt(r.raw, r.at.off+4); err != nil {
		return err
	}
	var err error
	r.rest, err = r.s.aead.Open(r.raw[:0], r.s.nonce(r.at.off), r.raw, nil)
	r.at.off += int64(4 + n)
	return err
}

func (r *runSource) pair() (key, value []byte) { return r.key, r.value }
