package tokens

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"time"

	"golang.org/x/image/webp"

	"github.com/waypost/waypost/appliance/clock"
	"github.com/waypost/waypost/appliance/fault"
)

// Limits of an uploaded photo. Byte and pixel limits are those of the design;
// maxDecoded keeps one photo from taking more memory than a 1 GB board has to
// spare, whatever its header says about depth, alpha or progressive passes.
const (
	MaxPhotoBytes  = 12 << 20   // of the file
	MaxPhotoPixels = 40_000_000 // width times height
	maxDecoded     = 160 << 20  // bytes held while decoding
)

// One photo is decoded at a time; others wait in a short line.
const (
	photoLine   = 4                // waiting behind the one at work
	photoWait   = 10 * time.Second // longest wait
	photoBudget = 2 * time.Second  // for the search, after the image is decoded
)

// Scanner finds QR codes in photos, one photo at a time: on a small board two at
// once would only make both late. Safe for concurrent use.
type Scanner struct {
	clock clock.Clock
	line  chan struct{} // everybody who is here, waiting or at work
	desk  chan struct{} // the one at work
}

// NewScanner makes a Scanner with its own line.
func NewScanner(c clock.Clock) *Scanner {
	return &Scanner{clock: c, line: make(chan struct{}, photoLine+1), desk: make(chan struct{}, 1)}
}

// Decode finds a QR code in a JPEG, PNG or WebP image, in any orientation and
// of either polarity, and returns its text as it stands, whatever it says. With
// several codes in the picture a card's goes before others. The header is
// checked before anything is decoded, and nothing is kept.
//
// Faults: TooLarge "fault.tokens.photo_too_large", Unsupported
// "fault.tokens.photo_unreadable" (no such image, or a damaged one), NotFound
// "fault.tokens.no_code", Busy "fault.tokens.photo_busy".
func (s *Scanner) Decode(ctx context.Context, r io.Reader) (string, error) {
	select {
	case s.line <- struct{}{}:
		defer func() { <-s.line }()
	default:
		return "", fault.New(fault.Busy, "fault.tokens.photo_busy")
	}
	data, err := io.ReadAll(io.LimitReader(r, MaxPhotoBytes+1))
	if err != nil {
		return "", fault.New(fault.Invalid, "fault.tokens.photo_unreadable").Wrap(err)
	}
	format, err := photoHeader(data)
	if err != nil {
		return "", err
	}
	select {
	case s.desk <- struct{}{}:
		defer func() { <-s.desk }()
	case <-ctx.Done():
		return "", fault.New(fault.Busy, "fault.tokens.photo_busy").Wrap(ctx.Err())
	case <-s.clock.After(photoWait):
		return "", fault.New(fault.Busy, "fault.tokens.photo_busy")
	}
	p, err := loadGray(format, data)
	if err != nil {
		return "", err
	}
	return search(ctx, s.clock, p)
}

// Decode reads one image with the machine's clock and no line, for a program
// that runs once. Faults as of Scanner.Decode.
func Decode(image io.Reader) (string, error) {
	return NewScanner(clock.System()).Decode(context.Background(), image)
}

// photoFormat is one of the image formats that are read.
type photoFormat struct {
	magic  string // how a file begins; ? stands for any byte
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	bytes  func(data []byte, m color.Model) int // held per pixel while decoding
}

// photoFormats are listed and not registered with package image, so that
// another import can never add a decoder to what strangers' bytes reach.
func photoFormats() []photoFormat {
	return []photoFormat{
		{"\xff\xd8\xff", jpeg.DecodeConfig, jpeg.Decode, jpegWeight},
		{"\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode, pngWeight},
		{"RIFF????WEBP", webp.DecodeConfig, webp.Decode, webpWeight},
	}
}

// photoHeader finds the format and refuses what is too large, from the header.
func photoHeader(data []byte) (photoFormat, error) {
	if len(data) > MaxPhotoBytes {
		return photoFormat{}, tooLarge()
	}
	for _, f := range photoFormats() {
		if !hasMagic(data, f.magic) {
			continue
		}
		c, err := guardImage(func() (image.Config, error) { return f.config(bytes.NewReader(data)) })
		if err != nil || c.Width <= 0 || c.Height <= 0 {
			return photoFormat{}, unreadable(err)
		}
		if c.Width > MaxPhotoPixels/c.Height || c.Width*c.Height > maxDecoded/f.bytes(data, c.ColorModel) {
			return photoFormat{}, tooLarge()
		}
		return f, nil
	}
	return photoFormat{}, unreadable(nil)
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

func tooLarge() error {
	return fault.New(fault.TooLarge, "fault.tokens.photo_too_large",
		"Megabytes", MaxPhotoBytes>>20, "Megapixels", MaxPhotoPixels/1_000_000)
}

func unreadable(cause error) error {
	return fault.New(fault.Unsupported, "fault.tokens.photo_unreadable").Wrap(cause)
}

// guardImage turns a panic of an image decoder into an error: what it reads was
// made by a stranger.
func guardImage[T any](fn func() (T, error)) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = unreadable(nil)
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

// gray is a picture of luminances, row by row.
type gray struct {
	w, h int
	pix  []byte
}

func newGray(w, h int) gray { return gray{w, h, make([]byte, w*h)} }

// loadGray decodes the image and keeps its luminance. Transparent parts are
// white, as a browser would show them on a page.
func loadGray(f photoFormat, data []byte) (gray, error) {
	img, err := guardImage(func() (image.Image, error) { return f.decode(bytes.NewReader(data)) })
	if err != nil {
		return gray{}, unreadable(err)
	}
	return toGray(img), nil
}

func toGray(img image.Image) gray {
	r := img.Bounds()
	g := newGray(r.Dx(), r.Dy())
	for y := range g.h {
		row := g.pix[y*g.w:][:g.w]
		switch m := img.(type) {
		case *image.YCbCr: // the luminance as it is
			copy(row, m.Y[m.YOffset(r.Min.X, r.Min.Y+y):])
		case *image.Gray:
			copy(row, m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):])
		case *image.RGBA: // opaque, or already multiplied: white shows through
			p := m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):]
			for x := range row {
				q := p[4*x:][:4]
				row[x] = luma(q[0], q[1], q[2]) + (255 - q[3])
			}
		case *image.NRGBA:
			p := m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):]
			for x := range row {
				q := p[4*x:][:4]
				row[x] = onWhite(luma(q[0], q[1], q[2]), q[3])
			}
		default:
			for x := range row {
				c := color.NRGBA64Model.Convert(img.At(r.Min.X+x, r.Min.Y+y)).(color.NRGBA64)
				row[x] = onWhite(luma(byte(c.R>>8), byte(c.G>>8), byte(c.B>>8)), byte(c.A>>8))
			}
		}
	}
	return g
}

// luma weighs the channels as JPEG does (ITU-R BT.601), in 256ths.
func luma(r, g, b byte) byte {
	return byte((77*int(r) + 150*int(g) + 29*int(b)) >> 8)
}

func onWhite(l, alpha byte) byte {
	return byte((int(l)*int(alpha) + 255*(255-int(alpha))) / 255)
}
