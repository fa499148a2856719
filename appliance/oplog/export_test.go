package oplog

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/files"
)

// Seams for the tests of this package.

// Dictionary samples, for benchmarks that want payloads of a real size.
type (
	SamplePerson     = samplePerson
	SampleRegistered = sampleRegistered
)

// SamplePeople draws made-up people.
func SamplePeople(n int, seed uint64) []SampleRegistered {
	s := sampler{rand.New(rand.NewPCG(seed, 3))}
	out := make([]SampleRegistered, n)
	for i := range out {
		out[i] = sampleRegistered{Household: NewID(), Relation: "son", Person: s.person(s.origin())}
	}
	return out
}

// File is what the journal appends to.
type File interface {
	io.Writer
	Sync() error
	Truncate(size int64) error
	Close() error
}

// WrapFiles puts wrap around every segment file opened from now on. The writer
// must be idle.
func (l *Log) WrapFiles(wrap func(File) File) {
	l.journal.fs = wrapping{l.journal.fs, wrap}
}

type wrapping struct {
	files.FS
	wrap func(File) File
}

func (w wrapping) OpenFile(path string, flag int, perm fs.FileMode) (files.File, error) {
	f, err := w.FS.OpenFile(path, flag, perm)
	if err != nil || flag&os.O_APPEND == 0 || filepath.Ext(path) != ".wpj" {
		return f, err
	}
	return wrappedFile{f, w.wrap(f)}, nil
}

// wrappedFile writes through the wrapped file.
type wrappedFile struct {
	files.File
	out File
}

func (w wrappedFile) Write(b []byte) (int, error) { return w.out.Write(b) }
func (w wrappedFile) Sync() error                 { return w.out.Sync() }
func (w wrappedFile) Truncate(size int64) error   { return w.out.Truncate(size) }
func (w wrappedFile) Close() error                { return w.out.Close() }

// Kill ends the writer as a power cut would: no closing record, nothing saved.
func (l *Log) Kill() {
	l.closing.Do(func() {
		close(l.quit)
		<-l.done
		l.tended.Wait()
		_ = l.journal.finish()
		l.closed = l.store.Close()
	})
}

var (
	Compress   = compress
	Expand     = expand
	ParseBatch = func(raw []byte) ([]byte, error) {
		b, err := parseBatch(raw)
		if err != nil {
			return nil, err
		}
		return b.encode(nil), nil
	}
	SegmentPath = segmentPath
)

// Layout constants the tests cut files at.
const (
	SegmentHeader = segmentHeader
	FrameHeader   = frameHeader
)

// Frames lists where frames begin in the bytes of a segment.
func Frames(raw []byte) (offs []int) {
	_ = walkFrames(raw, func(f found) error { offs = append(offs, int(f.off)); return nil })
	return offs
}

// Swollen is a first batch of a new log of a's node, self: its birth, and n ops of
// kind k with body, packed as tightly as zstd can and not as compress would.
func Swollen(a Authority, self ID, k Kind, body any, n int) []byte {
	var nonce [16]byte
	fill(nonce[:])
	log, birth := a.Birth(nonce)
	b := &batch{log: log, first: 1}
	enc := fastPacker()
	add := func(k Kind, subject ID, body []byte) {
		plain, err := encMode.Marshal(content{Kind: k.name, Version: k.version, At: 1, Body: body})
		if err != nil {
			panic(err)
		}
		frame := enc.EncodeAll(plain, nil)
		packed := append([]byte{formZstd1, frame[4]}, frame[6:]...)
		seq := uint64(len(b.ops) + 1)
		r := record{ref: Ref{Log: log, Seq: seq}, clock: seq, subject: subject, comp: k.comp, payload: packed}
		if k.comp != Deployment {
			r.area, r.epoch = a.CurrentEpoch(k.comp)
			fill(r.salt[:])
			key, _ := a.CompartmentKey(k.comp, r.area, r.epoch)
			aead, err := chacha20poly1305.NewX(key[:])
			if err != nil {
				panic(err)
			}
			r.payload = aead.Seal(nil, r.nonce(), packed, r.bound(a.Deployment()))
		}
		b.ops = append(b.ops, r)
	}
	add(Kind{name: bornKind, version: bornVersion, comp: Deployment}, self, birth)
	raw, err := k.encode(body)
	if err != nil {
		panic(err)
	}
	for range n {
		add(k, NewID(), raw)
	}
	b.link()
	copy(b.sig[:], a.SignHead(b.message(a.Deployment())))
	return b.encode(nil)
}

// Rewrite rewrites segments and changes nothing.
func (l *Log) Rewrite(segments []uint64, keepAside bool) error {
	return l.exclusive(func() error { return l.rewrite(segments, nil, keepAside) })
}

// RewriteDropping drops the batch that ends with an op, as damage would.
func (l *Log) RewriteDropping(segments []uint64, log LogID, seq uint64) error {
	return l.exclusive(func() error {
		return l.rewrite(segments, func(b *batch) (*batch, error) {
			if b.log == log && b.last() == seq {
				return nil, nil
			}
			return b, nil
		}, false)
	})
}

// SegmentNumbers lists the segments.
func (l *Log) SegmentNumbers() []uint64 { return l.segmentNumbers() }

// RingKeys are all keys in one copy of the ring.
func RingKeys(t testing.TB, o Options, name string) (keys [][32]byte) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(o.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := openKeys(raw, o.StorageKey, o.Authority.Deployment())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range ring.Segments {
		keys = append(keys, k.Key)
	}
	for _, a := range ring.Aside {
		if len(a.Key) == 32 {
			keys = append(keys, [32]byte(a.Key))
		}
	}
	return keys
}

// Authority is whose journal this is.
func (l *Log) Authority() Authority { return l.auth }

// Mend looks at segments in the given order.
func (l *Log) Mend(segments []uint64) error {
	return l.exclusive(func() error { _, err := l.mend(segments); return err })
}

// SortIn makes rebuilds sort in buffers of n bytes.
func (l *Log) SortIn(n int) { l.sortBytes = n }

// Stored gives everything the view store holds but its state and its numbers.
func (l *Log) Stored(fn func(k, v []byte)) error {
	return l.store.View(func(r StoreReader) error {
		return r.Scan(nil, nil, func(k, v []byte) error {
			if k[0] != spaceState && k[0] != spaceRing {
				fn(k, v)
			}
			return nil
		})
	})
}

// FoldBesides has what is late folded beside the writer, anew when it is so much, and
// nothing of it before a command.
func (l *Log) FoldBesides(anew uint64) { l.soonOps, l.anewOps = 0, anew }

// MissAtMost bounds the subjects that are remembered for hooks.
func (l *Log) MissAtMost(n int) { l.missedMost = n }
