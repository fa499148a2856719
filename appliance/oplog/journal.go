package oplog

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/waypost/waypost/appliance/fault"
	"github.com/waypost/waypost/appliance/files"
)

// journal is the folder of segment files: it appends, flushes and reads frames
// and knows nothing of what is in them. Appending is for the writer only;
// reading is safe beside it.
type journal struct {
	dir        string
	deployment [16]byte
	storageKey [32]byte
	ring       keyring
	last       uint64        // the largest number ever tried for a segment
	problem    func(string)  // says what a person should know
	note       func(string)  // says what was mended
	heads      func() []byte // the content of a heads record; nil when there is nothing to say
	damages    []damage
	fs         files.FS

	keysMu     sync.Mutex // held while the key files are written or compared
	generation uint64     // last written; guarded by keysMu

	mu   sync.RWMutex // guards segs and their sizes
	segs []*segment

	out     files.File // the open segment's file; nil until the first append
	cur     *segment   // the open segment
	index   uint32     // next frame's index
	flushed int64      // bytes of cur that are on the disk for certain
	next    uint32     // index that belongs to flushed
}

// openJournal reads the keys and lists the segments. It faults when the keys
// cannot be opened or the folder belongs to another deployment.
func openJournal(j *journal) (*journal, error) {
	if err := makeFolder(j.fs, j.dir); err != nil {
		return nil, errFiles(err)
	}
	keys, err := j.loadKeys()
	if err != nil {
		return nil, err
	}
	if err := j.finishReplacing(); err != nil {
		return nil, err
	}
	numbers, err := listSegments(j.fs, j.dir)
	if err != nil {
		return nil, err
	}
	for _, n := range numbers {
		if err := j.adopt(n, keys); err != nil {
			return nil, err
		}
	}
	for _, k := range j.ring.Segments {
		if !slices.Contains(numbers, k.Number) {
			j.hurt(k.Number, "the file is missing", true)
			j.segs = append(j.segs, &segment{number: k.Number, path: segmentPath(j.dir, k.Number), gone: true})
		}
	}
	slices.SortFunc(j.segs, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
	return j, nil
}

// makeFolder makes the journal's folder with its name on the disk: all that is
// flushed into a folder goes with it when the power cut takes its name. Keys in it say
// that this was done once; a folder without may be from a start that got no further.
func makeFolder(fsys files.FS, dir string) error {
	_, err := fsys.Stat(filepath.Join(dir, keyFiles()[0]))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(dir))
}

// listSegments are the numbers of the segment files in dir, ascending.
func listSegments(fsys files.FS, dir string) ([]uint64, error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errFiles(err)
	}
	var numbers []uint64
	for _, e := range entries {
		n, err := strconv.ParseUint(strings.TrimSuffix(e.Name(), ".wpj"), 10, 63)
		if err == nil && segmentPath("", n) == e.Name() {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// adopt takes one found file into the list.
func (j *journal) adopt(number uint64, keys bool) error {
	path := segmentPath(j.dir, number)
	st, err := j.fs.Stat(path)
	if err != nil {
		return errFiles(err)
	}
	head := make([]byte, segmentHeader)
	if f, err := files.Open(j.fs, path); err != nil {
		return errFiles(err)
	} else {
		n, rerr := io.ReadFull(f, head)
		f.Close()
		if rerr != nil && !errors.Is(rerr, io.ErrUnexpectedEOF) && !errors.Is(rerr, io.EOF) {
			return errFiles(rerr)
		}
		head = head[:n]
	}
	if err := checkSegmentHeader(head, j.deployment, number); errors.Is(err, errForeign) {
		return fault.New(fault.Conflict, "fault.oplog.foreign").Wrap(fmt.Errorf("segment %d", number))
	} else if err != nil && st.Size() >= segmentHeader {
		// The header only repeats what the frames are bound to anyway: nothing is lost.
		j.hurt(number, err.Error(), false)
	}
	j.reclaim(number)
	s := &segment{number: number, path: path, size: st.Size()}
	i := slices.IndexFunc(j.ring.Segments, func(k segmentKey) bool { return k.Number == number })
	switch {
	case i >= 0:
		s.aead, s.final = newFrameCipher(j.ring.Segments[i].Key), j.ring.Segments[i].Size
	case st.Size() <= segmentHeader:
		// A start that was cut between making the file and writing its key:
		// nothing was ever in it.
		return errFilesOrNil(j.fs.Remove(path))
	case !keys:
		return errKeys("segments without a key file")
	default:
		j.hurt(number, "its key is missing", true)
	}
	j.segs = append(j.segs, s)
	return nil
}

func errFilesOrNil(err error) error {
	if err != nil {
		return errFiles(err)
	}
	return nil
}

// openSegment starts a new segment under a fresh random key. The file comes
// first and its key second, so a key without a file always means a lost file.
func (j *journal) openSegment() error {
	number := max(1, j.ring.Next, j.last+1)
	for _, k := range j.ring.Segments {
		number = max(number, k.Number+1)
	}
	if n := len(j.segs); n > 0 {
		number = max(number, j.segs[n-1].number+1)
	}
	j.last = number
	path := segmentPath(j.dir, number)
	f, err := j.fs.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return errWrite(err)
	}
	header := newSegmentHeader(j.deployment, number)
	if _, err = f.Write(header); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = j.fs.SyncDir(j.dir)
	}
	if err == nil {
		err = j.addKey(number)
	}
	if err != nil {
		// The file stays: a copy of the keys may name it already. Without its key it
		// is dropped at the next start; its number is not tried again.
		f.Close()
		return errWrite(err)
	}
	key := j.ring.Segments[len(j.ring.Segments)-1].Key
	s := &segment{number: number, path: path, aead: newFrameCipher(key), size: int64(len(header)), open: true, sound: int64(len(header))}
	j.mu.Lock()
	j.segs = append(j.segs, s)
	j.mu.Unlock()
	j.out, j.cur, j.index, j.next, j.flushed = f, s, 0, 0, s.size
	if body := j.heads(); body != nil {
		if _, _, err = j.append(body); err == nil {
			err = j.flush() // so that one frame at most is unflushed: see tornEnd
		}
	}
	return err
}

