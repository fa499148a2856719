package chunks

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"time"

	"golang.org/x/image/webp"

	"github.com/waypost/waypost/appliance/clock"
)

// Limits bound what opening a stranger's image may cost.
type Limits struct {
	Bytes  int // of the file
	Pixels int // width times height
	Held   int // bytes held while decoding, whatever the header says about depth, alpha or progressive passes
}

// Why an image is not opened. Callers answer with faults of their own.
var (
	ErrPictureTooLarge   = errors.New("image over its limits")
	ErrPictureUnreadable = errors.New("no image of a kind that is read, or a damaged one")
)

// Picture is an image whose header was read and whose cost is known to be bounded.
type Picture struct {
	Width, Height int
	format        pictureFormat
	data          []byte
}

// pictureFormat is one of the image formats that are read.
type pictureFormat struct {
	magic  string // how a file begins; ? stands for any byte
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	bytes  func(data []byte, m color.Model) int // held per pixel while decoding
}

// pictureFormats are listed and not registered with package image, so that
// another import can never add a decoder to what strangers' bytes reach.
func pictureFormats() []pictureFormat {
	return []pictureFormat{
		{"\xff\xd8\xff", jpeg.DecodeConfig, jpeg.Decode, jpegWeight},
		{"\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode, pngWeight},
		{"RIFF????WEBP", webp.DecodeConfig, webp.Decode, webpWeight},
	}
}

// OpenPicture finds the format of a JPEG, PNG or WebP image and reads its header;
// nothing is decoded yet. It keeps data. Errors: ErrPictureTooLarge,
// ErrPictureUnreadable, wrapped.
func OpenPicture(data []byte, lim Limits) (Picture, error) {
	if len(data) > lim.Bytes {
		return Picture{}, ErrPictureTooLarge
	}
	for _, f := range pictureFormats() {
		if !hasMagic(data, f.magic) {
			continue
		}
		c, err := guarded(func() (image.Config, error) { return f.config(bytes.NewReader(data)) })
		if err != nil || c.Width <= 0 || c.Height <= 0 {
			return Picture{}, errors.Join(ErrPictureUnreadable, err)
		}
		if c.Width > lim.Pixels/c.Height || c.Width*c.Height > lim.Held/f.bytes(data, c.ColorModel) {
			return Picture{}, ErrPictureTooLarge
		}
		return Picture{c.Width, c.Height, f, data}, nil
	}
	return Picture{}, ErrPictureUnreadable
}

// Decode opens the image. Error: ErrPictureUnreadable, wrapped.
func (p Picture) Decode() (image.Image, error) {
	img, err := guarded(func() (image.Image, error) { return p.format.decode(bytes.NewReader(p.data)) })
	if err != nil {
		return nil, errors.Join(ErrPictureUnreadable, err)
	}
	return img, nil
}

func hasMagic(data []byte, magic string) bool {
	if len(data) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != data[i] {
			return false
		}
	}
	return true
}

// guarded turns a panic of an image decoder into an error: what it reads was made
// by a stranger.
func guarded[T any](fn func() (T, error)) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = ErrPictureUnreadable
		}
	}()
	return fn()
}

// jpegWeight: three samples a pixel at worst, and a progressive file keeps 4
// more bytes of coefficients for each until its last pass. A file counts as the
// cheap kind only when its frame header (SOF0 or SOF1, ITU T.81 table B.1) is
// reached by the book: the decoder skips stray bytes that would hide another.
func jpegWeight(data []byte, _ color.Model) int {
	const baseline, progressive = 4, 4 * (1 + 4)
	for i := 2; i+4 <= len(data) && data[i] == 0xff; {
		switch marker := data[i+1]; {
		case marker == 0xff: // a fill byte
			i++
		case marker == 0xc0 || marker == 0xc1:
			return baseline
		case marker == 0xc4 || marker == 0xdb || marker == 0xdd || marker >= 0xe0 && marker <= 0xef || marker == 0xfe:
			i += 2 + int(data[i+2])<<8 + int(data[i+3]) // tables, application data, comments
		default: // SOF2, or one without a length, behind which another header could hide
			return progressive
		}
	}
	return progressive
}

// pngInterlace is where the IHDR chunk, always the first, says it (PNG section 11.2.1).
const pngInterlace = 28

// pngWeight: the size of a pixel in package image's types; an interlaced file is
// held once more in passes.
func pngWeight(data []byte, m color.Model) int {
	n := 4
	switch m {
	case color.RGBA64Model, color.NRGBA64Model:
		n = 8
	case color.Gray16Model:
		n = 2
	case color.GrayModel:
		n = 1
	}
	if _, ok := m.(color.Palette); ok {
		n = 1
	}
	if len(data) > pngInterlace && data[pngInterlace] != 0 {
		n *= 2
	}
	return n
}

// webpWeight: alpha is decoded through a four-byte picture of its own.
func webpWeight(_ []byte, m color.Model) int {
	if m == color.NYCbCrAModel {
		return 7
	}
	return 4
}

// One image is decoded at a time; others wait in a short Line.
const (
	PictureLine = 4                // waiting behind the one at work
	PictureWait = 10 * time.Second // longest wait
)

// Line lets one image be decoded at a time: on a small board two at once would only
// make both late, and one is all the memory there is. Safe for concurrent use.
type Line struct {
	clock clock.Clock
	line  chan struct{} // everybody who is here, waiting or at work
	desk  chan struct{} // the one at work
}

// NewLine makes an empty line.
func NewLine(c clock.Clock) *Line {
	return &Line{clock: c, line: make(chan struct{}, PictureLine+1), desk: make(chan struct{}, 1)}
}

// Join takes a place in the line, to be left by leave; false when it is full.
func (l *Line) Join() (leave func(), ok bool) {
	select {
	case l.line <- struct{}{}:
		return func() { <-l.line }, true
	default:
		return nil, false
	}
}

// Turn waits until it is the caller's turn, to be ended by done; false when ctx ended
// or it took longer than ten seconds. The caller has joined.
func (l *Line) Turn(ctx context.Context) (done func(), ok bool) {
	select {
	case l.desk <- struct{}{}:
		return func() { <-l.desk }, true
	case <-ctx.Done():
	case <-l.clock.After(PictureWait):
	}
	return nil, false
}
