package oplog

import (
	"io"
	"math/rand/v2"
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
	open := l.journal.openFile
	l.journal.openFile = func(path string) (file, error) {
		f, err := open(path)
		if err != nil {
			return nil, err
		}
		return wrap(f), nil
	}
}

// Kill ends the writer as a power cut would: no closing record, nothing saved.
func (l *Log) Kill() {
	l.closing.Do(func() {
		close(l.quit)
		<-l.done
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