// addKey appends a fresh key and notes the sizes of the segments before it.
func (j *journal) addKey(number uint64) error {
	old, next := slices.Clone(j.ring.Segments), j.ring.Next
	j.noteSizes()
	k := segmentKey{Number: number}
	_, _ = rand.Read(k.Key[:])
	j.ring.Segments = append(j.ring.Segments, k)
	j.ring.Next = number + 1
	if err := j.saveKeys(); err != nil {
		j.ring.Segments, j.ring.Next = old, next
		return err
	}
	return nil
}

// noteSizes notes how long the segments are that are finished now: one that is
// shorter or longer later was damaged or put back. It reports whether there was one.
func (j *journal) noteSizes() (news bool) {
	for i := range j.ring.Segments {
		for _, s := range j.segs {
			if k := &j.ring.Segments[i]; s.number == k.Number && k.Size == 0 && !s.gone {
				k.Size, news = s.size, true
				j.mu.Lock()
				s.final = s.size
				j.mu.Unlock()
			}
		}
	}
	return news
}

// seal finishes the open segment and notes the sizes for good: the clean stop.
func (j *journal) seal() error {
	if err := j.finish(); err != nil {
		return err
	}
	if !j.noteSizes() {
		return nil
	}
	return j.saveKeys()
}

// errWrite sorts failures to write: a full disk is the person's to mend.
func errWrite(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return errFull(err)
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	return errFiles(err)
}

// append writes one frame; it is durable only after flush. Its second result is
// the frame's tag.
func (j *journal) append(body []byte) (framePos, [16]byte, error) {
	if j.out != nil && j.cur.size > maxSegment && j.flushed == j.cur.size {
		if err := j.finish(); err != nil {
			return framePos{}, [16]byte{}, err
		}
	}
	if j.out == nil {
		if err := j.openSegment(); err != nil {
			return framePos{}, [16]byte{}, err
		}
	}
	raw := sealFrame(j.cur.aead, j.deployment, j.cur.number, j.index, body)
	if len(raw)-frameHeader > maxFrame {
		return framePos{}, [16]byte{}, errInternal("frame over its limit")
	}
	if _, err := j.out.Write(raw); err != nil {
		return framePos{}, [16]byte{}, j.takeBack(err)
	}
	pos := framePos{seg: uint32(len(j.segs) - 1), n: uint32(len(raw) - frameHeader), index: j.index, off: j.cur.size}
	j.mu.Lock()
	j.cur.size += int64(len(raw))
	j.mu.Unlock()
	j.index++
	return pos, [16]byte(raw[len(raw)-16:]), nil
}

// takeBack removes what was written since the last flush and leaves the
// segment: its next frame would meet a key and nonce that may lie on the disk
// already. When even that fails nothing is certain any more.
func (j *journal) takeBack(cause error) error {
	err := j.out.Truncate(j.flushed)
	if err == nil {
		err = j.out.Sync()
	}
	j.mu.Lock()
	j.cur.size, j.cur.open = j.flushed, false
	j.mu.Unlock()
	cerr := j.out.Close()
	j.out, j.cur = nil, nil
	if err = errors.Join(err, cerr); err != nil {
		return errReadOnly(errors.Join(cause, err))
	}
	return errWrite(cause)
}

