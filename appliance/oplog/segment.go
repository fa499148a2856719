package oplog

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/waypost/waypost/appliance/files"
)

// The layout of a segment file; doc.go has the bytes.
const (
	segmentMagic  = "WAYPOSTJ"
	segmentFormat = 1
	segmentHeader = 8 + 2 + 16 + 8 + 4
	frameMark     = 0xF757504A // not valid UTF-8, so text never looks like it
	frameHeader   = 20
	maxFrame      = 8 << 20  // ciphertext of one frame
	maxSegment    = 64 << 20 // a further frame goes into a new segment
)

// What a frame holds, its first byte.
const (
	frameOps      = 1 // one or more batches, each behind its length
	frameClose    = 2 // a clean stop: the heads
	frameEvidence = 3 // a signed batch that contradicts what is held
	frameHeads    = 4 // how far every log is known to have been held when the segment began
	frameSalvage  = 5 // ops the journal lost, as the views had them
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segment is one journal file.
type segment struct {
	number uint64
	path   string
	aead   cipher.AEAD // nil: its key is lost
	size   int64
	final  int64 // size it must have; 0 = not known yet
	closed bool  // ends with a closing record
	gone   bool  // there is no file any more
	open   bool  // it is being written
	sound  int64 // while open: bytes that are flushed
}

// framePos says where a frame lies.
type framePos struct {
	seg   uint32 // index into journal.segs
	n     uint32 // length of the ciphertext
	index uint32
	off   int64
}

func segmentPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%08d.wpj", number))
}

func newSegmentHeader(deployment [16]byte, number uint64) []byte {
	b := append([]byte(segmentMagic), 0, segmentFormat)
	b = append(b, deployment[:]...)
	b = binary.BigEndian.AppendUint64(b, number)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// checkSegmentHeader faults when the file is not segment number of deployment.
func checkSegmentHeader(h []byte, deployment [16]byte, number uint64) error {
	if len(h) < segmentHeader || string(h[:8]) != segmentMagic || crc32.Checksum(h[:segmentHeader-4], castagnoli) != binary.BigEndian.Uint32(h[segmentHeader-4:]) {
		return errors.New("header is damaged")
	}
	if v := binary.BigEndian.Uint16(h[8:]); v != segmentFormat {
		return fmt.Errorf("format %d is newer than this program", v)
	}
	if !bytes.Equal(h[10:26], deployment[:]) {
		return errForeign
	}
	if binary.BigEndian.Uint64(h[26:]) != number {
		return errors.New("header names another segment")
	}
	return nil
}

var errForeign = errors.New("segment of another deployment")

func newFrameCipher(key [32]byte) cipher.AEAD {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic(err) // the key has the right length by its type
	}
	return aead
}

func frameNonce(index uint32) []byte {
	return binary.BigEndian.AppendUint32(make([]byte, 8, 12), index)
}

func frameBound(deployment [16]byte, number uint64, index uint32) []byte {
	b := append([]byte("waypost/frame/1"), deployment[:]...)
	b = binary.BigEndian.AppendUint64(b, number)
	return binary.BigEndian.AppendUint32(b, index)
}

// sealFrame makes header and ciphertext of one frame.
func sealFrame(aead cipher.AEAD, deployment [16]byte, number uint64, index uint32, body []byte) []byte {
	out := make([]byte, frameHeader, frameHeader+len(body)+aead.Overhead())
	out = aead.Seal(out, frameNonce(index), body, frameBound(deployment, number, index))
	binary.BigEndian.PutUint32(out[0:], frameMark)
	binary.BigEndian.PutUint32(out[4:], uint32(len(out)-frameHeader))
	binary.BigEndian.PutUint32(out[8:], index)
	binary.BigEndian.PutUint32(out[12:], crc32.Checksum(out[frameHeader:], castagnoli))
	binary.BigEndian.PutUint32(out[16:], crc32.Checksum(out[:16], castagnoli))
	return out
}