// flush makes everything appended durable. A flush that failed cannot be
// repeated (the kernel may have dropped the pages), so it makes the node
// read-only.
func (j *journal) flush() error {
	if j.out == nil || j.flushed == j.cur.size {
		return nil
	}
	if err := j.out.Sync(); err != nil {
		return errReadOnly(err)
	}
	j.flushed, j.next = j.cur.size, j.index
	j.mu.Lock()
	j.cur.sound = j.flushed
	j.mu.Unlock()
	return nil
}

// finish ends the open segment without a closing record.
func (j *journal) finish() error {
	if j.out == nil {
		return nil
	}
	err := j.out.Close()
	j.mu.Lock()
	j.cur.open = false
	j.mu.Unlock()
	j.out, j.cur = nil, nil
	return errFilesOrNil(err)
}

// read opens one frame again. The reader checks that it is the frame it was.
func (j *journal) read(p framePos) ([]byte, error) {
	s := j.segment(p.seg)
	f, err := files.Open(j.fs, s.path)
	if err != nil {
		return nil, errFiles(err)
	}
	defer f.Close()
	raw := make([]byte, frameHeader+int(p.n))
	if _, err := f.ReadAt(raw, p.off); err != nil {
		return nil, errFiles(err)
	}
	n, index, _, ok := parseFrameHeader(raw)
	if !ok || n != p.n || index != p.index {
		return nil, errFiles(fmt.Errorf("segment %d: frame %d is damaged", s.number, p.index))
	}
	return j.open(s, index, raw[frameHeader:])
}

// open decrypts a frame's content in place.
func (j *journal) open(s *segment, index uint32, cipher []byte) ([]byte, error) {
	if s.aead == nil {
		return nil, errFiles(fmt.Errorf("segment %d: its key is missing", s.number))
	}
	body, err := s.aead.Open(cipher[:0], frameNonce(index), cipher, frameBound(j.deployment, s.number, index))
	if err != nil || len(body) == 0 {
		return nil, errFiles(fmt.Errorf("segment %d: frame %d is damaged", s.number, index))
	}
	return body, nil
}

// damage is something of the journal that could not be read at open.
type damage struct {
	segment uint64
	what    string
	loss    bool // frames may be lost with it
}

// hurt notes damage. It is said when it is known what became of it.
func (j *journal) hurt(segment uint64, what string, loss bool) {
	j.damages = append(j.damages, damage{segment, what, loss})
}

// load reads a whole segment for a walk. Where the disk gives back an error
// instead of bytes there are zeros: damage like any other.
func (j *journal) load(s *segment) ([]byte, error) {
	raw, err := readSegmentFile(j.fs, s.path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return raw, err
	}
	return readPieces(j.fs, s.path, s.size)
}

// bytes is the size of all segments together.
func (j *journal) bytes() (sum uint64, count int) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for _, s := range j.segs {
		if !s.gone {
			sum += uint64(s.size)
			count++
		}
	}
	return sum, count
}

// segment is the one at place i of the list. It is replaced when it is rewritten.
func (j *journal) segment(i uint32) *segment {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.segs[i]
}

// number is the segment number at place i of the list.
func (j *journal) number(i uint32) uint64 { return j.segment(i).number }

// damagedIn reports whether damage was found in a segment at open, or before.
func (j *journal) damagedIn(segment uint64) bool {
	return slices.ContainsFunc(j.damages, func(d damage) bool { return d.segment == segment }) ||
		slices.ContainsFunc(j.ring.Aside, func(a aside) bool { return a.Segment == segment })
}

// rewritten reports whether the frames of a segment were moved.
func (j *journal) rewritten(segment uint64) bool {
	return slices.ContainsFunc(j.ring.Segments, func(k segmentKey) bool { return k.Number == segment && k.Rewritten })
}

// tag reads a frame's authentication tag, its last 16 bytes.
func (j *journal) tag(p framePos) (tag [16]byte, err error) {
	s := j.segment(p.seg)
	f, err := files.Open(j.fs, s.path)
	if err != nil {
		return tag, errFiles(err)
	}
	defer f.Close()
	if _, err = f.ReadAt(tag[:], p.off+frameHeader+int64(p.n)-16); err != nil {
		return tag, errFiles(err)
	}
	return tag, nil
}