// parseFrameHeader reads a frame header; false when these bytes are none.
func parseFrameHeader(h []byte) (n, index, sum uint32, ok bool) {
	if len(h) < frameHeader || binary.BigEndian.Uint32(h) != frameMark || binary.BigEndian.Uint32(h[16:]) != crc32.Checksum(h[:16], castagnoli) {
		return 0, 0, 0, false
	}
	n, index, sum = binary.BigEndian.Uint32(h[4:]), binary.BigEndian.Uint32(h[8:]), binary.BigEndian.Uint32(h[12:])
	return n, index, sum, n <= maxFrame
}

// found is one stretch of a segment file as walkFrames sees it.
type found struct {
	off, end int64
	index    uint32
	cipher   []byte // nil when damaged or torn
	why      string // what is wrong
	torn     bool   // the file ends inside this frame
}

// walkFrames reads a segment from its first frame to the end of what was read
// into raw (the file's first size bytes). It checks checksums only. Behind a
// damaged header it looks for the next mark.
func walkFrames(raw []byte, fn func(found) error) error {
	off, next := int64(segmentHeader), uint32(0)
	size := int64(len(raw))
	for off < size {
		n, index, sum, ok := parseFrameHeader(raw[off:])
		f := found{off: off, index: index}
		switch end := off + frameHeader + int64(n); {
		case !ok && (size-off < frameHeader || allZero(raw[off:])):
			f.end, f.torn, f.why = size, true, "incomplete frame header"
		case !ok:
			f.end, f.why = resync(raw, off+1, next), "damaged frame header"
		case end > size:
			f.end, f.torn, f.why = size, true, "incomplete frame"
		case index != next && index < next:
			f.end, f.why = end, "frame out of order"
		case crc32.Checksum(raw[off+frameHeader:end], castagnoli) != sum:
			f.end, f.why = end, "damaged frame"
			next = index + 1
		default:
			if index > next {
				if err := fn(found{off: off, end: off, index: next, why: "missing frames"}); err != nil {
					return err
				}
			}
			f.end, f.cipher = end, raw[off+frameHeader:end]
			next = index + 1
		}
		if err := fn(f); err != nil {
			return err
		}
		off = f.end
	}
	return nil
}

// resync finds the next frame header from off on; the end of raw when there is none.
func resync(raw []byte, off int64, next uint32) int64 {
	mark := binary.BigEndian.AppendUint32(nil, frameMark)
	for off < int64(len(raw)) {
		i := bytes.Index(raw[off:], mark)
		if i < 0 {
			break
		}
		off += int64(i)
		if _, index, _, ok := parseFrameHeader(raw[off:]); ok && index >= next {
			return off
		}
		off++
	}
	return int64(len(raw))
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// readSegmentFile reads a whole segment. Segments are at most maxSegment plus
// one frame; a larger file is not one of ours.
func readSegmentFile(fsys files.FS, path string) ([]byte, error) {
	f, err := files.Open(fsys, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const most = maxSegment + maxFrame + segmentHeader + frameHeader + 1
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// Taken at once: a buffer that grows to 64 MB leaves three times that behind.
	raw := bytes.NewBuffer(make([]byte, 0, min(max(st.Size(), 0), most)+bytes.MinRead))
	_, err = raw.ReadFrom(io.LimitReader(f, most))
	return raw.Bytes(), err
}

// readPieces reads what can be read of a file, as zeros what cannot. It faults when
// that is nothing: then the disk is away, and what is on it may be sound.
func readPieces(fsys files.FS, path string, size int64) ([]byte, error) {
	f, err := files.Open(fsys, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const piece = 4096
	raw := make([]byte, min(size, maxSegment+maxFrame+segmentHeader+frameHeader))
	readable, bad := false, error(nil)
	for off := int64(0); off < int64(len(raw)); off += piece {
		part := raw[off:min(off+piece, int64(len(raw)))]
		n, err := f.ReadAt(part, off)
		if errors.Is(err, io.EOF) {
			return raw[:off+int64(n)], nil
		}
		if err != nil {
			clear(part)
			bad = err
		}
		readable = readable || err == nil
	}
	if !readable {
		return nil, bad
	}
	return raw, nil
}
